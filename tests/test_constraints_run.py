"""Constraints in real runs, as nodes and users see them: flags, payloads, words, events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import limen
from doubles import (
    MS,
    SCALAR,
    BatchNode,
    Cell,
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
    Budget,
    Deadline,
    DefaultOnTimeout,
    Degrade,
    EdgePolicy,
    EmitFailsafe,
    ErrorAction,
    Freshness,
    Graph,
    InputPolicy,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    Periodic,
    ProcessNode,
    Restart,
    SimClock,
    Sink,
    Trigger,
)
from limen.app import Recorder, check, replay
from limen.errors import GraphError
from limen.message import Message, MessageFlags, MessageHeader
from limen.node import Output, Produced
from limen.platform import PlatformClock
from limen.telemetry import DecisionLog, PolicyEvent, RunStatistics, ViolationKind
from limen.testing import ScriptedModel, ScriptedSink, ScriptedSource
from limen.types import Ticks

VARIANT = np.array([-1], dtype=np.float32)


class HeaderSink(Sink):
    """Keeps headers and first numbers."""

    def __init__(self) -> None:
        self.got: list[tuple[MessageHeader, float]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.got.append((message.header, float(message.payload[0])))

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.got]

    def flagged(self, flag: MessageFlags) -> list[bool]:
        return [header.flags.contains(flag) for header, _ in self.got]


@limen.node
def both(left: Cell, right: Cell) -> Cell:
    return left + right


class Costing(ProcessNode):
    """Passes on, its calls taking as long as a list says."""

    def __init__(self, costs_ms: list[int], result: np.ndarray | None = None) -> None:
        self.costs_ms = costs_ms
        self.result = result
        self.called = 0
        self.life: list[str] = []
        self.warned = 0
        self._clock: PlatformClock | None = None

    def process(self, x: Cell) -> Cell:
        if self.called < len(self.costs_ms) and self._clock is not None:
            self._clock.charge(self.costs_ms[self.called] * MS)
        self.called += 1
        return x if self.result is None else self.result

    def initialize(self, clock: PlatformClock, ports: object) -> None:
        self._clock = clock
        self.life.append("initialize")

    def start(self, now: Ticks) -> None:
        self.life.append("start")

    def stop(self) -> None:
        self.life.append("stop")

    def reset(self) -> None:
        self.life.append("reset")

    def on_watchdog_timeout(self) -> None:
        self.warned += 1


def through(
    node: ProcessNode,
    policy: NodePolicy,
    *,
    count: int = 4,
    every_ms: int = 50,
    variant: ProcessNode | None = None,
    source: ListSource | None = None,
    on_event: Callable[[PolicyEvent], None] | None = None,
) -> tuple[RunStatistics, HeaderSink]:
    """Run source -> node -> sink on simulated time."""
    sink = HeaderSink()
    used = ListSource(numbers(count), every_ns=every_ms * MS) if source is None else source
    graph = Graph("through").add("source", used).add("node", node, policy, variant=variant)
    graph.add("sink", sink).chain("source", "node", "sink")
    statistics = limen.run(graph, clock=SimClock(), on_event=on_event).statistics
    assert_settled(statistics)
    return statistics, sink


def test_a_join_that_lies_ahead_is_too_old_by_its_oldest_part() -> None:
    # A latch counts for the origin alone; what it is joined with states a creation to come.
    old = Produced(numbers(1)[0], creation_tick=Ticks(0))
    ahead = Produced(numbers(1)[0], creation_tick=Ticks(90 * MS))
    events: list[PolicyEvent] = []
    graph = Graph("ahead").add("cfg", ListSource([old], at_ns=[0, 0]))
    graph.add("src", ListSource([ahead], at_ns=[60 * MS, 60 * MS])).add("both", both)
    fresh = Freshness(max_span_age="50ms", on_stale=OnStale.DELIVER)
    graph.add("sink", HeaderSink(), NodePolicy(freshness=fresh))
    graph.connect("cfg", "both.left", EdgePolicy.latch_latest()).connect("src", "both.right")
    limen.run(graph.connect("both", "sink"), clock=SimClock(), on_event=events.append)
    assert [(e.kind, e.amount_ns) for e in events] == [(ViolationKind.STALE_DELIVERED, 60 * MS)]


# Over budget.


def test_what_is_over_budget_can_be_discarded_and_its_input_counts_as_consumed() -> None:
    policy = NodePolicy(budget=Budget("10ms", action=OverBudgetAction.DROP))
    statistics, sink = through(Costing([0, 20, 0, 0]), policy)
    assert sink.values == [0, 2, 3]
    node = node_of(statistics, "node")
    assert (node.overruns, node.replaced, node.processed) == (1, {"discard": 1}, 4)


def test_what_is_over_budget_can_be_forwarded_unchanged() -> None:
    policy = NodePolicy(budget=Budget("10ms", action=OverBudgetAction.SKIP_STAGE))
    statistics, sink = through(Costing([0, 20, 0, 0], VARIANT), policy)
    assert sink.values == [-1, 1, -1, -1]
    assert node_of(statistics, "node").replaced == {"forward": 1}


def test_a_default_takes_the_place_of_what_is_over_budget_and_says_so() -> None:
    policy = NodePolicy(budget=Budget("10ms", action=DefaultOnTimeout([7.0])))
    _, sink = through(Costing([0, 20, 0, 0]), policy)
    assert sink.values == [0, 7, 2, 3]
    assert sink.flagged(MessageFlags.DEFAULTED) == [False, True, False, False]


def test_a_cheaper_variant_is_called_until_the_full_form_recovers() -> None:
    full, variant = Costing([20, 20, 0]), Costing([], VARIANT)
    policy = NodePolicy(budget=Budget("10ms", action=Degrade(recover_after=2)))
    statistics, sink = through(full, policy, count=9, variant=variant)
    # 0 overruns; two by the variant; 3 is a try that overruns; four by the variant; 8 recovers.
    assert sink.values == [0, -1, -1, 3, -1, -1, -1, -1, 8]
    assert sink.flagged(MessageFlags.DEGRADED) == [value == -1 for value in sink.values]
    assert variant.life == ["initialize", "start", "stop", "reset"]
    assert node_of(statistics, "node").degraded == 6


def test_the_variant_of_a_model_gets_the_batch() -> None:
    class Slow(BatchNode):
        def step(self, ctx: object) -> object:
            def infer(batch: object, out: np.ndarray) -> None:
                ctx.clock.charge(20 * MS)
                np.multiply(batch.payloads, np.float32(2), out=out)

            return ctx.pop_batch_and_process("in", infer)

    class Cheap(BatchNode):
        def step(self, ctx: object) -> object:
            def infer(batch: object, out: np.ndarray) -> None:
                out[...] = -1

            return ctx.pop_batch_and_process("in", infer)

    sink = HeaderSink()
    policy = NodePolicy(Batching.fixed(2), budget=Budget("10ms", action=Degrade(recover_after=9)))
    graph = Graph("model").add("source", ListSource(numbers(6))).add("sink", sink)
    graph.add("node", Slow(), policy, variant=Cheap()).chain("source", "node", "sink")
    assert_settled(runtime_of(graph).run())
    assert sink.values == [0, 2, -1, -1, -1, -1]


def test_only_what_allows_it_is_degraded_where_the_input_asks() -> None:
    allowed = [Produced(x, degrade_allowed=x[0] % 2 == 0) for x in numbers(4)]
    policy = NodePolicy(
        budget=Budget("10ms", action=Degrade()),
        inputs={"in": InputPolicy(needs_degrade_allowed=True)},
    )
    source = ListSource(allowed, every_ns=50 * MS)
    _, sink = through(
        Costing([20, 20, 20, 20]), policy, source=source, variant=Costing([], VARIANT)
    )
    assert sink.values == [0, 1, -1, 3]


def test_what_cannot_be_done_in_time_is_not_begun() -> None:
    node = Costing([])
    late = Deadline("20ms", on_miss=OnMiss.PROCESS)
    policy = NodePolicy(deadline=late, budget=Budget("30ms", action=OverBudgetAction.DROP))
    statistics, sink = through(node, policy)
    assert (node.called, sink.values) == (0, [])
    assert input_of(statistics, "node").dropped == {"infeasible": 4}


def test_a_watchdog_is_told_once_for_each_call_that_hangs() -> None:
    node = Costing([0, 200, 20, 300])
    statistics, _ = through(node, NodePolicy(budget=Budget("10ms", watchdog="100ms")))
    counted = node_of(statistics, "node")
    assert (node.warned, counted.watchdogs, counted.overruns) == (2, 2, 3)


# Freshness and deadlines.


def test_what_is_stale_and_delivered_is_flagged_and_so_is_what_is_made_of_it() -> None:
    seen: list[bool] = []

    def note(message: Message) -> Output:
        seen.append(message.header.flags.contains(MessageFlags.STALE))
        return forward(message)

    old = [Produced(x, creation_tick=Ticks(0)) for x in numbers(3)]
    policy = NodePolicy(freshness=Freshness("60ms", on_stale=OnStale.DELIVER))
    source = ListSource(old, every_ns=50 * MS)
    statistics, sink = through(Doing(note), policy, source=source)
    assert seen == sink.flagged(MessageFlags.STALE) == [False, False, True]
    assert input_of(statistics, "node").stale == 1


def test_the_smaller_of_the_ages_that_message_and_input_allow_holds() -> None:
    old = [Produced(x, creation_tick=Ticks(0), max_age_ns=70 * MS) for x in numbers(3)]
    for limit, used in (("60ms", [0, 1]), ("200ms", [0, 1]), ("40ms", [0])):
        source = ListSource(old, every_ns=50 * MS)
        _, sink = through(Doing(forward), NodePolicy(freshness=limit), source=source)
        assert sink.values == used, limit


def test_a_message_without_a_deadline_is_dropped_where_one_is_required() -> None:
    mixed = [Produced(x, deadline_ns=int(x[0]) * 10**9 or None) for x in numbers(3)]
    policy = NodePolicy(deadline=Deadline(require=True))
    statistics, sink = through(Doing(forward), policy, source=ListSource(mixed))
    assert sink.values == [1, 2]
    assert input_of(statistics, "node").dropped == {"no_deadline": 1}


def test_instants_of_another_clock_are_moved_by_the_declared_offset() -> None:
    class Device(ListSource):
        clock_domain = 3

    made = [Produced(numbers(1)[0], creation_tick=Ticks(10 * MS), deadline_ns=20 * MS)]
    sink = HeaderSink()
    graph = Graph("clocks", clock_offsets={3: "-4ms"}).add("device", Device(made))
    graph.add("sink", sink).connect("device", "sink")
    runtime_of(graph).run()
    header = sink.got[0][0]
    assert (header.creation_tick, header.deadline_ns) == (6 * MS, 16 * MS)


# Activation.


def test_a_periodic_node_with_an_optional_input_is_called_with_none() -> None:
    got: list[object] = []

    @limen.node
    def beat(x: Cell | None) -> Cell:
        got.append(None if x is None else float(x[0]))
        return np.zeros(1, np.float32)

    graph = Graph("beat").add("source", ListSource(numbers(2), at_ns=[0, 25 * MS, 60 * MS]))
    sink = HeaderSink()
    graph.add("beat", beat, NodePolicy(activation=Periodic("10ms"))).add("sink", sink)
    graph.chain("source", "beat", "sink")
    assert_settled(runtime_of(graph).run())
    assert got == [0, None, 1, None, None]
    # What is made of nothing is numbered by its node, and made at that instant.
    assert sink.got[1][0].sequence == 0
    assert sink.got[1][0].creation_tick == 20 * MS


def test_a_trigger_brings_along_what_the_other_inputs_have() -> None:
    class Pair(ProcessNode):
        def __init__(self) -> None:
            self.got: list[tuple[float, float | None]] = []

        def process(self, a: Cell, b: Cell | None) -> Cell:
            self.got.append((float(a[0]), None if b is None else float(b[0])))
            return a

    pair, sink = Pair(), HeaderSink()
    graph = Graph("trigger").add("a", ListSource(numbers(3), every_ns=10 * MS))
    graph.add("b", ListSource(numbers(2), at_ns=[5 * MS, 6 * MS, 7 * MS])).add("sink", sink)
    graph.add("pair", pair, NodePolicy(activation=Trigger("a")))
    graph.connect("a", "pair.a").connect("b", "pair.b").connect("pair", "sink")
    assert_settled(runtime_of(graph).run())
    assert pair.got == [(0, None), (1, 0), (2, 1)]


# Failures.


class Failing(Costing):
    """Raises at the calls that a list names."""

    def __init__(self, *calls: int) -> None:
        super().__init__([])
        self.calls = calls

    def process(self, x: Cell) -> Cell:
        self.called += 1
        if self.called - 1 in self.calls:
            raise ValueError("broken")
        return x


def test_a_node_that_quiesces_ends_alone() -> None:
    statistics, sink = through(Failing(1), NodePolicy(error_action=ErrorAction.QUIESCE))
    assert statistics.outcome == "completed"
    assert sink.values == [0]


def test_a_failsafe_message_takes_the_place_of_what_failed() -> None:
    policy = NodePolicy(error_action=EmitFailsafe([9.0]))
    _, sink = through(Failing(1), policy)
    assert sink.values == [0, 9, 2, 3]
    assert sink.flagged(MessageFlags.DEFAULTED) == [False, True, False, False]
    assert [header.sequence for header, _ in sink.got] == [0, 1, 2, 3]


def test_a_source_that_fails_can_leave_a_failsafe_message() -> None:
    source = ListSource([numbers(1)[0], ValueError("broken"), numbers(1)[0]])
    sink = HeaderSink()
    policy = NodePolicy(error_action=EmitFailsafe([9.0]))
    graph = Graph("failsafe").add("source", source, policy).add("sink", sink)
    graph.connect("source", "sink")
    assert_settled(runtime_of(graph).run())
    assert sink.values == [0, 9, 0]
    assert [header.sequence for header, _ in sink.got] == [0, 1, 2]


def test_a_restart_keeps_the_queue_and_goes_through_the_whole_life() -> None:
    node = Failing(1)
    policy = NodePolicy(error_action=Restart(2, per="10s", backoff="120ms"))
    statistics, sink = through(node, policy, count=4)
    assert sink.values == [0, 2, 3]
    cycle = ["initialize", "start", "stop", "reset"]
    assert node.life == cycle + cycle
    assert node_of(statistics, "node").restarts == 1
    assert edge_into(statistics, "node").peak == 2, "what came in the meantime waited"


def test_a_limit_of_restarts_that_is_never_reached_is_warned_of() -> None:
    for per, warned in (("10s", False), ("1s", True)):
        policy = NodePolicy(error_action=Restart(3, per=per, backoff="200ms"))
        statistics, _ = through(Failing(), policy)
        notes = " ".join(statistics.notes)
        assert ("restarts rest 1.4 s in all, longer than per" in notes) is warned


def test_one_restart_too_many_halts_the_graph() -> None:
    policy = NodePolicy(error_action=Restart(1, per="10s"))
    statistics, sink = through(Failing(0, 1), policy)
    assert (statistics.outcome, sink.values) == ("halted", [])


# What is told.


def test_a_listener_is_told_of_each_violation_and_the_report_says_it_in_words() -> None:
    events: list[PolicyEvent] = []
    policy = NodePolicy(deadline="10ms", budget="5ms", liveness=Liveness(max_gap="30ms"))
    statistics, _ = through(Costing([0, 20, 7, 0]), policy, on_event=events.append)
    kinds = [event.kind for event in events]
    assert kinds.count(ViolationKind.DEADLINE_MISS) == 1
    assert kinds.count(ViolationKind.OVERRUN) == 2
    assert kinds.count(ViolationKind.LIVENESS) == 4
    silent = next(event for event in events if event.kind is ViolationKind.LIVENESS)
    assert (silent.place, silent.instant_ns) == ("source.out -> node.in", 30 * MS + 1)
    words = str(limen.Report(statistics))
    assert "node: a result came after its deadline, at 70 ms; by up to 10 ms" in words
    assert "node: 2 calls took longer than their budget, first at 70 ms, last at 107 ms" in words
    assert "source.out -> node.in: 4 silences went on for too long" in words


def test_a_listener_that_raises_is_told_no_more() -> None:
    told: list[PolicyEvent] = []

    def listen(event: PolicyEvent) -> None:
        told.append(event)
        raise RuntimeError("no")

    statistics, _ = through(Costing([9, 9, 9, 9]), NodePolicy(budget="5ms"), on_event=listen)
    assert len(told) == 1
    assert node_of(statistics, "node").overruns == 4


def test_lateness_is_counted_by_node_and_by_path() -> None:
    sink = HeaderSink()
    graph = Graph("paths").add("a", ListSource(numbers(2), every_ns=50 * MS))
    graph.add("b", ListSource(numbers(3), every_ns=50 * MS))
    graph.add("slow", Costing([30, 30]))
    inputs = ["x", "y"]

    class Both(HeaderSink):
        pass

    sink = Both()
    Both.inputs = tuple(inputs)
    policy = NodePolicy(deadline="5ms", sim_cost="10ms")
    graph.add("sink", sink, policy).connect("a", "slow").connect("slow", "sink.x")
    graph.connect("b", "sink.y")
    statistics = runtime_of(graph).run()
    paths = {path.source: path for path in statistics.paths}
    assert {name: path.count for name, path in paths.items()} == {"a": 2, "b": 3}
    assert sum(path.misses for path in paths.values()) == 5
    assert node_of(statistics, "sink").lateness.count == 5
    assert paths["b"].lateness.max_ns >= 5 * MS


def test_a_sink_says_whether_its_age_contract_held() -> None:
    old = [Produced(x, creation_tick=Ticks(0)) for x in numbers(3)]
    graph = Graph("ages").add("source", ListSource(old, every_ns=50 * MS))
    graph.add("sink", CollectingSink(), NodePolicy(freshness="60ms")).connect("source", "sink")
    words = str(limen.run(graph, clock=SimClock()))
    assert "sink.in: age contract of 60 ms: 1 dropped as too old; oldest result 50 ms" in words


# Recorded.


@pytest.mark.parametrize(
    "policy",
    [
        NodePolicy(error_action=Restart(3, backoff="20ms")),
        NodePolicy(budget=Budget("10ms", "15ms", Degrade(recover_after=2))),
        NodePolicy(activation=Periodic("30ms")),
        NodePolicy(error_action=EmitFailsafe([9.0], quiesce=True)),
        NodePolicy(freshness="20ms", liveness=Liveness("30ms", "40ms")),
    ],
    ids=["restart", "degrade", "periodic", "failsafe", "limits"],
)
def test_a_recorded_run_is_decided_again_alike(policy: NodePolicy) -> None:
    degrades = isinstance(policy.budget_rule.action, Degrade)
    node = Costing([20, 5, 30]) if degrades else Failing(1, 3)
    variant = Costing([], VARIANT) if degrades else None
    graph = Graph("again").add("source", ListSource(numbers(8), every_ns=25 * MS))
    graph.add("node", node, policy, variant=variant).add("sink", HeaderSink())
    graph.chain("source", "node", "sink", policy=EdgePolicy.drop_oldest(4))
    first, second = DecisionLog(), DecisionLog()
    recorder = Recorder(graph, SimClock(), first)
    told = recorder.run()
    again = replay(recorder.recording, second)
    assert first.count > 10
    assert second.sha256 == first.sha256
    assert again.statistics.violations == told.statistics.violations


def test_no_list_of_shapes_is_needed_for_a_variant_of_another_function() -> None:
    @limen.node
    def full(x: Cell) -> Cell:
        return x

    @limen.node
    def cheap(x: Cell) -> Cell:
        return -x

    policy = NodePolicy(budget=Budget("1ms", action=Degrade()), sim_cost="2ms")
    graph = Graph("functions").add("source", ListSource(numbers(3), spec=SCALAR))
    sink = HeaderSink()
    graph.add("node", full, policy, variant=cheap).add("sink", sink)
    graph.chain("source", "node", "sink")
    runtime_of(graph).run()
    assert sink.values == [0, -1, -2]


def test_twice_is_still_called_with_its_own_policy() -> None:
    """A node without constraints pays for none: it is called whatever comes."""
    node = Twice()
    _, sink = through(node, NodePolicy())
    assert sink.values == [0, 2, 4, 6]
    assert len(node.calls) == 4


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (OverBudgetAction.DROP, ViolationKind.DISCARDED),
        (OverBudgetAction.SKIP_STAGE, ViolationKind.FORWARDED),
        (DefaultOnTimeout([7, 7, 7, 7]), ViolationKind.DEFAULTED),
    ],
    ids=["drop", "skip_stage", "default"],
)
@pytest.mark.parametrize("late", [False, True], ids=["overruns", "infeasible"])
def test_the_report_counts_each_result_of_a_batch_that_was_replaced(
    action: OverBudgetAction | DefaultOnTimeout, kind: ViolationKind, late: bool
) -> None:
    policy = NodePolicy(
        Batching.fixed(4),
        sim_cost="3ms",
        deadline="1ms" if late else Deadline(),
        budget=Budget("2ms", action=action),
    )
    graph = Graph("batch").add("source", ScriptedSource(count=4))
    graph.add("node", ScriptedModel(), policy).add("sink", ScriptedSink())
    graph.chain("source", "node", "sink", policy=EdgePolicy.block(4))
    statistics = runtime_of(graph).run()
    counts = {found.kind: found.count for found in statistics.violations if found.place == "node"}
    assert counts[kind] == 4
    assert counts.get(ViolationKind.INFEASIBLE, 0) == (4 if late else 0)
    assert sum(node_of(statistics, "node").replaced.values()) == 1


def test_a_variant_that_takes_no_none_where_the_full_form_does_is_refused() -> None:
    @limen.node
    def full(a: Cell, b: Cell | None) -> Cell:
        return a

    @limen.node
    def cheap(a: Cell, b: Cell) -> Cell:
        return a

    graph = Graph("none").add("left", ListSource(numbers(1))).add("right", ListSource(numbers(1)))
    graph.add("node", full, NodePolicy(budget=Budget("1ms", action=Degrade())), variant=cheap)
    graph.add("sink", CollectingSink()).connect("left", "node.a").connect("right", "node.b")
    with pytest.raises(GraphError, match="its input 'b' takes no None"):
        check(graph.connect("node", "sink"))
