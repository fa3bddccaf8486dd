"""``limen run --events FILE``: JSON lines, and what becomes of a file that cannot be written."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from limen.cli import main

GRAPH = """\
limen = 1
name = "rows"
[nodes.rows]
type = "csv"
path = "rows.csv"
columns = ["a"]
rate_hz = 100
[nodes.lines]
type = "json_lines"
path = "out.jsonl"
policy = { sim_cost = "35ms" }
[[edges]]
chain = ["rows", "lines"]
policy = { admission = "drop_oldest", max_items = 2 }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graph.toml").write_text(GRAPH)
    rows = "".join(f"{'broken' if number == 7 else number}\n" for number in range(20))
    (tmp_path / "rows.csv").write_text("a\n" + rows)
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["limen", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_events_are_json_lines_that_agree_with_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    words = ("run", "graph.toml", "--sim", "--json", "--events", "events.jsonl")
    assert command(monkeypatch, *words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    text = (folder / "events.jsonl").read_bytes()
    events = [json.loads(line) for line in text.splitlines()]
    kinds = [event["kind"] for event in events if event["event"] == "runtime"]
    assert kinds == [
        *("graph_started", "invalid_data", "sensor_disconnected", "sensor_recovered"),
        "graph_stopped",
    ]
    lost = Counter(e["reason"] for e in events if e["event"] == "structural_drop")
    assert lost == report["edges"][0]["evicted"]
    assert lost["capacity"] > 0
    assert command(monkeypatch, *words) == 0
    assert (folder / "events.jsonl").read_bytes() == text, "simulated runs are equal"


def test_an_events_file_that_cannot_be_opened_is_refused_before_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert command(monkeypatch, "run", "graph.toml", "--sim", "--events", "gone/events") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert not (folder / "out.jsonl").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_events_that_are_cut_off_are_said_after_the_accounting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "run", "graph.toml", "--sim", "--events", "/dev/full") == 1
    err = capsys.readouterr().err
    assert "identities close" in err
    assert err.splitlines()[-1].startswith("limen: the events are cut off: JsonEventSink: OSError")


@pytest.mark.parametrize("other", ["graph.toml", "same"])
def test_events_are_not_written_over_another_file_of_the_command(
    other: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    words = ("run", "graph.toml", "--sim", "--log", "same", "--events", other)
    assert command(monkeypatch, *words) == 2
    assert "give each a file of its own" in capsys.readouterr().err
    assert (folder / "graph.toml").read_text() == GRAPH
