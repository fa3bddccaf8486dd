"""Which node is stepped next, and the frozen Plan that executors run."""

from limen.scheduling._lower import gather_items, lower
from limen.scheduling._plan import (
    EdgePlan,
    InputPlan,
    NodePlan,
    OutputPlan,
    Plan,
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
    "gather_items",
    "lower",
    "make_policy",
    "verify_plan",
]
