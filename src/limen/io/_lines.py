"""Results as lines on standard output or in a file."""

from __future__ import annotations

import abc
import io
from pathlib import Path

import msgspec
import numpy as np

from limen.errors import OutputError
from limen.io._records import best_label, flag_names, record_of
from limen.io._target import TargetSink
from limen.message import Message
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks, format_ns, printable

_LONGEST_TEXT = 120


class LineSink(TargetSink):
    """One line a message, out at once: results are few, and are watched.

    Args:
        path: File to write anew; None writes to standard output.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__(path)
        self._torn = False

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Open the file, or look up standard output."""
        super().open(clock, spec)
        self._torn = False

    def consume(self, message: Message, now: Ticks) -> None:
        """Write one line."""
        clock, spec = self._require_open()
        try:
            line = self._line(message, clock.ticks_to_nanos(now), spec, clock)
        except Exception as error:  # the payload's own methods run here
            raise OutputError(
                f"message {message.header.sequence} cannot be put into a line: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._write_line(line)

    @abc.abstractmethod
    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        """Return the line, without its end."""

    def _write_line(self, line: str) -> None:
        try:
            if self._file is not None:
                self._write_file(self._file, line.encode() + b"\n")
            else:
                self._write_stdout(line)
        except (OSError, ValueError) as error:
            raise self._refusal(error) from error

    def _write_file(self, file: io.FileIO, line: bytes) -> None:
        # After a line that was cut short by a full disk, the next one must not be glued to it.
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            written = file.write(rest) or 0
            rest = rest[written:]
            self._torn = bool(rest)

    def _write_stdout(self, line: str) -> None:
        if self._stdout is None:
            raise ValueError("there is none")
        self._stdout.write(line + "\n")
        self._stdout.flush()


class JsonLinesSink(LineSink):
    """Writes one JSON object a message: sequence, time_s, the result, age_ms, flags if any.

    A number that is not finite is written as null.
    """

    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        return msgspec.json.encode(record_of(message, now_ns, spec, clock)).decode()


class TextLinesSink(LineSink):
    """Writes one aligned line a message, for people: time, result, age, flags if any."""

    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        creation_ns = clock.ticks_to_nanos(message.header.creation_tick)
        best = best_label(message.payload, spec)
        if best is not None and isinstance(spec, TensorSpec):
            label, value = best
            width = max(len(name) for name in spec.labels)
            shown = "  nan" if value is None else f"{value:5.3f}"
            result = f"{label or '?':{width}}  {shown}"
        else:
            result = _compact(message.payload)
        flags = "".join(f"  {name}" for name in flag_names(message))
        age = format_ns(now_ns - creation_ns)
        return f"{creation_ns / 1e9:7.1f} s  {printable(result)}  age {age}{flags}"


def _compact(payload: object) -> str:
    if isinstance(payload, np.ndarray):
        text = np.array2string(payload, precision=4, threshold=8, edgeitems=3)
        return " ".join(text.split())
    text = payload if isinstance(payload, str) else repr(payload)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
