"""What must hold of a run, whatever is done to it, and what a test expects of it beside that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from limen.telemetry import RunStatistics
from limen.testing.drills._options import Settings
from limen.testing.drills._report import Arrival, losses_of
from limen.types import format_ns

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One run of a drill.

    Attributes:
        statistics: The accounting.
        log: The decision log.
        arrivals: By sink.
        happened_ns: Instants at which the fault struck.
        points: Decision points.
        ended: Whether it ended by itself, or within the steps behind a stop.
        stop_ns: Instant of the stop, where there was one.
        stop_point: Decision ahead of which it was.
        last_step: Line of the log with the last step ahead of the end.
        misuses: What checked memory found; the run ends with it.
        too_large: Edges whose payloads took more bytes than their cap, in words.
    """

    statistics: RunStatistics
    log: str
    arrivals: Mapping[str, tuple[Arrival, ...]]
    happened_ns: tuple[int, ...]
    points: int
    ended: bool
    stop_ns: int | None
    stop_point: int | None
    last_step: str
    misuses: tuple[str, ...]
    too_large: tuple[str, ...]


def what_never_holds(run: Outcome, settings: Settings, *, may_halt: bool) -> list[str]:
    """Return what is wrong with a run of any graph: a line each, with what would be right."""
    found = [*_about_the_end(run, settings, may_halt=may_halt)]
    found += wrong_accounting(run.statistics)
    found += run.too_large
    found += run.misuses[:_MOST_NAMED]
    return found


def wrong_accounting(statistics: RunStatistics) -> list[str]:
    """Return what does not add up, is still in use, or was more than its cap."""
    found = [
        f"{identity.place}: {identity.text} does not add up; every message is used or counted as "
        f"lost"
        for identity in statistics.identities
        if not identity.closes
    ]
    for out in statistics.outputs:
        if out.available != out.capacity:
            found.append(
                f"{out.name}: {out.capacity - out.available} of {out.capacity} slots are in use "
                f"after the end; all must be free"
            )
    for edge in statistics.edges:
        if edge.peak > edge.capacity:
            found.append(
                f"{edge.name}: {edge.peak} messages in the queue at once; its cap is "
                f"{edge.capacity}"
            )
    return found


def what_is_not_as_expected(run: Outcome, settings: Settings) -> list[str]:
    """Return what differs from the expectations that the test states."""
    return [
        *_wrong_end(run, settings),
        *_too_old(run, settings),
        *_wrong_losses(run, settings),
        *(_not_finite(run) if settings.finite else ()),
    ]


def _about_the_end(run: Outcome, settings: Settings, *, may_halt: bool) -> Iterator[str]:
    statistics = run.statistics
    if not run.ended:
        last = run.last_step.split("|")
        yield (
            f"{last[2]}: the run goes on for ever: {settings.max_steps} decisions after the stop "
            f"it had not ended, at {format_ns(int(last[0]))} {last[2]} was stepped still; a "
            f"step that takes nothing returns NO_INPUT"
        )
        return
    if "the drain timeout passed" in statistics.notes:
        left = [str(lost) for lost in losses_of(statistics) if lost.reason == "stopped"]
        places = ", ".join(left[:_MOST_NAMED]) or "a node that had not ended"
        yield (
            f"{places}: not done within {format_ns(settings.drain_ns)} of simulated time after the "
            f"stop at {format_ns(run.stop_ns or 0)}; a stop drains what is under way, give drain=… "
            f"if that may take longer"
        )
    match statistics.outcome:
        case "deadlocked":
            waits = "; ".join(waiting.text for waiting in statistics.waiting)
            yield f"{_first_waiting(statistics)}: the graph came to a standstill: {waits}"
        case "failed":
            notes = "; ".join(note for note in statistics.notes if "failed to stop" in note)
            yield f"{notes or 'a node failed to stop'}; stop() releases what start() took"
        case "halted" if not may_halt and "halted" not in settings.ends and not run.misuses:
            notes = "; ".join(note for note in statistics.notes if note.startswith("halted"))
            failed = [node for node in statistics.nodes if node.errors]
            why = "; ".join(f"{node.name}: {node.messages[0]}" for node in failed if node.messages)
            yield f"{notes}: {why}; give ends='halted' if it shall"


def _first_waiting(statistics: RunStatistics) -> str:
    waiting = statistics.waiting
    return (waiting[0].edge or waiting[0].node) if waiting else statistics.graph


def _wrong_end(run: Outcome, settings: Settings) -> Iterator[str]:
    outcome = run.statistics.outcome
    if settings.ends and outcome not in settings.ends:
        notes = "; ".join(run.statistics.notes)
        wanted = " or ".join(sorted(settings.ends))
        yield f"{run.statistics.graph}: it ended {outcome} ({notes}); ends={wanted!r} is expected"


def _too_old(run: Outcome, settings: Settings) -> Iterator[str]:
    for sink, came in run.arrivals.items():
        limit = settings.max_age_ns.get(sink, settings.max_age_ns.get(""))
        late = [a for a in came if limit is not None and a.age_ns > limit]
        if late and limit is not None:
            oldest = max(late, key=lambda arrival: arrival.age_ns)
            yield (
                f"{sink}: {len(late)} of {len(came)} results are older than {format_ns(limit)}, up "
                f"to {format_ns(oldest.age_ns)} (message {oldest.header.sequence}, at "
                f"{format_ns(oldest.at_ns)}){_fullest(run.statistics, sink)}"
            )


def _fullest(statistics: RunStatistics, sink: str) -> str:
    """Say where most waited on the way to a sink: that is where its results grow old."""
    on_the_way = _up_to(statistics, sink)
    nodes = [node for node in statistics.nodes if node.name in on_the_way]
    waited = max(nodes, key=lambda node: node.wait.max_ns, default=None)
    if waited is None or not waited.wait.max_ns:
        return ""
    return (
        f"; longest they waited ahead of {waited.name}, {format_ns(waited.wait.max_ns)}: a smaller "
        f"queue, DROP_OLDEST or a freshness keeps them young"
    )


def _up_to(statistics: RunStatistics, sink: str) -> set[str]:
    """Return a sink and the nodes whose messages reach it."""
    edges = [edge.name.split(" -> ") for edge in statistics.edges]
    pairs = [[end.partition(".")[0] for end in ends] for ends in edges]
    found, left = set[str](), [sink]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += [producer for producer, consumer in pairs if consumer == node]
    return found


def _wrong_losses(run: Outcome, settings: Settings) -> Iterator[str]:
    losses = losses_of(run.statistics)
    reasons = {lost.reason for lost in losses}
    shown = "; ".join(str(lost) for lost in losses[:_MOST_NAMED]) or "nothing is lost"
    if settings.may_lose is not None and not reasons <= settings.may_lose:
        others = [str(lost) for lost in losses if lost.reason not in settings.may_lose]
        allowed = ", ".join(sorted(settings.may_lose)) or "nothing"
        yield f"{'; '.join(others[:_MOST_NAMED])}; expected to be lost: {allowed}"
    if settings.loses is not None and reasons != settings.loses:
        wanted = ", ".join(sorted(settings.loses)) or "nothing"
        yield f"{shown}; expected to be lost: {wanted}"


def _not_finite(run: Outcome) -> Iterator[str]:
    for sink, came in run.arrivals.items():
        wrong = [arrival for arrival in came if not is_finite(arrival.payload)]
        if wrong:
            first = wrong[0]
            yield (
                f"{sink}: {len(wrong)} of {len(came)} results hold NaN or infinity, first message "
                f"{first.header.sequence}; a node ahead of it must keep them out"
            )


def is_finite(payload: object) -> bool:
    """Whether a payload is free of NaN and infinities, as far as it is numbers and containers."""
    if isinstance(payload, (float, np.ndarray, np.generic)):
        array = np.asarray(payload)
        if array.dtype.kind not in "fc" and array.dtype.name != "bfloat16":
            return True
        return bool(np.all(np.isfinite(array)))
    if isinstance(payload, Mapping):
        return all(map(is_finite, payload.values()))
    if isinstance(payload, (list, tuple, set, frozenset)):
        return all(map(is_finite, payload))
    return True
