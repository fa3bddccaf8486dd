"""Nodes that write their own ``step``: what they push during calls, and what they may return."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from doubles import (
    MS,
    SCALAR,
    CollectingSink,
    ListSource,
    assert_settled,
    input_of,
    node_of,
    numbers,
)
from limen import (
    Batching,
    Budget,
    EdgePolicy,
    Graph,
    NodePolicy,
    OverBudgetAction,
    SimClock,
)
from limen.app import Recorder, check, replay
from limen.message import BatchView, Message
from limen.node import (
    Consumed,
    Node,
    NodeKind,
    NodePorts,
    Output,
    Port,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.policy import EmitFailsafe
from limen.runtime import SingleThreadRuntime
from limen.telemetry import DecisionLog, RunStatistics
from limen.types import PayloadSpec, Ticks


class Pushing(Node):
    """Pushes as often as a list says, call by call, and returns its input as well if asked to."""

    max_emit = 2

    def __init__(self, pushes: list[int], *, returns: bool = False) -> None:
        self.pushes = list(pushes)
        self.returns = returns

    input_names = ("in",)
    output_names = ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), (Port("out", SCALAR),))

    def step(self, ctx: StepContext) -> StepResult:
        def process(message: Message) -> object:
            for _ in range(self.pushes.pop(0)):
                ctx.push_output("out", message)
            return Output(message.payload) if self.returns else Consumed()

        return ctx.pop_and_process("in", process)


class PushingModel(Node):
    """A model that pushes its newest input beside its results."""

    kind = NodeKind.MODEL
    max_emit = 2
    input_names = ("in",)
    output_names = ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), (Port("out", SCALAR),))

    def step(self, ctx: StepContext) -> StepResult:
        def infer(batch: BatchView, out: np.ndarray) -> None:
            out[...] = -1
            ctx.push_output("out", Message(batch.headers[-1], np.array([9], np.float32)))

        return ctx.pop_batch_and_process("in", infer)


class Returning(Node):
    """Takes a message and returns what it was made with."""

    def __init__(self, result: object) -> None:
        self.result = result

    kind = NodeKind.SINK
    input_names = ("in",)
    output_names = ()

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), ())

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        ctx.pop_and_process("in", lambda message: Consumed())
        return self.result  # type: ignore[return-value] # that is the mistake


def run(
    node: Node, policy: NodePolicy | None = None, log: DecisionLog | None = None
) -> tuple[RunStatistics, CollectingSink]:
    sink = CollectingSink()
    graph = Graph("custom").add("source", ListSource(numbers(2))).add("node", node, policy)
    graph.add("sink", sink).chain("source", "node", "sink", policy=EdgePolicy.block(8))
    clock = SimClock()
    statistics = SingleThreadRuntime(check(graph, clock), clock, log=log).run()
    assert_settled(statistics)
    return statistics, sink


def test_what_is_pushed_during_a_call_goes_out_at_the_instant_after_it() -> None:
    lines: list[tuple[int, str]] = []
    log = DecisionLog(lambda d: lines.append((d.instant // MS, f"{d.place} {d.action}")))
    _, sink = run(Pushing([2, 1]), NodePolicy(sim_cost="5ms"), log)
    assert [t for t, text in lines if text == "node.out -> sink.in push"] == [5, 5, 10]
    assert sink.sequences == [0, 0, 1]


def test_more_than_declared_in_one_call_is_a_failure_and_nothing_is_emitted() -> None:
    statistics, sink = run(Pushing([3, 1]))
    assert sink.sequences == [1]
    assert input_of(statistics, "node").dropped == {"error": 1}


def test_what_is_pushed_and_what_is_returned_count_together() -> None:
    statistics, sink = run(Pushing([1, 2], returns=True))
    assert sink.sequences == [0, 0]
    assert node_of(statistics, "node").errors == 1


def test_the_limit_holds_for_each_call_of_a_batch() -> None:
    statistics, sink = run(Pushing([3, 0]), NodePolicy(Batching.fixed(2)))
    assert sink.sequences == []
    assert node_of(statistics, "node").errors == 1


def test_a_model_may_push_beside_its_results() -> None:
    _, sink = run(PushingModel(), NodePolicy(Batching.fixed(2)))
    assert sink.payloads == [[-1.0], [-1.0], [9.0]]


def test_a_model_that_pushes_too_much_is_judged_only_where_its_result_counts() -> None:
    class Flood(PushingModel):
        def step(self, ctx: StepContext) -> StepResult:
            def infer(batch: BatchView, out: np.ndarray) -> None:
                ctx.clock.charge(20 * MS)
                for _ in range(5):
                    ctx.push_output("out", Message(batch.headers[-1], np.zeros(1, np.float32)))

            return ctx.pop_batch_and_process("in", infer)

    counted, _ = run(Flood(), NodePolicy(Batching.fixed(2)))
    assert node_of(counted, "node").errors == 1
    budget = Budget("10ms", action=OverBudgetAction.DROP)
    replaced, sink = run(Flood(), NodePolicy(Batching.fixed(2), budget=budget))
    assert node_of(replaced, "node").errors == 0
    assert sink.arrivals == []


def test_a_recorded_push_is_pushed_again_at_its_place() -> None:
    graph = Graph("again").add("source", ListSource(numbers(2))).add("node", Pushing([2, 1]))
    graph.add("sink", CollectingSink()).chain("source", "node", "sink")
    first, second = DecisionLog(), DecisionLog()
    recorder = Recorder(graph, SimClock(), first)
    recorder.run()
    replay(recorder.recording, second)
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("result", [None, True, "x", 3, YieldUntil("5"), YieldUntil(True)])
def test_a_step_that_returns_something_else_has_failed(result: object) -> None:
    graph = Graph("returns").add("source", ListSource(numbers(2))).add("node", Returning(result))
    graph.connect("source", "node")
    clock = SimClock()
    statistics = SingleThreadRuntime(check(graph, clock), clock).run()
    assert statistics.outcome == "completed"
    assert node_of(statistics, "node").errors == 2
    assert "return a StepResult" in node_of(statistics, "node").messages[0]


@pytest.mark.parametrize("batch", [1, 2])
def test_a_step_that_fails_behind_its_results_emits_its_failsafe_as_well(batch: int) -> None:
    class Failing(Pushing):
        def step(self, ctx: StepContext) -> StepResult:
            super().step(ctx)
            raise RuntimeError("behind the call")

    policy = NodePolicy(Batching.fixed(batch), error_action=EmitFailsafe(np.zeros(1, np.float32)))
    statistics, sink = run(Failing([2, 2]), policy)
    steps = 2 // batch
    assert len(sink.sequences) == 4 + steps
    assert node_of(statistics, "node").errors == steps


def test_room_for_a_failsafe_is_no_room_for_one_message_more() -> None:
    class Loose(Pushing):
        def step(self, ctx: StepContext) -> StepResult:
            header = ctx.in_peek_header("in")
            assert header is not None
            for _ in range(3):
                ctx.push_output("out", Message(header, np.ones(1, np.float32)))
            return super().step(ctx)

    policy = NodePolicy(error_action=EmitFailsafe(np.zeros(1, np.float32)))
    statistics, sink = run(Loose([0, 0]), policy)
    assert "more than 2 messages" in node_of(statistics, "node").messages[0]
    assert sink.payloads == [[1.0], [1.0], [0.0], [1.0], [1.0], [0.0]]


def test_a_choice_of_input_that_fails_loses_only_what_would_have_been_taken() -> None:
    class Undecided(CollectingSink):
        inputs = ("x", "y")

        def select_input(self, ready: object) -> str:
            raise ValueError("cannot say")

    graph = Graph("undecided").add("a", ListSource(numbers(2))).add("b", ListSource(numbers(1)))
    policy = NodePolicy(Batching.fixed(2))
    graph.add("sink", Undecided(), policy).connect("a", "sink.x").connect("b", "sink.y")
    clock = SimClock()
    runtime = SingleThreadRuntime(check(graph, clock), clock)
    runtime.start()
    while runtime.step():
        dropped = [port.dropped.get("error", 0) for port in runtime.statistics().inputs]
        if dropped[0]:
            assert dropped == [2, 0]
            break
    else:
        pytest.fail("nothing was dropped")
    runtime.stop()


def test_a_step_can_look_ahead_without_changing_anything() -> None:
    seen: list[object] = []

    class Looking(Pushing):
        def step(self, ctx: StepContext) -> StepResult:
            header = ctx.in_peek_header("in")
            seen.append(
                (
                    None if header is None else header.sequence,
                    ctx.in_peek_deadline("in"),
                    ctx.in_has_batch("in"),
                    ctx.in_policy("in") == EdgePolicy.block(8),
                    ctx.out_policies("out") == (EdgePolicy.block(8),),
                )
            )
            return super().step(ctx)

    run(Looking([0, 0]), NodePolicy(deadline="10ms"))
    assert seen == [(0, 10 * MS, True, True, True), (1, 10 * MS, True, True, True)]


def test_ticks_are_what_a_yield_waits_for() -> None:
    calls: list[int] = []

    class Resting(Returning):
        def step(self, ctx: StepContext) -> StepResult | YieldUntil:
            calls.append(ctx.now_ticks)
            ctx.pop_and_process("in", lambda message: Consumed())
            return YieldUntil(Ticks(ctx.now_ticks + 7 * MS))

    graph = Graph("rests").add("source", ListSource(numbers(2)))
    graph.add("node", Resting(None)).connect("source", "node")
    clock = SimClock()
    SingleThreadRuntime(check(graph, clock), clock).run()
    assert calls == [0, 7 * MS]


def test_a_node_that_yields_before_it_takes_is_stepped_when_others_have_moved_time_on() -> None:
    calls: list[int] = []

    class Late(Returning):
        def step(self, ctx: StepContext) -> StepResult | YieldUntil:
            calls.append(ctx.now_ticks)
            if len(calls) == 1:
                return YieldUntil(Ticks(ctx.now_ticks + 7 * MS))
            return ctx.pop_and_process("in", lambda message: Consumed())

    graph = Graph("late").add("source", ListSource(numbers(2)), NodePolicy(sim_cost="10ms"))
    graph.add("node", Late(None)).connect("source", "node")
    clock = SimClock()
    statistics = SingleThreadRuntime(check(graph, clock), clock).run()
    assert statistics.outcome == "completed"
    assert calls == [10 * MS, 20 * MS, 30 * MS]
