"""Every dequeue policy of ours under the kit, and the kit under some that break one clause each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest

from limen.scheduling import (
    CriticalityPolicy,
    DequeuePolicy,
    EdfPolicy,
    NodeSummary,
    RoundRobin,
    ThroughputPolicy,
)
from limen.testing import SchedulerContract
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched

_LACKS: Mapping[str, str] = {
    "deadlines": "it does not look at them",
    "classes": "it does not look at them",
    "pressure": "it does not look at it",
    "timed sources": "the runtime steps them first",
}


def without(*capabilities: str) -> dict[str, str]:
    """Return what a policy lacks that has some capabilities."""
    return {name: reason for name, reason in _LACKS.items() if name not in capabilities}


class RoundRobinSuite(SchedulerContract):
    lacks = _LACKS

    def make(self) -> DequeuePolicy:
        return RoundRobin()


class EdfSuite(SchedulerContract):
    lacks: ClassVar[Mapping[str, str]] = without("deadlines")

    def make(self) -> DequeuePolicy:
        return EdfPolicy()


class ThroughputSuite(SchedulerContract):
    lacks: ClassVar[Mapping[str, str]] = without("pressure")

    def make(self) -> DequeuePolicy:
        return ThroughputPolicy()


class CriticalitySuite(SchedulerContract):
    def make(self) -> DequeuePolicy:
        return CriticalityPolicy()


_SUITES = (RoundRobinSuite, EdfSuite, ThroughputSuite, CriticalitySuite)


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[SchedulerContract]) -> None:
    assert_holds(suite)


Candidates = Sequence[NodeSummary]


class Copies(EdfPolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return replace(super().select_next(candidates))


class NeedsTwo(EdfPolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        if len(candidates) == 1:
            return replace(candidates[0], sequence=-1)
        return super().select_next(candidates)


class RefusesSources(RoundRobin):
    """Cannot do with two sources ahead of another node."""

    def select_next(self, candidates: Candidates) -> NodeSummary:
        if [node.due_tick is None for node in candidates] == [False, False, True]:
            raise KeyError("due_tick")
        return super().select_next(candidates)


class Sorts(EdfPolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        chosen = super().select_next(candidates)
        if isinstance(candidates, list):
            candidates.sort(key=lambda node: -node.index)
        return chosen


def alternating() -> Callable[[], DequeuePolicy]:
    """Make policies of which the sixth is another one: the second of SCHED-5."""
    made: list[DequeuePolicy] = []

    def make() -> DequeuePolicy:
        made.append(Reversed() if len(made) == 5 else EdfPolicy())
        return made[-1]

    return make


class Reversed(DequeuePolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return max(candidates, key=lambda node: node.index)


class ByAddress(RoundRobin):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return min(candidates, key=id)


class TakesTheFirst(DequeuePolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return candidates[0]


class ChangesItsMind(EdfPolicy):
    calls = 0

    def select_next(self, candidates: Candidates) -> NodeSummary:
        self.calls += 1
        self.ranks_timed = self.calls > 20
        return super().select_next(candidates)


class Shares(DequeuePolicy):
    """Takes turns with all others of its kind."""

    last: ClassVar[list[object]] = []

    def select_next(self, candidates: Candidates) -> NodeSummary:
        mine = not self.last or self.last[-1] is self
        self.last[:] = [self]
        return (min if mine else max)(candidates, key=lambda node: node.index)


class Remembers(EdfPolicy):
    def __init__(self) -> None:
        self._past: list[NodeSummary] = []

    def select_next(self, candidates: Candidates) -> NodeSummary:
        self._past.append(super().select_next(candidates))
        return self._past[-1]


class LatestFirst(DequeuePolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return min(
            candidates,
            key=lambda n: (n.earliest_deadline_ns is None, -(n.earliest_deadline_ns or 0), n.index),
        )


class NoneFirst(DequeuePolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return min(candidates, key=lambda n: (n.earliest_deadline_ns or 0, n.index))


class ByDeadlineAlone(CriticalityPolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        if any(node.earliest_deadline_ns == 1 for node in candidates):
            return EdfPolicy().select_next(candidates)
        return super().select_next(candidates)


class SeeksPressure(DequeuePolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        return min(candidates, key=lambda n: (n.readiness, n.index))


class LatestDue(CriticalityPolicy):
    def select_next(self, candidates: Candidates) -> NodeSummary:
        if all(node.due_tick is not None for node in candidates):
            return max(candidates, key=lambda n: (n.criticality, n.due_tick or 0, n.index))
        return super().select_next(candidates)


_SABOTEURS: dict[str, tuple[type[SchedulerContract], Callable[[], DequeuePolicy], str]] = {
    "SCHED-1": (EdfSuite, Copies, "it chose NodeSummary("),
    "SCHED-2": (EdfSuite, NeedsTwo, "alone, it chose NodeSummary("),
    "SCHED-3": (RoundRobinSuite, RefusesSources, "KeyError('due_tick')"),
    "SCHED-4": (EdfSuite, Sorts, "nodes [0, 1, 2] became nodes [2, 1, 0]"),
    "SCHED-5": (EdfSuite, alternating(), "one with the same calls behind it"),
    "SCHED-6": (RoundRobinSuite, ByAddress, "of copies"),
    "SCHED-7": (RoundRobinSuite, TakesTheFirst, "in every order, it chose [0, 1, 2]"),
    "SCHED-8": (EdfSuite, ChangesItsMind, "were (True, False), and are (True, True)"),
    "SCHED-9": (RoundRobinSuite, Shares, "with another policy at work"),
    "SCHED-10": (EdfSuite, Remembers, "500 calls kept"),
    "SCHED-11": (EdfSuite, LatestFirst, "chose node 0, not 1"),
    "SCHED-12": (EdfSuite, NoneFirst, "chose node 0, not 1"),
    "SCHED-13": (CriticalitySuite, ByDeadlineAlone, "chose node 0, not 1"),
    "SCHED-14": (ThroughputSuite, SeeksPressure, "chose node 0, not 1"),
    "SCHED-15": (CriticalitySuite, LatestDue, "chose node 2, not 1"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    suite, make, seen = _SABOTEURS[clause]
    assert_caught(suite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(SchedulerContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(SchedulerContract)
