"""What a failed call does to its node: halt, quiesce, failsafe, restart, or nothing more."""

from __future__ import annotations

from collections import deque

from limen.message import MessageHeader
from limen.policy import ErrorAction, backoff_ticks
from limen.runtime._counters import NodeCounters
from limen.runtime._journal import Journal
from limen.scheduling import MessagePlan, NodePlan, RestartPlan
from limen.telemetry import ViolationKind
from limen.types import Ticks


class FailureKeeper:
    """Decides and logs what failures of one node lead to; its context carries it out.

    Args:
        plan: The node.
        counters: The node's.
        journal: The run's.

    Attributes:
        halted: Whether the graph is to halt.
        quiesced: Whether the node is to end.
        restarting: Whether it is to be restarted once the step has settled what it lost.
    """

    def __init__(self, plan: NodePlan, counters: NodeCounters, journal: Journal) -> None:
        self._plan = plan
        self._counters = counters
        self._journal = journal
        self.halted = False
        self.quiesced = False
        self.restarting = False
        self._restarts: deque[Ticks] = deque()

    @property
    def breaks_off(self) -> bool:
        """Whether the rest of a per-item batch is not called any more."""
        return self.halted or self.quiesced or self.restarting

    @property
    def rest_reason(self) -> str:
        """Why the rest of a batch that was broken off is dropped."""
        return "error" if self.restarting else "consumer_ended"

    def fail(self, error: Exception, header: MessageHeader | None, where: str) -> None:
        """Count a failed call, keep it in words, and decide what it leads to."""
        self._counters.fail(error, where)
        action = self._plan.error_action
        match self._plan.on_error:
            case ErrorAction.HALT_GRAPH:
                self.halted = True
            case ErrorAction.QUIESCE:
                self._quiesce()
            case RestartPlan() as plan:
                if self._within(plan) < plan.max:
                    self.restarting = True
                else:
                    self.halted = True
                    action = ErrorAction.HALT_GRAPH.value
            case _:
                pass
        self._journal.note(
            self._plan.name, "error", -1 if header is None else header.sequence, action
        )

    def failsafe(self) -> MessagePlan | None:
        """Return the message to emit for a failed call, if one is declared."""
        plan = self._plan.on_error
        if not isinstance(plan, MessagePlan):
            return None
        self._violated(ViolationKind.FAILSAFE)
        if plan.quiesce:
            self._quiesce()
        return plan

    def restart(self) -> Ticks:
        """Restart the node until that succeeds or it has happened too often; when it may step."""
        self.restarting = False
        plan = self._plan.on_error
        now = self._journal.tick
        while isinstance(plan, RestartPlan) and not self.halted:
            count = self._within(plan) + 1
            if count > plan.max:
                self.halted = True
                self._journal.note(self._plan.name, "error", -1, ErrorAction.HALT_GRAPH.value)
                break
            self._restarts.append(now)
            self._counters.restarts += 1
            self._journal.note(self._plan.name, "restart", count)
            self._violated(ViolationKind.RESTART)
            try:
                for part in self._plan.parts:
                    part.stop()
                    part.reset()
                    part.initialize(self._journal.clock, self._plan.ports)
                    part.start(now)
            except Exception as error:
                self._counters.fail(error, f"restart {count}")
                continue
            return Ticks(now + backoff_ticks(plan.backoff_ticks, count))
        return now

    def _within(self, plan: RestartPlan) -> int:
        """Return the restarts that still count."""
        while self._restarts and self._journal.tick - self._restarts[0] > plan.per_ticks:
            self._restarts.popleft()
        return len(self._restarts)

    def _quiesce(self) -> None:
        self.quiesced = True
        self._violated(ViolationKind.QUIESCED)

    def _violated(self, kind: ViolationKind) -> None:
        self._journal.violated(kind, self._plan.name)
