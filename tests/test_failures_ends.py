"""Failures at the edges of a graph: files, sinks, models, starts and stops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doubles import (
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    assert_settled,
    edge_into,
    forward,
    input_of,
    node_of,
    numbers,
    runtime_of,
)
from limen import (
    Batching,
    DataType,
    EdgePolicy,
    Graph,
    Model,
    NodePolicy,
    ObjectSpec,
    QueueCaps,
    Sink,
    TensorSpec,
)
from limen.errors import LifecycleError, OutputError, SensorError
from limen.io import CsvSource
from limen.message import Message
from limen.node import Node, NodeKind, NodePorts, Output, Port, StepResult


def test_a_failure_downstream_names_the_row_of_the_file_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("x\n1\nfoo\n3\n4\n")

    def process(message: Message) -> object:
        if message.payload[0] == 3:
            raise ValueError("no threes")
        return forward(message)

    graph = Graph("rows").add("csv", CsvSource(path, ["x"], speed="max"))
    graph.add("worker", Doing(process)).add("sink", CollectingSink()).chain("csv", "worker", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    (text,) = node_of(statistics, "worker").messages
    assert text.endswith("(message 1 of csv, walk.csv row 4)")


class Choosy(CollectingSink):
    """Cannot write odd messages."""

    def consume(self, message: Message, now: int) -> None:
        if message.header.sequence % 2:
            raise OutputError("disk full")
        super().consume(message, now)


def test_a_sink_that_cannot_write_one_message_writes_the_next() -> None:
    sink = Choosy()
    graph = Graph("sink").add("source", ListSource(numbers(6))).add("sink", sink)
    statistics = runtime_of(graph.connect("source", "sink")).run()
    assert_settled(statistics)
    assert sink.sequences == [0, 2, 4]
    assert input_of(statistics, "sink").dropped == {"error": 3}
    assert sink.log == ["open sink", "close sink"]


def test_an_item_that_can_never_fit_is_refused_also_behind_one_that_is_staged() -> None:
    # SEMANTICS 4: staged, the second would wait for ever and the graph would deadlock.
    sizes = [8, 8, 50, 8]

    class Sized(Doing):
        def process(self, x: bytes) -> bytes:
            return x

    sink = CollectingSink()
    source = ListSource([bytes(n) for n in sizes], spec=ObjectSpec(bytes))
    graph = Graph("sizes").add("source", source).add("sink", sink)
    graph.add("worker", Sized(forward), NodePolicy(batching=Batching.fixed(4)))
    graph.connect("source", "worker")
    graph.connect("worker", "sink", EdgePolicy(QueueCaps(4, max_bytes=10)))
    statistics = runtime_of(graph).run()
    assert statistics.outcome == "completed"
    assert_settled(statistics)
    assert sink.sequences == [0, 1, 3]
    assert edge_into(statistics, "sink").refused == {"too_large": 1}


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_that_fails_at_run_time_loses_its_batch_and_goes_on(
    tmp_path: Path, batch: int
) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph_proto = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("x", kinds.INT64, ["N", 1])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, ["N", 1])],
        [helper.make_tensor("table", kinds.FLOAT, [3], [5, 6, 7])],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "lookup.onnx"
    onnx.save(helper.make_model(graph_proto, opset_imports=opsets, ir_version=8), path)
    places = [np.array([i], np.int64) for i in (0, 1, 2, 0, 99, 2, 2, 1, 0)]
    sink = CollectingSink()
    index = TensorSpec(DataType.S64, (1,))
    graph = Graph("lookup").add("source", ListSource(places, spec=index)).add("sink", sink)
    graph.add("model", Model(path), NodePolicy(batching=Batching.fixed(batch)))
    statistics = runtime_of(graph.chain("source", "model", "sink")).run()
    assert_settled(statistics)
    assert node_of(statistics, "model").errors == 1
    assert input_of(statistics, "model").dropped == {"error": batch}
    assert len(sink.arrivals) == 9 - batch
    assert sink.payloads[-3:] == [[7.0], [6.0], [5.0]]
    assert "message" in node_of(statistics, "model").messages[0]


# Starting and stopping


class Fragile(Twice):
    """Fails where it is told to; notes what is called."""

    def __init__(self, name: str, log: list[str], fails: str = "") -> None:
        super().__init__()
        self.name, self.log, self.fails = name, log, fails

    def _do(self, what: str) -> None:
        self.log.append(f"{what} {self.name}")
        if self.fails == what:
            raise SensorError(f"{self.name} cannot {what}")

    def initialize(self, clock: object, ports: object) -> None:
        self._do("initialize")

    def start(self, now: int) -> None:
        self._do("start")

    def stop(self) -> None:
        self._do("stop")


def fragile(log: list[str], fails: dict[str, str]) -> Graph:
    graph = Graph("fragile").add("source", ListSource(numbers(3), log=log))
    for name in ("one", "two", "three"):
        graph.add(name, Fragile(name, log, fails.get(name, "")))
    graph.add("sink", CollectingSink(log))
    return graph.chain("source", "one", "two", "three", "sink")


@pytest.mark.parametrize("what", ["initialize", "start"])
def test_when_a_node_cannot_start_those_before_it_are_stopped_and_none_after(what: str) -> None:
    log: list[str] = []
    runtime = runtime_of(fragile(log, {"two": what}))
    with pytest.raises(SensorError, match=f"two cannot {what}"):
        runtime.run()
    assert log[0] == "open source"
    assert {"close source", "stop one"} < set(log)
    assert not any("three" in entry or "sink" in entry for entry in log)
    with pytest.raises(LifecycleError):
        runtime.run()


def test_a_node_that_cannot_stop_keeps_no_other_from_stopping() -> None:
    log: list[str] = []
    statistics = runtime_of(fragile(log, {"one": "stop", "three": "stop"})).run()
    assert_settled(statistics)
    assert statistics.outcome == "failed", "what could not be flushed is lost"
    stopped = [entry for entry in log if entry.startswith(("stop", "close"))]
    assert stopped == ["close source", "stop one", "stop two", "stop three", "close sink"]
    notes = "\n".join(statistics.notes)
    assert "one failed to stop: one cannot stop" in notes
    assert "three failed to stop" in notes


def test_an_interrupt_within_a_call_stops_every_node_and_gives_every_slot_back() -> None:
    log: list[str] = []

    def interrupted(message: Message) -> Output:
        if message.header.sequence == 2:
            raise KeyboardInterrupt
        return Output(message.payload)

    graph = Graph("interrupt").add("source", ListSource(numbers(9), log=log))
    graph.add("worker", Doing(interrupted), NodePolicy(batching=Batching.fixed(4)))
    graph.add("sink", CollectingSink(log)).chain("source", "worker", "sink")
    runtime = runtime_of(graph)
    with pytest.raises(KeyboardInterrupt):
        runtime.run()
    assert_settled(runtime.statistics())
    assert {"close source", "close sink"} <= set(log)


class Resuming(ListSource):
    """Fails when it is told that it may go on."""

    def resumed(self, now: int) -> None:
        raise ValueError("resumed badly")


def test_a_source_that_fails_when_resumed_does_not_end_the_run() -> None:
    graph = Graph("resume").add("source", Resuming(numbers(5), every_ns=1))
    graph.add("sink", Sinking(), NodePolicy(sim_cost="10ns"))
    graph.connect("source", "sink", EdgePolicy.block(1))
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "completed"
    assert node_of(statistics, "sink").processed == 5
    assert "resumed badly" in node_of(statistics, "source").messages[0]


class Sinking(Sink):
    """Takes everything."""

    def consume(self, message: Message, now: int) -> None:
        return


class Lost(Node):
    """A sink-like node that asks for a port it does not have."""

    kind = NodeKind.SINK
    input_names = ("in",)
    output_names = ()

    def resolve(self, inputs: dict[str, object]) -> NodePorts:
        return NodePorts((Port("in", inputs["in"]),), ())

    def step(self, ctx: object) -> StepResult:
        return ctx.pop_and_process("inn", lambda message: None)


def test_a_node_that_asks_for_a_port_it_does_not_have_is_told_so() -> None:
    graph = Graph("lost").add("source", ListSource(numbers(2))).add("lost", Lost())
    statistics = runtime_of(graph.connect("source", "lost")).run()
    assert_settled(statistics)
    assert "has no input 'inn'" in node_of(statistics, "lost").messages[0]
    assert input_of(statistics, "lost").dropped == {"error": 2}
