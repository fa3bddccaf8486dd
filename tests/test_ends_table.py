"""End of stream through every kind of node, in real runs: SPEC 5 and 6, SEMANTICS 5 and 7."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float32

from doubles import (
    MS,
    BatchNode,
    Cell,
    CollectingSink,
    ListSource,
    Twice,
    assert_settled,
    edge_into,
    input_of,
    numbers,
)
from limen import (
    Activation,
    Batching,
    EdgePolicy,
    Graph,
    NodePolicy,
    ProcessNode,
    SimClock,
)
from limen.app import check
from limen.errors import GraphError
from limen.runtime import SingleThreadRuntime
from limen.telemetry import Decision, DecisionLog, EdgeStatistics, InputStatistics, RunStatistics
from limen.testing import ScriptedNode, ScriptedSink


class Run(NamedTuple):
    """What a run decided and counted."""

    log: list[Decision]
    statistics: RunStatistics

    def ends(self) -> dict[str, str]:
        """Why each node ended."""
        return {d.place: d.reason for d in self.log if d.action == "end"}

    def reasons(self, consumer: str, action: str) -> list[tuple[int, str]]:
        """Sequence and reason of what was done to the edge into a port."""
        return [
            (d.sequence, d.reason)
            for d in self.log
            if d.action == action and d.place.endswith(f"-> {consumer}")
        ]

    def port(self, name: str) -> InputStatistics:
        return next(port for port in self.statistics.inputs if port.name == name)

    def edge(self, consumer: str) -> EdgeStatistics:
        return next(e for e in self.statistics.edges if e.name.endswith(f"-> {consumer}"))


def play(graph: Graph, outcome: str = "completed") -> Run:
    log: list[Decision] = []
    clock = SimClock()
    plan = check(graph, clock)
    statistics = SingleThreadRuntime(plan, clock, log=DecisionLog(log.append)).run()
    assert statistics.outcome == outcome, statistics.notes
    assert_settled(statistics)
    return Run(log, statistics)


def source(count: int, *milliseconds: int) -> ListSource:
    """A source of so many numbers; the last instant is that of its end."""
    at = [ms * MS for ms in milliseconds] or None
    return ListSource(numbers(count), at_ns=at)


class Pair(ProcessNode):
    """Needs both; tells which numbers met."""

    def __init__(self) -> None:
        self.met: list[tuple[int | None, int | None]] = []

    def process(self, a: Cell, b: Cell) -> Cell:
        return self._note(a, b)

    def _note(self, a: Cell | None, b: Cell | None) -> Cell:
        self.met.append(tuple(None if x is None else int(x[0]) for x in (a, b)))
        return np.zeros(1, np.float32)


class OptionalPair(Pair):
    """Needs the first; takes the second if it is there."""

    def process(self, a: Cell, b: Cell | None) -> Cell:
        return self._note(a, b)


class Either(Pair):
    """Takes whatever comes first."""

    activation = Activation.ANY

    def process(self, a: Cell | None, b: Cell | None) -> Cell:
        return self._note(a, b)


def two_into(
    join: Pair,
    a: ListSource,
    b: ListSource,
    policy_b: EdgePolicy | None = None,
    policy_a: EdgePolicy | None = None,
) -> tuple[Graph, CollectingSink]:
    sink = CollectingSink()
    graph = Graph("two").add("left", a).add("right", b).add("join", join).add("sink", sink)
    graph.connect("left", "join.a", policy_a).connect("right", "join.b", policy_b)
    return graph.connect("join", "sink"), sink


_COUNTS = list(itertools.product(range(4), repeat=2))


@pytest.mark.parametrize(("left", "right"), _COUNTS)
def test_an_all_join_makes_as_many_pairs_as_the_shorter_side_has(left: int, right: int) -> None:
    join = Pair()
    graph, sink = two_into(join, source(left), source(right))
    run = play(graph)
    pairs = min(left, right)
    assert join.met == [(n, n) for n in range(pairs)]
    assert len(sink.arrivals) == pairs
    assert run.ends()["join"] == run.ends()["sink"] == "end_of_stream"
    for port in ("join.a", "join.b"):
        assert run.port(port).consumed == pairs
        assert set(run.port(port).dropped) <= {"unpaired"}


def test_what_an_all_join_cannot_pair_any_more_is_dropped_as_unpaired_in_order() -> None:
    graph, _ = two_into(Pair(), source(1, 0, 10), source(4, 0, 1, 2, 3, 20))
    run = play(graph)
    assert run.reasons("join.b", "drop") == [(1, "unpaired"), (2, "unpaired"), (3, "unpaired")]
    assert run.port("join.b").dropped == {"unpaired": 3}
    ended = next(d for d in run.log if (d.place, d.action) == ("join", "end"))
    assert ended.instant == 10 * MS


def test_an_all_join_that_can_still_pair_what_waits_does_so_before_it_ends() -> None:
    join = Pair()
    graph, _ = two_into(join, source(2, 0, 1, 2), source(2, 0, 50, 60))
    play(graph)
    assert join.met == [(0, 0), (1, 1)]


def test_a_source_whose_only_consumer_ended_ends_without_being_asked_again() -> None:
    right = source(9, 0, 1, 50, 51, 52, 53, 54, 55, 56, 57)
    graph, _ = two_into(Pair(), source(1, 0, 10), right)
    run = play(graph)
    assert run.ends()["right"] == "consumers_ended"
    assert right.calls == [0, 1 * MS]


@pytest.mark.parametrize(("left", "right"), _COUNTS)
def test_an_any_join_takes_everything_from_both_sides_and_ends_with_the_last(
    left: int, right: int
) -> None:
    join = Either()
    graph, sink = two_into(join, source(left), source(right))
    run = play(graph)
    assert sorted(a for a, _ in join.met if a is not None) == list(range(left))
    assert sorted(b for _, b in join.met if b is not None) == list(range(right))
    assert len(sink.arrivals) == left + right
    assert run.ends()["join"] == "end_of_stream"
    for port in ("join.a", "join.b"):
        assert run.port(port).dropped == {}


def test_an_any_join_waits_for_the_side_that_is_still_open() -> None:
    join = Either()
    graph, _ = two_into(join, source(0, 0), source(1, 500, 600))
    run = play(graph)
    assert join.met == [(None, 0)]
    assert next(d for d in run.log if (d.place, d.action) == ("join", "end")).instant == 600 * MS


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_batch_with_a_remainder_goes_out_short_at_the_end(most: int, count: int) -> None:
    node, sink = BatchNode(), CollectingSink()
    graph = Graph("batch").add("source", source(count)).add("sink", sink)
    graph.add("node", node, NodePolicy(batching=Batching.fixed(most)))
    play(graph.chain("source", "node", "sink"))
    everything = list(range(count))
    wanted = [everything[i : i + most] for i in range(0, count, most)]
    assert [sequences for _, sequences in node.batches] == wanted
    assert sink.sequences == everything


class Windows(ProcessNode):
    """Keeps the windows it was shown."""

    def __init__(self) -> None:
        self.windows: list[list[int]] = []

    def process_batch(self, xs: Float32[np.ndarray, "n 1"]) -> Cell:
        self.windows.append([int(x) for x in xs[:, 0]])
        return np.zeros(1, np.float32)


def sliding_windows(count: int, most: int, stride: int) -> list[list[int]]:
    """Every full window, and at the end what is left if some of it was never in one."""
    everything = list(range(count))
    starts = range(0, max(count - most + 1, 0), stride)
    found = [everything[start : start + most] for start in starts]
    rest = everything[len(starts) * stride :]
    shown = {number for window in found for number in window}
    return [*found, rest] if set(rest) - shown else found


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize(("most", "stride"), [(n, s) for n in (2, 3, 4) for s in range(1, n + 1)])
def test_a_sliding_remainder_is_shown_only_if_it_holds_something_new(
    most: int, stride: int, count: int
) -> None:
    node = Windows()
    graph = Graph("slide").add("source", source(count)).add("sink", CollectingSink())
    graph.add("node", node, NodePolicy(batching=Batching.sliding(most, stride)))
    run = play(graph.chain("source", "node", "sink"))
    assert node.windows == sliding_windows(count, most, stride)
    taken = input_of(run.statistics, "node")
    assert (taken.taken, taken.consumed, taken.dropped) == (count, count, {})


def fan_out(first: ScriptedSink, second: ScriptedSink, items: ListSource) -> Graph:
    graph = Graph("fan").add("source", items).add("one", first).add("two", second)
    return graph.connect("source", "one").connect("source", "two")


@pytest.mark.parametrize("after", [1, 2, 4])
def test_an_edge_into_an_ended_consumer_swallows_while_the_other_gets_everything(
    after: int,
) -> None:
    leaver = ScriptedSink(script=[*["consume"] * (after - 1), "terminal"])
    run = play(fan_out(leaver, ScriptedSink(), source(6, 0, 1, 2, 3, 4, 5, 6)))
    assert run.ends() == {"one": "terminal", "two": "end_of_stream", "source": "end_of_stream"}
    late = [(n, "consumer_ended") for n in range(after, 6)]
    assert run.reasons("one.in", "refuse") == late
    assert run.edge("one.in").refused == {"consumer_ended": len(late)}
    assert run.port("two.in").consumed == 6


def test_what_waits_for_a_consumer_that_ends_is_dropped_as_consumer_ended() -> None:
    run = play(fan_out(ScriptedSink(script=["terminal"]), ScriptedSink(), source(3, 0, 0, 0, 9)))
    assert run.reasons("one.in", "drop") == [(1, "consumer_ended"), (2, "consumer_ended")]
    assert run.port("one.in").dropped == {"consumer_ended": 2}


def test_a_source_ends_when_all_its_consumers_have_ended() -> None:
    items = source(9, *range(10))
    leavers = ScriptedSink(script=["terminal"]), ScriptedSink(script=["consume", "terminal"])
    run = play(fan_out(*leavers, items))
    assert run.ends() == {"one": "terminal", "two": "terminal", "source": "consumers_ended"}
    assert items.place == 2


def test_a_chain_ends_backwards_too_when_its_sink_has_had_enough() -> None:
    graph = Graph("chain").add("source", source(9, *range(10))).add("node", Twice())
    graph.add("sink", ScriptedSink(script=["terminal"]))
    run = play(graph.chain("source", "node", "sink"))
    assert run.ends() == {
        "sink": "terminal",
        "node": "consumers_ended",
        "source": "consumers_ended",
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_end_travels_down_a_chain_behind_the_last_message(count: int) -> None:
    sink = CollectingSink()
    graph = Graph("chain").add("source", source(count)).add("one", Twice()).add("two", Twice())
    run = play(graph.add("sink", sink).chain("source", "one", "two", "sink"))
    ends = [d.place for d in run.log if d.action == "end"]
    assert ends == ["source", "one", "two", "sink"]
    assert set(run.ends().values()) == {"end_of_stream"}
    assert len(sink.arrivals) == count


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_feedback_token_that_waits_does_not_keep_a_node_from_ending(count: int) -> None:
    join = Pair()
    graph = Graph("loop").add("source", source(count)).add("join", join)
    graph.add("sink", CollectingSink()).connect("source", "join.a").connect("join", "sink")
    graph.connect("join", "join.b", EdgePolicy.block(2), initial=numbers(1))
    run = play(graph)
    assert len(join.met) == count
    assert run.ends()["join"] == "end_of_stream"
    assert run.port("join.b").dropped == {"unpaired": 1}
    assert run.port("join.b").consumed == count


def test_a_feedback_edge_does_not_keep_a_node_going_whose_forward_consumers_have_ended() -> None:
    graph = Graph("loop").add("source", source(9, *range(10))).add("join", Pair())
    graph.add("sink", ScriptedSink(script=["terminal"]))
    graph.connect("source", "join.a").connect("join", "sink")
    graph.connect("join", "join.b", EdgePolicy.block(2), initial=numbers(1))
    run = play(graph)
    assert run.ends()["join"] == run.ends()["source"] == "consumers_ended"
    assert run.port("join.b").dropped == {"consumer_ended": 1}


_LATCH = EdgePolicy.latch_latest()


def test_a_latch_that_closed_with_a_value_serves_every_later_message() -> None:
    join = Pair()
    graph, _ = two_into(join, source(3, 5, 6, 7, 8), source(1, 0, 1), _LATCH)
    run = play(graph)
    assert join.met == [(0, 0), (1, 0), (2, 0)]
    assert run.port("join.b").consumed == 1


def test_a_latch_that_closed_without_a_value_ends_the_join_and_what_waits_is_unpaired() -> None:
    join = Pair()
    graph, _ = two_into(join, source(3, 0, 1, 2, 3), source(0, 20), _LATCH)
    run = play(graph)
    assert join.met == []
    assert run.ends()["join"] == "end_of_stream"
    assert run.port("join.a").dropped == {"unpaired": 3}


def test_flows_wait_for_the_first_value_of_a_latch_and_a_newer_one_replaces_it() -> None:
    join = Pair()
    graph, _ = two_into(join, source(3, 0, 30, 50, 60), source(2, 20, 40, 70), _LATCH)
    play(graph)
    assert join.met == [(0, 0), (1, 0), (2, 1)]


def test_the_flow_ends_a_join_whose_latch_is_still_open() -> None:
    join = Pair()
    latched = source(9, 0, *range(20, 29))
    graph, _ = two_into(join, source(1, 5, 6), latched, _LATCH)
    run = play(graph)
    assert join.met == [(0, 0)]
    assert run.ends()["join"] == "end_of_stream"
    assert run.ends()["right"] == "consumers_ended"


def test_an_unprimed_latch_beside_an_any_join_does_not_end_it() -> None:
    join = Either()
    graph, _ = two_into(join, source(2, 5, 6, 7), source(0, 0), _LATCH)
    play(graph)
    assert join.met == [(0, None), (1, None)]


@pytest.mark.parametrize("capacity", [1, 2, 4])
@pytest.mark.parametrize("burst", [1, 2, 4])
def test_staged_outputs_keep_an_edge_open_until_they_have_gone(capacity: int, burst: int) -> None:
    emitter = ScriptedNode(script=[{"emit": {"out": burst}}])
    graph = Graph("burst").add("source", source(1)).add("node", emitter)
    graph.add("sink", ScriptedSink())
    graph.connect("source", "node").connect("node", "sink", EdgePolicy.block(capacity))
    run = play(graph)
    assert run.port("sink.in").consumed == burst
    assert len(run.reasons("sink.in", "stage")) == max(burst - capacity, 0)
    assert set(run.ends().values()) == {"end_of_stream"}


def test_staged_outputs_are_refused_when_their_consumer_ends() -> None:
    emitter = ScriptedNode(script=[{"emit": {"out": 4}}])
    graph = Graph("burst").add("source", source(1)).add("node", emitter)
    graph.add("sink", ScriptedSink(script=["terminal"]))
    graph.connect("source", "node").connect("node", "sink", EdgePolicy.block(1))
    run = play(graph)
    edge = edge_into(run.statistics, "sink")
    assert edge.offered == edge.pushed + sum(edge.refused.values()) == 4
    assert set(edge.refused) == {"consumer_ended"}


def test_an_optional_input_that_ended_early_is_missing_from_then_on() -> None:
    join = OptionalPair()
    graph, _ = two_into(join, source(3, 0, 10, 20, 30), source(1, 0, 5))
    play(graph)
    assert len(join.met) == 3
    assert join.met[1:] == [(1, None), (2, None)]


def test_an_optional_input_that_goes_on_does_not_keep_a_join_going() -> None:
    join = OptionalPair()
    graph, _ = two_into(join, source(1, 10, 12), source(4, 0, 1, 2, 3, 50))
    run = play(graph)
    assert join.met == [(0, 0)]
    assert run.port("join.b").dropped == {"unpaired": 3}
    assert run.ends()["right"] in ("end_of_stream", "consumers_ended")


def test_an_optional_latch_without_a_value_is_missing_and_ends_nothing() -> None:
    join = OptionalPair()
    graph, _ = two_into(join, source(2, 0, 1, 2), source(0, 0), _LATCH)
    play(graph)
    assert join.met == [(0, None), (1, None)]


def test_a_split_ends_both_ways_also_the_way_nothing_took() -> None:
    splitter = ScriptedNode(outputs=["high", "low"], script=[{"emit": {"high": 1}}] * 3)
    graph = Graph("split").add("source", source(3)).add("split", splitter)
    graph.add("high", ScriptedSink()).add("low", ScriptedSink())
    graph.connect("source", "split")
    graph.connect("split.high", "high").connect("split.low", "low")
    run = play(graph)
    assert (run.port("high.in").consumed, run.port("low.in").consumed) == (3, 0)
    assert run.ends()["low"] == run.ends()["high"] == "end_of_stream"


def test_a_split_goes_on_while_one_of_its_ways_is_taken() -> None:
    splitter = ScriptedNode(outputs=["high", "low"])
    graph = Graph("split").add("source", source(4, *range(5))).add("split", splitter)
    graph.add("high", ScriptedSink(script=["terminal"])).add("low", ScriptedSink())
    graph.connect("source", "split")
    graph.connect("split.high", "high").connect("split.low", "low")
    run = play(graph)
    assert run.port("low.in").consumed == 4
    assert run.edge("high.in").refused == {"consumer_ended": 3}
    assert run.ends()["split"] == "end_of_stream"


def test_an_ended_block_edge_has_room_so_that_it_holds_nobody_up() -> None:
    graph = Graph("fan").add("source", source(6, 0, 0, 0, 0, 0, 0, 1)).add("two", ScriptedSink())
    graph.add("one", ScriptedSink(script=["terminal"]))
    graph.connect("source", "one", EdgePolicy.block(1)).connect("source", "two")
    run = play(graph)
    assert run.port("two.in").consumed == 6
    assert sum(run.edge("one.in").refused.values()) + run.edge("one.in").pushed == 6


@pytest.mark.parametrize("policy", [EdgePolicy.mailbox_latest(), EdgePolicy.drop_oldest(1)])
def test_the_newest_value_is_still_delivered_when_its_producer_has_ended(
    policy: EdgePolicy,
) -> None:
    sink = CollectingSink()
    graph = Graph("newest").add("source", source(5, 0, 0, 0, 0, 0, 0)).add("sink", sink)
    run = play(graph.connect("source", "sink", policy))
    assert sink.sequences == [4]
    why = "superseded" if policy == EdgePolicy.mailbox_latest() else "capacity"
    assert run.edge("sink.in").evicted == {why: 4}


def test_a_latched_value_that_no_step_ever_saw_is_dropped_as_unpaired() -> None:
    graph, _ = two_into(Pair(), source(0, 5), source(1, 0, 1), _LATCH)
    run = play(graph)
    assert run.port("join.b").dropped == {"unpaired": 1}


def test_a_latched_value_that_a_step_saw_leaves_the_hold_as_consumed() -> None:
    graph, _ = two_into(Pair(), source(1, 1, 5), source(2, 0, 3, 9), _LATCH)
    run = play(graph)
    port = run.port("join.b")
    assert (port.taken, port.consumed, port.dropped) == (2, 1, {"unpaired": 1})


def loop_of_two(last: ScriptedSink, items: ListSource) -> Graph:
    """A pair, a node behind it, and a feedback edge from there to the pair."""
    graph = Graph("loop").add("source", items).add("join", Pair()).add("back", Twice())
    graph.add("sink", last).connect("source", "join.a").connect("join", "back")
    graph.connect("back", "join.b", EdgePolicy.block(2), initial=numbers(1))
    return graph.connect("back", "sink")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_loop_of_two_nodes_ends_from_its_source_on(count: int) -> None:
    run = play(loop_of_two(ScriptedSink(), source(count)))
    assert run.port("sink.in").consumed == count
    assert set(run.ends().values()) == {"end_of_stream"}
    assert run.edge("join.b").offered == count + 1


def test_a_loop_of_two_nodes_ends_from_its_sink_on() -> None:
    run = play(loop_of_two(ScriptedSink(script=["terminal"]), source(9, *range(10))))
    ends = [d.place for d in run.log if d.action == "end"]
    assert ends == ["sink", "back", "join", "source"]
    assert {run.ends()[name] for name in ends[1:]} == {"consumers_ended"}


def test_an_any_join_ends_with_its_flow_although_a_token_still_goes_round() -> None:
    graph = Graph("loop").add("source", source(1, 0, 5))
    graph.add("join", Either(), NodePolicy(sim_cost="1ms")).add("sink", CollectingSink())
    graph.connect("source", "join.a").connect("join", "sink")
    graph.connect("join", "join.b", EdgePolicy.drop_oldest(3), initial=numbers(1))
    run = play(graph)
    assert run.ends()["join"] == "end_of_stream"
    assert run.port("join.a").consumed == 1
    assert sum(run.port("join.b").dropped.values()) == 2


class OnlyOptional(ProcessNode):
    """Would take None, but has one input only."""

    def process(self, x: Cell | None) -> Cell:
        return np.zeros(1, np.float32) if x is None else x


def test_a_single_input_that_may_be_none_is_refused_or_served() -> None:
    sink = CollectingSink()
    graph = Graph("one").add("source", source(2)).add("node", OnlyOptional()).add("sink", sink)
    try:
        play(graph.chain("source", "node", "sink"))
    except GraphError:
        return
    assert len(sink.arrivals) == 2
