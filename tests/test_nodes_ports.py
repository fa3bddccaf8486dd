"""Nodes with several inputs or outputs: concat, split, router, join by time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from library import NUMBERS, Bench, array_of, assert_same_bits, samples, spec
from limen.message import Message
from limen.nodes import Concat, JoinByTime, Router, Split
from limen.types import ObjectSpec, TensorSpec

MORE = settings(max_examples=60, deadline=None)


@MORE
@given(
    st.data(),
    st.sampled_from(("bool", *NUMBERS, "f16")),
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.sampled_from([0, 1, -1, -2]),
)
def test_concat_and_split_are_those_of_numpy_and_undo_each_other(
    data: st.DataObject, dtype: str, sizes: list[int], axis: int
) -> None:
    names = [f"p{i}" for i in range(len(sizes))]
    shapes = [(n, 2) if axis in (0, -2) else (2, n) for n in sizes]
    parts = [data.draw(samples(dtype, shape, st.just(1)))[0] for shape in shapes]
    specs = {n: spec(dtype, *shape) for n, shape in zip(names, shapes, strict=True)}
    concat = Bench(Concat(names, axis), **specs)
    concat.give(*[concat.message(part) for part in parts])
    whole = concat.emitted[0][2]
    assert_same_bits(whole, np.concatenate(parts, axis))
    split = Bench(Split(sizes, names, axis), **{"in": spec(dtype, *whole.shape)})
    split.give(split.message(whole))
    assert [port for port, _, _ in split.emitted] == names
    for (_, _, found), part in zip(split.emitted, parts, strict=True):
        assert_same_bits(found, part)


def test_labels_go_with_their_entries() -> None:
    left, right = spec("f32", 2, labels="ab"), spec("f32", 1, labels="c")
    joined = Concat(["x", "y"]).resolve({"x": left, "y": right}).outputs[0].spec
    assert joined == spec("f32", 3, labels="abc")
    outputs = Split([1, 2]).resolve({"in": joined}).outputs
    assert [(p.name, p.spec.labels) for p in outputs] == [("out_0", ("a",)), ("out_1", ("b", "c"))]
    rows = Split([1, 1], axis=0).resolve({"in": spec("f32", 2, 2, labels="ab")}).outputs
    assert all(p.spec == spec("f32", 1, 2, labels="ab") for p in rows)


# Router.


def routed(router: Router, dtype: str, xs: np.ndarray) -> list[str | None]:
    bench = Bench(router, **{"in": spec(dtype, *xs.shape[1:])})
    chosen: list[str | None] = []
    for x in xs:
        before = len(bench.emitted)
        bench.give(bench.message(x))
        made = bench.emitted[before:]
        assert len(made) <= 1
        for _, _, payload in made:
            assert_same_bits(payload, x)
        chosen.append(made[0][0] if made else None)
    assert bench.skipped == chosen.count(None)
    return chosen


@MORE
@given(st.data(), st.sampled_from(NUMBERS), st.booleans())
def test_a_router_by_value_counts_bounds(data: st.DataObject, dtype: str, otherwise: bool) -> None:
    xs = data.draw(samples(dtype, (2,), st.integers(0, 8)))
    bounds = [1.25, 1.75, 100]
    if array_of(dtype).kind in "iu":
        bounds = [0.5, 1.75, 100]
    names = ["a", "b", "c", "d"]
    router = Router(names, "value", 1, bounds, "rest" if otherwise else None)
    for chosen, x in zip(routed(router, dtype, xs), xs, strict=True):
        value = x[1].item()
        if math.isnan(value):
            assert chosen == ("rest" if otherwise else None)
        else:
            assert chosen == names[sum(bound <= value for bound in bounds)]


@MORE
@given(st.data(), st.sampled_from(("bool", *NUMBERS[:8])))
def test_a_router_by_index_takes_the_number(data: st.DataObject, dtype: str) -> None:
    xs = data.draw(samples(dtype, (), st.integers(0, 8)))
    for chosen, x in zip(routed(Router(["a", "b"]), dtype, xs), xs, strict=True):
        assert chosen == {0: "a", 1: "b"}.get(int(x))


@MORE
@given(st.data(), st.sampled_from(NUMBERS))
def test_a_router_by_class_takes_the_largest(data: st.DataObject, dtype: str) -> None:
    xs = data.draw(samples(dtype, (3,), st.integers(0, 8)))
    names = ["a", "b", "c"]
    router = Router(names, "class", otherwise="unsure")
    for chosen, x in zip(routed(router, dtype, xs), xs, strict=True):
        nan = bool((x != x).any())
        assert chosen == ("unsure" if nan else names[int(np.argmax(x))])


def test_a_selector_of_its_own_chooses_for_any_payload() -> None:
    router = Router(["a", "b"], by_selector=True)
    bench = Bench(router, **{"in": ObjectSpec(str), "selector": spec("s32", 1)})
    for word, index in [("x", 1), ("y", 0), ("z", 2)]:
        bench.give(bench.message(word), bench.message(np.array([index], np.int32)))
    assert [(port, payload) for port, _, payload in bench.emitted] == [("b", "x"), ("a", "y")]
    assert bench.skipped == 1


# JoinByTime.


class Pairs:
    """The model: what waits, in the order in which it came."""

    def __init__(self, tolerance: int, timeout: int, depth: int) -> None:
        self.tolerance, self.timeout, self.depth = tolerance, timeout, depth
        self.waiting: dict[str, list[tuple[int, int, int]]] = {"left": [], "right": []}
        self.out: list[tuple[object, ...]] = []

    def step(self, now: int, coming: list[tuple[str, int, int] | None]) -> None:
        for side, waiting in self.waiting.items():
            over = [one for one in waiting if now - one[2] >= self.timeout]
            self.waiting[side] = [one for one in waiting if one not in over]
            if side == "left":
                self.out += [("missing", one[0]) for one in over]
        for item in coming:
            if item is not None:
                self.take(*item, now)

    def take(self, side: str, number: int, creation: int, now: int) -> None:
        other = self.waiting["right" if side == "left" else "left"]
        near = [one for one in other if abs(one[1] - creation) <= self.tolerance]
        if near:
            best = min(near, key=lambda one: abs(one[1] - creation))
            other.remove(best)
            pair = (number, best[0]) if side == "left" else (best[0], number)
            self.out.append(("out", *pair))
            return
        mine = self.waiting[side]
        if len(mine) == self.depth:
            gone = mine.pop(0)
            if side == "left":
                self.out.append(("missing", gone[0]))
        mine.append((number, creation, now))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(["left", "right", "both", "none"]),
            st.integers(-6, 0),
            st.integers(-6, 0),
        ),
        max_size=40,
    ),
    st.integers(0, 4),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from(["concat", "tuple"]),
)
def test_join_by_time_follows_its_model(
    steps: list[tuple[int, str, int, int]], tolerance: int, timeout: int, depth: int, pair: str
) -> None:
    node = JoinByTime(f"{tolerance}ns", f"{timeout}ns", depth, pair)
    bench = Bench(node, left=spec("s32", 1), right=spec("s32", 2))
    model = Pairs(tolerance, timeout, depth)
    now = 100
    emitted: list[tuple[object, ...]] = []
    for number, (gap, which, left_age, right_age) in enumerate(steps):
        now += gap
        left = right = None
        coming: list[tuple[str, int, int] | None] = [None, None]
        if which in ("left", "both"):
            left = bench.message(np.int32([number]), now + left_age)
            coming[0] = ("left", number, now + left_age)
        if which in ("right", "both"):
            right = bench.message(np.int32([number, -number]), now + right_age)
            coming[1] = ("right", number, now + right_age)
        model.step(now, coming)
        before = len(bench.emitted)
        bench.give(left, right, now=now)
        # The context emits port by port, in order.
        emitted += [told(*one) for one in bench.emitted[before:]]
        assert len(bench.emitted) - before <= 2 * node.max_emit
    key = {"out": 0, "missing": 1}
    assert sorted(emitted, key=lambda one: key[one[0]]) == sorted(
        model.out, key=lambda one: key[one[0]]
    )


def told(port: str, header: object, payload: object) -> tuple[object, ...]:
    if port == "missing":
        return (port, int(payload[0]))
    if isinstance(payload, tuple):
        payload = np.concatenate(payload)
    assert payload[1] == -payload[2], "no row is written over before it is emitted"
    return (port, int(payload[0]), int(payload[1]))


def test_a_pair_has_the_header_of_a_join_and_what_is_missing_its_own() -> None:
    node = JoinByTime("5ns", "10ns")
    bench = Bench(node, left=spec("f32", 1), right=spec("f32", 2))
    left, right = bench.message(np.float32([1]), 8, 4), bench.message(np.float32([2, 3]), 6, 5)
    bench.give(None, right, now=8)
    bench.give(left, None, now=9)
    lonely = bench.message(np.float32([9]), 20, 13)
    bench.give(lonely, None, now=20)
    bench.give(None, None, now=29)
    bench.give(None, None, now=30)
    (first, pair, joined), (second, alone, kept) = bench.emitted
    assert (first, second) == ("out", "missing")
    assert (pair.sequence, pair.creation_tick, pair.origin_tick) == (left.header.sequence, 6, 4)
    assert joined.tolist() == [1, 2, 3]
    assert (alone, kept.tolist()) == (lonely.header, [9])


def test_objects_are_paired_as_tuples() -> None:
    node = JoinByTime("0ns", "1s", pair="tuple")
    bench = Bench(node, left=ObjectSpec(str), right=spec("f32"))
    value = np.float32(7).reshape(())
    bench.give(Message(bench.message(None, 3).header, "seven"), bench.message(value, 3))
    ((_, _, (word, number)),) = bench.emitted
    assert (word, float(number)) == ("seven", 7.0)
    assert not np.shares_memory(number, value)
    assert isinstance(bench.ports.outputs[1].spec, ObjectSpec)
    assert isinstance(bench.ports.inputs[1].spec, TensorSpec)
