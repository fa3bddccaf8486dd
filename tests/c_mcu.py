"""Graphs in C for tests that build firmware, and what they need of this machine."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from limen.app import check, example_folder, load
from limen.codegen.c99 import Mcu, PrintedC, Reading, find, print_c, record, why_not
from limen.graph import Graph, load_document
from limen.io import CsvSource
from limen.node import SourceNode
from limen.platform import SimClock
from limen.scheduling import Plan
from limen.telemetry import TelemetrySwitches
from limen.testing import scenarios
from limen.testing.drawn import StoppingClock

NO_MCU = None if find(Mcu.CORTEX_M4) is not None else "no C compiler for cortex-m4"
NO_BOARD = NO_MCU or why_not()
NEEDS_MCU = pytest.mark.skipif(NO_MCU is not None, reason=str(NO_MCU))
NEEDS_BOARD = pytest.mark.skipif(NO_BOARD is not None, reason=str(NO_BOARD))
SCENARIOS = (
    "a_batch_closes_when_its_ring_cannot_grow",
    "an_any_join_ends_with_its_last_input",
    "an_overrun_in_a_batch_discards_one_result",
)
ACTIVITY = example_folder() / "activity.toml"
SWITCHES = {True: TelemetrySwitches(), False: TelemetrySwitches.none()}


def nm_of(mcu: Mcu) -> str:
    """Name the program that lists symbols of objects."""
    found = find(mcu)
    assert found is not None
    prefix = "" if mcu is Mcu.HOST else "arm-none-eabi-"
    tool = shutil.which(f"{prefix}nm")
    assert tool is not None
    return tool


def scenario_plan(name: str) -> tuple[Plan, StoppingClock]:
    (scenario,) = scenarios(name)
    graph = load_document(scenario.graph, scenario.path, allow_import=True).graph
    clock = StoppingClock(scenario.stop_at_tick, scenario.tick_rate_hz)
    return check(graph, clock), clock


def printed_scenario(name: str) -> PrintedC:
    return print_c(*scenario_plan(name))


def short_activity(folder: Path, rows: int = 150) -> Graph:
    """Return the activity graph over the first rows of its recording."""
    graph = load(ACTIVITY)
    node = graph.node("imu")
    assert isinstance(node, SourceNode)
    assert isinstance(node.source, CsvSource)
    lines = node.source.path.read_text(encoding="utf-8").splitlines(keepends=True)
    data = folder / "short.csv"
    data.write_text("".join(lines[: rows + 1]), encoding="utf-8")
    return graph.replace("imu", CsvSource(data, node.source.columns, rate_hz=node.source.rate_hz))


def printed_activity(folder: Path, *, metrics: bool = True) -> tuple[PrintedC, list[Reading]]:
    """Print the activity graph; it, and what its source gives."""
    graph, clock = short_activity(folder), SimClock()
    printed = print_c(check(graph, clock, switches=SWITCHES[metrics]), clock)
    node = graph.node("imu")
    assert isinstance(node, SourceNode)
    return printed, record(node.source, clock.tick_rate_hz)


def broken(printed: PrintedC, statement: str, *, before: str = "") -> PrintedC:
    """Return a graph whose init does something else first; ``before`` goes ahead of it."""
    name = printed.graph.name
    head = f"void {name}_init(struct {name} *g) {{\n"
    text = printed.files[f"{name}.c"]
    assert text.count(head) == 1
    text = text.replace(head, f"{before}\n{head}    {statement}\n")
    return dataclasses.replace(printed, files={**printed.files, f"{name}.c": text})
