"""What ``check`` says of utilisation and ages, against simulated runs: never exceeded."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from bounded_graphs import bounded_graph
from limen import SimClock
from limen.app import check
from limen.errors import GraphError
from limen.graph import load_document
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Bounds, bounds
from limen.telemetry import RunStatistics

RATE_HZ = 1_000_000


def simulate(seed: int) -> tuple[Bounds, RunStatistics] | None:
    """Draw a graph, bound it, run it; None where it is refused."""
    graph = bounded_graph(seed)
    clock = SimClock(RATE_HZ)
    try:
        plan = check(graph, clock)
    except GraphError:
        return None
    runtime = SingleThreadRuntime(plan, clock)
    return bounds(plan), runtime.run()


def ratios_of(seed: int) -> list[float] | None:
    """Hold a run against its bounds; measured age by bound, where there is a bound."""
    simulated = simulate(seed)
    if simulated is None:
        return None
    bound, run = simulated
    found = []
    measured = {(path.source, path.sink): path.age.max_ns for path in run.paths}
    limits = {(path.source, path.sink): path for path in bound.paths}
    for key, age_ns in measured.items():
        limit = limits[key]
        if limit.bound_ns is None:
            assert limit.why, key
            continue
        assert age_ns <= limit.bound_ns, (
            f"seed {seed}, {key}: {age_ns / 1e6} ms, bound {limit.bound_ns / 1e6} ms"
        )
        if limit.bound_ns:
            found.append(age_ns / limit.bound_ns)
    if bound.utilisation is not None:
        costs = {share.node: share.cost_ns for share in bound.shares}
        worked = sum(node.calls * costs[node.name] for node in run.nodes)
        extra = bound.busy_ns if bound.busy_ns is not None else run.duration_ns
        assert worked <= min(1, bound.utilisation) * run.duration_ns + extra, seed
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_measured_age_is_above_its_bound(seed: int) -> None:
    ratios_of(seed)


GRAPHS = {
    "a join by time": {
        "nodes": {
            "s": {"type": "sine", "rate_hz": 20, "count": 60, "frequencies_hz": [1.0]},
            "t": {"type": "sine", "rate_hz": 1, "count": 5, "frequencies_hz": [1.0]},
            "n": {"type": "join_by_time", "tolerance": "2ms", "timeout": "2000ms", "depth": 60},
            "z": {"type": "discard", "policy": {"sim_cost": "1ms"}},
            "y": {"type": "discard"},
        },
        "edges": [
            {"from": "s", "to": "n.left", "policy": {"admission": "drop_oldest"}},
            {"from": "t", "to": "n.right", "policy": {"admission": "drop_oldest"}},
            {"from": "n.out", "to": "z"},
            {"from": "n.missing", "to": "y"},
        ],
    },
    "a hold by period": {
        "nodes": {
            "s": {"type": "sine", "rate_hz": 5, "count": 5, "frequencies_hz": [1.0]},
            "n": {
                "type": "sample_and_hold",
                "policy": {"activation": {"periodic": "10ms"}, "sim_cost": "1ms"},
            },
            "z": {"type": "discard"},
        },
        "edges": [
            {"from": "s", "to": "n.in", "policy": {"admission": "drop_oldest"}},
            {"from": "n", "to": "z", "policy": {"admission": "drop_oldest"}},
        ],
    },
    "two lanes before a period": {
        "nodes": {
            "s": {
                "type": "limen.testing:ScriptedSource",
                "every": "10ms",
                "script": [{}] + [{"qos": "latency_critical"}] * 99,
            },
            "z": {
                "type": "limen.testing:ScriptedSink",
                "policy": {"activation": {"periodic": "20ms"}, "sim_cost": "1ms"},
            },
        },
        "edges": [
            {
                "from": "s",
                "to": "z",
                "policy": {"admission": "drop_newest", "max_items": 4, "lanes": 2},
            }
        ],
    },
}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_keeps_messages_lets_them_overtake_or_makes_them_up_is_known(name: str) -> None:
    document = {"limen": 1, "name": "kept", **GRAPHS[name]}
    loaded = load_document(document, Path(__file__), allow_import=True)
    assert not loaded.problems, loaded.problems
    clock = SimClock(RATE_HZ)
    plan = check(loaded.graph, clock)
    limits = {(path.source, path.sink): path for path in bounds(plan).paths}
    run = SingleThreadRuntime(plan, clock).run()
    assert run.paths
    for path in run.paths:
        limit = limits[path.source, path.sink]
        assert limit.why or path.age.max_ns <= (limit.bound_ns or 0), path


@pytest.mark.slow
def test_no_age_of_two_hundred_graphs_is_above_its_bound_and_the_bounds_are_this_tight() -> None:
    ratios: list[float] = []
    unbounded = graphs = seed = 0
    while graphs < 200:
        found = ratios_of(seed)
        seed += 1
        if found is None:
            continue
        graphs += 1
        unbounded += not found
        ratios += found
    quarters = statistics.quantiles(ratios, n=4)
    print(
        f"{graphs} graphs, {len(ratios)} bounded paths, {unbounded} graphs without any: "
        f"measured by bound, quartiles {', '.join(f'{q:.2f}' for q in quarters)}, "
        f"largest {max(ratios):.2f}"
    )
    assert len(ratios) >= 100
    assert max(ratios) <= 1
