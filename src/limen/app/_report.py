"""The accounting of a run, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from limen.app._words import describe_constraints
from limen.telemetry import HistogramSummary, RunStatistics
from limen.types import format_bytes, format_ns, printable


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did; ``str`` gives tables, ``to_json`` one line.

    Attributes:
        statistics: The counts.
    """

    statistics: RunStatistics

    def to_json(self) -> str:
        """Return one JSON object on one line; equal runs give equal bytes."""
        return json_line(self.statistics)

    def __str__(self) -> str:
        return "\n".join(_render(self.statistics))


def json_line(record: object) -> str:
    """Return a record as JSON in ASCII: every terminal takes it, and whatever text is in it."""
    return json.dumps(msgspec.to_builtins(record), separators=(",", ":"))


def _render(run: RunStatistics) -> list[str]:
    lines = [f"graph {printable(run.graph)}: {run.outcome} after {format_ns(run.duration_ns)}", ""]
    lines += _table(
        ("node", "processed", "errors", "misses", "latency p50", "p99", "max", "wait p50", "p99"),
        [
            (
                node.name,
                str(node.processed),
                str(node.errors),
                str(node.deadline_misses),
                *_times(node.latency, ("p50_ns", "p99_ns", "max_ns")),
                *_times(node.wait, ("p50_ns", "p99_ns")),
            )
            for node in run.nodes
        ],
    )
    lines += ["", *_ages(run), ""]
    lines += _table(
        ("edge", "admission", "capacity", "peak", "lost"),
        [
            (
                edge.name,
                edge.admission if edge.retention == "fifo" else edge.retention,
                str(edge.capacity),
                str(edge.peak),
                _losses(edge.refused, edge.evicted),
            )
            for edge in run.edges
        ],
    )
    constraints = describe_constraints(run)
    if constraints:
        lines += ["", "constraints", *constraints]
    lines += ["", "accounting"]
    for identity in run.identities:
        mark = "ok  " if identity.closes else "OPEN"
        lines.append(f"  {mark} {identity.place}: {identity.text}")
    lines += ["", *_closing(run)]
    return lines


def _ages(run: RunStatistics) -> list[str]:
    """Say how old results were at each sink."""
    return [
        f"age of results at {node.name}: p50 {format_ns(node.age.p50_ns)}, "
        f"p99 {format_ns(node.age.p99_ns)}, max {format_ns(node.age.max_ns)}"
        for node in run.nodes
        if node.kind == "sink" and node.age.count
    ]


def _closing(run: RunStatistics) -> list[str]:
    open_count = sum(not identity.closes for identity in run.identities)
    total = len(run.identities)
    state = f"all {total} identities close" if not open_count else f"{open_count} do NOT close"
    misses = sum(node.deadline_misses for node in run.nodes)
    lines = [
        f"accounting: {state}",
        f"deadline misses: {misses}",
        f"memory bound: {format_bytes(run.memory_bound_bytes)} of payload slots and buffers "
        f"({run.profile} profile)",
    ]
    copied = _copied(run)
    if copied:
        lines.append(f"copies: {copied}")
    for node in run.nodes:
        if node.sha256:
            lines.append(f"model {node.name}: sha256 {node.sha256}")
        for text in node.messages:
            lines.append(f"error in {node.name}: {printable(text)}")
        if node.padded:
            lines.append(f"padding of {node.name}: {node.padded} items filled up short batches")
        if node.errors > len(node.messages):
            lines.append(f"error in {node.name}: … {node.errors - len(node.messages)} more")
    if run.log_sha256 is not None:
        lines.append(f"decision log: sha256 {run.log_sha256}")
    return lines + [f"note: {printable(note)}" for note in run.notes]


def _copied(run: RunStatistics) -> str:
    """Say how many payloads were copied where; empty if none was."""
    found = [f"slots of {port.name} {port.copies}" for port in run.outputs if port.copies]
    found += [f"gathered batches of {n.name} {n.gathers}" for n in run.nodes if n.gathers]
    found += [f"inputs of {n.name} {n.input_copies}" for n in run.nodes if n.input_copies]
    return ", ".join(found)


def _times(summary: HistogramSummary, fields: Sequence[str]) -> list[str]:
    if summary.count == 0:
        return ["-"] * len(fields)
    return [format_ns(getattr(summary, field)) for field in fields]


def _losses(refused: dict[str, int], evicted: dict[str, int]) -> str:
    shown = [f"refused {reason} {count}" for reason, count in refused.items()]
    shown += [f"evicted {reason} {count}" for reason, count in evicted.items()]
    return ", ".join(shown) or "0"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
