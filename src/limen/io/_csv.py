"""Replay of a recorded CSV file."""

from __future__ import annotations

from pathlib import Path

from limen.errors import Code, ConfigurationError, SensorError
from limen.io._numbers import Numbers, float_type
from limen.io._places import Places
from limen.io._replay import Replay, Speed
from limen.io._rows import Rows
from limen.node import SourceSignal
from limen.platform import PlatformClock
from limen.types import SequenceNumber, TensorSpec, Ticks, nearest

_SHOWN = 40


class CsvSource(Replay):
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

    def __init__(
        self,
        path: str | Path,
        columns: list[str],
        *,
        rate_hz: float | None = None,
        speed: Speed = 1.0,
        dtype: str = "f32",
        allow_nan: bool = False,
    ) -> None:
        self.path = Path(path)
        super().__init__(self.path.name, rate_hz, speed)
        self.columns = list(columns)
        self.dtype = float_type(dtype, "CSV files hold")
        self.allow_nan = allow_nan
        self._numbers = Numbers(self.dtype, (len(self.columns),), allow_nan)
        self._rows: Rows | None = None
        self._fields: list[int] = []
        self._places = Places()

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
        self._places.clear()
        self._begin(clock, now)

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the file's row of a message; None where it was not read or is forgotten."""
        line = self._places.find(sequence)
        return None if line is None else f"{self.name} row {line}"

    def close(self) -> None:
        """Close the file; idempotent."""
        super().close()
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def _read(self) -> object:
        rows = self._rows
        if rows is None:
            return SourceSignal.END_OF_STREAM
        self._position += 1
        try:
            row = rows.next_row()
        except SensorError:
            raise
        except OSError as error:
            self._ended = True
            raise SensorError(
                f"{self.name} cannot be read behind row {rows.line}: {error.strerror}",
                remedy="the replay ends here",
            ) from error
        if row is None:
            return SourceSignal.END_OF_STREAM
        self._parse(row, rows.line)
        self._places.add(rows.line)
        return self._numbers.buffer

    def _check_parameters(self) -> None:
        if not self.columns:
            raise ConfigurationError("columns is empty", remedy="name the columns to read")
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ConfigurationError(f"columns names {twice[0]!r} twice", remedy="name it once")
        self._check_schedule()

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
        for index, field in enumerate(self._fields):
            text = row[field]
            try:
                value = float(text)
            except ValueError:
                raise self._refusal(line, index, f"{_shown(text)} is not a number") from None
            if "_" in text:
                raise self._refusal(line, index, f"{_shown(text)} is not a number")
            try:
                self._numbers.put(index, value)
            except ValueError as error:
                raise self._refusal(line, index, str(error)) from None

    def _refusal(self, line: int, index: int, reason: str) -> SensorError:
        return SensorError(f"{self.path.name} row {line}, column {self.columns[index]!r}: {reason}")


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
