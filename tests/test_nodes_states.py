"""Nodes that keep a state: against models in plain Python, one number at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library import NUMBERS, REALS, SHAPES, Bench, array_of, assert_same_bits, samples, spec
from limen.nodes import Debounce, Decimate, RateLimiter, SampleAndHold, Threshold
from limen.types import ObjectSpec

MORE = settings(max_examples=80, deadline=None)
MS = 1_000_000


# Threshold.


@MORE
@given(st.data(), st.sampled_from(NUMBERS), st.sampled_from(SHAPES), st.booleans(), st.booleans())
def test_threshold_follows_its_model(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], only: bool, single: bool
) -> None:
    xs = data.draw(samples(dtype, shape, st.integers(0, 8)))
    low, high = sorted(data.draw(st.tuples(*[st.floats(0.5, 3, width=32)] * 2)))
    low = high if single else low
    bench = Bench(Threshold(high, None if single else low, only), **{"in": spec(dtype, *shape)})
    found = bench.feed(xs)
    on, wanted = np.zeros(shape, bool), []
    for x in xs:
        before = on.copy()
        for place in np.ndindex(shape):
            one = x[place].item()
            # Compared as exact numbers, whatever the type.
            if one == one and (one == float("inf") or one >= Fraction(high)):
                on[place] = True
            elif one == one and (one == -float("inf") or one < Fraction(low)):
                on[place] = False
        if not only or (on != before).any():
            wanted.append(on.copy())
    assert len(found) == len(wanted)
    for out, state in zip(found, wanted, strict=True):
        assert_same_bits(out, state)


def test_at_high_it_is_on_and_at_low_still() -> None:
    xs = np.float32([1, 2, 1.5, 1, np.nan, 0.99, np.nan, 1.99])
    found = Bench(Threshold(2, 1), **{"in": spec("f32")}).feed(xs)
    assert [bool(out) for out in found] == [False, True, True, True, True, False, False, False]


@pytest.mark.parametrize(("dtype", "value"), [("u8", 255), ("s8", 127), ("s64", 2**62)])
def test_a_threshold_at_the_end_of_a_type_can_be_reached(dtype: str, value: int) -> None:
    xs = np.array([value - 1, value, 0], array_of(dtype))
    found = Bench(Threshold(value), **{"in": spec(dtype)}).feed(xs)
    assert [bool(out) for out in found] == [False, True, False]


# Debounce.


class Contact:
    """The model of one element."""

    def __init__(self, count: int, ticks: int, state: object) -> None:
        self.count, self.ticks, self.state = count, ticks, state
        self.run: list[tuple[object, int, int]] = []

    def see(self, x: object, creation: int, origin: int) -> int | None:
        """Return the origin of the run that has become the state."""
        if x == self.state:
            self.run = []
            return None
        if self.run and self.run[0][0] != x:
            self.run = []
        self.run.append((x, creation, origin))
        if len(self.run) < self.count or creation - self.run[0][1] < self.ticks:
            return None
        oldest = min(o for _, _, o in self.run)
        self.state, self.run = x, []
        return oldest


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-1, 5)), max_size=25),
    st.integers(1, 4),
    st.integers(0, 6),
    st.booleans(),
)
def test_debounce_follows_its_model(
    steps: list[tuple[int, int, int]], count: int, ticks: int, only: bool
) -> None:
    node = Debounce(count, f"{ticks}ns" if ticks else None, only_changes=only)
    bench = Bench(node, **{"in": spec("u8", 2)})
    models = [Contact(count, ticks, 0), Contact(count, ticks, 0)]
    creation = 100
    wanted = []
    for first, second, gap in steps:
        creation += gap
        origin = creation - first
        bench.give(bench.message(np.array([first, second], np.uint8), creation, origin))
        changes = [m.see(x, creation, origin) for m, x in zip(models, (first, second), strict=True)]
        settled = [c for c in changes if c is not None]
        if settled or not only:
            state = [m.state for m in models]
            wanted.append((state, min(settled) if settled else origin))
    found = [(payload.tolist(), header.origin_tick) for _, header, payload in bench.emitted]
    assert found == wanted


def test_a_contact_that_bounces_changes_once() -> None:
    xs = np.array([0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0, 0], bool)
    found = Bench(Debounce(3, only_changes=True), **{"in": spec("bool")}).feed(xs)
    assert [bool(out) for out in found] == [True, False]
    node = Debounce(3, initial=True)
    assert bool(Bench(node, **{"in": spec("bool")}).feed(xs[:1])[0])


@pytest.mark.parametrize("dtype", ["u64", "s64", "s8"])
def test_debounce_holds_the_extremes_of_a_type(dtype: str) -> None:
    limits = np.iinfo(array_of(dtype))
    xs = np.array([limits.max, limits.max, limits.min, limits.min], array_of(dtype))
    node = Debounce(2, initial=int(limits.min))
    found = Bench(node, **{"in": spec(dtype)}).feed(xs)
    wanted = [limits.min, limits.max, limits.max, limits.min]
    assert [int(out) for out in found] == [int(x) for x in wanted]


# Decimate and RateLimiter.


@MORE
@given(st.integers(1, 6), st.data(), st.integers(0, 20))
def test_decimate_is_a_slice(n: int, data: st.DataObject, count: int) -> None:
    phase = data.draw(st.integers(0, n - 1))
    xs = np.arange(count, dtype=np.int16)
    bench = Bench(Decimate(n, phase), **{"in": spec("s16")})
    found = bench.feed(xs)
    assert [int(out) for out in found] == xs[phase::n].tolist()
    assert bench.skipped == 0, "what it is for is no loss"


@MORE
@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 20), st.integers(1, 4))
def test_the_rate_limiter_is_a_bucket_of_tokens(gaps: list[int], every: int, burst: int) -> None:
    bench = Bench(RateLimiter(f"{every}ns", burst), **{"in": ObjectSpec(int)})
    tokens, last, now, passed = Fraction(burst), None, 1000, []
    for number, gap in enumerate(gaps):
        now += gap
        bench.give(bench.message(number), now=now)
        if last is not None:
            tokens = min(Fraction(burst), tokens + Fraction(now - last, every))
        last = now
        if tokens >= 1:
            tokens -= 1
            passed.append(number)
    assert [payload for _, _, payload in bench.emitted] == passed
    assert bench.skipped == len(gaps) - len(passed)


def test_with_a_burst_of_one_messages_keep_their_distance() -> None:
    bench = Bench(RateLimiter("10ns"), **{"in": ObjectSpec(int)})
    for now in (5, 14, 15, 24, 25, 100, 109, 110):
        bench.give(bench.message(now), now=now)
    assert [payload for _, _, payload in bench.emitted] == [5, 15, 25, 100, 110]


# SampleAndHold.


def test_a_trigger_gets_the_latest_value_with_the_older_origin() -> None:
    bench = Bench(SampleAndHold(), **{"in": spec("f32", 2), "trigger": ObjectSpec(str)})
    value = np.float32([1, 2])
    bench.give(None, bench.message("too early", 1))
    bench.give(bench.message(value, 5, 3), None)
    value[:] = 0
    bench.give(None, bench.message("now", 8, 7))
    bench.give(None, bench.message("again", 9, 2))
    assert [(h.creation_tick, h.origin_tick, p.tolist()) for _, h, p in bench.emitted] == [
        (8, 3, [1, 2]),
        (9, 2, [1, 2]),
    ]


def test_a_value_that_comes_with_its_trigger_counts() -> None:
    bench = Bench(SampleAndHold(), **{"in": ObjectSpec(str), "trigger": ObjectSpec(str)})
    bench.give(bench.message("new"), bench.message("now"))
    assert [payload for _, _, payload in bench.emitted] == ["new"]


def test_without_a_trigger_every_step_is_one() -> None:
    bench = Bench(SampleAndHold(), **{"in": spec("f64")})
    bench.give(None, None)
    bench.give(bench.message(np.float64(3), 4), None)
    bench.give(None, None)
    assert [(h.origin_tick, float(p)) for _, h, p in bench.emitted] == [(4, 3.0), (4, 3.0)]


@pytest.mark.parametrize("dtype", REALS)
def test_reset_forgets(dtype: str) -> None:
    on = np.array(5, array_of(dtype))
    threshold = Bench(Threshold(4, 1), **{"in": spec(dtype)})
    threshold.feed([on])
    threshold.node.reset()
    assert not threshold.feed([np.array(2, array_of(dtype))])[0]
    hold = Bench(SampleAndHold(), **{"in": spec(dtype)})
    hold.give(hold.message(on), None)
    hold.node.reset()
    hold.give(None, None)
    assert len(hold.emitted) == 1
    limiter = Bench(RateLimiter("1s"), **{"in": spec(dtype)})
    limiter.feed([on])
    limiter.node.reset()
    assert len(limiter.feed([on])) == 1
