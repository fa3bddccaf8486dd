"""Drills: what a graph does when something goes wrong, one line each in a test.

Each drill runs a copy of a graph on simulated time without the fault, and twice with it. It raises
AssertionError where something does not hold that always must: the run ends, within bounds of
simulated time and steps; the accounting adds up; no slot stays in use; every queue keeps within its
caps; no node keeps what it was lent; equal runs decide equally. What a test expects beside that,
it says in keyword arguments (``DrillOptions``), or asserts of the ``DrillReport``.
"""

from limen.testing._feed import Feed
from limen.testing.drills._data_faults import CORRUPTIONS
from limen.testing.drills._drills import (
    burst,
    clock_jump,
    corrupt_message,
    failing_model,
    frozen_source,
    full_queue,
    slow_node,
    stop_in_flight,
)
from limen.testing.drills._options import DrillOptions
from limen.testing.drills._report import Arrival, DrillReport, LostMessages

__all__ = [
    "CORRUPTIONS",
    "Arrival",
    "DrillOptions",
    "DrillReport",
    "Feed",
    "LostMessages",
    "burst",
    "clock_jump",
    "corrupt_message",
    "failing_model",
    "frozen_source",
    "full_queue",
    "slow_node",
    "stop_in_flight",
]
