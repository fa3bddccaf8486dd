"""The native target: a Program as a compiled class."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Protocol

from limen.codegen._bound import Bound, entry_values, waiting_of
from limen.codegen._program import Program
from limen.codegen._statements import Why
from limen.codegen._turns import LAST_PLACE, NOBODY, Entry, Left, Pending, Turns, World
from limen.errors import NodeError
from limen.types import MessageToken, Ticks

_WHY = tuple(Why)


class _Compiled(Protocol):
    """What the printed class has."""

    asked: int

    def load(self, state: list[int]) -> None: ...
    def store(self) -> list[int]: ...
    def pending(self) -> Pending: ...
    def fill(self, edge: int, waiting: list[tuple[object, ...]]) -> None: ...
    def drain(self, edge: int) -> list[tuple[object, ...]]: ...
    def lend(self, memory: str, free: list[MessageToken], shares: object) -> None: ...
    def give_back(self, memory: str, shares: object) -> list[MessageToken]: ...
    def histogram(self, row: int) -> list[int]: ...
    def take(self, turn: int) -> tuple[int, int]: ...


class NativeTurns(Turns):
    """Runs the printed text, compiled.

    Args:
        program: What to run.
        world: What its names stand for.
        module: What was built of it.
    """

    def __init__(self, program: Program, world: World, module: ModuleType) -> None:
        super().__init__()
        self._compiled: _Compiled = module.Turns(Bound(world))
        self._columns = {queue.edge: queue.columns for queue in program.queues}
        self._depths = {memory.name: memory.depth for memory in program.memories}
        self._shares = {name: slots.shares for name, slots in world.slots.items()}
        self._histograms = [world.histograms[h.name] for h in program.histograms]

    def take(self, turn: int) -> Left:
        """Take turns from a node on, until the next decision is the reference's."""
        self._compiled.load(self.state)
        try:
            why, node = self._compiled.take(turn)
        finally:
            self.state = self._compiled.store()
        return Left(_WHY[why], node, *self._compiled.pending())

    def interrupted(self) -> Left:
        """Say where an exception left ``take`` that is none of a node's."""
        # A source that is asked ahead of turns is not the node whose turn was last.
        node = NOBODY if self._compiled.asked else self.state[LAST_PLACE]
        return Left(Why.INTERRUPTED, node, *self._compiled.pending())

    def fill(self, queue: int, waiting: Sequence[Entry]) -> None:
        """Put what waits on an edge into its queue, oldest first; the queue is empty."""
        self._compiled.fill(queue, entry_values(self._columns[queue], waiting))

    def drain(self, queue: int, now: Ticks) -> list[Entry]:
        """Take what waits out of a queue, oldest first; ``now`` stands for instants not kept."""
        return waiting_of(self._columns[queue], self._compiled.drain(queue), now)

    def lend(self, memory: str, free: Sequence[MessageToken]) -> None:
        """Hand over the free slots of a memory, the one to be claimed next first."""
        if len(free) > self._depths[memory]:
            raise NodeError(f"memory {memory}: {len(free)} free slots of {self._depths[memory]}")
        self._compiled.lend(memory, list(free), self._shares[memory])

    def give_back(self, memory: str) -> list[MessageToken]:
        """Return the free slots of a memory, the one to be claimed next first."""
        return self._compiled.give_back(memory, self._shares[memory])

    def settle(self) -> None:
        """Bring the histograms up to date."""
        for row, histograms in enumerate(self._histograms):
            *counts, least, most = self._compiled.histogram(row)
            if most >= least:
                places = [place for place, number in enumerate(counts) if number]
                for histogram in histograms:
                    histogram.add(places, [counts[place] for place in places], least, most)
