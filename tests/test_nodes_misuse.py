"""What is wrong with a node of the library is said where it is made, or where it is connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from library import spec
from limen.errors import Code, ConfigurationError, GraphError
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
)
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec

NAN, INF = float("nan"), float("inf")
NO_NUMBER: list[object] = [None, "1", NAN, INF, -INF, True, 1j, np.bool_(True), {}, 10**400]
NO_WHOLE: list[object] = [None, "1", 1.0, NAN, True, np.bool_(True), [1], 2.5]
NO_COUNT = [*NO_WHOLE, 0, -1]
NO_FLAG: list[object] = [None, 1, 0, "true", "no", []]
NO_DURATION: list[object] = [None, 5, 0.1, "", "5", "ms", "5 parsecs", "-1ms", "0.1ns", b"5ms"]
NO_NAMES: list[object] = [None, "ab", 3, [], ["a"], ["a", "a"], ["a", 3], ["a", None], {"a": 1}]

# Whatever takes one value of one parameter, and the values that are wrong for it.
WRONG: list[tuple[str, Callable[[Any], Node], list[object]]] = [
    ("gain", lambda v: Affine(v), [*NO_NUMBER, [], [1, NAN], [[1]], "12"]),
    ("offset", lambda v: Affine(1, v), [*NO_NUMBER, (), [None]]),
    ("axis", lambda v: Affine(1, 0, v), NO_WHOLE),
    ("dtype", Cast, [None, "", "floaty", "F32", 32, DataType.F32, np.float32, "f128"]),
    ("rounding", lambda v: Cast("u8", v), [None, "", "even", "NEAREST", 0, True]),
    ("keep_every", Decimate, NO_COUNT),
    ("phase", lambda v: Decimate(3, v), [*NO_WHOLE, 3, -1]),
    ("statistics", lambda v: Moving(v, 3), [None, "", "median", [], ["mean", 3], [["min"]], 5]),
    ("size", lambda v: Moving("mean", v), NO_COUNT),
    ("stride", lambda v: Moving("mean", 3, v), [*NO_COUNT, 4]),
    ("ddof", lambda v: Moving("variance", 3, 1, v), [*NO_WHOLE, -1, 3]),
    ("high", Threshold, NO_NUMBER),
    ("low", lambda v: Threshold(3, v), [*[v for v in NO_NUMBER if v is not None], 3.5]),
    ("only_changes", lambda v: Threshold(3, 1, v), NO_FLAG),
    ("count", Debounce, [*NO_COUNT, 2**32]),
    ("duration", lambda v: Debounce(duration=v), [*NO_DURATION, "0ms"]),
    ("initial", lambda v: Debounce(2, initial=v), [None, "", "1", 1.0, NAN, []]),
    ("only_changes", lambda v: Debounce(2, only_changes=v), NO_FLAG),
    ("axis", ArgMax, NO_WHOLE),
    ("k", TopK, NO_COUNT),
    ("inputs", Concat, NO_NAMES),
    ("axis", lambda v: Concat(["a", "b"], v), NO_WHOLE),
    ("sizes", Split, [None, 3, [], [3], "12", [1, 0], [1, None], [1, 2.0]]),
    ("outputs", lambda v: Split([1, 2], v), [*NO_NAMES[1:], ["a", "b", "c"]]),
    ("axis", lambda v: Split([1, 2], axis=v), NO_WHOLE),
    ("every", RateLimiter, [*NO_DURATION, "0s"]),
    ("burst", lambda v: RateLimiter("1s", v), NO_COUNT),
    ("tolerance", lambda v: JoinByTime(v, "1s"), NO_DURATION),
    ("timeout", lambda v: JoinByTime("1s", v), [*NO_DURATION, "0s"]),
    ("depth", lambda v: JoinByTime("1s", "1s", v), NO_COUNT),
    ("pair", lambda v: JoinByTime("1s", "1s", pair=v), [None, "", "list", True]),
    ("axis", lambda v: JoinByTime("1s", "1s", axis=v), NO_WHOLE),
    ("outputs", Router, NO_NAMES),
    ("by", lambda v: Router(["a", "b"], v), [None, "", "label", 0]),
    ("element", lambda v: Router(["a", "b"], "index", v), [*NO_WHOLE, -1]),
    ("bounds", lambda v: Router(["a", "b"], "value", 0, v), [None, [], [1, 2], "1", [NAN]]),
    ("bounds", lambda v: Router(["a", "b", "c"], "value", 0, v), [[2, 1], [1, 1], [1]]),
    ("bounds", lambda v: Router(["a", "b"], "index", 0, v), [[], [1]]),
    ("otherwise", lambda v: Router(["a", "b"], otherwise=v), [3, ["c"], "a", True]),
    ("by_selector", lambda v: Router(["a", "b"], by_selector=v), NO_FLAG),
]


@pytest.mark.parametrize(
    ("name", "make", "value"),
    [
        pytest.param(name, make, value, id=f"{i}-{name}-{value!r:.12}")
        for i, (name, make, values) in enumerate(WRONG)
        for value in values
        if not (name in ("count", "duration") and value is None)
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_would_be_right(
    name: str, make: Callable[[Any], Node], value: object
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(value)
    assert caught.value.remedy
    assert name in caught.value.message or name == "dtype"


def test_a_debounce_needs_a_count_or_a_duration() -> None:
    with pytest.raises(ConfigurationError, match="neither count nor duration"):
        Debounce()
    with pytest.raises(ConfigurationError, match="all elements decide"):
        Router(["a", "b"], "class", 1)


V3, M23, OPEN = spec("f32", 3), spec("f32", 2, 3), TensorSpec(DataType.F32, ("n",))
BOOL, HALF = spec("bool", 3), spec("f16", 3)
TWO = ["a", "b"]

# A node, what arrives on its inputs, the port to blame, and words of the message.
UNFIT: list[tuple[Callable[[], Node], dict[str, PayloadSpec], str, str]] = [
    *[
        (make, {"in": wrong}, "in", "tensor of known shape")
        for make in (
            lambda: Affine(2),
            lambda: Cast("u8"),
            lambda: Moving("mean", 2),
            lambda: Threshold(1),
            lambda: Debounce(2),
            ArgMax,
            lambda: TopK(1),
            lambda: Split([1, 2]),
            lambda: Router(TWO),
        )
        for wrong in (ObjectSpec(dict), OPEN)
    ],
    *[
        (make, {"in": wrong}, "in", "is none of")
        for make in (lambda: Affine(2), lambda: Moving("mean", 2), lambda: Threshold(1))
        for wrong in (BOOL, HALF)
    ],
    (lambda: Decimate(2), {"in": OPEN}, "in", "tensor of known shape"),
    (SampleAndHold, {"in": OPEN}, "in", "tensor of known shape"),
    (lambda: ArgMax(), {"in": HALF}, "in", "is none of"),
    (lambda: Debounce(2), {"in": V3}, "in", "is none of bool, u8"),
    (lambda: Debounce(2, initial=2), {"in": BOOL}, "in", "initial 2 is no value of bool"),
    (lambda: Debounce(2, initial=-1), {"in": spec("u8", 1)}, "in", "initial -1"),
    (lambda: Affine([1, 2]), {"in": V3}, "in", "2 values of gain for the 3 channels"),
    (lambda: Affine([1, 2], axis=2), {"in": M23}, "in", "no axis 2"),
    (lambda: Affine([1, 2]), {"in": spec("f32")}, "in", "no axis -1"),
    (lambda: Affine(1e300), {"in": V3}, "gain", "becomes inf as f32"),
    (lambda: Affine(1, 1e-300), {"in": V3}, "offset", "becomes 0.0 as f32"),
    (lambda: Threshold(1e300), {"in": V3}, "high", "becomes inf"),
    (lambda: Threshold(256), {"in": spec("u8", 1)}, "high", "no u8 lies at or above"),
    (lambda: Threshold(5, 0), {"in": spec("u8", 1)}, "low", "no u8 lies below"),
    (lambda: Threshold(5, -128), {"in": spec("s8", 1)}, "low", "no s8 lies below"),
    (lambda: ArgMax(1), {"in": V3}, "in", "no axis 1"),
    (lambda: ArgMax(), {"in": spec("f32")}, "in", "no axis -1"),
    (lambda: TopK(4), {"in": V3}, "in", "k is 4, of the 3 entries"),
    (lambda: TopK(1), {"in": spec("f32")}, "in", "no axis -1"),
    (lambda: Split([1, 1]), {"in": V3}, "in", "add up to 2"),
    (lambda: Split([1, 2], axis=1), {"in": V3}, "in", "no axis 1"),
    (lambda: Concat(TWO), {"a": V3, "b": spec("f64", 3)}, "b", "f64[3] does not fit beside f32[3]"),
    (lambda: Concat(TWO), {"a": V3, "b": M23}, "b", "does not fit beside"),
    (lambda: Concat(TWO, 1), {"a": M23, "b": spec("f32", 3, 3)}, "b", "does not fit beside"),
    (lambda: Concat(TWO), {"a": spec("f32"), "b": V3}, "a", "no axis 0"),
    (lambda: Concat(TWO), {"a": V3, "b": ObjectSpec(str)}, "b", "tensor of known shape"),
    (lambda: JoinByTime("0ns", "1s"), {"left": V3, "right": M23}, "right", "does not fit beside"),
    (
        lambda: JoinByTime("0ns", "1s"),
        {"left": ObjectSpec(str), "right": V3},
        "left",
        "tensor of known shape",
    ),
    (
        lambda: JoinByTime("0ns", "1s", pair="tuple"),
        {"left": V3, "right": OPEN},
        "right",
        "tensor of known shape",
    ),
    (lambda: Router(TWO), {"in": V3}, "in", "f32[3] is none of bool"),
    (lambda: Router(TWO, "index", 3), {"in": spec("u8", 3)}, "in", "element 3 of 3"),
    (lambda: Router(TWO, "class"), {"in": V3}, "in", "3 elements for 2 outputs"),
    (lambda: Router(TWO, "value", 0, [1]), {"in": BOOL}, "in", "is none of"),
    (lambda: Router(TWO, "value", 0, [300]), {"in": spec("u8", 1)}, "bound", "no u8 lies"),
    (
        lambda: Router([*TWO, "c"], "value", 0, [1.2, 1.4]),
        {"in": spec("u8", 1)},
        "bounds",
        "leave no u8 between them",
    ),
    (
        lambda: Router(TWO, by_selector=True),
        {"in": ObjectSpec(str), "selector": V3},
        "selector",
        "is none of bool",
    ),
]


@pytest.mark.parametrize(
    ("make", "inputs", "port", "said"),
    UNFIT,
    ids=[f"{number} {port} {said}" for number, (_, _, port, said) in enumerate(UNFIT)],
)
def test_what_does_not_fit_is_refused_with_the_port_and_a_remedy(
    make: Callable[[], Node], inputs: dict[str, PayloadSpec], port: str, said: str
) -> None:
    node = make()
    node.prepare()
    with pytest.raises(GraphError) as caught:
        node.resolve(inputs)
    assert caught.value.message.startswith(f"{port}")
    assert said in caught.value.message
    assert caught.value.remedy
    assert caught.value.code in (Code.INCOMPATIBLE_PORTS, Code.INVALID_VALUE)


@pytest.mark.parametrize(
    ("make", "inputs", "port"),
    [
        (lambda: Affine(2), {}, "in"),
        (lambda: Decimate(2), {}, "in"),
        (SampleAndHold, {"trigger": V3}, "in"),
        (lambda: Concat(TWO), {"a": V3}, "b"),
        (lambda: JoinByTime("0ns", "1s"), {"left": V3}, "right"),
        (lambda: Router(TWO, by_selector=True), {"in": V3}, "selector"),
    ],
)
def test_what_is_not_connected_has_no_type(
    make: Callable[[], Node], inputs: dict[str, PayloadSpec], port: str
) -> None:
    with pytest.raises(GraphError, match=f"{port}: nothing arrives") as caught:
        make().resolve(inputs)
    assert caught.value.code is Code.UNCONNECTED_PORT


def test_bf16_without_its_package_is_refused_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(ConfigurationError, match="ml_dtypes"):
        Cast("bf16").prepare()
