"""Make a node's policy from its table in a graph file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from limen.errors import ConfigurationError
from limen.graph._problems import Problem
from limen.graph._reader import Reader, member, require_known
from limen.policy import (
    Activation,
    ActivationRule,
    Batching,
    Budget,
    Deadline,
    DefaultOnTimeout,
    Degrade,
    EmitFailsafe,
    ErrorAction,
    ErrorRule,
    Freshness,
    InputPolicy,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudget,
    OverBudgetAction,
    Periodic,
    Restart,
    Trigger,
)
from limen.types import CriticalityClass, parse_duration_ns

_KEYS = (
    "activation",
    "batching",
    "budget",
    "criticality",
    "deadline",
    "error_action",
    "freshness",
    "inputs",
    "interval",
    "liveness",
    "sim_cost",
)
_T = TypeVar("_T")


def node_policy(place: str, table: object) -> tuple[NodePolicy, list[Problem]]:
    """Build a node's policy, or the default and what is wrong."""
    reader = Reader(place, table, _KEYS)

    def read(key: str, make: Callable[[object], _T], default: _T) -> _T:
        if key not in reader.table:
            return default
        return reader.build(lambda: make(reader.table[key]), default, key=key)

    usual = CriticalityClass.OPERATIONAL
    policy = NodePolicy(
        batching=read("batching", _batching, Batching.none()),
        deadline=read("deadline", _deadline, Deadline()),
        criticality=reader.enum("criticality", CriticalityClass, usual) or usual,
        error_action=read("error_action", _error_action, None),
        sim_cost=read("sim_cost", _sim_cost, "0ns"),
        activation=read("activation", _activation, None),
        budget=read("budget", _budget, Budget()),
        freshness=read("freshness", _freshness, Freshness()),
        liveness=read("liveness", _liveness, Liveness()),
        inputs=_inputs(reader),
        interval=read("interval", _interval, None),
    )
    return policy, reader.problems


def _batching(value: object) -> Batching:
    if value is None:
        return Batching.none()
    example = 'write { fixed = 4 }, { delta_t = "200ms" } or { fixed = 4, stride = 2 }'
    if not isinstance(value, dict) or not value:
        raise ConfigurationError(f"batching is {value!r}", remedy=example)
    require_known(value, ("delta_t", "fixed", "stride"))
    if "fixed" not in value and "delta_t" not in value:
        raise ConfigurationError(f"batching is {value!r}", remedy=example)
    delta = None
    if "delta_t" in value:
        delta = parse_duration_ns(value["delta_t"], what="delta_t")
    return Batching(value.get("fixed"), delta, value.get("stride"))


def _sim_cost(value: object) -> str:
    parse_duration_ns(value, what="sim_cost")  # type: ignore[arg-type]
    return str(value)


def _interval(value: object) -> str:
    parse_duration_ns(value, what="interval")  # type: ignore[arg-type] # it says so itself
    return str(value)


def _deadline(value: object) -> Deadline:
    fields = _fields(value, "deadline", "default", ("default", "on_miss", "require", "slack"))
    if "on_miss" in fields:
        fields["on_miss"] = member("on_miss", fields["on_miss"], OnMiss)
    return Deadline(**fields)  # type: ignore[arg-type]


def _freshness(value: object) -> Freshness:
    fields = _fields(value, "freshness", "max_age", ("max_age", "max_span_age", "on_stale"))
    if "on_stale" in fields:
        fields["on_stale"] = member("on_stale", fields["on_stale"], OnStale)
    return Freshness(**fields)  # type: ignore[arg-type]


def _liveness(value: object) -> Liveness:
    fields = _fields(value, "liveness", "max_gap", ("max_gap", "max_step_gap"))
    return Liveness(**fields)  # type: ignore[arg-type]


def _budget(value: object) -> Budget:
    fields = _fields(value, "budget", "tick_budget", ("action", "tick_budget", "watchdog"))
    if "action" in fields:
        fields["action"] = _over_budget(fields["action"])
    return Budget(**fields)  # type: ignore[arg-type]


def _over_budget(value: object) -> OverBudget:
    if isinstance(value, str):
        return member("action", value, OverBudgetAction, "{ default = … }, { degrade_after = 1 }")
    if isinstance(value, dict) and "default" in value:
        require_known(value, ("default", "port"))
        return DefaultOnTimeout(value["default"], value.get("port"))
    if isinstance(value, dict):
        require_known(value, ("default", "degrade_after", "port", "recover_after", "sim_cost"))
        return Degrade(**value)
    raise ConfigurationError(
        f"action is {value!r}",
        remedy='write "drop", "skip_stage", { default = … }, or { degrade_after = 1 } to degrade',
    )


def _activation(value: object) -> ActivationRule:
    if isinstance(value, dict) and len(value) == 1:
        require_known(value, ("periodic", "trigger"))
        return Trigger(value["trigger"]) if "trigger" in value else Periodic(value["periodic"])
    if isinstance(value, str):
        return member(
            "activation", value, Activation, '{ trigger = "port" }, { periodic = "10ms" }'
        )
    raise ConfigurationError(
        f"activation is {value!r}",
        remedy='write "all", "any", { trigger = "port" } or { periodic = "10ms" }',
    )


def _error_action(value: object) -> ErrorRule:
    if isinstance(value, dict) and "failsafe" in value:
        require_known(value, ("failsafe", "port", "quiesce"))
        return EmitFailsafe(value["failsafe"], value.get("port"), value.get("quiesce", False))
    if isinstance(value, dict) and "restart" in value:
        require_known(value, ("backoff", "per", "restart"))
        rest = {key: value[key] for key in ("backoff", "per") if key in value}
        return Restart(value["restart"], **rest)
    if isinstance(value, str):
        return member("error_action", value, ErrorAction, "{ failsafe = … }, { restart = 3 }")
    raise ConfigurationError(
        f"error_action is {value!r}",
        remedy='write "halt_graph", "quiesce", "continue", { failsafe = … } or '
        '{ restart = 3, per = "60s" }',
    )


def _inputs(reader: Reader) -> dict[str, InputPolicy]:
    """Read what holds for single inputs; each mistake is reported at its own key."""
    table = reader.table.get("inputs", {})
    found: dict[str, InputPolicy] = {}
    if not isinstance(table, dict):
        reader.build(lambda: _no_inputs(table), None, key="inputs")
        return found
    for name, value in table.items():
        one = Reader(
            f"{reader.place}.inputs.{name}",
            value,
            ("freshness", "max_gap", "needs_degrade_allowed"),
        )
        fields = dict(one.table)
        if "freshness" in fields:
            given = fields["freshness"]
            fields["freshness"] = one.build(lambda g=given: _freshness(g), None, key="freshness")  # type: ignore[misc] # the default binds the loop's value
        found[name] = one.build(lambda f=fields: InputPolicy(**f), InputPolicy())  # type: ignore[misc] # likewise
        reader.problems += one.problems
    return found


def _no_inputs(value: object) -> None:
    raise ConfigurationError(
        f"inputs is {value!r}, no table", remedy="write { port = { max_gap = … } }"
    )


def _fields(value: object, what: str, first: str, known: tuple[str, ...]) -> dict[str, object]:
    """Return the fields of a record; a duration alone is its first one."""
    if isinstance(value, dict):
        require_known(value, known)
        return dict(value)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return {first: value}
    raise ConfigurationError(
        f"{what} is {value!r}", remedy=f'write "250ms" or {{ {first} = "250ms", … }}'
    )
