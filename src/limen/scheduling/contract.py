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
    - SCHED-2: It chooses from one candidate as from many.
    - SCHED-3: It takes candidates of every kind: with and without deadlines, under pressure, of any
      class, sources that are due.
    - SCHED-4: It leaves the candidates and their order as they are.
    - SCHED-5: Equal calls after equal histories give equal choices.
    - SCHED-6: Summaries that are equal are the same to it, whichever objects they are.
    - SCHED-7: Where it judges all, the order of the candidates changes nothing.
    - SCHED-8: ``judges_all`` and ``ranks_timed`` stay what they are.
    - SCHED-9: Policies share no state.
    - SCHED-10: Nothing that a call allocates is kept.
    - SCHED-11: Where it goes by deadlines, the earliest comes first.
    - SCHED-12: Where it goes by deadlines, who has none comes last.
    - SCHED-13: Where it goes by classes, the most critical comes first.
    - SCHED-14: Where it goes by pressure, who has room comes before who has not.
    - SCHED-15: Where it ranks timed sources, the one that has been due longest comes first.

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
