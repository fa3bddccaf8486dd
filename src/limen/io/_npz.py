"""Replay of recorded NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from limen.errors import ConfigurationError, SensorError
from limen.io._arrays import ArrayRows
from limen.io._places import Places
from limen.io._replay import Replay, Speed
from limen.io._times import TimeUnit, time_ns, unit_ns
from limen.node import SourceSignal
from limen.platform import PlatformClock
from limen.types import SequenceNumber, TensorSpec, Ticks


class NpzSource(Replay):
    """Replays an array of an .npz or .npy file, one row a message.

    The file is read row by row, compressed or not; only one row of it is held. A row with a value
    that is not finite raises SensorError with its number, from 0, and the replay goes on behind it.
    The payload is one buffer, valid until the next call. Of a one-dimensional array each element is
    a message of shape (1,). Nothing is ever unpickled.

    Args:
        path: The file.
        key: Which array of an .npz file; None for an .npy file, or where there is only one.
        rate_hz: Rows a second as recorded; None with ``time_key``, or where the speed is ``"max"``.
        speed: Multiple of the recorded rate, or ``"max"`` for as fast as it goes.
        time_key: An array of the same file with the time of each row; the first one is the start.
        time_unit: Unit of these times.
        allow_nan: Whether NaN and infinities are values.
    """

    def __init__(
        self,
        path: str | Path,
        key: str | None = None,
        *,
        rate_hz: float | None = None,
        speed: Speed = 1.0,
        time_key: str | None = None,
        time_unit: TimeUnit = "s",
        allow_nan: bool = False,
    ) -> None:
        self.path = Path(path)
        super().__init__(self.path.name, rate_hz, speed, has_times=time_key is not None)
        self.key = key
        self.time_key = time_key
        self.allow_nan = allow_nan
        self._unit = unit_ns(time_unit)
        self._spec: TensorSpec | None = None
        self._buffer = np.zeros(0)
        self._rows: ArrayRows | None = None
        self._times: Iterator[int] | None = None
        self._time_rows: ArrayRows | None = None
        self._number = 0
        self._places = Places()

    def prepare(self) -> None:
        """Check parameters, header, length, and that times do not go back."""
        self._check_schedule()
        rows = ArrayRows(self.path, self.key, self.time_key)
        rows.close()
        self._spec = TensorSpec(rows.dtype, rows.shape)
        if self.time_key is not None:
            times = self._open_times(rows)
            try:
                for _ in self._checked(times):
                    pass
            finally:
                times.close()

    def spec(self) -> TensorSpec:
        """Return one row."""
        if self._spec is None:
            raise ConfigurationError(f"{self.name} has not been prepared", remedy="call prepare")
        return self._spec

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin at the first row, which is due now."""
        self.close()
        self._check_schedule()
        self._rows = rows = ArrayRows(self.path, self.key, self.time_key)
        if TensorSpec(rows.dtype, rows.shape) != self._spec:
            self.close()
            raise rows.refusal("has changed since it was checked", "start anew")
        self._buffer = np.zeros(rows.shape, rows.dtype.numpy_dtype())
        self._number = 0
        self._places.clear()
        first: int | None = 0
        if self.time_key is not None:
            self._time_rows = self._open_times(rows)
            self._times = self._checked(self._time_rows)
            first = next(self._times, None)
        self._begin(clock, now, first or 0)

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the array's row of a message; None where it was not read or is forgotten."""
        row = self._places.find(sequence)
        if row is None or self._rows is None:
            return None
        return f"{self._rows.name} row {row}"

    def close(self) -> None:
        """Close the file; idempotent."""
        super().close()
        for rows in (self._rows, self._time_rows):
            if rows is not None:
                rows.close()
        self._time_rows = self._times = None

    def _read(self) -> object:
        rows = self._rows
        if rows is None:
            return SourceSignal.END_OF_STREAM
        number = self._number
        self._number += 1
        try:
            row = rows.next_row()
            self._position = self._next_position()
        except SensorError:
            # Nothing behind a place that cannot be read is where it should be.
            self._ended = True
            raise
        if row is None:
            return SourceSignal.END_OF_STREAM
        if row.dtype.kind == "b":
            np.not_equal(row.view(np.uint8), 0, out=self._buffer)
        else:
            self._buffer[...] = row
        if not self.allow_nan and row.dtype.kind == "f" and not np.isfinite(row).all():
            raise SensorError(f"{rows.name} row {number}: a value is not a finite number")
        self._places.add(number)
        return self._buffer

    def _next_position(self) -> int:
        if self._times is None:
            return self._position + 1
        return next(self._times, self._position)

    def _open_times(self, rows: ArrayRows) -> ArrayRows:
        times = ArrayRows(self.path, self.time_key)
        if times.shape != (1,) or times.rows != rows.rows:
            times.close()
            raise times.refusal(
                f"has {times.rows} rows of shape {times.shape}, {rows.name} has {rows.rows} rows",
                "give one time a row",
            )
        return times

    def _checked(self, times: ArrayRows) -> Iterator[int]:
        last: int | None = None
        number = 0
        for chunk in times.read_all():
            for value in chunk[:, 0].tolist():
                try:
                    now = time_ns(value, self._unit)
                except ValueError as error:
                    raise times.refusal(f"row {number}: {error}", "give finite numbers") from None
                if last is not None and now < last:
                    raise times.refusal(f"row {number} is before row {number - 1}", "sort the rows")
                yield now
                last = now
                number += 1
