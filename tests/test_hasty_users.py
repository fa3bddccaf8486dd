"""What hasty users do: the answer is a right result or an error that says what would be right."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import (
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    assert_settled,
    forward,
    node_of,
    numbers,
    runtime_of,
)
from limen.app import Report
from limen.errors import ConfigurationError, GraphError, LifecycleError, NodeError
from limen.node import Node, NodeKind, NodePorts, Port, StepResult
from limen.runtime import RuntimeStopHandle
from limen.telemetry import RunStatistics

One = Float32[np.ndarray, "1"]


def run_chain(
    *nodes: object, policy: limen.NodePolicy | None = None, capacity: int = 64
) -> tuple[RunStatistics, CollectingSink]:
    graph, sink = limen.Graph("hasty"), CollectingSink()
    names = [f"n{i}" for i in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add(name, node)
    graph.add("sink", sink, policy)
    graph.chain(*names, "sink", policy=limen.EdgePolicy.block(capacity))
    return runtime_of(graph).run(), sink


@limen.node
def wrap(x: One) -> dict:
    return {"x": x}


def test_a_view_inside_an_object_is_not_written_over_while_the_object_waits() -> None:
    sink = CollectingSink()
    graph = limen.Graph("hasty").add("source", ListSource(numbers(12))).add("wrap", wrap)
    graph.add("sink", sink, limen.NodePolicy(batching=limen.Batching.fixed(8)))
    graph.connect("source", "wrap", limen.EdgePolicy.block(1))
    graph.connect("wrap", "sink", limen.EdgePolicy.block(8))
    statistics = runtime_of(graph).run()
    assert [float(payload["x"][0]) for payload in sink.payloads] == [float(i) for i in range(12)]
    assert node_of(statistics, "wrap").input_copies == 12


def test_a_source_may_use_its_buffer_again_also_on_the_heap() -> None:
    buffer = np.zeros(1)

    def fill(value: int) -> object:
        def make(now: int) -> object:
            buffer[:] = value
            return limen.Produced(buffer)

        return make

    source = ListSource([fill(i) for i in range(6)], spec=limen.ObjectSpec(object))
    _, sink = run_chain(source, policy=limen.NodePolicy(batching=limen.Batching.fixed(3)))
    assert sink.payloads == [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"creation_tick": 1.5},
        {"creation_tick": -1},
        {"deadline_ns": "5ms"},
        {"qos": 2},
    ],
)
def test_a_source_that_states_nonsense_fails_and_loses_no_slot(wrong: dict) -> None:
    source = ListSource([limen.Produced(numbers(1)[0], **wrong), *numbers(2)])
    statistics, sink = run_chain(source)
    assert_settled(statistics)
    assert node_of(statistics, "n0").errors == 1
    assert sink.sequences == [0, 1]


def test_a_numpy_creation_tick_counts_as_the_whole_number_it_is() -> None:
    source = ListSource([limen.Produced(numbers(1)[0], creation_tick=np.int64(0))])
    statistics, sink = run_chain(source)
    assert node_of(statistics, "n0").errors == 0
    assert sink.sequences == [0]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise self


def test_an_exception_that_cannot_be_printed_is_one_failure() -> None:
    def fail(message: object) -> object:
        raise UnprintableError

    statistics, _ = run_chain(ListSource(numbers(3)), Doing(fail))
    worker = node_of(statistics, "n1")
    assert worker.errors == 3
    assert worker.messages[0].startswith("UnprintableError, which cannot be printed")


def test_a_huge_error_text_is_cut() -> None:
    def fail(message: object) -> object:
        raise ValueError("x" * 1_000_000)

    statistics, _ = run_chain(ListSource(numbers(3)), Doing(fail))
    assert len(node_of(statistics, "n1").messages[0]) < 500


class RaisesLate(Twice):
    def step(self, ctx: object) -> StepResult:
        super().step(ctx)
        raise RuntimeError("late")


def test_a_step_that_raises_after_its_work_loses_no_other_message() -> None:
    statistics, sink = run_chain(ListSource(numbers(20)), RaisesLate())
    assert len(sink.arrivals) == 20
    assert node_of(statistics, "n1").errors == 20


def test_one_component_in_two_places_is_refused() -> None:
    source = ListSource(numbers(2))
    graph = limen.Graph("hasty").add("a", source).add("b", source)
    graph.add("x", CollectingSink()).add("y", CollectingSink())
    with pytest.raises(GraphError, match="make one for each"):
        limen.check(graph.connect("a", "x").connect("b", "y"))


def test_a_function_node_may_stand_in_two_places() -> None:
    @limen.node
    def same(x: One) -> One:
        return x

    _, sink = run_chain(ListSource(numbers(2)), same, same)
    assert sink.sequences == [0, 1]


class Counting(limen.ProcessNode):
    def __init__(self) -> None:
        self.seen = 0

    def process(self, x: One) -> One:
        self.seen += 1
        return np.full(1, self.seen, np.float32)

    def reset(self) -> None:
        self.seen = 0


def test_a_second_run_of_a_graph_does_not_go_on_where_the_first_ended(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("x\n1\n2\n")
    sink = CollectingSink()
    graph = limen.Graph("twice").add("s", limen.io.CsvSource(path, ["x"], speed="max"))
    graph.add("count", Counting()).add("sink", sink).chain("s", "count", "sink")
    limen.run(graph, clock=limen.SimClock())
    limen.run(graph, clock=limen.SimClock())
    assert sink.payloads == [[1.0], [2.0], [1.0], [2.0]]


class SkipsWithOut(limen.ProcessNode):
    def process(self, x: One, out: One) -> One:
        return x

    def process_message(self, message: object, clock: object) -> object:
        return limen.Skip()


def test_process_message_is_called_where_it_is_written_also_beside_out() -> None:
    statistics, sink = run_chain(ListSource(numbers(3)), SkipsWithOut())
    assert sink.arrivals == []
    assert statistics.inputs[0].dropped == {"skipped": 3}


def test_numbers_in_objects_stay_numbers_in_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    payload = {"v": np.float32(1.5), "a": np.arange(2000), "nan": np.float64("nan")}
    graph = limen.Graph("json").add("s", ListSource([payload], spec=limen.ObjectSpec(dict)))
    graph.add("out", limen.io.JsonLinesSink(path)).connect("s", "out")
    runtime_of(graph).run()
    value = json.loads(path.read_text())["value"]
    assert value == {"v": 1.5, "a": list(range(2000)), "nan": None}


def test_an_object_of_another_type_than_declared_is_an_error_of_the_node() -> None:
    @limen.node
    def name(x: One) -> str:
        return 5  # type: ignore[return-value] # on purpose

    statistics, sink = run_chain(ListSource(numbers(1)), name)
    assert sink.arrivals == []
    assert "payload is a int" in node_of(statistics, "n1").messages[0]


def test_a_whole_number_is_fine_where_a_float_is_declared() -> None:
    @limen.node
    def count(x: One) -> float:
        return 5

    _, sink = run_chain(ListSource(numbers(1)), count)
    assert sink.payloads == [5]


class TakesNothing(Twice):
    def step(self, ctx: object) -> StepResult:
        return StepResult.NO_INPUT


def test_a_node_that_takes_nothing_is_reported_instead_of_spinning() -> None:
    statistics, _ = run_chain(ListSource(numbers(1)), TakesNothing())
    assert statistics.outcome == "deadlocked"
    assert "n1 is ready and its step takes nothing" in statistics.notes[0]
    assert_settled(statistics)


class TwoInputs(Node):
    kind = NodeKind.PROCESS
    input_names = ("a", "b")
    output_names = ("out",)

    def resolve(self, inputs: dict) -> NodePorts:
        return NodePorts((Port("a", inputs["a"]), Port("b", inputs["b"])), ())

    def step(self, ctx: object) -> StepResult:
        return StepResult.NO_INPUT


def test_a_join_is_refused_before_the_start() -> None:
    graph = limen.Graph("join").add("a", ListSource(numbers(1))).add("b", ListSource(numbers(1)))
    graph.add("join", TwoInputs()).add("sink", CollectingSink())
    graph.connect("a", "join.a").connect("b", "join.b").connect("join", "sink")
    with pytest.raises(GraphError, match="a process with 2 inputs and 1 outputs"):
        limen.check(graph)


async def later(x: One) -> One:
    return x


def generator(x: One) -> One:
    yield x


def keyword(*, x: One) -> One:
    return x


@pytest.mark.parametrize("function", [later, generator, keyword])
def test_a_function_that_cannot_be_a_node_is_refused(function: object) -> None:
    graph = limen.Graph("f").add("s", ListSource(numbers(1))).add("f", limen.node(function))
    graph.add("sink", CollectingSink()).chain("s", "f", "sink")
    with pytest.raises(GraphError, match=r"plain function|by position"):
        limen.check(graph)


class CannotOpen(CollectingSink):
    def open(self, clock: object, spec: object) -> None:
        raise PermissionError("not yours")


def test_a_node_that_cannot_start_is_named_whatever_it_raises() -> None:
    graph = limen.Graph("start").add("s", ListSource(numbers(1))).add("sink", CannotOpen())
    runtime = runtime_of(graph.connect("s", "sink"))
    with pytest.raises(NodeError, match="sink cannot start: PermissionError: not yours"):
        runtime.run()
    assert runtime.statistics().outcome == "failed"


def test_slots_that_cannot_be_reserved_are_said_so() -> None:
    graph = limen.Graph("big").add("s", ListSource(numbers(1))).add("sink", CollectingSink())
    graph.connect("s", "sink", limen.EdgePolicy.block(2**62))
    with pytest.raises(LifecycleError, match="lower max_items"):
        runtime_of(graph)


@pytest.mark.parametrize(
    "build",
    [
        lambda: limen.Graph(5),
        lambda: limen.Graph("g", scheduler=None),
        lambda: limen.Graph("g").add(5, CollectingSink()),
        lambda: limen.Graph("g").add("a", CollectingSink(), limen.EdgePolicy.block(1)),
        lambda: limen.Graph("g").add("a", print),
        lambda: limen.Graph("g").connect("a", "b", 64),
        lambda: limen.Graph("g").connect(CollectingSink(), "b"),
        lambda: limen.Graph("g").chain("a", "b", limen.EdgePolicy.block(3)),
        lambda: limen.nodes.Window("5"),
        lambda: limen.nodes.Window(True),
        lambda: limen.Model("m.onnx", threads="2"),
        lambda: limen.Model("m.onnx", max_batch=True),
        lambda: limen.SimClock(1000.0),
        lambda: limen.SimClock(start=1.5),
    ],
)
def test_a_wrong_argument_is_refused_where_it_is_given(build: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build()
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_a_file_that_breaks_the_parser_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)
    with pytest.raises(GraphError, match=r"deep\.toml"):
        limen.load(path)


def test_a_stop_is_only_a_flag_for_signal_handlers() -> None:
    clock = limen.MonotonicClock()
    handle = RuntimeStopHandle(clock)
    threads = [threading.Thread(target=handle.request_stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert handle.is_stopping


def test_a_coarse_clock_does_not_round_declared_times_away() -> None:
    graph = limen.Graph("coarse").add("s", ListSource(numbers(3)))
    policy = limen.NodePolicy(batching=limen.Batching.fixed_and_delta_t(4, "50ms"), sim_cost="20ms")
    graph.add("work", Doing(forward), policy).add("sink", CollectingSink())
    plan = limen.check(graph.chain("s", "work", "sink"), limen.SimClock(10))
    assert plan.nodes[1].inputs[0].batching.delta_ticks == 1
    assert plan.nodes[1].sim_cost_ticks == 1


def test_a_report_is_readable_and_one_json_line() -> None:
    statistics, _ = run_chain(ListSource(numbers(3)))
    report = Report(statistics)
    assert "identities close" in str(report)
    assert "deadline misses: 0" in str(report)
    assert "\n" not in report.to_json()
    assert json.loads(report.to_json())["outcome"] == "completed"
