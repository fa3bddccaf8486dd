"""What an executor decided, in the order it did: the record that executors are compared by."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import NamedTuple

from limen.types import error_text

_log = logging.getLogger("limen")


class Decision(NamedTuple):
    """One decision.

    Attributes:
        instant: When, in ticks of the graph's clock.
        step: Steps begun so far, the one in progress included.
        place: ``producer.port -> consumer.port``, a node, or ``graph``.
        action: What was done.
        sequence: Of the message it was done to; -1 where there is none.
        reason: Why, where an action has more than one.
    """

    instant: int
    step: int
    place: str
    action: str
    sequence: int
    reason: str

    def canonical(self) -> str:
        """Return the line whose UTF-8 bytes are hashed, with its newline."""
        return (
            f"{self.instant}|{self.step}|{self.place}|{self.action}|{self.sequence}|{self.reason}\n"
        )

    @classmethod
    def parse(cls, line: str) -> Decision:
        """Read a canonical line.

        Raises:
            ValueError: It is none.
        """
        instant, step, place, action, sequence, reason = line.rstrip("\n").split("|")
        return cls(int(instant), int(step), place, action, int(sequence), reason)


class DecisionLog:
    """Hashes decisions as they are made, and hands each to whoever listens; keeps none itself.

    A listener that raises is told no more, and decisions go on: ``failure`` says why.

    Args:
        listener: Told of every decision.

    Attributes:
        count: Decisions so far.
        failure: What the listener raised, if it did.
    """

    def __init__(self, listener: Callable[[Decision], None] | None = None) -> None:
        self._listener = listener
        self._digest = hashlib.sha256()
        self.count = 0
        self.failure: Exception | None = None

    @property
    def sha256(self) -> str:
        """Digest of the canonical bytes so far, in hexadecimal."""
        return self._digest.hexdigest()

    def record(self, decision: Decision) -> None:
        """Take one decision; called by an executor."""
        self._digest.update(decision.canonical().encode())
        self.count += 1
        if self._listener is None:
            return
        try:
            self._listener(decision)
        except Exception as error:
            self._listener = None
            self.failure = error
            text = error_text(error)
            _log.warning("the decision log is cut off at decision %d: %s", self.count, text)
