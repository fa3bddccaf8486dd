"""What fails is counted, explained and contained; the graph goes on unless it must not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doubles import (
    MS,
    Cell,
    CollectingSink,
    Doing,
    ListSource,
    StuckSource,
    Twice,
    TwiceInPlace,
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
    CriticalityClass,
    ErrorAction,
    Graph,
    NodePolicy,
    Report,
)
from limen.errors import NodeError, SensorError
from limen.io import CsvSource
from limen.message import Message
from limen.node import Consumed, Node, Output, Skip, SourceSignal, StepResult
from limen.telemetry import RunStatistics


def run_worker(
    worker: Node, policy: NodePolicy | None = None, source: object = None
) -> tuple[RunStatistics, CollectingSink]:
    sink = CollectingSink()
    # A lower class may not feed a higher one.
    same = None if policy is None else NodePolicy(criticality=policy.criticality)
    fed = ListSource(numbers(6)) if source is None else source
    graph = Graph("failing").add("source", fed, same)
    graph.add("worker", worker, policy).add("sink", sink).chain("source", "worker", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    return statistics, sink


def failing_at(*sequences: int) -> Doing:
    def process(message: Message) -> object:
        if message.header.sequence in sequences:
            raise ValueError(f"cannot digest {message.payload[0]}")
        return forward(message)

    return Doing(process)


def test_a_node_that_raises_loses_that_message_and_goes_on() -> None:
    statistics, sink = run_worker(failing_at(2, 4))
    assert statistics.outcome == "completed"
    assert sink.sequences == [0, 1, 3, 5]
    assert input_of(statistics, "worker").dropped == {"error": 2}
    assert node_of(statistics, "worker").errors == 2


def test_the_error_says_node_message_place_and_line() -> None:
    statistics, _ = run_worker(failing_at(2))
    (text,) = node_of(statistics, "worker").messages
    line = failing_at.__code__.co_firstlineno + 3
    assert text == (
        f"ValueError: cannot digest 2.0 (test_failures_run.py:{line}) (message 2 of source, item 2)"
    )
    assert f"error in worker: {text}" in str(Report(statistics))


def test_an_exception_from_a_library_is_placed_in_the_user_s_own_file() -> None:
    def process(message: Message) -> object:
        return Output(np.linalg.inv(np.zeros((2, 2))))

    statistics, _ = run_worker(Doing(process))
    line = process.__code__.co_firstlineno + 1
    assert f"(test_failures_run.py:{line})" in node_of(statistics, "worker").messages[0]


def test_in_a_per_item_batch_only_the_failing_item_is_lost() -> None:
    statistics, sink = run_worker(failing_at(1), NodePolicy(batching=Batching.fixed(3)))
    assert sink.sequences == [0, 2, 3, 4, 5]
    assert input_of(statistics, "worker").dropped == {"error": 1}


def emits(payload: object) -> Doing:
    def process(message: Message) -> object:
        return Output(payload) if message.header.sequence == 3 else forward(message)

    return Doing(process)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (np.zeros(1, np.float64), "float64[1] does not fit f32[1]"),
        (np.zeros(2, np.float32), "float32[2] does not fit f32[1]"),
        (np.zeros((), np.float32), "float32[] does not fit"),
        ("text", "does not fit"),
        (None, "does not fit"),
        ([[1.0], [2.0, 3.0]], "is not an array"),
        (object(), "does not fit"),
    ],
)
def test_a_payload_that_does_not_fit_the_port_is_an_error_of_its_node(
    payload: object, said: str
) -> None:
    statistics, sink = run_worker(emits(payload))
    assert sink.sequences == [0, 1, 2, 4, 5]
    assert input_of(statistics, "worker").dropped == {"error": 1}
    assert said in node_of(statistics, "worker").messages[0]
    assert "message 3 of source" in node_of(statistics, "worker").messages[0]


@pytest.mark.parametrize("returned", [5, None, StepResult.NO_INPUT, numbers(1)[0]])
def test_a_node_that_returns_no_process_result_is_told_what_to_return(returned: object) -> None:
    statistics, sink = run_worker(Doing(lambda message: returned))
    assert not sink.arrivals
    assert node_of(statistics, "worker").errors == 6
    assert "return Output(payload), Outputs(…), Consumed() or Skip()" in str(Report(statistics))


def test_skip_counts_as_dropped_and_consumed_as_consumed() -> None:
    fates = [Skip(), Consumed()] * 3
    statistics, sink = run_worker(Doing(lambda message: fates[message.header.sequence]))
    port = input_of(statistics, "worker")
    assert (port.consumed, port.dropped) == (3, {"skipped": 3})
    assert node_of(statistics, "worker").errors == 0
    assert not sink.arrivals


class RaisingStep(Twice):
    """Raises before it takes anything."""

    def step(self, ctx: object) -> StepResult:
        raise RuntimeError("will not")


def test_a_step_that_raises_before_taking_loses_its_message_instead_of_failing_for_ever() -> None:
    statistics, _ = run_worker(RaisingStep())
    assert statistics.outcome == "completed"
    assert input_of(statistics, "worker").dropped == {"error": 6}


def test_a_failed_result_in_place_leaves_the_slot_for_the_next() -> None:
    class HalfWritten(TwiceInPlace):
        def process(self, x: Cell, out: Cell) -> Cell:
            out[:] = -1
            if x[0] == 2:
                raise ValueError("half")
            return super().process(x, out)

    _, sink = run_worker(HalfWritten())
    assert sink.payloads == [[0.0], [2.0], [6.0], [8.0], [10.0]]


def test_a_safety_critical_node_that_fails_halts_the_graph() -> None:
    for policy in (
        NodePolicy(criticality=CriticalityClass.SAFETY_CRITICAL),
        NodePolicy(error_action=ErrorAction.HALT_GRAPH),
    ):
        statistics, sink = run_worker(failing_at(2), policy)
        assert statistics.outcome == "halted"
        assert sink.sequences == [0, 1]
        assert any("halted by a failure of worker" in note for note in statistics.notes)


def test_a_halt_within_a_batch_drops_the_rest_of_it() -> None:
    policy = NodePolicy(batching=Batching.fixed(4), error_action=ErrorAction.HALT_GRAPH)
    statistics, sink = run_worker(failing_at(1), policy)
    dropped = input_of(statistics, "worker").dropped
    assert (dropped["error"], dropped["consumer_ended"]) == (1, 2)
    assert edge_into(statistics, "sink").pushed == 1, "what was pushed before stands"
    assert input_of(statistics, "sink").dropped.get("stopped", 0) + len(sink.arrivals) == 1


def test_a_source_that_halts_ends_the_run() -> None:
    graph = Graph("halt").add(
        "source",
        ListSource([numbers(1)[0], ValueError("broken"), numbers(1)[0]]),
        NodePolicy(error_action=ErrorAction.HALT_GRAPH),
    )
    graph.add("sink", CollectingSink()).connect("source", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "halted"


# Sources


@pytest.mark.parametrize("timing", [{}, {"every_ns": 10 * MS}])
@pytest.mark.parametrize("error", [SensorError("no light"), ValueError("no light")])
def test_a_source_that_raises_is_counted_and_goes_on_behind_it(
    error: Exception, timing: dict[str, int]
) -> None:
    items = numbers(4)
    source = ListSource([items[0], error, items[2], error, items[3]], **timing)
    statistics, sink = run_worker(Doing(forward), source=source)
    assert sink.payloads == [[0.0], [2.0], [3.0]]
    assert sink.sequences == [0, 1, 2], "what could not be read takes no number"
    assert node_of(statistics, "source").errors == 2
    assert "no light" in node_of(statistics, "source").messages[0]


@pytest.mark.parametrize("timing", [{}, {"at_ns": [0, MS]}])
@pytest.mark.parametrize("error", [ValueError("stuck"), SensorError("stuck")])
def test_a_source_that_fails_without_moving_on_starves_nobody(
    error: Exception, timing: dict[str, object]
) -> None:
    stuck = StuckSource(error, 50, **timing)
    sink, other = CollectingSink(), CollectingSink()
    graph = Graph("stuck").add("stuck", stuck).add("sink", sink)
    graph.add("fine", ListSource(numbers(5), every_ns=4 * MS)).add("other", other)
    graph.connect("stuck", "sink").connect("fine", "other")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert [arrival.now for arrival in other.arrivals] == [i * 4 * MS for i in range(5)]
    assert node_of(statistics, "stuck").errors == 50
    assert len(node_of(statistics, "stuck").messages) == 8, "the first ones in words"
    if timing or not isinstance(error, SensorError):
        assert stuck.calls[49] >= 49 * MS, "asked again after a pause, not at once"


def test_a_timed_source_that_has_nothing_when_due_is_asked_again_after_a_pause() -> None:
    source = ListSource([SourceSignal.NOTHING_NOW] * 3 + numbers(1), at_ns=[0])
    _, sink = run_worker(Doing(forward), source=source)
    assert source.calls[:4] == [0, MS, 3 * MS, 7 * MS]
    assert sink.sequences == [0]


@pytest.mark.parametrize("returned", [5, "text", StepResult.TERMINAL])
def test_a_source_that_returns_something_else_is_told_so(returned: object) -> None:
    source = ListSource([lambda now: returned])
    source.try_produce = lambda now: returned
    statistics, _ = run_worker(Doing(forward), source=source)
    assert statistics.outcome == "completed"
    assert node_of(statistics, "source").errors == 1
    assert "return Produced(payload)" in node_of(statistics, "source").messages[0]


def test_a_source_that_runs_out_of_an_iterator_is_ended_and_told_so() -> None:
    source = ListSource([])
    source.try_produce = lambda now: next(iter([]))
    statistics, _ = run_worker(Doing(forward), source=source)
    assert statistics.outcome == "completed"
    assert "StopIteration" in node_of(statistics, "source").messages[0]


def test_a_source_s_payload_of_the_wrong_shape_is_an_error_of_the_source() -> None:
    source = ListSource([np.zeros(3, np.float32), *numbers(2)])
    statistics, sink = run_worker(Doing(forward), source=source)
    assert node_of(statistics, "source").errors == 1
    assert sink.sequences == [0, 1]


def test_bad_rows_of_a_csv_file_are_counted_and_reported_with_their_row(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("x,y\n1,2\nfoo,2\n3,4\nnan,1\n5\n7,8\n")
    sink = CollectingSink()
    graph = Graph("rows").add("source", CsvSource(path, ["x", "y"], rate_hz=10))
    graph.add("sink", sink).connect("source", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert sink.payloads == [[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]]
    assert node_of(statistics, "source").errors == 3
    report = str(Report(statistics))
    assert "walk.csv row 3, column 'x': 'foo' is not a number" in report
    assert "walk.csv row 5, column 'x': nan is not a finite number" in report
    assert "walk.csv row 6" in report


@pytest.mark.parametrize("due", [OSError("gone"), "soon", 1.5], ids=["raises", "text", "float"])
def test_a_schedule_that_fails_ends_the_run_in_words(due: object) -> None:
    class Unscheduled(ListSource):
        def next_due(self) -> int | None:
            if self.place == 0:
                return 0
            if isinstance(due, Exception):
                raise due
            return due  # type: ignore[return-value] # that is the mistake

    graph = Graph("unscheduled").add("source", Unscheduled(numbers(3)))
    graph.add("sink", CollectingSink()).connect("source", "sink")
    runtime = runtime_of(graph)
    with pytest.raises(NodeError, match="source: next_due failed"):
        runtime.run()
    assert_settled(runtime.statistics())
