"""The bodies of the benchmarks run and print figures of the promised form; speed is not judged."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

_FOLDER = Path(__file__).parents[1] / "benchmarks"
_KEYS = {
    *("bench", "case", "target", "metrics", "value", "unit", "baseline", "ratio", "runs"),
    *("min", "max"),
}


def _imported(name: str) -> Iterator[ModuleType]:
    """Import a benchmark as its command line does: its folder is on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(_FOLDER)
        yield importlib.import_module(name)


@pytest.fixture(scope="module")
def figures() -> Iterator[ModuleType]:
    yield from _imported("figures")


@pytest.fixture(scope="module")
def hop() -> Iterator[ModuleType]:
    yield from _imported("hop")


@pytest.fixture(scope="module")
def overload() -> Iterator[ModuleType]:
    yield from _imported("overload")


@pytest.fixture(scope="module")
def deadlines() -> Iterator[ModuleType]:
    yield from _imported("deadlines")


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


def test_the_table_names_every_case_and_the_ratio_is_a_median(
    hop: ModuleType, figures: ModuleType
) -> None:
    values, baseline = [20.0, 90.0, 10.0], [10.0, 10.0, 10.0]
    row = figures.row_of("hop", "chain8", "reference", "ns", values, baseline)
    assert (row.value, row.ratio, row.min, row.max, row.runs) == (20.0, 2.0, 10.0, 90.0, 3)
    head, line = hop.table([row]).splitlines()
    assert head.split() == [
        *("bench", "case", "target", "value", "unit", "baseline", "ratio", "runs", "min", "max")
    ]
    assert line.split() == ["hop", "chain8", "reference", "20", "ns", "10", "2.00", "3", "10", "90"]


def test_a_figure_whose_baseline_is_nothing_has_no_ratio(
    hop: ModuleType, figures: ModuleType
) -> None:
    row = figures.row_of("overload_late", "mailbox", "reference", "1", [3.0], [0.0])
    assert row.ratio is None
    assert json.loads(figures.as_json([row]))[0]["ratio"] is None
    assert len(hop.table([row]).splitlines()) == 2


def test_the_machine_is_named(figures: ModuleType) -> None:
    assert ".".join(map(str, sys.version_info[:3])) in figures.machine()


def test_a_chain_that_loses_messages_is_no_figure(hop: ModuleType) -> None:
    import limen

    graph, sink = limen.Graph("lossy"), hop.Count()
    graph.add("source", hop.Items(limen.ObjectSpec(int), [1], 3)).add("sink", sink)
    graph.connect("source", "sink")
    with pytest.raises(RuntimeError, match="3 of 4 messages"):
        hop.timed_run(graph, sink, 4)


def test_overload_gives_a_row_per_policy_and_measure_and_every_frame_is_accounted_for(
    overload: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert overload.main(["--fast", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == _KEYS for row in rows)
    cases = {row["case"]: row["target"] for row in rows}
    assert cases == {"unbounded": "deque", **dict.fromkeys(overload.CASES, "reference")}
    found = {(row["case"], row["bench"].removeprefix("overload_")): row["value"] for row in rows}
    assert len(found) == len(rows)
    for case in cases:
        measures = {measure: value for (name, measure), value in found.items() if name == case}
        lost = sum(value for measure, value in measures.items() if measure.startswith("lost_"))
        assert measures["frames"] == measures["results"] + lost + measures["left"]
        assert 0 < measures["age_p50"] <= measures["age_p99"] <= measures["age_max"]
        by_class = [found[case, f"results_{qos.name.lower()}"] for qos in overload.QoSClass]
        assert sum(by_class) == measures["results"]
    assert found["unbounded", "lost_evicted_capacity"] == 0
    assert found["drop_oldest", "lost_evicted_capacity"] > 0
    assert found["block_live", "lost_at_the_device"] > 0
    assert found["drop_newest+on_miss_drop", "lost_dropped_infeasible"] > 0
    assert found["drop_newest+on_miss_drop", "late"] == 0


def test_deadlines_give_a_row_per_utilisation_and_policy(
    deadlines: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deadlines.main(["--fast", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["case"] for row in rows] == [
        f"{policy}@{utilisation}"
        for utilisation in deadlines.FAST.utilisations
        for policy in deadlines.POLICIES
    ]
    for row in rows:
        assert set(row) == _KEYS
        assert row["runs"] == deadlines.FAST.seeds
        assert 0 <= row["min"] <= row["value"] <= row["max"] <= 1


def test_past_capacity_each_kind_of_dropping_misses_less_than_the_one_before(
    deadlines: ModuleType,
) -> None:
    streams = deadlines.arrivals(1.25, messages=100, seed=1)
    with deadlines.quiet():
        misses = {policy: deadlines.miss_ratio(policy, streams) for policy in deadlines.POLICIES}
    assert misses["edf_drop_infeasible"] < misses["edf_drop_expired"] < misses["edf"]


@pytest.mark.parametrize("utilisation", [1.1, 1.5])
def test_dropping_what_is_infeasible_misses_hardly_more_than_there_is_no_time_for(
    deadlines: ModuleType, utilisation: float
) -> None:
    streams = deadlines.arrivals(utilisation, messages=300, seed=2)
    with deadlines.quiet():
        missed = deadlines.miss_ratio("edf_drop_infeasible", streams)
        collapsed = deadlines.miss_ratio("edf", streams)
    assert missed <= 1 - 1 / utilisation + 0.05
    assert collapsed > 2 * missed


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("name", ["overload", "deadlines"])
def test_a_plot_is_drawn_beside_the_table(
    name: str,
    suffix: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    bench, path = request.getfixturevalue(name), tmp_path / "new" / f"plot{suffix}"
    assert bench.main(["--fast", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    assert "CPython" in capsys.readouterr().out or sys.implementation.name != "cpython"


def test_a_plot_without_matplotlib_says_what_to_install(
    deadlines: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match=r"pip install 'limen\[bench\]'"):
        deadlines.main(["--fast", "--plot", str(tmp_path / "plot.svg")])


def test_a_plot_in_another_format_is_refused_before_any_work(
    deadlines: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        deadlines.main(["--plot", "plot.gif"])
    assert "neither .svg nor .png" in capsys.readouterr().err
