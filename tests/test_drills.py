"""Drills: a healthy graph passes and shows what it promises; a wrong one is named by its place."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import CollectingSink, ListSource, numbers, runtime_of
from limen.errors import ConfigurationError, GraphError, SensorError
from limen.message import Message
from limen.node import Node, NodePorts, Port, StepResult, YieldUntil
from limen.telemetry import EdgeSnapshot, RunStatistics
from limen.testing import drills
from limen.testing.drills._judge import is_finite, wrong_accounting
from limen.testing.drills._watch import ByteWatch

One = Float32[np.ndarray, "1"]
SPEC = limen.TensorSpec(limen.DataType.F32, (1,))
X1 = np.zeros(1, np.float32)
MS = 1_000_000


class Camera(limen.Source):
    """A live device that is not there."""

    def __init__(self) -> None:
        self.opened = 0

    def prepare(self) -> None:
        raise SensorError("no camera here")

    def spec(self) -> limen.TensorSpec:
        return SPEC

    def open(self, clock: object, now: int) -> None:
        self.opened += 1

    def interval_ns(self) -> int:
        return 20 * MS

    def try_produce(self, now: int) -> object:
        raise SensorError("no camera here")


class Motor(limen.Sink):
    """A device that nothing may move in a test."""

    def open(self, clock: object, spec: object) -> None:
        raise AssertionError("the motor was switched on")

    def consume(self, message: Message, now: int) -> None:
        raise AssertionError("the motor moved")


@limen.node
def twice(x: One) -> One:
    return x * np.float32(2)


def chain(
    node: Node = twice,
    edge: limen.EdgePolicy | None = None,
    policy: limen.NodePolicy | None = None,
    source: limen.Source | None = None,
) -> limen.Graph:
    graph = limen.Graph("arm").add("camera", Camera() if source is None else source)
    graph.add("detect", node, policy).add("motor", Motor())
    queue = limen.EdgePolicy.drop_oldest(2) if edge is None else edge
    return graph.connect("camera", "detect", queue).connect("detect", "motor")


def two_sources() -> limen.Graph:
    graph = limen.Graph("two").add("camera", Camera()).add("imu", Camera())
    graph.add("left", twice, limen.NodePolicy(liveness="100ms")).add("right", twice)
    graph.add("sink", Motor()).add("log", Motor())
    graph.chain("camera", "left", "sink")
    return graph.chain("imu", "right", "log")


# Healthy graphs.


def test_a_slow_node_shows_the_ages_and_losses_of_the_queue_before_it() -> None:
    report = drills.slow_node(
        chain(), "detect", cost="300ms", max_age="900ms", loses=("capacity",), ends="stopped"
    )
    assert 600 * MS <= report.largest_age_ns("motor") <= 900 * MS
    assert report.p99_age_ns() <= report.largest_age_ns()
    assert report.count("motor") == report.node("detect").calls
    assert report.lost(place="detect") == report.lost(reason="capacity") > 400
    assert report.node("detect").latency.min_ns == 300 * MS
    assert report.undisturbed.edges[0].evicted == {}


def test_the_ages_of_a_report_are_those_of_the_accounting() -> None:
    report = drills.slow_node(chain(), "detect", cost="70ms")
    (path,) = report.statistics.paths
    assert report.largest_age_ns("motor") == path.age.max_ns
    assert report.count("motor") == path.count


def test_a_sink_can_be_slow() -> None:
    report = drills.slow_node(chain(edge=limen.EdgePolicy.block(4)), "motor", cost="10ms")
    assert report.largest_age_ns() == 10 * MS


def test_behind_a_frozen_source_the_others_go_on_and_liveness_notices() -> None:
    report = drills.frozen_source(two_sources(), "camera", after=10)
    assert (report.count("sink"), report.count("log")) == (10, 500)
    assert report.largest_gap_ns("sink") > 9_000 * MS
    assert report.largest_gap_ns("log") == 20 * MS
    assert report.happened_ns == (200 * MS,)
    assert [violation.kind.value for violation in report.statistics.violations] == ["liveness"]


def test_a_frozen_source_that_thaws_brings_what_was_stalled_at_once() -> None:
    graph = chain(edge=limen.EdgePolicy.block(64))
    report = drills.frozen_source(graph, "camera", after=10, thaw="1s", duration="2s")
    assert report.sequences("motor") == list(range(100))
    assert report.largest_age_ns() == 1_000 * MS


def test_a_source_that_can_wait_goes_on_where_it_froze() -> None:
    ramp = limen.io.Ramp(50, count=20)
    report = drills.frozen_source(chain(source=ramp), "camera", after=5, thaw="1s")
    assert [float(x[0]) for x in report.payloads("motor")] == [2.0 * n for n in range(20)]
    assert report.feeds == {"camera": "Ramp, its own"}
    assert report.outcome == "completed"


def test_an_untimed_source_freezes_and_thaws() -> None:
    graph = chain(source=ListSource(numbers(20)), edge=limen.EdgePolicy.block(4))
    report = drills.frozen_source(graph, "camera", after=5, thaw="2s")
    assert report.count("motor") == 20
    assert report.arrivals["motor"][5].at_ns == 2_000 * MS


def test_a_burst_comes_at_one_instant_and_the_queue_keeps_within_its_cap() -> None:
    report = drills.burst(chain(), "camera", count=50, at="1s", loses=("capacity",))
    assert report.happened_ns == (1_000 * MS,) * 50
    edge = report.statistics.edges[0]
    assert edge.peak == edge.capacity == 2
    assert report.lost() + report.count() == 550


def test_a_burst_comes_also_behind_the_end_of_its_source() -> None:
    source = ListSource(numbers(3))
    graph = chain(source=source, edge=limen.EdgePolicy.block(8))
    report = drills.burst(graph, "camera", count=4, at="1s")
    assert [float(x[0]) for x in report.payloads("motor")] == [0, 2, 4, 4, 4, 4, 4]
    assert report.outcome == "completed"


def test_a_leap_of_the_clock_makes_nothing_old_where_all_is_well() -> None:
    report = drills.clock_jump(chain(), by="1h", max_age="40ms", loses_nothing=True)
    assert report.happened_ns == (5_000 * MS,)
    assert report.statistics.duration_ns > 3_600_000 * MS
    assert report.count() == 500


def test_a_leap_lets_recordings_go_on_where_they_were() -> None:
    disturbed = limen.io.Disturbed(limen.io.Ramp(50), 1, jitter="30ms")
    for source in (limen.io.Ramp(50), disturbed):
        report = drills.clock_jump(chain(source=source), by="1h", duration="2s")
        assert 90 < report.count() <= 101


def test_the_clock_of_a_source_may_jump_back() -> None:
    graph = chain(policy=limen.NodePolicy(freshness="500ms"))
    report = drills.clock_jump(graph, by="-2s", at="5s", source="camera", loses=("stale",))
    assert report.count() == 250
    report = drills.clock_jump(chain(), by="-2s", at="5s", source="camera")
    assert report.largest_age_ns() == 2_000 * MS


def test_the_offset_of_a_clock_domain_is_kept_by_what_stands_in() -> None:
    class Gps(Camera):
        clock_domain = 1

    graph = limen.Graph("gps", clock_offsets={1: "-3s"}).add("camera", Gps()).add("motor", Motor())
    graph.connect("camera", "motor")
    report = drills.clock_jump(graph, by="1s", at="1s", source="camera", duration="2s")
    ticks = [arrival.header.creation_tick for arrival in report.arrivals["motor"]]
    assert ticks[:2] == [0, 20 * MS]
    assert ticks[50] == 2_000 * MS


def test_a_queue_fills_while_its_consumer_stalls_and_drains_behind() -> None:
    graph = chain(edge=limen.EdgePolicy.block(8))
    report = drills.full_queue(graph, "camera -> detect", max_age="200ms", loses_nothing=True)
    edge = report.statistics.edges[0]
    assert edge.peak == 8
    assert len(report.happened_ns) == 1
    assert report.count() == 500


def test_a_queue_with_a_cap_of_bytes_counts_as_full_where_nothing_more_fits() -> None:
    caps = limen.QueueCaps(100, max_bytes=10)
    graph = chain(edge=limen.EdgePolicy(caps, limen.AdmissionPolicy.DROP_OLDEST))
    assert drills.full_queue(graph, "camera.out->detect.in").statistics.edges[0].peak == 2


def test_failed_calls_lose_their_input_and_the_run_goes_on() -> None:
    report = drills.failing_model(chain(), "detect", every=10, loses=("error",), ends="stopped")
    assert report.errors("detect") == report.lost(reason="error") == 50
    assert report.sequences("motor")[:11] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


@pytest.mark.parametrize(
    ("action", "outcome", "count"),
    [
        (limen.ErrorAction.HALT_GRAPH, "halted", 3),
        (limen.ErrorAction.QUIESCE, "completed", 3),
        (limen.EmitFailsafe(np.array([-1], np.float32)), "stopped", 50),
        (limen.Restart(3), "stopped", 49),
    ],
)
def test_what_follows_a_failure_is_what_the_policy_says(
    action: object, outcome: str, count: int
) -> None:
    graph = chain(policy=limen.NodePolicy(error_action=action))
    report = drills.failing_model(graph, "detect", at=3, duration="1s", ends=outcome)
    assert report.count() == count


def test_a_failing_model_raises_what_it_is_told_to() -> None:
    error = TimeoutError("the engine hangs")
    report = drills.failing_model(chain(), "detect", at=[1, 2], error=error)
    assert "the engine hangs" in report.node("detect").messages[0]
    assert report.errors() == 2


@pytest.mark.parametrize("what", ["garbage", "shape", "dtype", "negative_deadline", "unreadable"])
def test_a_message_that_is_refused_is_counted_and_the_rest_go_on(what: str) -> None:
    report = drills.corrupt_message(chain(), "camera", what, at=3, duration="1s", ends="stopped")
    assert report.errors("camera") == 1
    assert report.count() == 49


@pytest.mark.parametrize(("what", "seen"), [("past_deadline", 1), ("future_creation", 0)])
def test_a_header_of_nonsense_is_handled_as_it_says(what: str, seen: int) -> None:
    report = drills.corrupt_message(chain(), "camera", what, at=3, duration="1s")
    assert report.count() == 50
    assert report.node("motor").deadline_misses == seen
    assert min(arrival.age_ns for arrival in report.arrivals["motor"]) >= 0


def test_a_node_that_keeps_nan_out_lets_none_through() -> None:
    class Guard(limen.ProcessNode):
        def process(self, x: One) -> One | None:
            return x if np.isfinite(x).all() else None

    report = drills.corrupt_message(chain(Guard()), "camera", "nan", every=5, finite=True)
    assert report.count() == 400


def test_what_a_node_emits_can_be_corrupted_by_its_edge() -> None:
    report = drills.corrupt_message(chain(), "detect -> motor", "shape", at=0, duration="1s")
    assert report.errors("detect") == report.lost(reason="error") == 1


def test_a_run_is_stopped_at_every_decision_and_drains_each_time() -> None:
    report = drills.stop_in_flight(
        chain(policy=limen.NodePolicy(sim_cost="30ms")), may_lose=("capacity",)
    )
    assert len(report.runs) > 50
    assert {run.outcome for run in report.runs} == {"stopped"}
    assert all(run.statistics.closes for run in report.runs)
    assert report.runs[0].count() == 0
    assert report.runs[-1].count() == max(run.count() for run in report.runs)


def test_a_run_of_finite_recordings_is_stopped_up_to_its_last_decision() -> None:
    graph = chain(source=limen.io.Ramp(50, count=3))
    report = drills.stop_in_flight(graph, loses_nothing=True)
    assert {run.outcome for run in report.runs} == {"stopped"}
    assert report.undisturbed.outcome == "completed"
    assert report.runs[-1].count() == 3


def test_a_run_is_stopped_at_a_given_decision_or_instant() -> None:
    assert len(drills.stop_in_flight(chain(), at_step=[3, 5]).runs) == 2
    assert drills.stop_in_flight(chain(), at_step=0).count() == 0
    assert drills.stop_in_flight(chain(), after="300ms").count() in (15, 16)


# What must always hold, broken by one part each.


class Stubborn(Node):
    """Says that it got on, and takes nothing."""

    input_names = ("in",)
    output_names = ("out",)

    def __init__(self, answer: Callable[[object], object]) -> None:
        self.answer = answer

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", SPEC),), (Port("out", SPEC),))

    def step(self, ctx: object) -> object:
        return self.answer(ctx)


def test_a_node_that_never_takes_its_input_is_named_and_not_waited_for() -> None:
    hangs = Stubborn(lambda ctx: YieldUntil(ctx.now_ticks + 1))
    with pytest.raises(AssertionError) as caught:
        drills.stop_in_flight(chain(hangs), at_step=5, max_steps=2000)
    assert "without the fault already" in str(caught.value)
    assert "detect: the run goes on for ever: 2000 decisions after the stop" in str(caught.value)


def test_a_queue_that_does_not_drain_in_time_is_named() -> None:
    graph = chain(edge=limen.EdgePolicy.block(64))
    with pytest.raises(AssertionError) as caught:
        drills.slow_node(graph, "detect", cost="2s", drain="5s")
    text = str(caught.value)
    assert text.startswith("slow_node('detect', cost='2s') on graph 'arm': 1 thing is wrong")
    assert "detect.in" in text
    assert "not done within 5 s of simulated time after the stop" in text
    assert drills.slow_node(graph, "detect", cost="2s", drain="10min").count() > 60


def test_a_node_that_keeps_a_view_is_named() -> None:
    class Keeper(limen.ProcessNode):
        def __init__(self) -> None:
            self.seen: list[object] = []

        def process(self, x: One) -> One:
            self.seen = [*self.seen[-3:], x]
            return x * np.float32(1)

    with pytest.raises(AssertionError, match=r"detect: a view of token .* was kept past the call"):
        drills.burst(chain(Keeper()), "camera", count=5)


def test_a_node_that_decides_by_chance_is_named() -> None:
    dice = itertools.cycle([True, False, False])

    class Moody(limen.ProcessNode):
        def process(self, x: One) -> One | None:
            return x * np.float32(1) if next(dice) else None

    with pytest.raises(AssertionError) as caught:
        drills.failing_model(chain(Moody()), "detect", at=2)
    assert "two equal runs decided differently" in str(caught.value)


def test_a_stop_finds_a_node_that_decides_by_chance_as_well() -> None:
    dice = itertools.cycle([True, False, False])

    class Moody(limen.ProcessNode):
        def process(self, x: One) -> One | None:
            return x * np.float32(1) if next(dice) else None

    with pytest.raises(AssertionError, match="decided differently ahead of its stop"):
        drills.stop_in_flight(chain(Moody()))


def test_a_node_that_cannot_stop_is_named() -> None:
    class Stuck(limen.ProcessNode):
        def process(self, x: One) -> One:
            return x * np.float32(1)

        def stop(self) -> None:
            raise OSError("the bus is gone")

    with pytest.raises(AssertionError, match="detect failed to stop: OSError: the bus is gone"):
        drills.stop_in_flight(chain(Stuck()), at_step=3)


def test_a_graph_that_halts_by_itself_is_not_well() -> None:
    @limen.node
    def fails(x: One) -> One:
        raise ValueError("no room")

    graph = chain(fails, policy=limen.NodePolicy(error_action=limen.ErrorAction.HALT_GRAPH))
    with pytest.raises(AssertionError, match="detect: ValueError: no room"):
        drills.slow_node(graph, "detect")


def test_a_standstill_is_named_by_its_edge() -> None:
    def swallows(ctx: object) -> StepResult:
        return StepResult.NO_INPUT

    source = ListSource(numbers(9))
    graph = chain(Stubborn(swallows), limen.EdgePolicy.block(2), source=source)
    with pytest.raises(AssertionError, match=r"came to a standstill"):
        drills.stop_in_flight(graph, at_step=1)


def statistics() -> RunStatistics:
    graph = chain(source=ListSource(numbers(3)), edge=limen.EdgePolicy.block(4))
    graph.replace("motor", CollectingSink())
    return runtime_of(graph).run()


def test_a_run_that_adds_up_has_nothing_wrong() -> None:
    assert wrong_accounting(statistics()) == []


def test_a_slot_that_leaks_is_named() -> None:
    seen = statistics()
    leaks = dataclasses.replace(seen.outputs[1], available=seen.outputs[1].capacity - 2)
    found = wrong_accounting(dataclasses.replace(seen, outputs=(seen.outputs[0], leaks)))
    assert found == [
        f"detect.out: 2 of {leaks.capacity} slots are in use after the end; all must be free"
    ]


def test_an_identity_that_does_not_close_is_named() -> None:
    seen = statistics()
    wrong = dataclasses.replace(seen.identities[0], text="offered 3 = pushed 2", closes=False)
    found = wrong_accounting(dataclasses.replace(seen, identities=(wrong,)))
    assert found[0].startswith("camera.out -> detect.in: offered 3 = pushed 2 does not add up")


def test_a_queue_beyond_its_cap_is_named() -> None:
    seen = statistics()
    full = dataclasses.replace(seen.edges[0], peak=5)
    found = wrong_accounting(dataclasses.replace(seen, edges=(full, seen.edges[1])))
    assert found == ["camera.out -> detect.in: 5 messages in the queue at once; its cap is 4"]


def test_a_queue_beyond_its_cap_of_bytes_is_named() -> None:
    caps = limen.QueueCaps(9, max_bytes="8B")
    graph = chain(source=ListSource(numbers(3)), edge=limen.EdgePolicy(caps))
    watch = ByteWatch(limen.check(graph))
    name = "camera.out -> detect.in"
    watch.push_event(EdgeSnapshot(5, name, 2, 8, 0, 0, "below_soft"))
    assert watch.found == {}
    watch.push_event(EdgeSnapshot(5, name, 3, 12, 0, 0, "below_soft"))
    assert watch.found == {name: f"{name}: 12 B in the queue at 5 ns; its cap is 8 B"}


# What a test expects.


def test_a_queue_that_grows_old_is_named_with_who_waited() -> None:
    graph = chain(edge=limen.EdgePolicy.drop_oldest(16))
    with pytest.raises(AssertionError) as caught:
        drills.slow_node(graph, "detect", cost="300ms", max_age="500ms")
    text = str(caught.value)
    assert "motor: " in text
    assert "results are older than 500 ms" in text
    assert "longest they waited ahead of detect" in text


def test_the_largest_age_may_be_said_by_sink() -> None:
    drills.slow_node(two_sources(), "left", cost="100ms", max_age={"sink": "20s"}, drain="10min")
    with pytest.raises(AssertionError, match=r"log: .* are older than 1 ms"):
        drills.slow_node(two_sources(), "left", cost="100ms", max_age={"log": "1ms"}, drain="1h")


def test_a_join_behind_a_frozen_source_that_grows_old_is_named() -> None:
    class Join(limen.ProcessNode):
        def process(self, a: One, b: One) -> One:
            return a + b

    graph = limen.Graph("pair").add("camera", Camera()).add("imu", Camera())
    graph.add("pair_up", Join()).add("motor", Motor())
    graph.connect("camera", "pair_up.a").connect("imu", "pair_up.b").connect("pair_up", "motor")
    with pytest.raises(AssertionError, match=r"motor: .* results are older than 100 ms"):
        drills.frozen_source(graph, "imu", after=5, thaw="500ms", max_age="100ms")


def test_a_burst_that_costs_messages_is_named_by_its_edge() -> None:
    with pytest.raises(AssertionError) as caught:
        drills.burst(chain(), "camera", count=5, loses_nothing=True)
    assert "camera.out -> detect.in: " in str(caught.value)
    assert "evicted (capacity); expected to be lost: nothing" in str(caught.value)


def test_losses_that_do_not_come_are_missed() -> None:
    with pytest.raises(AssertionError, match="nothing is lost; expected to be lost: capacity"):
        drills.burst(chain(edge=limen.EdgePolicy.block(64)), "camera", count=2, loses="capacity")


class Grid(Camera):
    """A source that keeps to a grid from its start on, whatever the clock does meanwhile."""

    def prepare(self) -> None:
        pass

    def open(self, clock: object, now: int) -> None:
        self.number = 0

    def next_due(self) -> int:
        return self.number * 20 * MS

    def try_produce(self, now: int) -> limen.Produced:
        due = self.next_due()
        self.number += 1
        return limen.Produced(np.zeros(1, np.float32), creation_tick=due)


def test_a_source_that_catches_up_with_a_leap_is_found_by_the_ages_of_what_it_makes() -> None:
    graph = chain(edge=limen.EdgePolicy.block(64))
    options = {"feeds": {"camera": Grid()}, "duration": "2s", "max_age": "100ms"}
    with pytest.raises(AssertionError, match=r"motor: .* results are older than 100 ms"):
        drills.clock_jump(graph, by="10s", **options)


def test_results_that_are_late_behind_a_full_queue_are_named() -> None:
    graph = chain(edge=limen.EdgePolicy.block(32))
    with pytest.raises(AssertionError, match=r"full_queue.*\n.*motor: .*older than 100 ms"):
        drills.full_queue(graph, "camera -> detect", max_age="100ms")


def test_a_run_that_ends_otherwise_than_expected_is_named() -> None:
    graph = chain(policy=limen.NodePolicy(error_action=limen.ErrorAction.HALT_GRAPH))
    with pytest.raises(AssertionError, match=r"it ended halted .*ends='stopped' is expected"):
        drills.failing_model(graph, "detect", at=3, ends="stopped")


def test_nan_that_reaches_a_sink_is_named() -> None:
    with pytest.raises(AssertionError, match="motor: 2 of 50 results hold NaN"):
        drills.corrupt_message(chain(), "camera", "nan", at=[3, 4], duration="1s", finite=True)


def test_a_stop_that_costs_messages_names_the_decision() -> None:
    graph = chain(policy=limen.NodePolicy(sim_cost="300ms"))
    with pytest.raises(AssertionError, match=r"stopped ahead of decision \d+, 1 thing is wrong"):
        drills.stop_in_flight(graph, loses_nothing=True)


def test_a_sink_that_loses_is_named_where_it_runs_itself() -> None:
    class Flaky(limen.Sink):
        def __init__(self) -> None:
            self.count = 0

        def consume(self, message: Message, now: int) -> None:
            self.count += 1
            if self.count % 3 == 0:
                raise OSError("disk full")

    graph = chain().replace("motor", Flaky())
    assert drills.burst(graph, "camera", count=1, may_lose=("capacity",)).errors() == 0
    with pytest.raises(AssertionError, match=r"motor\.in: \d+ dropped \(error\)"):
        drills.burst(graph, "camera", count=1, may_lose="capacity", own_sinks=["motor"])


# What stands in for devices.


def test_a_graph_is_left_as_it_was() -> None:
    class Counts(limen.ProcessNode):
        def __init__(self) -> None:
            self.calls = 0

        def process(self, x: One) -> One:
            self.calls += 1
            return x * np.float32(1)

    camera, counts = Camera(), Counts()
    graph = chain(counts, source=camera)
    before = graph.spec()
    report = drills.slow_node(graph, "detect")
    assert graph.spec() == before
    assert (camera.opened, counts.calls) == (0, 0)
    assert report.count() > 0


def test_nodes_that_share_a_part_share_it_in_a_drill() -> None:
    class Adds(limen.ProcessNode):
        def __init__(self, total: list[int]) -> None:
            self.total = total

        def process(self, x: One) -> One:
            self.total.append(1)
            return np.full(1, len(self.total), np.float32)

    total: list[int] = []
    graph = limen.Graph("shared").add("camera", Camera()).add("a", Adds(total))
    graph.add("b", Adds(total)).add("motor", Motor()).chain("camera", "a", "b", "motor")
    report = drills.slow_node(graph, "b", cost="1ms", duration="60ms")
    assert [float(x[0]) for x in report.payloads("motor")] == [2, 4, 6]
    assert total == []


def test_a_source_is_fed_with_payloads_a_source_a_rate_or_a_period() -> None:
    feeds = {
        "list": [np.full(1, n, np.float32) for n in range(4)],
        "array": np.arange(4, dtype=np.float32).reshape(4, 1),
        "source": limen.io.Ramp(50, count=4),
        "rate": 4,
        "period": "250ms",
    }
    seen = {}
    for name, feed in feeds.items():
        report = drills.slow_node(
            chain(), "detect", cost="1ms", feeds={"camera": feed}, duration="1s"
        )
        seen[name] = (report.count(), report.outcome)
    assert seen == {
        "list": (4, "completed"),
        "array": (4, "completed"),
        "source": (4, "completed"),
        "rate": (4, "stopped"),
        "period": (4, "stopped"),
    }


def test_a_feed_may_say_what_headers_hold_and_raise() -> None:
    urgent = limen.Produced(np.zeros(1, np.float32), deadline_ns=0)
    feed = drills.Feed([urgent, SensorError("torn"), urgent], rate_hz=10, spec=SPEC)
    report = drills.slow_node(chain(), "detect", cost="1ms", feeds={"camera": feed})
    assert report.node("motor").deadline_misses == 2
    assert report.errors("camera") == 1


def test_payloads_made_of_a_spec_depend_on_the_seed_alone() -> None:
    def payloads(seed: int) -> list[float]:
        report = drills.slow_node(chain(), "detect", cost="1ms", seed=seed, duration="100ms")
        return [float(x[0]) for x in report.payloads("motor")]

    assert payloads(1) == payloads(1) != payloads(2)
    assert len(set(payloads(1))) == 5


def test_a_source_that_cannot_say_what_it_makes_has_to_be_fed() -> None:
    class Unknown(Camera):
        def spec(self) -> limen.TensorSpec:
            raise SensorError("ask the device")

    graph = chain(source=Unknown())
    with pytest.raises(ConfigurationError, match=r"pass feeds=\{'camera': \[payload, …\]\}"):
        drills.slow_node(graph, "detect")
    feed = [np.zeros(1, np.float32)]
    assert drills.slow_node(graph, "detect", feeds={"camera": feed}).count() == 1


def test_an_object_without_an_example_has_to_be_fed() -> None:
    class Frame:
        pass

    class Frames(Camera):
        def spec(self) -> limen.ObjectSpec:
            return limen.ObjectSpec(Frame)

    graph = limen.Graph("frames").add("camera", Frames()).add("motor", Motor())
    graph.connect("camera", "motor")
    with pytest.raises(ConfigurationError, match=r"source 'camera': no example of .*Frame"):
        drills.slow_node(graph, "motor")
    assert drills.slow_node(graph, "motor", feeds={"camera": [Frame()]}).count() == 1


def test_a_graph_file_can_be_drilled(tmp_path: Path) -> None:
    path = tmp_path / "graph.toml"
    path.write_text(
        'limen = 1\nname = "file"\n[nodes.imu]\ntype = "ramp"\nrate_hz = 50\n'
        '[nodes.out]\ntype = "json_lines"\n[[edges]]\nfrom = "imu"\nto = "out"\n'
    )
    report = drills.slow_node(path, "out", cost="1ms", duration="1s")
    assert report.count("out") == 50
    assert drills.burst(str(path), "imu", count=1, duration="1s").count() == 51


# Hasty users.


@pytest.mark.parametrize(
    ("drill", "said"),
    [
        (lambda g: drills.slow_node(g, "detct"), "no node 'detct' .* did you mean 'detect'"),
        (lambda g: drills.slow_node(g, "camera"), "'camera' is a source; name one of its nodes"),
        (lambda g: drills.burst(g, "detect"), "'detect' is a process; name one of its sources"),
        (lambda g: drills.frozen_source(g, "camra"), "no source 'camra' .* did you mean 'camera'"),
        (lambda g: drills.full_queue(g, "camera -> detct"), "no edge .* did you mean 'camera.out"),
        (lambda g: drills.full_queue(g, "camera"), "no edge 'camera'"),
        (lambda g: drills.slow_node(g, "detect", cost="-3ms"), "cost is '-3ms'; give a duration"),
        (lambda g: drills.slow_node(g, "detect", cost=300), "cost is 300; write it as in"),
        (lambda g: drills.slow_node(g, "detect", cost="0ms"), "give a duration above 0"),
        (lambda g: drills.slow_node(g, "detect", max_ago="1s"), "did you mean 'max_age'"),
        (lambda g: drills.slow_node(g, "detect", max_age=5), "max_age is 5; write it"),
        (lambda g: drills.slow_node(g, "detect", max_age={"moter": "1s"}), "did you mean 'motor'"),
        (lambda g: drills.slow_node(g, "detect", ends="done"), "ends is 'done'; known"),
        (lambda g: drills.slow_node(g, "detect", feeds={"cam": 3}), "did you mean 'camera'"),
        (lambda g: drills.slow_node(g, "detect", feeds={"camera": 0}), "is 0; give messages"),
        (lambda g: drills.slow_node(g, "detect", feeds={"camera": {}}), "give a list of payloads"),
        (
            lambda g: drills.slow_node(g, "detect", feeds={"camera": [X1, [1, 2]]}),
            r"the feed of 'camera': payload 1 is list; it produces f32\[1\]",
        ),
        (lambda g: drills.slow_node(g, "detect", feeds={"camera": True}), "is True; give a list"),
        (lambda g: drills.slow_node(g, "detect", feeds=[1]), "feeds is .*; write feeds="),
        (lambda g: drills.slow_node(g, "detect", own_sinks="motor"), r"own_sinks=\(\"name\",\)"),
        (lambda g: drills.slow_node(g, "detect", own_sinks=["moter"]), "did you mean 'motor'"),
        (lambda g: drills.slow_node(g, "detect", loses_nothing=1), "loses_nothing is 1; write"),
        (
            lambda g: drills.slow_node(g, "detect", loses="stale", loses_nothing=True),
            "leave one of them out",
        ),
        (lambda g: drills.slow_node(3, "detect"), "the graph is a int; give a limen.Graph"),
        (lambda g: drills.slow_node(g, "detect", feeds={"camera": []}), "was never called"),
        (lambda g: drills.burst(g, "camera", count=0), "count is 0"),
        (lambda g: drills.burst(g, "camera", at="1h"), "give an earlier at="),
        (lambda g: drills.burst(g, "camera", at="-1s"), "give an instant after the start"),
        (lambda g: drills.frozen_source(g, "camera", after=9999), "never froze"),
        (lambda g: drills.clock_jump(g, by="-1h"), "never goes back .*name the source="),
        (lambda g: drills.clock_jump(g, by="0s"), "give a leap"),
        (lambda g: drills.clock_jump(g, at="1h"), "before the leap at 3600 s"),
        (lambda g: drills.clock_jump(g, at="1h", source="camera"), "stated no instant"),
        (lambda g: drills.failing_model(g, "detect"), "neither at nor every"),
        (lambda g: drills.failing_model(g, "detect", at=1, every=2), "both at and every"),
        (lambda g: drills.failing_model(g, "detect", at=[]), "no number"),
        (lambda g: drills.failing_model(g, "detect", at="3"), "at is '3'"),
        (lambda g: drills.failing_model(g, "detect", at=9999), "call 9999 is the first to fail"),
        (lambda g: drills.failing_model(g, "detect", at=1, error=OSError), "give an exception"),
        (lambda g: drills.corrupt_message(g, "camera", "nann", at=1), "did you mean 'nan'"),
        (lambda g: drills.corrupt_message(g, "camera", at=9999), "message 9999 is the first"),
        (lambda g: drills.corrupt_message(g, "motor", at=1), "no source, node with outputs"),
        (lambda g: drills.corrupt_message(g, "detect", "unreadable", at=1), "is no source"),
        (lambda g: drills.stop_in_flight(g, duration="10s"), "too long to be stopped at each"),
        (lambda g: drills.stop_in_flight(g, at_step=10_000), "at_step is 10000, and the run has"),
        (lambda g: drills.stop_in_flight(g, at_step=1, after="1s"), "both at_step and after"),
    ],
)
def test_a_mistake_is_answered_with_what_would_be_right(
    drill: Callable[[limen.Graph], object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        drill(chain())


def test_a_graph_that_does_not_verify_is_refused_as_by_check() -> None:
    graph = chain().add("alone", twice)
    with pytest.raises(GraphError, match="input is not connected"):
        drills.slow_node(graph, "detect")


def test_a_mailbox_is_never_full() -> None:
    graph = chain(edge=limen.EdgePolicy.mailbox_latest())
    with pytest.raises(ConfigurationError, match="is a mailbox, which is never full"):
        drills.full_queue(graph, "camera -> detect")


def test_a_queue_that_too_little_comes_for_never_fills() -> None:
    graph = chain(source=limen.io.Ramp(50, count=3), edge=limen.EdgePolicy.block(8))
    with pytest.raises(ConfigurationError, match="was never full: 3 of 8 messages at most"):
        drills.full_queue(graph, "camera -> detect")


def test_an_edge_that_may_be_any_of_several_is_asked_for_by_its_ports() -> None:
    class Join(limen.ProcessNode):
        def process(self, a: One, b: One) -> One:
            return a + b

    graph = limen.Graph("pair").add("camera", Camera()).add("both", Join()).add("motor", Motor())
    graph.connect("camera", "both.a").connect("camera", "both.b").connect("both", "motor")
    with pytest.raises(ConfigurationError, match="may be any of 2; name ports as well"):
        drills.full_queue(graph, "camera -> both")
    assert drills.full_queue(graph, "camera -> both.b").statistics.edges[1].peak == 64


def test_a_report_answers_for_names_that_it_knows() -> None:
    report = drills.slow_node(chain(), "detect", cost="1ms", duration="100ms")
    for ask in (report.payloads, report.largest_age_ns, report.node):
        with pytest.raises(ConfigurationError, match=r"no (sink|node) 'moter'"):
            ask("moter")
    assert str(report).startswith("slow_node('detect', cost='1ms'): stopped")


@pytest.mark.parametrize(
    ("payload", "finite"),
    [
        (1.0, True),
        (float("inf"), False),
        (np.array([1, 2]), True),
        (np.array([1.0, np.nan]), False),
        ({"x": [1.0, float("nan")]}, False),
        (("text", 3), True),
    ],
)
def test_what_is_not_finite_is_seen_inside_containers(payload: object, finite: bool) -> None:
    assert is_finite(payload) is finite


def test_the_page_lists_all_options_drills_and_corruptions() -> None:
    page = (Path(__file__).parents[1] / "docs" / "drills.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| ((?:`[^`]+` ?)+)\|", page, re.MULTILINE)
    words = [word for cell in cells for word in re.findall(r"`(\w+)", cell)]
    options = set(drills.DrillOptions.__annotations__)
    functions = {name for name in drills.__all__ if name[0].islower()}
    fields = {field.name for field in dataclasses.fields(drills.DrillReport)} - {"drill"}
    assert options | functions | fields | set(drills.CORRUPTIONS) <= set(words)
