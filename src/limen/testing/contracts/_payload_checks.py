"""Payloads as suites need them: made by seed, kept, compared, checked against a spec."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from limen.types import DataType, PayloadSpec, TensorSpec, describe_spec


def misfit(payload: object, spec: PayloadSpec) -> str | None:
    """Say in which way a payload is not what a spec describes; None if it is."""
    if not isinstance(spec, TensorSpec):
        if isinstance(payload, spec.type):
            return None
        return f"{type(payload).__qualname__} is no {describe_spec(spec)}"
    try:
        array = np.asarray(payload)
    except ValueError as error:
        return f"{type(payload).__qualname__} is no array: {error}"
    fits = spec.admits(array.shape) and np.can_cast(array.dtype, spec.dtype.numpy_dtype(), "safe")
    if fits:
        return None
    return f"{array.dtype.name}{list(array.shape)} does not fit {describe_spec(spec)}"


def kept(payload: object) -> object:
    """Return a payload as it is now, whatever its owner does with it."""
    return payload.copy() if isinstance(payload, np.ndarray) else copy.deepcopy(payload)


def same(one: object, other: object) -> bool:
    """Whether two payloads hold the same; NaN is the same as NaN, and numbers are what they are.

    An array is the same as lists of the same values.
    """
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape:
            return False
        floats = a.dtype.kind == "f" and b.dtype.kind == "f"
        return bool(np.array_equal(a, b, equal_nan=floats))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if _is_row(one) and _is_row(other):
        return all_same(one, other)  # type: ignore[arg-type] # both are sequences
    return bool(one == other)


def all_same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether two rows of payloads hold the same."""
    return len(some) == len(others) and all(
        same(one, other) for one, other in zip(some, others, strict=True)
    )


def shown(payloads: Sequence[object], most: int = 8) -> str:
    """Return payloads as messages show them: plain values, the first few."""
    listed = [
        payload.tolist() if isinstance(payload, np.ndarray) else payload for payload in payloads
    ]
    text = ", ".join(repr(value)[:60] for value in listed[:most])
    return f"[{text}{', …' if len(listed) > most else ''}]"


def tensors(spec: TensorSpec, count: int, seed: int) -> list[object]:
    """Return arrays of a bounded spec, at their largest; equal for equal seeds."""
    shape = spec.max_shape
    dice = np.random.default_rng(seed)
    most = 2 if spec.dtype is DataType.BOOLEAN else 100
    dtype = spec.dtype.numpy_dtype()
    return [dice.integers(0, most, shape).astype(dtype) for _ in range(count)]


def _is_row(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))
