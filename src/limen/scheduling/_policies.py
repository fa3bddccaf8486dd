"""Round robin and earliest deadline first."""

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
        case _:
            raise SchedulerError(f"unknown scheduler {name!r}", code=Code.SCHEDULER_FAILED)
