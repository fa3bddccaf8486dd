"""What a graph runs as: how that is chosen, and that it makes no difference but in speed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import limen
from limen.app import load, make_runtime
from limen.codegen import ProgramRuntime, PythonTurns, find_target, why_not
from limen.codegen._native_turns import NativeTurns
from limen.errors import ConfigurationError, GraphError, LimenError
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import MonotonicClock, PlatformClock, SimClock
from limen.runtime import SingleThreadRuntime
from limen.testing.drawn import StoppingClock
from limen.types import ObjectSpec, PayloadSpec, Ticks
from target_graphs import GRAPH, LIMEN, assert_refused, line_of, run_file, write_graph

NATIVE = pytest.param(
    "native", marks=pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
)
TARGETS = ["reference", "python", NATIVE]


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, native_cache: Path) -> None:
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(native_cache))


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    return write_graph(tmp_path)


class Numbers(limen.Source):
    """Counts, for ever where no end is given."""

    pausable = True

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.made = 0
        self.closed = 0

    def spec(self) -> PayloadSpec:
        return ObjectSpec(int)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self.made == self.count:
            return SourceSignal.END_OF_STREAM
        self.made += 1
        return Produced(self.made)

    def close(self) -> None:
        self.closed += 1


class Counted(limen.Sink):
    """Counts what arrives, and tells when enough has."""

    def __init__(self, enough: int = 100) -> None:
        self.count = 0
        self.closed = 0
        self.enough = enough
        self.has_enough = threading.Event()

    def consume(self, message: Message, now: Ticks) -> None:
        self.count += 1
        if self.count == self.enough:
            self.has_enough.set()

    def close(self) -> None:
        self.closed += 1


def same(x: int) -> int:
    return x


def interrupted(x: int) -> int:
    if x == 20:
        raise KeyboardInterrupt
    return x


def signalled(x: int) -> int:
    if x == 20:
        signal.raise_signal(signal.SIGINT)
    return x


def numbers(
    function: object = same, count: int | None = None, target: str | None = None
) -> tuple[limen.Graph, Numbers, Counted]:
    source, sink = Numbers(count), Counted()
    graph = limen.Graph("numbers", target=target)
    graph.add("source", source, limen.NodePolicy(sim_cost="1ms"))
    graph.add("same", limen.node(function), limen.NodePolicy(sim_cost="2ms"))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="3ms"))
    graph.chain("source", "same", "sink", policy=limen.EdgePolicy.block(4))
    return graph, source, sink


def target_of(runtime: SingleThreadRuntime) -> str:
    if not isinstance(runtime, ProgramRuntime):
        return "reference"
    return {PythonTurns: "python", NativeTurns: "native"}[type(runtime._turns)]


def assert_took_turns(runtime: SingleThreadRuntime) -> None:
    assert not isinstance(runtime, ProgramRuntime) or runtime.turns_taken > 50


# How it is chosen.


@pytest.mark.parametrize("target", TARGETS)
def test_a_graph_says_what_it_runs_as(target: str) -> None:
    assert target_of(make_runtime(numbers(target=target)[0])) == target


@pytest.mark.parametrize("target", TARGETS)
def test_who_makes_a_runtime_overrules_the_graph(target: str) -> None:
    for own in ("reference", "python"):
        assert target_of(make_runtime(numbers(target=own)[0], target=target)) == target


def test_a_runtime_that_nobody_chose_for_is_generated_python() -> None:
    assert target_of(make_runtime(numbers()[0])) == "python"


def test_auto_is_native_where_that_can_be_built() -> None:
    wanted = "python" if why_not() else "native"
    assert target_of(make_runtime(numbers()[0], target="auto")) == wanted


@pytest.mark.parametrize("target", TARGETS)
def test_run_takes_a_target_as_well(target: str) -> None:
    graph, _, sink = numbers(count=60)
    assert limen.run(graph, target=target).statistics.outcome == "completed"
    assert sink.count == 60


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_says_what_it_runs_as(
    target: str, graph_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(graph_file.parent))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    graph_file.write_text(GRAPH.replace("[runtime]", f'[runtime]\ntarget = "{target}"'))
    graph = load(graph_file, allow_import=True)
    assert graph.target == target
    assert target_of(make_runtime(graph)) == target


@pytest.mark.parametrize("name", ["pyhton", "Python", "", "c", "NATIVE", " python"])
def test_a_target_that_there_is_not_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no target") as refused:
        find_target(name)
    assert repr(name) in str(refused.value)
    assert "choose one of auto, reference, python, native" in str(refused.value)


def test_a_target_of_a_graph_is_verified_with_the_graph() -> None:
    graph, _, _ = numbers(target="pyhton")
    with pytest.raises(GraphError, match="unknown target 'pyhton'") as no:
        make_runtime(graph)
    assert "python" in str(no.value)


@pytest.mark.parametrize("target", [3, b"python", ["python"]])
def test_a_target_that_is_no_text_is_refused_at_once(target: object) -> None:
    with pytest.raises(LimenError, match="target") as refused:
        limen.Graph("numbers", target=target)  # type: ignore[arg-type] # what the test is about
    assert 'write "auto", "python"' in str(refused.value)


@pytest.mark.parametrize("value", ['"pyhton"', "3", "[]", "{}", '""', "true"])
def test_a_target_in_a_file_that_there_is_not_is_refused_with_its_place(
    graph_file: Path, value: str
) -> None:
    graph_file.write_text(GRAPH.replace("[runtime]", f"[runtime]\ntarget = {value}"))
    done = run_file(graph_file)
    assert_refused(done, "graph 'numbers'", "runtime.target", "unknown target")
    if value == '"pyhton"':
        assert "python" in done.stderr.replace("pyhton", "")


def test_a_target_on_the_command_line_that_there_is_not_is_refused(graph_file: Path) -> None:
    done = run_file(graph_file, "--target", "pyhton")
    assert_refused(done, "there is no target 'pyhton'", "auto, reference, python, native")


# That it makes no difference.


def test_a_simulated_run_prints_the_same_bytes_on_every_target(graph_file: Path) -> None:
    names = ["reference", "python", "auto"] + ([] if why_not() else ["native"])
    done = [run_file(graph_file, "--sim", "--target", name) for name in names]
    assert [one.returncode for one in done] == [0] * len(names)
    assert {one.stdout for one in done} == {done[0].stdout}
    assert {one.stderr for one in done} == {done[0].stderr}
    assert len(done[0].stdout.splitlines()) > 20


def test_a_simulated_run_reports_the_same_json_on_every_target(graph_file: Path) -> None:
    names = ["reference", "python"] + ([] if why_not() else ["native"])
    done = [run_file(graph_file, "--sim", "--json", "--target", name) for name in names]
    assert {one.stdout for one in done} == {done[0].stdout}
    assert json.loads(done[0].stdout.splitlines()[-1])["outcome"] == "completed"


@pytest.mark.parametrize("target", TARGETS)
def test_an_error_shows_the_users_line_and_the_nodes_name(graph_file: Path, target: str) -> None:
    done = run_file(graph_file, "--target", target)
    place, moment = line_of("is not to my taste"), line_of("a bad moment")
    assert done.returncode == 0
    assert f"node picky: ValueError: 3 is not to my taste (mine.py:{place})" in done.stderr
    assert f"error in picky: ValueError: 3 is not to my taste (mine.py:{place})" in done.stderr
    assert f"error in source: RuntimeError: a bad moment (mine.py:{moment})" in done.stderr
    assert "(message 2 of source)" in done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_time_is_the_simulated_clocks_own(target: str) -> None:
    graph, _, sink = numbers(count=60)
    clock = SimClock()
    runtime = make_runtime(graph, clock, target=target)
    statistics = runtime.run()
    assert_took_turns(runtime)
    # The call that finds the source at its end costs as much as the others.
    assert statistics.duration_ns == (60 * (1 + 2 + 3) + 1) * 1_000_000
    assert clock.now_ticks() == statistics.duration_ns
    assert sink.count == 60
    assert [node.latency.min_ns for node in statistics.nodes] == [1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize("target", TARGETS)
def test_a_report_is_the_same_on_every_target(target: str) -> None:
    reports = [
        limen.run(numbers(count=90)[0], clock=SimClock(), target=one)
        for one in ("reference", target)
    ]
    assert str(reports[1]) == str(reports[0])
    assert reports[1].to_json() == reports[0].to_json()


# Ends.


@pytest.mark.parametrize("target", TARGETS)
def test_a_stop_is_heard_while_turns_are_taken(target: str) -> None:
    graph, source, sink = numbers()
    runtime = make_runtime(graph, target=target)

    def stop() -> None:
        assert sink.has_enough.wait(60)
        runtime.stop_handle.request_stop()

    thread = threading.Thread(target=stop)
    thread.start()
    statistics = runtime.run()
    thread.join(60)
    assert_took_turns(runtime)
    assert statistics.outcome == "stopped"
    assert statistics.closes
    assert sink.count == source.made >= 100, "what was under way arrives"
    assert (source.closed, sink.closed) == (1, 1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_stop_at_an_instant_is_heard_at_that_instant(target: str) -> None:
    counts = []
    for one in ("reference", target):
        graph, source, sink = numbers()
        clock = StoppingClock(1_000_000_000, tick_rate_hz=1_000_000_000)
        runtime = make_runtime(graph, clock, target=one)
        clock.handle = runtime.stop_handle
        assert runtime.run().outcome == "stopped"
        assert_took_turns(runtime)
        counts.append((source.made, sink.count, clock.instant))
    assert counts[0] == counts[1]
    assert counts[0][0] == counts[0][1] > 100


@pytest.fixture(params=[MonotonicClock, SimClock], ids=lambda kind: kind.__name__)
def clock(request: pytest.FixtureRequest) -> PlatformClock:
    made: PlatformClock = request.param()
    return made


@pytest.mark.parametrize("function", [interrupted, signalled], ids=lambda f: f.__name__)
@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupt_leaves_the_run_and_everything_is_accounted_for(
    target: str, function: object, clock: PlatformClock
) -> None:
    graph, source, sink = numbers(function, count=10_000)
    runtime = make_runtime(graph, clock, target=target)
    # A process in the background may have been started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            runtime.run()
    finally:
        signal.signal(signal.SIGINT, before)
    statistics = runtime.statistics()
    assert statistics.closes
    assert (source.closed, sink.closed) == (1, 1)
    assert sum(statistics.inputs[0].dropped.values()) >= 1, "what it was given is given up"


@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupt_that_run_is_left_by_closes_everything(target: str) -> None:
    graph, source, sink = numbers(interrupted)
    with pytest.raises(KeyboardInterrupt):
        limen.run(graph, target=target)
    assert (source.closed, sink.closed) == (1, 1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("target", TARGETS)
def test_a_signal_drains_a_run_whatever_it_runs_as(
    graph_file: Path, target: str, number: signal.Signals, code: int
) -> None:
    text = GRAPH.replace("mine:Lines", "mine:Nowhere").replace(
        '"mine:Numbers"', '"mine:Numbers"\ncount = -1'
    )
    graph_file.write_text(text.replace("drop_oldest", "block"))
    arguments = ["run", str(graph_file), "--allow-import", "--target", target]
    with subprocess.Popen(
        [*LIMEN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        bound = threading.Timer(120, process.kill)
        bound.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, err = process.communicate()
        bound.cancel()
    assert process.returncode == code
    assert "Traceback" not in err
    assert "accounting: all 10 identities close" in err
