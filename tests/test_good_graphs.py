"""A graph file and the same graph written in Python are one graph."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import limen
from limen.app import Model, check, load
from limen.cli import main
from limen.errors import GraphError
from limen.graph import Graph, GraphSpec, NodeSpec
from limen.io import CsvSource, Discard, JsonLinesSink, TextLinesSink
from limen.node import SinkNode, SourceNode
from limen.nodes import Window
from limen.platform import SimClock
from limen.policy import (
    AdmissionPolicy,
    Batching,
    Budget,
    Deadline,
    EdgePolicy,
    ErrorAction,
    Freshness,
    InputPolicy,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    QueueCaps,
    Restart,
    Trigger,
)
from limen.types import CriticalityClass

GOOD = Path(__file__).parent / "graphs" / "good"
ACTIVITY = Path(__file__).parents[1] / "examples" / "activity"
NUMBERS = GOOD / "numbers.csv"


def minimal() -> Graph:
    graph = Graph("minimal")
    graph.add("rows", CsvSource(NUMBERS, ["a", "b"], speed="max"))
    graph.add("lines", TextLinesSink())
    return graph.connect("rows", "lines")


def every_policy() -> Graph:
    graph = Graph("every policy", scheduler="edf", clock_offsets={1: "-3ms"})
    graph.add(
        "rows",
        CsvSource(NUMBERS, ["b", "a"], rate_hz=2.5, dtype="f64"),
        NodePolicy(criticality=CriticalityClass.SAFETY_CRITICAL, budget=Budget("1ms", "2ms")),
    )
    graph.add(
        "pairs",
        Window(size=2, stride=1),
        NodePolicy(
            batching=Batching.fixed_and_delta_t(4, "1500ms"),
            deadline=Deadline("5s", "10us", require=True, on_miss=OnMiss.DROP),
            criticality=CriticalityClass.SAFETY_CRITICAL,
            error_action=Restart(3, per="10s", backoff="20ms"),
            sim_cost="2ms",
            activation=Trigger("in"),
            freshness=Freshness("1s", "2s", OnStale.DELIVER),
            liveness=Liveness("500ms", "2s"),
            budget=Budget("5ms", "50ms", OverBudgetAction.DROP),
            inputs={"in": InputPolicy("900ms", "600ms", needs_degrade_allowed=True)},
        ),
    )
    graph.add(
        "lines",
        JsonLinesSink(),
        NodePolicy(
            Batching.fixed(8),
            deadline="1min",
            freshness="10s",
            liveness="10s",
            budget="1s",
            criticality=CriticalityClass.BEST_EFFORT,
            error_action=ErrorAction.QUIESCE,
        ),
    )
    graph.connect(
        "rows.out",
        "pairs.in",
        EdgePolicy(QueueCaps(16, 8, 65536, 32000), AdmissionPolicy.DEADLINE_AND_QOS_AWARE),
    )
    return graph.connect(
        "pairs", "lines", EdgePolicy(QueueCaps(8), admission=AdmissionPolicy.DROP_NEWEST)
    )


def fan_out() -> Graph:
    graph = Graph("fan out")
    graph.add("rows", CsvSource(NUMBERS, ["a", "b"], speed="max"))
    graph.add("lines", JsonLinesSink()).add("latest", Discard()).add("urgent", Discard())
    graph.connect("rows", "lines")
    graph.connect("rows", "latest", EdgePolicy.mailbox_latest())
    policy = EdgePolicy(QueueCaps(4), AdmissionPolicy.DROP_OLDEST, lanes=2)
    return graph.connect("rows", "urgent", policy)


def two_chains() -> Graph:
    graph = Graph("two chains")
    graph.add("a", CsvSource(NUMBERS, ["a"], rate_hz=10)).add("a_lines", JsonLinesSink())
    graph.add("b", CsvSource(NUMBERS, ["b"], rate_hz=10)).add("b_pairs", Window(2))
    graph.add("b_lines", TextLinesSink())
    graph.connect("a", "a_lines", EdgePolicy(QueueCaps(1)))
    return graph.chain("b", "b_pairs", "b_lines")


def activity() -> Graph:
    spec = importlib.util.spec_from_file_location("activity_example", ACTIVITY / "activity.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph: Graph = module.activity()
    return graph


PAIRS: dict[Path, Callable[[], Graph]] = {
    GOOD / "minimal.toml": minimal,
    GOOD / "every_policy.toml": every_policy,
    GOOD / "fan_out.toml": fan_out,
    GOOD / "two_chains.toml": two_chains,
    ACTIVITY / "activity.toml": activity,
}
pairs = pytest.mark.parametrize(("path", "build"), PAIRS.items(), ids=[path.stem for path in PAIRS])


def structure(spec: GraphSpec) -> object:
    """Return all that a graph says, as plain values that compare."""
    nodes = [describe(node) for node in spec.nodes]
    return spec.name, spec.scheduler, spec.clock_offsets_ns, nodes, spec.edges


def describe(node: NodeSpec) -> object:
    component: object = node.node
    if isinstance(component, SourceNode):
        component = component.source
    elif isinstance(component, SinkNode):
        component = component.sink
    parameters: object
    match component:
        case CsvSource():
            state = vars(component)
            kept = ("columns", "rate_hz", "dtype", "allow_nan", "_speed")
            parameters = [component.path.resolve(), *(state[name] for name in kept)]
        case Window():
            parameters = [component.size, component.stride]
        case Model():
            component.prepare()
            parameters = [component.artifact_sha256, component.backend.name, component.max_batch]
        case JsonLinesSink() | TextLinesSink():
            parameters = [component.path]
        case Discard():
            parameters = []
        case _:
            raise AssertionError(f"{component} is not described")
    return node.name, type(component), parameters, node.policy


@pairs
def test_a_file_and_its_builder_give_one_structure(path: Path, build: Callable[[], Graph]) -> None:
    assert structure(load(path).spec()) == structure(build().spec())


@pairs
def test_a_file_and_its_builder_lower_to_one_memory_bound(
    path: Path, build: Callable[[], Graph]
) -> None:
    from_file, built = check(load(path), SimClock()), check(build(), SimClock())
    assert [edge.name for edge in from_file.edges] == [edge.name for edge in built.edges]
    assert from_file.memory_bound_bytes == built.memory_bound_bytes > 0


@pairs
def test_a_file_and_its_builder_run_alike(
    path: Path, build: Callable[[], Graph], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    for graph in (load(path), build()):
        report = limen.run(graph, clock=SimClock())
        assert report.statistics.closes
        seen.append((capsys.readouterr().out, report.to_json()))
    assert seen[0] == seen[1]
    assert seen[0][0]


def test_every_good_file_has_its_builder() -> None:
    assert set(GOOD.glob("*.toml")) == {path for path in PAIRS if path.parent == GOOD}


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_check_as_json_is_one_object_that_says_valid(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = check(load(path), SimClock())
    monkeypatch.setattr(sys, "argv", ["limen", "check", "--json", str(path)])
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    record = json.loads(out.getvalue())
    assert out.getvalue().count("\n") == 1
    assert record["valid"] is True
    assert record["graph"] == plan.name
    assert record["memory_bound_bytes"] == plan.memory_bound_bytes
    assert [node["name"] for node in record["nodes"]] == [node.name for node in plan.nodes]
    assert [edge["name"] for edge in record["edges"]] == [edge.name for edge in plan.edges]


@pairs
def test_the_same_tables_as_json_are_the_same_graph(
    path: Path, build: Callable[[], Graph], tmp_path: Path
) -> None:
    tables = tomllib.loads(path.read_text("utf-8"))
    for node in tables["nodes"].values():
        if "path" in node:
            node["path"] = str((path.parent / node["path"]).resolve())
    copy = tmp_path / f"{path.stem}.json"
    copy.write_text(json.dumps(tables), "utf-8")
    assert structure(load(copy).spec()) == structure(build().spec())


@pairs
def test_the_same_tables_as_yaml_are_the_same_graph(
    path: Path, build: Callable[[], Graph], tmp_path: Path
) -> None:
    tables = tomllib.loads(path.read_text("utf-8"))
    for node in tables["nodes"].values():
        if "path" in node:
            node["path"] = str((path.parent / node["path"]).resolve())
    copy = tmp_path / f"{path.stem}.yaml"
    copy.write_text(yaml.safe_dump(tables, sort_keys=False), "utf-8")
    assert structure(load(copy).spec()) == structure(build().spec())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML: while parsing"),
        ("- a", "holds a list, no table"),
        ("limen: 1\nlimen: 1", "the key 'limen' stands twice"),
        ("a: &x [1]\nb: *x", "uses an alias"),
        ("a: !!python/object:os.system {}", "is no YAML: could not determine a constructor"),
    ],
)
def test_a_bad_yaml_file_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text, "utf-8")
    with pytest.raises(GraphError, match=re.escape(words)):
        load(path)


def test_without_its_extra_a_yaml_file_is_refused_by_naming_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "graph.yaml"
    path.write_text("limen: 1", "utf-8")
    with pytest.raises(GraphError, match=r"limen\[yaml\]"):
        load(path)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    text = (GOOD / "minimal.toml").read_text("utf-8").replace("numbers.csv", str(NUMBERS))
    copy = tmp_path / "minimal.toml"
    copy.write_text(text, "utf-8-sig")
    assert structure(load(copy).spec()) == structure(minimal().spec())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[]", "holds a list, no table"),
        ("[" * 100_000, "nested too deeply"),
        ('{"limen": 1, "nodes": {"a": {}, "a": {}}}', "the key 'a' stands twice in one table"),
        (" " * (16 << 20) + "{}", "longer than 16.0 MiB"),
    ],
)
def test_a_json_file_that_is_none_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text(text, "utf-8")
    with pytest.raises(GraphError, match=words):
        load(path)
