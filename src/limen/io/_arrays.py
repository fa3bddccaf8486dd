"""Arrays in .npy and .npz files, read row by row and never unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from limen.errors import Code, LimenError, SensorError
from limen.io._files import not_opened, require_file
from limen.types import DataType, nearest

_WHAT = "NumPy .npy or .npz"
_SUFFIX = ".npy"


class ArrayRows:
    """The rows of one array, in order; holds nothing but its place in the file.

    Args:
        path: The file.
        key: Which array of an .npz file; None for an .npy file, or where there is only one.
        without: An array that is not meant where no key is given.

    Attributes:
        name: File and key, for messages.
        dtype: Element type of the rows, in the byte order of the machine.
        rows: How many there are.
        shape: Shape of one row; that of a one-dimensional array is (1,).

    Raises:
        SensorError: The file is missing, malformed, cut short, or holds no such array of numbers.
    """

    def __init__(self, path: Path, key: str | None = None, without: str | None = None) -> None:
        require_file(path, _WHAT)
        self.name = path.name
        self._archive: zipfile.ZipFile | None = None
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise not_opened(path, error, _WHAT) from error
        self._stream: IO[bytes] = self._file
        try:
            with self._explained():
                size = self._find(path, key, without)
                self._read_header(size)
        except BaseException:
            self.close()
            raise

    def next_row(self) -> NDArray[np.generic] | None:
        """Return the next row as the file holds it, None behind the last.

        Raises:
            SensorError: The file cannot be read on.
        """
        if self._number == self.rows:
            return None
        with self._explained(f" behind row {self._number}"):
            data = self._take(self._row_bytes)
        self._number += 1
        return np.frombuffer(data, self._stored).reshape(self.shape)

    def read_all(self, chunk: int = 4096) -> Iterator[NDArray[np.generic]]:
        """Yield what is left, some rows at a time."""
        while self._number < self.rows:
            count = min(chunk, self.rows - self._number)
            with self._explained(f" behind row {self._number}"):
                data = self._take(count * self._row_bytes)
            self._number += count
            yield np.frombuffer(data, self._stored).reshape(count, *self.shape)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._stream.close()
        if self._archive is not None:
            self._archive.close()
        self._file.close()

    def refusal(self, reason: str, remedy: str = "") -> SensorError:
        """Return the error for an array that cannot be replayed."""
        return SensorError(f"{self.name} {reason}", code=Code.SENSOR_CONFIGURATION, remedy=remedy)

    def _find(self, path: Path, key: str | None, without: str | None) -> int:
        """Go to the array; return its size with header, in bytes."""
        start = self._stream.read(6)
        self._stream.seek(0)
        if start == npy.MAGIC_PREFIX:
            if key is not None:
                raise self.refusal(f"is one array and has no key {key!r}", "leave the key out")
            return path.stat().st_size
        if not start.startswith(b"PK"):
            raise self.refusal("is neither an .npy nor an .npz file", "save it with numpy.save")
        self._archive = zipfile.ZipFile(self._file)
        names = self._archive.namelist()
        keys = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
        if key is None:
            found = [name for name in keys if name != without]
            if len(found) != 1:
                listed = ", ".join(found)
                raise self.refusal(
                    f"holds {len(found)} arrays" + (f": {listed}" if found else ""),
                    "name one as key" if found else "save one with numpy.savez",
                )
            key = found[0]
        elif key not in keys:
            raise self.refusal(f"has no array {key!r}", nearest(key, keys))
        self.name = f"{self.name}[{key}]"
        member = self._archive.getinfo(key + _SUFFIX)
        self._stream = self._archive.open(member)
        return member.file_size

    def _read_header(self, size: int) -> None:
        version = npy.read_magic(self._stream)
        if version == (1, 0):
            shape, fortran, stored = npy.read_array_header_1_0(self._stream)
        elif version == (2, 0):
            shape, fortran, stored = npy.read_array_header_2_0(self._stream)
        else:
            raise self.refusal(f"is of format version {version}", "save an array of numbers")
        if stored.hasobject:
            raise self.refusal("holds pickled objects", "save numbers: nothing is unpickled")
        try:
            self.dtype = DataType.from_name(stored.newbyteorder("=").name)
        except LimenError:
            raise self.refusal(
                f"has elements of type {stored}", "save truth values, integers or floats"
            ) from None
        if not shape:
            raise self.refusal("is a single number", "save an array with one row a message")
        if fortran and len(shape) > 1:
            raise self.refusal(
                "lies column by column", "save numpy.ascontiguousarray of it, row by row"
            )
        self.rows, self.shape = shape[0], tuple(shape[1:]) or (1,)
        if self.rows < 0 or min(self.shape) < 1:
            raise self.refusal(f"has shape {shape}", "every row needs at least one element")
        self._stored = stored
        self._number = 0
        self._row_bytes = stored.itemsize * math.prod(self.shape)
        there = (size - self._stream.tell()) // self._row_bytes
        if there < self.rows:
            raise self.refusal(
                f"is cut short: {max(there, 0)} of {self.rows} rows are there", "save it again"
            )

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("the file ends")
        return data

    @contextmanager
    def _explained(self, where: str = "") -> Iterator[None]:
        try:
            yield
        except LimenError:
            raise
        except OSError as error:
            raise SensorError(
                f"{self.name} cannot be read{where}: {error.strerror or error}"
            ) from error
        except Exception as error:  # what a malformed archive or header raises is not stated
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SensorError(
                f"{self.name} is malformed{where}: {reason}",
                code=Code.SENSOR_READ if where else Code.SENSOR_CONFIGURATION,
                remedy="save it again",
            ) from error
