"""What a port carries: tensors of a known shape, or Python objects by reference."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limen.errors import ConfigurationError
from limen.types._checks import require_whole
from limen.types._dtypes import DataType


@dataclass(frozen=True, slots=True)
class UpTo:
    """The bound of an axis whose length each message has for itself, from 0 on.

    In a shape: ``TensorSpec(DataType.F32, (UpTo(100), 4))``. Beside an annotation, where it bounds
    a named axis: ``Annotated[Float32[np.ndarray, "n 4"], UpTo(100, axis="n")]``.

    Args:
        length: The most, at least 1.
        axis: The axis that it bounds in an annotation; not needed where only one has a name.
    """

    length: int
    axis: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", require_whole("a bound", self.length))

    def __str__(self) -> str:
        return f"<={self.length}"


Axis = int | str | UpTo


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A dense array of one element type.

    Args:
        dtype: Element type.
        shape: Axis lengths; a name stands for an axis that another port decides, ``UpTo`` for one
            whose length each message decides.
        labels: Names of the entries of the last axis, for example the classes of a model.
    """

    dtype: DataType
    shape: tuple[Axis, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _is_a(self.dtype, DataType):
            raise ConfigurationError(
                f"dtype is {self.dtype!r}", remedy='use DataType.F32 or DataType.from_name("f32")'
            )
        if not _is_a(self.shape, tuple):
            raise ConfigurationError(
                f"shape is {self.shape!r}", remedy="give a tuple of lengths and names"
            )
        # A bound's name says where it goes in an annotation; in its place it needs none.
        plain = tuple(UpTo(a.length) if isinstance(a, UpTo) else a for a in self.shape)
        object.__setattr__(self, "shape", plain)
        for axis in self.shape:
            if not _is_axis(axis):
                raise ConfigurationError(
                    f"axis {axis!r} of shape {self.shape} is not a length or a name",
                    remedy="every axis is at least 1, or an identifier, or UpTo(length)",
                )
        if self.labels and (not self.shape or self.shape[-1] != len(self.labels)):
            raise ConfigurationError(
                f"{len(self.labels)} labels do not fit the last axis of shape {self.shape}",
                remedy="give one label an entry",
            )

    @property
    def is_fixed(self) -> bool:
        """Whether every axis has a known length."""
        return all(isinstance(axis, int) for axis in self.shape)

    @property
    def is_bounded(self) -> bool:
        """Whether every axis has a length or a bound, so that memory can be reserved."""
        return not any(isinstance(axis, str) for axis in self.shape)

    @property
    def fixed_shape(self) -> tuple[int, ...]:
        """The shape as integers; only for a spec that ``is_fixed``."""
        if not self.is_fixed:
            raise ConfigurationError(f"{describe_spec(self)} has no fixed shape")
        return self.max_shape

    @property
    def max_shape(self) -> tuple[int, ...]:
        """The shape at its largest; only for a spec that ``is_bounded``."""
        if not self.is_bounded:
            raise ConfigurationError(f"{describe_spec(self)} has no largest shape")
        return tuple(axis.length if isinstance(axis, UpTo) else int(axis) for axis in self.shape)

    @property
    def size_bytes(self) -> int:
        """Most payload bytes of one message; only for a spec that ``is_bounded``."""
        return self.dtype.size_bytes * math.prod(self.max_shape)

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of that shape is one of these; a named axis admits any length."""
        return len(shape) == len(self.shape) and all(
            isinstance(axis, str)
            or (length <= axis.length if isinstance(axis, UpTo) else length == axis)
            for axis, length in zip(self.shape, shape, strict=True)
        )

    def bind(self, axes: Mapping[str, int | UpTo]) -> TensorSpec:
        """Return the spec with the named axes replaced by the lengths or bounds given."""
        shape = tuple(axes.get(a, a) if isinstance(a, str) else a for a in self.shape)
        return TensorSpec(self.dtype, shape, self.labels)


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """Any Python object of one type, held by reference.

    Args:
        type: The class that payloads are instances of; ``object`` takes everything.
    """

    type: type


PayloadSpec = TensorSpec | ObjectSpec


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _is_axis(axis: object) -> bool:
    if isinstance(axis, UpTo):
        return True
    if isinstance(axis, str):
        return axis.isidentifier()
    return isinstance(axis, int) and not isinstance(axis, bool) and axis >= 1


def describe_spec(spec: PayloadSpec) -> str:
    """Print a spec as diagnostics do: ``f32[50,6]`` or the type's name."""
    if isinstance(spec, TensorSpec):
        return f"{spec.dtype.value}[{','.join(str(axis) for axis in spec.shape)}]"
    return spec.type.__qualname__


def spec_from_annotation(annotation: object) -> PayloadSpec:
    """Read a port's spec from a type annotation.

    Understood are jaxtyping arrays (recognised by their attributes, jaxtyping is not imported), a
    ``TensorSpec`` given in ``typing.Annotated``, bounds of named axes (``UpTo``) given there, and
    plain classes.

    Raises:
        ConfigurationError: The annotation names no payload.
    """
    if typing.get_origin(annotation) is typing.Annotated:
        for extra in typing.get_args(annotation)[1:]:
            if isinstance(extra, (TensorSpec, ObjectSpec)):
                return extra
        spec = spec_from_annotation(typing.get_args(annotation)[0])
        for extra in typing.get_args(annotation)[1:]:
            if isinstance(extra, UpTo):
                spec = _bounded(spec, extra)
        return spec
    dtypes = getattr(annotation, "dtypes", None)
    dim_text = getattr(annotation, "dim_str", None)
    if dim_text is not None and dtypes is not None:
        return _from_jaxtyping(annotation, dtypes, str(dim_text))
    if annotation is typing.Any:
        return ObjectSpec(object)
    if annotation is np.ndarray or typing.get_origin(annotation) is np.ndarray:
        raise ConfigurationError(
            "an array annotation without a shape names no payload",
            remedy='annotate as Float32[np.ndarray, "3 4"] (jaxtyping) or Annotated[np.ndarray, '
            "TensorSpec(...)]",
        )
    origin = typing.get_origin(annotation)
    found = origin if isinstance(origin, type) else annotation
    if not isinstance(found, type) or found is types.UnionType:
        raise ConfigurationError(
            f"annotation {annotation!r} names no payload",
            remedy="annotate with a class, a jaxtyping array or a TensorSpec",
        )
    return ObjectSpec(found)


def _bounded(spec: PayloadSpec, bound: UpTo) -> PayloadSpec:
    names = [a for a in spec.shape if isinstance(a, str)] if isinstance(spec, TensorSpec) else []
    axis = bound.axis or (names[0] if len(set(names)) == 1 else "")
    if not isinstance(spec, TensorSpec) or names.count(axis) != 1:
        raise ConfigurationError(
            f"a bound for {repr(axis) if axis else 'an axis'} does not fit {describe_spec(spec)}",
            remedy='name one axis once, as in Annotated[Float32[np.ndarray, "n 4"], '
            'UpTo(100, axis="n")]',
        )
    return spec.bind({axis: bound})


def _from_jaxtyping(annotation: object, dtypes: object, dims: str) -> TensorSpec:
    names = list(dtypes) if isinstance(dtypes, (list, tuple)) else []
    found = {str(name).removesuffix("_") for name in names}
    if len(found) != 1:
        raise ConfigurationError(
            f"annotation {annotation!r} leaves the element type open",
            remedy="name one, as in Float32",
        )
    shape: list[Axis] = []
    for word in dims.split():
        if word.isdecimal():
            shape.append(int(word))
        elif word.isidentifier() and word != "_":
            shape.append(word)
        else:
            raise ConfigurationError(
                f"axis {word!r} in {dims!r} is not a length or a name",
                remedy='write lengths or names only, as in "50 channels"',
            )
    return TensorSpec(DataType.from_name(found.pop()), tuple(shape))
