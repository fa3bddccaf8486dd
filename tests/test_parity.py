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
from limen.platform import PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing import RuntimeContract, scenario_names, scenario_tests, scenarios
from limen.testing.drawn import Drawn, Kind, StoppingClock, draw_graph
from limen.testing.table import first_difference, run

Executor = Callable[[Plan, PlatformClock, int, DecisionLog], SingleThreadRuntime]

WITH_NATIVE = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
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


# The scenario table.

TestTheTableOnPython = scenario_tests(on(Target.PYTHON))
TestTheTableOnNative = WITH_NATIVE(pytest.mark.slow(scenario_tests(on(Target.NATIVE))))


def test_programs_take_turns_in_many_scenarios() -> None:
    turns = []

    def make(
        plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> SingleThreadRuntime:
        turns.append(on(Target.PYTHON)(plan, clock, drain_ns, log))
        return turns[-1]

    for scenario in scenarios():
        run(scenario, make)
    assert len(turns) == len(scenario_names())
    assert sum(turns_of(runtime) > 0 for runtime in turns) > 80


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


class Outcome(NamedTuple):
    """What is equal on every target."""

    log: list[str]
    statistics: RunStatistics
    arrivals: dict[str, list[parity_parts.Arrival]]


def turns_of(runtime: SingleThreadRuntime) -> int:
    return runtime.turns_taken if isinstance(runtime, ProgramRuntime) else 0


def outcome(drawn: Drawn, target: Target, *, stepwise: bool) -> tuple[Outcome, int]:
    """Run a graph at once, or step by step; and the turns that a Program took."""
    clock, lines = StoppingClock(drawn.stop_at_tick or LATEST), list[str]()
    graph = drawn.graph()
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    runtime = on(target)(check(graph, clock), clock, drawn.drain_ms * 1_000_000, log)
    clock.handle = runtime.stop_handle
    if stepwise:
        runtime.start()
        for calls in itertools.count():
            if calls == min(drawn.stop_at_step or MOST_STEPS, MOST_STEPS):
                runtime.stop_handle.request_stop()
            if not runtime.step():
                break
        runtime.stop()
    else:
        runtime.run()
    arrivals = {
        node.name: node.node.got
        for node in graph.spec().nodes
        if isinstance(node.node, parity_parts.Keeping)
    }
    return Outcome(lines, runtime.statistics(), arrivals), turns_of(runtime)


def compared(drawn: Drawn, target: Target, *, stepwise: bool = False) -> int | None:
    """Compare a target with the reference; the Program's turns, None if verify refuses."""
    try:
        wanted, _ = outcome(drawn, Target.REFERENCE, stepwise=stepwise)
    except GraphError:
        return None
    found, turns = outcome(drawn, target, stepwise=stepwise)
    where = f"{drawn.kind} {drawn.seed}"
    parted = first_difference("".join(wanted.log), "".join(found.log))
    assert parted is None, f"{where}: the log is not the reference's (-):\n{parted}"
    assert found.statistics == wanted.statistics, where
    assert found.arrivals == wanted.arrivals, where
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
