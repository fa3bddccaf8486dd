"""Who has been silent for too long, found with nothing flowing too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from limen.node import NodeKind
from limen.policy import is_violated
from limen.runtime._context import NodeContext
from limen.runtime._journal import Journal
from limen.telemetry import RuntimeEventKind, ViolationKind
from limen.types import Ticks, format_ns


@dataclass(slots=True)
class _Watch:
    """One gap that is watched.

    Attributes:
        place: Edge or node, as the log names it.
        gap: Most ticks of silence.
        node: Index of the node that ends the watch.
        last: Returns the instant of the last sign of life.
        ended: Returns whether no sign can come any more.
        from_source: Whether it is an edge that begins at a source.
        reported: The sign behind which the gap has been reported already.
    """

    place: str
    gap: int
    node: int
    last: Callable[[], Ticks]
    ended: Callable[[], bool]
    from_source: bool = False
    reported: Ticks | None = None


class LivenessMonitor:
    """Reports each gap once, in the order of SEMANTICS 1: by node, its inputs first.

    Args:
        contexts: All nodes, by index.
        journal: The run's.
    """

    def __init__(self, contexts: Sequence[NodeContext], journal: Journal) -> None:
        self._journal = journal
        self._start = Ticks(0)
        self._sources = {c.plan.index for c in contexts if c.plan.kind is NodeKind.SOURCE}
        self._watches = [watch for context in contexts for watch in self._of(context)]

    def start(self, now: Ticks) -> None:
        """Begin: the start counts as the first sign of everybody."""
        self._start = now

    def check(self, ended: Sequence[bool]) -> None:
        """Report what has been silent for too long at this instant."""
        now, clock = self._journal.tick, self._journal.clock
        for watch in self._open(ended):
            last = watch.last()
            if watch.reported != last and is_violated(now, last, watch.gap):
                watch.reported = last
                self._journal.note(watch.place, "liveness")
                silence_ns = clock.ticks_to_nanos(now - last)
                self._journal.violated(ViolationKind.LIVENESS, watch.place, amount_ns=silence_ns)
                if watch.from_source:
                    kind, text = RuntimeEventKind.DATA_GAP, f"nothing for {format_ns(silence_ns)}"
                    self._journal.happened(kind, watch.place, text)

    def due(self, ended: Sequence[bool]) -> list[int]:
        """Return the instants at which gaps will be violated, if nothing comes before."""
        return [
            last + watch.gap + 1
            for watch in self._open(ended)
            if (last := watch.last()) != watch.reported
        ]

    def earliest(self, ended: Sequence[bool], now: Ticks) -> list[int]:
        """Return instants ahead of which no gap can be violated, whatever comes from now on.

        Asked by executors that go on without ``check`` for a while: a gap that has been reported
        is watched again from the next sign of life on.
        """
        return [
            (now if (last := watch.last()) == watch.reported else last) + watch.gap + 1
            for watch in self._open(ended)
        ]

    def _open(self, ended: Sequence[bool]) -> Iterator[_Watch]:
        return (w for w in self._watches if not ended[w.node] and not w.ended())

    def _of(self, context: NodeContext) -> Iterator[_Watch]:
        index = context.plan.index
        for link in context.links:
            if link.into.gap_ticks is not None:
                yield _Watch(
                    link.plan.name,
                    link.into.gap_ticks,
                    index,
                    lambda link=link: self._start if link.last_push is None else link.last_push,  # type: ignore[misc] # the default binds the loop's value
                    lambda link=link: link.consumer.ended,  # type: ignore[misc] # likewise
                    link.plan.producer.node in self._sources,
                )
        if context.plan.step_gap_ticks is not None:
            yield _Watch(
                context.plan.name,
                context.plan.step_gap_ticks,
                index,
                lambda: context.last_step,
                lambda: False,
            )
