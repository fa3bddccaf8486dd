"""The command line as a user and a shell meet it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

import limen
from limen.app import load, set_speed
from limen.cli._demo import score
from limen.message import Message
from limen.node import Sink
from limen.platform import PlatformClock, SimClock
from limen.types import PayloadSpec, TensorSpec, Ticks

ACTIVITY = Path(__file__).parents[1] / "examples" / "activity"
GRAPH = str(ACTIVITY / "activity.toml")
LIMEN = [sys.executable, "-W", "error", "-m", "limen"]
BOUND_S = 60


def limen_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LIMEN, *arguments], capture_output=True, encoding="utf-8", timeout=BOUND_S
    )


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*LIMEN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        # Reading a line cannot be given a timeout; the end of the process ends it.
        bound = threading.Timer(BOUND_S, process.kill)
        bound.start()
        try:
            yield process
        finally:
            bound.cancel()
            process.kill()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """A graph whose source replays for an hour, a hundred rows a second."""
    rows = "".join(f"{number},{-number}\n" for number in range(360_000))
    (tmp_path / "long.csv").write_text("a,b\n" + rows)
    path = tmp_path / "endless.toml"
    path.write_text(
        "limen = 1\n"
        '[nodes.rows]\ntype = "csv"\npath = "long.csv"\ncolumns = ["a", "b"]\nrate_hz = 100\n'
        '[nodes.pairs]\ntype = "window"\nsize = 2\n'
        '[nodes.lines]\ntype = "json_lines"\n'
        '[[edges]]\nchain = ["rows", "pairs", "lines"]\n'
    )
    return str(path)


def closes(statistics: dict[str, object]) -> bool:
    """Work the identities out anew from the counts, as a reader of the JSON would."""
    edges, inputs, outputs = (statistics[key] for key in ("edges", "inputs", "outputs"))
    assert isinstance(edges, list) and isinstance(inputs, list) and isinstance(outputs, list)
    found = []
    for edge in edges:
        refused, evicted = sum(edge["refused"].values()), sum(edge["evicted"].values())
        found.append(edge["offered"] == edge["pushed"] + edge["staged"] + refused)
        found.append(edge["pushed"] == edge["taken"] + evicted + edge["ring"])
    for port in inputs:
        dropped = sum(port["dropped"].values())
        found.append(port["taken"] == port["consumed"] + dropped + port["held"])
    for port in outputs:
        found.append(port["emitted"] * port["fan_out"] == port["offered"])
        found.append(port["capacity"] == port["available"] + port["live"])
    return bool(found) and all(found)


def test_two_simulated_runs_print_the_same_bytes_and_end_with_the_accounting() -> None:
    first, second = (limen_command("run", GRAPH, "--sim", "--json") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    *results, last = first.stdout.splitlines()
    statistics = json.loads(last)
    assert statistics["outcome"] == "completed"
    assert statistics["identities"]
    assert all(identity["closes"] for identity in statistics["identities"])
    assert closes(statistics)
    assert len(results) == statistics["nodes"][-1]["processed"] == 159
    assert all(set(json.loads(line)) >= {"sequence", "label"} for line in results)


def test_a_run_as_fast_as_it_goes_gives_the_same_labels_as_a_simulated_one() -> None:
    fast = limen_command("run", GRAPH, "--speed", "max")
    simulated = limen_command("run", GRAPH, "--sim")
    assert fast.returncode == simulated.returncode == 0
    labels = [
        [
            (record["sequence"], record["label"])
            for record in map(json.loads, run.stdout.splitlines())
        ]
        for run in (fast, simulated)
    ]
    assert labels[0] == labels[1]
    assert "accounting: all 15 identities close" in fast.stderr


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "", "inf", "nan", "1e999", "x"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    done = limen_command("run", GRAPH, f"--speed={speed}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"limen: --speed {speed!r} is no replay speed; give a positive number, or max\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("run", GRAPH, "--frobnicate"),
        ("run",),
        ("run", "gone.toml"),
        ("check", "gone.toml"),
        ("check", GRAPH, GRAPH),
    ],
    ids=lambda arguments: " ".join(arguments).replace(GRAPH, "activity.toml"),
)
def test_a_command_line_that_is_not_valid_exits_2(arguments: tuple[str, ...]) -> None:
    done = limen_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_prints_the_accounting_and_tells_itself_in_the_exit_code(
    number: signal.Signals, code: int, endless: str
) -> None:
    with started("run", endless) as process:
        assert json.loads(pipe(process.stdout).readline())["sequence"] == 1
        process.send_signal(number)
        _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == code
    assert "graph endless: stopped after" in errors
    assert "identities close" in errors
    assert "OPEN" not in errors
    assert "Traceback" not in errors


def test_a_signal_ends_a_json_run_with_its_accounting(endless: str) -> None:
    with started("run", endless, "--json") as process:
        first = pipe(process.stdout).readline()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 130
    assert errors == ""
    *results, last = (first + out).splitlines()
    statistics = json.loads(last)
    assert statistics["outcome"] == "stopped"
    assert closes(statistics)
    rows, pairs, lines = statistics["nodes"]
    assert rows["processed"] == pairs["processed"]
    assert lines["processed"] == len(results) == rows["processed"] // 2


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_a_run_whose_reader_is_gone_stops_and_still_accounts_for_everything(
    arguments: tuple[str, ...], endless: str
) -> None:
    with started("run", endless, *arguments) as process:
        pipe(process.stdout).readline()
        pipe(process.stdout).close()
        errors = pipe(process.stderr).read()
        process.wait(timeout=BOUND_S)
    assert process.returncode == 1
    assert "Traceback" not in errors and "Exception ignored" not in errors
    assert "graph endless: stopped after" in errors
    assert "standard output cannot be written: its reader is gone" in errors
    assert "identities close" in errors
    assert re.search(r"lines\.in: taken (\d+) = consumed \d+ \+ dropped\{error: \d+\}", errors)


@pytest.mark.parametrize("arguments", [("check", GRAPH), ("--help",), ("demo", "--speed", "max")])
def test_a_command_whose_reader_was_never_there_leaves_quietly(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*LIMEN, *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=BOUND_S,
        )
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_does_not_fit_its_device_is_an_error_in_words() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LIMEN, "check", GRAPH],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=BOUND_S,
        )
    assert done.returncode == 1
    assert done.stderr == "limen: output cannot be written: No space left on device\n"


def test_the_demo_says_how_accurate_it_was_and_accounts_for_everything() -> None:
    done = limen_command("demo", "--speed", "max")
    assert (done.returncode, done.stderr) == (0, "")
    *_, last = done.stdout.splitlines()
    assert percent(last) >= 98
    assert "accounting: all 15 identities close" in done.stdout


def percent(line: str) -> float:
    found = re.fullmatch(r"accuracy ([\d.]+) % \((\d+) of (\d+) windows within one series\)", line)
    assert found is not None, line
    assert round(100 * int(found[2]) / int(found[3]), 1) == float(found[1])
    assert int(found[3]) == 120
    return float(found[1])


class Labels(Sink):
    """Keeps the label of each window."""

    def __init__(self) -> None:
        self.labels: tuple[str, ...] = ()
        self.found: dict[int, str] = {}

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        assert isinstance(spec, TensorSpec)
        self.labels = spec.labels

    def consume(self, message: Message, now: Ticks) -> None:
        payload: list[float] = list(message.payload)  # type: ignore[call-overload]
        self.found[message.header.sequence] = self.labels[payload.index(max(payload))]


@pytest.mark.parametrize("speed", [1.0, None], ids=["recorded speed", "max speed"])
def test_the_model_recognises_at_least_98_percent_of_the_recorded_windows(
    speed: float | None,
) -> None:
    graph = load(GRAPH)
    sink = Labels()
    graph.replace("print", sink)
    set_speed(graph, speed)
    report = limen.run(graph, clock=SimClock())
    assert report.statistics.closes
    line = f"accuracy {score(ACTIVITY / 'test.csv', sink.found, 50)}"
    print(line)
    assert percent(line) >= 98


_IDLE = """
import json, sys, time
import limen
from limen import Sink
from limen.io import CsvSource
from limen.platform import MonotonicClock

class Stamps(Sink):
    def __init__(self):
        self.stamps = []
    def consume(self, message, now):
        self.stamps.append((time.process_time(), time.monotonic()))

sink = Stamps()
graph = limen.Graph("idle")
graph.add("rows", CsvSource(sys.argv[1], ["a"], rate_hz=1)).add("stamps", sink)
graph.chain("rows", "stamps")
limen.run(graph, clock=MonotonicClock())
print(json.dumps(sink.stamps))
"""


@pytest.mark.slow
def test_a_graph_with_one_message_a_second_uses_less_than_a_hundredth_of_a_processor(
    tmp_path: Path,
) -> None:
    data = tmp_path / "slow.csv"
    data.write_text("a\n" + "1\n" * 5)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _IDLE, str(data)],
        capture_output=True,
        encoding="utf-8",
        timeout=BOUND_S,
    )
    assert done.returncode == 0, done.stderr
    stamps = json.loads(done.stdout)
    assert len(stamps) == 5
    (first_cpu_s, first_s), (last_cpu_s, last_s) = stamps[0], stamps[-1]
    assert last_s - first_s > 3.5
    share = (last_cpu_s - first_cpu_s) / (last_s - first_s)
    print(f"{100 * share:.3f} % CPU at one message a second")
    assert share < 0.01


def test_check_says_what_is_wrong_as_json_too() -> None:
    bad = Path(__file__).parent / "graphs" / "bad" / "five_mistakes.toml"
    done = limen_command("check", str(bad), "--json")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["valid"] is False
    assert len(answer["problems"]) == 5
    assert all(problem["place"] and problem["remedy"] for problem in answer["problems"])


@pytest.mark.parametrize("name", ["\u00fc\u2192", "\ud800"], ids=["non-ascii", "half a character"])
@pytest.mark.parametrize(
    "command",
    [("check",), ("check", "--json"), ("run", "--sim", "--json"), ("draw",)],
    ids=" ".join,
)
def test_a_terminal_without_a_character_gets_it_escaped(
    command: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    path = tmp_path / "graph.json"
    nodes = {
        "rows": {"type": "csv", "path": "rows.csv", "columns": ["a"], "rate_hz": 1},
        "out": {"type": "discard"},
    }
    edges = [{"from": "rows", "to": "out"}]
    tables = {"limen": 1, "name": name, "nodes": nodes, "edges": edges}
    path.write_text(json.dumps(tables), "ascii")
    done = subprocess.run(
        [*LIMEN, *command, str(path)],
        capture_output=True,
        encoding="ascii",
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=BOUND_S,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in command:
        assert json.loads(done.stdout)["graph"] == name


def test_the_doctor_speaks_to_a_terminal_without_greek_letters() -> None:
    done = subprocess.run(
        [*LIMEN, "doctor"],
        capture_output=True,
        encoding="ascii",
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=BOUND_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
