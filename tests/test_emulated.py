"""A graph printed as C decides on an emulated Cortex-M4 as the reference executor does."""

from __future__ import annotations

from pathlib import Path

import pytest

from c_host import run_reference
from limen.app import check
from limen.codegen.c99 import print_c
from limen.codegen.c99._board import why_not
from limen.codegen.c99._emulate import emulate_log
from limen.codegen.c99._toolchain import Mcu, find
from limen.errors import GraphError
from limen.graph import load_document
from limen.scheduling import Plan
from limen.testing import scenario_names, scenarios
from limen.testing.drawn import Kind, StoppingClock, draw_graph
from limen.testing.table import first_difference

MISSING = "no C compiler for cortex-m4" if find(Mcu.CORTEX_M4) is None else why_not()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

LATEST = 2_000
"""The tick of a stop of drawn graphs that would run for ever."""


@pytest.mark.parametrize("name", scenario_names()[::3])
def test_a_scenario_is_decided_alike_on_the_emulated_board(name: str, tmp_path: Path) -> None:
    (scenario,) = scenarios(name)

    def lowered() -> tuple[Plan, StoppingClock]:
        graph = load_document(scenario.graph, scenario.path, allow_import=True).graph
        clock = StoppingClock(scenario.stop_at_tick, scenario.tick_rate_hz)
        return check(graph, clock), clock

    wanted = run_reference(*lowered(), scenario.drain_ns).log
    plan, clock = lowered()
    found = emulate_log(
        print_c(plan, clock),
        stop_at_tick=scenario.stop_at_tick,
        drain_ticks=clock.nanos_to_ticks(scenario.drain_ns),
        directory=tmp_path,
    )
    assert first_difference(wanted, found) is None
    assert found == wanted


def test_a_few_random_graphs_are_decided_alike_on_the_emulated_board(tmp_path: Path) -> None:
    compared = 0
    for seed in range(30):
        drawn = draw_graph(seed, list(Kind)[seed % len(Kind)])
        stop_at = LATEST if drawn.stop_at_tick is None else drawn.stop_at_tick
        try:
            clock = StoppingClock(stop_at)
            printed = print_c(check(drawn.graph(), clock), clock)
            clock = StoppingClock(stop_at)
            wanted = run_reference(check(drawn.graph(), clock), clock, drawn.drain_ms * 1_000_000)
        except GraphError:
            # What the reference refuses, or what has no C form: objects.
            continue
        drain = clock.nanos_to_ticks(drawn.drain_ms * 1_000_000)
        found = emulate_log(
            printed, stop_at_tick=stop_at, drain_ticks=drain, directory=tmp_path / str(seed)
        )
        parted = first_difference(wanted.log, found)
        assert parted is None, f"{drawn.toml()}\nthe log is not the reference's (-):\n{parted}"
        compared += 1
    assert compared > 10
