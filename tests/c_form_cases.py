"""Nodes of the library over their types, shapes and parameters; for ``test_c_forms``."""

from __future__ import annotations

from collections.abc import Iterator

from c_forms import Case
from library import NUMBERS, REALS, WHOLES, spec
from limen.node import Node
from limen.nodes import (
    Affine,
    ArgMax,
    Cast,
    Concat,
    Debounce,
    Decimate,
    JoinByTime,
    Moving,
    RateLimiter,
    Router,
    SampleAndHold,
    Split,
    Threshold,
    TopK,
    Window,
)
from limen.types import DataType, TensorSpec

ALL = tuple(dtype.value for dtype in DataType)
SHAPES = ((), (1,), (4,), (2, 3), (2, 1, 3))
LONG = 96


def one(node: Node, arriving: TensorSpec) -> Case:
    return Case(node, {"in": arriving})


def affine() -> Iterator[Case]:
    for dtype in NUMBERS:
        for shape in SHAPES:
            yield one(Affine(1.7, -0.3), spec(dtype, *shape))
    for dtype in ("u8", "s64", "f32", "f64"):
        yield one(Affine([0.1, 1e-3, -3.0], 0.25), spec(dtype, 2, 3))
        yield one(Affine(0.1, [1.0, 3e6], axis=0), spec(dtype, 2, 3))
        yield one(Affine([0.1, 1e30], [-0.0, 7.0], axis=1), spec(dtype, 2, 2, 3))
    yield one(Affine([2.0], [0.5]), spec("f32", 1))
    yield one(Affine(1e-45, 3.4028234663852886e38), spec("f32", LONG))
    yield one(Affine(5e-324, 1.7976931348623157e308), spec("f64", LONG))


def cast() -> Iterator[Case]:
    for source in ALL:
        for target in ALL:
            yield one(Cast(target), spec(source, LONG))
    for source in ("f16", "bf16", "f32", "f64"):
        for target in WHOLES:
            for rounding in ("down", "up", "zero"):
                yield one(Cast(target, rounding), spec(source, LONG))
    for target in ("f16", "bf16", "s8", "f64", "bool"):
        yield one(Cast(target), spec("f32"))
        yield one(Cast(target), spec("bf16", 2, 1))


def threshold() -> Iterator[Case]:
    for dtype in NUMBERS:
        for shape in SHAPES:
            yield one(Threshold(1, 0.5, only_changes=len(shape) == 1), spec(dtype, *shape))
    yield one(Threshold(0.1, -0.1), spec("f32", LONG))
    yield one(Threshold(255), spec("u8", LONG))
    yield one(Threshold(-127.5, -128 + 0.25, only_changes=True), spec("s8", 2))
    yield one(Threshold(2**63), spec("u64", LONG))
    yield one(Threshold(-(2.0**62)), spec("s64", LONG))


def debounce() -> Iterator[Case]:
    for dtype in ("bool", *WHOLES):
        for shape in SHAPES[:4]:
            yield one(Debounce(2), spec(dtype, *shape))
            yield one(Debounce(duration="3ns", initial=1), spec(dtype, *shape))
        yield one(Debounce(2, "4ns", only_changes=True), spec(dtype, 3))
    yield one(Debounce(1), spec("u8", 2))
    yield one(Debounce(3, initial=-(2**63), only_changes=True), spec("s64", 2))
    yield one(Debounce(3, initial=-(2**31)), spec("s32", 2))
    yield one(Debounce(2**32 - 1, initial=2**32 - 1), spec("u32"))


def argmax() -> Iterator[Case]:
    for dtype in ("bool", *NUMBERS):
        yield one(ArgMax(), spec(dtype, 1))
        yield one(ArgMax(), spec(dtype, 5))
        for axis in range(3):
            yield one(ArgMax(axis), spec(dtype, 2, 3, 4))


def top_k() -> Iterator[Case]:
    for dtype in ("bool", *NUMBERS):
        yield one(TopK(1), spec(dtype, 1))
        yield one(TopK(3), spec(dtype, 7))
        yield one(TopK(2), spec(dtype, 2, 3, 4))
        yield one(TopK(9), spec(dtype, 9))


def decimate() -> Iterator[Case]:
    for dtype in ALL:
        yield one(Decimate(3, 1), spec(dtype, 2, 3))
    yield one(Decimate(1), spec("f32"))
    yield one(Decimate(2**32 - 1), spec("f32"))


def rate_limiter() -> Iterator[Case]:
    for dtype in ALL:
        yield one(RateLimiter("5ns", 2), spec(dtype, 3))
    yield one(RateLimiter("7ns"), spec("f32"))
    yield one(RateLimiter("1ns", 2**62), spec("f32"))


def window() -> Iterator[Case]:
    for dtype in ALL:
        yield one(Window(4, 2), spec(dtype, 3))
    for size, stride in ((1, 1), (3, 1), (3, 3), (5, 3), (6, 4), (6, 3), (8, 2)):
        for shape in SHAPES[:4]:
            yield one(Window(size, stride), spec("f32", *shape))


def moving() -> Iterator[Case]:
    every = ["mean", "variance", "min", "max", "rms"]
    for dtype in NUMBERS:
        yield one(Moving(every, 5, 2), spec(dtype, 2, 3))
        yield one(Moving(["max", "min", "max"], 3), spec(dtype, 4))
        yield one(Moving(every[::-1], 4, 4, 1), spec(dtype))
    for name in every:
        for shape in SHAPES[:4]:
            yield one(Moving(name, 3, 2), spec("f32", *shape))
        yield one(Moving(name, 1), spec("s64", 2))
        yield one(Moving(name, 6, 4, 2), spec("f64", 2))


def split() -> Iterator[Case]:
    for dtype in ALL:
        yield one(Split([1, 2], ["a", "b"]), spec(dtype, 3))
        yield one(Split([1, 2, 1], axis=1), spec(dtype, 2, 4, 2))
        yield one(Split([1, 2], axis=-1), spec(dtype, 2, 2, 3))


def concat() -> Iterator[Case]:
    for dtype in ALL:
        yield Case(Concat(["a", "b"]), {"a": spec(dtype, 3), "b": spec(dtype, 1)})
        inputs = {"a": spec(dtype, 2, 1, 2), "b": spec(dtype, 2, 3, 2), "c": spec(dtype, 2, 1, 2)}
        yield Case(Concat(["c", "a", "b"], 1), inputs)
        yield Case(Concat(["a", "b"], -1), {"a": spec(dtype, 2, 3), "b": spec(dtype, 2, 1)})


def router() -> Iterator[Case]:
    two = ["a", "b"]
    for dtype in ("bool", *WHOLES):
        yield one(Router(two, element=1), spec(dtype, 2))
        yield one(Router([*two, "c"], otherwise="d"), spec(dtype))
    for dtype in NUMBERS:
        yield one(Router([*two, "c"], "value", 2, [1, 2.5], "d"), spec(dtype, 3))
        yield one(Router(two, "value", bounds=[1.5]), spec(dtype))
        yield one(Router([*two, "c"], "class"), spec(dtype, 3))
        yield one(Router(two, "class", otherwise="rest"), spec(dtype, 1, 2))
    for payload in ALL:
        for dtype in ("bool", "s8", "u64"):
            inputs = {"in": spec(payload, 3), "selector": spec(dtype, 2)}
            yield Case(Router(two, by_selector=True), inputs)
    inputs = {"in": spec("bf16", 3), "selector": spec("f32", 2)}
    yield Case(Router(two, "class", by_selector=True, otherwise="rest"), inputs)
    yield Case(Router(two, "value", 1, [0.1], by_selector=True), inputs)
    many = [f"port_{i}" for i in range(300)]
    yield one(Router(many), spec("u8", 2))
    yield one(Router(many, otherwise="rest"), spec("s16", 2))
    yield one(Router(many, "class"), spec("f32", 300))


def sample_and_hold() -> Iterator[Case]:
    for dtype in ALL:
        yield Case(SampleAndHold(), {"in": spec(dtype, 3), "trigger": spec("bool", 2)})
        yield Case(SampleAndHold(), {"in": spec(dtype, 2, 2)})


def join_by_time() -> Iterator[Case]:
    for dtype in ALL:
        inputs = {"left": spec(dtype, 3), "right": spec(dtype, 2)}
        yield Case(JoinByTime("2ns", "6ns", 3), inputs)
    for depth in (1, 2, 5):
        inputs = {"left": spec("f32", 2, 2), "right": spec("f32", 2, 1)}
        yield Case(JoinByTime("3ns", "9ns", depth, axis=-1), inputs)
        inputs = {"left": spec("s16", 2, 2), "right": spec("s16", 1, 2)}
        yield Case(JoinByTime("0ns", "1us", depth), inputs)


CASES: dict[str, tuple[Case, ...]] = {
    make.__name__: tuple(make())
    for make in (
        *(affine, argmax, cast, concat, debounce, decimate, join_by_time, moving, rate_limiter),
        *(router, sample_and_hold, split, threshold, top_k, window),
    )
}
EVERY: tuple[Case, ...] = tuple(case for cases in CASES.values() for case in cases)
__all__ = ["ALL", "CASES", "EVERY", "REALS"]
