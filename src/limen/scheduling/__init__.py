"""Which node is stepped next, and the frozen Plan that executors run."""

from limen.scheduling._lower import lower
from limen.scheduling._plan import (
    EdgePlan,
    InputPlan,
    NodePlan,
    OutputPlan,
    Plan,
    staging,
    verify_plan,
)
from limen.scheduling._policies import EdfPolicy, RoundRobin, make_policy
from limen.scheduling.contract import DequeuePolicy, NodeSummary, Readiness

__all__ = [
    "DequeuePolicy",
    "EdfPolicy",
    "EdgePlan",
    "InputPlan",
    "NodePlan",
    "NodeSummary",
    "OutputPlan",
    "Plan",
    "Readiness",
    "RoundRobin",
    "lower",
    "make_policy",
    "staging",
    "verify_plan",
]
