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

    Beginning
    - RUN-1: ``start`` initialises every node, then starts it, once, before the first step.
    - RUN-2: Where a node cannot start, it raises, and those that were started are stopped.
    - RUN-3: It runs once: a second ``start`` raises WRONG_STATE.
    - RUN-4: A plan for another tick rate is refused, before any node is initialised.

    Running
    - RUN-5: ``step`` makes one decision: it steps one node at most.
    - RUN-6: A failing call is counted with its node, and leaves neither ``step`` nor ``run``.
    - RUN-7: The failure of a safety-critical node ends the run as halted, and the notes name it.
    - RUN-8: A run ends by itself, as completed, once the sources have ended and all is handled.
    - RUN-9: ``step`` returns False once all has ended, and again.
    - RUN-10: Messages of an edge are handed over in the order in which they were emitted.
    - RUN-11: What BLOCK edges carry arrives, all of it, however slow the consumer is.
    - RUN-12: No queue ever holds more than its caps allow.
    - RUN-13: What full queues lose is counted on their edge, with the reason.
    - RUN-14: Every accounting identity closes at the end, also after failures and losses.
    - RUN-15: They close between steps.
    - RUN-16: Counters never fall.
    - RUN-17: A graph in which nobody can go on ends as deadlocked, and says who waits for whom.
    - RUN-18: A timed source is called at its instants, and no earlier.
    - RUN-19: The clock is sampled once for each call into a node.

    Stopping
    - RUN-20: A stop drains: sources make no more, and what they have made is handled.
    - RUN-21: What the drain timeout leaves is counted as stopped.
    - RUN-22: The stop handle ends an idle graph from another thread.
    - RUN-23: ``stop`` may come twice, and before ``start``.
    - RUN-24: Every node that was started is stopped and reset, once, however the run ends.
    - RUN-25: A node that cannot stop is reported, and keeps no other from being stopped.
    - RUN-26: Every slot is available again once the run is over.

    Altogether
    - RUN-27: Equal plans, inputs and instants give equal decision logs.
    - RUN-28: ``log_sha256`` is the digest of the log's canonical bytes.
    - RUN-29: Nothing is kept for a message that has left.
    - RUN-30: Runtimes share no state.
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
