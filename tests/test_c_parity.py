"""A graph printed as C decides and counts as the reference executor does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from c_host import NEEDS_COMPILER, PLAIN, SANITIZED, SPECIALISED, Run, run_c, run_reference
from limen.app import check
from limen.errors import Code, GraphError
from limen.graph import load_document
from limen.scheduling import Plan
from limen.testing import scenario_names, scenarios
from limen.testing.drawn import Drawn, Kind, StoppingClock, draw_graph
from limen.testing.table import first_difference

pytestmark = NEEDS_COMPILER

GRAPHS = 500
LATEST = 2_000
"""The tick of a stop of drawn graphs that would run for ever."""

Lowered = Callable[[], tuple[Plan, StoppingClock]]


def assert_equal(where: str, found: Run, wanted: Run) -> None:
    parted = first_difference(wanted.log, found.log)
    assert parted is None, f"{where}: the log is not the reference's (-):\n{parted}"
    assert found.complaints == "", where
    assert found.outcome == wanted.outcome, where
    assert found.edges == wanted.edges, where
    assert found.nodes == wanted.nodes, where


def compare(
    where: str,
    lowered: Lowered,
    folder: Path,
    flags: tuple[str, ...],
    stop_at: int | None,
    drain_ns: int,
) -> None:
    plan, clock = lowered()
    wanted = run_reference(plan, clock, drain_ns)
    plan, clock = lowered()
    found = run_c(plan, clock, folder, flags=flags, stop_at=stop_at, drain_ns=drain_ns)
    assert_equal(where, found, wanted)


def compare_scenario(name: str, folder: Path, flags: tuple[str, ...]) -> None:
    (scenario,) = scenarios(name)

    def lowered() -> tuple[Plan, StoppingClock]:
        graph = load_document(scenario.graph, scenario.path, allow_import=True).graph
        clock = StoppingClock(scenario.stop_at_tick, scenario.tick_rate_hz)
        return check(graph, clock), clock

    compare(name, lowered, folder, flags, scenario.stop_at_tick, scenario.drain_ns)


@pytest.mark.slow
@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_is_decided_alike_under_the_sanitizers(name: str, tmp_path: Path) -> None:
    compare_scenario(name, tmp_path, SANITIZED)


@pytest.mark.parametrize("name", scenario_names()[::6])
def test_a_scenario_is_decided_alike_as_straight_line_code(name: str, tmp_path: Path) -> None:
    compare_scenario(name, tmp_path, SPECIALISED)


# Drawn graphs.


def compare_drawn(drawn: Drawn, folder: Path, flags: tuple[str, ...]) -> bool:
    """Compare a drawn graph; whether it has a C form."""
    stop_at = LATEST if drawn.stop_at_tick is None else drawn.stop_at_tick

    def lowered() -> tuple[Plan, StoppingClock]:
        clock = StoppingClock(stop_at)
        return check(drawn.graph(), clock), clock

    try:
        compare(drawn.toml(), lowered, folder, flags, stop_at, drawn.drain_ms * 1_000_000)
    except GraphError:
        # What the reference refuses, or what has no C form: objects.
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_random_graphs_are_decided_alike(part: int, tmp_path: Path) -> None:
    kinds = list(Kind)
    compared = 0
    for seed in itertools.count(100_000 * (part + 1)):
        compared += compare_drawn(draw_graph(seed, kinds[seed % len(kinds)]), tmp_path, PLAIN)
        if compared == GRAPHS // 10:
            break


def test_a_few_random_graphs_are_decided_alike(tmp_path: Path) -> None:
    drawn = (draw_graph(seed, list(Kind)[seed % len(Kind)]) for seed in range(40))
    assert sum(compare_drawn(one, tmp_path, PLAIN) for one in drawn) > 10


def test_all_that_has_no_c_form_is_named_at_once(tmp_path: Path) -> None:
    document = {
        "limen": 1,
        "nodes": {
            "src": {"type": "limen.testing:ScriptedSource", "count": 1},
            "one": {"type": "limen.testing.drawn:Objects"},
            "two": {"type": "limen.testing.drawn:Objects"},
            "sink": {"type": "limen.testing:ScriptedSink"},
        },
        "edges": [{"chain": ["src", "one", "two", "sink"]}],
    }
    graph = load_document(document, tmp_path / "graph.toml", allow_import=True).graph
    clock = StoppingClock(None)
    with pytest.raises(GraphError) as refused:
        run_c(check(graph, clock), clock, tmp_path, flags=PLAIN)
    assert refused.value.code is Code.NOT_PORTABLE
    text = str(refused.value)
    assert "one: Objects has no C form" in text
    assert "two: Objects has no C form" in text
    assert "two.out" in text
    assert "CNode" in text
