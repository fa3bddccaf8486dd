"""Programs whose payloads lie in slots: tensors, shared messages, objects of any class, models."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from numpy.typing import NDArray

import limen
from limen.app import check
from limen.codegen import ProgramRuntime, PythonTurns, lower_program, print_cython, why_not
from limen.codegen._native import build
from limen.codegen._native_turns import NativeTurns
from limen.codegen._turns import Turns, World
from limen.errors import InferenceError
from limen.message import Message
from limen.node import Consumed, InferenceModel, Output, ProcessResult, Produced, Skip, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.policy import EdgePolicy
from limen.runtime import SingleThreadRuntime
from limen.telemetry import DecisionLog, RunStatistics
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks
from models import write_model

SPEC = TensorSpec(DataType.F32, (4,))
Four = Annotated[NDArray[np.float32], SPEC]
Fours = Annotated[NDArray[np.float32], TensorSpec(DataType.F32, ("n", 4))]
POLICIES = {
    "block": EdgePolicy.block(3),
    "drop_oldest": EdgePolicy.drop_oldest(2),
    "drop_newest": EdgePolicy.drop_newest(2),
    "mailbox": EdgePolicy.mailbox_latest(),
}


class Made(limen.Source):
    """Makes what a function says of 0, 1, 2 …, as fast as there is room."""

    pausable = True

    def __init__(self, spec: PayloadSpec, make: Callable[[int], object], count: int = 40) -> None:
        self._spec = spec
        self._make = make
        self._numbers = iter(range(count))

    def spec(self) -> PayloadSpec:
        return self._spec

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        number = next(self._numbers, None)
        return SourceSignal.END_OF_STREAM if number is None else Produced(self._make(number))


class Kept(limen.Sink):
    """Keeps what arrives, as it was then, with all of its header."""

    def __init__(self) -> None:
        self.got: list[tuple[object, ...]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        payload = message.payload
        shown = payload.tolist() if isinstance(payload, np.ndarray) else repr(payload)
        self.got.append((shown, message.header, now))


def four(number: int) -> NDArray[np.float32]:
    return np.arange(number, number + 4, dtype=np.float32)


def double(x: Four) -> Four:
    return x * np.float32(2)


def seen(x: Four) -> Four:
    return x


def added(x: Four, out: Four) -> Four:
    np.add(x, 1, out=out)
    return out


def elsewhere(x: Four, out: Four) -> Four:
    np.add(x, 1, out=out)
    return x * np.float32(3) if x[0] % 3 else out


def some(x: Four) -> Four | None:
    return x if x[0] % 2 else None


def picky(x: Four) -> Four:
    if x[0] % 7 == 3:
        raise ValueError("not to my taste")
    return x


def converted(x: Four) -> Four:
    # An array of another type is taken where it can be cast; a list is made one.
    return x.astype(np.float16) if x[0] % 5 == 4 else x  # type: ignore[return-value] # the point


def misfit(x: Four) -> Four:
    return x[:3] if x[0] % 5 == 4 else x


TENSORS: dict[str, Callable[..., object]] = {
    f.__name__: f for f in (double, seen, added, elsewhere, some, picky, converted, misfit)
}


@dataclasses.dataclass
class Found:
    name: str
    score: float


def find(x: int) -> Found:
    return Found("a" * (x % 4), x / 2)


def listed(x: int) -> list[int]:
    return [x] * (x % 3)


def text(x: int) -> str:
    return "é" * (x % 5)


def counted(x: Found) -> int:
    return len(x.name)


def tensors(names: tuple[str, ...], policy: EdgePolicy) -> tuple[limen.Graph, list[Kept]]:
    graph, sink = limen.Graph("tensors"), Kept()
    graph.add("source", Made(SPEC, four), limen.NodePolicy(sim_cost="1ms"))
    for place, name in enumerate(names):
        graph.add(f"n{place}", limen.node(TENSORS[name]), limen.NodePolicy(sim_cost="3ms"))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="2ms"))
    graph.chain("source", *(f"n{i}" for i in range(len(names))), "sink", policy=policy)
    return graph, [sink]


def fan(
    spec: PayloadSpec, make: Callable[[int], object], node: Callable[..., object]
) -> Callable[[EdgePolicy, EdgePolicy], tuple[limen.Graph, list[Kept]]]:
    def graph_of(one: EdgePolicy, other: EdgePolicy) -> tuple[limen.Graph, list[Kept]]:
        graph, sinks = limen.Graph("fan"), [Kept(), Kept(), Kept()]
        graph.add("source", Made(spec, make), limen.NodePolicy(sim_cost="1ms"))
        graph.add("node", limen.node(node), limen.NodePolicy(sim_cost="2ms"))
        for number, sink in enumerate(sinks):
            graph.add(f"sink{number}", sink, limen.NodePolicy(sim_cost=f"{1 + number}ms"))
        graph.connect("source", "node", policy=one)
        graph.connect("source", "sink0", policy=other)
        graph.connect("node", "sink1", policy=other)
        graph.connect("node", "sink2", policy=one)
        return graph, sinks

    return graph_of


FANS = {
    "tensor": fan(SPEC, four, double),
    "whole": fan(ObjectSpec(int), int, text),
    "record": fan(ObjectSpec(int), int, find),
    "list": fan(ObjectSpec(int), int, listed),
    "records": fan(ObjectSpec(Found), find, counted),
}


def on_reference(graph: limen.Graph, clock: PlatformClock, log: DecisionLog) -> SingleThreadRuntime:
    return SingleThreadRuntime(check(graph, clock), clock, log=log)


def on_python(graph: limen.Graph, clock: PlatformClock, log: DecisionLog) -> ProgramRuntime:
    plan = check(graph, clock)
    program = lower_program(plan, clock="any", logs=True)
    return ProgramRuntime(plan, clock, program, lambda w: PythonTurns(program, w), log=log)


def on_native(graph: limen.Graph, clock: PlatformClock, log: DecisionLog) -> ProgramRuntime:
    plan = check(graph, clock)
    program = lower_program(plan, clock="any", logs=True)

    def turns(world: World) -> Turns:
        return NativeTurns(program, world, build(print_cython(program), program.digest))

    return ProgramRuntime(plan, clock, program, turns, log=log)


class Shifted(limen.ProcessNode):
    """Answers of its own: what a step may come to."""

    def process(self, x: Four) -> Four:
        raise NotImplementedError

    def process_message(self, message: Message, clock: PlatformClock) -> ProcessResult:
        x = np.asarray(message.payload)
        match message.header.sequence % 6:
            case 1:
                return Consumed()
            case 2:
                return Skip()
            case 3:
                return Output(x, origin_tick=Ticks(1))
            case 4:
                raise ValueError("not this one")
            case _:
                return Output(x + np.float32(message.header.payload_size_bytes))


LIBRARY: dict[str, Callable[[], limen.Node]] = {
    "affine": lambda: limen.nodes.Affine(2, 1),
    "moving": lambda: limen.nodes.Moving("mean", 3),
    "decimate": lambda: limen.nodes.Decimate(2),
    "window": lambda: limen.nodes.Window(4, 2),
    "limiter": lambda: limen.nodes.RateLimiter("7ms"),
    "shifted": Shifted,
}


def library(name: str, policy: EdgePolicy) -> tuple[limen.Graph, list[Kept]]:
    graph, sink = limen.Graph("library"), Kept()
    graph.add("source", Made(SPEC, four), limen.NodePolicy(sim_cost="1ms"))
    graph.add("node", LIBRARY[name](), limen.NodePolicy(sim_cost="3ms"))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="1ms"))
    graph.chain("source", "node", "sink", policy=policy)
    return graph, [sink]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", LIBRARY)
def test_nodes_that_answer_for_themselves_do_so_in_a_program(name: str, policy: str) -> None:
    assert same(on_python, lambda: library(name, POLICIES[policy])) > 20


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_nodes_that_answer_for_themselves_do_so_in_native_code(name: str) -> None:
    assert same(on_native, lambda: library(name, POLICIES["block"])) > 20


Make = Callable[[limen.Graph, PlatformClock, DecisionLog], SingleThreadRuntime]


def outcome(make: Make, graph: limen.Graph) -> tuple[list[str], RunStatistics, int]:
    clock, lines = SimClock(), list[str]()
    runtime = make(graph, clock, DecisionLog(lambda decision: lines.append(decision.canonical())))
    statistics = runtime.run()
    return lines, statistics, getattr(runtime, "turns_taken", 0)


def same(make: Make, graphs: Callable[[], tuple[limen.Graph, list[Kept]]]) -> int:
    """Run a graph on the reference and elsewhere; the turns that a Program took."""
    graph, kept = graphs()
    lines, wanted, _ = outcome(on_reference, graph)
    other, found = graphs()
    logged, statistics, turns = outcome(make, other)
    assert logged == lines
    assert statistics == wanted
    assert [sink.got for sink in found] == [sink.got for sink in kept]
    assert sum(len(sink.got) for sink in kept) > 5, "something arrived"
    return turns


CHAINS = [(), *((name,) for name in TENSORS), ("some", "picky", "added"), ("seen", "double")]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("names", CHAINS, ids=lambda names: "_".join(names) or "none")
def test_tensors_pass_through_a_program_as_through_the_reference(
    names: tuple[str, ...], policy: str
) -> None:
    assert same(on_python, lambda: tensors(names, POLICIES[policy])) > 20


@pytest.mark.parametrize(("one", "other"), list(itertools.product(POLICIES, repeat=2)))
@pytest.mark.parametrize("kind", FANS)
def test_what_several_edges_share_is_shared_alike(kind: str, one: str, other: str) -> None:
    assert same(on_python, lambda: FANS[kind](POLICIES[one], POLICIES[other])) > 20


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("names", [("some", "picky", "added"), ("elsewhere", "misfit")])
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_native_code_does_so_with_tensors(names: tuple[str, ...], policy: str) -> None:
    assert same(on_native, lambda: tensors(names, POLICIES[policy])) > 20


def hurried(policy: EdgePolicy, slack: str) -> tuple[limen.Graph, list[Kept]]:
    """Deadlines that some results keep and some miss, on an input and at the end."""
    graph, sink = limen.Graph("hurried"), Kept()
    graph.add("source", Made(SPEC, four), limen.NodePolicy(sim_cost="1ms"))
    tight = limen.NodePolicy(sim_cost="3ms", deadline=limen.Deadline("5ms", slack=slack))
    graph.add("node", limen.node(picky), tight)
    graph.add("sink", sink, limen.NodePolicy(sim_cost="2ms", deadline="3ms"))
    graph.chain("source", "node", "sink", policy=policy)
    return graph, [sink]


@pytest.mark.parametrize("slack", ["0ms", "4ms"])
@pytest.mark.parametrize("policy", POLICIES)
def test_results_miss_their_deadlines_alike(policy: str, slack: str) -> None:
    assert same(on_python, lambda: hurried(POLICIES[policy], slack)) > 20


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_results_miss_their_deadlines_alike_in_native_code() -> None:
    assert same(on_native, lambda: hurried(POLICIES["block"], "0ms")) > 20


@pytest.mark.parametrize("kind", FANS)
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_native_code_does_so_with_what_is_shared(kind: str) -> None:
    graphs = FANS[kind]
    assert same(on_native, lambda: graphs(POLICIES["block"], POLICIES["drop_newest"])) > 20
    assert same(on_native, lambda: graphs(POLICIES["drop_oldest"], POLICIES["mailbox"])) > 20


def model(
    folder: Path, policy: EdgePolicy, batch: int = 1, *, moody: bool = False
) -> tuple[limen.Graph, list[Kept]]:
    graph, sink = limen.Graph("model"), Kept()
    node = limen.Model(write_model(folder, "mlp", "onnx"))
    node.prepare()
    if moody:
        make_moody(node)
    spec = node.resolve({}).inputs[0].spec
    assert isinstance(spec, TensorSpec)
    shape = spec.fixed_shape
    graph.add("source", Made(spec, lambda n: np.full(shape, n / 40, np.float32)))
    rule = limen.NodePolicy(
        sim_cost="3ms", batching=limen.Batching.fixed(batch), deadline=limen.Deadline("9ms")
    )
    graph.add("model", node, rule)
    graph.add("sink", sink, limen.NodePolicy(sim_cost="5ms"))
    graph.chain("source", "model", "sink", policy=policy)
    return graph, [sink]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_model_is_bound_to_slots_and_answers_alike(policy: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert same(on_python, lambda: model(tmp_path, POLICIES[policy])) > 20


@pytest.mark.parametrize("policy", [p for p in POLICIES if p != "mailbox"])
@pytest.mark.parametrize("batch", [2, 3])
def test_full_batches_go_through_a_program(policy: str, batch: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    sized = dataclasses.replace(POLICIES[policy], caps=limen.QueueCaps(5))
    assert same(on_python, lambda: model(tmp_path, sized, batch)) > 20


class Mean(limen.ProcessNode):
    """One result of several: their mean, now and then none, or a failure."""

    def process_batch(self, xs: Fours) -> Four | None:
        first = xs[0, 0]
        if first % 5 == 2:
            return None
        if first % 7 == 6:
            raise ValueError("not to my taste")
        mean: NDArray[np.float32] = xs.mean(axis=0, dtype=np.float32)
        return mean[:3] if first % 11 == 10 else mean


class Joined(limen.ProcessNode):
    def process_batch(self, xs: list[str]) -> str:
        return "".join(xs)


def windows(
    kind: str, policy: EdgePolicy, batching: limen.Batching
) -> tuple[limen.Graph, list[Kept]]:
    graph, sink = limen.Graph("windows"), Kept()
    if kind == "arrays":
        graph.add("source", Made(SPEC, four), limen.NodePolicy(sim_cost="1ms"))
        node: limen.Node = Mean()
    else:
        graph.add("source", Made(ObjectSpec(str), str), limen.NodePolicy(sim_cost="1ms"))
        node = Joined()
    graph.add("node", node, limen.NodePolicy(sim_cost="3ms", batching=batching))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="2ms"))
    graph.chain("source", "node", "sink", policy=policy)
    if kind == "shared":
        other = Kept()
        graph.add("other", other)
        graph.connect("source", "other", policy=policy)
        return graph, [sink, other]
    return graph, [sink]


BATCHINGS = {
    "two": limen.Batching.fixed(2),
    "three": limen.Batching.fixed(3),
    "span": limen.Batching.fixed_and_delta_t(3, "4ms"),
}


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("batching", BATCHINGS)
@pytest.mark.parametrize("kind", ["arrays", "texts", "shared"])
def test_windows_go_through_a_program(kind: str, batching: str, policy: str) -> None:
    sized = dataclasses.replace(POLICIES[policy], caps=limen.QueueCaps(5))
    assert same(on_python, lambda: windows(kind, sized, BATCHINGS[batching])) > 20


@pytest.mark.parametrize("kind", ["arrays", "texts", "shared"])
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_windows_go_through_native_code(kind: str) -> None:
    sized = EdgePolicy.drop_oldest(5)
    assert same(on_native, lambda: windows(kind, sized, BATCHINGS["span"])) > 20


def make_moody(node: InferenceModel) -> None:
    """Have every fourth call of a model fail, however it is called."""
    loaded, calls = node.model, itertools.count(1)
    infer = loaded.infer_batch

    def failing(inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        if next(calls) % 4 == 0:
            raise InferenceError("the engine is moody")
        infer(inp, out)

    loaded.infer_batch = failing  # type: ignore[method-assign] # for the length of a test
    loaded.bind = lambda inp, out: lambda: failing(inp, out)  # type: ignore[method-assign] # so


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_that_fails_loses_what_it_was_given(batch: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    sized = EdgePolicy.block(5)
    assert same(on_python, lambda: model(tmp_path, sized, batch, moody=True)) > 20


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_model_is_bound_to_slots_in_native_code(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert same(on_native, lambda: model(tmp_path, POLICIES["block"])) > 20
    assert same(on_native, lambda: model(tmp_path, EdgePolicy.drop_oldest(5), 3)) > 20
    assert same(on_native, lambda: model(tmp_path, EdgePolicy.block(5), 3, moody=True)) > 20


class Swapping(Kept):
    """Has another model taken over once some results have arrived."""

    def __init__(self, node: InferenceModel, other: Path) -> None:
        super().__init__()
        self._node = node
        self._other = other

    def consume(self, message: Message, now: Ticks) -> None:
        super().consume(message, now)
        if len(self.got) == 10:
            self._node.stage(self._other)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_that_is_replaced_answers_no_more(batch: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    changed, other = onnx.load(write_model(tmp_path, "mlp", "onnx")), tmp_path / "other.onnx"
    for weights in changed.graph.initializer:
        array = onnx.numpy_helper.to_array(weights)
        if array.dtype == np.float32:
            weights.CopyFrom(onnx.numpy_helper.from_array(array * np.float32(2), weights.name))
    onnx.save(changed, other)

    def graphs() -> tuple[limen.Graph, list[Kept]]:
        graph, _ = model(tmp_path, EdgePolicy.block(5), batch)
        node = next(spec.node for spec in graph.spec().nodes if spec.name == "model")
        assert isinstance(node, InferenceModel)
        made, sink = limen.Graph("swapped"), Swapping(node, other)
        spec = node.resolve({}).inputs[0].spec
        assert isinstance(spec, TensorSpec)
        shape = spec.fixed_shape
        made.add("source", Made(spec, lambda n: np.full(shape, n / 40, np.float32)))
        made.add("model", node, limen.NodePolicy(batching=limen.Batching.fixed(batch)))
        made.add("sink", sink)
        made.chain("source", "model", "sink", policy=EdgePolicy.block(5))
        return made, [sink]

    assert same(on_python, graphs) > 20
