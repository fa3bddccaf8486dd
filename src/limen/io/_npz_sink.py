"""Results as arrays of an .npz file."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from limen.errors import Code, ConfigurationError, LifecycleError, OutputError
from limen.io._files import require_place
from limen.message import Message
from limen.node import Sink
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks, require_whole

_SEQUENCE = "sequence"
_TIME = "time_ns"


class NpzSink(Sink):
    """Keeps up to a declared number of tensors and writes them to an .npz file when it closes.

    The file holds the array ``key`` with one row a message, and beside it ``sequence`` and
    ``time_ns``, the creation of each: ``NpzSource`` replays it with ``time_key = "time_ns"`` and
    ``time_unit = "ns"``.

    An .npz file cannot grow, so everything lies in memory until ``close``: ``max_rows`` rows and 16
    bytes for each, reserved at ``open``, beside the graph's own memory bound. The file is written
    at the end, beside one that is there already, which it replaces once it is complete; a process
    that is killed leaves none. A message behind the last row is an error and counted; the rows
    before it are written.

    Args:
        path: The file.
        max_rows: How many messages it takes.
        key: Name of the array.
    """

    def __init__(self, path: str | Path, max_rows: int, *, key: str = "value") -> None:
        self.path = Path(path)
        self.max_rows = require_whole("max_rows", max_rows)
        if not key.isidentifier() or key in (_SEQUENCE, _TIME):
            raise ConfigurationError(
                f"key is {key!r}", remedy=f"give a name other than {_SEQUENCE} and {_TIME}"
            )
        self.key = key
        self._clock: PlatformClock | None = None
        self._rows: dict[str, NDArray[np.generic]] = {}
        self._count = 0

    def prepare(self) -> None:
        """Check that the file can lie where it should."""
        require_place(self.path)

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Reserve the rows."""
        if not isinstance(spec, TensorSpec) or spec.dtype is DataType.BF16:
            what = "bf16" if isinstance(spec, TensorSpec) else f"a {spec.type.__qualname__}"
            raise OutputError(
                f"{self.path.name} cannot hold {what}", remedy="connect a tensor of another type"
            )
        self.prepare()
        self._count = 0
        try:
            self._rows = {
                self.key: np.zeros((self.max_rows, *spec.fixed_shape), spec.dtype.numpy_dtype()),
                _SEQUENCE: np.zeros(self.max_rows, np.int64),
                _TIME: np.zeros(self.max_rows, np.int64),
            }
            for array in self._rows.values():
                array.fill(0)  # touched now, so that it is there when it is needed
        except (MemoryError, ValueError) as error:
            raise OutputError(
                f"{self.max_rows} rows of {spec.size_bytes} bytes cannot be reserved: {error}",
                remedy="lower max_rows",
            ) from error
        try:
            self._part.touch()
        except OSError as error:
            raise self._refusal(error) from error
        self._clock = clock

    def consume(self, message: Message, now: Ticks) -> None:
        """Keep one row."""
        if self._clock is None:
            raise LifecycleError(f"{self.path} is written before open or after close")
        if self._count == self.max_rows:
            raise OutputError(
                f"{self.path.name} is full: it takes {self.max_rows} rows", remedy="raise max_rows"
            )
        header = message.header
        self._rows[self.key][self._count] = np.asarray(message.payload)
        self._rows[_SEQUENCE][self._count] = header.sequence
        self._rows[_TIME][self._count] = self._clock.ticks_to_nanos(header.creation_tick)
        self._count += 1

    def close(self) -> None:
        """Write the file; idempotent."""
        rows, self._rows = self._rows, {}
        if self._clock is None:
            return
        self._clock = None
        try:
            with zipfile.ZipFile(self._part, "w") as archive:
                for key, array in rows.items():
                    with archive.open(key + ".npy", "w", force_zip64=True) as member:
                        npy.write_array(member, array[: self._count], allow_pickle=False)
            self._part.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._part.unlink()
            raise self._refusal(error, Code.OUTPUT_FLUSH) from error

    @property
    def _part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    def _refusal(self, error: OSError, code: Code = Code.OUTPUT_WRITE) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {error.strerror}", code=code)
