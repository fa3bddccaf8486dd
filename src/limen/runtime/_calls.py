"""One call into a node, or what takes its place: form, sample, budget, results, lateness."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

from limen.message import MessageFlags, MessageHeader
from limen.node import Node, NodeKind, StepResult, YieldUntil
from limen.runtime._budget import Form
from limen.runtime._link import Held, Link
from limen.runtime._state import FailedCallError, NodeState
from limen.scheduling import DegradePlan, MessagePlan


class NodeCalls(NodeState, abc.ABC):
    """How a node is called; its step context takes the input and says what to call with it."""

    @abc.abstractmethod
    def _ask_variant(
        self, variant: Node, given: tuple[object, ...]
    ) -> tuple[object, StepResult | YieldUntil]:
        """Have the variant handle what was taken; its answer, and what its step came to."""

    def _perform(
        self,
        process: Callable[..., object],
        given: tuple[object, ...],
        header: MessageHeader,
        presented: Sequence[tuple[Link, Held]],
        beside: Sequence[tuple[Link, Held]] = (),
    ) -> str | None:
        """Call, sample, push; or do what takes the place of that.

        Args:
            process: What the node handed over.
            given: Its arguments.
            header: Of the result.
            presented: What it is given that was never presented before.
            beside: What else it is given: overlap of a window, values of latches, feedback.

        Returns:
            The reason if the input counts as dropped.

        Raises:
            FailedCallError: The call failed, and has been accounted for.
        """
        form = self._choose_form(header.sequence, presented, beside)
        if form not in (Form.FULL, Form.VARIANT):
            if form is Form.DISCARD:
                return "infeasible"
            self._replace(form, header, presented)
            return None
        result, instead = self._call(process, given, header, form)
        dropped = None
        if instead is None:
            dropped = self._settle_or_fail(result, self._degraded(header, form), header)
        else:
            self.pushed = None
            self._replace(instead, header, presented)
        self._note_result(header, presented, used=dropped is None)
        return dropped

    def _choose_form(
        self,
        sequence: int,
        presented: Sequence[tuple[Link, Held]],
        beside: Sequence[tuple[Link, Held]] = (),
    ) -> Form:
        """Say whether to call, and what; most nodes are called whatever comes."""
        if not self.budget.acts:
            return Form.FULL
        late = [held for link, held in presented if link.is_infeasible(held)]
        allowed = all(
            not link.into.needs_degrade_allowed
            or held.header.flags.contains(MessageFlags.DEGRADE_ALLOWED)
            for link, held in (*presented, *beside)
        )
        number = late[0].header.sequence if late else sequence
        results = len(presented) if self.plan.kind is NodeKind.MODEL else 1
        return self.budget.choose(number, infeasible=len(late), allowed=allowed, results=results)

    def _call(
        self,
        process: Callable[..., object],
        given: tuple[object, ...],
        header: MessageHeader,
        form: Form,
        results: int = 1,
    ) -> tuple[object, Form | None]:
        """Call the node or its variant and sample; its result, and what takes its place."""
        begun, sequence = self._journal.tick, header.sequence
        node, cost = self.plan.node, self.plan.sim_cost_ticks
        action = self.plan.budget.action
        self.pushed = []
        try:
            if form is Form.VARIANT and isinstance(action, DegradePlan):
                node, cost = action.variant, action.sim_cost_ticks
                result, came_to = self._ask_variant(node, given)
                if came_to is not StepResult.MADE_PROGRESS:
                    self.variant_came_to = came_to
            else:
                result = process(*given)
        except Exception as error:
            self.pushed = None
            self._after_call(begun, cost)
            elapsed = self._journal.tick - begun
            self.budget.after_call(node, form, sequence, elapsed, results=0)
            self._fail(error, header)
            raise FailedCallError from error
        self._after_call(begun, cost)
        elapsed = self._journal.tick - begun
        return result, self.budget.after_call(node, form, sequence, elapsed, results=results)

    def _replace(
        self, form: Form, header: MessageHeader, presented: Sequence[tuple[Link, Held]]
    ) -> None:
        """Emit what takes the place of one result; a discarded one leaves nothing."""
        if presented:
            self._emit_instead(form, *presented[0], header)
        elif form is Form.DEFAULT:
            self._emit_default(header)

    def _emit_instead(self, form: Form, link: Link, held: Held, header: MessageHeader) -> None:
        if form is Form.DEFAULT:
            self._emit_default(header)
        elif form is Form.FORWARD:
            with link.manager.read(held.token) as message:
                self.outputs[0].emit(header, message.payload)

    def _emit_default(self, header: MessageHeader) -> None:
        action = self.plan.budget.action
        if isinstance(action, MessagePlan):
            self._journal.note(self.plan.name, "default", header.sequence)
            self._emit_declared(action, header)

    def _degraded(self, header: MessageHeader, form: Form) -> MessageHeader:
        if form is Form.FULL:
            return header
        return header.with_flags(header.flags | MessageFlags.DEGRADED)
