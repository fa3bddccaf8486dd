"""What the suites compare payloads with, and how they see what is left behind."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from limen.testing.contracts._payload_checks import all_same, kept, misfit, same, shown, tensors
from limen.testing.contracts._resources import Held, bytes_kept, returns_within
from limen.types import DataType, ObjectSpec, TensorSpec, UpTo

NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float32([1, NAN]), np.float32([1, NAN])),
        (np.float32([1, 2]), [1, 2]),
        ([1.5], np.array([1.5])),
        (np.array([True, False]), [True, False]),
        ({"a": np.arange(2), "b": ["x"]}, {"a": [0, 1], "b": ["x"]}),
        (["a", b"b"], ("a", b"b")),
    ],
)
def test_payloads_that_hold_the_same_are_the_same(one: object, other: object) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float32([1, NAN]), np.float32([1, 2])),
        (np.zeros((2, 1)), np.zeros(2)),
        (np.zeros(2), [0.0]),
        ({"a": np.arange(2)}, {"a": [0, 2]}),
        ({"a": 1}, {"b": 1}),
        ([np.zeros(1)], [np.ones(1)]),
        ("ab", "abc"),
        ("a", ["a"]),
    ],
)
def test_payloads_that_differ_are_not_the_same(one: object, other: object) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_rows_of_different_length_are_not_the_same() -> None:
    assert all_same([1, 2], [1, 2])
    assert not all_same([1, 2], [1, 2, 3])
    assert not all_same([], [1])


def test_what_is_kept_does_not_change_with_its_origin() -> None:
    array, nested = np.zeros(2), {"a": [1]}
    held = kept(array), kept(nested)
    array[0] = 5
    nested["a"].append(2)
    assert same(held, ([0, 0], {"a": [1]}))


def test_a_misfit_is_named() -> None:
    boxes = TensorSpec(DataType.F32, (UpTo(3), 4))
    assert misfit(np.zeros((2, 4), np.float32), boxes) is None
    assert misfit(np.zeros((2, 4), np.float16), boxes) is None
    assert misfit(np.zeros((4, 4), np.float32), boxes) == "float32[4, 4] does not fit f32[<=3,4]"
    assert misfit(np.zeros((2, 4)), boxes) == "float64[2, 4] does not fit f32[<=3,4]"
    assert str(misfit([[1], [2, 3]], boxes)).startswith("list is no array")
    assert misfit("a", ObjectSpec(str)) is None
    assert misfit("a", ObjectSpec(int)) == "str is no int"


def test_tensors_are_a_function_of_their_seed() -> None:
    spec = TensorSpec(DataType.U8, (UpTo(2), 3))
    first = tensors(spec, 4, 1)
    assert all_same(first, tensors(spec, 4, 1))
    assert not all_same(first, tensors(spec, 4, 2))
    assert all(misfit(payload, spec) is None for payload in first)
    flags = TensorSpec(DataType.BOOLEAN, (50,))
    assert {bool(x) for p in tensors(flags, 1, 0) for x in np.asarray(p)} == {False, True}


def test_long_rows_of_payloads_are_shown_in_part() -> None:
    assert shown([np.arange(2), "a"]) == "[[0, 1], 'a']"
    assert shown(list(range(10)), 3) == "[0, 1, 2, …]"


def test_what_is_left_behind_is_seen_and_what_is_gone_is_not() -> None:
    held = Held()
    reader, writer = os.pipe()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="pump")
    thread.start()
    left = held.left(0.01)
    assert left == [f"descriptor {reader}", f"descriptor {writer}", "thread pump"]
    os.close(reader)
    os.close(writer)
    stop.set()
    assert held.left(30) == []


def test_what_grows_each_time_is_counted() -> None:
    kept_ones: list[bytes] = []
    assert bytes_kept(lambda: kept_ones.append(bytes(50_000))) > 40_000
    assert bytes_kept(lambda: bytes(50_000)) < 10_000
    once: dict[int, bytes] = {}
    assert bytes_kept(lambda: once.setdefault(0, bytes(50_000))) < 10_000


def test_a_call_that_does_not_come_back_is_left_to_itself() -> None:
    stop = threading.Event()
    assert returns_within(stop.wait, 0.05) == (False, None)
    stop.set()
    assert returns_within(lambda: 7, 30) == (True, 7)
    came_back, error = returns_within(lambda: 1 // 0, 30)
    assert came_back and isinstance(error, ZeroDivisionError)
