"""The suite that every dequeue policy passes."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from limen.scheduling import DequeuePolicy, NodeSummary, Readiness
from limen.testing.contracts._contract import Contract, inapplicable, needs
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept
from limen.types import CriticalityClass, NodeIndex, Ticks

_CALLS = 500


class SchedulerContract(Contract):
    """Holds a dequeue policy to SCHED-1 … SCHED-15; write ``make``."""

    subjects = (DequeuePolicy,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "deadlines": "of nodes alike but for their deadlines, it takes the most urgent",
        "classes": "of nodes alike but for their class, it takes the most critical",
        "pressure": "of nodes alike but for their outputs, it takes the one with room",
        "timed sources": "it chooses among sources that are due, too",
    }

    @abc.abstractmethod
    def make(self) -> DequeuePolicy:
        """Return a new policy; called for every test."""

    def test_sched_1_the_choice_is_a_candidate(self) -> None:
        policy = self.make()
        for candidates in _groups():
            chosen = policy.select_next(candidates)
            assert any(chosen is candidate for candidate in candidates), (
                f"of {_names(candidates)} it chose {chosen}"
            )

    def test_sched_2_one_candidate_is_enough(self) -> None:
        policy = self.make()
        for candidate in _EVERY_KIND:
            chosen = policy.select_next([candidate])
            assert chosen == candidate, f"given {candidate} alone, it chose {chosen}"

    def test_sched_3_candidates_of_every_kind_are_taken(self) -> None:
        policy = self.make()
        for candidates in itertools.permutations(_EVERY_KIND, 3):
            try:
                policy.select_next(candidates)
            except Exception as error:
                raise AssertionError(f"of {_names(candidates)}: {error!r}") from error

    def test_sched_4_the_candidates_are_left_as_they_are(self) -> None:
        policy = self.make()
        for candidates in _groups():
            before = list(candidates)
            policy.select_next(candidates)
            assert candidates == before, f"{_names(before)} became {_names(candidates)}"

    def test_sched_5_equal_histories_give_equal_choices(self) -> None:
        first, second = self.make(), self.make()
        for number, candidates in enumerate(_groups()):
            one, other = first.select_next(candidates), second.select_next(candidates)
            assert one == other, (
                f"call {number} of {_names(candidates)}: one policy chose {one.index}, "
                f"one with the same calls behind it {other.index}"
            )

    def test_sched_6_equal_summaries_are_the_same(self) -> None:
        first, second = self.make(), self.make()
        for candidates in _groups():
            # Copied backwards, so that the order of addresses is another one.
            copies = [replace(candidate) for candidate in reversed(candidates)][::-1]
            one, other = first.select_next(candidates), second.select_next(copies)
            assert one == other, f"of {_names(candidates)} {one.index}, of copies {other.index}"

    def test_sched_7_the_order_of_the_candidates_changes_nothing(self) -> None:
        if not self.make().judges_all:
            inapplicable("it is given candidates in turn")
        for candidates in _groups():
            chosen = {
                self.make().select_next(order).index for order in itertools.permutations(candidates)
            }
            assert len(chosen) == 1, (
                f"of {_names(candidates)}, in every order, it chose {sorted(chosen)}"
            )

    def test_sched_8_what_it_states_stays(self) -> None:
        policy = self.make()
        before = policy.judges_all, policy.ranks_timed
        for candidates in _groups():
            policy.select_next(candidates)
        after = policy.judges_all, policy.ranks_timed
        assert after == before, f"judges_all and ranks_timed were {before}, and are {after}"
        assert all(isinstance(value, bool) for value in before), (
            f"judges_all and ranks_timed are {before}, not truth values"
        )

    def test_sched_9_policies_share_no_state(self) -> None:
        alone = self.make()
        choices = [alone.select_next(group).index for group in _groups()]
        policy, other = self.make(), self.make()
        between = []
        for group in _groups():
            other.select_next(_EVERY_KIND)
            between.append(policy.select_next(group).index)
        assert between == choices, (
            f"alone it chose {choices}, with another policy at work {between}"
        )

    def test_sched_10_nothing_is_kept_of_a_call(self) -> None:
        policy = self.make()
        numbers = itertools.count()

        def calls() -> None:
            for _ in range(_CALLS):
                sequence = 10_000 + next(numbers)
                policy.select_next([_node(0, sequence=sequence), _node(1, sequence=sequence + 1)])

        kept = bytes_kept(calls)
        assert kept < SLACK_BYTES, f"{_CALLS} calls kept {kept} B"

    @needs("deadlines")
    def test_sched_11_the_earliest_deadline_comes_first(self) -> None:
        candidates = [_node(0, deadline_ns=30), _node(1, deadline_ns=10), _node(2, deadline_ns=20)]
        self._prefers(candidates, 1, "deadlines 30, 10 and 20 ns")

    @needs("deadlines")
    def test_sched_12_no_deadline_comes_last(self) -> None:
        candidates = [_node(0), _node(1, deadline_ns=10**18), _node(2)]
        self._prefers(candidates, 1, "a deadline far off and none")

    @needs("classes")
    def test_sched_13_the_most_critical_comes_first(self) -> None:
        candidates = [
            _node(0, criticality=CriticalityClass.BEST_EFFORT, deadline_ns=1),
            _node(1, criticality=CriticalityClass.SAFETY_CRITICAL),
            _node(2, criticality=CriticalityClass.OPERATIONAL, deadline_ns=1),
        ]
        self._prefers(candidates, 1, "best effort, safety critical, operational")

    @needs("pressure")
    def test_sched_14_who_has_room_comes_first(self) -> None:
        candidates = [
            _node(0, readiness=Readiness.READY_UNDER_PRESSURE),
            _node(1),
            _node(2, readiness=Readiness.READY_UNDER_PRESSURE),
        ]
        self._prefers(candidates, 1, "under pressure, ready, under pressure")

    @needs("timed sources")
    def test_sched_15_who_has_been_due_longest_comes_first(self) -> None:
        candidates = [_node(0, due=20), _node(1, due=10), _node(2, due=30)]
        self._prefers(candidates, 1, "due at 20, 10 and 30")

    def _prefers(self, candidates: list[NodeSummary], index: int, what: str) -> None:
        chosen = self.make().select_next(candidates).index
        assert chosen == index, f"of nodes with {what} it chose node {chosen}, not {index}"


def _node(
    index: int,
    *,
    deadline_ns: int | None = None,
    readiness: Readiness = Readiness.READY,
    criticality: CriticalityClass = CriticalityClass.OPERATIONAL,
    sequence: int = 300,
    items: int = 1,
    due: int | None = None,
) -> NodeSummary:
    return NodeSummary(
        NodeIndex(index),
        deadline_ns,
        readiness,
        criticality,
        sequence,
        items,
        None if due is None else Ticks(due),
    )


_EVERY_KIND = (
    _node(0),
    _node(1, deadline_ns=5_000),
    _node(2, readiness=Readiness.READY_UNDER_PRESSURE, items=7),
    _node(3, criticality=CriticalityClass.SAFETY_CRITICAL, sequence=0),
    _node(4, criticality=CriticalityClass.BEST_EFFORT, deadline_ns=-1),
    _node(5, due=0),
    _node(6, due=900, criticality=CriticalityClass.SAFETY_CRITICAL),
)


def _groups() -> Iterable[list[NodeSummary]]:
    """Yield candidates as they come in a run: other ones each time, their numbers rising."""
    for number, picked in enumerate(itertools.combinations(_EVERY_KIND, 3)):
        yield [replace(node, sequence=node.sequence + number) for node in picked]


def _names(candidates: Sequence[object]) -> str:
    indices = [c.index if isinstance(c, NodeSummary) else c for c in candidates]
    return f"nodes {indices}"
