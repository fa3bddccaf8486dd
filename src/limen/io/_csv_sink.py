"""Results as rows of a CSV file."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import msgspec
import numpy as np

from limen.errors import ConfigurationError, OutputError
from limen.io._lines import LineSink
from limen.message import Message
from limen.platform import PlatformClock
from limen.types import ObjectSpec, PayloadSpec, TensorSpec

_OWN = ("sequence", "time_s")
_NS_PER_SECOND = 1_000_000_000


class CsvSink(LineSink):
    """Writes one row a message below a header: sequence, creation in seconds, the payload.

    A tensor's entries are columns, named by its labels, or ``v0``, ``v1`` and so on; a Struct's or
    dataclass's fields are; of a dict those that ``columns`` names; anything else is one column
    ``value``. Numbers are written so that reading them gives the same again.

    Args:
        path: File to write anew; None writes to standard output.
        columns: Names of the payload's columns; for a dict, a Struct or a dataclass, which fields.
    """

    def __init__(self, path: str | Path | None = None, columns: list[str] | None = None) -> None:
        super().__init__(path)
        if columns is not None:
            _check_columns(columns)
        self.columns = columns
        self._names: tuple[str, ...] = ()
        self._by_name = False

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Open the file and write the header."""
        self._names, self._by_name = _columns(spec, self.columns)
        super().open(clock, spec)
        try:
            self._write_line(_row((*_OWN, *self._names)))
        except OutputError:
            self.close()
            raise

    def _line(self, message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock) -> str:
        created = clock.ticks_to_nanos(message.header.creation_tick)
        seconds, rest = divmod(created, _NS_PER_SECOND)
        values = self._values(message.payload, spec)
        return _row([message.header.sequence, f"{seconds}.{rest:09}", *values])

    def _values(self, payload: object, spec: PayloadSpec) -> list[object]:
        if isinstance(spec, TensorSpec):
            return [_shown(entry) for entry in np.asarray(payload).reshape(-1)]
        if not self._by_name:
            return [_shown(payload)]
        if isinstance(payload, dict):
            return [_shown(payload.get(name)) for name in self._names]
        return [_shown(getattr(payload, name)) for name in self._names]


def _columns(spec: PayloadSpec, columns: list[str] | None) -> tuple[tuple[str, ...], bool]:
    """Return the names of the payload's columns, and whether they are fields of it."""
    if isinstance(spec, TensorSpec):
        count = spec.size_bytes // spec.dtype.size_bytes
        if columns is not None and len(columns) != count:
            raise ConfigurationError(
                f"columns names {len(columns)}, the tensor has {count} entries",
                remedy="name each entry, or leave columns out",
            )
        labels = spec.labels if len(spec.labels) == count else ()
        return tuple(columns or labels or [f"v{index}" for index in range(count)]), False
    fields = _fields(spec)
    if columns is not None:
        known = fields or columns
        unknown = [name for name in columns if name not in known]
        if unknown:
            raise ConfigurationError(
                f"{spec.type.__qualname__} has no field {unknown[0]!r}",
                remedy="known: " + ", ".join(known),
            )
        return tuple(columns), bool(fields) or spec.type is dict
    if spec.type is dict:
        raise ConfigurationError(
            "a dict does not say which columns it has", remedy="name them in columns"
        )
    return fields or ("value",), bool(fields)


def _fields(spec: ObjectSpec) -> tuple[str, ...]:
    if issubclass(spec.type, msgspec.Struct):
        return spec.type.__struct_fields__
    if dataclasses.is_dataclass(spec.type):
        return tuple(field.name for field in dataclasses.fields(spec.type))
    return ()


def _check_columns(columns: list[str]) -> None:
    if not columns:
        raise ConfigurationError("columns is empty", remedy="name them, or leave columns out")
    for name in columns:
        if columns.count(name) > 1 or name in _OWN:
            raise ConfigurationError(f"columns names {name!r} twice", remedy="rename one")


def _row(values: tuple[object, ...] | list[object]) -> str:
    text = io.StringIO()
    # What the line's end is made of is what the writer puts into quotes.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n")


def _shown(value: object) -> object:
    # NumPy's text of a float is the shortest that gives the same again at its own precision.
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    return str(value) if isinstance(value, np.generic) else value
