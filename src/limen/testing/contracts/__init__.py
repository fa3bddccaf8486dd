"""Contract suites, and how they are run."""

from limen.testing.contracts._backend import BackendContract
from limen.testing.contracts._backend_suite import ReferenceModel
from limen.testing.contracts._checked import CheckedMemoryContract
from limen.testing.contracts._clock import ClockContract
from limen.testing.contracts._conformance import (
    ClauseOutcome,
    ClauseResult,
    ContractReport,
    run_contract,
)
from limen.testing.contracts._contract import (
    ClauseTest,
    Contract,
    Inapplicable,
    check_suite,
    clause_of,
    clause_tests,
    clauses_of,
    inapplicable,
    needs,
    reason_to_skip,
)
from limen.testing.contracts._edge import EdgeContract
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._memory import MemoryManagerContract
from limen.testing.contracts._node import NodeContract
from limen.testing.contracts._runtime import RuntimeContract
from limen.testing.contracts._scheduler import SchedulerContract
from limen.testing.contracts._sink import SinkContract
from limen.testing.contracts._source import SourceContract
from limen.testing.contracts._targets import find_suites
from limen.testing.contracts._telemetry import EventSinkContract, TelemetryContract

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
    "EventSinkContract",
    "Inapplicable",
    "MemoryManagerContract",
    "NodeContract",
    "ReferenceModel",
    "RuntimeContract",
    "SchedulerContract",
    "SinkContract",
    "SourceContract",
    "TelemetryContract",
    "check_suite",
    "clause_of",
    "clause_tests",
    "clauses_of",
    "code_raised",
    "find_suites",
    "inapplicable",
    "needs",
    "reason_to_skip",
    "run_contract",
]
