"""What an executor makes of a scenario, beside what it should."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from limen.testing.table._scenario import (
    Executor,
    Scenario,
    ScenarioRun,
    first_difference,
    parting_line,
    run,
    run_into,
)

_COUNTED: Final = {
    "nodes": (
        *("steps", "calls", "processed", "errors", "deadline_misses", "overruns", "watchdogs"),
        *("replaced", "degraded", "missed_periods", "restarts"),
    ),
    "edges": ("offered", "pushed", "staged", "refused", "taken", "evicted", "ring", "peak"),
    "inputs": ("taken", "consumed", "dropped", "held", "stale"),
    "outputs": ("emitted", "initial", "offered"),
}
_MOST_COUNTS = 5


@dataclass(frozen=True, slots=True)
class ScenarioComparison:
    """An executor beside a scenario and the reference.

    Attributes:
        scenario: Its name.
        about: What it shows.
        problems: What is not as it should be, in words: the log first, with the lines ahead of the
            one where it parts; empty where all is equal.
        line: The first line of the log that differs; None if none does.
        outcome: How the run ended; None where the executor raised.
        sha256: The digest that the executor stated.
    """

    scenario: str
    about: str
    problems: tuple[str, ...]
    line: int | None = None
    outcome: str | None = None
    sha256: str | None = None

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return not self.problems

    def __str__(self) -> str:
        if self.equal:
            return f"{self.scenario}: equal"
        place = "" if self.line is None else f" at line {self.line} of the log"
        return "\n".join([f"{self.scenario} parts{place}: {self.about}", *self.problems])


def compare(scenario: Scenario, executor: Executor) -> ScenarioComparison:
    """Run a scenario on an executor, and compare with what it should make and the reference makes.

    Compared are the decision log with the scenario's and with the reference's, how the run ends,
    the digest that the executor states with that of its lines, and its accounting with itself and
    with the reference's. What the executor raises is a difference.

    Raises:
        GraphError: The scenario's graph is not valid.
    """
    wanted = run(scenario)
    lines: list[str] = []
    try:
        log, statistics = run_into(scenario, executor, lines)
    # It is somebody else's code, and its failure a result.
    except Exception as error:
        text = f"the executor raised {type(error).__name__} after line {len(lines)}: {error}"
        return ScenarioComparison(scenario.name, scenario.about, (text,), len(lines) + 1)
    seen = ScenarioRun("".join(lines), log.sha256, statistics)
    return ScenarioComparison(
        scenario.name,
        scenario.about,
        tuple(_problems(scenario, wanted, seen)),
        parting_line(scenario.log, seen.log),
        statistics.outcome,
        statistics.log_sha256,
    )


def _problems(scenario: Scenario, wanted: ScenarioRun, seen: ScenarioRun) -> Iterator[str]:
    parted = first_difference(scenario.log, seen.log)
    if parted is not None:
        yield f"the log is not the scenario's (-):\n{parted}"
    if wanted.log != scenario.log:
        yield "the reference itself does not decide as the scenario says"
        parted = first_difference(wanted.log, seen.log)
        if parted is not None:
            yield f"the log is not the reference's (-):\n{parted}"
    statistics = seen.statistics
    if statistics.outcome != scenario.outcome:
        yield f"the outcome is {statistics.outcome!r}, and should be {scenario.outcome!r}"
    digest = hashlib.sha256(seen.log.encode()).hexdigest()
    if statistics.log_sha256 != digest:
        yield f"log_sha256 is {statistics.log_sha256}, and that of the lines {digest}"
    open_ones = [f"{i.place}: {i.text}" for i in statistics.identities if not i.closes]
    if open_ones:
        yield f"the accounting does not close: {'; '.join(open_ones)}"
    if parted is None:
        counts = list(_counts(wanted, seen))
        more = len(counts) - _MOST_COUNTS
        if counts:
            said = "; ".join(counts[:_MOST_COUNTS])
            yield f"the counts are not the reference's: {said}" + (
                f"; and {more} more" if more > 0 else ""
            )


def _counts(wanted: ScenarioRun, seen: ScenarioRun) -> Iterator[str]:
    """Yield the counts that differ from the reference's."""
    for records, fields in _COUNTED.items():
        theirs: Sequence[object] = getattr(seen.statistics, records)
        ours: Sequence[object] = getattr(wanted.statistics, records)
        if len(theirs) != len(ours):
            yield f"{len(theirs)} {records}, not {len(ours)}"
            continue
        for have, want in zip(theirs, ours, strict=True):
            for field in fields:
                found, right = getattr(have, field), getattr(want, field)
                if found != right:
                    yield f"{getattr(want, 'name', '')} {field} {found}, not {right}"
