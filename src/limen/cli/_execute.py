"""Run a graph with signals handled and progress shown."""

from __future__ import annotations

import enum
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn, TextIO, cast

from limen.app import Report, make_runtime
from limen.graph import Graph
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import RuntimeStopHandle, SingleThreadRuntime
from limen.telemetry import DecisionLog, Telemetry
from limen.types import printable

_REDRAW_NS = 100_000_000


class ExitCode(enum.IntEnum):
    """What the command line returns."""

    DONE = 0
    FAILED = 1
    INVALID = 2
    INTERRUPTED = 130
    TERMINATED = 143


def execute(
    graph: Graph,
    clock: PlatformClock,
    log: DecisionLog | None = None,
    telemetry: Telemetry | None = None,
    *,
    checked: bool = False,
    target: str | None = None,
    built: Path | None = None,
) -> tuple[Report, ExitCode]:
    """Run a graph to its end, or until a signal or the end of our reader asks it to drain.

    Args:
        graph: What to run.
        clock: Its clock.
        log: Where decisions are recorded.
        telemetry: Told of events.
        checked: Whether memory finds out which node misuses it, at a cost in time.
        target: What it runs as; if not given, what the graph says, else ``auto``.
        built: Where native code lies that was built ahead of time; None to build it here.

    Raises:
        LimenError: The graph is not valid, or a node could not start.
    """
    with _builds_told():
        runtime = make_runtime(
            graph,
            clock,
            log,
            telemetry=telemetry,
            checked=checked,
            target=target or graph.target or "auto",
            built=built,
        )
    with (
        _signals(runtime.stop_handle) as received,
        _watched_stdout(runtime.stop_handle) as stdout,
        _progress(runtime) as redraw,
    ):
        runtime.start()
        try:
            while runtime.advance():
                redraw()
        finally:
            runtime.stop()
    report = Report(runtime.statistics())
    if received:
        interrupted = received[0] == signal.SIGINT
        return report, ExitCode.INTERRUPTED if interrupted else ExitCode.TERMINATED
    failed = (
        report.statistics.outcome in ("halted", "deadlocked", "failed")
        or not report.statistics.closes
    )
    failed = failed or stdout.reader_is_gone
    return report, ExitCode.FAILED if failed else ExitCode.DONE


@contextmanager
def _builds_told() -> Iterator[None]:
    """Say on a terminal why it takes seconds until anything is seen."""
    if not sys.stderr.isatty():
        yield
        return
    log, handler = logging.getLogger("limen.native"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("limen: %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def settle(code: int) -> NoReturn:
    """Leave with a code, also when whoever read our output has gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            # What is left in the buffer would be tried again, and complained about, at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


class _WatchedStdout:
    """Standard output that asks for a stop once its reader is gone: nothing can arrive any more."""

    def __init__(self, stream: TextIO | BinaryIO, handle: RuntimeStopHandle) -> None:
        self._stream = stream
        self._handle = handle
        self._reader_is_gone = False
        self._binary: _WatchedStdout | None = None

    @property
    def reader_is_gone(self) -> bool:
        """Whether a write has failed for want of a reader."""
        return self._reader_is_gone or (self._binary is not None and self._binary.reader_is_gone)

    @property
    def buffer(self) -> _WatchedStdout:
        """The stream of bytes below, watched as well."""
        if self._binary is None:
            self._binary = _WatchedStdout(self._stream.buffer, self._handle)  # type: ignore[union-attr] # asked of text only
        return self._binary

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, data: str | bytes) -> int:
        with self._watching():
            return self._stream.write(data)  # type: ignore[arg-type] # as is right for the stream

    def flush(self) -> None:
        with self._watching():
            self._stream.flush()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._reader_is_gone = True
            self._handle.request_stop()
            raise


@contextmanager
def _watched_stdout(handle: RuntimeStopHandle) -> Iterator[_WatchedStdout]:
    before = sys.stdout
    watched = _WatchedStdout(before, handle)
    if before is not None:
        sys.stdout = cast("TextIO", watched)
    try:
        yield watched
    finally:
        sys.stdout = before


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
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(printable(runtime.plan.name), total=None)
        last = clock.now_ticks()

        def redraw() -> None:
            nonlocal last
            now = clock.now_ticks()
            if now - last >= _REDRAW_NS:
                last = now
                bar.update(task, description=_describe(runtime))

        # Turns of a generated program end by themselves only where the graph waits.
        over = threading.Event()
        ticker = threading.Thread(target=_tick, args=(runtime, over), daemon=True)
        ticker.start()
        try:
            yield redraw
        finally:
            over.set()
            ticker.join()


def _tick(runtime: SingleThreadRuntime, over: threading.Event) -> None:
    while not over.wait(_REDRAW_NS / 1e9):
        runtime.pause()


def _describe(runtime: SingleThreadRuntime) -> str:
    run = runtime.statistics()
    made = sum(node.processed for node in run.nodes if node.kind == "source")
    results = sum(node.processed for node in run.nodes if node.kind == "sink")
    lost = sum(sum(edge.refused.values()) + sum(edge.evicted.values()) for edge in run.edges)
    errors = sum(node.errors for node in run.nodes)
    return f"{printable(run.graph)}: {made} in, {results} out, {lost} lost, {errors} errors"
