"""Batching over small domains: the prefix, its closing, and the instant at which time closes it.

The oracle tries every window there could be (SPEC 5, "Prefix taken"; SEMANTICS 5); it knows
creations, pushes and limits, and nothing of how the code under test walks them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from limen.policy import BatchingTicks, Prefix, batch_ready, closing_tick, measure

_DELTAS = (None, 1, 2, 3)


class Input(NamedTuple):
    """What is there: creation and push of each item, held ones first."""

    held: int
    creations: tuple[int, ...]
    pushes: tuple[int, ...]

    @property
    def waiting(self) -> int:
        return len(self.creations) - self.held

    def creation_tick(self, index: int) -> int:
        assert 0 <= index < len(self.creations), "a look past what is there"
        return self.creations[index]

    def push_tick(self, index: int) -> int:
        assert 0 <= index < len(self.pushes), "a look past what is there"
        return self.pushes[index]


def windows(batching: BatchingTicks, there: Input) -> Iterator[tuple[int, int]]:
    """Every (released, length) that may be presented.

    Held items leave from the oldest on, new ones never leave unpresented; a window starts with
    what remains, holds at most n items and at least one new one, none made more than Δt after the
    oldest of them.
    """
    for released in range(there.held + 1):
        window = there.creations[released:]
        for length in range(1, min(batching.max_items, len(window)) + 1):
            span = max(window[:length]) - window[0]
            if released + length > there.held and (
                batching.delta_ticks is None or span <= batching.delta_ticks
            ):
                yield released, length


def prefix(batching: BatchingTicks, there: Input) -> tuple[int, int]:
    """Release as little as there must be released, then present as much as there can be."""
    found = list(windows(batching, there))
    if not found:
        return 0, 0
    fewest = min(released for released, _ in found)
    return fewest, max(length for released, length in found if released == fewest)


def closes_by_a_later_item(batching: BatchingTicks, there: Input) -> bool:
    """Whether the item behind the prefix lies beyond Δt of the oldest member."""
    released, length = prefix(batching, there)
    behind = there.creations[released + length :][:1]
    return (
        batching.delta_ticks is not None
        and bool(behind)
        and behind[0] > there.creations[released] + batching.delta_ticks
    )


def closes_at(batching: BatchingTicks, there: Input) -> int | None:
    """The push of the first, the oldest member, and Δt."""
    released, length = prefix(batching, there)
    if batching.delta_ticks is None or not length:
        return None
    return there.pushes[released] + batching.delta_ticks


def is_ready(
    batching: BatchingTicks, there: Input, now: int, *, ended: bool, cannot_grow: bool
) -> bool:
    """The sentence of SPEC 5, clause by clause."""
    length = prefix(batching, there)[1]
    if length == 0:
        return False
    due = closes_at(batching, there)
    return (
        length == batching.max_items
        or closes_by_a_later_item(batching, there)
        or (due is not None and now >= due)
        or cannot_grow
        or ended
    )


def batchings() -> Iterator[BatchingTicks]:
    for most in range(1, 5):
        for delta in _DELTAS:
            for stride in range(1, most + 1):
                yield BatchingTicks(most, delta, stride)


def inputs(batching: BatchingTicks, most_waiting: int) -> Iterator[Input]:
    """All inputs that a step can leave behind: a hold of less than a window, then a ring.

    Creations come from a small domain, in any order; pushes rise.
    """
    for held in range(batching.max_items):
        for waiting in range(min(most_waiting, 5 - held) + 1):
            count = held + waiting
            domain = (0, 2, 3, 5) if count < 4 else (0, 2, 5)
            for creations in itertools.product(domain, repeat=count):
                yield Input(held, creations, tuple(range(10, 10 + 2 * count, 2)))


@pytest.mark.parametrize("batching", list(batchings()), ids=str)
def test_every_small_prefix_is_the_longest_within_both_limits(batching: BatchingTicks) -> None:
    for there in inputs(batching, 4 if batching.stride == 1 else 3):
        assert measure(batching, there) == prefix(batching, there), there


def flags() -> Iterator[dict[str, bool]]:
    for ended, cannot_grow in itertools.product((False, True), repeat=2):
        yield {"ended": ended, "cannot_grow": cannot_grow}


@pytest.mark.parametrize("batching", list(batchings()), ids=str)
def test_every_small_window_is_ready_as_the_sentence_says(batching: BatchingTicks) -> None:
    seen = set()
    for there in inputs(batching, 3 if batching.stride == 1 else 2):
        due = closes_at(batching, there)
        for now in (0, 30) if due is None else (due - 1, due, due + 1):
            for flag in flags():
                wanted = is_ready(batching, there, now, **flag)
                assert batch_ready(batching, there, now, **flag) is wanted, (there, now, flag)
                seen.add(wanted)
    assert seen == {False, True}


@pytest.mark.parametrize("batching", list(batchings()), ids=str)
def test_a_window_that_fills_closes_when_the_push_of_its_oldest_and_delta_t_are_reached(
    batching: BatchingTicks,
) -> None:
    for there in inputs(batching, 2):
        if is_ready(batching, there, 0, ended=False, cannot_grow=False):
            continue  # closed already: there is nothing to wait for
        assert closing_tick(batching, there) == closes_at(batching, there), there


@pytest.mark.parametrize("batching", list(batchings()), ids=str)
def test_the_closing_tick_is_the_first_instant_at_which_time_alone_makes_it_ready(
    batching: BatchingTicks,
) -> None:
    idle = {"ended": False, "cannot_grow": False}
    for there in inputs(batching, 2):
        if batch_ready(batching, there, 0, **idle):
            continue
        due = closing_tick(batching, there)
        if due is None:
            assert not batch_ready(batching, there, 10**9, **idle), there
        else:
            assert not batch_ready(batching, there, due - 1, **idle), there
            assert batch_ready(batching, there, due, **idle), there


@pytest.mark.parametrize("batching", list(batchings()), ids=str)
def test_nothing_new_is_never_ready_and_never_due(batching: BatchingTicks) -> None:
    for held in range(batching.max_items):
        there = Input(held, (0,) * held, (0,) * held)
        assert measure(batching, there) == (0, 0)
        assert closing_tick(batching, there) is None
        for flag in flags():
            assert not batch_ready(batching, there, 10**9, **flag)


def made(held: int, *creations: int) -> Input:
    return Input(held, creations, tuple(100 + c for c in creations))


@pytest.mark.parametrize(
    ("batching", "found", "wanted"),
    [
        (BatchingTicks(3, None, 3), made(0, 0, 50, 99, 99), (0, 3)),
        (BatchingTicks(3, 5, 3), made(0, 0, 5, 6), (0, 2)),
        (BatchingTicks(3, 5, 3), made(0, 9, 0, 14), (0, 3)),
        (BatchingTicks(3, 5, 3), made(0, 0, 9, 1), (0, 1)),
        (BatchingTicks(3, None, 1), made(2, 0, 1, 2, 3), (0, 3)),
        (BatchingTicks(3, 5, 1), made(2, 0, 4, 9), (1, 2)),
        (BatchingTicks(3, 5, 1), made(2, 0, 4, 5), (0, 3)),
        (BatchingTicks(3, 5, 1), made(2, 0, 4, 50, 51), (2, 2)),
        (BatchingTicks(3, 5, 1), made(2, 0, 4), (0, 0)),
        (BatchingTicks(4, 5, 1), made(3, 0, 9, 3, 5), (1, 3)),
    ],
    ids=[
        "by count alone",
        "exactly delta t is within",
        "older than the first is within",
        "what is behind an item beyond is not reached",
        "overlap and new",
        "overlap too old for the new one leaves",
        "overlap within stays",
        "all the overlap leaves",
        "overlap alone is no window",
        "overlap leaves while one member is beyond the oldest",
    ],
)
def test_the_prefix_by_example(
    batching: BatchingTicks, found: Input, wanted: tuple[int, int]
) -> None:
    assert measure(batching, found) == Prefix(*wanted)


def test_the_oldest_member_of_a_sliding_window_closes_it_not_the_newest() -> None:
    batching = BatchingTicks(4, 10, 1)
    assert closing_tick(batching, made(2, 0, 4, 8)) == 110
    assert closing_tick(batching, made(2, 0, 4, 12)) == 114
