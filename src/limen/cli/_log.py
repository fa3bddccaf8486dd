"""Decision logs and events as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from limen.errors import Code, OutputError
from limen.platform import PlatformClock
from limen.telemetry import Decision, DecisionLog, GraphTelemetry, JsonEventSink
from limen.types import format_ns


@contextmanager
def decision_log(
    clock: PlatformClock, readable: Path | None, canonical: Path | None
) -> Iterator[DecisionLog | None]:
    """Yield a log that writes the files asked for, None where none is.

    Args:
        clock: Of the run; turns ticks into times.
        readable: File for people, with the digest in its last line.
        canonical: File of the bytes that the digest is of.

    Raises:
        OutputError: A file cannot be opened; what fails later is the log's ``failure``.
    """
    if readable is None and canonical is None:
        yield None
        return
    people = None if readable is None else _open(readable)
    exact = None if canonical is None else _open(canonical)

    def listen(decision: Decision) -> None:
        if exact is not None:
            exact.write(decision.canonical())
        if people is not None:
            people.write(describe(decision, clock.ticks_to_nanos))

    log = DecisionLog(listen)
    try:
        yield log
    finally:
        if people is not None:
            _finish(people, log, f"# {log.count} decisions, sha256 {log.sha256}\n")
        if exact is not None:
            _finish(exact, log, "")


@contextmanager
def event_file(path: Path | None) -> Iterator[GraphTelemetry | None]:
    """Yield a telemetry that writes events to a file as JSON lines, None without a path.

    Raises:
        OutputError: The file cannot be opened; what fails later is in its statistics.
    """
    if path is None:
        yield None
        return
    sink = JsonEventSink(path)
    try:
        yield GraphTelemetry([sink])
    finally:
        # The run has flushed it; where that failed, its telemetry knows.
        with suppress(OutputError):
            sink.close()


# Actions whose sequence is a count.
_COUNTED: Final = ("missed_periods", "restart")


def describe(decision: Decision, to_nanos: Callable[[int], int]) -> str:
    """Return a decision as a line for people."""
    instant, step, place, action, sequence, reason = decision
    text = f"{format_ns(to_nanos(instant)):>12}  step {step:<6} {place}: {action}"
    if action in _COUNTED:
        text += f" {sequence}"
    elif sequence >= 0:
        text += f" #{sequence}"
    return f"{text} ({reason})\n" if reason else f"{text}\n"


def _open(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"decision log {path}: cannot be written: {reason}",
            code=Code.OUTPUT_WRITE,
            remedy="give the path of a file in a folder that exists",
        ) from error


def _finish(file: TextIO, log: DecisionLog, last: str) -> None:
    """Write the last line, unless lines are missing before it, and close the file."""
    try:
        with file:
            file.write("" if log.failure else last)
    except OSError as error:
        log.failure = error
