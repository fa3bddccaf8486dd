"""Which node is stepped next, and the frozen Plan that executors run."""

from limen.scheduling._bounds import (
    BatchDelay,
    Bounds,
    MemoryShare,
    NodeShare,
    PathBound,
    bounds,
)
from limen.scheduling._copies import CopyKind, CopyNote, copies
from limen.scheduling._lower import gather_items, lower
from limen.scheduling._plan import (
    BudgetPlan,
    DegradePlan,
    EdgePlan,
    InputPlan,
    MessagePlan,
    NodePlan,
    OutputPlan,
    Plan,
    RestartPlan,
    verify_plan,
)
from limen.scheduling._policies import (
    CriticalityPolicy,
    EdfPolicy,
    RoundRobin,
    ThroughputPolicy,
    make_policy,
)
from limen.scheduling.contract import DequeuePolicy, NodeSummary, Readiness

__all__ = [
    "BatchDelay",
    "Bounds",
    "BudgetPlan",
    "CopyKind",
    "CopyNote",
    "CriticalityPolicy",
    "DegradePlan",
    "DequeuePolicy",
    "EdfPolicy",
    "EdgePlan",
    "InputPlan",
    "MemoryShare",
    "MessagePlan",
    "NodePlan",
    "NodeShare",
    "NodeSummary",
    "OutputPlan",
    "PathBound",
    "Plan",
    "Readiness",
    "RestartPlan",
    "RoundRobin",
    "ThroughputPolicy",
    "bounds",
    "copies",
    "gather_items",
    "lower",
    "make_policy",
    "verify_plan",
]
