"""Which form of a call is made, and what takes the place of its result."""

from __future__ import annotations

import enum
import logging
from typing import assert_never

from limen.node import Node
from limen.policy import (
    DegradeState,
    OverBudgetAction,
    Switch,
    after_full,
    after_infeasible,
    after_variant,
    full_form,
)
from limen.runtime._counters import NodeCounters, describe_error
from limen.runtime._journal import Journal
from limen.scheduling import DegradePlan, MessagePlan, NodePlan
from limen.telemetry import ViolationKind

_log = logging.getLogger("limen")


class Form(enum.Enum):
    """What a step does with what it presents: a call in full or of the variant, or neither."""

    FULL = "full"
    VARIANT = "variant"
    DISCARD = "discard"
    FORWARD = "forward"
    DEFAULT = "default"


_KINDS = {
    Form.DISCARD: ViolationKind.DISCARDED,
    Form.FORWARD: ViolationKind.FORWARDED,
    Form.DEFAULT: ViolationKind.DEFAULTED,
}


class BudgetKeeper:
    """Holds the calls of one node to its budget; SEMANTICS 10 is the procedure.

    Args:
        plan: The node.
        counters: The node's.
        journal: The run's.
    """

    def __init__(self, plan: NodePlan, counters: NodeCounters, journal: Journal) -> None:
        self._plan = plan
        self._budget = plan.budget
        self._counters = counters
        self._journal = journal
        self._degrade = plan.budget.action if isinstance(plan.budget.action, DegradePlan) else None
        self._state = DegradeState(False, 0, 0, 0)
        if self._degrade is not None:
            self._state = full_form(self._degrade.rule)
        self._counts = True

    @property
    def acts(self) -> bool:
        """Whether anything ever takes the place of a call or its result."""
        return self._budget.action is not None

    def choose(self, sequence: int, *, infeasible: int, allowed: bool, results: int = 1) -> Form:
        """Say what is to be done with what a step presents.

        Args:
            sequence: Of what is infeasible, else of what is presented.
            infeasible: How much of it, never presented before, is.
            allowed: Whether all of it may be handled by the variant.
            results: How many results the call would give.
        """
        if infeasible:
            self._journal.note(self._plan.name, "budget", sequence, "infeasible")
            self._violated(ViolationKind.INFEASIBLE, sequence, times=infeasible)
        match self._budget.action:
            case OverBudgetAction.DROP if infeasible:
                return self._replaced(Form.DISCARD, sequence, results)
            case OverBudgetAction.SKIP_STAGE if infeasible:
                return self._replaced(Form.FORWARD, sequence, results)
            case MessagePlan() if infeasible:
                return self._replaced(Form.DEFAULT, sequence, results)
            case DegradePlan() as plan:
                return self._degraded(plan, sequence, infeasible=infeasible > 0, allowed=allowed)
            case _:
                return Form.FULL

    def after_call(
        self, node: Node, form: Form, sequence: int, elapsed_ticks: int, *, results: int
    ) -> Form | None:
        """Measure a call; what takes the place of its result, None if nothing does.

        Args:
            node: What was called.
            form: FULL or VARIANT.
            sequence: Of what it was given.
            elapsed_ticks: How long it took.
            results: How many results it gave; 0 for a failed call.
        """
        budget = self._budget
        overran = budget.tick_budget is not None and elapsed_ticks > budget.tick_budget
        elapsed_ns = self._journal.clock.ticks_to_nanos(elapsed_ticks)
        if overran:
            self._counters.overruns += 1
            self._journal.note(self._plan.name, "budget", sequence, "overrun")
            self._violated(ViolationKind.OVERRUN, sequence, elapsed_ns)
        if budget.watchdog is not None and elapsed_ticks > budget.watchdog:
            self._counters.watchdogs += 1
            self._journal.note(self._plan.name, "budget", sequence, "watchdog")
            self._violated(ViolationKind.WATCHDOG, sequence, elapsed_ns)
            self._tell(node)
        if self._degrade is not None:
            self._note_form(self._degrade, form, sequence, overran=overran)
        if not overran or not results:
            return None
        match budget.action:
            case OverBudgetAction.DROP:
                return self._replaced(Form.DISCARD, sequence, results)
            case OverBudgetAction.SKIP_STAGE:
                return self._replaced(Form.FORWARD, sequence, results)
            case MessagePlan():
                return self._replaced(Form.DEFAULT, sequence, results)
            case DegradePlan() | None:
                return None
            case unreachable:
                assert_never(unreachable)

    def _degraded(
        self, plan: DegradePlan, sequence: int, *, infeasible: bool, allowed: bool
    ) -> Form:
        self._counts = allowed
        if not allowed:
            return Form.FULL
        if infeasible:
            self._state, switch = after_infeasible(plan.rule, self._state)
            self._switched(switch, sequence)
            return Form.VARIANT
        if self._state.probes:
            self._journal.note(self._plan.name, "degrade", sequence, Switch.PROBE)
            return Form.FULL
        return Form.VARIANT if self._state.degraded else Form.FULL

    def _note_form(self, plan: DegradePlan, form: Form, sequence: int, *, overran: bool) -> None:
        if form is Form.VARIANT:
            self._counters.degraded += 1
            self._state = after_variant(self._state, overran=overran)
        elif self._counts:
            tried = self._state.degraded
            self._state, switch = after_full(plan.rule, self._state, overran=overran)
            self._switched(switch, sequence, tried=tried)

    def _switched(self, switch: Switch | None, sequence: int, *, tried: bool = False) -> None:
        if switch is None:
            return
        self._journal.note(self._plan.name, "degrade", sequence, switch)
        # A try of the full form that overruns changes nothing: the variant stays.
        if switch is Switch.VARIANT and not tried:
            self._violated(ViolationKind.DEGRADED, sequence)

    def _replaced(self, form: Form, sequence: int, results: int) -> Form:
        self._counters.replaced[form.value] += 1
        self._violated(_KINDS[form], sequence, times=results)
        return form

    def _violated(
        self, kind: ViolationKind, sequence: int, amount_ns: int = 0, times: int = 1
    ) -> None:
        self._journal.violated(kind, self._plan.name, sequence, amount_ns=amount_ns, times=times)

    def _tell(self, node: Node) -> None:
        try:
            node.on_watchdog_timeout()
        except Exception as error:
            _log.warning("node %s: on_watchdog_timeout: %s", self._plan.name, describe_error(error))
            self._counters.fail(error, "on_watchdog_timeout")
