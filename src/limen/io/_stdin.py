"""What another program writes into our standard input, as it comes."""

from __future__ import annotations

import abc
import contextlib
import os
import select
from typing import Final

import numpy as np

from limen.errors import Code, LifecycleError, SensorError
from limen.io._json_values import JsonValues
from limen.io._numbers import native_type
from limen.io._places import Places
from limen.io._raw import ByteOrder, order_mark
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.types import (
    ObjectSpec,
    PayloadSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    require_whole,
)

_CHUNK: Final = 1 << 16
_CHUNKS: Final = 16
_LONGEST_LINE: Final = 1 << 20


class _StdinSource(Source):
    """Takes what is there and never waits; holds one incomplete entry and what was read with it.

    It can be held back: whoever writes into the pipe waits then. What cannot wait, such as a
    recorder of sound, loses there, where Limen does not see it: say ``live`` for such a writer.
    Messages are created as they are read, as nothing says when they were made. The bytes that
    another reader of the same standard input takes are not seen; those that ``sys.stdin`` has
    buffered before, neither.

    Args:
        live: Whether the writer loses something if it has to wait.
        descriptor: What to read instead of standard input.
    """

    entry = "line"

    def __init__(self, *, live: bool = False, descriptor: int = 0) -> None:
        self.pausable = not live
        self.descriptor = require_whole("descriptor", descriptor, 0)
        self._held = bytearray()
        self._scanned = 0
        self._at_end = False
        self._is_open = False
        self._number = 0
        self._places = Places()

    @property
    def name(self) -> str:
        """What is read, for messages."""
        return "standard input" if self.descriptor == 0 else f"descriptor {self.descriptor}"

    def prepare(self) -> None:
        """Check that there is something to read."""
        try:
            os.fstat(self.descriptor)
        except OSError as error:
            raise SensorError(
                f"{self.name} is closed",
                code=Code.SENSOR_OPEN,
                remedy="start with a pipe or a file as standard input",
            ) from error

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin where reading has come to: standard input cannot be rewound."""
        self.prepare()
        self._is_open = True
        self._places.clear()

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next entry if it is there as a whole."""
        if not self._is_open:
            raise LifecycleError(f"{self.name} is read before open or after close")
        payload = None
        while payload is None:
            data = self._take_or_read()
            if data is None:
                break
            self._number += 1
            payload = self._payload(data)
        if payload is None:
            if not self._at_end:
                return SourceSignal.NOTHING_NOW
            payload = self._take_rest()
        if payload is None:
            return SourceSignal.END_OF_STREAM
        self._places.add(self._number)
        return Produced(payload)

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Return the place in the input of a message; None where it is forgotten."""
        number = self._places.find(sequence)
        return None if number is None else f"{self.name} {self.entry} {number}"

    def close(self) -> None:
        """Stop reading; standard input stays open. Idempotent."""
        self._is_open = False

    @abc.abstractmethod
    def _take(self) -> bytes | None:
        """Take one whole entry from what is held."""

    @abc.abstractmethod
    def _payload(self, data: bytes) -> object:
        """Make a payload of an entry; None of a blank one."""

    def _last(self, data: bytes) -> object:
        """Make a payload of what stands behind the last whole entry."""
        return self._payload(data)

    def _take_or_read(self) -> bytes | None:
        """Take one whole entry, and read as long as there is none; at most some chunks a call."""
        for _ in range(_CHUNKS):
            data = self._take()
            if data is not None or self._at_end or not self._read_some():
                return data
        return self._take()

    def _take_rest(self) -> object:
        """Make a payload of what stands behind the last whole entry."""
        rest = bytes(self._held)
        self._held.clear()
        self._scanned = 0
        if not rest:
            return None
        self._number += 1
        return self._last(rest)

    def _read_some(self) -> bool:
        """Read what is there; whether there was anything, be it the end."""
        try:
            # Not by O_NONBLOCK: the open file is shared with the terminal and with other programs.
            if not select.select([self.descriptor], (), (), 0)[0]:
                return False
            data = os.read(self.descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            self._at_end = True
            self._held.clear()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SensorError(
                f"{self.name} cannot be read behind {self.entry} {self._number}: {reason}",
                remedy="the stream ends here",
            ) from error
        self._at_end = not data
        self._held += data
        return True

    def _refusal(self, reason: str) -> SensorError:
        return SensorError(f"{self.name} {self.entry} {self._number}: {reason}")


class _StdinLines(_StdinSource):
    """Lines without their ends; too long ones are passed over and reported once each."""

    def __init__(self, *, live: bool = False, descriptor: int = 0) -> None:
        super().__init__(live=live, descriptor=descriptor)
        self._skipping = False

    def _take(self) -> bytes | None:
        end = self._held.find(b"\n", self._scanned)
        if self._skipping:
            if end < 0:
                self._held.clear()
                return None
            del self._held[: end + 1]
            self._skipping = False
            end = self._held.find(b"\n")
        if end >= 0:
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            self._scanned = 0
            return line
        self._scanned = len(self._held)
        if self._scanned > _LONGEST_LINE:
            self._held.clear()
            self._scanned = 0
            self._skipping = True
            self._number += 1
            raise self._refusal(f"it is longer than {_LONGEST_LINE} bytes")
        return None


class StdinLines(_StdinLines):
    """Each line of standard input is a message: its text, without the line's end.

    A line that is not UTF-8, or longer than a mebibyte, raises SensorError with its number, and
    reading goes on behind it. Empty lines are messages.
    """

    def spec(self) -> PayloadSpec:
        """Return text."""
        return ObjectSpec(str)

    def _payload(self, data: bytes) -> object:
        try:
            return data.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise self._refusal(f"byte {error.start + 1} is not UTF-8") from None


class StdinJsonLines(_StdinLines):
    """Each line of standard input is a JSON object; what becomes of it is as in JsonLinesSource.

    Args:
        fields: Makes a tensor of these fields, which hold numbers or lists of them, in this order.
        shape: Shape of that tensor; one number a field where it is not given.
        dtype: Element type of that tensor.
        types: Makes a dict of these fields: ``bool``, ``int``, ``float``, ``str``, ``list``,
            ``object`` or ``any``.
        struct: Makes instances of this subclass of ``msgspec.Struct``; not for graph files.
        allow_nan: Whether null stands for NaN in a tensor.
        live: Whether the writer loses something if it has to wait.
        descriptor: What to read instead of standard input.
    """

    def __init__(
        self,
        *,
        fields: list[str] | None = None,
        shape: list[int] | None = None,
        dtype: str = "f32",
        types: dict[str, str] | None = None,
        struct: object = None,
        allow_nan: bool = False,
        live: bool = False,
        descriptor: int = 0,
    ) -> None:
        super().__init__(live=live, descriptor=descriptor)
        self._values = JsonValues(fields, shape, dtype, allow_nan, types, struct)

    def spec(self) -> PayloadSpec:
        """Return what lines become."""
        return self._values.spec()

    def _payload(self, data: bytes) -> object:
        if not data.strip():
            return None
        try:
            return self._values.payload(self._values.decode(data))
        except ValueError as error:
            raise self._refusal(str(error)) from None


class StdinRecords(_StdinSource):
    """Standard input is raw tensors of one size, one behind the other; what RecordsSink writes.

    Bytes behind the last whole record raise SensorError. The payload is one buffer, valid until the
    next call.

    Args:
        dtype: Element type.
        shape: Shape of one record.
        byte_order: Of the elements: ``"little"`` or ``"big"``.
        live: Whether the writer loses something if it has to wait.
        descriptor: What to read instead of standard input.
    """

    entry = "record"

    def __init__(
        self,
        dtype: str,
        shape: list[int],
        *,
        byte_order: ByteOrder = "little",
        live: bool = False,
        descriptor: int = 0,
    ) -> None:
        super().__init__(live=live, descriptor=descriptor)
        axes = tuple(require_whole("an axis of shape", axis) for axis in shape)
        self._spec = TensorSpec(native_type(dtype), axes)
        self._buffer = np.zeros(axes, self._spec.dtype.numpy_dtype())
        self._stored = self._buffer.dtype.newbyteorder(order_mark(byte_order))

    def spec(self) -> PayloadSpec:
        """Return one record."""
        return self._spec

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin where reading has come to; give a pipe room for a record, where that can be had."""
        super().open(clock, now)
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            room = fcntl.fcntl(self.descriptor, fcntl.F_GETPIPE_SZ)
            if room < self._spec.size_bytes:
                fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, self._spec.size_bytes)

    def _take(self) -> bytes | None:
        size = self._spec.size_bytes
        start, self._scanned = self._scanned, self._scanned + size
        if self._scanned <= len(self._held):
            return bytes(self._held[start : self._scanned])
        # What was taken is let go here, once a chunk: a record may be of few bytes.
        del self._held[:start]
        self._scanned = 0
        return None

    def _payload(self, data: bytes) -> object:
        if self._buffer.dtype.kind == "b":
            np.not_equal(
                np.frombuffer(data, np.uint8).reshape(self._buffer.shape), 0, out=self._buffer
            )
        else:
            self._buffer[...] = np.frombuffer(data, self._stored).reshape(self._buffer.shape)
        return self._buffer

    def _last(self, data: bytes) -> object:
        size = self._spec.size_bytes
        raise self._refusal(f"the input ends in the middle of it: {len(data)} of {size} bytes")
