"""Judging nodes at a decision point: who ends, what is flushed, who can be stepped."""

from __future__ import annotations

from collections.abc import Sequence

from limen.node import NodeKind
from limen.policy import Activation, InputState, Refusal, Watermark, inputs_ended, inputs_ready
from limen.runtime._context import NodeContext
from limen.runtime._journal import Journal
from limen.runtime._link import Link
from limen.scheduling import NodeSummary, Readiness
from limen.types import Ticks


class Judge:
    """Applies SEMANTICS 1.4 to the nodes of a run, and ends those that are to end.

    Args:
        contexts: All nodes, by index.
        journal: The run's.
    """

    def __init__(self, contexts: Sequence[NodeContext], journal: Journal) -> None:
        self._contexts = contexts
        self._journal = journal
        self.ended = [False] * len(contexts)
        # Sources that full outputs kept from stepping, until their next step.
        self.held_back = [False] * len(contexts)

    @property
    def all_ended(self) -> bool:
        """Whether the run is over."""
        return all(self.ended)

    def judge(self, context: NodeContext, *, timed: bool) -> tuple[bool, Readiness]:
        """Judge one node; whether that changed state, and whether it can be stepped.

        Args:
            context: The node.
            timed: Whether it is a source whose instant has come.
        """
        index = context.plan.index
        links = context.out_links
        changed = False
        if not self.ended[index] and _consumers_ended(links):
            self.end(context, "consumers_ended")
            changed = True
        for link in links:
            changed = link.flush() or changed
            changed = link.close_if_done() or changed
        if self.ended[index]:
            return changed, Readiness.NOT_READY
        if any(link.staged for link in links):
            self._hold_back(context, timed=timed)
            return changed, Readiness.NOT_READY
        for link in context.links:
            changed = link.purge() or changed
        states = [link.state for link in context.links]
        if inputs_ended(context.plan.activation, states):
            self.end(context, "end_of_stream")
            return True, Readiness.NOT_READY
        if not self._inputs_ready(context, states, timed=timed):
            return self._miss_period(context, states) or changed, Readiness.NOT_READY
        if not all(link.has_room for link in links):
            self._hold_back(context, timed=timed)
            return changed, Readiness.NOT_READY
        if any(link.watermark is not Watermark.BELOW_SOFT for link in links):
            return changed, Readiness.READY_UNDER_PRESSURE
        return changed, Readiness.READY

    def summarise(
        self, context: NodeContext, readiness: Readiness, due: Ticks | None = None
    ) -> NodeSummary:
        """Say what a scheduler may look at of a node that can be stepped.

        Args:
            context: The node.
            readiness: As judged.
            due: Its instant, if it is a timed source whose instant has come.
        """
        fronts = [link for link in context.flows if link.waiting]
        if context.plan.activation is Activation.ANY:
            fronts = context.ready_inputs()[:1]
        deadlines = [
            deadline for link in fronts if (deadline := link.front_deadline_ns()) is not None
        ]
        if context.plan.period_ticks is not None:
            end_of_next = context.period_due + context.plan.period_ticks
            deadlines.append(context.clock.ticks_to_nanos(end_of_next))
        joined = len(context.inputs) > 1 and context.plan.activation is not Activation.ANY
        return NodeSummary(
            index=context.plan.index,
            earliest_deadline_ns=min(deadlines, default=None),
            readiness=readiness,
            criticality=context.plan.criticality,
            sequence=fronts[0].consumer.header_at(0).sequence if fronts else context.made,
            items=len(fronts) if joined else sum(link.prefix for link in fronts) or 1,
            due_tick=due,
        )

    def end(self, context: NodeContext, reason: str) -> None:
        """End a node: what waits for it is given up, its outputs close once nothing is staged.

        Args:
            context: The node.
            reason: As the decision log names it.
        """
        index = context.plan.index
        if self.ended[index]:
            return
        self.ended[index] = True
        self._journal.note(context.plan.name, "end", -1, reason)
        stopped = reason == "stopped"
        rest = {"end_of_stream": "unpaired", "stopped": "stopped"}.get(reason, "consumer_ended")
        refusal = Refusal.STOPPED if stopped else Refusal.CONSUMER_ENDED
        for link in context.links:
            link.end(rest, refusal)
        for link in context.out_links:
            link.producer_ended = True
            link.close_if_done()

    def _inputs_ready(
        self, context: NodeContext, states: Sequence[InputState], *, timed: bool
    ) -> bool:
        if context.produced_nothing or context.asleep_until > self._journal.tick:
            return False
        if context.plan.kind is NodeKind.SOURCE:
            return timed or context.next_due() is None
        if context.plan.period_ticks is not None and not context.period_has_come:
            return False
        return inputs_ready(context.plan.activation, states)

    def _miss_period(self, context: NodeContext, states: Sequence[InputState]) -> bool:
        """Count a period that has come and lacks the value of a latch; whether one has."""
        resting = context.produced_nothing or context.asleep_until > self._journal.tick
        if resting or not context.period_has_come:
            return False
        if inputs_ready(context.plan.activation, states):
            return False
        context.use_period(missed=True)
        return True

    def _hold_back(self, context: NodeContext, *, timed: bool) -> None:
        """Remember a source that would step if there were room: its schedule may have to move."""
        if context.plan.kind is NodeKind.SOURCE and self._inputs_ready(context, (), timed=timed):
            self.held_back[context.plan.index] = True


def _consumers_ended(links: Sequence[Link]) -> bool:
    """Whether nobody is left to read what a node makes; feedback edges do not count."""
    forward = [link for link in links if not link.plan.is_feedback]
    return bool(forward) and all(link.consumer_ended for link in forward)
