"""What the benches share: their size, rounds, and graphs that cost what the executor costs."""

from __future__ import annotations

import enum
import gc
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from limen.app import make_runtime
from limen.bench._rows import Row, row_of
from limen.codegen import available_targets
from limen.graph import Graph
from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal
from limen.platform import MonotonicClock
from limen.telemetry import TelemetrySwitches
from limen.types import PayloadSpec, Ticks

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

now_ns: Final = MonotonicClock().now_ticks
"""Reads the clock that all benches share."""

LIMEN_TARGETS: Final = ("reference", "python", "native")


class Size(enum.StrEnum):
    """How much work a bench does."""

    FULL = "full"
    """Enough for figures."""
    FAST = "fast"
    """As little as runs all of it: for tests, not for figures."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a bench is asked for.

    Attributes:
        size: How much work.
        targets: What may run; None for everything.
        say: Told, in a line, what is left out and why.
    """

    size: Size
    targets: frozenset[str] | None
    say: Callable[[str], None]

    def wants(self, target: str) -> bool:
        """Whether a target may run."""
        return self.targets is None or target in self.targets

    def executors(self, default: Sequence[str] = LIMEN_TARGETS) -> list[str]:
        """Return which targets of Limen run: those asked for, as far as they can run here.

        Args:
            default: Which are meant where none is asked for.
        """
        meant = default if self.targets is None else LIMEN_TARGETS
        there = available_targets()
        return [target for target in meant if self.wants(target) and target in there]


@dataclass(frozen=True, slots=True)
class Result:
    """What a bench found.

    Attributes:
        rows: The figures.
        legend: What they mean, a line each.
        table: Laid out for people, where that is not a line a row.
        draw: Draws it, where that can be drawn.
    """

    rows: tuple[Row, ...]
    legend: tuple[str, ...]
    table: str | None = None
    draw: Callable[[SubFigure], None] | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure to be measured in every round.

    Attributes:
        case: Its case.
        target: What runs.
        metrics: Whether it counts durations.
        run: Measures it once.
        baseline: Measures what it is compared with.
    """

    case: str
    target: str
    metrics: bool
    run: Callable[[], float]
    baseline: Callable[[], float]


def interleaved(
    bench: str, unit: str, measures: Sequence[Measure], rounds: int, size: Size
) -> list[Row]:
    """Measure everything once a round, each between two looks at its baseline.

    A machine that grows slower meanwhile so slows figure and baseline alike. In full, what others
    left behind is collected first.
    """
    values: list[list[float]] = [[] for _ in measures]
    baselines: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, found, compared in zip(measures, values, baselines, strict=True):
            if size is Size.FULL:
                gc.collect()
            before = measure.baseline()
            found.append(measure.run())
            compared.append((before + measure.baseline()) / 2)
    return [
        row_of(bench, m.case, m.target, unit, found, compared, metrics=m.metrics)
        for m, found, compared in zip(measures, values, baselines, strict=True)
    ]


# Looked up in its enumeration at each message, it would cost as much as a hop.
_END: Final = SourceSignal.END_OF_STREAM


class Items(Source):
    """Gives messages that were made beforehand, as fast as there is room.

    Its own Python is one call of ``next``: what a message costs is the graph's.
    """

    pausable = True

    def __init__(self, spec: PayloadSpec, items: Iterable[Produced]) -> None:
        self._spec = spec
        self._items = iter(items)

    def spec(self) -> PayloadSpec:
        """Return what the payloads are."""
        return self._spec

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next."""
        return next(self._items, _END)


class Count(Sink):
    """Counts what arrives."""

    def __init__(self) -> None:
        self.count = 0

    def consume(self, message: Message, now: Ticks) -> None:
        """Count one."""
        self.count += 1


def repeated(payloads: Sequence[object], count: int) -> Iterator[Produced]:
    """Return messages of some payloads, over and over."""
    made = [Produced(payload) for payload in payloads]
    return itertools.islice(itertools.cycle(made), count)


def timed_run(
    graph: Graph, sinks: Sequence[Count], expected: int, target: str, *, metrics: bool
) -> int:
    """Run a graph and return the nanoseconds between its start and its last step.

    Args:
        graph: What to run, once.
        sinks: Its sinks.
        expected: Messages that each of them is to get.
        target: What it runs as.
        metrics: Whether durations are counted.

    Raises:
        RuntimeError: Messages are missing, or the account does not close: that is no figure.
    """
    switches = TelemetrySwitches() if metrics else TelemetrySwitches.none()
    runtime = make_runtime(graph, switches=switches, target=target)
    runtime.start()
    try:
        begun = now_ns()
        while runtime.advance():
            pass
        took = now_ns() - begun
    finally:
        runtime.stop()
    run = runtime.statistics()
    found = [sink.count for sink in sinks]
    if set(found) != {expected} or run.outcome != "completed" or not run.closes:
        raise RuntimeError(
            f"{graph.name} on {target}: {min(found)} of {expected} messages, {run.outcome}"
        )
    return took


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the library's warnings: losses and misses are what is measured."""
    log = logging.getLogger("limen")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before
