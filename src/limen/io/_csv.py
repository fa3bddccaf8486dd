"""Replay of a recorded CSV file."""

from __future__ import annotations

import bisect
import math
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from limen.errors import Code, ConfigurationError, LifecycleError, SensorError
from limen.io._rows import Rows
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.platform.contract import NS_PER_SECOND
from limen.types import DataType, SequenceNumber, TensorSpec, Ticks, nearest

_DTYPES = (DataType.F16, DataType.F32, DataType.F64)
_REMEMBERED = 4096
_SHOWN = 40


class CsvSource(Source):
    """Replays columns of a CSV file with a header, one message a row.

    The file is read row by row. A row that cannot be used raises SensorError with its line number,
    and the replay goes on behind it. The payload is one buffer, valid until the next call.

    Args:
        path: The file.
        columns: Columns that make a message, in this order.
        rate_hz: Rows a second as recorded; None where the speed is ``"max"``.
        speed: Multiple of that rate, or ``"max"`` for as fast as it goes.
        dtype: Element type: f16, f32 or f64.
        allow_nan: Whether NaN and infinities are values.
    """

    pausable = True

    def __init__(
        self,
        path: str | Path,
        columns: list[str],
        *,
        rate_hz: float | None = None,
        speed: float | Literal["max"] = 1.0,
        dtype: str = "f32",
        allow_nan: bool = False,
    ) -> None:
        self.path = Path(path)
        self.columns = list(columns)
        self.rate_hz = rate_hz
        self.dtype = DataType.from_name(dtype)
        if self.dtype not in _DTYPES:
            raise ConfigurationError(
                f"dtype {dtype!r} does not hold what CSV files hold", remedy="use f16, f32 or f64"
            )
        self.allow_nan = allow_nan
        self._speed = None if speed == "max" else speed
        self._buffer = np.zeros(len(self.columns), self.dtype.numpy_dtype())
        self._largest = float(np.finfo(self._buffer.dtype).max)
        self._interval_ns: Fraction | None = None
        self._clock: PlatformClock | None = None
        self._rows: Rows | None = None
        self._fields: list[int] = []
        self._ended = False
        # The schedule counts rows from its anchor, in integers: it does not drift.
        self._anchor = Ticks(0)
        self._rows_since_anchor = 0
        self._produced = 0
        # (sequence, line − sequence), one entry wherever the difference changes.
        self._lines: deque[tuple[SequenceNumber, int]] = deque(maxlen=_REMEMBERED)

    def prepare(self) -> None:
        """Check parameters and header."""
        self._check_parameters()
        rows = Rows(self.path)
        try:
            self._find_columns(rows)
        finally:
            rows.close()

    def spec(self) -> TensorSpec:
        """Return one entry a column."""
        return TensorSpec(self.dtype, (len(self.columns),))

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin at the first row, which is due now."""
        self.close()
        self._check_parameters()
        rows = Rows(self.path)
        try:
            self._fields = self._find_columns(rows)
        except SensorError:
            rows.close()
            raise
        self._rows = rows
        self._clock = clock
        self._ended = False
        self._anchor = now
        self._rows_since_anchor = 0
        self._produced = 0
        self._lines.clear()

    def next_due(self) -> Ticks | None:
        """Return the instant of the next row; None at speed ``"max"``."""
        interval, clock = self._interval_ns, self._clock
        if interval is None or clock is None:
            return None
        elapsed_ns = self._rows_since_anchor * interval.numerator // interval.denominator
        return Ticks(self._anchor + clock.nanos_to_ticks(elapsed_ns))

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Read one row."""
        if self._rows is None:
            raise LifecycleError(f"{self.path.name} is read before open or after close")
        due = self.next_due()
        if due is not None and now < due:
            return SourceSignal.NOTHING_NOW
        if self._ended:
            return SourceSignal.END_OF_STREAM
        # Bad rows take their place in the schedule, too.
        self._rows_since_anchor += 1
        try:
            row = self._rows.next_row()
        except SensorError:
            raise
        except OSError as error:
            self._ended = True
            raise SensorError(
                f"{self.path.name} cannot be read behind row {self._rows.line}: {error.strerror}",
                remedy="the replay ends here",
            ) from error
        if row is None:
            self._ended = True
            return SourceSignal.END_OF_STREAM
        self._parse(row, self._rows.line)
        shift = self._rows.line - self._produced
        if not self._lines or self._lines[-1][1] != shift:
            self._lines.append((SequenceNumber(self._produced), shift))
        self._produced += 1
        return Produced(self._buffer, creation_tick=due)

    def resumed(self, now: Ticks) -> None:
        """Move the schedule so that the row that was held back is due now."""
        due = self.next_due()
        if due is not None and now > due:
            self._anchor, self._rows_since_anchor = now, 0

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the file's row of a message; None where it was not read or is forgotten."""
        if not 0 <= sequence < self._produced:
            return None
        lines = list(self._lines)
        index = bisect.bisect_right(lines, sequence, key=lambda entry: entry[0]) - 1
        return f"{self.path.name} row {sequence + lines[index][1]}" if index >= 0 else None

    def set_speed(self, speed: float | None) -> bool:
        """Replay at a multiple of the recorded rate, None as fast as it goes."""
        due = self.next_due()
        self._speed = speed
        if self._rows is not None:
            self._check_parameters()
            if due is not None:
                self._anchor, self._rows_since_anchor = due, 0
        return True

    def interval_ns(self) -> Fraction | None:
        """Return the distance between rows; None where they go as fast as they can."""
        return self._interval_ns

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._rows is not None:
            self._rows.close()
            self._rows = self._clock = None

    def _check_parameters(self) -> None:
        if not self.columns:
            raise ConfigurationError("columns is empty", remedy="name the columns to read")
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ConfigurationError(f"columns names {twice[0]!r} twice", remedy="name it once")
        for what, value in (("rate_hz", self.rate_hz), ("speed", self._speed)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{what} is {value}", remedy="give a number above 0")
        if self._speed is None:
            self._interval_ns = None
        elif self.rate_hz is None:
            raise ConfigurationError(
                f"speed {self._speed:g} of {self.path.name} multiplies an unknown rate",
                remedy='give rate_hz, or speed "max"',
            )
        else:
            # Decimal text, not the binary value: 0.1 means a tenth.
            rate = Fraction(str(self.rate_hz)) * Fraction(str(self._speed))
            self._interval_ns = NS_PER_SECOND / rate

    def _find_columns(self, rows: Rows) -> list[int]:
        for name in self.columns:
            count = rows.header.count(name)
            if count == 1:
                continue
            if count:
                raise SensorError(
                    f"{rows.name} has {count} columns {name!r}",
                    code=Code.SENSOR_CONFIGURATION,
                    remedy="rename all but one",
                )
            raise SensorError(
                f"{rows.name} has no column {name!r}",
                code=Code.SENSOR_CONFIGURATION,
                remedy=nearest(name, rows.header),
            )
        return [rows.header.index(name) for name in self.columns]

    def _parse(self, row: list[str], line: int) -> None:
        buffer = self._buffer
        for index, field in enumerate(self._fields):
            text = row[field]
            try:
                value = float(text)
            except ValueError:
                raise self._refusal(line, index, f"{_shown(text)} is not a number") from None
            if "_" in text:
                raise self._refusal(line, index, f"{_shown(text)} is not a number")
            if not math.isfinite(value):
                if not self.allow_nan:
                    raise self._refusal(line, index, f"{value} is not a finite number")
                buffer[index] = value
            elif abs(value) > self._largest:
                # May still round to the largest value.
                with np.errstate(over="ignore"):
                    buffer[index] = value
                if np.isinf(buffer[index]):
                    raise self._refusal(line, index, f"{value} does not fit {self.dtype.value}")
            else:
                buffer[index] = value

    def _refusal(self, line: int, index: int, reason: str) -> SensorError:
        return SensorError(f"{self.path.name} row {line}, column {self.columns[index]!r}: {reason}")


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
