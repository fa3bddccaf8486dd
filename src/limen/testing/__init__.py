"""For tests: contract suites, drills of whole graphs, single nodes; for executors: scenarios.

Drills are in ``limen.testing.drills``; ``strategies`` and ``machines`` beside it need
Hypothesis, which the extra ``testing`` brings.
"""

from limen.testing._backend_contract import BackendContract, ReferenceModel
from limen.testing._checked_contract import CheckedMemoryContract
from limen.testing._clock_contract import ClockContract
from limen.testing._comparison import ScenarioComparison, compare
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
from limen.testing._example import example_payload
from limen.testing._memory_contract import MemoryManagerContract
from limen.testing._node_contract import NodeContract
from limen.testing._node_run import Emitted, NodeRun
from limen.testing._payloads import Payloads, PortPayloads
from limen.testing._runtime_contract import RuntimeContract
from limen.testing._scenario import (
    Executor,
    Scenario,
    ScenarioRun,
    first_difference,
    load_scenario,
    run,
    scenario_names,
    scenarios,
)
from limen.testing._scenario_table import (
    ScenarioOutcome,
    ScenarioResult,
    TableReport,
    run_table,
    scenario_tests,
)
from limen.testing._scheduler_contract import SchedulerContract
from limen.testing._scripted import ScriptedModel, ScriptedNode, ScriptedSink, ScriptedSource
from limen.testing._single import run_node, run_sink, run_source
from limen.testing._sink_contract import SinkContract
from limen.testing._source_contract import SourceContract
from limen.testing._targets import find_suites
from limen.testing._telemetry_contract import EventSinkContract, TelemetryContract

__all__ = [
    "BackendContract",
    "CheckedMemoryContract",
    "ClauseOutcome",
    "ClauseResult",
    "ClauseTest",
    "ClockContract",
    "Contract",
    "ContractReport",
    "EdgeContract",
    "Emitted",
    "EventSinkContract",
    "Executor",
    "Inapplicable",
    "MemoryManagerContract",
    "NodeContract",
    "NodeRun",
    "Payloads",
    "PortPayloads",
    "ReferenceModel",
    "RuntimeContract",
    "Scenario",
    "ScenarioComparison",
    "ScenarioOutcome",
    "ScenarioResult",
    "ScenarioRun",
    "SchedulerContract",
    "ScriptedModel",
    "ScriptedNode",
    "ScriptedSink",
    "ScriptedSource",
    "SinkContract",
    "SourceContract",
    "TableReport",
    "TelemetryContract",
    "clause_of",
    "clause_tests",
    "clauses_of",
    "code_raised",
    "compare",
    "example_payload",
    "find_suites",
    "first_difference",
    "inapplicable",
    "load_scenario",
    "needs",
    "reason_to_skip",
    "run",
    "run_contract",
    "run_node",
    "run_sink",
    "run_source",
    "run_table",
    "scenario_names",
    "scenario_tests",
    "scenarios",
]
