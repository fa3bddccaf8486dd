"""Make policies from their tables in a graph file."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from limen.errors import Code, ConfigurationError, LimenError
from limen.graph._problems import Problem
from limen.policy import (
    AdmissionPolicy,
    Batching,
    Deadline,
    EdgePolicy,
    ErrorAction,
    NodePolicy,
    QueueCaps,
)
from limen.types import CriticalityClass, nearest

_EDGE_KEYS = ("admission", "max_bytes", "max_items", "soft_bytes", "soft_items")
_NODE_KEYS = ("batching", "criticality", "deadline", "error_action", "sim_cost")
_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")


def edge_policy(place: str, table: object) -> tuple[EdgePolicy, list[Problem]]:
    """Build an edge's policy, or the default and what is wrong."""
    reader = _Reader(place, table, _EDGE_KEYS)
    admission = reader.enum("admission", AdmissionPolicy, AdmissionPolicy.BLOCK)

    def caps() -> QueueCaps:
        given = {key: reader.table[key] for key in _EDGE_KEYS[1:] if key in reader.table}
        for key in ("max_bytes", "soft_bytes"):
            if isinstance(given.get(key), int):
                raise ConfigurationError(
                    f"{key} is {given[key]!r}, a number without a unit",
                    remedy='write it as in "64KiB"',
                )
        return QueueCaps(**{"max_items": 64, **given})  # type: ignore[arg-type] # checked within

    return EdgePolicy(
        reader.build(caps, QueueCaps(64)), admission or AdmissionPolicy.BLOCK
    ), reader.problems


def node_policy(place: str, table: object) -> tuple[NodePolicy, list[Problem]]:
    """Build a node's policy, or the default and what is wrong."""
    reader = _Reader(place, table, _NODE_KEYS)
    values = reader.table
    criticality = reader.enum("criticality", CriticalityClass, CriticalityClass.OPERATIONAL)
    error_action = reader.enum("error_action", ErrorAction, None)
    batching = reader.build(lambda: _batching(values.get("batching")), Batching.none())
    deadline = reader.build(lambda: _deadline(values.get("deadline")), Deadline())
    sim_cost = values.get("sim_cost", "0ns")

    def policy() -> NodePolicy:
        return NodePolicy(
            batching=batching,
            deadline=deadline,
            criticality=criticality or CriticalityClass.OPERATIONAL,
            error_action=error_action,
            sim_cost=sim_cost,  # type: ignore[arg-type] # the constructor checks it
        )

    return reader.build(policy, NodePolicy()), reader.problems


class _Reader:
    def __init__(self, place: str, table: object, known: tuple[str, ...]) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.table: dict[str, object] = {}
        if not isinstance(table, dict):
            self._report(Code.INVALID_VALUE, place, "is no table", f"write [{place}]")
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

    def build(self, make: Callable[[], _T], default: _T) -> _T:
        try:
            return make()
        except LimenError as error:
            self.problems.append(Problem.from_error(self.place, error))
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


def _batching(value: object) -> Batching:
    if value is None:
        return Batching.none()
    example = 'write { fixed = 4 } or { fixed = 4, delta_t = "200ms" }'
    if not isinstance(value, dict) or "fixed" not in value:
        raise ConfigurationError(f"batching is {value!r}", remedy=example)
    for key in value:
        if key not in ("delta_t", "fixed"):
            raise ConfigurationError(
                f"unknown key {key!r} in batching",
                code=Code.UNKNOWN_KEY,
                remedy=nearest(key, ("delta_t", "fixed")),
            )
    if "delta_t" in value:
        return Batching.fixed_and_delta_t(value["fixed"], value["delta_t"])
    return Batching.fixed(value["fixed"])


def _deadline(value: object) -> Deadline:
    if value is None:
        return Deadline()
    if isinstance(value, str):
        return Deadline(value)
    if isinstance(value, dict) and set(value) <= {"default", "slack"}:
        return Deadline(**value)
    raise ConfigurationError(
        f"deadline is {value!r}", remedy='write "250ms" or { default = "250ms", slack = "10ms" }'
    )
