"""Replay of recorded lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from limen.errors import SensorError
from limen.io._files import not_opened, require_file
from limen.io._json_values import JsonValues
from limen.io._places import Places
from limen.io._replay import Replay, Speed
from limen.io._times import TimeUnit, time_ns, unit_ns
from limen.node import SourceSignal
from limen.platform import PlatformClock
from limen.types import PayloadSpec, SequenceNumber, Ticks

_LONGEST_LINE = 1 << 20


class JsonLinesSource(Replay):
    """Replays a file with one JSON object a line, one message a line.

    The file is read line by line; blank lines are passed over. A line that cannot be used raises
    SensorError with its number, and the replay goes on behind it. Fields make a tensor, or typed
    ones a dict, or all of them an instance of a Struct; without any of these the payload is a dict.

    Args:
        path: The file.
        fields: Makes a tensor of these fields, which hold numbers or lists of them, in this order.
        shape: Shape of that tensor; one number a field where it is not given.
        dtype: Element type of that tensor.
        types: Makes a dict of these fields: ``bool``, ``int``, ``float``, ``str``, ``list``,
            ``object`` or ``any``.
        struct: Makes instances of this subclass of ``msgspec.Struct``; not for graph files.
        rate_hz: Lines a second as recorded; None with ``time_field``, or at speed ``"max"``.
        speed: Multiple of the recorded rate, or ``"max"`` for as fast as it goes.
        time_field: The field with each line's time; that of the first good line is the start. A
            time before that of the line before is a bad line.
        time_unit: Unit of these times.
        allow_nan: Whether null stands for NaN in a tensor.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fields: list[str] | None = None,
        shape: list[int] | None = None,
        dtype: str = "f32",
        types: dict[str, str] | None = None,
        struct: object = None,
        rate_hz: float | None = None,
        speed: Speed = 1.0,
        time_field: str | None = None,
        time_unit: TimeUnit = "s",
        allow_nan: bool = False,
    ) -> None:
        self.path = Path(path)
        super().__init__(self.path.name, rate_hz, speed, has_times=time_field is not None)
        self.time_field = time_field
        self._unit = unit_ns(time_unit)
        named: Mapping[str, str] | None = types
        self._values = JsonValues(fields, shape, dtype, allow_nan, named, struct, time_field)
        self._file: BinaryIO | None = None
        self._line = 0
        self._last_time: int | None = None
        self._ahead: object = None
        self._ahead_line = 0
        self._places = Places()

    def prepare(self) -> None:
        """Check parameters, and that the file can be opened."""
        self._check_schedule()
        self._open_file().close()

    def spec(self) -> PayloadSpec:
        """Return what lines become."""
        return self._values.spec()

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin at the first line, which is due now."""
        self.close()
        self._check_schedule()
        self._file = self._open_file()
        self._line = 0
        self._last_time = None
        self._places.clear()
        self._begin(clock, now)
        if self.time_field is not None:
            self._look_ahead()

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the file's line of a message; None where it was not read or is forgotten."""
        line = self._places.find(sequence)
        return None if line is None else f"{self.name} line {line}"

    def close(self) -> None:
        """Close the file; idempotent."""
        super().close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open_file(self) -> BinaryIO:
        require_file(self.path, "JSON lines")
        try:
            return self.path.open("rb")
        except OSError as error:
            raise not_opened(self.path, error, "JSON lines") from error

    def _read(self) -> object:
        if self.time_field is None:
            self._position += 1
            found, line = self._decode_next(), self._line
        else:
            found, line = self._ahead, self._ahead_line
            self._look_ahead()
        if isinstance(found, SensorError):
            raise found
        if isinstance(found, SourceSignal):
            return found
        try:
            payload = self._values.payload(found)
        except ValueError as error:
            raise self._refusal(line, error) from None
        self._places.add(line)
        return payload

    def _look_ahead(self) -> None:
        """Read the line behind, as its time is when it is due; a bad one keeps the place before."""
        self._ahead = self._decode_next()
        self._ahead_line = self._line
        if isinstance(self._ahead, (SensorError, SourceSignal)):
            return
        try:
            time = time_ns(self._values.time_of(self._ahead), self._unit)
            if self._last_time is not None and time < self._last_time:
                raise ValueError("its time is before that of the line before")
        except ValueError as error:
            self._ahead = self._refusal(self._line, error)
            return
        if self._last_time is None:
            # What came before the first time had none: the schedule begins here.
            self._origin = time
        self._last_time = self._position = time

    def _decode_next(self) -> object:
        """Return the next line's value, or what it is instead: an error, or the end."""
        try:
            line = self._next_line()
        except OSError as error:
            self._file = None  # the end comes next
            return SensorError(
                f"{self.name} cannot be read behind line {self._line}: {error.strerror}",
                remedy="the replay ends here",
            )
        except ValueError as error:
            return self._refusal(self._line, error)
        if line is None:
            return SourceSignal.END_OF_STREAM
        try:
            return self._values.decode(line)
        except ValueError as error:
            if not line.endswith(b"\n"):
                return SensorError(f"{self.name}: the file ends in the middle of line {self._line}")
            return self._refusal(self._line, error)

    def _next_line(self) -> bytes | None:
        file = self._file
        if file is None:
            return None
        while line := file.readline(_LONGEST_LINE):
            self._line += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(_LONGEST_LINE)
                raise ValueError(f"it is longer than {_LONGEST_LINE} bytes")
            if self._line == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.isspace():
                return line
        return None

    def _refusal(self, line: int, error: ValueError) -> SensorError:
        return SensorError(f"{self.name} line {line}: {error}")
