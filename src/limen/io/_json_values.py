"""What a line of JSON becomes: numbers in a tensor, a dict, or a Struct."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping

import msgspec

from limen.errors import ConfigurationError
from limen.io._numbers import Numbers, native_type
from limen.types import ObjectSpec, PayloadSpec, TensorSpec, nearest, require_whole

_TYPES: Mapping[str, type] = {
    "any": object,
    "bool": bool,
    "float": float,
    "int": int,
    "list": list,
    "object": dict,
    "str": str,
}


class JsonValues:
    """Reads one object a line, in one of four ways.

    Args:
        fields: Makes a tensor of these fields, which hold numbers or lists of them, in this order.
        shape: Shape of that tensor; one number a field where it is not given.
        dtype: Element type of that tensor.
        allow_nan: Whether null stands for NaN in it.
        types: Makes a dict of these fields, checked for ``bool``, ``int``, ``float``, ``str``,
            ``list``, ``object`` or ``any``; others are left out.
        struct: Makes an instance of this ``msgspec.Struct``.
        time_field: The field with the time, kept beside the payload.

    Where neither fields nor types nor struct are given, the payload is the whole object as a dict.
    """

    def __init__(
        self,
        fields: list[str] | None,
        shape: list[int] | None,
        dtype: str,
        allow_nan: bool,
        types: Mapping[str, str] | None,
        struct: object,
        time_field: str | None = None,
    ) -> None:
        if sum(way is not None for way in (fields, types, struct)) > 1:
            raise ConfigurationError(
                "more than one of fields, types and struct is given", remedy="leave all but one out"
            )
        if shape is not None and fields is None:
            raise ConfigurationError("shape is given without fields", remedy="name the fields")
        self.time_field = time_field
        self._fields = fields
        self._numbers: Numbers | None = None
        self._drop_time = False
        if fields is not None:
            self._numbers = _numbers(fields, shape, dtype, allow_nan)
            self._decoder = msgspec.json.Decoder(dict[str, object])
            self._spec: PayloadSpec = TensorSpec(self._numbers.dtype, self._numbers.buffer.shape)
            return
        wanted: object = dict[str, object]
        self._spec = ObjectSpec(dict)
        if types is not None:
            wanted = self._typed(types)
        elif struct is not None:
            if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
                raise ConfigurationError(
                    f"struct is {struct!r}", remedy="give a class derived from msgspec.Struct"
                )
            if time_field is not None and time_field not in struct.__struct_fields__:
                raise ConfigurationError(
                    f"{struct.__qualname__} has no field {time_field!r}",
                    remedy=nearest(time_field, struct.__struct_fields__),
                )
            wanted, self._spec = struct, ObjectSpec(struct)
        self._decoder = msgspec.json.Decoder(wanted)

    def spec(self) -> PayloadSpec:
        """Return what lines become."""
        return self._spec

    def decode(self, line: bytes) -> object:
        """Read a line.

        Raises:
            ValueError: It is not JSON, or not of the types that are wanted; the text says why.
        """
        try:
            return self._decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ValueError(str(error)) from None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def time_of(self, decoded: object) -> object:
        """Return the value of the time field.

        Raises:
            ValueError: It is missing.
        """
        name = str(self.time_field)
        if not isinstance(decoded, dict):
            return getattr(decoded, name)
        if name not in decoded:
            raise ValueError(f"field {name!r} is missing")
        return decoded[name]

    def payload(self, decoded: object) -> object:
        """Make the payload; that of a tensor is one buffer, valid until the next call.

        Raises:
            ValueError: A field is missing, or holds what the tensor does not; the text says why.
        """
        if self._drop_time and isinstance(decoded, dict):
            decoded.pop(self.time_field, None)
        numbers = self._numbers
        if numbers is None or self._fields is None or not isinstance(decoded, dict):
            return decoded
        count = 0
        for name in self._fields:
            if name not in decoded:
                raise ValueError(f"field {name!r} is missing")
            try:
                count = self._fill(numbers, count, decoded[name])
            except ValueError as error:
                raise ValueError(f"field {name!r}: {error}") from None
        if count != numbers.buffer.size:
            raise ValueError(f"there are {count} numbers, {numbers.buffer.size} are wanted")
        return numbers.buffer

    def _fill(self, numbers: Numbers, count: int, value: object) -> int:
        if isinstance(value, list):
            for entry in value:
                count = self._fill(numbers, count, entry)
            return count
        if value is None and numbers.allow_nan:
            value = math.nan
        if not isinstance(value, (int, float)):
            shown = "text" if isinstance(value, str) else "null" if value is None else "an object"
            raise ValueError(f"{shown} is not a number")
        if count >= numbers.buffer.size:
            raise ValueError(f"there are more than {numbers.buffer.size} numbers")
        numbers.put(count, value)
        return count + 1

    def _typed(self, types: Mapping[str, str]) -> object:
        if not types:
            raise ConfigurationError("types is empty", remedy="name the fields")
        annotations: dict[str, object] = {}
        for name, word in types.items():
            if word not in _TYPES:
                raise ConfigurationError(
                    f"types.{name} is {word!r}", remedy=nearest(str(word), _TYPES)
                )
            annotations[name] = _TYPES[word]
        if self.time_field is not None and self.time_field not in types:
            annotations[self.time_field] = float | int
            self._drop_time = True
        return typing.TypedDict("Line", annotations)  # type: ignore[operator] # by its names


def _numbers(fields: list[str], shape: list[int] | None, dtype: str, allow_nan: bool) -> Numbers:
    if not fields:
        raise ConfigurationError("fields is empty", remedy="name the fields to read")
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
        raise ConfigurationError(f"fields names {twice[0]!r} twice", remedy="name it once")
    axes = [len(fields)] if shape is None else shape
    whole = tuple(require_whole("an axis of shape", axis) for axis in axes)
    return Numbers(native_type(dtype), whole, allow_nan)
