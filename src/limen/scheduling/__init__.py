"""Which node is stepped next, and the frozen Plan that executors run."""

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
    "BudgetPlan",
    "CriticalityPolicy",
    "DegradePlan",
    "DequeuePolicy",
    "EdfPolicy",
    "EdgePlan",
    "InputPlan",
    "MessagePlan",
    "NodePlan",
    "NodeSummary",
    "OutputPlan",
    "Plan",
    "Readiness",
    "RestartPlan",
    "RoundRobin",
    "ThroughputPolicy",
    "gather_items",
    "lower",
    "make_policy",
    "verify_plan",
]
