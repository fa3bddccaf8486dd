"""The contract of a runtime."""

from __future__ import annotations

import abc

from limen.platform import PlatformClock
from limen.telemetry import RunStatistics


class RuntimeStopHandle:
    """Asks a runtime to stop; safe to use from any thread and from signal handlers."""

    def __init__(self, clock: PlatformClock) -> None:
        self._clock = clock
        # A plain flag: taking a lock inside a signal handler may wait for ever.
        self._requested = False

    def request_stop(self) -> None:
        """End the sources and let what is under way drain; idempotent."""
        self._requested = True
        self._clock.wake()

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has been requested."""
        return self._requested


class LimenRuntime(abc.ABC):
    """Runs one Plan once; all methods but the stop handle's belong to one thread.

    - RUN-1: ``start`` either starts every node or stops those it started and raises.
    - RUN-2: ``step`` makes at most one decision point and never raises for a node's failure.
    - RUN-3: A stop drains: sources end, what they made is processed; what the timeout leaves is
      dropped{stopped} or refused{stopped}, and counted.
    - RUN-4: After ``run`` every node has been stopped and every slot is available again.
    - RUN-5: Equal inputs and equal instants give equal decisions.
    """

    @property
    @abc.abstractmethod
    def stop_handle(self) -> RuntimeStopHandle:
        """The handle that ends this run."""

    @abc.abstractmethod
    def start(self) -> None:
        """Initialise and start every node.

        Raises:
            LimenError: A node could not start; those before it have been stopped.
        """

    @abc.abstractmethod
    def step(self) -> bool:
        """Make one decision: step a node or wait for the next instant; False once all ended."""

    @abc.abstractmethod
    def run(self) -> RunStatistics:
        """Start, step until all nodes have ended, stop, and return the accounting."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End what has not ended and release every node; idempotent."""

    @abc.abstractmethod
    def statistics(self) -> RunStatistics:
        """Return the accounting so far; exact between steps."""
