"""Make an edge's policy from its table in a graph file."""

from __future__ import annotations

import functools

from limen.edge import find_edge
from limen.graph._problems import Problem
from limen.graph._reader import Reader
from limen.policy import AdmissionPolicy, EdgePolicy, QueueCaps, RetentionMode
from limen.types import parse_size_bytes

_KEYS = (
    "admission",
    "lanes",
    "max_bytes",
    "max_items",
    "retention",
    "ring",
    "soft_bytes",
    "soft_items",
)
# Where a capacity cannot be read, no batch is said to exceed it.
_UNKNOWN = QueueCaps(1 << 62)


def edge_policy(place: str, table: object) -> tuple[EdgePolicy, list[Problem]]:
    """Build an edge's policy, or the default and what is wrong."""
    reader = Reader(place, table, _KEYS)
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
    ring = reader.build(lambda: _ring(values.get("ring")), None, key="ring")
    if items is _UNKNOWN:
        return policy, reader.problems
    lanes = values.get("lanes", 1)
    policy = reader.build(lambda: EdgePolicy(caps, admission, retention, lanes, ring), policy)  # type: ignore[arg-type]
    return policy, reader.problems


def _ring(name: object) -> str | None:
    """Return the name of a ring that is installed; one that is not has its place here."""
    named = EdgePolicy(ring=name).ring  # type: ignore[arg-type]
    if named is not None:
        find_edge(named)
    return named


def _size(key: str, value: object) -> int | None:
    if value is None:
        return None
    return parse_size_bytes(value, what=key)  # type: ignore[arg-type]
