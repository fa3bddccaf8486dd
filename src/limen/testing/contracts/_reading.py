"""Reads a source as a runtime does: by its schedule, or again and again where it has none."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from limen.errors import SensorError
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.testing.contracts._payload_checks import kept
from limen.testing.contracts._resources import asked_again
from limen.types import Ticks

_POLL_NS = 1_000_000
# Instants that come to nothing: a live source may have lost what was due then.
_MOST_EMPTY = 10_000


class Reading:
    """A source that is open until the end of a ``with``; made by the suite of sources.

    What a test is not about is passed over: errors, answers that are none.

    Args:
        source: A source that has been prepared; opened here.
        clock: Its clock, which is moved to each instant that is due.
        patience_s: Seconds for which a source that has nothing is asked again.

    Attributes:
        count: Messages so far.
        due: The instant at which the last one was said to be due; None without a schedule.
        given: Payloads of those that a test asked for, as they were.
        ended: Whether END_OF_STREAM came.
        strange: What ``try_produce`` returned that is no answer.
    """

    def __init__(self, source: Source, clock: PlatformClock, patience_s: float) -> None:
        self.clock = clock
        self.count = 0
        self.due: Ticks | None = None
        self.given: list[object] = []
        self.ended = False
        self.strange: list[object] = []
        self._source = source
        self._patience_s = patience_s
        source.open(clock, clock.now_ticks())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whether close may fail is a clause of its own.
        with contextlib.suppress(Exception):
            self._source.close()

    def ask(self) -> object:
        """Ask once, at the instant that is due; return the answer, or the SensorError raised."""
        due = self._source.next_due()
        if due is not None and due > self.clock.now_ticks():
            self.clock.wait_until(due)
        return self.ask_at(self.clock.now_ticks())

    def ask_at(self, now: Ticks) -> object:
        """Ask once, at an instant; return the answer, or the SensorError raised."""
        try:
            made: object = self._source.try_produce(now)
        except SensorError as error:
            return error
        if made is SourceSignal.END_OF_STREAM:
            self.ended = True
        elif isinstance(made, Produced):
            self.count += 1
        elif made is not SourceSignal.NOTHING_NOW:
            self.strange.append(made)
        return made

    def next_message(self) -> Produced | None:
        """Return the next message; None behind the last, or where none comes for too long."""
        if self.ended:
            return None
        for _ in asked_again(self._patience_s):
            made = self._ask_by_schedule()
            if isinstance(made, Produced):
                return made
            if made is SourceSignal.END_OF_STREAM:
                return None
            now = self.clock.now_ticks()
            self.clock.wait_until(Ticks(now + self.clock.duration_to_ticks(_POLL_NS)))
        return None

    def messages(self, most: int) -> list[object]:
        """Return the payloads of the next messages, as they were when they came."""
        found: list[object] = []
        while len(found) < most and (made := self.next_message()) is not None:
            found.append(kept(made.payload))
        self.given += found
        return found

    def skip(self, most: int) -> None:
        """Read so many messages and keep nothing of them."""
        for _ in range(most):
            if self.next_message() is None:
                return

    def instants(self, most: int) -> list[Ticks | None]:
        """Return for each of the next messages the instant at which it was said to be due."""
        found: list[Ticks | None] = []
        while len(found) < most and self.next_message() is not None:
            found.append(self.due)
        return found

    def attempt(self) -> object:
        """Ask once as ``ask`` does; return also what is no SensorError."""
        try:
            made = self.ask()
        except Exception as error:
            return error
        if isinstance(made, Produced):
            self.given.append(kept(made.payload))
        return made

    def until_failure(self, most: int) -> Exception | None:
        """Ask until a call raises; return what, None if none does."""
        for _ in range(most):
            made = self.attempt()
            if isinstance(made, Exception):
                return made
        return None

    def _ask_by_schedule(self) -> object:
        """Ask until there is a message, an end, or nothing and no later instant either."""
        made: object = None
        for _ in range(_MOST_EMPTY):
            self.due = self._source.next_due()
            made = self.ask()
            if isinstance(made, Produced) or made is SourceSignal.END_OF_STREAM:
                break
            after = self._source.next_due()
            if self.due is None or after is None or after <= self.due:
                break
        return made
