"""The scenario table as a tool: what it says of executors that are right, wrong, mute or stuck."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import limen.testing
from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.policy import AdmissionPolicy
from limen.runtime import LimenRuntime, SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import Decision, DecisionLog, RunStatistics
from limen.testing import (
    Executor,
    ScenarioOutcome,
    compare,
    load_scenario,
    run_table,
    scenario_names,
    scenario_tests,
    scenarios,
)

EVICTING = "drop_oldest*"


def right(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
    return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)


class DropsTheNewest(SingleThreadRuntime):
    """Decides wrongly in one case: takes DROP_OLDEST for DROP_NEWEST."""

    def __init__(self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> None:
        edges = tuple(
            replace(e, policy=replace(e.policy, admission=AdmissionPolicy.DROP_NEWEST))
            if e.policy.admission is AdmissionPolicy.DROP_OLDEST
            else e
            for e in plan.edges
        )
        super().__init__(replace(plan, edges=edges), clock, drain_ns=drain_ns, log=log)


def reporting(change: Callable[[RunStatistics], RunStatistics]) -> Executor:
    """Return an executor that decides rightly and states something else."""

    class Reporting(SingleThreadRuntime):
        def statistics(self) -> RunStatistics:
            return change(super().statistics())

    def make(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
        return Reporting(plan, clock, drain_ns=drain_ns, log=log)

    return make


class BreaksDown(SingleThreadRuntime):
    """Raises in its third step."""

    def __init__(self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> None:
        super().__init__(plan, clock, drain_ns=drain_ns, log=log)

    def step(self) -> bool:
        if self._journal.steps == 2:
            raise KeyError("third")
        return super().step()


def sample() -> limen.testing.Scenario:
    return scenarios(EVICTING)[0]


def test_the_scenarios_lie_in_the_package() -> None:
    package = Path(limen.testing.__file__).parent
    assert all(package in scenario.path.parents for scenario in scenarios())
    assert tuple(scenario.name for scenario in scenarios()) == scenario_names()


def test_a_pattern_chooses_scenarios_and_one_that_chooses_none_is_refused() -> None:
    assert scenario_names("*deadlock*") == tuple(n for n in scenario_names() if "deadlock" in n)
    with pytest.raises(ConfigurationError, match="a_starved_loop_is_a_deadlock"):
        scenarios("a_starved_loop_is_a_deadloc")


def test_an_executor_that_decides_rightly_is_equal() -> None:
    comparison = compare(sample(), right)
    assert comparison.equal
    assert (comparison.problems, comparison.line) == ((), None)
    assert comparison.outcome == sample().outcome
    assert str(comparison) == f"{sample().name}: equal"


def test_one_wrong_decision_is_named_with_its_scenario_and_its_line() -> None:
    scenario = sample()
    comparison = compare(scenario, DropsTheNewest)
    first = next(
        n
        for n, line in enumerate(scenario.log.splitlines(), 1)
        if Decision.parse(line).action == "evict"
    )
    assert comparison.line == first
    said = str(comparison)
    assert said.startswith(f"{scenario.name} parts at line {first} of the log: {scenario.about}")
    assert f"\nline {first}\n- {scenario.log.splitlines()[first - 1]}\n+ " in said
    assert "|refuse|" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, outcome="stopped"), "the outcome is 'stopped', and should be 'comp"),
        (lambda s: replace(s, log_sha256="00"), "log_sha256 is 00, and that of the lines "),
        (
            lambda s: replace(s, identities=(replace(s.identities[0], closes=False),)),
            "the accounting does not close: src.out -> ",
        ),
        (
            lambda s: replace(s, edges=tuple(replace(e, peak=99) for e in s.edges)),
            "the counts are not the reference's: src.out -> ",
        ),
        (lambda s: replace(s, edges=()), "0 edges, not 1"),
    ],
    ids=["outcome", "digest", "identities", "counts", "records"],
)
def test_what_an_executor_states_is_compared_as_well(
    change: Callable[[RunStatistics], RunStatistics], said: str
) -> None:
    comparison = compare(sample(), reporting(change))
    assert comparison.line is None
    assert len(comparison.problems) == 1
    assert said in comparison.problems[0]


def test_many_wrong_counts_are_summed_up() -> None:
    def forget(statistics: RunStatistics) -> RunStatistics:
        nodes = [replace(n, steps=-1, calls=-1, processed=-1, errors=-1) for n in statistics.nodes]
        return replace(statistics, nodes=tuple(nodes))

    (problem,) = compare(sample(), reporting(forget)).problems
    assert "src steps -1, not " in problem
    assert problem.endswith("more")


def test_an_executor_that_raises_parts_behind_its_last_line() -> None:
    comparison = compare(sample(), BreaksDown)
    assert not comparison.equal
    assert comparison.outcome is None
    assert comparison.line is not None
    assert comparison.problems == (
        f"the executor raised KeyError after line {comparison.line - 1}: 'third'",
    )


def test_a_scenario_that_misreads_the_text_is_told_from_an_executor_that_does() -> None:
    honest = sample()
    wrong = replace(honest, log=honest.log.replace("|evict|", "|refuse|"))
    as_reference = compare(wrong, right)
    assert "the reference itself does not decide as the scenario says" in as_reference.problems
    assert not any("not the reference's" in problem for problem in as_reference.problems)
    as_neither = compare(wrong, DropsTheNewest)
    assert any("the log is not the reference's (-):" in problem for problem in as_neither.problems)


def test_the_report_has_a_line_a_scenario_and_the_first_difference() -> None:
    report = run_table(DropsTheNewest, pattern="d*")
    assert not report.passed
    names = [result.scenario for result in report.results]
    assert names == list(scenario_names("d*"))
    parted = report.parted[0]
    lines = str(report).splitlines()
    assert lines[0] == f"{__name__}:DropsTheNewest  scenarios"
    shown = next(line for line in lines if line.split()[0] == parted.scenario)
    assert shown.endswith(f"PARTED at line {parted.line}")
    assert f"      line {parted.line}" in lines
    equal = report.count(ScenarioOutcome.EQUAL)
    assert lines[-1] == f"  {len(names)} scenarios: {equal} equal, {len(report.parted)} parted"


def test_the_report_is_one_line_of_json() -> None:
    report = run_table(right, pattern=EVICTING, name="ours")
    stated = json.loads(report.to_json())
    assert (stated["executor"], stated["passed"]) == ("ours", True)
    assert {row["outcome"] for row in stated["results"]} == {"equal"}


def test_an_executor_that_hangs_parts_and_the_others_are_run() -> None:
    released = threading.Event()

    class Hangs(SingleThreadRuntime):
        def run(self) -> RunStatistics:
            if self.plan.name == first.graph["name"]:
                released.wait(30)
            return super().run()

    def make(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
        return Hangs(plan, clock, drain_ns=drain_ns, log=log)

    first, *others = scenarios("*deadlock*")
    report = run_table(make, pattern="*deadlock*", timeout_s=0.5)
    released.set()
    assert [result.scenario for result in report.parted] == [first.name]
    assert "it did not return within 0.5 s" in report.parted[0].detail
    assert report.count(ScenarioOutcome.EQUAL) == len(others) > 0


def test_what_an_executor_lacks_is_skipped_with_the_reason() -> None:
    report = run_table(DropsTheNewest, pattern=EVICTING, lacks={EVICTING: "no eviction"})
    assert {result.detail for result in report.results} == {"no eviction"}
    assert not report.parted
    assert not report.passed, "nothing was compared"
    assert str(report).endswith(f"{len(report.results)} scenarios: {len(report.results)} skipped")


@pytest.mark.parametrize(
    ("lacks", "said"),
    [({"no_such": "?"}, "no scenario is called 'no_such'"), ({"a_*": " "}, "nothing says why")],
)
def test_what_is_lacked_is_named_and_has_a_reason(lacks: dict[str, str], said: str) -> None:
    for tool in (run_table, scenario_tests):
        with pytest.raises(ConfigurationError, match=said):
            tool(right, lacks=lacks)


def test_a_scenario_of_one_s_own_is_read_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(sample().path.read_text(encoding="utf-8"), encoding="utf-8")
    assert compare(load_scenario(path), right).equal


_ONE_LINE = """
from acme import Runtime
from limen.testing import scenario_tests

TestMine = scenario_tests(Runtime, pattern="drop_*", lacks={"drop_newest*": "not yet"})
"""

_ACME = """
from limen.runtime import SingleThreadRuntime

class Runtime(SingleThreadRuntime):
    def __init__(self, plan, clock, drain_ns, log):
        super().__init__(plan, clock, drain_ns=drain_ns + 1, log=log)
"""


def test_one_line_makes_a_test_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(_ONE_LINE, encoding="utf-8")
    (tmp_path / "acme.py").write_text(_ACME, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for name in scenario_names("drop_*"):
        outcome = "SKIPPED" if name.startswith("drop_newest") else "PASSED"
        assert f"test_mine.py::TestMine::test_{name} {outcome}" in done.stdout
    assert "not yet" in done.stdout


def test_a_test_of_a_scenario_that_parts_says_where() -> None:
    tests = scenario_tests(DropsTheNewest, pattern=EVICTING)
    name = f"test_{sample().name}"
    with pytest.raises(AssertionError, match=f"{sample().name} parts at line"):
        getattr(tests(), name)()


_EXECUTORS = """
from limen.runtime import LimenRuntime, SingleThreadRuntime
from limen.testing import RuntimeContract

def plain(plan, clock, drain_ns, log) -> LimenRuntime:
    return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)

class Suite(RuntimeContract):
    def make(self, plan, clock, drain_ns, log):
        return plain(plan, clock, 0, log)
"""


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("my_executors:plain", 0, "scenarios: "),
        ("my_executors:Suite", 1, "PARTED"),
    ],
)
def test_the_command_line_runs_the_table(tmp_path: Path, target: str, code: int, said: str) -> None:
    (tmp_path / "my_executors.py").write_text(_EXECUTORS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "limen", "conformance", target, "--scenarios"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    assert said in done.stdout
    assert f"{len(scenarios())} scenarios: " in done.stdout


def test_the_table_is_for_runtimes_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "limen", "conformance", "limen.edge:StaticRing", "--scenarios"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "is no runtime" in done.stderr
