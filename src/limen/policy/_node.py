"""What holds for one node: batching, deadline, errors, declared cost."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from limen.policy._activation import Activation
from limen.policy._batching import Batching
from limen.types import CriticalityClass, parse_duration_ns, require_type


class ErrorAction(enum.Enum):
    """What happens when a call into a node fails; the value is its name in graph files."""

    HALT_GRAPH = "halt_graph"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a result is late.

    Args:
        default: Deadline of messages that carry none, counted from their push into this node's
            input: text with a unit.
        slack: Lateness that is still on time: text with a unit.
    """

    default: str | None = None
    slack: str = "0ns"

    def __post_init__(self) -> None:
        if self.default is not None:
            parse_duration_ns(self.default, what="deadline")
        parse_duration_ns(self.slack, what="slack")

    @property
    def default_ns(self) -> int | None:
        """The default in nanoseconds."""
        return None if self.default is None else parse_duration_ns(self.default, what="deadline")

    @property
    def slack_ns(self) -> int:
        """The slack in nanoseconds."""
        return parse_duration_ns(self.slack, what="slack")


@dataclass(frozen=True, slots=True)
class NodePolicy:
    """Policies of one node.

    Args:
        batching: How its input is grouped.
        deadline: When its results are late; a duration alone is the default deadline.
        criticality: How much it matters; decides the default error action.
        error_action: What a failed call does; HALT_GRAPH for safety-critical nodes, else CONTINUE.
        sim_cost: Time that one call takes under a simulated clock: text with a unit.
        activation: Which inputs a step needs, where there are several; the node's own if not given.
    """

    batching: Batching = field(default_factory=Batching.none)
    deadline: Deadline | str = field(default_factory=Deadline)
    criticality: CriticalityClass = CriticalityClass.OPERATIONAL
    error_action: ErrorAction | None = None
    sim_cost: str = "0ns"
    activation: Activation | None = None

    def __post_init__(self) -> None:
        if isinstance(self.deadline, str):
            object.__setattr__(self, "deadline", Deadline(self.deadline))
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
                ErrorAction,
                "use ErrorAction.CONTINUE or its sibling",
            )
        parse_duration_ns(self.sim_cost, what="sim_cost")
        if self.activation is not None:
            require_type(
                "activation", self.activation, Activation, "use Activation.ALL or Activation.ANY"
            )

    @property
    def deadline_rule(self) -> Deadline:
        """The deadline as a value, however it was given."""
        return self.deadline if isinstance(self.deadline, Deadline) else Deadline(self.deadline)

    @property
    def on_error(self) -> ErrorAction:
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
