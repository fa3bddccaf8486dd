"""Generated Python and native code decide, count and hand on as the reference executor does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import parity_parts
from limen.app import check
from limen.codegen import ProgramRuntime, Target, make_executor, why_not
from limen.errors import GraphError
from limen.graph import Graph, load_document
from limen.platform import PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing import RuntimeContract, scenario_names, scenario_tests, scenarios
from limen.testing.drawn import Drawn, Kind, StoppingClock, draw_graph
from limen.testing.table import Scenario, first_difference

Executor = Callable[[Plan, PlatformClock, int, DecisionLog], SingleThreadRuntime]

WITH_NATIVE = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
RATE_HZ, TICK_NS = 1_000_000_000, 1_000_000
"""Programs hold nodes on clocks that tick in ns; scenarios and drawn graphs mean ms."""
LATEST, MOST_STEPS = 2_000, 300
"""The tick and the step of a stop of graphs that would run for ever."""


def on(target: Target) -> Executor:
    def make(
        plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> SingleThreadRuntime:
        return make_executor(plan, clock, target, drain_ns=drain_ns, log=log)

    return make


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, native_cache: Path) -> None:
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(native_cache))


class Outcome(NamedTuple):
    """What is equal on every target."""

    log: list[str]
    statistics: RunStatistics
    arrivals: dict[str, list[parity_parts.Arrival]]


def outcome(
    graph: Graph,
    clock: StoppingClock,
    target: Target,
    drain_ns: int,
    stop_at_step: int | None = None,
) -> tuple[Outcome, int]:
    """Run a graph at once, or step by step up to a stop; and the turns that a Program took."""
    lines = list[str]()
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    runtime = on(target)(check(graph, clock), clock, drain_ns, log)
    clock.handle = runtime.stop_handle
    if stop_at_step is None:
        runtime.run()
    else:
        runtime.start()
        for calls in itertools.count():
            if calls == stop_at_step:
                runtime.stop_handle.request_stop()
            if not runtime.step():
                break
        runtime.stop()
    arrivals = {
        node.name: node.node.got
        for node in graph.spec().nodes
        if isinstance(node.node, parity_parts.Keeping)
    }
    turns = runtime.turns_taken if isinstance(runtime, ProgramRuntime) else 0
    return Outcome(lines, runtime.statistics(), arrivals), turns


def assert_equal(where: str, found: Outcome, wanted: Outcome) -> None:
    parted = first_difference("".join(wanted.log), "".join(found.log))
    assert parted is None, f"{where}: the log is not the reference's (-):\n{parted}"
    assert found.statistics == wanted.statistics, where
    assert found.arrivals == wanted.arrivals, where


# The scenario table: as it is, on its clock of 1 kHz, and in ns, where Programs hold nodes.

TestTheTableOnPython = scenario_tests(on(Target.PYTHON))
TestTheTableOnNative = WITH_NATIVE(pytest.mark.slow(scenario_tests(on(Target.NATIVE))))


def outcome_of(scenario: Scenario, target: Target) -> tuple[Outcome, int]:
    """Run a scenario on a clock that ticks in ns; and the turns that a Program took."""
    graph = load_document(scenario.graph, scenario.path, allow_import=True).graph
    stop_at = scenario.stop_at_tick
    clock = StoppingClock(
        None if stop_at is None else stop_at * TICK_NS * 1_000 // scenario.tick_rate_hz, RATE_HZ
    )
    return outcome(graph, clock, target, scenario.drain_ns)


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_in_ns_is_decided_alike_by_generated_python(name: str) -> None:
    (scenario,) = scenarios(name)
    wanted, _ = outcome_of(scenario, Target.REFERENCE)
    assert_equal(name, outcome_of(scenario, Target.PYTHON)[0], wanted)


@pytest.mark.slow
@WITH_NATIVE
@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_in_ns_is_decided_alike_by_native_code(name: str) -> None:
    (scenario,) = scenarios(name)
    wanted, _ = outcome_of(scenario, Target.REFERENCE)
    assert_equal(name, outcome_of(scenario, Target.NATIVE)[0], wanted)


def test_programs_take_turns_in_many_scenarios() -> None:
    turns = [outcome_of(scenario, Target.PYTHON)[1] for scenario in scenarios()]
    assert sum(count > 0 for count in turns) > 50


# The contract of runtimes.


class PythonSuite(RuntimeContract):
    target = Target.PYTHON

    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> SingleThreadRuntime:
        return on(self.target)(plan, clock, drain_ns, log)


@pytest.mark.slow
@WITH_NATIVE
class NativeSuite(PythonSuite):
    target = Target.NATIVE


# Random graphs.


def run_drawn(drawn: Drawn, target: Target, *, stepwise: bool) -> tuple[Outcome, int]:
    clock = StoppingClock((drawn.stop_at_tick or LATEST) * TICK_NS, RATE_HZ)
    steps = min(drawn.stop_at_step or MOST_STEPS, MOST_STEPS) if stepwise else None
    return outcome(drawn.graph(), clock, target, drawn.drain_ms * 1_000_000, steps)


def compared(drawn: Drawn, target: Target, *, stepwise: bool = False) -> int | None:
    """Compare a target with the reference; the Program's turns, None if verify refuses."""
    try:
        wanted, _ = run_drawn(drawn, Target.REFERENCE, stepwise=stepwise)
    except GraphError:
        return None
    found, turns = run_drawn(drawn, target, stepwise=stepwise)
    assert_equal(f"{drawn.kind} {drawn.seed}", found, wanted)
    return turns


def drawn_from(seed: int, scheduler: str = "round_robin") -> Drawn:
    """Draw a graph of parts that tell: of any kind, or one that a Program can hold much of."""
    drawn = draw_graph(seed, list(Kind)[seed // 2 % 3], plain=seed % 2 == 0)
    drawn = drawn if seed % 2 else parity_parts.plainer(drawn)
    return parity_parts.telling(drawn, scheduler)


# The size of an example is its seed: there is nothing for Hypothesis to make smaller.
ONCE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
A_SEED = st.integers(0, 2**32 - 1)


@settings(ONCE, max_examples=150)
@given(seed=A_SEED)
def test_random_graphs_are_decided_alike_by_generated_python(seed: int) -> None:
    compared(drawn_from(seed), Target.PYTHON)


@settings(ONCE, max_examples=100)
@given(seed=A_SEED)
def test_random_graphs_are_decided_alike_step_by_step(seed: int) -> None:
    compared(drawn_from(seed), Target.PYTHON, stepwise=True)


@settings(ONCE, max_examples=20)
@given(seed=A_SEED)
def test_random_graphs_are_decided_alike_under_edf(seed: int) -> None:
    compared(drawn_from(seed, "edf"), Target.PYTHON)


def test_a_gap_is_found_behind_the_step_of_a_program_where_nothing_has_a_schedule() -> None:
    """The gap of a node that the reference steps ends while a call of the Program's takes time."""
    assert compared(drawn_from(265), Target.PYTHON)


@pytest.mark.parametrize("size", range(1, 8))
def test_a_gap_is_watched_again_behind_the_message_that_ended_one(size: int) -> None:
    """A window that takes 10 ms a sample is silent for longer than 25 ms if it is long."""
    document = {
        "limen": 1,
        "nodes": {
            "source": {"type": "parity_parts:Counting", "script": [{} for _ in range(40)]},
            "slow": {"type": "limen.nodes:Window", "size": size, "policy": {"sim_cost": "10ms"}},
            "sink": {"type": "parity_parts:Keeping", "policy": {"liveness": "25ms"}},
        },
        "edges": [{"chain": ["source", "slow", "sink"]}],
    }

    def run(target: Target) -> tuple[Outcome, int]:
        graph = load_document(document, Path(__file__), allow_import=True).graph
        return outcome(graph, StoppingClock(LATEST * TICK_NS, RATE_HZ), target, 0)

    wanted, _ = run(Target.REFERENCE)
    found, turns = run(Target.PYTHON)
    assert_equal(f"a window of {size}", found, wanted)
    assert turns
    if size > 3:
        assert sum("|liveness|" in line for line in wanted.log) > 3


@pytest.mark.slow
@settings(ONCE, max_examples=3_000)
@given(seed=A_SEED, stepwise=st.booleans())
def test_many_more_random_graphs_are_decided_alike(seed: int, stepwise: bool) -> None:
    compared(drawn_from(seed), Target.PYTHON, stepwise=stepwise)


@pytest.mark.slow
@WITH_NATIVE
@settings(ONCE, max_examples=25)
@given(seed=A_SEED)
def test_random_graphs_are_decided_alike_by_native_code(seed: int) -> None:
    compared(drawn_from(seed), Target.NATIVE)


@pytest.mark.slow
@WITH_NATIVE
@settings(ONCE, max_examples=8)
@given(seed=A_SEED)
def test_random_graphs_are_decided_alike_step_by_step_by_native_code(seed: int) -> None:
    compared(drawn_from(seed), Target.NATIVE, stepwise=True)


def test_programs_take_turns_in_many_random_graphs() -> None:
    turns = [compared(drawn_from(seed), Target.PYTHON) for seed in range(90)]
    accepted = [count for count in turns if count is not None]
    assert len(accepted) > 50
    assert sum(count > 0 for count in accepted) > len(accepted) / 4
