"""The scenario table: what SPEC asks of every executor, here of the reference."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from limen.testing import first_difference, load_scenario, run

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_reference_decides_as_the_scenario_says(path: Path) -> None:
    scenario = load_scenario(path)
    seen = run(scenario)
    difference = first_difference(scenario.log, seen.log)
    assert difference is None, f"{scenario.about}\n{difference}"
    assert seen.statistics.outcome == scenario.outcome
    assert seen.statistics.closes
    assert seen.sha256 == hashlib.sha256(scenario.log.encode()).hexdigest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows_and_where_that_is_written(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.about.endswith(".")
    assert scenario.spec
    assert scenario.log.endswith("\n")


def test_the_table_has_at_least_forty_scenarios_and_every_action() -> None:
    assert len(FILES) >= 40
    actions = Counter(
        line.split("|")[3] for path in FILES for line in load_scenario(path).log.splitlines()
    )
    wanted = {"push", "stage", "refuse", "evict", "take", "drop", "step", "end", "error", "miss"}
    assert wanted | {"deadlock", "halt"} <= set(actions)


def test_the_first_difference_of_two_logs_is_shown_with_the_lines_before_it() -> None:
    assert first_difference("a\nb\n", "a\nb\n") is None
    assert first_difference("a\nb\nc\n", "a\nb\nd\n") == "  a\n  b\nline 3\n- c\n+ d"
    assert first_difference("a\n", "a\nb\n") == "  a\nline 2\n- None\n+ b"
