"""What a fault is to those who run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limen.scheduling import Plan
from limen.testing._clock import DrillClock
from limen.testing._stand import Tap
from limen.testing.drills._judge import Outcome

Mark = Callable[[], None]
"""Says that the fault strikes now."""


class Fault:
    """What is done to a run; by itself nothing. One object serves several runs.

    Attributes:
        may_halt: Whether the graph may halt of it without the test saying so.
    """

    may_halt: bool = False

    def plan(self, plan: Plan) -> Plan:
        """Return the Plan that runs."""
        return plan

    def clock(self, stop_at: int) -> DrillClock:
        """Return the clock of one run."""
        return DrillClock(stop_at)

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Return what is done to nodes, by name; new ones for each run."""
        return {}

    def missed(self, run: Outcome) -> str:
        """Return why the fault did not strike at all, and what to do; empty if it did."""
        return ""
