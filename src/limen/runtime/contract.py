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

    Whoever makes it calls ``run``, or ``start``, ``step`` as long as it returns True, and ``stop``.

    Starting
    - RUN-1: ``start`` initialises and starts every node, once.
    - RUN-2: Where a node cannot start, ``start`` raises a LimenError.
    - RUN-3: What has been started is stopped then, once.
    - RUN-4: The outcome is ``failed`` then.
    - RUN-5: A runtime runs once: ``start`` and ``run`` raise WRONG_STATE afterwards.

    Stepping
    - RUN-6: ``step`` makes at most one decision: it steps one node, or waits once.
    - RUN-7: It returns False once all nodes have ended, however often it is called.
    - RUN-8: What a node raises when it is stepped is raised by neither ``step`` nor ``run``.
    - RUN-9: It is counted as an error of that node, and kept in words.
    - RUN-10: No node is called before it was started or after it was stopped.
    - RUN-11: Calls into one node never overlap.

    Ends
    - RUN-12: A run ends by itself once its sources have ended, as ``completed``.
    - RUN-13: A failure whose action is HALT_GRAPH ends it as ``halted``.
    - RUN-14: The notes name the node that halted it.
    - RUN-15: A run in which no node can ever go on ends as ``deadlocked``.
    - RUN-16: ``waiting`` says then who waits for whom.
    - RUN-17: After ``run`` every node has been stopped, once.
    - RUN-18: A node that fails to stop keeps no other from being stopped.
    - RUN-19: The notes name it, and the outcome is ``failed``.

    Stopping
    - RUN-20: After a request to stop no source is called again; calls in progress may end.
    - RUN-21: A stop drains: what the sources have made is processed.
    - RUN-22: What the drain timeout leaves is counted as dropped{stopped} or refused{stopped}.
    - RUN-23: A run that was asked to stop ends as ``stopped``.
    - RUN-24: A request ahead of ``start`` ends the run before anything is made.
    - RUN-25: A request from another thread ends a run that waits for an instant.
    - RUN-26: ``is_stopping`` shows from the first request on; another changes nothing.
    - RUN-27: ``stop`` stops every node, also where nothing has been stepped yet.
    - RUN-28: ``stop`` after ``stop`` changes nothing.
    - RUN-29: ``stop`` before ``start`` changes nothing.
    - RUN-30: ``stop`` after a ``start`` that failed changes nothing.

    Edges
    - RUN-31: The messages of an edge arrive in the order in which they were made, whatever is lost
      between them.
    - RUN-32: A BLOCK edge loses nothing that fits.
    - RUN-33: An edge never holds more than its caps allow.

    Accounting
    - RUN-34: After a run every slot is available again.
    - RUN-35: After a run the accounting identities close.
    - RUN-36: Between steps the statistics count exactly what nodes have made and got.
    - RUN-37: No counter ever falls.
    - RUN-38: What ``statistics`` has returned does not change any more.
    - RUN-39: ``run`` returns what ``statistics`` returns after it.

    Decisions
    - RUN-40: Equal inputs and equal instants give equal decisions.
    - RUN-41: The clock is sampled once after each wait and once after each call into a node.
    - RUN-42: The decision log and the counters say the same.
    - RUN-43: ``log_sha256`` is the SHA-256 of the decisions' canonical bytes.

    Resources
    - RUN-44: Nothing that a message makes it allocate is kept once the message is gone.
    - RUN-45: Runtimes share no state.
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
