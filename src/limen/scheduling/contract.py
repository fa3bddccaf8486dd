"""The contract of a dequeue policy."""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from limen.types import CriticalityClass, NodeIndex, Ticks


class Readiness(enum.IntEnum):
    """Whether a node can be stepped; under pressure, an output is past its soft mark."""

    NOT_READY = 0
    READY_UNDER_PRESSURE = 1
    READY = 2


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """What a policy sees of a candidate.

    Attributes:
        index: The node.
        earliest_deadline_ns: Effective deadline of the message it would take; None if it has none.
        readiness: READY or READY_UNDER_PRESSURE.
        criticality: The node's class.
        sequence: Number of the message it would take; of a source, how many it has made.
        items: Messages that it would take; of a source, one.
        due_tick: Of a timed source whose instant has come, that instant; None for all others.
    """

    index: NodeIndex
    earliest_deadline_ns: int | None
    readiness: Readiness
    criticality: CriticalityClass
    sequence: int
    items: int = 1
    due_tick: Ticks | None = None


class DequeuePolicy(abc.ABC):
    """Chooses among ready nodes; deterministic and without state beyond its own last choice.

    - SCHED-1: ``select_next`` returns one of the candidates it was given.
    - SCHED-2: Equal calls after equal histories give equal choices.
    - SCHED-3: Round robin chooses every candidate that stays ready within one turn.

    Attributes:
        judges_all: Whether the runtime must judge every node first; otherwise the first candidate
            after the last stepped node is the choice.
        ranks_timed: Whether timed sources that are due are candidates among the others; otherwise
            the runtime steps them before anything else.
    """

    judges_all: bool = True
    ranks_timed: bool = False

    @abc.abstractmethod
    def select_next(self, candidates: Sequence[NodeSummary]) -> NodeSummary:
        """Return the candidate to step; there is at least one."""
