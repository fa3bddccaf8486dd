"""What a run tells: its events against its counters, its sources and models, its log lines."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

import limen
from doubles import (
    MS,
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    assert_settled,
    forward,
    node_of,
    numbers,
)
from limen import (
    EdgePolicy,
    ErrorAction,
    Graph,
    Liveness,
    NodePolicy,
    SimClock,
    Skip,
    SourceSignal,
)
from limen.app import check, make_runtime, swap_model
from limen.errors import ConfigurationError, GraphError, InferenceError, NodeError, SensorError
from limen.node import StepContext, StepResult
from limen.runtime import SingleThreadRuntime
from limen.telemetry import (
    BufferEventSink,
    DecisionLog,
    EdgeSnapshot,
    Event,
    EventSink,
    GraphTelemetry,
    NodeStep,
    PolicyEvent,
    RunStatistics,
    RuntimeEvent,
    RuntimeEventKind,
    StructuralDrop,
    Telemetry,
    TelemetryKey,
    TelemetryNs,
    TelemetrySwitches,
    event_json,
)
from limen.testing.drawn import Drawn, StoppingClock
from limen.testing.strategies import drawn_graphs
from test_hot_swap import multiplying, of

FULL = TelemetrySwitches.full()


class Listing(Telemetry):
    """Keeps everything it is told, in order."""

    def __init__(self, every_ns: int | None = None) -> None:
        self.metrics_every_ns = every_ns
        self.events: list[Event] = []
        self.metrics: list[RunStatistics] = []
        self.order: list[str] = []

    def push_event(self, event: Event) -> None:
        self.events.append(event)
        self.order.append("event")

    def push_metrics(self, statistics: RunStatistics) -> None:
        self.metrics.append(statistics)
        self.order.append("metrics")

    def flush(self) -> None:
        self.order.append("flush")

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def told(self) -> list[tuple[str, str]]:
        """Kind and place of what happened to the run itself."""
        return [(event.kind.value, event.place) for event in self.of(RuntimeEvent)]


def line(
    items: Sequence[object],
    policy: EdgePolicy | None = None,
    node: NodePolicy | None = None,
    **options: object,
) -> Graph:
    """Return source -> work -> sink."""
    graph = Graph("line").add("source", ListSource(items, **options))
    graph.add("work", Doing(forward), node).add("sink", CollectingSink())
    return graph.chain("source", "work", "sink", policy=policy or EdgePolicy.block(4))


def watched(
    graph: Graph, switches: TelemetrySwitches | None = None, every_ns: int | None = None
) -> tuple[RunStatistics, Listing]:
    told = Listing(every_ns)
    report = limen.run(graph, clock=SimClock(), telemetry=told, switches=switches)
    return report.statistics, told


# ---------------------------------------------------------------- events against counters


def run_drawn(
    drawn: Drawn, telemetry: Telemetry | None, switches: TelemetrySwitches | None
) -> tuple[RunStatistics, str] | None:
    clock = StoppingClock(drawn.stop_at_tick)
    log = DecisionLog()
    try:
        plan = check(drawn.graph(), clock, switches=switches)
    except GraphError:
        return None
    runtime = SingleThreadRuntime(
        plan, clock, drain_ns=drawn.drain_ms * MS, log=log, telemetry=telemetry
    )
    clock.handle = runtime.stop_handle
    runtime.start()
    for number in range(2_000):
        if number == drawn.stop_at_step:
            runtime.stop_handle.request_stop()
        if not runtime.step():
            break
    runtime.stop()
    return runtime.statistics(), log.sha256


def losses_counted(run: RunStatistics) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for edge in run.edges:
        found.update({("refused", edge.name, why): n for why, n in edge.refused.items()})
        found.update({("evicted", edge.name, why): n for why, n in edge.evicted.items()})
    for port in run.inputs:
        found.update({("dropped", port.name, why): n for why, n in port.dropped.items()})
    return +found


@settings(max_examples=150, deadline=None)
@given(drawn_graphs())
def test_every_loss_and_violation_that_is_counted_was_told_and_no_other(drawn: Drawn) -> None:
    told = Listing()
    made = run_drawn(drawn, told, FULL)
    if made is None:
        return
    run, digest = made
    drops = told.of(StructuralDrop)
    assert Counter((d.loss.value, d.place, d.reason) for d in drops) == losses_counted(run)
    violations: Counter[tuple[str, str]] = Counter()
    for event in told.of(PolicyEvent):
        violations[event.kind.value, event.place] += event.times
    assert violations == {(v.kind.value, v.place): v.count for v in run.violations}
    steps = told.of(NodeStep)
    assert Counter(step.node for step in steps) == {n.name: n.steps for n in run.nodes if n.steps}
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    emitted: Counter[str] = Counter()
    for port in run.outputs:
        emitted[port.name.split(".")[0]] += port.emitted
    assert emitted == Counter(dict.fromkeys(emitted, 0)) + sum(
        (Counter({step.node: step.emitted}) for step in steps), Counter()
    )
    assert len(told.of(EdgeSnapshot)) == len(steps) * len(run.edges)
    assert all(a.instant_ns <= b.instant_ns for a, b in pairwise(told.events))
    assert told.order[-2:] == ["metrics", "flush"]
    assert told.metrics == [run]
    first, last = told.of(RuntimeEvent)[0], told.events[-1]
    assert (first.kind, last.place) == (RuntimeEventKind.GRAPH_STARTED, run.graph)
    well = run.outcome in ("completed", "stopped")
    assert last.kind.value == ("graph_stopped" if well else "graph_panicked")
    assert last.message.startswith(run.outcome)
    # Watching changes nothing; nor does switching all off, but for the times.
    assert run_drawn(drawn, None, None) == made
    quiet, quiet_digest = run_drawn(drawn, Listing(), TelemetrySwitches.none()) or made
    assert quiet_digest == digest
    assert losses_counted(quiet) == losses_counted(run)
    assert quiet.identities == run.identities
    assert quiet.violations == run.violations


@settings(max_examples=30, deadline=None)
@given(drawn_graphs())
def test_equal_runs_tell_equal_bytes(drawn: Drawn) -> None:
    texts = []
    for _ in range(2):
        told = Listing()
        if run_drawn(drawn, told, FULL) is None:
            return
        texts.append("\n".join(event_json(event) for event in told.events))
    assert texts[0] == texts[1]


@settings(max_examples=40, deadline=None)
@given(drawn_graphs())
def test_snapshots_say_what_the_accounting_says(drawn: Drawn) -> None:
    """What the last snapshot shows in rings, staging and holds is what the counters leave there."""
    told = Listing()
    clock = StoppingClock(None)
    try:
        plan = check(drawn.graph(), clock, switches=TelemetrySwitches(edge_snapshots=True))
    except GraphError:
        return
    runtime = SingleThreadRuntime(plan, clock, telemetry=told)
    runtime.start()
    try:
        for _ in range(60):
            before = len(told.events)
            if not runtime.step():
                break
            shown = [e for e in told.events[before:] if isinstance(e, EdgeSnapshot)]
            held = {port.name: port.held for port in runtime.statistics().inputs}
            for snapshot, edge in zip(shown, runtime.statistics().edges, strict=bool(shown)):
                assert (snapshot.edge, snapshot.items, snapshot.staged) == (
                    *(edge.name, edge.ring, edge.staged),
                )
                assert snapshot.held == held[edge.name.split(" -> ")[1]]
    finally:
        runtime.stop()


# ---------------------------------------------------------------- switches and sampling


def test_without_histograms_times_have_a_count_of_zero_and_all_else_is_counted() -> None:
    policy = NodePolicy(deadline="1ms", sim_cost="2ms")
    plain = limen.run(line(numbers(9), node=policy), clock=SimClock()).statistics
    off = TelemetrySwitches(histograms=False)
    run = limen.run(line(numbers(9), node=policy), clock=SimClock(), switches=off).statistics
    for node in run.nodes:
        assert {node.latency.count, node.wait.count, node.age.count, node.lateness.count} == {0}
    assert [(path.count, path.misses) for path in run.paths] == [
        (path.count, path.misses) for path in plain.paths
    ]
    assert run.paths[0].age.count == 0
    assert plain.paths[0].age.count == 9
    assert node_of(run, "work").deadline_misses == node_of(plain, "work").deadline_misses == 9
    assert (run.edges, run.inputs, run.outputs) == (plain.edges, plain.inputs, plain.outputs)
    assert "-" in str(limen.Report(run)).splitlines()[3], "a report without times says so"


@pytest.mark.parametrize("every", [1, 3, 7, 1000])
def test_of_many_steps_one_is_told(every: int) -> None:
    switches = TelemetrySwitches(node_steps=True, edge_snapshots=True, sample_every=every)
    run, told = watched(line(numbers(20)), switches)
    steps = sum(node.steps for node in run.nodes)
    assert [step.step for step in told.of(NodeStep)] == list(range(every, steps + 1, every))
    assert len(told.of(EdgeSnapshot)) == 2 * (steps // every)


def test_what_is_off_is_not_told() -> None:
    slow = NodePolicy(sim_cost="9ms")
    graph = line(numbers(9), EdgePolicy.drop_newest(1), slow, every_ns=MS, pausable=False)
    run, told = watched(graph, TelemetrySwitches.none())
    assert sum(run.edges[0].refused.values()) > 0
    assert told.order == ["flush"]
    run, told = watched(line(numbers(3)), TelemetrySwitches(events=False, node_steps=True))
    assert {type(event) for event in told.events} == {NodeStep}
    assert told.metrics == [run]


@pytest.mark.parametrize("wrong", [True, {}, "all", TelemetrySwitches])
def test_switches_of_another_type_are_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="switches is"):
        limen.run(line([]), clock=SimClock(), switches=wrong)


def test_the_accounting_is_handed_over_by_the_graph_s_clock() -> None:
    run, told = watched(line(numbers(10), every_ns=10 * MS), every_ns=30 * MS)
    assert [seen.outcome for seen in told.metrics] == ["running"] * 3 + ["completed"]
    assert [seen.duration_ns // MS for seen in told.metrics] == [30, 60, 90, 100]
    assert all(seen.closes for seen in told.metrics)
    assert told.metrics[-1] == run


# ---------------------------------------------------------------- the run itself


def test_a_run_tells_its_start_and_its_end() -> None:
    _, told = watched(line(numbers(2)))
    assert told.told == [("graph_started", "line"), ("graph_stopped", "line")]
    assert [event.message for event in told.events] == ["", "completed"]


def test_a_halt_is_told_with_its_reason() -> None:
    def fail(message: object) -> None:
        raise ValueError("broken")

    graph = Graph("halts").add("source", ListSource(numbers(3)))
    graph.add("work", Doing(fail), NodePolicy(error_action=ErrorAction.HALT_GRAPH))
    graph.add("sink", CollectingSink()).chain("source", "work", "sink")
    run, told = watched(graph)
    assert run.outcome == "halted"
    assert told.events[-1].kind is RuntimeEventKind.GRAPH_PANICKED
    assert told.events[-1].message == "halted: a failure of work"


def test_a_start_that_fails_is_told_with_hostile_text_and_flushed() -> None:
    class Broken(ListSource):
        def open(self, clock: object, now: int) -> None:
            raise OSError("no\ncamera \x1b[2J" + "é" * 300)

    told = Listing()
    graph = Graph("fails").add("source", Broken([])).add("sink", CollectingSink())
    with pytest.raises(NodeError, match="cannot start"):
        limen.run(graph.chain("source", "sink"), clock=SimClock(), telemetry=told)
    assert told.told == [("graph_panicked", "fails")]
    assert told.events[0].message.startswith("failed: source cannot start: OSError: no camera")
    assert told.order == ["event", "metrics", "flush"]


def test_a_source_that_fails_and_comes_back_is_told_once_each_way() -> None:
    one = np.zeros(1, np.float32)
    lost, gone = SensorError("row 7 is no number"), RuntimeError("no device")
    items = [one, lost, lost, one, one, gone, SourceSignal.NOTHING_NOW, one, lost]
    run, told = watched(line(items))
    assert told.told[1:-1] == [
        ("invalid_data", "source"),
        ("sensor_disconnected", "source"),
        ("invalid_data", "source"),
        ("sensor_recovered", "source"),
        ("sensor_disconnected", "source"),
        ("sensor_recovered", "source"),
        ("invalid_data", "source"),
        ("sensor_disconnected", "source"),
    ]
    assert "row 7 is no number" in told.of(RuntimeEvent)[1].message
    assert node_of(run, "source").errors == 4


def test_a_payload_that_does_not_fit_is_invalid_data() -> None:
    _, told = watched(line([np.zeros(2, np.float32), *numbers(1)]))
    assert [kind for kind, _ in told.told[1:-1]] == [
        *("invalid_data", "sensor_disconnected", "sensor_recovered")
    ]


def test_the_silence_of_a_source_is_a_data_gap_and_that_of_a_node_is_not() -> None:
    quiet = NodePolicy(liveness=Liveness(max_gap="15ms"))
    graph = Graph("gaps").add(
        "source", ListSource(numbers(3), at_ns=[0, 50 * MS, 60 * MS, 70 * MS])
    )
    graph.add("work", Doing(lambda message: Skip()), quiet).add("sink", CollectingSink(), quiet)
    _, told = watched(graph.chain("source", "work", "sink"))
    gaps = [event for event in told.of(RuntimeEvent) if event.kind is RuntimeEventKind.DATA_GAP]
    assert [event.place for event in gaps] == ["source.out -> work.in"]
    assert gaps[0].message.startswith("nothing for 15")
    live = {e.place for e in told.of(PolicyEvent) if e.kind.value == "liveness"}
    assert live == {"source.out -> work.in", "work.out -> sink.in"}


def test_a_model_that_cannot_be_taken_over_is_told_and_so_is_the_next_that_can() -> None:
    graph, sink = multiplying(8)

    def refused() -> None:
        with pytest.raises(InferenceError):
            swap_model(graph, "model", of("rubbish"))

    sink.then |= {2: refused, 4: lambda: swap_model(graph, "model", of("2"))}
    _, told = watched(graph)
    assert told.told[1:-1] == [("model_load_failed", "model"), ("model_recovered", "model")]
    assert "is none" in told.of(RuntimeEvent)[1].message


def test_a_model_given_up_in_its_first_call_and_one_that_is_no_file_are_told() -> None:
    graph, sink = multiplying(8)

    def missing() -> None:
        with pytest.raises(InferenceError):
            swap_model(graph, "model", "missing.onnx")

    sink.then |= {2: lambda: swap_model(graph, "model", of("2,1,1")), 8: missing}
    run, told = watched(graph)
    assert node_of(run, "model").swaps == 2
    assert told.told[1:-1] == [("model_load_failed", "model")] * 2
    assert told.of(RuntimeEvent)[1].message == "it gave up"
    assert "missing.onnx" in told.of(RuntimeEvent)[2].message, "told although no step came after it"


# ---------------------------------------------------------------- nodes that measure


class Measuring(Twice):
    """Counts, observes and times under its own keys."""

    def step(self, ctx: StepContext) -> StepResult:
        ctx.telemetry.incr_counter("steps")
        ctx.telemetry.set_gauge("waiting", ctx.in_occupancy("in").items)
        ctx.telemetry.record_latency_ns("guess", 5)
        ctx.telemetry.push_event(RuntimeEventKind.BROKER_RECOVERED, "again")
        return super().step(ctx)


def test_a_node_s_own_measures_arrive_under_its_index() -> None:
    sink = BufferEventSink(100)
    telemetry = GraphTelemetry([sink])
    graph = Graph("own").add("source", ListSource(numbers(3))).add("work", Measuring())
    graph.add("sink", CollectingSink()).chain("source", "work", "sink")
    report = limen.run(graph, clock=SimClock(), telemetry=telemetry)
    found = telemetry.statistics()
    key = TelemetryKey(TelemetryNs.NODE, 1, "steps")
    assert found.counters == {key: 3}
    assert [kept.count for kept in found.latencies.values()] == [3]
    assert set(found.gauges.values()) == {1.0}
    assert found.metrics == report.statistics
    assert found.events == len(sink.events) == 5
    assert [event.place for event in sink.events][1:-1] == ["work"] * 3


# ---------------------------------------------------------------- listeners that fail


def test_a_telemetry_that_raises_is_detached_and_the_run_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Listing):
        def push_event(self, event: Event) -> None:
            super().push_event(event)
            raise ValueError("cannot")

    told = Broken()
    run = limen.run(line(numbers(5)), clock=SimClock(), telemetry=told, switches=FULL).statistics
    assert_settled(run)
    assert run.outcome == "completed"
    assert told.order == ["event", "metrics", "flush"]
    assert caplog.text.count("push_event is called no more: ValueError: cannot") == 1


def test_a_sink_that_fails_in_the_middle_leaves_the_others_complete() -> None:
    class Failing(EventSink):
        def write(self, event: Event) -> None:
            if isinstance(event, EdgeSnapshot):
                raise OSError("disk full")

    kept = BufferEventSink(10_000)
    telemetry = GraphTelemetry([Failing(), kept])
    run = limen.run(line(numbers(5)), clock=SimClock(), telemetry=telemetry, switches=FULL)
    assert run.statistics.closes
    assert telemetry.statistics().detached == ("Failing: OSError: disk full",)
    assert kept.events[-1].kind is RuntimeEventKind.GRAPH_STOPPED


@pytest.mark.parametrize("wrong", [print, "stderr", BufferEventSink(1)])
def test_what_is_no_telemetry_is_refused_before_the_start(wrong: object) -> None:
    source = ListSource(numbers(1))
    graph = Graph("g").add("source", source).add("sink", CollectingSink()).chain("source", "sink")
    with pytest.raises(ConfigurationError, match="telemetry is"):
        limen.run(graph, clock=SimClock(), telemetry=wrong)
    assert source.log == []


# ---------------------------------------------------------------- the log of the library


def warnings_of(graph: Graph, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "limen"):
        assert limen.run(graph, clock=SimClock()).statistics.closes
    assert {record.name for record in caplog.records} <= {"limen"}
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


def test_losses_are_logged_at_powers_of_ten(caplog: pytest.LogCaptureFixture) -> None:
    slow = NodePolicy(sim_cost="1s")
    graph = line(numbers(1200), EdgePolicy.drop_newest(1), slow, every_ns=100_000, pausable=False)
    place = "edge source.out -> work.in"
    assert warnings_of(graph, caplog) == [
        f"{place}: first message refused: full",
        *(f"{place}: {count} messages refused so far: full" for count in (10, 100, 1000)),
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: line(numbers(25), node=NodePolicy(deadline="1ms", sim_cost="2ms")),
            ["work: first deadline_miss", "work: 10 deadline_miss so far"],
        ),
        (
            lambda: (
                Graph("g")
                .add("source", ListSource([ValueError(f"no {n}") for n in range(25)]))
                .add("sink", CollectingSink())
                .chain("source", "sink")
            ),
            ["node source: ValueError: no 0", "node source: 10 errors so far: ValueError: no 9"],
        ),
    ],
    ids=["violations", "errors"],
)
def test_violations_and_errors_are_logged_at_powers_of_ten(
    make: Callable[[], Graph], words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    found = [text.split(" (")[0] for text in warnings_of(make(), caplog)]
    assert [text for text in found if not text.startswith("edge")] == words


def test_the_first_failures_stay_in_words_although_few_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graph = line([ValueError(f"no {n}") for n in range(25)])
    messages = node_of(limen.run(graph, clock=SimClock()).statistics, "source").messages
    assert [text.split(" (")[0] for text in messages] == [f"ValueError: no {n}" for n in range(8)]


def test_what_a_stop_gives_up_is_a_note_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = SimClock()
    graph = line(numbers(50), EdgePolicy.block(8), NodePolicy(sim_cost="10ms"), every_ns=MS)
    plan = check(graph, clock)
    runtime = SingleThreadRuntime(plan, clock, drain_ns=0)
    runtime.start()
    for _ in range(12):
        runtime.step()
    runtime.stop_handle.request_stop()
    while runtime.step():
        pass
    runtime.stop()
    run = runtime.statistics()
    lost = sum(count for (_, _, why), count in losses_counted(run).items() if why == "stopped")
    assert lost > 1
    assert f"{lost} messages were left and given up" in run.notes
    assert caplog.records == []


def test_a_mailbox_that_is_overwritten_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    slow = NodePolicy(sim_cost="10ms")
    graph = line(numbers(30), EdgePolicy.mailbox_latest(), slow, every_ns=MS, pausable=False)
    run, told = watched(graph)
    assert run.edges[0].evicted["superseded"] == len(told.of(StructuralDrop)) > 0
    assert caplog.records == []


def test_the_library_configures_no_logging() -> None:
    logger = logging.getLogger("limen")
    assert logger.level == logging.NOTSET
    assert logger.handlers == []
    assert logger.propagate


# ---------------------------------------------------------------- the record of an event is JSON


def test_every_event_of_a_run_is_a_json_object() -> None:
    slow = NodePolicy(sim_cost="9ms", deadline="1ms")
    graph = line(numbers(9), EdgePolicy.drop_newest(1), slow, every_ns=MS, pausable=False)
    _, told = watched(graph, FULL)
    assert len({type(event) for event in told.events}) == 5
    for event in told.events:
        record = json.loads(event_json(event))
        assert list(record) == ["event", *event._fields]
    assert make_runtime(line([]), SimClock()).plan.switches == TelemetrySwitches()
