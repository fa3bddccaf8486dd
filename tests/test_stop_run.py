"""How a run ends: by itself, by a stop that drains or gives up, by a deadlock."""

from __future__ import annotations

import itertools
import threading

import pytest

from doubles import (
    MS,
    BatchNode,
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    assert_settled,
    edge_into,
    forward,
    input_of,
    numbers,
    runtime_of,
)
from limen import Batching, EdgePolicy, Graph, MonotonicClock, NodePolicy, NoopClock, SimClock
from limen.errors import LifecycleError
from limen.node import SourceSignal, StepResult
from limen.runtime import SingleThreadRuntime


def backlog(drain_ns: int, log: list[str] | None = None) -> tuple[SingleThreadRuntime, object]:
    """A source of 100 at once, a queue of 4, a node of 10 ms a message."""
    sink = CollectingSink(log)
    graph = Graph("backlog").add("source", ListSource(numbers(100), at_ns=[0], log=log))
    graph.add("slow", Twice(), NodePolicy(sim_cost="10ms")).add("sink", sink)
    graph.connect("source", "slow", EdgePolicy.block(4)).connect("slow", "sink")
    return runtime_of(graph, drain_ns=drain_ns), sink


def finish(runtime: SingleThreadRuntime) -> None:
    while runtime.step():
        assert runtime.statistics().closes
    runtime.stop()


def test_a_stop_in_mid_flight_drains_what_the_sources_have_made() -> None:
    log: list[str] = []
    runtime, sink = backlog(10**10, log)
    runtime.start()
    while len(sink.arrivals) < 3:
        assert runtime.step()
    made = edge_into(runtime.statistics(), "slow").offered
    runtime.stop_handle.request_stop()
    assert runtime.stop_handle.is_stopping
    finish(runtime)
    statistics = runtime.statistics()
    assert_settled(statistics)
    assert statistics.outcome == "stopped"
    assert sink.sequences == list(range(made)), "all that was made, and nothing after"
    assert 0 < made < 100
    assert {"close source", "close sink"} <= set(log)


def test_what_the_drain_timeout_leaves_is_dropped_and_counted() -> None:
    runtime, sink = backlog(15 * MS)
    runtime.start()
    while edge_into(runtime.statistics(), "slow").ring < 4:
        assert runtime.step()
    done = len(sink.arrivals)
    runtime.stop_handle.request_stop()
    finish(runtime)
    statistics = runtime.statistics()
    assert_settled(statistics)
    assert statistics.outcome == "stopped"
    assert input_of(statistics, "slow").dropped == {"stopped": 2}, "two were done in 15 ms"
    assert len(sink.arrivals) >= done + 1
    notes = "\n".join(statistics.notes)
    assert "the drain timeout passed" in notes
    assert "messages were left and given up" in notes


def test_staged_messages_that_a_stop_leaves_are_refused_as_stopped() -> None:
    graph = Graph("staged").add("source", ListSource(numbers(8)))
    graph.add("burst", Doing(forward), NodePolicy(batching=Batching.fixed(4)))
    graph.add("sink", CollectingSink(), NodePolicy(sim_cost="10ms"))
    graph.connect("source", "burst").connect("burst", "sink", EdgePolicy.block(1))
    runtime = runtime_of(graph, drain_ns=0)
    runtime.start()
    while edge_into(runtime.statistics(), "sink").staged < 3:
        assert runtime.step()
    runtime.stop_handle.request_stop()
    finish(runtime)
    statistics = runtime.statistics()
    assert_settled(statistics)
    edge = edge_into(statistics, "sink")
    assert edge.refused == {"stopped": edge.offered - edge.pushed}
    assert edge.refused["stopped"] >= 2


def test_stop_without_a_request_gives_up_at_once_and_only_once() -> None:
    log: list[str] = []
    runtime, _ = backlog(10**10, log)
    runtime.start()
    for _ in range(9):
        runtime.step()
    runtime.stop()
    runtime.stop()
    assert_settled(runtime.statistics())
    assert runtime.statistics().outcome == "stopped"
    assert log.count("close source") == log.count("close sink") == 1


def test_a_stop_before_the_first_step_ends_with_nothing_made() -> None:
    runtime, sink = backlog(10**10)
    runtime.stop_handle.request_stop()
    statistics = runtime.run()
    assert_settled(statistics)
    assert statistics.outcome == "stopped"
    assert not sink.arrivals


def test_a_stop_flushes_a_batch_that_waits_for_more() -> None:
    worker = BatchNode()
    graph = Graph("waits").add("source", ListSource(numbers(2), at_ns=[0, 0, 10**12]))
    graph.add("worker", worker, NodePolicy(batching=Batching.fixed(4)))
    graph.add("sink", CollectingSink()).chain("source", "worker", "sink")
    runtime = runtime_of(graph)
    runtime.start()
    runtime.step()
    runtime.step()
    runtime.stop_handle.request_stop()
    finish(runtime)
    assert worker.batches == [(0, [0, 1])]


def test_a_runtime_runs_once() -> None:
    runtime, _ = backlog(10**10)
    with pytest.raises(LifecycleError, match="step on a runtime that is new"):
        runtime.step()
    runtime.stop()
    runtime.run()
    for again in (runtime.start, runtime.step, runtime.run):
        with pytest.raises(LifecycleError, match="make a new one"):
            again()


def test_a_plan_for_another_tick_rate_is_refused() -> None:
    runtime, _ = backlog(10**10)
    with pytest.raises(LifecycleError, match="1000000000 ticks/s, the clock has 1000"):
        SingleThreadRuntime(runtime.plan, SimClock(tick_rate_hz=1000))


def test_a_timed_source_on_a_clock_that_stands_still_is_an_error_that_says_so() -> None:
    graph = Graph("still").add("source", ListSource(numbers(3), every_ns=MS))
    sink = CollectingSink()
    graph.add("sink", sink).connect("source", "sink")
    runtime = runtime_of(graph, NoopClock())
    with pytest.raises(LifecycleError, match="NoopClock stands still") as caught:
        runtime.run()
    assert "SimClock" in str(caught.value)
    assert sink.sequences == [0]
    assert_settled(runtime.statistics())
    assert sink.log == ["open sink", "close sink"]


def test_an_untimed_graph_runs_on_a_clock_that_stands_still() -> None:
    sink = CollectingSink()
    graph = Graph("still").add("source", ListSource(numbers(30))).add("twice", Twice())
    graph.add("sink", sink).chain("source", "twice", "sink")
    statistics = runtime_of(graph, NoopClock()).run()
    assert statistics.outcome == "completed"
    assert len(sink.arrivals) == 30


def test_a_graph_in_which_nobody_can_go_on_is_reported_as_deadlocked() -> None:
    # Chains that pass the verifier cannot deadlock: here no input is made to count as ready.
    sink = CollectingSink()
    graph = Graph("dead").add("source", ListSource(numbers(3)))
    graph.add("worker", Twice()).add("sink", sink)
    graph.chain("source", "worker", "sink", policy=EdgePolicy.block(1))
    runtime = runtime_of(graph)
    runtime._judge._inputs_ready = lambda context, states, *, timed: not context.inputs
    runtime.start()
    finish(runtime)
    statistics = runtime.statistics()
    assert statistics.outcome == "deadlocked"
    assert_settled(statistics)
    notes = "\n".join(statistics.notes)
    assert "deadlock: source waits" in notes
    assert "source waits for room on source.out -> worker.in" in notes
    assert "worker is ready and its step takes nothing" in notes
    assert input_of(statistics, "worker").dropped == {"stopped": 1}


class Live(ListSource):
    """Never has anything."""

    def try_produce(self, now: int) -> SourceSignal:
        self.asked.set()
        self.calls.append(now)
        return SourceSignal.NOTHING_NOW

    def open(self, clock: object, now: int) -> None:
        self.asked = threading.Event()


class Far(ListSource):
    """Due in an hour."""

    def open(self, clock: object, now: int) -> None:
        self.at_ns = [now + 3600 * 10**9]
        self.asked = threading.Event()
        self.asked.set()


@pytest.mark.parametrize("kind", [Live, Far])
def test_the_stop_handle_ends_an_idle_graph_from_another_thread(kind: type) -> None:
    source = kind([])
    graph = Graph("idle").add("source", source).add("sink", CollectingSink())
    runtime = runtime_of(graph.connect("source", "sink"), MonotonicClock())
    outcomes: list[str] = []
    thread = threading.Thread(target=lambda: outcomes.append(runtime.run().outcome), daemon=True)
    thread.start()
    while not hasattr(source, "asked") or not source.asked.is_set():
        pass
    runtime.stop_handle.request_stop()
    thread.join(timeout=60)
    assert not thread.is_alive(), "it woke up"
    assert outcomes == ["stopped"]


class EndsEarly(Doing):
    """Ends with its third message."""

    def step(self, ctx: object) -> StepResult:
        super().step(ctx)
        self.left = getattr(self, "left", 3) - 1
        return StepResult.MADE_PROGRESS if self.left else StepResult.TERMINAL


def test_a_node_that_ends_early_ends_those_before_and_behind_it() -> None:
    source, sink = ListSource(numbers(500)), CollectingSink()
    graph = Graph("early").add("source", source).add("ends", EndsEarly(forward)).add("sink", sink)
    graph.chain("source", "ends", "sink", policy=EdgePolicy.block(4))
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "completed"
    assert sink.sequences == [0, 1, 2]
    assert len(source.calls) < 10, "nobody listens any more"


def test_a_source_without_a_schedule_is_asked_less_and_less_while_nothing_comes() -> None:
    source = ListSource([SourceSignal.NOTHING_NOW] * 500 + numbers(1))
    graph = Graph("idle").add("source", source).add("sink", CollectingSink())
    runtime = runtime_of(graph.connect("source", "sink"))
    runtime.run()
    waits = [b - a for a, b in itertools.pairwise(source.calls[:500])]
    assert waits[:6] == [1 * MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS, 20 * MS]
    assert set(waits[6:]) == {20 * MS}
