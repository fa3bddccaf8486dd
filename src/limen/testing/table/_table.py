"""The scenario table, run on an executor: as a report, and as tests."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from limen.errors import ConfigurationError
from limen.testing.contracts._bounded import OverdueError, bounded
from limen.testing.contracts._contract import inapplicable
from limen.testing.table._comparison import compare
from limen.testing.table._scenario import Executor, scenario_names, scenarios

_NOTHING: Mapping[str, str] = MappingProxyType({})


class ScenarioOutcome(enum.StrEnum):
    """What became of one scenario."""

    EQUAL = "equal"
    PARTED = "parted"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What became of one scenario, and why.

    Attributes:
        scenario: Its name.
        outcome: What became of it.
        line: The first line of the log that differs, if one does.
        detail: Where it parted, or the reason where it was skipped; empty where it is equal.
    """

    scenario: str
    outcome: ScenarioOutcome
    line: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What an executor made of the table.

    Attributes:
        executor: ``my_package.runtime:MyRuntime``.
        results: One for each scenario.
    """

    executor: str
    results: tuple[ScenarioResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no scenario parted, and not all were skipped."""
        return not self.parted and self.count(ScenarioOutcome.EQUAL) > 0

    @property
    def parted(self) -> tuple[ScenarioResult, ...]:
        """The scenarios that parted."""
        return tuple(r for r in self.results if r.outcome is ScenarioOutcome.PARTED)

    def count(self, outcome: ScenarioOutcome) -> int:
        """Return how many scenarios came to an outcome."""
        return sum(result.outcome is outcome for result in self.results)

    def to_json(self) -> str:
        """Return the report as one JSON line."""
        return json.dumps({**asdict(self), "passed": self.passed})

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.executor}  scenarios"
        width = max((len(result.scenario) for result in self.results), default=0)
        for result in self.results:
            parted = result.outcome is ScenarioOutcome.PARTED
            mark = "PARTED" if parted else result.outcome.value
            place = "" if result.line is None else f" at line {result.line}"
            yield f"  {result.scenario:<{width}}  {mark}{place}"
            yield from (f"      {line}".rstrip() for line in result.detail.splitlines())
        counts = [
            f"{n} {outcome.value}" for outcome in ScenarioOutcome if (n := self.count(outcome))
        ]
        yield f"  {len(self.results)} scenarios: {', '.join(counts)}"


def run_table(
    executor: Executor,
    *,
    pattern: str = "*",
    lacks: Mapping[str, str] = _NOTHING,
    timeout_s: float = 60.0,
    name: str | None = None,
) -> TableReport:
    """Compare an executor with every scenario; called by command lines and by tests.

    Args:
        executor: Makes a runtime of plan, clock, drain timeout and log; a class will do.
        pattern: Which scenarios, as ``*batch*``.
        lacks: By name or pattern of scenarios, why the executor cannot run them: they are skipped.
        timeout_s: Seconds after which a scenario counts as hanging.
        name: What to call the executor; its own name if not given.

    Raises:
        ConfigurationError: No scenario matches a pattern, or a reason is missing.
    """
    reasons = _reasons(lacks)
    results = tuple(
        _result(scenario, executor, reasons.get(scenario), timeout_s)
        for scenario in scenario_names(pattern)
    )
    return TableReport(_name_of(executor) if name is None else name, results)


def scenario_tests(
    executor: Executor,
    *,
    pattern: str = "*",
    lacks: Mapping[str, str] = _NOTHING,
    timeout_s: float = 60.0,
) -> type[object]:
    """Return a class with one test a scenario, for pytest to collect under a name like TestMine.

    Args:
        executor: As for ``run_table``.
        pattern: Which scenarios.
        lacks: By name or pattern of scenarios, why the executor cannot run them: they are skipped.
        timeout_s: Seconds after which a scenario counts as hanging.

    Raises:
        ConfigurationError: No scenario matches a pattern, or a reason is missing.
    """
    reasons = _reasons(lacks)
    tests = {
        f"test_{scenario}": _test(scenario, executor, reasons.get(scenario), timeout_s)
        for scenario in scenario_names(pattern)
    }
    return type("TestScenarios", (), tests)


def _test(
    scenario: str, executor: Executor, reason: str | None, timeout_s: float
) -> Callable[[object], None]:
    def test(self: object) -> None:
        result = _result(scenario, executor, reason, timeout_s)
        if result.outcome is ScenarioOutcome.SKIPPED:
            inapplicable(result.detail)
        assert result.outcome is ScenarioOutcome.EQUAL, result.detail

    return test


def _result(name: str, executor: Executor, reason: str | None, timeout_s: float) -> ScenarioResult:
    if reason is not None:
        return ScenarioResult(name, ScenarioOutcome.SKIPPED, detail=reason)
    (scenario,) = scenarios(name)
    try:
        found = bounded(lambda: compare(scenario, executor), timeout_s)
    except OverdueError as overdue:
        text = f"{name}: {scenario.about}\n{overdue}"
        return ScenarioResult(name, ScenarioOutcome.PARTED, detail=text)
    if found.equal:
        return ScenarioResult(name, ScenarioOutcome.EQUAL)
    return ScenarioResult(name, ScenarioOutcome.PARTED, found.line, str(found))


def _reasons(lacks: Mapping[str, str]) -> dict[str, str]:
    """Return by scenario why it is skipped."""
    reasons: dict[str, str] = {}
    for pattern, reason in lacks.items():
        if not reason.strip():
            raise ConfigurationError(
                f"nothing says why {pattern!r} is lacked", remedy="give the reason"
            )
        for name in scenario_names(pattern):
            reasons.setdefault(name, reason)
    return reasons


def _name_of(executor: Executor) -> str:
    name = getattr(executor, "__qualname__", type(executor).__qualname__)
    return f"{executor.__module__}:{name}"
