"""The scenario table: what SPEC asks of every executor, here of the reference."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.runtime import LimenRuntime, SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing import (
    Scenario,
    compare,
    first_difference,
    load_scenario,
    run_table,
    scenarios,
)
from limen.types import NodeIndex

every_scenario = pytest.mark.parametrize("scenario", scenarios(), ids=lambda found: found.name)

# SEMANTICS 2 with decisions 0010 and 0016: by place, the actions and their reasons.
ACTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "edge": {
        "push": ("", "unstaged", "initial"),
        "stage": ("",),
        "refuse": ("too_large", "expired", "background", "full", "stopped", "consumer_ended"),
        "evict": ("capacity", "superseded", "expired", "lower_qos"),
        "take": ("",),
        "drop": (
            "stale",
            "no_deadline",
            "expired",
            "infeasible",
            "unpaired",
            "consumer_ended",
            "stopped",
            "skipped",
            "error",
        ),
        "liveness": ("",),
    },
    "node": {
        "step": ("",),
        "end": ("end_of_stream", "terminal", "consumers_ended", "quiesced", "stopped"),
        "error": ("halt_graph", "quiesce", "emit_failsafe", "continue", "restart"),
        "miss": ("",),
        "missed_periods": ("",),
        "liveness": ("",),
        "budget": ("infeasible", "overrun", "watchdog"),
        "degrade": ("variant", "probe", "full"),
        "default": ("",),
        "restart": ("",),
    },
    "graph": {"deadlock": ("",), "halt": ("",)},
}


@every_scenario
def test_the_reference_decides_as_the_scenario_says(scenario: Scenario) -> None:
    found = compare(scenario)
    assert found.equal, str(found)


@every_scenario
def test_a_scenario_says_what_it_shows_and_where_that_is_written(scenario: Scenario) -> None:
    assert scenario.about.endswith(".")
    assert scenario.spec
    assert scenario.log.endswith("\n")


def test_the_table_has_at_least_seventy_scenarios() -> None:
    assert len(scenarios()) >= 70


def test_the_table_shows_every_action_and_reason() -> None:
    shown = {
        (_kind(place), action, reason)
        for scenario in scenarios()
        for line in scenario.log.splitlines()
        for _, _, place, action, _, reason in [line.split("|")]
    }
    named = {
        (kind, action, reason)
        for kind, actions in ACTIONS.items()
        for action, reasons in actions.items()
        for reason in reasons
    }
    assert named - shown == set()
    assert shown - named == set()


def _kind(place: str) -> str:
    if place == "graph":
        return "graph"
    return "edge" if " -> " in place else "node"


def test_the_first_difference_of_two_logs_is_shown_with_the_lines_before_it() -> None:
    assert first_difference("a\nb\n", "a\nb\n") is None
    assert first_difference("a\nb\nc\n", "a\nb\nd\n") == "  a\n  b\nline 3\n- c\n+ d"
    assert first_difference("a\n", "a\nb\n") == "  a\nline 2\n- None\n+ b"


class Lifo(SingleThreadRuntime):
    """Judges nodes from the last one on."""

    def _judge_in_turn(self) -> tuple[bool, NodeIndex | None]:
        return self._judge_all()

    def _judge_all(self) -> tuple[bool, NodeIndex | None]:
        self._contexts.reverse()
        try:
            return super()._judge_in_turn()
        finally:
            self._contexts.reverse()


class Raises(SingleThreadRuntime):
    def step(self) -> bool:
        raise KeyError("first\nsecond")


class Wrong(SingleThreadRuntime):
    """Decides as it should, and reports otherwise."""

    def statistics(self) -> RunStatistics:
        said = super().statistics()
        wrong = dataclasses.replace(said.identities[0], closes=False)
        return dataclasses.replace(said, outcome="halted", identities=(wrong,))


def executor(kind: type[SingleThreadRuntime]) -> object:
    def make(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
        return kind(plan, clock, drain_ns=drain_ns, log=log)

    return make


def test_an_executor_that_decides_otherwise_is_told_where() -> None:
    report = run_table(executor(Lifo), name="lifo")
    assert not report.passed
    assert 0 < len(report.failed) < len(scenarios())
    first = report.failed[0]
    assert first.difference is not None
    assert "\n- " in first.difference
    text = str(report)
    assert f"{first.scenario}  FAILED  {first.about}" in text
    assert f"{len(report.failed)} failed" in text
    assert json.loads(report.to_json())["passed"] is False


def test_an_executor_that_raises_is_reported_and_the_table_goes_on() -> None:
    report = run_table(executor(Raises), scenarios()[:3])
    assert len(report.failed) == 3
    assert report.failed[0].problems == ("it raised KeyError: 'first\\nsecond'",)


def test_what_an_executor_reports_is_compared_as_well() -> None:
    found = compare(scenarios()[0], executor(Wrong))
    assert found.difference is None
    assert found.problems[0] == "it ended as halted, not completed"
    assert found.problems[1].startswith("the accounting does not close: ")


def test_a_scenario_of_one_s_own_is_compared_like_the_others(tmp_path: Path) -> None:
    text = scenarios()[0].path.read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace("step", "stop", 1), encoding="utf-8")
    found = run_table(table=[load_scenario(own)])
    assert [bad.scenario for bad in found.failed] == ["own"]
    own.write_text("about = 3\nlogg = 2\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"unknown \['logg'\], missing"):
        load_scenario(own)


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
        ("my_executors:Suite", 1, "FAILED"),
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
