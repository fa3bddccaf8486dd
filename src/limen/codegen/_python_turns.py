"""The python target: a Program as a function of local variables."""

from __future__ import annotations

import linecache
from array import array
from collections import deque
from collections.abc import Callable, Sequence

from limen.codegen._asked import waits
from limen.codegen._bound import Bound, entry_values, waiting_of
from limen.codegen._program import Program
from limen.codegen._python import print_python
from limen.codegen._statements import Why
from limen.codegen._text import shown
from limen.codegen._turns import (
    LAST_PLACE,
    NOBODY,
    NOTHING_PENDING,
    Entry,
    Left,
    Turns,
    World,
    lasting_variables,
)
from limen.telemetry import record_all
from limen.types import MessageToken, Ticks

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
        self.file = f"<limen {shown(program.name)} {program.digest[:12]}>"
        self._bound = _PythonBound(program, world)
        self._columns = {queue.edge: queue.columns for queue in program.queues}
        places = {var.name: place for place, var in enumerate(lasting_variables(program))}
        self._waits = [
            (name, places[f"n{wait.node}_steps"], wait.per_step)
            for name, wait in waits(program).items()
        ]
        self._take = _function(self.text, self.file)(self._bound)

    def take(self, turn: int) -> Left:
        """Take turns from a node on, until the next decision is the reference's."""
        bound = self._bound
        bound.state[:] = self.state
        try:
            why, node = self._take(turn)
        finally:
            for name, place, per_step in self._waits:
                steps = bound.state[place] - self.state[place]
                bound.note_none(name, steps * per_step)
            self.state = list(bound.state)
        pending, bound.pending = bound.pending, NOTHING_PENDING
        return Left(_WHY[why], node, *pending)

    def interrupted(self) -> Left:
        """Say where an exception left ``take`` that is none of a node's."""
        pending, self._bound.pending = self._bound.pending, NOTHING_PENDING
        # A source that is asked ahead of turns is not the node whose turn was last.
        node = NOBODY if self._bound.asked else self.state[LAST_PLACE]
        return Left(Why.INTERRUPTED, node, *pending)

    def fill(self, queue: int, waiting: Sequence[Entry]) -> None:
        """Put what waits on an edge into its queue, oldest first; the queue is empty."""
        self._bound.queues[queue].extend(entry_values(self._columns[queue], waiting))

    def drain(self, queue: int, now: Ticks) -> list[Entry]:
        """Take what waits out of a queue, oldest first; ``now`` stands for instants not kept."""
        entries = self._bound.queues[queue]
        waiting = waiting_of(self._columns[queue], entries, now)
        entries.clear()
        return waiting

    def lend(self, memory: str, free: Sequence[MessageToken]) -> None:
        """Hand over the free slots of a memory, the one to be claimed next first."""
        self._bound.free[memory].extend(free)

    def give_back(self, memory: str) -> list[MessageToken]:
        """Return the free slots of a memory, the one to be claimed next first."""
        kept = self._bound.free[memory]
        free = list(kept)
        kept.clear()
        return free

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
        self.free: dict[str, deque[MessageToken]] = {m.name: deque() for m in program.memories}
        self.pending = NOTHING_PENDING
        self.asked = False
        self.histograms = {h.name: array("q") for h in program.histograms}
        self._kept = world.histograms
        self._settled = [
            (values, histogram)
            for name, values in self.histograms.items()
            for histogram in world.histograms[name]
        ]
        # By histogram, how many were noted since the turns began.
        self._noted = dict.fromkeys(waits(program), 0)

    def settle(self) -> None:
        """Sort the durations that were noted into their histograms."""
        record_all(self._settled)
        for name in self._noted:
            self._noted[name] += len(self.histograms[name])
        for values in self.histograms.values():
            del values[:]

    def note_none(self, name: str, count: int) -> None:
        """Count the durations of 0 that were not noted, now that turns are over.

        Args:
            name: Their histogram.
            count: How many were to be counted in these turns, noted or not.
        """
        for histogram in self._kept[name] if count > self._noted[name] else ():
            histogram.add((0,), (count - self._noted[name],), 0, 0)
        self._noted[name] = 0


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
