"""The scenario table: what SPEC asks of every executor, decision by decision."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from limen.testing._errors import error_line
from limen.testing._scenario import Executor, Scenario, first_difference, load_scenario, run

_FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class ScenarioComparison:
    """What an executor made of a scenario, beside what is asked.

    Attributes:
        scenario: Its name.
        about: What it shows.
        difference: Where the decision logs part, with the lines ahead of it; None if they are
            equal.
        problems: What else is not as it should be: how the run ended, its digest, its accounting,
            or that it raised.
    """

    scenario: str
    about: str
    difference: str | None
    problems: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing is otherwise than it should be."""
        return self.difference is None and not self.problems

    def __str__(self) -> str:
        if self.equal:
            return f"{self.scenario}  ok"
        lines = [f"{self.scenario}  FAILED  {self.about}"]
        lines += [f"  {line}" for line in (self.difference or "").splitlines()]
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems)])


@dataclass(frozen=True, slots=True)
class TableReport:
    """What an executor made of the scenario table.

    Attributes:
        executor: What it is called.
        comparisons: One a scenario.
    """

    executor: str
    comparisons: tuple[ScenarioComparison, ...]

    @property
    def passed(self) -> bool:
        """Whether all scenarios came out as they should."""
        return not self.failed

    @property
    def failed(self) -> tuple[ScenarioComparison, ...]:
        """Those that did not."""
        return tuple(found for found in self.comparisons if not found.equal)

    def to_json(self) -> str:
        """Return the report as one JSON line."""
        return json.dumps({**asdict(self), "passed": self.passed})

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.executor}  scenarios"
        yield from (f"  {line}" for found in self.failed for line in str(found).splitlines())
        bad = len(self.failed)
        equal = len(self.comparisons) - bad
        yield f"  {len(self.comparisons)} scenarios: {equal} ok" + (
            f", {bad} failed" if bad else ""
        )


@functools.cache
def scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios that come with Limen, by name.

    For whoever writes an executor: ``pytest.mark.parametrize("scenario", scenarios(),
    ids=lambda s: s.name)``.
    """
    return tuple(load_scenario(path) for path in sorted(_FOLDER.glob("*.toml")))


def compare(scenario: Scenario, executor: Executor | None = None) -> ScenarioComparison:
    """Run a scenario on an executor, and compare its decisions with those that are asked.

    Args:
        scenario: One of ``scenarios()``, or one of your own.
        executor: Makes the runtime; the reference if not given.
    """
    try:
        seen = run(scenario, executor)
    # An executor may raise anything; the others are to be compared all the same.
    except Exception as error:
        return ScenarioComparison(
            scenario.name, scenario.about, None, (f"it raised {error_line(error)}",)
        )
    problems = []
    outcome = seen.statistics.outcome
    if outcome != scenario.outcome:
        problems.append(f"it ended as {outcome}, not {scenario.outcome}")
    if seen.sha256 != hashlib.sha256(seen.log.encode()).hexdigest():
        problems.append(f"the digest it states, {seen.sha256}, is not that of its log")
    problems += [
        f"the accounting does not close: {identity.place}: {identity.text}"
        for identity in seen.statistics.identities
        if not identity.closes
    ]
    difference = first_difference(scenario.log, seen.log)
    return ScenarioComparison(scenario.name, scenario.about, difference, tuple(problems))


def run_table(
    executor: Executor | None = None,
    table: Iterable[Scenario] | None = None,
    *,
    name: str = "reference",
) -> TableReport:
    """Compare an executor with the whole table; called by ``limen conformance --scenarios``.

    Args:
        executor: Makes the runtimes; the reference if not given.
        table: Which scenarios; all that come with Limen if not given.
        name: What the report calls the executor.
    """
    chosen = scenarios() if table is None else table
    return TableReport(name, tuple(compare(scenario, executor) for scenario in chosen))
