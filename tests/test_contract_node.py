"""Every node of ours under the kit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import onnx
import pytest
from jaxtyping import Float32

from library import spec
from limen.backends.onnxruntime import OnnxRuntimeBackend
from limen.compute import ModelArtifact
from limen.message import Message
from limen.node import (
    InferenceModel,
    Node,
    NodeKind,
    Output,
    ProcessNode,
    ProcessResult,
    Sink,
    SinkNode,
    Skip,
    SourceNode,
    node,
)
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
from limen.platform import PlatformClock
from limen.testing import (
    NodeContract,
    ScriptedModel,
    ScriptedNode,
    ScriptedSink,
    ScriptedSource,
    find_suites,
)
from limen.types import ObjectSpec, PayloadSpec, Ticks
from models import make_model
from sabotage import assert_holds

Cells = Float32[np.ndarray, "4"]
_ANYTHING: Mapping[str, str] = {"typed": "it takes whatever arrives"}


class AffineSuite(NodeContract):
    def make(self) -> Node:
        return Affine([1.0, 2.0, 3.0, 4.0], 0.5)


class ArgMaxSuite(NodeContract):
    def make(self) -> Node:
        return ArgMax()


class CastSuite(NodeContract):
    def make(self) -> Node:
        return Cast("s16")


class ConcatSuite(NodeContract):
    def make(self) -> Node:
        return Concat(["a", "b", "c"])


class DebounceSuite(NodeContract):
    def make(self) -> Node:
        return Debounce(2, only_changes=True)

    def inputs(self) -> Mapping[str, PayloadSpec]:
        return {"in": spec("u8", 2)}

    def payloads(self, port: str) -> Sequence[object]:
        return [np.array([n // 3, n // 4 % 2], np.uint8) for n in range(24)]


class DecimateSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return Decimate(3, 1)


class JoinByTimeSuite(NodeContract):
    def make(self) -> Node:
        return JoinByTime("0ns", "2ms", depth=2)


class JoinOfObjectsSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return JoinByTime("1ms", "9ms", pair="tuple")

    def inputs(self) -> Mapping[str, PayloadSpec]:
        return {"left": ObjectSpec(str), "right": spec("f32", 2)}


class MovingSuite(NodeContract):
    def make(self) -> Node:
        return Moving(["mean", "variance", "min"], 4, 2)


class RateLimiterSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return RateLimiter("3ms", 2)


class RouterSuite(NodeContract):
    def make(self) -> Node:
        return Router(["low", "high"], "value", bounds=[0.0], otherwise="none")


class RouterBySelectorSuite(NodeContract):
    def make(self) -> Node:
        return Router(["a", "b"], by_selector=True)

    def inputs(self) -> Mapping[str, PayloadSpec]:
        return {"in": ObjectSpec(str), "selector": spec("u8", 1)}

    def payloads(self, port: str) -> Sequence[object]:
        if port == "in":
            return super().payloads(port)
        return [np.array([n % 3], np.uint8) for n in range(24)]


class SampleAndHoldSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return SampleAndHold()


class SampleAndHoldOfObjectsSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return SampleAndHold()

    def inputs(self) -> Mapping[str, PayloadSpec]:
        return {"in": ObjectSpec(dict), "trigger": ObjectSpec(str)}


class SplitSuite(NodeContract):
    def make(self) -> Node:
        return Split([1, 3])


class ThresholdSuite(NodeContract):
    def make(self) -> Node:
        return Threshold(0.5, -0.5)


class TopKSuite(NodeContract):
    def make(self) -> Node:
        return TopK(2)


class WindowSuite(NodeContract):
    def make(self) -> Node:
        return Window(4, 2)


class Scores(NamedTuple):
    best: float
    all: Cells | None


@node
def doubled(x: Cells) -> Cells:
    return x * 2


@node
def doubled_in_place(x: Cells, out: Cells) -> Cells:
    np.multiply(x, 2, out=out)
    return out


@node
def scored(x: Cells) -> Scores:
    return Scores(float(x.max()), x if x[0] > 0 else None)


@node
def described(x: Float32[np.ndarray, "n m"], words: str | None) -> dict:
    return {"mean": float(x.mean()), "words": words, "raw": x}


@node(batch=True)
def mean_of_many(xs: Float32[np.ndarray, "n 4"]) -> Cells:
    return xs.mean(axis=0)


@node(batch=True)
def longest(words: list[str]) -> str | None:
    return max(words, key=len) if len(words) > 1 else None


class FunctionSuite(NodeContract):
    def make(self) -> Node:
        return node(doubled.function)


class FunctionInPlaceSuite(NodeContract):
    lacks: ClassVar[Mapping[str, str]] = {"without slots": "its function is handed the slot"}

    def make(self) -> Node:
        return node(doubled_in_place.function)


class FunctionThatSplitsSuite(NodeContract):
    def make(self) -> Node:
        return node(scored.function)


class FunctionThatJoinsSuite(NodeContract):
    def make(self) -> Node:
        return node(described.function)


class FunctionOfBatchesSuite(NodeContract):
    def make(self) -> Node:
        return node(batch=True)(mean_of_many.function)


class FunctionOfListsSuite(NodeContract):
    def make(self) -> Node:
        return node(batch=True)(longest.function)


class Smooth(ProcessNode):
    """Keeps a state."""

    def initialize(self, clock: object, ports: object) -> None:
        self.level = np.zeros(4, np.float32)

    def process(self, x: Cells) -> Cells:
        self.level += (x - self.level) / 4
        return self.level


class WritesJoined(ProcessNode):
    """Two inputs, written into the slot."""

    def process(self, a: Cells, b: Cells, out: Cells) -> Cells:
        return np.add(a, b, out=out)


class ProcessNodeSuite(NodeContract):
    def make(self) -> Node:
        return Smooth()


class Numbers(ProcessNode):
    """Looks at headers, and passes over every fourth message."""

    def process(self, x: Cells) -> Cells:
        raise AssertionError("process_message is called")

    def process_message(self, message: Message, clock: PlatformClock) -> ProcessResult:
        header = message.header
        if header.sequence % 4 == 3:
            return Skip()
        numbers = np.full(4, header.sequence, np.float32)
        return Output(numbers, origin_tick=header.origin_tick)


class Pairs(ProcessNode):
    """Looks at both headers of two inputs."""

    def process(self, a: Cells, b: Cells) -> tuple:
        raise AssertionError("process_joined is called")

    def process_joined(
        self, messages: tuple[Message | None, ...], clock: PlatformClock
    ) -> ProcessResult:
        return Output(tuple(int(m.header.sequence) for m in messages if m is not None))


class MessageNodeSuite(NodeContract):
    def make(self) -> Node:
        return Numbers()


class JoinedNodeSuite(NodeContract):
    def make(self) -> Node:
        return Pairs()


class JoinInPlaceSuite(NodeContract):
    def make(self) -> Node:
        return WritesJoined()


class ModelSuite(NodeContract):
    def make(self) -> Node:
        return InferenceModel(OnnxRuntimeBackend(), make_model("line", "onnx"), max_batch=2)


class ModelOfOneSuite(NodeContract):
    def make(self) -> Node:
        return InferenceModel(OnnxRuntimeBackend(), make_model("line", "onnx", "one"))


def fixed_batch_of(items: int) -> ModelArtifact:
    x, y = (onnx.helper.make_tensor_value_info(n, 1, [items, 4]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    opset = onnx.helper.make_opsetid("", 17)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return ModelArtifact.from_bytes(made.SerializeToString())


class ModelOfFixedBatchSuite(NodeContract):
    def make(self) -> Node:
        model = fixed_batch_of(4)
        return InferenceModel(OnnxRuntimeBackend(), model, first_axis_is_batch=True)


class Sums(Sink):
    """Adds up what comes."""

    def spec(self) -> PayloadSpec:
        return spec("f32", 4)

    def open(self, clock: object, spec: object) -> None:
        self.total = np.zeros(4, np.float64)

    def consume(self, message: Message, now: Ticks) -> None:
        self.total += np.asarray(message.payload)


class SumsOfTwo(Sums):
    """Has two inputs, and takes the second first."""

    inputs = ("left", "right")

    def select_input(self, ready: Sequence[str]) -> str:
        return max(ready)


class SinkSuite(NodeContract):
    def make(self) -> Node:
        return SinkNode(Sums())


class SinkOfTwoSuite(NodeContract):
    def make(self) -> Node:
        return SinkNode(SumsOfTwo())


class SourceSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return SourceNode(ScriptedSource(count=8, every="2ms"))


class UntimedSourceSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return SourceNode(ScriptedSource([{}, {"result": "nothing"}, {"qos": "background"}]))


class ScriptedNodeSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return ScriptedNode(
            outputs=["out", "more"],
            script=["consume", "skip", {"emit": {"more": 2}}, {"yield_until": "30ms"}],
        )


class ScriptedWindowSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return ScriptedNode(window=True)


class ScriptedJoinSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return ScriptedNode(["a", "b"], optional=["b"])


class ScriptedSinkSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return ScriptedSink(["a", "b"], ["consume", "skip", "terminal"])


class ScriptedModelSuite(NodeContract):
    lacks = _ANYTHING

    def make(self) -> Node:
        return ScriptedModel()


SHIPPED = [
    suite
    for suite in list(globals().values())
    if isinstance(suite, type) and issubclass(suite, NodeContract) and suite is not NodeContract
]


@pytest.mark.parametrize("suite", SHIPPED, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[NodeContract]) -> None:
    assert_holds(suite)


def test_a_node_s_class_stands_for_its_suite() -> None:
    (suite,) = find_suites("limen.nodes:ArgMax")
    assert issubclass(suite, NodeContract)
    assert suite().make().kind is NodeKind.PROCESS
