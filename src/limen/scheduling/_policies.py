"""Round robin, earliest deadline first, most work first, most critical first."""

from __future__ import annotations

from collections.abc import Sequence

from limen.errors import Code, SchedulerError
from limen.scheduling.contract import DequeuePolicy, NodeSummary


class RoundRobin(DequeuePolicy):
    """Takes nodes in turn: the first candidate after the one stepped last."""

    judges_all = False

    def select_next(self, candidates: Sequence[NodeSummary]) -> NodeSummary:
        """Return the only candidate; the runtime judged in turn."""
        return candidates[0]


class EdfPolicy(DequeuePolicy):
    """Earliest deadline first: key (deadline, sequence, index); no deadline sorts last."""

    def select_next(self, candidates: Sequence[NodeSummary]) -> NodeSummary:
        """Return the candidate whose message is due first."""
        return min(candidates, key=_edf_key)


class ThroughputPolicy(DequeuePolicy):
    """Most work first: who is not under pressure, then most messages to take, then the index."""

    def select_next(self, candidates: Sequence[NodeSummary]) -> NodeSummary:
        """Return the candidate that gets most done."""
        return min(candidates, key=lambda node: (-node.readiness, -node.items, node.index))


class CriticalityPolicy(DequeuePolicy):
    """Most critical first; within a class due sources, then who is not under pressure, then EDF."""

    ranks_timed = True

    def select_next(self, candidates: Sequence[NodeSummary]) -> NodeSummary:
        """Return the candidate that matters most."""
        return min(candidates, key=_criticality_key)


def _criticality_key(node: NodeSummary) -> tuple[int, ...]:
    if node.due_tick is not None:
        return (-node.criticality, 0, node.due_tick, node.index)
    return (-node.criticality, 1, -node.readiness, *_edf_key(node))


def _edf_key(node: NodeSummary) -> tuple[bool, int, int, int]:
    deadline_ns = node.earliest_deadline_ns
    return (deadline_ns is None, deadline_ns or 0, node.sequence, node.index)


def make_policy(name: str) -> DequeuePolicy:
    """Return the policy that a graph names.

    Raises:
        SchedulerError: There is none of that name.
    """
    match name:
        case "round_robin":
            return RoundRobin()
        case "edf":
            return EdfPolicy()
        case "throughput":
            return ThroughputPolicy()
        case "criticality":
            return CriticalityPolicy()
        case _:
            raise SchedulerError(f"unknown scheduler {name!r}", code=Code.SCHEDULER_FAILED)
