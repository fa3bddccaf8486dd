"""Who is stepped next: round robin, earliest deadline first, timed sources before all."""

from __future__ import annotations

import pytest

from doubles import MS, BatchNode, CollectingSink, ListSource, Twice, numbers, runtime_of
from limen import Batching, EdgePolicy, Graph, NodePolicy, Report
from limen.node import Produced


class Tracing(CollectingSink):
    """Notes its own name in a shared list."""

    def consume(self, message: object, now: int) -> None:
        self.log.append(self.name)


def tracing(name: str, log: list[str], count: int, **options: object) -> ListSource:
    """Return a source that notes its name whenever it produces."""

    def produce(now: int) -> object:
        log.append(name)
        return Produced(numbers(1)[0])

    return ListSource([produce] * count, **options)


def steps_of(graph: Graph, log: list[str]) -> list[str]:
    statistics = runtime_of(graph).run()
    assert statistics.closes
    return log


def test_round_robin_takes_ready_nodes_in_turn() -> None:
    log: list[str] = []
    graph = Graph("turns").add("a", tracing("a", log, 3)).add("b", tracing("b", log, 3))
    graph.add("x", Tracing(log, "x")).add("y", Tracing(log, "y"))
    graph.connect("a", "x").connect("b", "y")
    names = [name for name in steps_of(graph, log) if len(name) == 1]
    assert names == ["a", "b", "x", "y"] * 3


def test_round_robin_goes_on_behind_the_node_stepped_last() -> None:
    log: list[str] = []
    graph = Graph("turns").add("x", Tracing(log, "x")).add("a", tracing("a", log, 3))
    graph.connect("a", "x")
    assert [name for name in steps_of(graph, log) if len(name) == 1] == ["a", "x"] * 3


def test_timed_sources_go_before_every_candidate_in_the_order_of_their_instants() -> None:
    log: list[str] = []
    graph = Graph("timed")
    graph.add("x", Tracing(log, "x"), NodePolicy(sim_cost="10ms"))
    graph.add("late", tracing("l", log, 2, at_ns=[2 * MS, 4 * MS, 4 * MS]))
    graph.add("y", Tracing(log, "y"), NodePolicy(sim_cost="10ms"))
    graph.add("early", tracing("e", log, 3, at_ns=[0, 1 * MS, 2 * MS, 2 * MS]))
    graph.connect("late", "x").connect("early", "y")
    names = "".join(name for name in steps_of(graph, log) if len(name) == 1)
    # y takes the first until 10 ms; by then all the others are due: e at 1, l and e at 2 (the lower
    # index first), l at 4.
    assert names[:6] == "eyelel"


def test_a_source_that_is_always_due_starves_nobody() -> None:
    # SCHED-3: without it the sink would wait until the source has ended.
    sink = CollectingSink()
    graph = Graph("busy").add("source", ListSource(numbers(100), every_ns=MS))
    graph.add("slow", Twice(), NodePolicy(sim_cost="10ms")).add("sink", sink)
    graph.connect("source", "slow", EdgePolicy.drop_oldest(2)).connect("slow", "sink")
    runtime_of(graph).run()
    done = sink.arrivals
    assert [arrival.now for arrival in done[:3]] == [10 * MS, 20 * MS, 30 * MS]


def two_chains(log: list[str], first: dict[str, object], second: dict[str, object]) -> Graph:
    """Two sources at 0 ms and two sinks; what differs is the deadline of what they carry."""
    graph = Graph("edf", scheduler="edf")
    for name, fields in (("a", first), ("b", second)):
        items = [Produced(payload, **fields) for payload in numbers(1)]
        graph.add(name, ListSource(items, at_ns=[0, 0], log=[]))
    graph.add("x", Tracing(log, "x"), NodePolicy(sim_cost="1ms"))
    graph.add("y", Tracing(log, "y"), NodePolicy(sim_cost="1ms"))
    return graph.connect("a", "x").connect("b", "y")


@pytest.mark.parametrize(
    ("first_ns", "second_ns", "order"),
    [
        (20 * MS, 10 * MS, ["y", "x"]),
        (10 * MS, 20 * MS, ["x", "y"]),
        (None, 10**15, ["y", "x"]),
        (10 * MS, 10 * MS, ["x", "y"]),
        (None, None, ["x", "y"]),
        (None, 0, ["y", "x"]),
    ],
)
def test_edf_takes_the_earliest_deadline_and_none_last_and_ties_by_index(
    first_ns: int | None, second_ns: int | None, order: list[str]
) -> None:
    log: list[str] = []
    graph = two_chains(log, {"deadline_ns": first_ns}, {"deadline_ns": second_ns})
    assert [n for n in steps_of(graph, log) if len(n) == 1] == order


def test_edf_breaks_ties_by_sequence_before_index() -> None:
    # x has one message behind it and waits with number 1; y waits with number 0 of equal deadline.
    log: list[str] = []
    graph = Graph("edf", scheduler="edf")
    slow = [Produced(p, deadline_ns=d * MS) for p, d in zip(numbers(2), (5, 50), strict=True)]
    graph.add("a", ListSource(slow, at_ns=[0, 0, 0]))
    graph.add("b", ListSource([Produced(numbers(1)[0], deadline_ns=50 * MS)], at_ns=[0, 0]))
    graph.add("x", Tracing(log, "x")).add("y", Tracing(log, "y"))
    graph.connect("a", "x").connect("b", "y")
    assert [n for n in steps_of(graph, log) if len(n) == 1] == ["x", "y", "x"]


def test_edf_counts_the_consumer_s_default_deadline() -> None:
    log: list[str] = []
    graph = Graph("edf", scheduler="edf")
    graph.add("a", ListSource(numbers(1), at_ns=[0, 0]))
    graph.add("b", ListSource(numbers(1), at_ns=[0, 0]))
    graph.add("x", Tracing(log, "x"), NodePolicy(deadline="20ms"))
    graph.add("y", Tracing(log, "y"), NodePolicy(deadline="10ms"))
    graph.connect("a", "x").connect("b", "y")
    assert [n for n in steps_of(graph, log) if len(n) == 1] == ["y", "x"]


@pytest.mark.parametrize("scheduler", ["round_robin", "edf"])
def test_fifty_runs_of_a_graph_give_fifty_equal_reports(scheduler: str) -> None:
    def report() -> str:
        graph = Graph("same", scheduler=scheduler)
        graph.add("a", ListSource(numbers(60), every_ns=3 * MS)).add("b", ListSource(numbers(40)))
        graph.add("model", BatchNode(), NodePolicy(Batching.fixed_and_delta_t(4, "5ms"), "9ms"))
        graph.add("twice", Twice(), NodePolicy(sim_cost="7ms", deadline="20ms"))
        graph.add("x", CollectingSink(), NodePolicy(sim_cost="2ms")).add("y", CollectingSink())
        graph.connect("a", "model", EdgePolicy.drop_oldest(4)).connect("model", "x")
        graph.connect("b", "twice", EdgePolicy.deadline_and_qos_aware(5, 2)).connect("twice", "y")
        return Report(runtime_of(graph).run()).to_json()

    assert len({report() for _ in range(50)}) == 1
