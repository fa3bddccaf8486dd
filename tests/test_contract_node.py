"""Every node of ours under the kit, and the kit under nodes that break one clause each."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
import onnx
import pytest
from jaxtyping import Float32

from library import spec
from limen.backends.onnxruntime import OnnxRuntimeBackend
from limen.compute import ModelArtifact
from limen.errors import PortMismatchError
from limen.message import Message
from limen.node import (
    Consumed,
    InferenceModel,
    Node,
    NodeKind,
    NodePorts,
    Output,
    Outputs,
    Port,
    ProcessNode,
    ProcessResult,
    Sink,
    SinkNode,
    Skip,
    SourceNode,
    StepContext,
    StepResult,
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
from limen.nodes._base import StreamNode, in_and_out, require_tensor
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.testing import (
    NodeContract,
    ScriptedModel,
    ScriptedNode,
    ScriptedSink,
    ScriptedSource,
    find_suites,
)
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks, TraceId
from models import make_model
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched

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


class Honest(StreamNode):
    """Doubles four floats; the saboteurs change one thing of it."""

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        arriving = require_tensor(inputs, "in", (DataType.F32,))
        return in_and_out(arriving, arriving)

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        super().initialize(clock, ports)
        self.calls = 0

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        self.calls += 1
        return self.answer(np.asarray(message.payload), message, ctx)

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x * 2)


class HonestSuite(NodeContract):
    def make(self) -> Node:
        return Honest()


class HonestJoin(Honest):
    """Adds two inputs, of which the second is optional."""

    kind = NodeKind.JOIN
    input_names = ("a", "b")

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        specs = [require_tensor(inputs, name, (DataType.F32,)) for name in self.input_names]
        ports = (Port("a", specs[0]), Port("b", specs[1], optional=True))
        return NodePorts(ports, (Port("out", specs[0]),))

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_joined_and_process(self.joined)

    def joined(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        return Output(sum(np.asarray(m.payload) for m in messages if m is not None))


class HonestJoinSuite(NodeContract):
    def make(self) -> Node:
        return HonestJoin()


class PreparesOnce(Honest):
    prepared = False

    def prepare(self) -> None:
        if self.prepared:
            raise RuntimeError("prepared already")
        self.prepared = True


class OddlyNamed(Honest):
    output_names = ("Out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        ports = super().resolve(inputs)
        return NodePorts(ports.inputs, (Port("Out", ports.outputs[0].spec),))


class RenamesAfterStop(Honest):
    output_names = ("out",)

    def stop(self) -> None:
        super().stop()
        self.output_names = ("gone",)


class ProcessCalledJoin(Honest):
    kind = NodeKind.JOIN


class TakesNone(Honest):
    then_needs = 0


class StatesMoreLater(Honest):
    def start(self, now: Ticks) -> None:
        self.max_emit = 7


class ForgetsAPort(HonestJoin):
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        ports = super().resolve(inputs)
        return NodePorts(ports.inputs[::-1], ports.outputs)


class CountsResolves(Honest):
    resolved = 0

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        self.resolved += 1
        arriving = require_tensor(inputs, "in", (DataType.F32,))
        labels = tuple(f"{self.resolved}_{place}" for place in range(4))
        return in_and_out(arriving, TensorSpec(arriving.dtype, arriving.shape, labels))


class Hoards(Honest):
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        ports = super().resolve(inputs)
        if isinstance(inputs, dict):
            inputs["more"] = inputs["in"]
        return ports


class Vague(Honest):
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        if isinstance(inputs.get("in"), ObjectSpec):
            raise PortMismatchError("that does not fit", remedy="give something else")
        return super().resolve(inputs)


class Grows(Honest):
    calls = 0
    state_bytes = property(lambda self: 8 * self.calls)


class SaysNothing(Honest):
    def step(self, ctx: StepContext) -> StepResult:
        result = super().step(ctx)
        return None if result is StepResult.MADE_PROGRESS else result


class TakesTwice(Honest):
    def _step(self, ctx: StepContext) -> StepResult:
        first = super()._step(ctx)
        return first if first is StepResult.NO_INPUT else (super()._step(ctx) and first)


class ClaimsWindows(Honest):
    takes_windows = True


class DeniesTaking(Honest):
    def _step(self, ctx: StepContext) -> StepResult:
        super()._step(ctx)
        return StepResult.NO_INPUT


class AlwaysBusy(Honest):
    def _step(self, ctx: StepContext) -> StepResult:
        super()._step(ctx)
        return StepResult.MADE_PROGRESS


class Waits(Honest):
    def _step(self, ctx: StepContext) -> StepResult:
        if ctx.in_peek_header("in") is None:
            threading.Event().wait(2.0)
        return super()._step(ctx)


class LooksElsewhere(Honest):
    def _step(self, ctx: StepContext) -> StepResult:
        ctx.in_occupancy("elsewhere")
        return super()._step(ctx)


class ReturnsPayloads(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return super().answer(x, message, ctx) if self.calls != 3 else x


class FailsOnce(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        if self.calls == 3:
            raise ValueError("three is too many")
        return super().answer(x, message, ctx)


class NeedsAll(HonestJoin):
    def joined(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        return Output(messages[0].payload + messages[1].payload)


class EmitsElsewhere(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Outputs((("elsewhere", x),))


class Widens(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x.astype(np.float64))


class EmitsTwice(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Outputs((("out", x), ("out", x)))


class OneToSome(Honest):
    one_to_one = True

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return super().answer(x, message, ctx) if self.calls != 3 else Consumed()


class ClaimsNeeds(Honest):
    first_needs = 3


class ClaimsInPlace(Honest):
    writes_in_place = True


class AddsToSlots(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        slot = ctx.out_slot("out")
        slot = np.zeros_like(x) if slot is None else slot
        slot += x
        return Output(slot)


class WantsSlots(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        slot = ctx.out_slot("out")
        if slot is None:
            return Output(-x)
        slot[...] = x
        return Output(slot)


class WritesInputs(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        made = x * 2
        x += 1
        return Output(made)


class KeepsViews(Honest):
    before = None

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        made = x.copy() if self.before is None else self.before * 2
        self.before = x
        return Output(made)

    def reset(self) -> None:
        self.before = None


class PushesStrangers(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        header = msgspec.structs.replace(message.header, trace_id=TraceId(7))
        ctx.push_output("out", Message(header, x))
        return Consumed()


class InventsOrigins(Honest):
    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x, origin_tick=Ticks(3))


class CountsItself(Honest):
    made = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.made)

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x + np.float32(self.number))


class SharesState(Honest):
    shared: ClassVar[list[int]] = [0]

    def start(self, now: Ticks) -> None:
        self.shared[0] = 0

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        self.shared[0] += 1
        return Output(x + np.float32(self.shared[0]))


class Remembers(Honest):
    total = 0

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        self.total += 1
        return Output(x + np.float32(self.total))


class StopsOnce(Honest):
    def stop(self) -> None:
        if not self._ready:
            raise RuntimeError("there is nothing to stop")
        super().stop()


class Collects(Honest):
    def start(self, now: Ticks) -> None:
        self.all = []

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        self.all.append(x.copy())
        return super().answer(x, message, ctx)


class LeavesThreads(Honest):
    """Leaves one where there was something to do."""

    over = threading.Event()
    calls = 0

    def stop(self) -> None:
        super().stop()
        if self.calls > 1:
            threading.Thread(target=self.over.wait, name="left behind", daemon=True).start()


class SelectsWhatIsNot(HonestJoin):
    activation = Activation.ANY

    def select_input(self, ready: Sequence[str]) -> str:
        return "a"


class ClaimsToBeDue(Honest):
    def next_due(self) -> Ticks | None:
        return Ticks(5)


class SignsWithItsName(Honest):
    artifact_sha256 = "honest"


class SwapsAnyway(Honest):
    def adopt(self) -> str | None:
        return "swapped"


class GetsLost(Honest):
    def locate(self, sequence: int) -> str | None:
        return ["here"][sequence]


class Panics(Honest):
    def on_watchdog_timeout(self) -> None:
        raise RuntimeError("too slow")


class CountsSteps(Honest):
    def start(self, now: Ticks) -> None:
        self.steps = 0

    def _step(self, ctx: StepContext) -> StepResult:
        self.steps += 1
        return super()._step(ctx)

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x + np.float32(self.steps))


class ReusesAList(Honest):
    def __init__(self) -> None:
        self.row: list[float] = []

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return in_and_out(super().resolve(inputs).inputs[0].spec, ObjectSpec(list))

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        self.row[:] = x.tolist()
        return Output(self.row)


class LabelsItsInput(Honest):
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        arriving = require_tensor(inputs, "in", (DataType.F32,))
        return in_and_out(TensorSpec(DataType.F32, arriving.shape, tuple("abcd")), arriving)


class GoesByTheLastQuestion(Honest):
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        ports = super().resolve(inputs)
        self.axes = len(inputs["in"].shape)
        return ports

    def _describe(self, ports: NodePorts) -> None:
        pass

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x + np.float32(self.axes))


class CountsTicks(Honest):
    def start(self, now: Ticks) -> None:
        self.began = now

    def answer(self, x: np.ndarray, message: Message, ctx: StepContext) -> ProcessResult:
        return Output(x + np.float32((ctx.now_ticks - self.began) // 1_000_000))


class KeepsStarts(Honest):
    def __init__(self) -> None:
        self.all: list[bytearray] = []

    def start(self, now: Ticks) -> None:
        self.all.append(bytearray(1000))


SABOTEURS: dict[str, tuple[type[Node], str]] = {
    "NODE-1": (PreparesOnce, "prepared already"),
    "NODE-2": (OddlyNamed, "'Out' among the outputs is no name"),
    "NODE-3": (RenamesAfterStop, "after stop they are (('in',), ('gone',))"),
    "NODE-4": (ProcessCalledJoin, "a join has 1 inputs: ('in',)"),
    "NODE-5": (TakesNone, "then_needs is 0"),
    "NODE-6": (StatesMoreLater, "max_emit was 1, and after start it is 7"),
    "NODE-7": (ForgetsAPort, "resolve returns ports (('b', 'a'), ('out',))"),
    "NODE-8": (CountsResolves, "1_0"),
    "NODE-9": (Hoards, "'more'"),
    "NODE-10": (Vague, "on 'in' is refused with: "),
    "NODE-11": (Grows, "state_bytes was 0, and after some steps 104"),
    "NODE-12": (SaysNothing, "returned None"),
    "NODE-13": (TakesTwice, "step 0 called pop_and_process, pop_and_process"),
    "NODE-14": (ClaimsWindows, "step 0 called pop_and_process, not pop_window_and_process"),
    "NODE-15": (DeniesTaking, "step 0 took 3 messages and returned StepResult.NO_INPUT"),
    "NODE-16": (AlwaysBusy, "<StepResult.MADE_PROGRESS"),
    "NODE-17": (Waits, "a step where nothing waits did not come back"),
    "NODE-18": (LooksElsewhere, "about 'elsewhere'"),
    "NODE-19": (ReturnsPayloads, "call 2 returned array("),
    "NODE-20": (FailsOnce, "three is too many"),
    "NODE-21": (NeedsAll, "without anything on 'b': call 0"),
    "NODE-22": (EmitsElsewhere, "it emitted on 'elsewhere'; its outputs are ['out']"),
    "NODE-23": (Widens, "message 0, on 'out': float64[4] does not fit"),
    "NODE-24": (EmitsTwice, "call 0 emitted 2 messages on 'out', and max_emit is 1"),
    "NODE-25": (OneToSome, "call 2, of 1 messages, emitted 0 on 'out'"),
    "NODE-26": (ClaimsNeeds, "first_needs is 3, then_needs 1: call 0 is the 1. with a result"),
    "NODE-27": (ClaimsInPlace, "what call 0 emitted on 'out' is not the slot"),
    "NODE-28": (AddsToSlots, "with slots of zeros and of bytes 0x5b: message 0"),
    "NODE-29": (WantsSlots, "with slots and without: message 0"),
    "NODE-30": (WritesInputs, "call 0 changed what came on 'in'"),
    "NODE-31": (KeepsViews, "written over after each call: message 1"),
    "NODE-32": (PushesStrangers, "call 0 pushed trace and sequence (7, 0)"),
    "NODE-33": (InventsOrigins, "call 0 stated the origin 3"),
    "NODE-34": (CountsItself, "two new nodes that were given the same: message 0"),
    "NODE-35": (SharesState, "with another node at work: message 3"),
    "NODE-36": (Remembers, "one that was started again: message 0"),
    "NODE-37": (StopsOnce, "stop after prepare raised RuntimeError: there is nothing to stop"),
    "NODE-38": (Collects, "300 messages an input went through"),
    "NODE-39": (LeavesThreads, "thread left behind"),
    "NODE-40": (SelectsWhatIsNot, "of ['b'] it selected 'a'"),
    "NODE-41": (ClaimsToBeDue, "a process, next_due and interval_ns: 5, None"),
    "NODE-42": (SignsWithItsName, "artifact_sha256 is 'honest'"),
    "NODE-43": (SwapsAnyway, "('swapped', None)"),
    "NODE-44": (GetsLost, "locate(1) raised IndexError"),
    "NODE-45": (Panics, "on_watchdog_timeout raised RuntimeError: too slow"),
    "NODE-46": (CountsSteps, "with one message a step and with up to 3: message 1"),
    "NODE-47": (ReusesAList, "message 0, on 'out', was [["),
    "NODE-48": (LabelsItsInput, "arrives on 'in', and its port is of TensorSpec("),
    "NODE-49": (GoesByTheLastQuestion, "shape=(2, 4)"),
    "NODE-50": (CountsTicks, "with 1000000000 and with 1000 ticks a second: message 0"),
    "NODE-51": (KeepsStarts, "60 times started and stopped, "),
}
_JOINS = ("NODE-7", "NODE-21", "NODE-40")
_PATIENCE_S = {"NODE-17": 0.5, "NODE-39": 0.1}


@pytest.mark.parametrize("clause", SABOTEURS)
def test_a_node_that_breaks_a_clause_fails_that_clause_alone(clause: str) -> None:
    saboteur, seen = SABOTEURS[clause]
    base = HonestJoinSuite if clause in _JOINS else HonestSuite
    suite = type("Impatient", (base,), {"patience_s": _PATIENCE_S.get(clause, 5.0)})
    LeavesThreads.over.clear()
    assert_caught(suite, clause, saboteur, seen)
    LeavesThreads.over.set()


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(NodeContract, SABOTEURS)


def test_a_node_s_class_stands_for_its_suite() -> None:
    (suite,) = find_suites("limen.nodes:ArgMax")
    assert issubclass(suite, NodeContract)
    assert suite().make().kind is NodeKind.PROCESS


def test_clauses_and_tests_are_the_same() -> None:
    assert_matched(NodeContract)
