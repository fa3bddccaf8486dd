"""Results as raw records: the bytes of each payload, one behind the other."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Literal

import numpy as np

from limen.errors import ConfigurationError, OutputError
from limen.io._target import TargetSink
from limen.message import Message
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks

ByteOrder = Literal["little", "big"]


def order_mark(byte_order: str) -> Literal["<", ">"]:
    """Return NumPy's sign of a byte order.

    Raises:
        ConfigurationError: It is neither.
    """
    if byte_order == "little":
        return "<"
    if byte_order == "big":
        return ">"
    raise ConfigurationError(f"byte_order is {byte_order!r}", remedy="use little or big")


class RecordsSink(TargetSink):
    """Writes the elements of each tensor row by row, or a payload of bytes as it is.

    Nothing is put before, between or behind: whoever reads it knows type and shape. Of a record
    that did not fit on the disk nothing stays in the file: the next one lies where it should.

    Args:
        path: File to write anew; None writes to standard output.
        byte_order: Of the elements: ``"little"`` or ``"big"``.
    """

    def __init__(self, path: str | Path | None = None, *, byte_order: ByteOrder = "little") -> None:
        super().__init__(path)
        self._mark = order_mark(byte_order)
        self._size = 0

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Open the file, or look up standard output."""
        if not isinstance(spec, TensorSpec) and spec.type not in (bytes, bytearray, memoryview):
            raise OutputError(
                f"a {spec.type.__qualname__} has no bytes to write",
                remedy="connect a tensor or bytes",
            )
        super().open(clock, spec)
        self._size = 0

    def consume(self, message: Message, now: Ticks) -> None:
        """Write one record."""
        _, spec = self._require_open()
        data = self._bytes(message.payload, spec)
        try:
            if self._file is not None:
                self._write_file(self._file, data)
            else:
                self._write_stdout(data)
        except (OSError, ValueError) as error:
            raise self._refusal(error) from error

    def _bytes(self, payload: object, spec: PayloadSpec) -> bytes:
        if not isinstance(spec, TensorSpec):
            return bytes(payload)  # type: ignore[call-overload,no-any-return] # as open has checked
        array = np.asarray(payload)
        return array.astype(array.dtype.newbyteorder(self._mark), copy=False).tobytes()

    def _write_file(self, file: io.FileIO, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
        except OSError:
            with contextlib.suppress(OSError):  # what is no regular file cannot be cut
                file.truncate(self._size)
                file.seek(self._size)
            raise
        self._size += len(data)

    def _write_stdout(self, data: bytes) -> None:
        binary = getattr(self._stdout, "buffer", None)
        if self._stdout is None or binary is None:
            raise ValueError("it takes no bytes" if self._stdout is not None else "there is none")
        self._stdout.flush()
        binary.write(data)
        binary.flush()
