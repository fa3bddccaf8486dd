"""How long a call may take, and what takes its place when it takes longer."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

from limen.errors import ConfigurationError
from limen.policy._checks import require_port
from limen.types import format_ns, parse_duration_ns, require_whole

_MOST_RECOVERY_FACTOR: Final = 8


class OverBudgetAction(enum.Enum):
    """What takes the place of a call or its result; the value is its name in graph files.

    DROP emits nothing. SKIP_STAGE forwards the input unchanged. ``DefaultOnTimeout`` and
    ``Degrade`` are actions as well.
    """

    DROP = "drop"
    SKIP_STAGE = "skip_stage"


@dataclass(frozen=True, slots=True, eq=False)
class DefaultOnTimeout:
    """Emit a declared payload, flagged DEFAULTED.

    Args:
        payload: What the output could have emitted.
        port: The output; may be left out where there is one.
    """

    payload: object
    port: str | None = None

    def __post_init__(self) -> None:
        if self.port is not None:
            require_port("port", self.port, "name an output of the node")


@dataclass(frozen=True, slots=True)
class Degrade:
    """Call the node's cheaper variant, given to ``Graph.add``, until the full form recovers.

    Args:
        degrade_after: Consecutive overruns or infeasible calls after which the variant is called.
        recover_after: Consecutive calls of the variant within budget after which one call tries
            the full form. It doubles, up to 8 times, with each try that overruns.
        sim_cost: Time that a call of the variant takes under a simulated clock: text with a unit.
    """

    degrade_after: int = 1
    recover_after: int = 10
    sim_cost: str = "0ns"

    def __post_init__(self) -> None:
        for name in ("degrade_after", "recover_after"):
            object.__setattr__(self, name, require_whole(name, getattr(self, name)))
        parse_duration_ns(self.sim_cost, what="sim_cost")


OverBudget = OverBudgetAction | DefaultOnTimeout | Degrade


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a call may take. Cooperative: a call that runs is never broken off.

    Args:
        tick_budget: Soft limit: text with a unit. What a call is expected to take at most, so that
            a message whose deadline comes sooner is infeasible.
        watchdog: Hard limit: text with a unit; longer calls are told to ``on_watchdog_timeout``.
        action: What takes the place of a call that is infeasible, and of a result that took too
            long; None to count only.
    """

    tick_budget: str | None = None
    watchdog: str | None = None
    action: OverBudget | None = None

    def __post_init__(self) -> None:
        soft, hard = self.tick_budget_ns, self.watchdog_ns
        for name, value in (("tick_budget", soft), ("watchdog", hard)):
            if value == 0:
                raise ConfigurationError(f"{name} of 0", remedy="give a positive duration")
        if soft is not None and hard is not None and hard < soft:
            raise ConfigurationError(
                f"watchdog {format_ns(hard)} is below tick_budget {format_ns(soft)}",
                remedy="a watchdog is the longer of the two",
            )
        if self.action is None:
            return
        if not isinstance(self.action, (OverBudgetAction, DefaultOnTimeout, Degrade)):
            raise ConfigurationError(
                f"action is a {type(self.action).__qualname__}",
                remedy="use OverBudgetAction.DROP, OverBudgetAction.SKIP_STAGE, "
                "DefaultOnTimeout(payload) or Degrade()",
            )
        if soft is None:
            raise ConfigurationError(
                "an action without tick_budget", remedy="say when a call is over its budget"
            )

    @property
    def tick_budget_ns(self) -> int | None:
        """The soft limit in nanoseconds."""
        return _ns("tick_budget", self.tick_budget)

    @property
    def watchdog_ns(self) -> int | None:
        """The hard limit in nanoseconds."""
        return _ns("watchdog", self.watchdog)


class DegradeState(NamedTuple):
    """Where a node with ``Degrade`` stands; changed by the functions of this module alone.

    Attributes:
        degraded: Whether the variant is called.
        over: Consecutive overruns and infeasible calls of the full form.
        within: Consecutive calls of the variant within budget.
        wait: How many of those the next try of the full form takes.
    """

    degraded: bool
    over: int
    within: int
    wait: int

    @property
    def probes(self) -> bool:
        """Whether the next call tries the full form."""
        return self.degraded and self.within >= self.wait


class Switch(enum.StrEnum):
    """What changed; the values are the decision log's reasons."""

    VARIANT = "variant"
    PROBE = "probe"
    FULL = "full"


def full_form(rule: Degrade) -> DegradeState:
    """Return where a node begins."""
    return DegradeState(False, 0, 0, rule.recover_after)


def after_full(
    rule: Degrade, state: DegradeState, *, overran: bool
) -> tuple[DegradeState, Switch | None]:
    """Return the state after a call of the full form, a try included, and what switched. Pure."""
    if state.degraded:
        if not overran:
            return full_form(rule), Switch.FULL
        wait = min(2 * state.wait, _MOST_RECOVERY_FACTOR * rule.recover_after)
        return DegradeState(True, 0, 0, wait), Switch.VARIANT
    if not overran:
        return state._replace(over=0), None
    return _one_more(rule, state)


def after_infeasible(rule: Degrade, state: DegradeState) -> tuple[DegradeState, Switch | None]:
    """Return the state once the full form was not called, as it was infeasible. Pure.

    Called where the full form would have been: while the variant is called anyway, or a try is due,
    nothing changes.
    """
    return (state, None) if state.degraded else _one_more(rule, state)


def after_variant(state: DegradeState, *, overran: bool) -> DegradeState:
    """Return the state after a call of the variant; a try that is due stays due. Pure."""
    if not state.degraded or state.probes:
        return state
    return state._replace(within=0 if overran else state.within + 1)


def _one_more(rule: Degrade, state: DegradeState) -> tuple[DegradeState, Switch | None]:
    over = state.over + 1
    if over < rule.degrade_after:
        return state._replace(over=over), None
    return DegradeState(True, 0, 0, rule.recover_after), Switch.VARIANT


def _ns(what: str, text: str | None) -> int | None:
    return None if text is None else parse_duration_ns(text, what=what)
