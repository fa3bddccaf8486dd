"""What holds for one node: its inputs, its calls, its failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from limen.errors import ConfigurationError
from limen.policy._activation import Activation, ActivationRule, Periodic, Trigger
from limen.policy._batching import Batching
from limen.policy._budget import Budget
from limen.policy._checks import require_port
from limen.policy._deadline import Deadline
from limen.policy._errors import EmitFailsafe, ErrorAction, ErrorRule, Restart
from limen.policy._freshness import Freshness
from limen.policy._liveness import Liveness, gap_ns
from limen.types import CriticalityClass, parse_duration_ns, require_type


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """What holds for one input of a node, in place of what the node says for all of them.

    Args:
        freshness: How old what it presents may be; a duration alone is the largest age.
        max_gap: Largest gap between messages: text with a unit.
        needs_degrade_allowed: Whether the node's cheaper variant may be given only messages that
            carry DEGRADE_ALLOWED.
    """

    freshness: Freshness | str | None = None
    max_gap: str | None = None
    needs_degrade_allowed: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.freshness, str):
            object.__setattr__(self, "freshness", Freshness(self.freshness))
        if self.freshness is not None:
            _require_freshness(self.freshness)
        gap_ns("max_gap", self.max_gap)
        require_type(
            "needs_degrade_allowed", self.needs_degrade_allowed, bool, "write True or False"
        )


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """Policies of one node. Where a field is a record, a duration alone stands for its first part.

    Args:
        batching: How its input is grouped.
        deadline: When its results are late, and what becomes of what would be.
        criticality: How much it matters; orders scheduling, and decides the default error action.
        error_action: What a failed call does; HALT_GRAPH for safety-critical nodes, else CONTINUE.
        sim_cost: Time that one call takes under a simulated clock: text with a unit.
        activation: Which inputs a step needs, where there are several; the node's own if not given.
        budget: How long a call may take, and what takes its place.
        freshness: How old what its inputs present may be.
        liveness: How long its inputs and the node itself may be silent.
        inputs: What holds for single inputs instead, by name.
        interval: Of a source that keeps no schedule, the shortest time between its messages: text
            with a unit; ``check`` counts on it.
    """

    batching: Batching = field(default_factory=Batching.none)
    deadline: Deadline | str = field(default_factory=Deadline)
    criticality: CriticalityClass = CriticalityClass.OPERATIONAL
    error_action: ErrorRule | None = None
    sim_cost: str = "0ns"
    activation: ActivationRule | None = None
    budget: Budget | str = field(default_factory=Budget)
    freshness: Freshness | str = field(default_factory=Freshness)
    liveness: Liveness | str = field(default_factory=Liveness)
    inputs: Mapping[str, InputPolicy] = field(default_factory=dict, hash=False)
    interval: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.deadline, str):
            object.__setattr__(self, "deadline", Deadline(self.deadline))
        if isinstance(self.budget, str):
            object.__setattr__(self, "budget", Budget(self.budget))
        if isinstance(self.freshness, str):
            object.__setattr__(self, "freshness", Freshness(self.freshness))
        if isinstance(self.liveness, str):
            object.__setattr__(self, "liveness", Liveness(self.liveness))
        require_type("deadline", self.deadline, Deadline, 'write it as in "250ms"')
        require_type("batching", self.batching, Batching, "use Batching.fixed(n) and its siblings")
        require_type(
            "criticality",
            self.criticality,
            CriticalityClass,
            "use CriticalityClass.OPERATIONAL or a sibling",
        )
        if self.error_action is not None:
            require_type(
                "error_action",
                self.error_action,
                (ErrorAction, EmitFailsafe, Restart),
                "use ErrorAction.CONTINUE or a sibling, EmitFailsafe(payload) or Restart(max)",
            )
        _ = self.sim_cost_ns  # which refuses what is no duration
        if self.activation is not None:
            require_type(
                "activation",
                self.activation,
                (Activation, Trigger, Periodic),
                'use Activation.ALL, Activation.ANY, Trigger("port") or Periodic("10ms")',
            )
        require_type("budget", self.budget, Budget, 'write it as in "20ms", or use Budget(…)')
        _require_freshness(self.freshness)
        require_type(
            "liveness", self.liveness, Liveness, 'write it as in "40ms", or use Liveness(…)'
        )
        self._check_inputs()
        _ = self.interval_ns  # which refuses what is no positive duration

    def _check_inputs(self) -> None:
        remedy = 'write inputs={"port": InputPolicy(…)}'
        require_type("inputs", self.inputs, Mapping, remedy)
        for name, policy in self.inputs.items():
            require_port("the name of an input", name, remedy)
            require_type(f"the policy of input {name!r}", policy, InputPolicy, remedy)
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    @property
    def deadline_rule(self) -> Deadline:
        """The deadline as a value, however it was given."""
        return self.deadline if isinstance(self.deadline, Deadline) else Deadline(self.deadline)

    @property
    def budget_rule(self) -> Budget:
        """The budget as a value, however it was given."""
        return self.budget if isinstance(self.budget, Budget) else Budget(self.budget)

    @property
    def max_step_gap_ns(self) -> int | None:
        """Largest gap between steps in nanoseconds; None for no limit."""
        return gap_ns("max_step_gap", self._liveness.max_step_gap)

    @property
    def interval_ns(self) -> int | None:
        """The declared interval in nanoseconds."""
        return gap_ns("interval", self.interval)

    @property
    def on_error(self) -> ErrorRule:
        """The error action that holds, given or by criticality."""
        if self.error_action is not None:
            return self.error_action
        if self.criticality is CriticalityClass.SAFETY_CRITICAL:
            return ErrorAction.HALT_GRAPH
        return ErrorAction.CONTINUE

    @property
    def sim_cost_ns(self) -> int:
        """The simulated cost in nanoseconds."""
        return parse_duration_ns(self.sim_cost, what="sim_cost")

    def freshness_of(self, port: str) -> Freshness:
        """Return what holds for an input: its own, else the node's."""
        own = self.inputs[port].freshness if port in self.inputs else None
        given = self.freshness if own is None else own
        return given if isinstance(given, Freshness) else Freshness(given)

    def max_gap_ns_of(self, port: str) -> int | None:
        """Return the largest gap of an input in nanoseconds; None for no limit."""
        own = self.inputs[port].max_gap if port in self.inputs else None
        return gap_ns("max_gap", self._liveness.max_gap if own is None else own)

    def needs_degrade_allowed(self, port: str) -> bool:
        """Whether the variant is given only those messages of an input that allow it."""
        return port in self.inputs and self.inputs[port].needs_degrade_allowed

    @property
    def _liveness(self) -> Liveness:
        return self.liveness if isinstance(self.liveness, Liveness) else Liveness(self.liveness)


def _require_freshness(value: object) -> None:
    if not isinstance(value, Freshness):
        raise ConfigurationError(
            f"freshness is {value!r}", remedy='write it as in "100ms", or use Freshness(…)'
        )
