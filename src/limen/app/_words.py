"""What constraints found, in words."""

from __future__ import annotations

from typing import Final

from limen.telemetry import (
    InputStatistics,
    NodeStatistics,
    PathStatistics,
    RunStatistics,
    Violation,
    ViolationKind,
)
from limen.types import format_ns, printable

# What happened once, and several times; and what the worst amount is an amount of.
_WORDS: Final = {
    ViolationKind.DEADLINE_MISS: (
        "a result came after its deadline",
        "results came after their deadline",
        "by up to",
    ),
    ViolationKind.STALE: (
        "a message was too old to be used, and dropped",
        "messages were too old to be used, and dropped",
        "age up to",
    ),
    ViolationKind.STALE_DELIVERED: (
        "a message was too old, and used all the same",
        "messages were too old, and used all the same",
        "age up to",
    ),
    ViolationKind.NO_DEADLINE: (
        "a message without a deadline was dropped",
        "messages without a deadline were dropped",
        "",
    ),
    ViolationKind.EXPIRED: (
        "a message was dropped, its deadline over",
        "messages were dropped, their deadline over",
        "by up to",
    ),
    ViolationKind.INFEASIBLE: (
        "a message could not be done in time any more",
        "messages could not be done in time any more",
        "",
    ),
    ViolationKind.LIVENESS: (
        "silence went on for too long",
        "silences went on for too long",
        "noticed after up to",
    ),
    ViolationKind.OVERRUN: (
        "a call took longer than its budget",
        "calls took longer than their budget",
        "up to",
    ),
    ViolationKind.WATCHDOG: (
        "a call took longer than its watchdog",
        "calls took longer than their watchdog",
        "up to",
    ),
    ViolationKind.DISCARDED: (
        "a result was discarded, over budget",
        "results were discarded, over budget",
        "",
    ),
    ViolationKind.FORWARDED: (
        "an input was forwarded unchanged, over budget",
        "inputs were forwarded unchanged, over budget",
        "",
    ),
    ViolationKind.DEFAULTED: (
        "the default was emitted, over budget",
        "defaults were emitted, over budget",
        "",
    ),
    ViolationKind.DEGRADED: (
        "it went over to its cheaper variant",
        "times it went over to its cheaper variant",
        "",
    ),
    ViolationKind.MISSED_PERIODS: (
        "a period passed without a step",
        "periods passed without a step",
        "",
    ),
    ViolationKind.RESTART: ("it was restarted", "restarts", ""),
    ViolationKind.FAILSAFE: (
        "the failsafe message was emitted",
        "failsafe messages were emitted",
        "",
    ),
    ViolationKind.QUIESCED: ("it ended for a failure", "times it ended for a failure", ""),
}


def describe_violation(violation: Violation) -> str:
    """Say what was violated where, how often, when first and last, and by how much."""
    once, often, amount = _WORDS[violation.kind]
    first, last = format_ns(violation.first_ns), format_ns(violation.last_ns)
    if violation.count == 1:
        text = f"{once}, at {first}"
    else:
        text = f"{violation.count} {often}, first at {first}, last at {last}"
    if amount and violation.worst_ns:
        text += f"; {amount} {format_ns(violation.worst_ns)}"
    return f"{printable(violation.place)}: {text}"


def describe_constraints(run: RunStatistics) -> list[str]:
    """Return a line for each violation, age contract, path with deadlines, and variant."""
    lines = [f"  {describe_violation(violation)}" for violation in run.violations]
    lines += [f"  {text}" for node in run.nodes if (text := _degraded(node))]
    sinks = {node.name: node for node in run.nodes if node.kind == "sink"}
    for port in run.inputs:
        sink = sinks.get(port.name.partition(".")[0])
        if sink is not None and port.max_age_ns is not None:
            lines.append(f"  {_age_contract(port, sink)}")
    several = len({path.source for path in run.paths}) > 1
    shown = [path for path in run.paths if several or path.lateness.count]
    return lines + [f"  {_path(path)}" for path in shown]


def _degraded(node: NodeStatistics) -> str:
    if not node.degraded:
        return ""
    return f"{node.name}: {node.degraded} of {node.calls} calls went to its cheaper variant"


def _age_contract(port: InputStatistics, sink: NodeStatistics) -> str:
    limit = format_ns(port.max_age_ns or 0)
    dropped = port.dropped.get("stale", 0)
    broken = []
    if dropped:
        broken.append(f"{dropped} dropped as too old")
    if port.stale:
        broken.append(f"{port.stale} used although too old")
    kept = f"oldest result {format_ns(sink.age.max_ns)}" if sink.age.count else "no results"
    judged = ", ".join(broken) or "none too old when taken"
    return f"{port.name}: age contract of {limit}: {judged}; {kept}"


def _path(path: PathStatistics) -> str:
    age, late = path.age, path.lateness
    text = (
        f"{path.source} to {path.sink}: {path.count} results, age p50 {format_ns(age.p50_ns)}, "
        f"p99 {format_ns(age.p99_ns)}, max {format_ns(age.max_ns)}"
    )
    if path.misses:
        text += f"; {path.misses} of {late.count} late, by up to {format_ns(late.max_ns)}"
    elif late.count:
        text += "; none late"
    return text
