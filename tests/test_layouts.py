"""Named axes: views over arrays that share their memory, and refusals that say the axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.errors import ConfigurationError, PayloadMismatchError
from limen.message import (
    Layout,
    TensorView,
    hwc,
    matrix,
    nchw,
    nhwc,
    scalar,
    sequence,
    vector,
)
from limen.types import DataType, TensorSpec

Helper = Callable[..., TensorView]
_HELPERS: dict[Layout, Helper] = {
    Layout.SCALAR: scalar,
    Layout.VECTOR: vector,
    Layout.MATRIX: matrix,
    Layout.SEQUENCE: sequence,
    Layout.HWC: hwc,
    Layout.NHWC: nhwc,
    Layout.NCHW: nchw,
}


def array_for(layout: Layout) -> np.ndarray[Any, Any]:
    shape = tuple(range(2, 2 + len(layout.value)))
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_has_a_helper_that_views_without_a_copy(layout: Layout) -> None:
    array = array_for(layout)
    view = _HELPERS[layout](array)
    assert view.array is array
    assert view.layout is layout
    assert [view.axis(name) for name in layout.value] == list(range(array.ndim))
    assert tuple(view.length(name) for name in layout.value) == array.shape


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("more", [-1, 1])
def test_an_array_of_another_number_of_axes_is_refused(layout: Layout, more: int) -> None:
    axes = len(layout.value) + more
    if axes < 0:
        return
    with pytest.raises(PayloadMismatchError, match=f"give an array of {len(layout.value)} axes"):
        _HELPERS[layout](np.zeros((2,) * axes))


@pytest.mark.parametrize("wrong", [None, 3.0, [1, 2]])
def test_what_is_no_array_is_refused(wrong: object) -> None:
    with pytest.raises(PayloadMismatchError, match=f"{type(wrong).__name__} is no vector"):
        vector(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout.value])
def test_lengths_that_are_asked_for_are_checked_by_name(layout: Layout) -> None:
    array = array_for(layout)
    lengths = dict(zip(layout.value, array.shape, strict=True))
    assert _HELPERS[layout](array, **lengths).array is array
    for name in layout.value:
        with pytest.raises(PayloadMismatchError, match=f"axis {name} of .* not 99"):
            _HELPERS[layout](array, **{**lengths, name: 99})
    with pytest.raises(ConfigurationError, match=f"its axes are {', '.join(layout.value)}"):
        _HELPERS[layout](array, depth=3)


def test_places_are_given_by_name_and_the_rest_is_a_view() -> None:
    images = nhwc(array_for(Layout.NHWC))
    found = images.at(batch=1, channel=2)
    assert found.tolist() == images.array[1, :, :, 2].tolist()
    assert np.shares_memory(found, images.array)
    one = vector(np.zeros(3)).at(element=1)
    assert isinstance(one, np.ndarray)
    one[...] = 7
    with pytest.raises(ConfigurationError, match="has no axis 'row'"):
        images.at(row=1)
    with pytest.raises(IndexError):
        images.at(batch=2)
    with pytest.raises(ConfigurationError, match="has no axis 'x'; its axes are none"):
        scalar(np.array(1)).axis("x")


@given(st.tuples(*[st.integers(1, 4)] * 4))
def test_channels_go_back_and_forth_over_the_same_bytes(shape: tuple[int, ...]) -> None:
    images = nhwc(np.arange(np.prod(shape)).reshape(shape))
    planes = images.to(Layout.NCHW)
    assert planes.array.shape == (shape[0], shape[3], shape[1], shape[2])
    assert np.shares_memory(planes.array, images.array)
    for n in range(shape[0]):
        for c in range(shape[3]):
            assert (planes.at(batch=n, channel=c) == images.at(batch=n, channel=c)).all()
    assert (planes.to(Layout.NHWC).array == images.array).all()


def test_an_image_becomes_a_batch_of_one_in_either_order() -> None:
    image = hwc(array_for(Layout.HWC))
    assert image.to(Layout.NHWC).array.shape == (1, 2, 3, 4)
    assert image.to(Layout.NCHW).array.shape == (1, 4, 2, 3)
    assert image.to(Layout.HWC).array.tolist() == image.array.tolist()
    assert np.shares_memory(image.to(Layout.NCHW).array, image.array)


@pytest.mark.parametrize(
    ("layout", "other"),
    [
        (Layout.NHWC, Layout.HWC),
        (Layout.MATRIX, Layout.SEQUENCE),
        (Layout.VECTOR, Layout.NCHW),
        (Layout.SCALAR, Layout.VECTOR),
    ],
)
def test_a_layout_of_other_axes_is_refused(layout: Layout, other: Layout) -> None:
    with pytest.raises(ConfigurationError, match="reshape the array"):
        TensorView(array_for(layout), layout).to(other)


def test_a_layout_gives_the_spec_of_a_port() -> None:
    spec = Layout.NCHW.spec(DataType.F32, batch=1, channel=3)
    assert spec == TensorSpec(DataType.F32, (1, 3, "height", "width"))
    assert Layout.SCALAR.spec(DataType.F64) == TensorSpec(DataType.F64, ())
    with pytest.raises(ConfigurationError, match="a vector has no axis 'length'"):
        Layout.VECTOR.spec(DataType.F32, length=3)
    with pytest.raises(ConfigurationError, match="every axis is at least 1"):
        Layout.VECTOR.spec(DataType.F32, element=0)


def test_a_read_only_array_stays_so_through_every_view() -> None:
    array = array_for(Layout.NHWC)
    array.flags.writeable = False
    images = nhwc(array)
    for view in (images.array, images.at(batch=0), images.to(Layout.NCHW).array):
        assert not view.flags.writeable
