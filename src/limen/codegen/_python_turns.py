"""The python target: a Program as a function of local variables."""

from __future__ import annotations

import linecache
from array import array
from collections import deque
from collections.abc import Callable, Sequence

from limen.codegen._bound import Bound, entry_values, waiting_of
from limen.codegen._program import Program, Why
from limen.codegen._python import print_python
from limen.codegen._turns import LAST_PLACE, NOTHING_PENDING, Entry, Left, Turns, World
from limen.telemetry import record_all
from limen.types import Ticks

_WHY = tuple(Why)


class PythonTurns(Turns):
    """Runs the printed text, which is registered so that tracebacks and debuggers show it.

    Args:
        program: What to run.
        world: What its names stand for.
    """

    def __init__(self, program: Program, world: World) -> None:
        super().__init__()
        self.text = print_python(program)
        self.file = f"<limen {program.name} {program.digest[:12]}>"
        self._bound = _PythonBound(program, world)
        self._columns = {queue.edge: queue.columns for queue in program.queues}
        self._take = _function(self.text, self.file)(self._bound)

    def take(self, turn: int) -> Left:
        """Take turns from a node on, until the next decision is the reference's."""
        bound = self._bound
        bound.state[:] = self.state
        try:
            why, node = self._take(turn)
        finally:
            self.state = list(bound.state)
        pending, bound.pending = bound.pending, NOTHING_PENDING
        return Left(_WHY[why], node, *pending)

    def interrupted(self) -> Left:
        """Say where an exception left ``take`` that is none of a node's."""
        pending, self._bound.pending = self._bound.pending, NOTHING_PENDING
        return Left(Why.INTERRUPTED, self.state[LAST_PLACE], *pending)

    def fill(self, queue: int, waiting: Sequence[Entry]) -> None:
        """Put what waits on an edge into its queue, oldest first; the queue is empty."""
        self._bound.queues[queue].extend(entry_values(self._columns[queue], waiting))

    def drain(self, queue: int, now: Ticks) -> list[Entry]:
        """Take what waits out of a queue, oldest first; ``now`` stands for instants not kept."""
        entries = self._bound.queues[queue]
        waiting = waiting_of(self._columns[queue], entries, now)
        entries.clear()
        return waiting

    def settle(self) -> None:
        """Bring the histograms up to date."""
        self._bound.settle()


class _PythonBound(Bound):
    """With what the text keeps outside of its function."""

    def __init__(self, program: Program, world: World) -> None:
        super().__init__(world)
        self.state: list[int] = []
        self.queues: dict[int, deque[tuple[object, ...]]] = {
            queue.edge: deque() for queue in program.queues
        }
        self.pending = NOTHING_PENDING
        self.histograms = {h.name: array("q") for h in program.histograms}
        self._settled = [
            (values, histogram)
            for name, values in self.histograms.items()
            for histogram in world.histograms[name]
        ]

    def settle(self) -> None:
        """Sort the durations that were noted into their histograms."""
        record_all(self._settled)
        for values in self.histograms.values():
            del values[:]


def _function(text: str, file: str) -> Callable[[_PythonBound], Callable[[int], tuple[int, int]]]:
    """Compile a text and return its ``make``."""
    # A fourth element of None keeps linecache from looking for a file of that name.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, object] = {"__name__": "limen.generated"}
    exec(compile(text, file, "exec"), names)
    make = names["make"]
    if not callable(make):
        raise TypeError("make is not callable")
    return make
