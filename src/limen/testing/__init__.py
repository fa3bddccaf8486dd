"""For those who write parts of Limen's kind: contract suites, scripted parts, scenarios."""

from limen.testing._conformance import ClauseOutcome, ClauseResult, ContractReport, run_contract
from limen.testing._contract import (
    ClauseTest,
    Contract,
    Inapplicable,
    clause_of,
    clause_tests,
    clauses_of,
    inapplicable,
    needs,
    reason_to_skip,
)
from limen.testing._edge_contract import EdgeContract
from limen.testing._errors import code_raised
from limen.testing._scenario import Scenario, ScenarioRun, first_difference, load_scenario, run
from limen.testing._scripted import ScriptedModel, ScriptedNode, ScriptedSink, ScriptedSource
from limen.testing._targets import find_suites

__all__ = [
    "ClauseOutcome",
    "ClauseResult",
    "ClauseTest",
    "Contract",
    "ContractReport",
    "EdgeContract",
    "Inapplicable",
    "Scenario",
    "ScenarioRun",
    "ScriptedModel",
    "ScriptedNode",
    "ScriptedSink",
    "ScriptedSource",
    "clause_of",
    "clause_tests",
    "clauses_of",
    "code_raised",
    "find_suites",
    "first_difference",
    "inapplicable",
    "load_scenario",
    "needs",
    "reason_to_skip",
    "run",
    "run_contract",
]
