"""Faults of sources: silent, and too much at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from limen.node import (
    Node,
    Produced,
    SourceSignal,
)
from limen.testing._clock import DrillClock
from limen.testing._stand import Tap, kept
from limen.testing.drills._fault import Fault, Mark
from limen.testing.drills._judge import Outcome
from limen.types import Ticks, format_ns

_HOUR_NS: Final = 3_600_000_000_000


class FrozenSource(Fault):
    """A source gives nothing any more behind some messages, for ever or for a time."""

    def __init__(self, name: str, after: int, thaw_ns: int | None) -> None:
        self._name = name
        self._after = after
        self._thaw_ns = thaw_ns

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Freeze it."""
        return {self._name: _Freeze(self._after, self._thaw_ns, clock, mark)}

    def missed(self, run: Outcome) -> str:
        """A source that ends before freezes nothing."""
        if run.happened_ns:
            return ""
        return (
            f"{self._name!r} never froze: it gave fewer than {self._after} messages, or ended with "
            f"them; freeze it after fewer, or feed more"
        )


class _Freeze(Tap):
    def __init__(self, after: int, thaw_ns: int | None, clock: DrillClock, mark: Mark) -> None:
        self._left = after
        self._thaw_ns = thaw_ns
        self._clock = clock
        self._mark = mark
        self._node: Node | None = None
        self._frozen = False
        self._until: int | None = None
        # The message with which it was found frozen; it comes first behind the thaw.
        self._withheld: Produced | None = None

    def begin(self, node: Node) -> None:
        self._node = node

    def due(self, due: Ticks | None) -> Ticks | None:
        # A frozen device has no next instant; one far ahead spares the run asking in vain.
        if self._frozen and self._until is None:
            return Ticks(self._clock.now_ticks() + _HOUR_NS)
        return due if self._withheld is None or self._until is None else Ticks(self._until)

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        if self._frozen and (self._until is None or now < self._until):
            return SourceSignal.NOTHING_NOW
        if self._withheld is not None:
            withheld, self._withheld = self._withheld, None
            if self._node is not None:
                # Told only where it can be held back: its schedule waits as well.
                self._node.resumed(now)
            return withheld
        made = make(now)
        if not isinstance(made, Produced) or self._frozen:
            return made
        if self._left:
            self._left -= 1
            return made
        self._frozen = True
        self._mark()
        if self._thaw_ns is not None:
            self._until = now + self._thaw_ns
        self._withheld = msgspec.structs.replace(made, payload=kept(made.payload))
        return SourceSignal.NOTHING_NOW


class Burst(Fault):
    """A source gives many messages more at one instant."""

    def __init__(self, name: str, count: int, at_ns: int) -> None:
        self._name = name
        self._count = count
        self._at_ns = at_ns

    def taps(self, clock: DrillClock, mark: Mark) -> Mapping[str, Tap]:
        """Add them."""
        return {self._name: _More(self._count, self._at_ns, clock, mark)}

    def missed(self, run: Outcome) -> str:
        """The source, or the run, may have ended before."""
        if len(run.happened_ns) >= self._count:
            return ""
        return (
            f"{len(run.happened_ns)} of {self._count} messages came: the run lasted "
            f"{format_ns(run.statistics.duration_ns)}, the burst was for {format_ns(self._at_ns)}; "
            f"give an earlier at=…, or more duration=…"
        )


class _More(Tap):
    def __init__(self, count: int, at_ns: int, clock: DrillClock, mark: Mark) -> None:
        self._left = count
        self._at = at_ns
        self._clock = clock
        self._mark = mark
        self._last: Produced | None = None
        self._ended = False

    def due(self, due: Ticks | None) -> Ticks | None:
        if not self._left or self._last is None:
            return due
        if due is None and not self._ended:
            # An untimed source stays untimed until the burst is due.
            return None if self._clock.now_ticks() < self._at else Ticks(self._at)
        return Ticks(self._at if self._ended or due is None else min(due, self._at))

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        if self._left and now >= self._at and self._last is not None:
            self._left -= 1
            self._mark()
            return msgspec.structs.replace(self._last, creation_tick=None)
        if self._ended:
            return SourceSignal.NOTHING_NOW if self._left else SourceSignal.END_OF_STREAM
        made = make(now)
        if isinstance(made, Produced):
            self._last = msgspec.structs.replace(made, payload=kept(made.payload))
        elif made is SourceSignal.END_OF_STREAM and self._left and self._last is not None:
            self._ended = True
            return SourceSignal.NOTHING_NOW
        return made
