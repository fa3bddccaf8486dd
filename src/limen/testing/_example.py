"""A payload of a port's type, where no device gives one: a function of spec and seed."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError
from limen.types import (
    DataType,
    ObjectSpec,
    PayloadSpec,
    TensorSpec,
    UpTo,
    describe_spec,
    require_whole,
    spec_from_annotation,
)

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_DEEPEST: Final = 8
_MOST_WORDS: Final = 1 << 16
_WORDS: Final = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")


def example_payload(spec: PayloadSpec, seed: int = 0) -> object:
    """Make a payload that a port of this type could carry; equal seeds make equal payloads.

    Floats lie from -1 to below 1, whole numbers within a byte, so that little overflows. A tensor
    of more than 65536 elements repeats them. A bounded axis is at least 1 long. Records
    (dataclasses, ``msgspec.Struct``, named tuples) are made field by field of their annotations.

    Args:
        spec: Of a tensor whose every axis has a length or a bound, or of an object.
        seed: Which of the payloads.

    Raises:
        ConfigurationError: Nothing is known of how such a payload is made.
    """
    bits = _Bits(require_whole("seed", seed, 0))
    if isinstance(spec, TensorSpec):
        return _tensor(spec, bits)
    if isinstance(spec, ObjectSpec):
        return _value(spec.type, bits, spec.type.__qualname__, 0)
    raise ConfigurationError(
        f"spec is {spec!r}", remedy="give a TensorSpec or an ObjectSpec, as a port has it"
    )


class _Bits:
    """SplitMix64, word by word or many at once."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def take(self, count: int) -> NDArray[np.uint64]:
        """Return the next words; arithmetic of arrays wraps, as it shall."""
        places = np.arange(1, count + 1, dtype=np.uint64)
        z: NDArray[np.uint64] = places * np.uint64(_GAMMA) + np.uint64(self._state)
        self._state = (self._state + count * _GAMMA) & _MASK
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to below the bound."""
        return int(self.take(1)[0]) % bound

    def unit(self) -> float:
        """Return a number from -1 to below 1."""
        return float(_units(self.take(1))[0])


def _units(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def _tensor(spec: TensorSpec, bits: _Bits) -> NDArray[np.generic]:
    if not spec.is_bounded:
        raise ConfigurationError(
            f"{describe_spec(spec)} has an axis without a length",
            remedy="give the axis a length, or a bound with UpTo(length)",
        )
    shape = tuple(
        1 + bits.below(axis.length) if isinstance(axis, UpTo) else int(axis) for axis in spec.shape
    )
    words = bits.take(min(int(np.prod(shape, dtype=np.int64)), _MOST_WORDS))
    dtype = spec.dtype.numpy_dtype()
    if spec.dtype.is_float:
        values = _units(words).astype(dtype)
    elif spec.dtype is DataType.BOOLEAN:
        values = (words & np.uint64(1)).astype(dtype)
    elif spec.dtype.value.startswith("u"):
        values = (words & np.uint64(0xFF)).astype(dtype)
    else:
        values = ((words & np.uint64(0xFF)).astype(np.int64) - 128).astype(dtype)
    return np.resize(values, shape)


_PLAIN: Final[dict[object, Callable[[_Bits], object]]] = {
    object: lambda bits: bits.unit(),
    float: lambda bits: bits.unit(),
    int: lambda bits: bits.below(256) - 128,
    bool: lambda bits: bool(bits.below(2)),
    complex: lambda bits: complex(bits.unit(), bits.unit()),
    str: lambda bits: f"{_WORDS[bits.below(len(_WORDS))]} {bits.below(100)}",
    bytes: lambda bits: bits.take(1 + bits.below(4)).tobytes(),
    bytearray: lambda bits: bytearray(bits.take(1 + bits.below(4)).tobytes()),
    memoryview: lambda bits: memoryview(bits.take(1 + bits.below(4)).tobytes()),
    type(None): lambda bits: None,
    None: lambda bits: None,
}


def _value(hint: object, bits: _Bits, place: str, depth: int) -> object:
    """Make a value that an annotation allows."""
    if depth > _DEEPEST:
        raise _unknown(place, "holds itself without an end")
    if isinstance(hint, (type, types.NoneType)) and hint in _PLAIN:
        return _PLAIN[hint](bits)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return arguments[bits.below(len(arguments))]
    if origin in (typing.Union, types.UnionType):
        # What may be nothing is nothing where records hold themselves.
        may_end = type(None) in arguments and depth > 2
        choice = type(None) if may_end else next(a for a in arguments if a is not type(None))
        return _value(choice, bits, place, depth + 1)
    if origin is typing.Annotated or hasattr(hint, "dim_str"):
        spec = spec_from_annotation(hint)
        if isinstance(spec, TensorSpec):
            return _tensor(spec, bits)
        return _value(arguments[0] if arguments else spec.type, bits, place, depth + 1)
    if hint is typing.Any:
        return bits.unit()
    container = origin if isinstance(origin, type) else hint
    if not isinstance(container, type):
        raise _unknown(place, f"is annotated {hint!r}")
    return _made(container, arguments, bits, place, depth)


def _made(kind: type, arguments: tuple[object, ...], bits: _Bits, place: str, depth: int) -> object:
    """Make an instance of a class: an enumeration, a record, a container, a NumPy scalar."""
    if issubclass(kind, enum.Enum):
        members = list(kind)
        return members[bits.below(len(members))]
    if issubclass(kind, np.generic):
        name = np.dtype(kind).name
        return kind(_tensor(TensorSpec(DataType.from_name(name), (1,)), bits)[0])
    if issubclass(kind, np.ndarray):
        raise _unknown(place, "is an array of unknown shape")
    if _is_record(kind):
        return _record(kind, bits, place, depth)
    if issubclass(kind, dict):
        key, value = arguments if len(arguments) == 2 else (str, float)
        made = _value(key, bits, place, depth + 1)
        return kind([(made, _value(value, bits, place, depth + 1))])
    if issubclass(kind, tuple) and len(arguments) > 0 and arguments[-1] is not Ellipsis:
        return kind(_value(hint, bits, place, depth + 1) for hint in arguments)
    if kind is Sequence:
        kind = tuple
    if issubclass(kind, (list, tuple, set, frozenset)):
        inner = arguments[0] if arguments else float
        return kind([_value(inner, bits, place, depth + 1) for _ in range(1 + bits.below(3))])
    raise _unknown(place, f"is a {kind.__qualname__}")


def _is_record(kind: type) -> bool:
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return named or dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)


def _record(kind: type, bits: _Bits, place: str, depth: int) -> object:
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception as error:
        raise _unknown(place, f"has annotations that cannot be read ({error})") from error
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    elif issubclass(kind, msgspec.Struct):
        names = list(kind.__struct_fields__)
    else:
        names = list(getattr(kind, "_fields", ()))
    values = {
        name: _value(hints.get(name, float), bits, f"{place}.{name}", depth + 1) for name in names
    }
    try:
        return kind(**values)
    except Exception as error:
        raise _unknown(place, f"refuses {values!r} ({type(error).__name__}: {error})") from error


def _unknown(place: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"no example of {place} can be made: it {why}",
        remedy="give payloads of your own, for a drill in feeds={…}",
    )
