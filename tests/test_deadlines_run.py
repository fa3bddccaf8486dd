"""When a result counts as late: effective deadline + slack < now, at the instant after the call."""

from __future__ import annotations

import pytest

from doubles import (
    MS,
    BatchNode,
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
from limen import Batching, Deadline, EdgePolicy, Graph, NodePolicy
from limen.node import Node, Produced
from limen.telemetry import RunStatistics


def run_late(
    deadlines: list[int | None],
    policy: NodePolicy,
    *,
    at_ns: list[int] | None = None,
    node: Node | None = None,
) -> RunStatistics:
    """Run one message per header deadline through a node and return the accounting."""
    items = [
        Produced(payload, deadline_ns=deadline)
        for payload, deadline in zip(numbers(len(deadlines)), deadlines, strict=True)
    ]
    when = [0] * (len(items) + 1) if at_ns is None else at_ns
    graph = Graph("late").add("source", ListSource(items, at_ns=when))
    graph.add("worker", Twice() if node is None else node, policy).add("sink", CollectingSink())
    graph.chain("source", "worker", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    return statistics


def misses(statistics: RunStatistics) -> int:
    return node_of(statistics, "worker").deadline_misses


@pytest.mark.parametrize(
    ("deadline_ns", "slack", "late"),
    [
        (10 * MS, "0ns", 0),
        (10 * MS - 1, "0ns", 1),
        (10 * MS - 1, "1ns", 0),
        (9 * MS, "1ms", 0),
        (9 * MS - 1, "1ms", 1),
        (0, "0ns", 1),
    ],
)
def test_a_result_at_deadline_plus_slack_is_on_time_and_one_tick_later_is_not(
    deadline_ns: int, slack: str, late: int
) -> None:
    policy = NodePolicy(sim_cost="10ms", deadline=Deadline(slack=slack))
    assert misses(run_late([deadline_ns], policy)) == late


def test_without_any_deadline_nothing_is_late() -> None:
    assert misses(run_late([None] * 5, NodePolicy(sim_cost="10s"))) == 0


@pytest.mark.parametrize(
    ("header_ns", "default", "late"),
    [(20 * MS, "5ms", 0), (5 * MS, "20ms", 1), (None, "5ms", 1), (None, "10ms", 0)],
)
def test_the_header_s_deadline_goes_before_the_node_s_default(
    header_ns: int | None, default: str, late: int
) -> None:
    assert misses(run_late([header_ns], NodePolicy(sim_cost="10ms", deadline=default))) == late


def test_the_default_counts_from_the_push_into_the_node_s_own_input() -> None:
    # Pushed at 0, 0 and 100 ms; done at 10, 20 and 110 ms; 15 ms after the push are granted.
    policy = NodePolicy(sim_cost="10ms", deadline="15ms")
    statistics = run_late([None] * 3, policy, at_ns=[0, 0, 100 * MS, 100 * MS])
    assert misses(statistics) == 1


def test_of_a_message_that_was_staged_the_default_counts_from_its_flush() -> None:
    # Two results at 0 ms into a queue of 1: the second enters at the flush, when that has gone.
    graph = Graph("staged").add("source", ListSource(numbers(2)))
    graph.add("both", Doing(forward), NodePolicy(batching=Batching.fixed(2)))
    graph.add("worker", Twice(), NodePolicy(sim_cost="10ms", deadline="10ms"))
    graph.add("sink", CollectingSink())
    graph.connect("source", "both").connect("both", "worker", EdgePolicy.block(1))
    graph.connect("worker", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert node_of(statistics, "worker").calls == 2
    assert misses(statistics) == 0


def test_defaults_do_not_travel_and_header_deadlines_do() -> None:
    for header_ns, late_at_sink in ((None, 0), (1 * MS, 1)):
        graph = Graph("travel")
        graph.add("source", ListSource([Produced(numbers(1)[0], deadline_ns=header_ns)]))
        graph.add("worker", Twice(), NodePolicy(sim_cost="10ms", deadline="5ms"))
        graph.add("sink", CollectingSink()).chain("source", "worker", "sink")
        statistics = runtime_of(graph).run()
        assert misses(statistics) == 1
        assert node_of(statistics, "sink").deadline_misses == late_at_sink


def test_each_item_of_a_batch_is_late_or_not_for_itself() -> None:
    policy = NodePolicy(sim_cost="10ms", batching=Batching.fixed(3))
    assert misses(run_late([9 * MS, 10 * MS, None], policy, node=BatchNode())) == 1


def test_of_a_per_item_batch_each_is_judged_after_its_own_call() -> None:
    policy = NodePolicy(sim_cost="10ms", batching=Batching.fixed(3), deadline="20ms")
    statistics = run_late([None] * 3, policy)
    assert misses(statistics) == 1, "done at 10, 20 and 30 ms"


def test_a_failed_call_is_an_error_and_not_a_miss() -> None:
    def fails(message: object) -> object:
        raise ValueError("no")

    statistics = run_late([0, 0], NodePolicy(sim_cost="10ms"), node=Doing(fails))
    assert misses(statistics) == 0
    assert node_of(statistics, "worker").errors == 2
