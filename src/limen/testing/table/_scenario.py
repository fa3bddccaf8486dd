"""Scenarios: small graphs with scripted inputs, and the decisions that every executor makes."""

from __future__ import annotations

import fnmatch
import itertools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from limen.app import check
from limen.errors import ConfigurationError
from limen.graph import load_document
from limen.graph import verify as verify_graph
from limen.platform import PlatformClock
from limen.runtime import LimenRuntime, SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import Decision, DecisionLog, RunStatistics
from limen.testing._clock import StoppingClock
from limen.types import nearest, parse_duration_ns

_FILES = Path(__file__).parent / "scenarios"

Executor = Callable[[Plan, PlatformClock, int, DecisionLog], LimenRuntime]
"""Makes a runtime: of a plan, its clock, the drain timeout in ns, and the log to write."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named graph with inputs, a clock script and the expected decisions.

    Attributes:
        name: The file's stem.
        about: What it shows.
        spec: The passages of the specification that the expectation comes from.
        graph: The tables of its graph file.
        path: Its file.
        tick_rate_hz: Of the simulated clock.
        stop_at_tick: A stop is requested as soon as a sampled instant reaches it; None for never.
        drain_ns: How long the stop may drain.
        outcome: How the run ends.
        log: Canonical decision log.
    """

    name: str
    about: str
    spec: tuple[str, ...]
    graph: dict[str, object]
    path: Path
    tick_rate_hz: int
    stop_at_tick: int | None
    drain_ns: int
    outcome: str
    log: str


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """What an executor made of a scenario.

    Attributes:
        log: Its canonical decision log.
        sha256: The digest that it stated.
        statistics: Its accounting.
    """

    log: str
    sha256: str
    statistics: RunStatistics


def scenarios(pattern: str = "*") -> tuple[Scenario, ...]:
    """Return the scenarios of the table by name, those that a pattern like ``*batch*`` matches.

    Raises:
        ConfigurationError: None matches.
    """
    names = scenario_names(pattern)
    return tuple(load_scenario(_FILES / f"{name}.toml") for name in names)


def scenario_names(pattern: str = "*") -> tuple[str, ...]:
    """Return the names of scenarios without reading them, those that a pattern matches.

    Raises:
        ConfigurationError: None matches.
    """
    names = sorted(path.stem for path in _FILES.glob("*.toml"))
    found = tuple(name for name in names if fnmatch.fnmatchcase(name, pattern))
    if not found:
        raise ConfigurationError(
            f"no scenario is called {pattern!r}", remedy=nearest(pattern, names)
        )
    return found


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigurationError: A key is missing or unknown.
    """
    with path.open("rb") as file:
        table = tomllib.load(file)
    known = {"about", "spec", "log", "outcome", "clock", "graph"}
    clock = table.get("clock", {})
    strange = (set(table) - known) | (
        set(clock) - {"tick_rate_hz", "stop_at_tick", "drain_timeout"}
    )
    missing = known - {"clock"} - set(table)
    if strange or missing:
        raise ConfigurationError(
            f"scenario {path.name}: unknown {sorted(strange)}, missing {sorted(missing)}"
        )
    return Scenario(
        name=path.stem,
        about=table["about"],
        spec=tuple(table["spec"]),
        graph=table["graph"],
        path=path,
        tick_rate_hz=clock.get("tick_rate_hz", 1000),
        stop_at_tick=clock.get("stop_at_tick"),
        drain_ns=parse_duration_ns(clock.get("drain_timeout", "10s"), what="drain_timeout"),
        outcome=table["outcome"],
        log=table["log"],
    )


def run(scenario: Scenario, executor: Executor | None = None) -> ScenarioRun:
    """Run a scenario on an executor; on the reference if none is given.

    Args:
        scenario: What to run.
        executor: Makes the runtime.

    Raises:
        GraphError: The scenario's graph is not valid.
    """
    lines: list[str] = []
    log, statistics = run_into(scenario, reference if executor is None else executor, lines)
    return ScenarioRun("".join(lines), log.sha256, statistics)


def run_into(
    scenario: Scenario, executor: Executor, lines: list[str]
) -> tuple[DecisionLog, RunStatistics]:
    """Run a scenario and add its decisions to the lines as they are made: they outlast an error."""
    loaded = load_document(scenario.graph, scenario.path, allow_import=True)
    verify_graph(loaded.graph.spec(), found=tuple(loaded.problems), broken=frozenset(loaded.broken))
    clock = StoppingClock(scenario.stop_at_tick, scenario.tick_rate_hz)

    def listen(decision: Decision) -> None:
        lines.append(decision.canonical())

    log = DecisionLog(listen)
    runtime = executor(check(loaded.graph, clock), clock, scenario.drain_ns, log)
    clock.handle = runtime.stop_handle
    return log, runtime.run()


def first_difference(expected: str, seen: str) -> str | None:
    """Say where two decision logs part, with the lines ahead of it; None if they are equal."""
    number = parting_line(expected, seen)
    if number is None:
        return None
    wanted, found = expected.splitlines(), seen.splitlines()
    before = "\n".join(f"  {line}" for line in wanted[max(0, number - 6) : number - 1])
    want, have = (lines[number - 1] if number <= len(lines) else None for lines in (wanted, found))
    return f"{before}\nline {number}\n- {want}\n+ {have}"


def parting_line(expected: str, seen: str) -> int | None:
    """Return the number of the first line that differs, from 1 on; None if none does."""
    pairs = itertools.zip_longest(expected.splitlines(), seen.splitlines())
    return next((number for number, (want, have) in enumerate(pairs, 1) if want != have), None)


def reference(
    plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
) -> SingleThreadRuntime:
    """Make the executor that all others are compared with."""
    return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)
