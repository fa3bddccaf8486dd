"""Many typed ports in real runs: fan-out, splits, joins, windows, latches, feedback, padding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import (
    MS,
    Cell,
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    assert_settled,
    edge_into,
    input_of,
    node_of,
    numbers,
    runtime_of,
)
from limen import (
    Activation,
    Batching,
    EdgePolicy,
    Graph,
    NodePolicy,
    Outputs,
    ProcessNode,
    QoSClass,
    QueueCaps,
)
from limen.errors import GraphError
from limen.message import BatchView, Message
from limen.node import Node, NodeKind, NodePorts, Output, Port, Produced, StepResult, YieldUntil
from limen.telemetry import RunStatistics
from limen.types import DataType, TensorSpec

SCALAR = TensorSpec(DataType.F32, (1,))
Pair = Float32[np.ndarray, "2"]


class Halves(NamedTuple):
    whole: Cell
    rest: Cell | None


class Next(NamedTuple):
    result: Cell
    state: Cell | None


@limen.node
def add(left: Cell, right: Cell) -> Cell:
    return left + right


@limen.node
def either(left: Cell | None, right: Cell | None) -> Cell:
    return left if left is not None else right + np.float32(100)


@limen.node
def halves(x: Cell) -> Halves:
    whole = np.floor(x)
    return Halves(whole, None if x == whole else x - whole)


@limen.node(batch=True)
def total(xs: Float32[np.ndarray, "n 1"]) -> Cell:
    return xs.sum(axis=0)


def floats(*values: float) -> list[np.ndarray]:
    return [np.array([value], np.float32) for value in values]


def run(graph: Graph) -> RunStatistics:
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    return statistics


def test_every_edge_of_an_output_gets_every_message_from_one_slot() -> None:
    sinks = [CollectingSink(name=f"s{i}") for i in range(3)]
    graph = Graph("fan").add("source", ListSource(numbers(5)))
    for sink in sinks:
        graph.add(sink.name, sink).connect("source", sink.name, EdgePolicy.block(2))
    statistics = run(graph)
    assert [sink.payloads for sink in sinks] == [[[float(i)] for i in range(5)]] * 3
    out = statistics.outputs[0]
    assert (out.emitted, out.fan_out, out.offered, out.copies) == (5, 3, 15, 5)
    assert out.capacity == 3 * (2 + 1) + 1 + 1


def test_a_slow_consumer_keeps_a_slot_that_the_fast_one_has_left() -> None:
    slow, fast = CollectingSink(), CollectingSink()
    graph = Graph("fan").add("source", ListSource(numbers(6), every_ns=MS))
    graph.add("fast", fast).add("slow", slow, NodePolicy(sim_cost="3ms"))
    graph.connect("source", "fast").connect("source", "slow", EdgePolicy.drop_oldest(2))
    statistics = run(graph)
    assert fast.payloads == [[float(i)] for i in range(6)]
    assert edge_into(statistics, "slow").evicted.keys() == {"capacity"}
    assert [p[0] for p in slow.payloads] == slow.sequences, "no slot was written over"


def test_a_full_block_edge_holds_up_the_node_also_beside_a_dropping_edge() -> None:
    graph = Graph("fan").add("source", ListSource(numbers(9)))
    graph.add("slow", CollectingSink(), NodePolicy(sim_cost="1ms")).add("fast", CollectingSink())
    graph.connect("source", "slow", EdgePolicy.block(1))
    graph.connect("source", "fast", EdgePolicy.drop_newest(1))
    statistics = run(graph)
    assert edge_into(statistics, "slow").pushed == 9
    assert edge_into(statistics, "fast").refused == {}, "the pace of the slow one suits it"


def test_an_all_join_pairs_messages_in_order_and_drops_what_stays_alone() -> None:
    sink = CollectingSink()
    graph = Graph("join").add("a", ListSource(floats(1, 2, 3))).add("b", ListSource(floats(10, 20)))
    graph.add("add", add).add("sink", sink)
    graph.connect("a", "add.left").connect("b", "add.right").connect("add", "sink")
    statistics = run(graph)
    assert sink.payloads == [[11.0], [22.0]]
    assert {port.name: port.dropped for port in statistics.inputs} == {
        "add.left": {"unpaired": 1},
        "add.right": {},
        "sink.in": {},
    }


def test_a_joined_message_is_as_old_as_its_oldest_part_and_as_urgent_as_its_most_urgent() -> None:
    seen: list[Message] = []
    graph = Graph("join")
    early = Produced(floats(1)[0], creation_tick=3, deadline_ns=90, qos=QoSClass.LATENCY_CRITICAL)
    late = Produced(floats(2)[0], creation_tick=7, deadline_ns=50)
    graph.add("late", ListSource([late])).add("early", ListSource([early]))
    graph.add("add", add).add("look", Doing(lambda m: seen.append(m) or Output(m.payload)))
    graph.add("sink", CollectingSink())
    graph.connect("late", "add.left").connect("early", "add.right").chain("add", "look", "sink")
    run(graph)
    header = seen[0].header
    assert (header.creation_tick, header.origin_tick, header.deadline_ns) == (3, 3, 50)
    assert header.qos is QoSClass.LATENCY_CRITICAL


def test_an_any_join_takes_the_one_that_was_pushed_first() -> None:
    sink = CollectingSink()
    graph = Graph("any").add("a", ListSource(floats(1, 2), at_ns=[0, 9, 9]))
    graph.add("b", ListSource(floats(5, 6, 7), at_ns=[0, 4, 20, 20]))
    graph.add("either", either, NodePolicy(activation=Activation.ANY)).add("sink", sink)
    graph.connect("a", "either.left").connect("b", "either.right").connect("either", "sink")
    run(graph)
    assert sink.payloads == [[1.0], [105.0], [106.0], [2.0], [107.0]]


def test_any_needs_inputs_that_take_none() -> None:
    graph = Graph("any").add("a", ListSource(floats(1))).add("b", ListSource(floats(1)))
    graph.add("add", add, NodePolicy(activation=Activation.ANY)).add("sink", CollectingSink())
    graph.connect("a", "add.left").connect("b", "add.right").connect("add", "sink")
    with pytest.raises(GraphError, match="'left' takes no None"):
        runtime_of(graph)


def test_an_optional_input_can_be_left_open_and_does_not_make_a_join_wait() -> None:
    @limen.node
    def offset(x: Cell, by: Cell | None) -> Cell:
        return x if by is None else x + by

    for connected, wanted in ((False, [[1.0], [2.0]]), (True, [[11.0], [2.0]])):
        sink = CollectingSink()
        graph = Graph("optional").add("b", ListSource(floats(10), at_ns=[0, 0]))
        graph.add("a", ListSource(floats(1, 2), at_ns=[1, 2, 2]))
        graph.add("offset", offset).add("sink", sink)
        graph.connect("a", "offset.x").connect("offset", "sink")
        if connected:
            graph.connect("b", "offset.by")
        else:
            graph.add("nobody", limen.io.Discard()).connect("b", "nobody")
        run(graph)
        assert sink.payloads == wanted


def test_a_split_emits_on_the_ports_whose_fields_are_set() -> None:
    whole, rest = CollectingSink(), CollectingSink()
    graph = Graph("split").add("source", ListSource(floats(1, 2.5, 3)))
    graph.add("halves", halves).add("whole", whole).add("rest", rest)
    graph.connect("source", "halves")
    graph.connect("halves.whole", "whole").connect("halves.rest", "rest")
    statistics = run(graph)
    assert whole.payloads == [[1.0], [2.0], [3.0]]
    assert rest.payloads == [[0.5]]
    assert node_of(statistics, "halves").kind == "split"


def test_one_call_takes_a_whole_batch_where_a_node_asks_for_it() -> None:
    sink = CollectingSink()
    graph = Graph("batch").add("source", ListSource(numbers(7)))
    graph.add("total", total, NodePolicy(batching=Batching.fixed(3))).add("sink", sink)
    statistics = run(graph.chain("source", "total", "sink"))
    assert sink.payloads == [[3.0], [12.0], [6.0]]
    assert sink.sequences == [2, 5, 6], "the newest one's"
    assert node_of(statistics, "total").calls == 3


def test_a_sliding_window_presents_its_overlap_again_and_counts_it_once() -> None:
    sink = CollectingSink()
    graph = Graph("slide").add("source", ListSource(numbers(6)))
    graph.add("total", total, NodePolicy(batching=Batching.sliding(3, 1))).add("sink", sink)
    statistics = run(graph.chain("source", "total", "sink"))
    assert sink.payloads == [[3.0], [6.0], [9.0], [12.0]]
    assert input_of(statistics, "total").consumed == 6


def test_a_failed_window_loses_all_that_it_presented() -> None:
    class Fails(limen.ProcessNode):
        calls = 0

        def process_batch(self, xs: Float32[np.ndarray, "n 1"]) -> Cell:
            self.calls += 1
            if self.calls == 2:
                raise ValueError("as drawn")
            return xs.sum(axis=0)

    sink = CollectingSink()
    graph = Graph("slide").add("source", ListSource(numbers(7)))
    graph.add("sum", Fails(), NodePolicy(batching=Batching.sliding(3, 1))).add("sink", sink)
    statistics = run(graph.chain("source", "sum", "sink"))
    assert sink.payloads == [[3.0], [15.0]], "0 1 2, then 1 2 3 fails, then 4 5 6"
    assert input_of(statistics, "sum").dropped == {"error": 3}


def test_objects_come_in_batches_as_a_tuple() -> None:
    seen: list[object] = []

    class Words(limen.ProcessNode):
        def process_batch(self, words: list[str]) -> str:
            seen.append(words)
            return " ".join(words)

    sink = CollectingSink()
    source = ListSource(["a", "b", "c"], spec=limen.ObjectSpec(str))
    graph = Graph("words").add("source", source).add("sink", sink)
    graph.add("join", Words(), NodePolicy(batching=Batching.fixed(2)))
    run(graph.chain("source", "join", "sink"))
    assert sink.payloads == ["a b", "c"]
    assert seen == [("a", "b"), ("c",)]


def test_a_latch_is_presented_with_every_message_until_it_is_replaced() -> None:
    sink = CollectingSink()
    graph = Graph("latch").add("gain", ListSource(floats(10, 20), at_ns=[0, 25, 25]))
    graph.add("data", ListSource(floats(1, 2, 3, 4), at_ns=[5, 10, 30, 40, 40]))
    graph.add("add", add).add("sink", sink).connect("add", "sink")
    graph.connect("data", "add.left").connect("gain", "add.right", EdgePolicy.latch_latest())
    statistics = run(graph)
    assert sink.payloads == [[11.0], [12.0], [23.0], [24.0]]
    latch = next(port for port in statistics.inputs if port.name == "add.right")
    assert (latch.taken, latch.consumed, latch.dropped) == (2, 2, {})


def test_a_join_waits_for_its_latch_and_ends_when_it_can_never_be_primed() -> None:
    sink = CollectingSink()
    graph = Graph("latch").add("gain", ListSource([], at_ns=[8]))
    graph.add("data", ListSource(floats(1, 2), at_ns=[0, 5, 50])).add("add", add).add("sink", sink)
    graph.connect("data", "add.left").connect("gain", "add.right", EdgePolicy.latch_latest())
    statistics = run(graph.connect("add", "sink"))
    assert sink.payloads == []
    assert input_of(statistics, "add").dropped == {"unpaired": 2}


def test_a_latched_value_survives_a_call_that_fails() -> None:
    class Fussy(limen.ProcessNode):
        def process(self, left: Cell, right: Cell) -> Cell:
            if left[0] == 2:
                raise ValueError("as drawn")
            return left + right

    sink = CollectingSink()
    graph = Graph("latch").add("gain", ListSource(floats(10), at_ns=[0, 0]))
    graph.add("data", ListSource(floats(1, 2, 3), at_ns=[1, 2, 3, 3])).add("fussy", Fussy())
    graph.connect("data", "fussy.left").connect("gain", "fussy.right", EdgePolicy.latch_latest())
    statistics = run(graph.add("sink", sink).connect("fussy", "sink"))
    assert sink.payloads == [[11.0], [13.0]]
    assert input_of(statistics, "fussy").dropped == {"error": 1}


def test_a_mailbox_holds_the_newest_message_until_it_is_read() -> None:
    sink = CollectingSink()
    graph = Graph("mailbox").add("source", ListSource(numbers(8), every_ns=MS))
    graph.add("sink", sink, NodePolicy(sim_cost="3ms"))
    statistics = run(graph.connect("source", "sink", EdgePolicy.mailbox_latest()))
    assert sink.sequences == [0, 3, 6, 7]
    assert edge_into(statistics, "sink").evicted == {"superseded": 4}


def test_what_is_latency_critical_overtakes_in_a_queue_of_two_lanes() -> None:
    items = [
        Produced(payload, qos=QoSClass.LATENCY_CRITICAL if i % 3 == 2 else QoSClass.BEST_EFFORT)
        for i, payload in enumerate(numbers(6))
    ]
    sink = CollectingSink()
    graph = Graph("lanes").add("source", ListSource(items, at_ns=[0] * 7)).add("sink", sink)
    run(graph.connect("source", "sink", EdgePolicy(QueueCaps(8), lanes=2)))
    assert sink.sequences == [2, 5, 0, 1, 3, 4]


def test_a_feedback_edge_carries_state_from_step_to_step() -> None:
    @limen.node
    def count(x: Cell, state: Cell) -> Next:
        return Next(x + state, state + 1)

    sink = CollectingSink()
    graph = Graph("loop").add("source", ListSource(floats(10, 20, 30)))
    graph.add("count", count).add("sink", sink)
    graph.connect("source", "count.x").connect("count.result", "sink")
    graph.connect("count.state", "count.state", EdgePolicy.block(2), initial=[[100]])
    statistics = run(graph)
    assert sink.payloads == [[110.0], [121.0], [132.0]]
    state = next(port for port in statistics.outputs if port.name == "count.state")
    assert (state.emitted, state.initial, state.offered) == (3, 1, 4)


def test_a_loop_that_loses_its_token_is_reported_with_who_waits_for_whom() -> None:
    @limen.node
    def forget(x: Cell, state: Cell) -> Next:
        return Next(x, None if x[0] > 15 else state)

    graph = Graph("loop").add("source", ListSource(floats(10, 20, 30)))
    graph.add("forget", forget).add("sink", CollectingSink())
    graph.connect("source", "forget.x").connect("forget.result", "sink")
    graph.connect("forget.state", "forget.state", EdgePolicy.block(2), initial=[[1]])
    statistics = run(graph)
    assert statistics.outcome == "deadlocked"
    waits = {(w.node, w.edge, w.on) for w in statistics.waiting}
    assert ("forget", "forget.state -> forget.state", "forget") in waits
    assert "forget -> forget" in statistics.notes[-2]


def test_a_branch_that_withholds_by_itself_is_reported_while_running_with_the_wait_chain() -> None:
    # The check sees a node that gives one for one; this one keeps everything to itself.
    graph = Graph("withheld").add("source", ListSource(numbers(9)))
    graph.add("hoard", Doing(lambda message: limen.Consumed())).add("add", add)
    graph.add("sink", CollectingSink())
    graph.connect("source", "hoard").connect("hoard", "add.left")
    graph.connect("source", "add.right", EdgePolicy.block(4)).connect("add", "sink")
    statistics = run(graph)
    assert statistics.outcome == "deadlocked"
    assert "deadlock: source -> add -> hoard -> source" in statistics.notes[0]
    assert "source waits for room on source.out -> add.right (4 of 4 items)" in statistics.notes[0]


def test_more_messages_than_declared_are_a_failure_and_none_of_them_goes_out() -> None:
    payload = floats(1)[0]

    class Many(Twice):
        def process_message(self, message: Message, clock: object) -> Outputs:
            return Outputs((("out", payload),) * (1 + message.header.sequence))

    many = Many()
    many.max_emit = 2
    sink = CollectingSink()
    graph = Graph("many").add("source", ListSource(numbers(3))).add("many", many).add("sink", sink)
    statistics = run(graph.chain("source", "many", "sink"))
    assert sink.sequences == [0, 1, 1]
    assert "3 messages emitted in a call, 2 declared" in node_of(statistics, "many").messages[0]


class Custom(Node):
    """Takes with its own step and returns what it is told to."""

    kind = NodeKind.PROCESS
    input_names = ("in",)
    output_names = ("out",)

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.instants: list[int] = []

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), (Port("out", SCALAR),))

    def step(self, ctx: object) -> object:
        self.instants.append(ctx.now_ticks)
        result = ctx.pop_and_process("in", lambda message: Output(message.payload))
        return self.results.pop(0) if self.results else result


def test_a_step_that_takes_and_says_it_had_nothing_is_a_failure() -> None:
    graph = Graph("liar").add("source", ListSource(numbers(2))).add("sink", CollectingSink())
    graph.add("liar", Custom(StepResult.NO_INPUT))
    statistics = run(graph.chain("source", "liar", "sink"))
    liar = node_of(statistics, "liar")
    assert liar.errors == 1
    assert "took messages and returned NO_INPUT" in liar.messages[0]


def test_a_node_that_yields_is_left_alone_until_its_instant() -> None:
    node = Custom(YieldUntil(30))
    graph = Graph("yields").add("source", ListSource(numbers(2))).add("sink", CollectingSink())
    run(graph.add("node", node).chain("source", "node", "sink"))
    assert node.instants == [0, 30]


def test_a_sink_of_several_inputs_chooses_among_those_that_are_ready() -> None:
    class Choosy(CollectingSink):
        inputs = ("a", "b")

        def consume_from(self, port: str, message: Message, now: int) -> None:
            self.log.append(port)

        def select_input(self, ready: object) -> str:
            return "b" if "b" in ready else ready[0]

    sink = Choosy()
    graph = Graph("choosy").add("a", ListSource(numbers(2), at_ns=[0, 0, 0]))
    graph.add("b", ListSource(numbers(2), at_ns=[0, 0, 0])).add("sink", sink)
    run(graph.connect("a", "sink.a").connect("b", "sink.b"))
    assert sink.log == ["open sink", "b", "b", "a", "a", "close sink"]


class FixedModel(Node):
    """Takes batches of four, whatever there is."""

    kind = NodeKind.MODEL
    input_names = ("in",)
    output_names = ("out",)
    max_batch = 4
    fixed_batch = 4

    def __init__(self) -> None:
        self.given: list[list[float]] = []

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), (Port("out", SCALAR),))

    def step(self, ctx: object) -> StepResult:
        def infer(batch: BatchView, out: np.ndarray) -> None:
            assert batch.payloads.shape == out.shape == (4, 1)
            self.given.append(batch.payloads[:, 0].tolist())
            np.multiply(batch.payloads, 2, out=out)

        return ctx.pop_batch_and_process("in", infer)


def test_a_batch_of_fixed_length_is_filled_up_with_zeros_and_the_rest_thrown_away() -> None:
    model, sink = FixedModel(), CollectingSink()
    graph = Graph("fixed").add("source", ListSource(floats(1, 2, 3, 4, 5, 6)))
    graph.add("model", model, NodePolicy(batching=Batching.fixed(4))).add("sink", sink)
    statistics = run(graph.chain("source", "model", "sink"))
    assert model.given == [[1, 2, 3, 4], [5, 6, 0, 0]]
    assert sink.payloads == [[2.0], [4.0], [6.0], [8.0], [10.0], [12.0]]
    assert node_of(statistics, "model").padded == 2


def test_slots_that_are_no_neighbours_are_gathered_and_counted() -> None:
    # What overtakes lies behind what it overtook.
    items = [
        Produced(payload, qos=QoSClass.LATENCY_CRITICAL if i % 2 else QoSClass.BEST_EFFORT)
        for i, payload in enumerate(numbers(8))
    ]
    sink = CollectingSink()
    graph = Graph("gather").add("source", ListSource(items, at_ns=[0] * 9)).add("sink", sink)
    graph.add("total", total, NodePolicy(batching=Batching.fixed(4)))
    graph.connect("source", "total", EdgePolicy(QueueCaps(8), lanes=2)).connect("total", "sink")
    statistics = run(graph)
    assert sink.payloads == [[1.0 + 3 + 5 + 7], [0.0 + 2 + 4 + 6]]
    assert node_of(statistics, "total").gathers == 2


def test_delta_t_alone_takes_as_many_as_were_made_in_time() -> None:
    sink = CollectingSink()
    source = ListSource(numbers(5), at_ns=[0, 2, 4, 20, 21, 90], states_creation=True)
    graph = Graph("delta").add("source", source).add("sink", sink)
    graph.add("total", total, NodePolicy(batching=Batching.delta_t("5ns")))
    run(graph.chain("source", "total", "sink"))
    assert sink.payloads == [[3.0], [7.0]]
    assert [arrival.now for arrival in sink.arrivals] == [5, 25]


def test_what_a_loop_brings_back_makes_a_result_neither_older_nor_later() -> None:
    seen: list[Message] = []
    items = [Produced(payload, deadline_ns=10 * i + 5) for i, payload in enumerate(numbers(3))]

    @limen.node
    def keep(x: Cell, state: Cell) -> Next:
        return Next(x, state)

    graph = Graph("loop").add("source", ListSource(items, at_ns=[0, 10, 20, 20]))
    graph.add("keep", keep).add("look", Doing(lambda m: seen.append(m) or Output(m.payload)))
    graph.add("sink", CollectingSink()).connect("source", "keep.x")
    graph.connect("keep.state", "keep.state", EdgePolicy.block(2), initial=[[1]])
    graph.connect("keep.result", "look").connect("look", "sink")
    statistics = run(graph)
    headers = [message.header for message in seen]
    assert [header.creation_tick for header in headers] == [0, 10, 20]
    assert [header.deadline_ns for header in headers] == [5, 15, 25]
    assert [header.origin_tick for header in headers] == [0, 0, 0]
    assert node_of(statistics, "keep").deadline_misses == 0


class SumsInPlace(ProcessNode):
    """Sums a batch into the output's slot."""

    def process_batch(self, xs: Float32[np.ndarray, "n 1"], out: Cell) -> Cell:
        np.sum(xs, axis=0, out=out)
        return out


def test_a_node_that_takes_batches_is_given_the_slot_as_well() -> None:
    sink = CollectingSink()
    graph = Graph("sums").add("source", ListSource(numbers(6)))
    graph.add("sum", SumsInPlace(), NodePolicy(batching=Batching(max_items=3))).add("sink", sink)
    statistics = runtime_of(graph.chain("source", "sum", "sink")).run()
    assert sink.payloads == [[3.0], [12.0]]
    assert [port.copies for port in statistics.outputs] == [6, 0]
