"""Run a graph with signals handled and progress shown."""

from __future__ import annotations

import enum
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from limen.app import Report, make_runtime
from limen.graph import Graph
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import RuntimeStopHandle, SingleThreadRuntime

_REDRAW_NS = 100_000_000


class ExitCode(enum.IntEnum):
    """What the command line returns."""

    DONE = 0
    FAILED = 1
    INVALID = 2
    INTERRUPTED = 130
    TERMINATED = 143


def execute(graph: Graph, clock: PlatformClock) -> tuple[Report, ExitCode]:
    """Run a graph to its end, or until a signal asks it to drain.

    Raises:
        LimenError: The graph is not valid, or a node could not start.
    """
    runtime = make_runtime(graph, clock)
    with _signals(runtime.stop_handle) as received, _progress(runtime) as redraw:
        runtime.start()
        try:
            while runtime.step():
                redraw()
        finally:
            runtime.stop()
    report = Report(runtime.statistics())
    if received:
        interrupted = received[0] == signal.SIGINT
        return report, ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
    failed = report.statistics.outcome in ("halted", "deadlocked") or not report.statistics.closes
    return report, ExitCode.FAILED if failed else ExitCode.DONE


def settle(code: ExitCode) -> NoReturn:
    """Leave with a code, also when whoever read our output has gone."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


@contextmanager
def _signals(handle: RuntimeStopHandle) -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into a draining stop; a second SIGINT aborts."""
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        handle.request_stop()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(runtime: SingleThreadRuntime) -> Iterator[Callable[[], None]]:
    """Show what has happened so far on a terminal's stderr; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    clock = MonotonicClock()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(runtime.plan.name, total=None)
        last = clock.now_ticks()

        def redraw() -> None:
            nonlocal last
            now = clock.now_ticks()
            if now - last >= _REDRAW_NS:
                last = now
                bar.update(task, description=_describe(runtime))

        yield redraw


def _describe(runtime: SingleThreadRuntime) -> str:
    run = runtime.statistics()
    made = sum(node.processed for node in run.nodes if node.kind == "source")
    results = sum(node.processed for node in run.nodes if node.kind == "sink")
    lost = sum(sum(edge.refused.values()) + sum(edge.evicted.values()) for edge in run.edges)
    errors = sum(node.errors for node in run.nodes)
    return f"{run.graph}: {made} in, {results} out, {lost} lost, {errors} errors"
