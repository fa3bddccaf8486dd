"""Payloads as tests compare them: arrays by their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import msgspec
import numpy as np


def same_payload(seen: object, wanted: object) -> bool:
    """Whether two payloads are equal: arrays by shape and values, NaN being NaN; records by field.

    A list is compared with an array by its values; the dtype is the port's business.
    """
    if isinstance(seen, np.ndarray) or isinstance(wanted, np.ndarray):
        return _same_array(seen, wanted)
    if isinstance(seen, float) and isinstance(wanted, float):
        return seen == wanted or (seen != seen and wanted != wanted)
    if isinstance(seen, Mapping) and isinstance(wanted, Mapping):
        same_keys = set(seen) == set(wanted)
        return same_keys and all(same_payload(seen[key], wanted[key]) for key in seen)
    if type(seen) is type(wanted) and (fields := _fields(seen)) is not None:
        return all(same_payload(getattr(seen, f), getattr(wanted, f)) for f in fields)
    if isinstance(seen, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return len(seen) == len(wanted) and all(map(same_payload, seen, wanted))
    return bool(seen == wanted)


def _fields(record: object) -> Sequence[str] | None:
    """Return the fields of a record; None where it is none."""
    if isinstance(record, msgspec.Struct):
        return record.__struct_fields__
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return [field.name for field in dataclasses.fields(record) if field.compare]
    return None


def _same_array(seen: object, wanted: object) -> bool:
    try:
        first, second = np.asarray(seen), np.asarray(wanted)
    except ValueError:
        return False
    if first.shape != second.shape:
        return False
    numbers = all(a.dtype.kind in "fc" or a.dtype.name == "bfloat16" for a in (first, second))
    equal = first == second
    if numbers:
        equal = equal | ((first != first) & (second != second))
    return bool(np.all(equal))


class Payloads(Sequence[object]):
    """What came out of one port, in order; ``==`` compares arrays by shape and values.

    Args:
        payloads: Of each message.
        note: What else is to be known where it is shown, for example which calls failed.
    """

    __hash__ = None  # type: ignore[assignment] # it holds arrays

    def __init__(self, payloads: Sequence[object], note: str = "") -> None:
        self._payloads = tuple(payloads)
        self._note = note

    def __len__(self) -> int:
        return len(self._payloads)

    def __iter__(self) -> Iterator[object]:
        return iter(self._payloads)

    @overload
    def __getitem__(self, index: int) -> object: ...

    @overload
    def __getitem__(self, index: slice) -> Payloads: ...

    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return Payloads(self._payloads[index], self._note)
        return self._payloads[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Payloads, list, tuple, np.ndarray)):
            return NotImplemented
        return len(self) == len(other) and all(map(same_payload, self, other))

    def close_to(self, wanted: Sequence[object], *, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
        """Whether as many arrays or numbers are equal to these within tolerances, as NumPy has it.

        Args:
            wanted: What would be right.
            rtol: Relative tolerance.
            atol: Absolute tolerance.
        """
        if len(self) != len(wanted):
            return False
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(self, wanted, strict=True)]
        return all(
            a.shape == b.shape and np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
            for a, b in pairs
        )

    def __repr__(self) -> str:
        note = f" ({self._note})" if self._note else ""
        return f"{list(self._payloads)!r}{note}"


class PortPayloads(Mapping[str, Payloads]):
    """What came out of each port; of one port alone it compares like its list.

    Args:
        ports: By port.
        note: As in ``Payloads``.
    """

    __hash__ = None  # type: ignore[assignment] # it holds arrays

    def __init__(self, ports: Mapping[str, Sequence[object]], note: str = "") -> None:
        self._ports = {port: Payloads(payloads, note) for port, payloads in ports.items()}

    def __getitem__(self, port: str) -> Payloads:
        return self._ports[port]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping):
            same_ports = set(self) == set(other)
            return same_ports and all(self[port] == other[port] for port in self)
        if len(self._ports) == 1:
            return next(iter(self._ports.values())) == other
        return NotImplemented

    def __repr__(self) -> str:
        if len(self._ports) == 1:
            return repr(next(iter(self._ports.values())))
        return repr(self._ports)
