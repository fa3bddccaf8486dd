"""The bodies of the benches run and give figures of the promised form; speed is not judged."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
from collections import Counter
from pathlib import Path

import pytest

from limen.bench import NAMES, BenchReport, Size, run_bench
from limen.bench import _deadlines as deadlines
from limen.bench import _hop as hop
from limen.bench import _libraries as libraries
from limen.bench import _overload as overload
from limen.bench._measure import Count, Items, Setting, quiet, repeated, timed_run
from limen.bench._others import other_targets
from limen.bench._rows import as_json, row_of, table
from limen.cli import main
from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.types import ObjectSpec, QoSClass

_KEYS = {
    *("bench", "case", "target", "metrics", "value", "unit", "baseline", "ratio", "runs"),
    *("min", "max"),
}
_HOPS = ("chain8", *("chain8_" + x for x in ("drop_oldest", "tensor", "batched", "edf")), "fanout")
_MODELS = ("activity_batch1", "activity_batch4", "model_1ms")
_INTERPRETED = ("reference", "python")


def bench(
    *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str, str]:
    """Run ``limen bench`` in this process; its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["limen", "bench", *words])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    return left.value.code, printed.out, printed.err


def fast(*names: str, targets: tuple[str, ...] = ()) -> BenchReport:
    return run_bench(names, Size.FAST, targets)


def found(report: BenchReport) -> Counter[tuple[str, str, str, bool]]:
    """Count rows by what tells them apart."""
    return Counter((row.bench, row.case, row.target, row.metrics) for row in report.rows)


@pytest.fixture(scope="module")
def hops() -> BenchReport:
    return fast("hop", targets=(*_INTERPRETED, "deque", "asyncio", "threads"))


@pytest.fixture(scope="module")
def models() -> BenchReport:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    return fast("inference", targets=_INTERPRETED)


@pytest.fixture(scope="module")
def overloaded() -> BenchReport:
    return fast("overload", "deadlines")


def test_hops_are_measured_in_every_shape_with_metrics_and_without(hops: BenchReport) -> None:
    plain = [("chain8", "deque"), ("chain8", "asyncio"), ("chain8", "threads")]
    assert found(hops) == Counter(
        [
            *(("hop", c, t, on) for c in _HOPS for t in _INTERPRETED for on in (True, False)),
            *(("hop", case, target, False) for case, target in plain),
            ("hop", "chain8_tensor", "deque", False),
        ]
    )
    for row in hops.rows:
        assert row.unit == "ns"
        assert row.runs >= 5
        assert 0 < row.min <= row.value <= row.max
        assert row.baseline > 0
        assert row.ratio is not None
        assert math.isfinite(row.ratio)


def test_models_are_measured_against_the_loop_without_a_graph(models: BenchReport) -> None:
    assert found(models) == Counter(
        ("inference", case, target, on)
        for case in _MODELS
        for target in _INTERPRETED
        for on in (True, False)
    )
    for row in models.rows:
        assert (row.unit, row.runs >= 5) == ("1/s", True)
        assert 0 < row.min <= row.value <= row.max
        assert row.baseline > 0
        assert row.ratio is not None
        assert math.isfinite(row.ratio)


@pytest.mark.slow
def test_native_code_is_measured_like_the_other_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("Cython")
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(tmp_path))
    report = fast("hop", "alloc", "idle", "import", targets=("native",))
    rows = found(report)
    assert {("hop", c, "native", on) for c in _HOPS for on in (True, False)} <= set(rows)
    assert {("alloc", c, "native", True) for c in ("chain8", "chain8_tensor")} <= set(rows)
    assert {("idle", c, "native", True) for c in ("timed_1hz", "live")} <= set(rows)
    assert set(rows.values()) == {1}
    if importlib.util.find_spec("onnxruntime") is not None:
        built = {row.case: row.unit for row in report.rows if row.bench == "import"}
        assert built == {"activity_build": "s", "activity_load": "ms"}


@pytest.mark.slow
def test_what_a_graph_keeps_is_measured_per_message() -> None:
    report = fast("alloc", targets=_INTERPRETED)
    assert found(report) == Counter(
        ("alloc", case, target, True)
        for case in ("chain8", "chain8_tensor")
        for target in _INTERPRETED
    )
    for row in report.rows:
        assert (row.unit, row.runs) == ("B", 5)
        assert row.min <= row.value <= row.max
    assert "messages: chain8 reference " in str(report)


def test_a_graph_that_keeps_its_messages_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from limen.bench import _alloc as alloc

    kept: list[bytearray] = []

    def hoard(x: int) -> int:
        kept.append(bytearray(1000))
        return x

    case = next(case for case in hop.cases() if case.name == "chain8")
    hoarding = hop.replace(case, function=hoard)
    grown = alloc.graph_growth(hoarding, "reference", 16)
    assert min(grown) > 1000 * case.nodes
    assert len(kept) == 6 * 16 * case.nodes


def test_graphs_that_wait_are_measured_beside_a_thread_that_sleeps() -> None:
    report = fast("idle", targets=_INTERPRETED)
    assert found(report) == Counter(
        ("idle", case, target, True) for case in ("timed_1hz", "live") for target in _INTERPRETED
    )
    for row in report.rows:
        assert row.unit == "%"
        assert 0 <= row.min <= row.value <= row.max


def test_imports_and_specialising_are_measured() -> None:
    report = fast("import", targets=("python",))
    rows = {row.case: row for row in report.rows}
    assert rows["limen"].unit == "ms"
    assert 0 < rows["limen"].min <= rows["limen"].value <= rows["limen"].max
    assert rows["limen"].baseline > 0
    if importlib.util.find_spec("onnxruntime") is not None:
        assert rows["activity_specialise"].value > 0
        assert set(rows) == {"limen", "activity_specialise"}


def test_figures_are_printed_as_a_list_of_objects_and_the_rest_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("deadlines", "--fast", "--json", "--target", "python")
    code, out, err = bench(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    rows = json.loads(out)
    assert len(rows) == 8
    assert {row["target"] for row in rows} == {"python"}
    assert all(set(row) == _KEYS for row in rows)
    assert ".".join(map(str, sys.version_info[:3])) in err


def test_people_get_tables_what_they_mean_and_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("idle", "deadlines", "--fast", "--target", "reference")
    code, out, err = bench(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert out.startswith("bench ")
    assert "timed_1hz" in out
    assert "EDF, infeasible dropped" in out
    assert "baseline: a thread that sleeps" in out
    assert "cores" in out
    assert "numpy" in out
    assert err == "limen: deadlines …\nlimen: idle …\n"


def test_the_table_names_every_case_and_the_ratio_is_a_median() -> None:
    values, baseline = [20.0, 90.0, 10.0], [10.0, 10.0, 10.0]
    row = row_of("hop", "chain8", "reference", "ns", values, baseline, metrics=True)
    assert (row.value, row.ratio, row.min, row.max, row.runs) == (20.0, 2.0, 10.0, 90.0, 3)
    head, line = table([row]).splitlines()
    assert head.split() == [
        *("bench", "case", "target", "metrics", "value", "unit"),
        *("baseline", "ratio", "runs", "min", "max"),
    ]
    assert line.split() == [
        *("hop", "chain8", "reference", "on", "20", "ns", "10", "2.00", "3", "10", "90")
    ]


def test_a_figure_whose_baseline_is_nothing_has_no_ratio() -> None:
    row = row_of("overload", "mailbox.late", "reference", "1", [3.0], [0.0], metrics=True)
    assert row.ratio is None
    assert json.loads(as_json([row]))[0]["ratio"] is None
    assert len(table([row]).splitlines()) == 2


def test_a_chain_that_loses_messages_is_no_figure() -> None:
    graph, sink = Graph("lossy"), Count()
    graph.add("source", Items(ObjectSpec(int), repeated([1], 3))).add("sink", sink)
    graph.connect("source", "sink")
    with pytest.raises(RuntimeError, match="lossy on python: 3 of 4 messages"):
        timed_run(graph, [sink], 4, "python", metrics=True)


def test_what_cannot_be_measured_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    missing = ("gi", "lmflow", "zmq", "bytewax", "Cython")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in missing else there(name)
    )
    report = fast("hop", targets=("native", "gstreamer", "lmflow", "pyzmq", "bytewax"))
    assert report.rows == ()
    assert [line.partition(" skipped: ")[0] for line in report.left_out] == [
        f"hop {name}:" for name in ("native", "gstreamer", "lmflow", "pyzmq", "bytewax")
    ]
    assert report.left_out[0] in str(report)


@pytest.mark.parametrize(
    ("name", "module"),
    [("gstreamer", "gi"), ("lmflow", "lmflow"), ("pyzmq", "zmq"), ("bytewax", "bytewax")],
)
def test_another_library_that_is_installed_is_measured(name: str, module: str) -> None:
    if module == "gi":
        pytest.importorskip("gi.repository.Gst")
    pytest.importorskip(module)
    report = fast("hop", targets=(name,))
    assert report.left_out == ()
    assert found(report) == Counter([("hop", "chain8", name, False)])
    assert report.rows[0].value > 0


def test_another_library_that_fails_costs_only_its_own_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*arguments: object) -> float:
        raise OSError("it is broken")

    def one(case: str, setting: Setting) -> list[tuple[str, object]]:
        return [("pyzmq", broken)] if case == "chain8" else []

    chain = hop.cases()[0]
    monkeypatch.setattr(hop, "cases", lambda: [chain])
    monkeypatch.setattr(hop, "other_kinds", one)
    report = fast("hop", targets=("python",))
    assert {row.target for row in report.rows} == {"python"}
    assert report.left_out == ("hop chain8 pyzmq: left out: OSError: it is broken",)


def test_overload_gives_a_row_per_policy_and_measure_and_every_frame_is_accounted_for(
    overloaded: BenchReport,
) -> None:
    rows = overloaded.results["overload"].rows
    cases = {row.case.partition(".")[0]: row.target for row in rows}
    assert cases == {"unbounded": "deque", **dict.fromkeys(overload.CASES, "reference")}
    values = {row.case: row.value for row in rows}
    assert len(values) == len(rows)
    for case in cases:
        measures = {
            name.removeprefix(f"{case}."): value
            for name, value in values.items()
            if name.startswith(f"{case}.")
        }
        lost = sum(value for measure, value in measures.items() if measure.startswith("lost_"))
        assert measures["frames"] == measures["results"] + lost + measures["left"]
        assert 0 < measures["age_p50"] <= measures["age_p99"] <= measures["age_max"]
        by_class = [values[f"{case}.results_{qos.name.lower()}"] for qos in QoSClass]
        assert sum(by_class) == measures["results"]
    assert values["unbounded.lost_evicted_capacity"] == 0
    assert values["drop_oldest.lost_evicted_capacity"] > 0
    assert values["block_live.lost_at_the_device"] > 0
    assert values["drop_newest+on_miss_drop.lost_dropped_infeasible"] > 0
    assert values["drop_newest+on_miss_drop.late"] == 0


def test_overload_and_deadlines_come_out_alike_on_another_target(overloaded: BenchReport) -> None:
    def decided(report: BenchReport, target: str) -> dict[str, float]:
        return {
            f"{row.bench} {row.case}": row.value
            for row in report.rows
            if row.target == target and not row.case.endswith(".rss_growth")
        }

    other = fast("overload", "deadlines", targets=("python",))
    assert {row.target for row in other.rows} == {"python"}
    assert decided(other, "python") == decided(overloaded, "reference")


def test_deadlines_give_a_row_per_utilisation_and_policy(overloaded: BenchReport) -> None:
    rows = overloaded.results["deadlines"].rows
    assert [row.case for row in rows] == [
        f"{policy}@{utilisation}" for utilisation in (0.5, 1.25) for policy in deadlines.POLICIES
    ]
    for row in rows:
        assert row.runs == 2
        assert 0 <= row.min <= row.value <= row.max <= 1


def test_past_capacity_each_kind_of_dropping_misses_less_than_the_one_before() -> None:
    streams = deadlines.arrivals(1.25, messages=100, seed=1)
    with quiet():
        misses = {policy: deadlines.miss_ratio(policy, streams) for policy in deadlines.POLICIES}
    assert misses["edf_drop_infeasible"] < misses["edf_drop_expired"] < misses["edf"]


@pytest.mark.parametrize("utilisation", [1.1, 1.5])
def test_dropping_what_is_infeasible_misses_hardly_more_than_there_is_no_time_for(
    utilisation: float,
) -> None:
    streams = deadlines.arrivals(utilisation, messages=300, seed=2)
    with quiet():
        missed = deadlines.miss_ratio("edf_drop_infeasible", streams)
        collapsed = deadlines.miss_ratio("edf", streams)
    assert missed <= 1 - 1 / utilisation + 0.05
    assert collapsed > 2 * missed


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_what_can_be_drawn_is_drawn_into_one_file(
    suffix: str, hops: BenchReport, models: BenchReport, overloaded: BenchReport, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "new" / f"plot{suffix}"
    results = {**hops.results, **models.results, **overloaded.results}
    BenchReport(results, (), "").draw(path)
    drawn = path.read_bytes()
    assert drawn.startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    for title in (
        "What a hop costs",
        "Around a model",
        "25 items/s in, 5/s out: age of results",
        "Deadlines missed under load; median and range of the seeds",
    ):
        assert suffix == ".png" or f"<!-- {title} -->".encode() in drawn


def test_a_plot_is_drawn_beside_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.svg"
    words = ("deadlines", "alloc", "--fast", "--target", "native", "--plot", str(path))
    monkeypatch.setattr("limen.bench._measure.available_targets", lambda: _INTERPRETED)
    code, out, _ = bench(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, path.exists()) == (0, True)
    assert "cores" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hops",), "no bench 'hops'; did you mean 'hop'?"),
        (("hop", "--target", "natve"), "no target 'natve'; did you mean 'native'?"),
        (("hop", "--plot", "plot.gif"), "neither .svg nor .png"),
        (("idle", "import", "--plot", "plot.svg"), "nothing of idle, import can be drawn"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = bench(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, out) == (2, "")
    assert said in err
    assert "…" not in err, "nothing has begun"


def test_a_plot_without_matplotlib_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    words = ("deadlines", "--fast", "--plot", str(tmp_path / "plot.svg"))
    code, out, err = bench(*words, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, out) == (2, "")
    assert "pip install 'limen[bench]'" in err


def test_names_and_targets_of_the_command_are_those_of_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = bench("--help", monkeypatch=monkeypatch, capsys=capsys)
    shown = " ".join(out.split())
    assert ", ".join(NAMES) in shown
    with pytest.raises(ConfigurationError, match="no target 'gsteamer'"):
        run_bench(targets=("gsteamer",))
    assert libraries.HOPS == 8
    assert set(other_targets()) >= {"deque", "asyncio", "threads", "gstreamer"}
