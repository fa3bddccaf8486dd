"""Units, element types, payload specs and trace ids."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Bool, Complex64, Float, Float32, UInt8
from numpy.typing import NDArray

from limen.errors import ConfigurationError
from limen.types import (
    DataType,
    NodeIndex,
    ObjectSpec,
    PayloadSpec,
    PortIndex,
    SequenceNumber,
    TensorSpec,
    describe_spec,
    format_bytes,
    format_ns,
    make_trace_id,
    parse_duration_ns,
    parse_size_bytes,
    spec_from_annotation,
    split_trace_id,
)

_F32 = DataType.F32


@dataclass
class Detection:
    score: float


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0ns", 0),
        ("1ns", 1),
        ("5us", 5_000),
        ("5µs", 5_000),
        ("200ms", 200_000_000),
        ("1.5ms", 1_500_000),
        (" 2 s ", 2_000_000_000),
        ("3min", 180_000_000_000),
        ("1h", 3_600_000_000_000),
        ("0.000000001s", 1),
        ("123456789012345678901234567891ns", 123456789012345678901234567891),
    ],
)
def test_a_duration_is_read_exactly(text: str, ns: int) -> None:
    assert parse_duration_ns(text) == ns


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("2kB", 2000),
        ("1MB", 10**6),
        ("1GB", 10**9),
        ("64KiB", 65536),
        ("0.5MiB", 1 << 19),
        ("2GiB", 1 << 31),
    ],
)
def test_a_size_is_read_exactly(text: str, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize(
    ("value", "wrong", "right"),
    [
        (200, "200, a number without a unit", 'write it as in "200ms"'),
        (None, "None", 'write it as in "200ms"'),
        ("", "is not a number with a unit", 'write it as in "200ms"'),
        ("soon", "is not a number with a unit", 'write it as in "200ms"'),
        ("-5ms", "is not a number with a unit", 'write it as in "200ms"'),
        ("1e3ms", "is not a number with a unit", 'write it as in "200ms"'),
        ("9" * 5000 + "ms", "is not a number with a unit", 'write it as in "200ms"'),
        ("200", "has no unit", "use one of ns, us, ms, s, min, h"),
        ("200 days", "has unknown unit 'days'", "use one of ns, us, ms, s, min, h"),
        ("5 MS", "has unknown unit 'MS'", "use one of ns, us, ms, s, min, h"),
        ("0.5ns", "is finer than one ns", "round it"),
        ("1.00000000000000000000000000001s", "is finer than one ns", "round it"),
    ],
)
def test_a_wrong_duration_is_refused_with_what_would_be_right(
    value: object, wrong: str, right: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_duration_ns(value, what="slack")  # type: ignore[arg-type]
    assert caught.value.message.startswith("slack ")
    assert wrong in caught.value.message
    assert caught.value.remedy == right


@pytest.mark.parametrize(
    ("value", "wrong", "right"),
    [
        (64, "64, a number without a unit", 'write it as in "64KiB"'),
        ("KiB", "is not a number with a unit", 'write it as in "64KiB"'),
        ("64", "has no unit", "use one of B, kB, MB, GB, KiB, MiB, GiB"),
        ("64kb", "has unknown unit 'kb'", "use one of B, kB, MB, GB, KiB, MiB, GiB"),
        ("0.3B", "is finer than one B", "round it"),
    ],
)
def test_a_wrong_size_is_refused_with_what_would_be_right(
    value: object, wrong: str, right: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_size_bytes(value)  # type: ignore[arg-type]
    assert wrong in caught.value.message
    assert caught.value.remedy == right


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 µs"),
        (999_400, "999 µs"),
        (999_999, "1 ms"),
        (-2_500_000, "-2.5 ms"),
        (999_999_999, "1 s"),
        (3_600_000_000_000, "3600 s"),
    ],
)
def test_a_duration_is_printed_with_three_digits(ns: int, text: str) -> None:
    assert format_ns(ns) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB")])
def test_a_size_is_printed_with_a_binary_unit(size: int, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize("dtype", list(DataType))
def test_an_element_is_as_large_as_numpy_says(dtype: DataType) -> None:
    assert dtype.numpy_dtype().itemsize == dtype.size_bytes


@pytest.mark.parametrize("dtype", list(DataType))
def test_the_onnx_name_is_the_one_onnx_uses(dtype: DataType) -> None:
    number = onnx.helper.np_dtype_to_tensor_dtype(dtype.numpy_dtype())
    assert onnx.TensorProto.DataType.Name(number) == dtype.onnx_type.upper()
    spelled = onnx.defs.get_schema("Identity").type_constraints[0].allowed_type_strs
    assert f"tensor({dtype.onnx_type})" in spelled


@pytest.mark.parametrize("dtype", list(DataType))
def test_the_c_type_holds_one_element(dtype: DataType) -> None:
    kind = getattr(ctypes, "c_" + dtype.c_type.removesuffix("_t"))
    assert ctypes.sizeof(kind) == dtype.size_bytes


@pytest.mark.parametrize("dtype", list(DataType))
def test_a_type_is_found_by_each_of_its_names(dtype: DataType) -> None:
    for name in (dtype.value, dtype.numpy_dtype().name, dtype.onnx_type):
        assert DataType.from_name(name) is dtype


@pytest.mark.parametrize("name", ["", "F32", "complex64", "float128", "int"])
def test_an_unknown_type_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown dtype .*use one of bool, u8, .*f64"):
        DataType.from_name(name)


def test_bf16_without_its_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'limen\[bf16\]'"):
        DataType.BF16.numpy_dtype()


@pytest.mark.parametrize(
    ("annotation", "spec"),
    [
        (Float32[np.ndarray, "50 6"], TensorSpec(_F32, (50, 6))),
        (Float32[np.ndarray, "n 6"], TensorSpec(_F32, ("n", 6))),
        (Float32[np.ndarray, ""], TensorSpec(_F32, ())),
        (UInt8[np.ndarray, "8"], TensorSpec(DataType.U8, (8,))),
        (Bool[np.ndarray, "2"], TensorSpec(DataType.BOOLEAN, (2,))),
        (Annotated[NDArray[Any], TensorSpec(_F32, (3,))], TensorSpec(_F32, (3,))),
        (Annotated[object, "a note", ObjectSpec(bytes)], ObjectSpec(bytes)),
        (Annotated[bytes, "a note"], ObjectSpec(bytes)),
        (bytes, ObjectSpec(bytes)),
        (Detection, ObjectSpec(Detection)),
        (list[int], ObjectSpec(list)),
        (object, ObjectSpec(object)),
    ],
)
def test_a_spec_is_read_from_an_annotation(annotation: object, spec: PayloadSpec) -> None:
    assert spec_from_annotation(annotation) == spec


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (np.ndarray, "without a shape names no payload; annotate as Float32"),
        (NDArray[np.float32], "without a shape names no payload; annotate as Float32"),
        (Float[np.ndarray, "3"], "leaves the element type open; name one, as in Float32"),
        (Float32[np.ndarray, "..."], "write lengths or names only"),
        (Float32[np.ndarray, "_ 3"], "write lengths or names only"),
        (Float32[np.ndarray, "*batch 3"], "write lengths or names only"),
        (Float32[np.ndarray, "n+1"], "write lengths or names only"),
        (Float32[np.ndarray, "0 3"], "every axis is at least 1"),
        (Complex64[np.ndarray, "3"], "unknown dtype 'complex64'"),
        ("bytes", "names no payload; annotate with a class"),
        (None, "names no payload; annotate with a class"),
        (int | None, "names no payload; annotate with a class"),
    ],
)
def test_an_annotation_that_names_no_payload_is_refused(annotation: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        spec_from_annotation(annotation)
    assert message in str(caught.value)


@pytest.mark.parametrize("axis", [0, -1, True, 1.5, "", "3 4", "n+1", None])
def test_an_axis_that_is_neither_a_length_nor_a_name_is_refused(axis: object) -> None:
    with pytest.raises(ConfigurationError, match="at least 1, or an identifier"):
        TensorSpec(_F32, (axis,))  # type: ignore[arg-type]


def test_a_spec_refuses_a_type_name_a_list_shape_and_labels_that_do_not_fit() -> None:
    with pytest.raises(ConfigurationError, match=r"use DataType\.F32"):
        TensorSpec("f32", (1,))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="give a tuple"):
        TensorSpec(_F32, [3])  # type: ignore[arg-type]
    for shape in ((), (2,), ("n",)):
        with pytest.raises(ConfigurationError, match="give one label an entry"):
            TensorSpec(_F32, shape, ("a", "b", "c"))


def test_named_axes_are_bound_and_then_have_a_size() -> None:
    spec = TensorSpec(_F32, ("n", 6, "m"))
    assert not spec.is_fixed
    assert describe_spec(spec) == "f32[n,6,m]"
    assert describe_spec(spec.bind({"n": 2})) == "f32[2,6,m]"
    bound = spec.bind({"n": 2, "m": 3, "other": 9})
    assert bound.is_fixed
    assert bound.size_bytes == 2 * 6 * 3 * 4


@given(st.integers(0, 2**32), st.integers(0, 255), st.integers(0, 2**48 - 1))
def test_a_trace_id_gives_back_what_it_was_made_of(node: int, port: int, sequence: int) -> None:
    made = make_trace_id(NodeIndex(node), PortIndex(port), SequenceNumber(sequence))
    assert split_trace_id(made) == (node, port, sequence)


@given(st.integers(2**48, 2**80))
def test_a_sequence_past_48_bits_wraps_and_leaves_port_and_node_alone(sequence: int) -> None:
    made = make_trace_id(NodeIndex(3), PortIndex(2), SequenceNumber(sequence))
    assert split_trace_id(made) == (3, 2, sequence % 2**48)
