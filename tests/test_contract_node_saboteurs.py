"""The kit under nodes that break one clause each."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from jaxtyping import Float32

from limen.errors import PortMismatchError
from limen.message import Message
from limen.node import (
    Consumed,
    Node,
    NodeKind,
    NodePorts,
    Output,
    Outputs,
    Port,
    ProcessResult,
    StepContext,
    StepResult,
)
from limen.nodes._base import StreamNode, in_and_out, require_tensor
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.testing import (
    NodeContract,
)
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks, TraceId
from sabotage import assert_all_have_saboteurs, assert_caught, assert_matched

Cells = Float32[np.ndarray, "4"]


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


def test_clauses_and_tests_are_the_same() -> None:
    assert_matched(NodeContract)
