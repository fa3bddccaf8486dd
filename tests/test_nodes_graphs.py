"""Every node of the library in real runs on simulated time, twice, from Python and from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import limen
import limen.nodes
from doubles import CollectingSink, ListSource, assert_settled, runtime_of
from library import spec
from limen.app import check, load
from limen.errors import NodeError
from limen.node import Node
from limen.nodes import (
    Affine,
    ArgMax,
    Cast,
    Concat,
    Debounce,
    Decimate,
    JoinByTime,
    Moving,
    RateLimiter,
    Router,
    SampleAndHold,
    Split,
    Threshold,
    TopK,
    Window,
)
from limen.platform import SimClock
from limen.policy import EdgePolicy, NodePolicy, Periodic, Trigger
from limen.telemetry import RunStatistics
from limen.types import TensorSpec

MS = 1_000_000
F3 = spec("f32", 3, labels="xyz")
_RANDOM = np.random.default_rng(20)
XS = [x.astype(np.float32) for x in _RANDOM.normal(size=(40, 3))]
BITS = [np.array(b) for b in _RANDOM.integers(0, 2, size=(40, 3)).astype(bool)]


def made(spec_: TensorSpec, values: list[np.ndarray], every: int = 10, first: int = 0) -> object:
    at = [(first + i * every) * MS for i in range(len(values) + 1)]
    return lambda: ListSource(values, at_ns=at, spec=spec_, states_creation=True)


NUMBERS = made(F3, XS)
STATES = made(spec("bool", 3), BITS)
SLOW = made(F3, XS[:10], every=33, first=4)

# A node, and what feeds its inputs.
CASES: dict[str, tuple[Callable[[], Node], dict[str, Callable[[], ListSource]]]] = {
    "affine": (lambda: Affine([1, 2, 3], 0.5), {"in": NUMBERS}),
    "argmax": (ArgMax, {"in": NUMBERS}),
    "cast": (lambda: Cast("s8"), {"in": NUMBERS}),
    "concat": (lambda: Concat(["a", "b"]), {"a": NUMBERS, "b": NUMBERS}),
    "debounce": (lambda: Debounce(2, "10ms"), {"in": STATES}),
    "decimate": (lambda: Decimate(3, 1), {"in": NUMBERS}),
    "join_by_time": (lambda: JoinByTime("3ms", "20ms", 2), {"left": NUMBERS, "right": SLOW}),
    "join_as_tuple": (
        lambda: JoinByTime("3ms", "20ms", 2, "tuple"),
        {"left": NUMBERS, "right": SLOW},
    ),
    "moving": (lambda: Moving(["mean", "max"], 5, 2), {"in": NUMBERS}),
    "moving_extreme": (lambda: Moving("min", 4), {"in": NUMBERS}),
    "rate_limiter": (lambda: RateLimiter("25ms", 2), {"in": NUMBERS}),
    "router": (lambda: Router(["a", "b", "c"], "class"), {"in": NUMBERS}),
    "router_by_selector": (
        lambda: Router(["a", "b"], by_selector=True),
        {"in": NUMBERS, "selector": STATES},
    ),
    "router_by_value": (
        lambda: Router(["a", "b"], "value", 2, [0.0], "rest"),
        {"in": NUMBERS},
    ),
    "sample_and_hold": (SampleAndHold, {"in": NUMBERS, "trigger": SLOW}),
    "split": (lambda: Split([1, 2], ["a", "b"]), {"in": NUMBERS}),
    "threshold": (lambda: Threshold(0.5, -0.5, True), {"in": NUMBERS}),
    "top_k": (lambda: TopK(2), {"in": NUMBERS}),
    "window": (lambda: Window(4, 2), {"in": NUMBERS}),
}


def run(
    node: Node,
    feeds: Mapping[str, Callable[[], ListSource]],
    policy: NodePolicy | None = None,
    edges: Mapping[str, EdgePolicy] | None = None,
) -> tuple[RunStatistics, dict[str, list[tuple[object, ...]]]]:
    graph = limen.Graph("library").add("node", node, policy)
    for port, make in feeds.items():
        graph.add(f"from_{port}", make())
        edge = (edges or {}).get(port, EdgePolicy.block(4))
        graph.connect(f"from_{port}", f"node.{port}", edge)
    sinks = {port: CollectingSink() for port in node.output_names}
    for port, sink in sinks.items():
        graph.add(f"to_{port}", sink).connect(f"node.{port}", f"to_{port}", EdgePolicy.block(8))
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert all(one.errors == 0 for one in statistics.nodes), statistics.nodes
    return statistics, {port: list(sink.arrivals) for port, sink in sinks.items()}


@pytest.mark.parametrize("name", CASES)
def test_two_runs_are_equal_and_every_sum_closes(name: str) -> None:
    make, feeds = CASES[name]
    node = make()
    _, first = run(node, feeds)
    assert any(first.values()), "something comes out"
    _, second = run(make(), feeds)
    assert repr(first) == repr(second)
    # The same node again, as after a restart.
    node.reset()
    _, third = run(node, feeds)
    assert repr(first) == repr(third)


@pytest.mark.parametrize("name", CASES)
def test_state_bytes_are_those_of_the_arrays_it_keeps(name: str) -> None:
    make, feeds = CASES[name]
    node = make()
    node.prepare()
    ports = node.resolve({port: source().spec() for port, source in feeds.items()})
    promised = node.state_bytes
    node.initialize(SimClock(), ports)
    found: dict[int, int] = {}

    def look(value: object) -> None:
        if isinstance(value, np.ndarray):
            base = value if value.base is None else value.base
            found[id(base)] = base.nbytes
        elif isinstance(value, dict):
            for one in value.values():
                look(one)
        elif type(value).__module__.startswith("limen.nodes"):
            for one in vars(value).values():
                look(one)

    for value in vars(node).values():
        look(value)
    assert sum(found.values()) == promised == node.state_bytes


@pytest.mark.parametrize("name", CASES)
def test_a_step_before_initialize_is_refused(name: str) -> None:
    if name == "window":
        return
    with pytest.raises(NodeError, match="before initialize"):
        CASES[name][0]().step(None)  # type: ignore[arg-type] # it is not looked at


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_copied_that_the_node_has_written_in_place(name: str) -> None:
    make, feeds = CASES[name]
    statistics, _ = run(make(), feeds)
    copies = {one.name: one.copies for one in statistics.outputs if one.name.startswith("node.")}
    passes_on = ("decimate", "rate_limiter", "router", "sample_and_hold", "split")
    if name.startswith(passes_on):
        return
    if name.startswith("join"):
        assert copies["node.missing"] <= 40
        copies.pop("node.missing")
    assert not any(copies.values()), copies


def test_every_node_has_a_name_for_graph_files() -> None:
    named = {
        entry.value.partition(":")[2]
        for entry in entry_points(group="limen.components")
        if entry.value.startswith("limen.nodes:")
    }
    assert named == set(limen.nodes.__all__) - {"CNode"}, "a CNode is named by its module"


def test_a_graph_file_can_name_every_node(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text("a,b,c\n" + "1,2,3\n" * 30, "utf-8")
    path = tmp_path / "graph.toml"
    path.write_text(_EVERY_NODE, "utf-8")
    clock = SimClock()
    statistics = limen.runtime.SingleThreadRuntime(check(load(path), clock), clock).run()
    assert_settled(statistics)
    assert all(one.errors == 0 for one in statistics.nodes)


_SINKS = ("rest", "missing", "held", "few", "values", "indices", "out", "low")
_EVERY_NODE = (
    """
limen = 1
[nodes.csv]
type = "csv"
path = "walk.csv"
columns = ["a", "b", "c"]
rate_hz = 100
[nodes.gain]
type = "affine"
gain = [1, 0.5, 2]
offset = 1
[nodes.small]
type = "cast"
dtype = "s16"
rounding = "down"
[nodes.best]
type = "argmax"
[nodes.best_u8]
type = "cast"
dtype = "u8"
[nodes.steady]
type = "debounce"
count = 2
duration = "20ms"
[nodes.few]
type = "decimate"
keep_every = 3
[nodes.level]
type = "moving"
statistics = ["mean", "rms"]
size = 4
[nodes.peak]
type = "moving"
statistics = "max"
size = 4
[nodes.on]
type = "threshold"
high = 2
low = 1
[nodes.rank]
type = "top_k"
k = 2
[nodes.parts]
type = "split"
sizes = [1, 2]
outputs = ["x", "yz"]
[nodes.again]
type = "concat"
inputs = ["x", "yz"]
[nodes.pairs]
type = "join_by_time"
tolerance = "1ms"
timeout = "50ms"
[nodes.limit]
type = "rate_limiter"
every = "30ms"
[nodes.hold]
type = "sample_and_hold"
[nodes.route]
type = "router"
outputs = ["low", "high"]
by = "value"
bounds = [1.5]
otherwise = "rest"
[nodes.recent]
type = "window"
size = 5
"""
    + "".join(f'[nodes.to_{name}]\ntype = "discard"\n' for name in _SINKS)
    + "".join(
        f'[nodes.end_{i}]\ntype = "discard"\n[[edges]]\nfrom = "{name}"\nto = "end_{i}"\n'
        for i, name in enumerate(("steady", "level", "peak", "on", "recent", "limit"))
    )
    + """
[[edges]]
chain = ["csv", "gain", "small"]
[[edges]]
chain = ["csv", "best", "best_u8", "steady"]
[[edges]]
chain = ["csv", "few", "to_few"]
[[edges]]
chain = ["csv", "level"]
[[edges]]
chain = ["csv", "peak"]
[[edges]]
chain = ["csv", "on"]
[[edges]]
chain = ["small", "rank"]
[[edges]]
from = "rank.values"
to = "to_values"
[[edges]]
from = "rank.indices"
to = "to_indices"
[[edges]]
chain = ["gain", "parts"]
[[edges]]
from = "parts.x"
to = "again.x"
[[edges]]
from = "parts.yz"
to = "again.yz"
[[edges]]
from = "again"
to = "pairs.left"
[[edges]]
from = "gain"
to = "pairs.right"
[[edges]]
from = "pairs.out"
to = "to_out"
[[edges]]
from = "pairs.missing"
to = "to_missing"
[[edges]]
chain = ["csv", "limit"]
[[edges]]
from = "csv"
to = "hold.in"
[[edges]]
from = "few"
to = "hold.trigger"
[[edges]]
chain = ["hold", "route"]
[[edges]]
from = "route.low"
to = "to_low"
[[edges]]
from = "route.high"
to = "to_held"
[[edges]]
from = "route.rest"
to = "to_rest"
[[edges]]
chain = ["csv", "recent"]
"""
)


def test_by_period_a_hold_emits_the_latest_of_a_latch() -> None:
    policy = NodePolicy(activation=Periodic("25ms"))
    edges = {"in": EdgePolicy.latch_latest()}
    _, out = run(SampleAndHold(), {"in": NUMBERS}, policy, edges)
    assert [a.payload for a in out["out"][:3]] == [XS[i].tolist() for i in (2, 5, 7)]
    assert [a.now for a in out["out"][:3]] == [25 * MS, 50 * MS, 75 * MS]


def test_a_hold_steps_for_its_trigger_where_a_latch_feeds_it() -> None:
    policy = NodePolicy(activation=Trigger("trigger"))
    edges = {"in": EdgePolicy.latch_latest()}
    feeds = {"in": NUMBERS, "trigger": SLOW}
    _, by_latch = run(SampleAndHold(), feeds, policy, edges)
    _, by_any = run(SampleAndHold(), feeds)
    _, by_latch_and_any = run(SampleAndHold(), feeds, None, edges)
    assert by_latch == by_any == by_latch_and_any
    assert len(by_any["out"]) == 10


def test_silence_times_out_by_period_only() -> None:
    left = made(F3, XS[:2], every=500)
    right = made(F3, [], first=900)
    feeds = {"left": left, "right": right}
    _, waiting = run(JoinByTime("1ms", "50ms"), feeds)
    assert [a.now for a in waiting["missing"]] == [500 * MS], "judged when the next one comes"
    policy = NodePolicy(activation=Periodic("20ms"))
    _, timed = run(JoinByTime("1ms", "50ms"), feeds, policy)
    # Taken at the period of 20 ms and judged at that of 80 ms; the second likewise.
    assert [a.now for a in timed["missing"]] == [80 * MS, 560 * MS]
    assert [a.creation for a in timed["missing"]] == [0, 500 * MS]


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_all_that_wait_may_time_out_in_one_step(capacity: int) -> None:
    feeds = {"left": made(F3, XS[:9], every=1), "right": made(F3, XS[:1], first=100)}
    graph = limen.Graph("burst").add("pairs", JoinByTime("0ns", "50ms", depth=8))
    for port, make in feeds.items():
        graph.add(f"from_{port}", make()).connect(f"from_{port}", f"pairs.{port}")
    sink = CollectingSink()
    graph.add("missing", sink).add("out", CollectingSink()).connect("pairs.out", "out")
    graph.connect("pairs.missing", "missing", EdgePolicy.block(capacity))
    assert_settled(runtime_of(graph).run())
    # The ninth made room for itself; the others waited for the step at 100 ms.
    assert sink.sequences == list(range(9))
    assert [a.now for a in sink.arrivals] == [8 * MS, *[100 * MS] * 8]


def test_every_left_is_paired_or_missing_but_those_that_wait_at_the_end() -> None:
    make, feeds = CASES["join_by_time"]
    _, out = run(make(), feeds)
    left = [a.sequence for a in sorted([*out["out"], *out["missing"]], key=lambda a: a.sequence)]
    assert left == list(range(len(left)))
    assert len(left) >= 40 - 2
    assert [a.sequence for a in out["out"]], "some are paired"


def test_a_router_feeds_branches_that_are_joined_by_time_again() -> None:
    sink = CollectingSink()
    graph = limen.Graph("branches").add("in_", NUMBERS()).add("sink", sink)
    graph.add("route", Router(["a", "b"], "value", 0, [0.0]))
    graph.add("left", Affine(2)).add("right", Affine(3))
    graph.add("gone", CollectingSink())
    graph.add("pairs", JoinByTime("15ms", "100ms"))
    graph.connect("in_", "route").connect("route.a", "left").connect("route.b", "right")
    graph.connect("left", "pairs.left").connect("right", "pairs.right")
    graph.connect("pairs.out", "sink").connect("pairs.missing", "gone")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert sink.arrivals
