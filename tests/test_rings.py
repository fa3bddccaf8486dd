"""A graph names the ring of an edge, and a package that is installed provides it."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings

import limen
import linked_edge
from limen.app import make_runtime
from limen.cli import main
from limen.compute import find_backend
from limen.edge import RING_GROUP, Edge, Ring, find_edge
from limen.errors import Code, ConfigurationError, GraphError
from limen.graph import to_dot, to_mermaid, to_svg, verify
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.policy import EdgePolicy, QueueCaps
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog
from limen.testing import EdgeContract, Scenario, first_difference, run, scenarios
from limen.testing.machines import EdgeMachine
from limen.types import Ticks, offers
from linked_edge import LinkedEdge

SCENARIOS = scenarios()
OFFERED = {
    "linked": "linked_edge:LinkedEdge",
    "moody": "linked_edge:MoodyEdge",
    "deaf": "linked_edge:Deaf",
    "shut": "linked_edge:ShutEdge",
    "seven": "linked_edge:seven",
    "dear": "linked_edge:dear",
    "exiting": "linked_edge:exiting",
    "always_one": "linked_edge:always_one",
    "many_lanes": "linked_edge:ManyLanes",
    "without_clock": "linked_edge:without_clock",
    "number": "linked_edge:NUMBER",
    "gone": "linked_edge:Gone",
    "broken": "acme_broken:Ring",
    "leaving": "acme_leaving:Ring",
}


class LinkedEdgeSuite(EdgeContract):
    lacks: ClassVar[Mapping[str, str]] = {"lanes": "one queue for all classes"}

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return LinkedEdge(caps, clock)


class LinkedEdgeMachine(EdgeMachine):
    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        return LinkedEdge(caps, clock)


TestLinkedEdge = LinkedEdgeMachine.TestCase
TestLinkedEdge.settings = settings(max_examples=40, stateful_step_count=30)


def install(
    folder: Path, package: str, offered: Mapping[str, str], group: str = RING_GROUP
) -> None:
    """Write what an installer leaves of a package that offers something by name."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {place}" for name, place in offered.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an installed package that offers OFFERED."""
    site = tmp_path / "site"
    install(site, "acme", OFFERED)
    (site / "acme_broken.py").write_text("raise RuntimeError('no such library')\n")
    (site / "acme_leaving.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(site)
    return site


def with_ring(scenario: Scenario, name: str) -> Scenario:
    """Name a ring on every edge that has one lane."""
    edges = scenario.graph["edges"]
    assert isinstance(edges, list)
    named = []
    for table in edges:
        policy = table.get("policy", {})
        if policy.get("lanes", 1) == 1:
            table = {**table, "policy": {**policy, "ring": name}}
        named.append(table)
    return replace(scenario, graph={**scenario.graph, "edges": named})


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.usefixtures("acme")
def test_an_edge_made_from_the_contract_alone_decides_as_ours_do(scenario: Scenario) -> None:
    made: list[Edge] = []

    def make(caps: QueueCaps, clock: PlatformClock) -> Edge:
        made.append(LinkedEdge(caps, clock))
        return made[-1]

    def executor(
        plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> SingleThreadRuntime:
        single = [edge for edge in plan.edges if edge.policy.lanes == 1]
        assert {(edge.ring, edge.make) for edge in single} <= {("linked", LinkedEdge)}
        edges = tuple(replace(e, make=make) if e in single else e for e in plan.edges)
        runtime = SingleThreadRuntime(replace(plan, edges=edges), clock, drain_ns=drain_ns, log=log)
        assert len(made) == len(single)
        return runtime

    seen = run(with_ring(scenario, "linked"), executor)
    difference = first_difference(scenario.log, seen.log)
    assert difference is None, f"{scenario.about}\n{difference}"
    assert seen.statistics.outcome == scenario.outcome
    assert seen.statistics.closes
    assert not any(isinstance(edge, Ring) for edge in made)


def test_nearly_all_scenarios_have_an_edge_that_the_foreign_ring_can_take() -> None:
    linked = [with_ring(scenario, "linked").graph["edges"] for scenario in SCENARIOS]
    named = [edges for edges in linked if '"linked"' in json.dumps(edges)]
    assert len(named) >= len(SCENARIOS) - 3 >= 70


@pytest.mark.parametrize("name", ["static", "heap"])
def test_our_own_rings_are_named_like_any_other(name: str) -> None:
    (scenario,) = scenarios("a_batch_closes_when_its_ring_cannot_grow")
    assert run(with_ring(scenario, name)).log == scenario.log


class Numbers(limen.Source):
    pausable = True

    def __init__(self, count: int) -> None:
        self.left = count
        self.started = False

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self.started = True

    def spec(self) -> limen.ObjectSpec:
        return limen.ObjectSpec(int)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if not self.left:
            return SourceSignal.END_OF_STREAM
        self.left -= 1
        return Produced(self.left)


class Keep(limen.Sink):
    def __init__(self) -> None:
        self.kept: list[object] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.kept.append(message.payload)


def graph_of(
    policy: EdgePolicy | None = None, source: Numbers | None = None
) -> tuple[limen.Graph, Keep]:
    sink = Keep()
    graph = limen.Graph("small").add("numbers", source or Numbers(3)).add("keep", sink)
    return graph.connect("numbers", "keep", policy), sink


def named(ring: str, **more: object) -> EdgePolicy:
    return EdgePolicy(QueueCaps(4), ring=ring, **more)  # type: ignore[arg-type]


def problems_of(graph: limen.Graph) -> list[tuple[str, Code, str, str]]:
    with pytest.raises(GraphError) as caught:
        limen.check(graph)
    return [(p.place, p.code, p.message, p.remedy) for p in caught.value.problems]  # type: ignore[attr-defined]


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.usefixtures("acme")
def test_a_graph_in_python_runs_on_the_ring_it_names(checked: bool) -> None:
    graph, sink = graph_of(named("linked"))
    report = limen.run(graph, clock=SimClock(), checked=checked)
    assert sink.kept == [2, 1, 0]
    assert report.statistics.outcome == "completed"
    assert report.statistics.closes


@pytest.mark.usefixtures("acme")
def test_naming_a_ring_changes_nothing_else_of_the_plan() -> None:
    plain = limen.check(graph_of(EdgePolicy(QueueCaps(4)))[0])
    other = limen.check(graph_of(named("linked"))[0])
    assert (plain.memory_bound_bytes, plain.profile) == (other.memory_bound_bytes, other.profile)
    assert [o.depth for o in plain.nodes[0].outputs] == [o.depth for o in other.nodes[0].outputs]
    assert (plain.edges[0].ring, other.edges[0].ring) == ("heap", "linked")


@pytest.mark.parametrize(
    ("policy", "kept", "refused"),
    [
        (named("moody"), [5, 4, 3, 2, 1, 0], {}),
        (named("moody", admission=limen.AdmissionPolicy.DROP_NEWEST), [5, 3, 1], {"full": 3}),
        (named("moody", admission=limen.AdmissionPolicy.DROP_OLDEST), [5, 3, 1], {"full": 3}),
    ],
    ids=["block", "drop_newest", "drop_oldest"],
)
@pytest.mark.usefixtures("acme")
def test_what_a_ring_rejects_against_its_contract_is_staged_or_refused_and_never_leaks(
    policy: EdgePolicy, kept: list[int], refused: dict[str, int]
) -> None:
    graph, sink = graph_of(policy, Numbers(6))
    statistics = limen.run(graph, clock=SimClock()).statistics
    assert (sink.kept, statistics.edges[0].refused) == (kept, refused)
    assert statistics.closes
    assert statistics.outputs[0].live == 0


@pytest.mark.usefixtures("acme")
def test_a_ring_that_takes_nothing_ends_in_a_deadlock_that_is_reported() -> None:
    graph, sink = graph_of(named("shut"))
    statistics = limen.run(graph, clock=SimClock()).statistics
    assert (sink.kept, statistics.outcome, statistics.closes) == ([], "deadlocked", True)
    assert statistics.edges[0].refused == {"stopped": 1}


@pytest.mark.usefixtures("acme")
def test_an_unknown_ring_is_one_problem_with_every_edge_that_names_it() -> None:
    graph, sink = graph_of(named("linkd"))
    graph.add("also", Keep()).connect("numbers", "also", named("linkd"))
    known = ", ".join(sorted([*OFFERED, "heap", "priority2", "static"]))
    assert problems_of(graph) == [
        (
            "numbers -> keep, numbers -> also",
            Code.UNKNOWN_TYPE,
            "unknown ring 'linkd'",
            f"did you mean 'linked'? (known: {known})",
        )
    ]
    assert sink.kept == []


@pytest.mark.parametrize(
    ("ring", "code", "said"),
    [
        ("broken", Code.UNKNOWN_TYPE, "from acme_broken:Ring: RuntimeError: no such library"),
        ("leaving", Code.UNKNOWN_TYPE, "from acme_leaving:Ring: SystemExit: 0"),
        ("gone", Code.UNKNOWN_TYPE, "from linked_edge:Gone: AttributeError"),
        ("number", Code.BAD_COMPONENT, "is a int"),
        ("seven", Code.BAD_COMPONENT, "makes a int"),
        ("dear", Code.BAD_COMPONENT, "cannot be made: OSError: no such device"),
        ("exiting", Code.BAD_COMPONENT, "cannot be made: SystemExit: 0"),
        ("always_one", Code.BAD_COMPONENT, "makes no new edge: this edge has a producer already"),
        ("many_lanes", Code.BAD_COMPONENT, "says that it has 3 lanes"),
        ("without_clock", Code.BAD_COMPONENT, "cannot be made: TypeError"),
        ("deaf", Code.BAD_COMPONENT, "gives a object as its producer"),
    ],
)
@pytest.mark.usefixtures("acme")
def test_a_ring_that_cannot_be_had_is_named_before_the_start(
    ring: str, code: Code, said: str
) -> None:
    source = Numbers(3)
    graph, _ = graph_of(named(ring), source)
    ((place, seen, message, remedy),) = problems_of(graph)
    assert (place, seen) == ("numbers -> keep", code)
    assert message.startswith(f"ring {ring!r} ")
    assert said in message
    assert remedy
    with pytest.raises(GraphError):
        make_runtime(graph)
    with pytest.raises(GraphError):
        limen.run(graph)
    assert not source.started


@pytest.mark.parametrize(
    ("ring", "lanes", "said"),
    [
        ("static", 2, "ring 'static' has one lane, and the policy asks for 2"),
        ("linked", 2, "ring 'linked' has one lane, and the policy asks for 2"),
        ("priority2", 1, "ring 'priority2' has 2 lanes, and the policy asks for 1"),
    ],
)
@pytest.mark.usefixtures("acme")
def test_a_ring_with_other_lanes_than_asked_for_is_refused(
    ring: str, lanes: int, said: str
) -> None:
    graph, _ = graph_of(named(ring, lanes=lanes))
    ((_, code, message, remedy),) = problems_of(graph)
    assert (code, message) == (Code.QUEUE_UNSUPPORTED, said)
    assert remedy == f"write lanes = {3 - lanes}, or name another ring"


def test_a_plan_whose_ring_turns_out_to_be_no_edge_makes_no_runtime() -> None:
    plan = limen.check(graph_of()[0], SimClock())
    edges = tuple(replace(edge, ring="odd", make=linked_edge.seven) for edge in plan.edges)
    with pytest.raises(ConfigurationError, match="ring 'odd' makes a int"):
        SingleThreadRuntime(replace(plan, edges=edges), SimClock())


def test_a_name_that_two_packages_offer_is_refused(
    acme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    install(other, "rival", {"linked": "rival:Edge", "static": "rival:Edge"})
    monkeypatch.syspath_prepend(other)
    graph, _ = graph_of(named("linked"))
    ((_, _, message, remedy),) = problems_of(graph)
    assert message == (
        "ring 'linked' is offered more than once: linked_edge:LinkedEdge, rival:Edge"
    )
    assert remedy == "uninstall all but one of the packages that offer it"
    # What names no ring keeps ours.
    assert limen.check(graph_of()[0]).edges[0].ring == "heap"


@pytest.mark.parametrize("ring", ["", 7, b"static", True])
def test_a_policy_refuses_a_ring_that_is_no_name(ring: object) -> None:
    with pytest.raises(ConfigurationError, match="ring is "):
        EdgePolicy(ring=ring)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [EdgePolicy.mailbox_latest, EdgePolicy.latch_latest])
@pytest.mark.usefixtures("acme")
def test_a_mailbox_and_a_latch_may_name_a_ring(make: Callable[[], EdgePolicy]) -> None:
    policy = replace(make(), ring="linked")
    assert policy.retention is make().retention
    if not policy.is_latch:
        graph, sink = graph_of(policy)
        assert limen.run(graph, clock=SimClock()).statistics.closes
        assert sink.kept


def test_what_limen_chooses_is_what_its_entry_points_name() -> None:
    scalar = limen.TensorSpec(limen.DataType.F32, (2,))

    class Scalars(Numbers):
        def spec(self) -> limen.TensorSpec:  # type: ignore[override]  # another payload
            return scalar

    chosen = []
    for source, policy in (
        (Scalars(1), EdgePolicy()),
        (Numbers(1), EdgePolicy()),
        (Scalars(1), EdgePolicy(lanes=2)),
        (Numbers(1), EdgePolicy(lanes=2)),
    ):
        graph = limen.Graph("chosen").add("source", source).add("sink", Keep())
        edge = limen.check(graph.connect("source", "sink", policy)).edges[0]
        assert edge.make is find_edge(edge.ring)
        assert find_edge(edge.ring).lanes == policy.lanes  # type: ignore[attr-defined]  # a class
        chosen.append(edge.ring)
    assert chosen == ["static", "heap", "priority2", "priority2"]
    ours = importlib.metadata.distribution("limen").entry_points.select(group=RING_GROUP)
    assert set(chosen) == ours.names <= set(offers(RING_GROUP))


def test_a_graph_that_names_no_ring_needs_no_package_metadata(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: object) -> object:
        raise AssertionError("looked at package metadata")

    monkeypatch.setattr(importlib.metadata, "entry_points", fail)
    graph, sink = graph_of()
    limen.run(graph, clock=SimClock())
    assert sink.kept == [2, 1, 0]


def test_node_types_and_backends_are_looked_up_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install(site, "acme", {"csv": "acme_leaving:Csv"}, "limen.components")
    install(site, "rival", {"onnxruntime": "rival:Engine", "acme": "gone:Engine"}, "limen.backends")
    monkeypatch.syspath_prepend(site)
    path = tmp_path / "graph.toml"
    path.write_text(_GRAPH.format(ring="static").replace("discard", "csv"))
    ours = "acme_leaving:Csv, limen.io:CsvSource"
    with pytest.raises(GraphError, match=f"node type 'csv' is offered more than once: {ours}"):
        limen.load(path)
    with pytest.raises(ConfigurationError, match="backend 'onnxruntime' is offered more than once"):
        find_backend("onnxruntime")
    with pytest.raises(ConfigurationError, match="backend 'acme' cannot be loaded from gone:Engin"):
        find_backend("acme")


_GRAPH = """limen = 1
[nodes.sine]
type = "sine"
rate_hz = 10
frequencies_hz = [1.0]
count = 3
[nodes.out]
type = "discard"
[[edges]]
chain = ["sine", "out"]
policy = {{ max_items = 4, ring = "{ring}" }}
"""


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["limen", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


@pytest.mark.usefixtures("acme")
def test_a_graph_file_names_a_ring_and_check_and_drawings_say_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "graph.toml"
    path.write_text(_GRAPH.format(ring="linked"))
    assert command(monkeypatch, "check", str(path)) == 0
    assert "edge sine.out -> out.in: block, 4 items in ring linked, " in capsys.readouterr().out
    assert command(monkeypatch, "check", "--json", str(path)) == 0
    assert json.loads(capsys.readouterr().out)["edges"][0]["ring"] == "linked"
    drawn = verify(limen.load(path).spec())
    assert "block 4, ring linked" in to_mermaid(drawn)
    assert "block 4, ring linked" in to_dot(drawn)
    assert "block 4, ring linked" in to_svg(drawn)
    assert command(monkeypatch, "run", str(path)) == 0


@pytest.mark.parametrize("allow_import", [False, True])
def test_a_ring_in_a_file_is_never_a_module(
    allow_import: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limen_test_ring.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "graph.toml"
    path.write_text(_GRAPH.format(ring="limen_test_ring:Ring"))
    with pytest.raises(GraphError, match="unknown ring 'limen_test_ring:Ring'") as caught:
        limen.load(path, allow_import=allow_import)
    assert [p.place for p in caught.value.problems] == ["edges[0].policy.ring"]  # type: ignore[attr-defined]
    assert "limen_test_ring" not in sys.modules
