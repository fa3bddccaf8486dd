"""Make policies from their tables in a graph file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from limen.errors import Code, ConfigurationError, LimenError
from limen.graph._problems import Problem
from limen.policy import (
    Activation,
    AdmissionPolicy,
    Batching,
    Deadline,
    EdgePolicy,
    ErrorAction,
    NodePolicy,
    QueueCaps,
    RetentionMode,
)
from limen.types import CriticalityClass, nearest, parse_duration_ns, parse_size_bytes

_EDGE_KEYS = (
    "admission",
    "lanes",
    "max_bytes",
    "max_items",
    "retention",
    "soft_bytes",
    "soft_items",
)
_NODE_KEYS = ("activation", "batching", "criticality", "deadline", "error_action", "sim_cost")
# Where a capacity cannot be read, no batch is said to exceed it.
_UNKNOWN = QueueCaps(1 << 62)
_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")


def edge_policy(place: str, table: object) -> tuple[EdgePolicy, list[Problem]]:
    """Build an edge's policy, or the default and what is wrong."""
    reader = _Reader(place, table, _EDGE_KEYS)
    retention = reader.enum("retention", RetentionMode, RetentionMode.FIFO) or RetentionMode.FIFO
    single = retention is not RetentionMode.FIFO
    usual = AdmissionPolicy.DROP_OLDEST if single else AdmissionPolicy.BLOCK
    admission = reader.enum("admission", AdmissionPolicy, usual) or usual

    values = reader.table
    most = values.get("max_items", 1 if single else 64)
    items = reader.build(lambda: QueueCaps(most), _UNKNOWN)  # type: ignore[arg-type]
    soft = values.get("soft_items")
    if items is not _UNKNOWN or type(soft) is not int:
        items = reader.build(lambda: QueueCaps(items.max_items, soft), items)  # type: ignore[arg-type]
    before = len(reader.problems)
    sizes = [
        reader.build(functools.partial(_size, key, values.get(key)), None, key=key)
        for key in ("max_bytes", "soft_bytes")
    ]
    caps = items
    if len(reader.problems) == before:
        caps = reader.build(lambda: QueueCaps(items.max_items, items.soft_items, *sizes), items)
    policy = EdgePolicy(caps, admission)
    if items is _UNKNOWN:
        return policy, reader.problems
    lanes = values.get("lanes", 1)
    policy = reader.build(lambda: EdgePolicy(caps, admission, retention, lanes), policy)  # type: ignore[arg-type]
    return policy, reader.problems


def node_policy(place: str, table: object) -> tuple[NodePolicy, list[Problem]]:
    """Build a node's policy, or the default and what is wrong."""
    reader = _Reader(place, table, _NODE_KEYS)
    values = reader.table
    criticality = reader.enum("criticality", CriticalityClass, CriticalityClass.OPERATIONAL)
    error_action = reader.enum("error_action", ErrorAction, None)
    activation = reader.enum("activation", Activation, None)
    batching = reader.build(
        lambda: _batching(values.get("batching")), Batching.none(), key="batching"
    )
    deadline = reader.build(lambda: _deadline(values.get("deadline")), Deadline(), key="deadline")
    sim_cost = reader.build(lambda: _sim_cost(values.get("sim_cost")), "0ns", key="sim_cost")
    policy = NodePolicy(
        batching=batching,
        deadline=deadline,
        criticality=criticality or CriticalityClass.OPERATIONAL,
        error_action=error_action,
        sim_cost=sim_cost,
        activation=activation,
    )
    return policy, reader.problems


class _Reader:
    def __init__(self, place: str, table: object, known: tuple[str, ...]) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.table: dict[str, object] = {}
        if not isinstance(table, dict):
            self._report(
                Code.INVALID_VALUE, place, f"is {table!r}, no table", "write policy = { … }"
            )
            return
        for key, value in table.items():
            if key in known:
                self.table[key] = value
            else:
                where = f"{place}.{key}"
                self._report(
                    Code.UNKNOWN_KEY, where, f"unknown key {key!r}", nearest(str(key), known)
                )

    def _report(self, code: Code, place: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(code, place, message, remedy))

    def build(self, make: Callable[[], _T], default: _T, *, key: str = "") -> _T:
        try:
            return make()
        except LimenError as error:
            place = f"{self.place}.{key}" if key else self.place
            self.problems.append(Problem.from_error(place, error))
            return default

    def enum(self, key: str, kind: type[_E], default: _E | None) -> _E | None:
        if key not in self.table:
            return default
        names = {_spelling(member): member for member in kind}
        value = self.table[key]
        if isinstance(value, str) and value in names:
            return names[value]
        self._report(
            Code.INVALID_VALUE,
            f"{self.place}.{key}",
            f"unknown {key} {value!r}",
            nearest(str(value), names),
        )
        return default


def _spelling(member: Enum) -> str:
    return member.value if isinstance(member.value, str) else member.name.lower()


def _require_known(table: dict[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise ConfigurationError(
                f"unknown key {key!r}", code=Code.UNKNOWN_KEY, remedy=nearest(key, known)
            )


def _batching(value: object) -> Batching:
    if value is None:
        return Batching.none()
    example = 'write { fixed = 4 }, { delta_t = "200ms" } or { fixed = 4, stride = 2 }'
    if not isinstance(value, dict) or not value:
        raise ConfigurationError(f"batching is {value!r}", remedy=example)
    _require_known(value, ("delta_t", "fixed", "stride"))
    if "fixed" not in value and "delta_t" not in value:
        raise ConfigurationError(f"batching is {value!r}", remedy=example)
    delta = None
    if "delta_t" in value:
        delta = parse_duration_ns(value["delta_t"], what="delta_t")
    return Batching(value.get("fixed"), delta, value.get("stride"))


def _size(key: str, value: object) -> int | None:
    if value is None:
        return None
    return parse_size_bytes(value, what=key)  # type: ignore[arg-type]


def _sim_cost(value: object) -> str:
    cost = "0ns" if value is None else value
    parse_duration_ns(cost, what="sim_cost")  # type: ignore[arg-type]
    return str(cost)


def _deadline(value: object) -> Deadline:
    if value is None:
        return Deadline()
    if isinstance(value, (str, int, float)):
        return Deadline(value)  # type: ignore[arg-type]
    if isinstance(value, dict):
        _require_known(value, ("default", "slack"))
        return Deadline(**value)
    raise ConfigurationError(
        f"deadline is {value!r}", remedy='write "250ms" or { default = "250ms", slack = "10ms" }'
    )
