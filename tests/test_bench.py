"""The bodies of the benchmarks run and print figures of the promised form; speed is not judged."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

_FILE = Path(__file__).parents[1] / "benchmarks" / "hop.py"
_KEYS = {
    *("bench", "case", "target", "metrics", "value", "unit", "baseline", "ratio", "runs"),
    *("min", "max"),
}


@pytest.fixture(scope="module")
def hop() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("hop", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hop"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hop"]


def test_the_benchmark_prints_its_figures_as_json(
    hop: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    assert hop.main(["--fast", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["bench"], row["case"], row["target"]) for row in rows} == {
        ("hop", "chain8", "reference"),
        ("hop", "chain8", "deque"),
        ("hop", "chain8_drop_oldest", "reference"),
        ("hop", "chain8_tensor", "reference"),
        ("hop", "chain8_tensor", "deque"),
        ("inference", "activity_batch1", "reference"),
        ("inference", "activity_batch4", "reference"),
    }
    for row in rows:
        assert set(row) == _KEYS
        assert row["metrics"] is (row["target"] == "reference")
        assert row["runs"] >= 5
        assert 0 < row["min"] <= row["value"] <= row["max"]
        assert row["baseline"] > 0
        assert math.isfinite(row["ratio"])
        assert row["unit"] == {"hop": "ns", "inference": "1/s"}[row["bench"]]


def test_the_table_names_every_case_and_the_ratio_is_a_median(hop: ModuleType) -> None:
    values, baseline = [20.0, 90.0, 10.0], [10.0, 10.0, 10.0]
    row = hop._row("hop", "chain8", "reference", "ns", values, baseline)
    assert (row.value, row.ratio, row.min, row.max, row.runs) == (20.0, 2.0, 10.0, 90.0, 3)
    head, line = hop.table([row]).splitlines()
    assert head.split() == [
        *("bench", "case", "target", "value", "unit", "baseline", "ratio", "runs", "min", "max")
    ]
    assert line.split() == ["hop", "chain8", "reference", "20", "ns", "10", "2.00", "3", "10", "90"]


def test_the_machine_is_named(hop: ModuleType) -> None:
    assert ".".join(map(str, sys.version_info[:3])) in hop.machine()


def test_a_chain_that_loses_messages_is_no_figure(hop: ModuleType) -> None:
    import limen

    graph, sink = limen.Graph("lossy"), hop.Count()
    graph.add("source", hop.Items(limen.ObjectSpec(int), [1], 3)).add("sink", sink)
    graph.connect("source", "sink")
    with pytest.raises(RuntimeError, match="3 of 4 messages"):
        hop.timed_run(graph, sink, 4)
