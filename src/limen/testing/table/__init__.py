"""The scenario table: what every executor decides, and the comparison with it."""

from limen.testing.table._comparison import ScenarioComparison, compare
from limen.testing.table._scenario import (
    Executor,
    Scenario,
    ScenarioRun,
    first_difference,
    load_scenario,
    run,
    scenario_names,
    scenarios,
)
from limen.testing.table._table import (
    ScenarioOutcome,
    ScenarioResult,
    TableReport,
    run_table,
    scenario_tests,
)

__all__ = [
    "Executor",
    "Scenario",
    "ScenarioComparison",
    "ScenarioOutcome",
    "ScenarioResult",
    "ScenarioRun",
    "TableReport",
    "compare",
    "first_difference",
    "load_scenario",
    "run",
    "run_table",
    "scenario_names",
    "scenario_tests",
    "scenarios",
]
