"""Names for the axes of common tensors; views over NumPy arrays, nothing is copied."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError, PayloadMismatchError
from limen.types import DataType, TensorSpec


class Layout(enum.Enum):
    """A common order of axes; the value is their names."""

    SCALAR = ()
    VECTOR = ("element",)
    MATRIX = ("row", "column")
    SEQUENCE = ("time", "feature")
    HWC = ("height", "width", "channel")
    NHWC = ("batch", "height", "width", "channel")
    NCHW = ("batch", "channel", "height", "width")

    def spec(self, dtype: DataType, **lengths: int) -> TensorSpec:
        """Return the spec of such a tensor; axes without a length stay named.

        Raises:
            ConfigurationError: A length is given for an axis that it does not have.
        """
        _check_names(self, lengths)
        return TensorSpec(dtype, tuple(lengths.get(axis, axis) for axis in self.value))


@dataclass(frozen=True, slots=True, eq=False)
class TensorView:
    """An array whose axes have names.

    Args:
        array: The array itself, not a copy.
        layout: What its axes are.

    Raises:
        PayloadMismatchError: It has another number of axes.
    """

    array: NDArray[np.generic]
    layout: Layout

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray) or self.array.ndim != len(self.layout.value):
            given = getattr(self.array, "shape", type(self.array).__qualname__)
            raise PayloadMismatchError(
                f"{given} is no {self.layout.name.lower()} of axes {', '.join(self.layout.value)}",
                remedy=f"give an array of {len(self.layout.value)} axes",
            )

    def axis(self, name: str) -> int:
        """Return the place of an axis.

        Raises:
            ConfigurationError: There is none of that name.
        """
        _check_names(self.layout, {name: 0})
        return tuple(self.layout.value).index(name)

    def length(self, name: str) -> int:
        """Return the length of an axis."""
        return int(self.array.shape[self.axis(name)])

    def at(self, **places: int) -> NDArray[np.generic]:
        """Return the view at these places, without those axes: ``view.at(batch=0, channel=2)``."""
        _check_names(self.layout, places)
        index = tuple(places.get(name, slice(None)) for name in self.layout.value)
        # With the ellipsis what is left without axes is a view too, not a copied value.
        return self.array[(*index, ...)]

    def to(self, layout: Layout) -> TensorView:
        """Return the view with its axes in another order; a batch of one is made where it lacks.

        Raises:
            ConfigurationError: The other layout has other axes.
        """
        names, array = self.layout.value, self.array
        if "batch" in layout.value and "batch" not in names:
            names, array = ("batch", *names), array[np.newaxis]
        if sorted(names) != sorted(layout.value):
            raise ConfigurationError(
                f"a {self.layout.name.lower()} is no {layout.name.lower()}",
                remedy=f"its axes are {', '.join(self.layout.value) or 'none'}; reshape the array",
            )
        return TensorView(array.transpose([names.index(name) for name in layout.value]), layout)


def scalar(array: NDArray[np.generic]) -> TensorView:
    """View an array without axes."""
    return TensorView(array, Layout.SCALAR)


def vector(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View an array of one axis; ``element=6`` asks for that length, here and below."""
    return _checked(array, Layout.VECTOR, lengths)


def matrix(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View an array of rows and columns."""
    return _checked(array, Layout.MATRIX, lengths)


def sequence(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View an array of instants, each with its features."""
    return _checked(array, Layout.SEQUENCE, lengths)


def hwc(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View one image, channels last."""
    return _checked(array, Layout.HWC, lengths)


def nhwc(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View a batch of images, channels last."""
    return _checked(array, Layout.NHWC, lengths)


def nchw(array: NDArray[np.generic], **lengths: int) -> TensorView:
    """View a batch of images, channels before height and width."""
    return _checked(array, Layout.NCHW, lengths)


def _checked(array: NDArray[np.generic], layout: Layout, lengths: dict[str, int]) -> TensorView:
    view = TensorView(array, layout)
    for name, wanted in lengths.items():
        if view.length(name) != wanted:
            raise PayloadMismatchError(
                f"axis {name} of {list(array.shape)} is {view.length(name)}, not {wanted}",
                remedy=f"a {layout.name.lower()} has the axes {', '.join(layout.value)}",
            )
    return view


def _check_names(layout: Layout, names: dict[str, int]) -> None:
    for name in names:
        if name not in layout.value:
            raise ConfigurationError(
                f"a {layout.name.lower()} has no axis {name!r}",
                remedy=f"its axes are {', '.join(layout.value) or 'none'}",
            )
