"""The robot example shows what its page says: control keeps its periods whatever the others do."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import limen
from limen.app import Report
from limen.node import SinkNode, SourceNode
from limen.telemetry import Decision, DecisionLog, NodeStatistics, ViolationKind

FOLDER = Path(__file__).parents[1] / "examples" / "robot"
BOUND_S = 60
MS = 1_000_000
LIDAR = "lidar.out -> control.ahead"


@dataclass(frozen=True, slots=True)
class Seen:
    """A simulated run: what it counted, decided and printed, and how far it was stretched."""

    report: Report
    decisions: list[Decision]
    printed: str
    stretch: int

    def node(self, name: str) -> NodeStatistics:
        return next(node for node in self.report.statistics.nodes if node.name == name)

    def of(self, place: str, action: str) -> list[Decision]:
        return [d for d in self.decisions if (d.place, d.action) == (place, action)]

    def at(self, ms: int) -> int:
        return self.stretch * ms * MS


def seen(graph: limen.Graph, stretch: int = 1) -> Seen:
    decisions: list[Decision] = []
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        report = limen.run(graph, clock=limen.SimClock(), log=DecisionLog(decisions.append))
    return Seen(report, decisions, printed.getvalue(), stretch)


@pytest.fixture(scope="module")
def robot() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import robot

        yield robot
        del sys.modules["robot"]


@pytest.fixture(scope="module", params=[1, pytest.param(4, marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, robot: ModuleType) -> Seen:
    """3 s, and 12 s with clutter and silence four times as long."""
    return seen(robot.robot(request.param), request.param)


def test_control_misses_no_deadline_and_no_period(run: Seen) -> None:
    control, motors = run.node("control"), run.node("motors")
    periods = run.at(3000) // MS - 1
    assert control.steps == motors.processed == periods, "all but the one in which it ends"
    assert control.missed_periods == control.overruns == 0
    assert control.deadline_misses == motors.deadline_misses == 0
    assert motors.lateness.count == periods, "each command had a deadline"
    assert control.errors == motors.errors == 0
    assert run.of("control", "liveness") == run.of("imu.out -> control.pose", "liveness") == []


def test_the_motors_get_nothing_older_than_their_contract(run: Seen) -> None:
    statistics = run.report.statistics
    port = next(port for port in statistics.inputs if port.name == "motors.in")
    assert (port.dropped, port.stale) == ({}, 0)
    assert port.max_age_ns == 2 * MS
    assert run.node("motors").age.max_ns <= port.max_age_ns


def test_the_detector_degrades_while_it_overruns_and_recovers_afterwards(run: Seen) -> None:
    switches = run.of("detect", "degrade")
    first, *probes, last = [d.reason for d in switches]
    assert (first, last) == ("variant", "full")
    failed = len(probes) // 2
    assert probes == ["probe", "variant"] * failed + ["probe"]
    assert failed >= 3

    begun, recovered = switches[0], switches[-1]
    assert run.at(500) <= begun.instant < run.at(500) + 33 * MS
    # The wait for a try grows to 128 calls, which are eight frames.
    assert run.at(1500) <= recovered.instant <= run.at(1500) + 9 * 33 * MS

    detect = run.node("detect")
    assert detect.overruns == 2 + failed, "two before it degrades, and each try"
    between = recovered.sequence - begun.sequence - 1
    assert detect.degraded == between - failed, "all calls between, but the tries"
    assert detect.watchdogs == 0
    assert detect.processed > recovered.sequence + 1, "it goes on in full"


def test_the_frozen_sensor_is_reported_within_one_period(run: Seen) -> None:
    pushes = [d.instant for d in run.of(LIDAR, "push")]
    last = max(instant for instant in pushes if instant < run.at(2000))
    [reported] = run.of(LIDAR, "liveness")
    assert last + 40 * MS < reported.instant <= last + 40 * MS + 1 * MS
    back = min(instant for instant in pushes if instant > reported.instant)
    assert run.at(2400) <= back <= run.at(2400) + 2 * MS


def test_control_falls_back_while_the_range_is_stale(run: Seen) -> None:
    [dropped] = run.of(LIDAR, "drop")
    last = max(d.instant for d in run.of(LIDAR, "push") if d.instant < run.at(2000))
    assert dropped.reason == "stale"
    assert last + 60 * MS - MS < dropped.instant <= last + 60 * MS + MS

    reasons = re.findall(r"^ *([\d.]+) s  (.+)$", run.printed, re.MULTILINE)
    [creeps] = [float(seconds) for seconds, why in reasons if why == "creep: no fresh range"]
    assert creeps == pytest.approx(dropped.instant / 1e9, abs=0.15)
    after = [float(seconds) for seconds, _ in reasons if float(seconds) > creeps]
    assert after[0] == pytest.approx(run.at(2400) / 1e9, abs=0.15)


def test_the_report_says_so_in_words(run: Seen) -> None:
    text = str(run.report)
    assert "deadline misses: 0" in text
    for said in (
        r"^  detect: \d+ calls took longer than their budget, first at .+; up to 550 µs$",
        r"^  detect: (\d+ times )?it went over to its cheaper variant, ",
        r"^  detect: \d+ of \d+ calls went to its cheaper variant$",
        rf"^  {LIDAR}: silence went on for too long, at .+; noticed after up to 40 ms$",
        r"^  control.ahead: a message was too old to be used, and dropped, at ",
        r"^  motors.in: age contract of 2 ms: none too old when taken; oldest result ",
        r"^  imu to motors: \d+ results, .+; none late$",
    ):
        assert re.search(said, text, re.MULTILINE), said
    assert {violation.kind for violation in run.report.statistics.violations} == {
        ViolationKind.OVERRUN,
        ViolationKind.DEGRADED,
        ViolationKind.LIVENESS,
        ViolationKind.STALE,
    }


def test_nothing_is_lost_unaccounted_for(run: Seen) -> None:
    statistics = run.report.statistics
    assert statistics.outcome == "completed"
    assert statistics.closes
    lost = {edge.name: edge.evicted | edge.refused for edge in statistics.edges}
    replaced = ("imu.out -> control.pose", "control.out -> log.in")
    assert all(set(lost.pop(edge)) == {"superseded"} for edge in replaced)
    assert not any(lost.values())


def test_two_runs_give_equal_decision_logs(run: Seen, robot: ModuleType) -> None:
    again = seen(robot.robot(run.stretch), run.stretch)
    assert again.report.statistics.log_sha256 == run.report.statistics.log_sha256
    assert again.report.to_json() == run.report.to_json()
    assert again.printed == run.printed


def test_the_file_and_its_builder_give_one_graph(robot: ModuleType) -> None:
    graphs = limen.load(FOLDER / "robot.toml", allow_import=True), robot.robot()
    for graph in graphs:
        limen.check(graph)
    from_file, built = (graph.spec() for graph in graphs)
    assert (from_file.name, from_file.scheduler) == (built.name, built.scheduler)
    assert from_file.edges == built.edges
    for read, made in zip(from_file.nodes, built.nodes, strict=True):
        assert (read.name, read.policy) == (made.name, made.policy)
        for one, other in ((read.node, made.node), (read.variant, made.variant)):
            assert describe(one) == describe(other), read.name


def describe(node: object) -> object:
    component = node
    if isinstance(node, SourceNode):
        component = node.source
    elif isinstance(node, SinkNode):
        component = node.sink
    attributes = getattr(component, "__dict__", {})
    state = {key: value for key, value in attributes.items() if not key.startswith("_")}
    return type(component), state


def test_the_page_shows_what_a_simulated_run_prints(robot: ModuleType) -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    graph = limen.load(FOLDER / "robot.toml", allow_import=True)
    run = seen(graph)
    printed = iter(f"{run.printed}\n{run.report}".splitlines())
    for line in block.splitlines()[1:]:
        assert line in ("", "…") or line in printed, f"{line!r} is printed, in this order"


def test_a_busy_call_takes_its_time_on_either_clock(robot: ModuleType) -> None:
    simulated, real = limen.SimClock(start=5), limen.MonotonicClock()
    robot.take(simulated, 250_000)
    assert simulated.now_ticks() == 250_005
    begun = real.now_ticks()
    robot.take(real, 250_000)
    assert real.now_ticks() - begun >= 250_000


@pytest.mark.slow
def test_a_real_run_comes_to_its_end_and_accounts_for_everything() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(FOLDER / "robot.py")],
        capture_output=True,
        encoding="utf-8",
        timeout=BOUND_S,
    )
    assert run.returncode == 0, run.stderr
    assert "graph robot: completed after" in run.stdout
    assert "identities close" in run.stdout
    assert "do NOT close" not in run.stdout
