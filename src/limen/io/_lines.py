"""Results as lines on standard output or in a file."""

from __future__ import annotations

import abc
import io
import sys
from pathlib import Path
from typing import TextIO

import msgspec
import numpy as np

from limen.errors import Code, LifecycleError, OutputError
from limen.io._records import best_label, flag_names, record_of
from limen.message import Message
from limen.node import Sink
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks, format_ns, printable

_LONGEST_TEXT = 120


class _LineSink(Sink):
    """One line a message, out at once: results are few, and are watched.

    Args:
        path: File to write anew; None writes to standard output.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._opened: tuple[PlatformClock, PayloadSpec] | None = None
        self._file: io.FileIO | None = None
        self._stdout: TextIO | None = None
        self._torn = False

    def prepare(self) -> None:
        """Check that the file can lie where it should."""
        if self.path is None:
            return
        if "\0" in str(self.path):
            raise OutputError(f"{str(self.path)!r} is no file name", remedy="remove the NUL in it")
        if not self.path.parent.is_dir():
            raise OutputError(
                f"{self.path} cannot be written: there is no folder {self.path.parent}",
                remedy="make the folder first",
            )
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder", remedy="name a file")

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Open the file, or look up standard output."""
        self.close()
        if self.path is not None:
            self.prepare()
            try:
                # Unbuffered: a line that could not be written is not tried again behind our back.
                self._file = io.FileIO(self.path, "w")
            except OSError as error:
                raise self._refusal(error) from error
        else:
            self._stdout = sys.stdout
        self._torn = False
        self._opened = (clock, spec)

    def consume(self, message: Message, now: Ticks) -> None:
        """Write one line."""
        if self._opened is None:
            raise LifecycleError(f"{self._target} is written before open or after close")
        clock, spec = self._opened
        try:
            line = self._line(message, clock.ticks_to_nanos(now), spec, clock)
        except Exception as error:  # the payload's own methods run here
            raise OutputError(
                f"message {message.header.sequence} cannot be put into a line: "
                f"{type(error).__name__}: {error}"
            ) from error
        try:
            if self._file is not None:
                self._write_file(self._file, line.encode() + b"\n")
            else:
                self._write_stdout(line)
        except (OSError, ValueError) as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Close the file; standard output stays open. Idempotent."""
        file, self._file = self._file, None
        self._opened = self._stdout = None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise OutputError(
                    f"{self._target} cannot be closed: {error.strerror}", code=Code.OUTPUT_FLUSH
                ) from error

    @abc.abstractmethod
    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        """Return the line, without its end."""

    @property
    def _target(self) -> str:
        return "standard output" if self.path is None else str(self.path)

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

    def _refusal(self, error: OSError | ValueError) -> OutputError:
        if isinstance(error, BrokenPipeError):
            return OutputError(
                f"{self._target} cannot be written: its reader is gone",
                remedy="keep the reading program running",
            )
        if isinstance(error, UnicodeEncodeError):
            character = error.object[error.start]
            return OutputError(
                f"{self._target} cannot be written: {error.encoding} has no {character!a}",
                remedy="set PYTHONIOENCODING=utf-8",
            )
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return OutputError(f"{self._target} cannot be written: {reason}")


class JsonLinesSink(_LineSink):
    """Writes one JSON object a message: sequence, time_s, the result, age_ms, flags if any.

    A number that is not finite is written as null.
    """

    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        return msgspec.json.encode(record_of(message, now_ns, spec, clock)).decode()


class TextLinesSink(_LineSink):
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
