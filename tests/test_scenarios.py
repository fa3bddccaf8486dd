"""The scenario table: what SPEC asks of every executor, here of the reference."""

from __future__ import annotations

import hashlib

import pytest

from limen.testing import Scenario, first_difference, run, scenarios

SCENARIOS = scenarios()

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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_reference_decides_as_the_scenario_says(scenario: Scenario) -> None:
    seen = run(scenario)
    difference = first_difference(scenario.log, seen.log)
    assert difference is None, f"{scenario.about}\n{difference}"
    assert seen.statistics.outcome == scenario.outcome
    assert seen.statistics.closes
    assert seen.sha256 == hashlib.sha256(scenario.log.encode()).hexdigest()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_says_what_it_shows_and_where_that_is_written(scenario: Scenario) -> None:
    assert scenario.about.endswith(".")
    assert scenario.spec
    assert scenario.log.endswith("\n")


def test_the_table_has_at_least_seventy_scenarios() -> None:
    assert len(SCENARIOS) >= 70


def test_the_table_shows_every_action_and_reason() -> None:
    shown = {
        (_kind(place), action, reason)
        for scenario in SCENARIOS
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
