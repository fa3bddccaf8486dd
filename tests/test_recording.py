"""A recorded run, fed back, decides alike; what was decided can be written and read."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path

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
    numbers,
)
from limen import Activation, Batching, EdgePolicy, Graph, NodePolicy, SimClock
from limen.app import Recorder, load, replay
from limen.cli import main
from limen.cli._log import describe
from limen.errors import SensorError
from limen.message import Message
from limen.node import (
    Node,
    NodeKind,
    NodePorts,
    Port,
    Skip,
    SourceSignal,
    StepContext,
    StepResult,
)
from limen.platform import MonotonicClock
from limen.telemetry import Decision, DecisionLog

ACTIVITY = Path(__file__).parents[1] / "examples" / "activity" / "activity.toml"


@limen.node
def either(left: Cell | None, right: Cell | None) -> Cell:
    return left if left is not None else right


def rich(every_ns: int = MS) -> Graph:
    """Return a graph whose nodes do something else each time it is made and run."""
    dice = random.Random()
    items: list[object] = []
    for payload in numbers(40):
        if dice.random() < 0.1:
            items.append(SensorError("as drawn"))
        items.append(payload)

    def moody(message: Message) -> object:
        if dice.random() < 0.2:
            raise ValueError("as drawn")
        return Skip() if dice.random() < 0.2 else limen.Output(message.payload)

    graph = Graph("rich").add("a", ListSource(items, every_ns=every_ns))
    graph.add("b", ListSource([SourceSignal.NOTHING_NOW, *numbers(9)]))
    graph.add("moody", Doing(moody), NodePolicy(sim_cost=f"{2 * every_ns}ns"))
    graph.add("model", BatchNode(), NodePolicy(batching=Batching.fixed_and_delta_t(3, "2ms")))
    graph.add("either", either, NodePolicy(activation=Activation.ANY, deadline="1ns"))
    graph.add("sink", CollectingSink()).add("side", CollectingSink())
    graph.connect("a", "moody", EdgePolicy.drop_oldest(2)).connect("a", "side")
    graph.connect("moody", "model").connect("model", "either.left")
    return graph.connect("b", "either.right").connect("either", "sink")


@pytest.mark.parametrize(
    "clock", [SimClock(), MonotonicClock(), SimClock(1000)], ids=["simulated", "real", "coarse"]
)
def test_a_recorded_run_fed_back_gives_the_same_log(clock: limen.SimClock) -> None:
    first, second = DecisionLog(), DecisionLog()
    recorder = Recorder(rich(), clock, first)
    report = recorder.run()
    again = replay(recorder.recording, second)
    assert first.count > 100
    assert second.sha256 == first.sha256
    assert again.statistics.edges == report.statistics.edges
    assert [n.errors for n in again.statistics.nodes] == [n.errors for n in report.statistics.nodes]


def test_the_nodes_of_a_replay_are_not_called() -> None:
    worker = Twice()
    graph = Graph("calls").add("source", ListSource(numbers(5))).add("worker", worker)
    graph.add("sink", CollectingSink()).chain("source", "worker", "sink")
    recorder = Recorder(graph, SimClock())
    recorder.run()
    replay(recorder.recording)
    assert len(worker.calls) == 5


def test_a_stop_is_replayed_where_it_was_seen() -> None:
    first, second = DecisionLog(), DecisionLog()
    source = ListSource(numbers(10_000), every_ns=MS)
    graph = Graph("stop").add("source", source).add("sink", CollectingSink())
    recorder = Recorder(graph.connect("source", "sink"), MonotonicClock(), first)
    timer = threading.Timer(0.02, recorder.runtime.stop_handle.request_stop)
    timer.start()
    recorder.run()
    timer.join()
    assert recorder.recording.stopped_at is not None
    assert replay(recorder.recording, second).statistics.outcome == "stopped"
    assert second.sha256 == first.sha256


def test_a_model_run_is_replayed_without_its_model() -> None:
    first, second = DecisionLog(), DecisionLog()
    graph = load(ACTIVITY)
    limen.app.set_speed(graph, 200)
    graph.replace("print", CollectingSink())
    recorder = Recorder(graph, SimClock(), first)
    recorder.run()
    replay(recorder.recording, second)
    assert second.sha256 == first.sha256


def test_a_replay_that_departs_from_its_recording_says_so() -> None:
    graph = Graph("short").add("source", ListSource(numbers(5))).add("sink", CollectingSink())
    recorder = Recorder(graph.connect("source", "sink"), SimClock())
    recorder.run()
    del recorder.recording.instants[-3:]
    with pytest.raises(limen.LimenError, match="what the recording does not hold"):
        replay(recorder.recording)


class Undecided(CollectingSink):
    inputs = ("x", "y")

    def select_input(self, ready: object) -> str:
        raise ValueError("cannot say")


class Sulking(ListSource):
    def resumed(self, now: int) -> None:
        raise ValueError("was held back")


class Idle(Node):
    """Takes nothing, and returns what is no result of a step."""

    kind = NodeKind.SINK
    input_names = ("in",)
    output_names = ()

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), ())

    def step(self, ctx: StepContext) -> StepResult:
        return None  # type: ignore[return-value] # that is the mistake


def undecided() -> Graph:
    graph = Graph("undecided").add("a", ListSource(numbers(2))).add("b", ListSource(numbers(1)))
    graph.add("sink", Undecided())
    return graph.connect("a", "sink.x").connect("b", "sink.y")


def sulking() -> Graph:
    graph = Graph("sulking").add("source", Sulking(numbers(8), every_ns=MS))
    graph.add("sink", CollectingSink(), NodePolicy(sim_cost="5ms"))
    return graph.connect("source", "sink", EdgePolicy.block(1))


def idle() -> Graph:
    graph = Graph("idle").add("source", ListSource(numbers(2), every_ns=MS)).add("sink", Idle())
    return graph.connect("source", "sink", EdgePolicy.block(4))


@pytest.mark.parametrize("make", [undecided, sulking, idle])
def test_what_fails_outside_of_calls_fails_again(make: Callable[[], Graph]) -> None:
    lines: list[str] = []
    again: list[str] = []
    recorder = Recorder(make(), SimClock(), DecisionLog(lambda d: lines.append(d.canonical())))
    report = recorder.run()
    assert sum(node.errors for node in report.statistics.nodes) > 0
    replay(recorder.recording, DecisionLog(lambda d: again.append(d.canonical())))
    assert again == lines


def test_decisions_are_read_back_from_their_lines() -> None:
    lines: list[str] = []
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    limen.run(rich(), clock=SimClock(), log=log)
    assert len(lines) == log.count
    assert [Decision.parse(line).canonical() for line in lines] == lines
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == log.sha256


def test_a_listener_that_raises_is_told_no_more_and_the_run_goes_on() -> None:
    told: list[Decision] = []

    def listen(decision: Decision) -> None:
        told.append(decision)
        if len(told) == 3:
            raise OSError("no space")

    log = DecisionLog(listen)
    report = limen.run(rich(), clock=SimClock(), log=log)
    assert report.statistics.outcome == "completed"
    assert len(told) == 3
    assert log.count > 3
    assert str(log.failure) == "no space"


def test_no_log_is_kept_unless_one_is_given() -> None:
    assert limen.run(rich(), clock=SimClock()).statistics.log_sha256 is None


def test_a_decision_reads_as_a_line_for_people() -> None:
    decision = Decision(2_500_000, 7, "a.out -> b.in", "evict", 12, "capacity")
    text = describe(decision, lambda ticks: ticks)
    assert text == "      2.5 ms  step 7      a.out -> b.in: evict #12 (capacity)\n"


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["limen", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_the_command_line_writes_both_forms_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people, exact = tmp_path / "decisions.txt", tmp_path / "decisions.log"
    words = ["run", str(ACTIVITY), "--sim", "--json", "--speed", "max"]
    code = command(monkeypatch, *words, "--log", str(people), "--log-bytes", str(exact))
    assert code in (0, None)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["log_sha256"] == hashlib.sha256(exact.read_bytes()).hexdigest()
    lines = people.read_text("utf-8").splitlines()
    assert lines[-1] == f"# {len(lines) - 1} decisions, sha256 {report['log_sha256']}"
    assert lines[0].split() == ["0", "ns", "step", "1", "imu:", "step"]


def test_a_log_that_cannot_be_opened_is_refused_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = tmp_path / "gone" / "decisions.txt"
    assert command(monkeypatch, "run", str(ACTIVITY), "--sim", "--log", str(wanted)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "cannot be written" in err
    assert "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_is_cut_off_is_said_after_the_accounting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", str(ACTIVITY), "--sim", "--speed", "max", "--log", "/dev/full"]
    assert command(monkeypatch, *words) == 1
    err = capsys.readouterr().err
    assert "identities close" in err
    assert err.splitlines()[-1].startswith("limen: the decision log is cut off:")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "graph.toml", "--sim", "--log", "graph.toml"),
        ("run", "graph.toml", "--sim", "--log", "same", "--log-bytes", "./same"),
        ("draw", "graph.toml", "--output", "link.toml"),
    ],
    ids=["log over graph", "log over log", "drawing over graph"],
)
def test_no_file_is_written_over_another_of_the_same_command(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("graph.toml").write_text("limen = 1\n")
    Path("link.toml").symlink_to("graph.toml")
    assert command(monkeypatch, *words) == 2
    assert "give each a file of its own" in capsys.readouterr().err
    assert Path("graph.toml").read_text() == "limen = 1\n"
    assert not Path("same").exists()
