"""What a Program is bound to in a run, and what taking turns comes to; the same on every target."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limen.codegen._expressions import Var
from limen.codegen._program import Program
from limen.codegen._statements import Why
from limen.message import MessageHeader
from limen.telemetry import Histogram
from limen.types import MessageToken, Ticks

Entry = tuple[MessageHeader, object, Ticks]
"""A message that waits: header, payload or slot, and the instant of its push."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of one output.

    Attributes:
        views: By slot, its payload to be read.
        rooms: By slot, its payload to be written; empty where payloads are held by reference.
        shares: By slot, how many edges hold it; kept where several may.
    """

    views: Sequence[object]
    rooms: Sequence[NDArray[np.generic]]
    shares: MutableMapping[MessageToken, int] | list[int]


@dataclass(frozen=True, slots=True)
class World:
    """What the names of a generated text stand for.

    Attributes:
        calls: By node, what is called.
        kinds: By node, the class of what its output takes as it is.
        tensors: By node, dtype and shape of what its output takes as it is.
        slots: By memory.
        pauses: By node, whether it asks for a step of its own.
        dues: By node, asks a source with a schedule for its next instant.
        windows: By node, what lays the arrays of a window side by side.
        contexts: By node, what a MESSAGE function is given beside the message.
        histograms: By name; a name may stand for several.
        sample: Charges the clock and reads it.
        epoch: Of the machine's own clock.
        domain: Of the clock.
        note: Writes a decision: instant, place, action, sequence, reason.
        lost: Told of a loss: edge, how many, what was done, why.
        missed: Told of a result that came late: node, instant, header, by how much.
        described: Returns a header that states a payload's own size: node, header, payload.
        attention: Not empty once somebody asks for the reference.
    """

    calls: Mapping[int, Callable[..., object]]
    kinds: Mapping[int, type]
    tensors: Mapping[int, tuple[np.dtype[np.generic], tuple[int, ...]]]
    slots: Mapping[str, Slots]
    pauses: Mapping[int, Callable[[], bool]]
    dues: Mapping[int, Callable[[], int]]
    windows: Mapping[int, Callable[[tuple[int, ...]], NDArray[np.generic]]]
    contexts: Mapping[int, object]
    histograms: Mapping[str, Sequence[Histogram]]
    sample: Callable[[int], Ticks]
    epoch: int
    domain: int
    note: Callable[[Ticks, str, str, int, str], None]
    lost: Callable[[int, int, str, str], None]
    missed: Callable[[int, Ticks, MessageHeader, int], None]
    described: Callable[[int, MessageHeader, object], MessageHeader]
    attention: list[bool]


Pending = tuple[MessageHeader | None, object, int, Ticks, object]
"""Of a call that is left: header, payload or slot, instant of the push, and what came of it."""

NOTHING_PENDING: Pending = (None, None, 0, Ticks(0), None)


class Left(NamedTuple):
    """How and where a Program was left.

    Attributes:
        why: What is left to the reference.
        node: The node whose turn it is, or was; ``NOBODY`` where an interrupt left none at work.
        header: Of the message that a node was called with.
        payload: Its payload, where a queue held that.
        slot: Its slot, where a queue held that.
        pushed: When it was pushed.
        failure: What the node raised, or returned.
    """

    why: Why
    node: int
    header: MessageHeader | None
    payload: object
    slot: int
    pushed: Ticks
    failure: object


class Turns(abc.ABC):
    """Takes the turns of one Program in one run.

    Attributes:
        state: Values of ``lasting_variables``, in that order, before and after ``take``.
    """

    def __init__(self) -> None:
        self.state: list[int] = []

    @abc.abstractmethod
    def take(self, turn: int) -> Left:
        """Take turns from a node on, until the next decision is the reference's."""

    @abc.abstractmethod
    def interrupted(self) -> Left:
        """Say where an exception left ``take`` that is none of a node's."""

    @abc.abstractmethod
    def fill(self, queue: int, waiting: Sequence[Entry]) -> None:
        """Put what waits on an edge into its queue, oldest first; the queue is empty."""

    @abc.abstractmethod
    def drain(self, queue: int, now: Ticks) -> list[Entry]:
        """Take what waits out of a queue, oldest first; ``now`` stands for instants not kept."""

    @abc.abstractmethod
    def lend(self, memory: str, free: Sequence[MessageToken]) -> None:
        """Hand over the free slots of a memory, the one to be claimed next first."""

    @abc.abstractmethod
    def give_back(self, memory: str) -> list[MessageToken]:
        """Return the free slots of a memory, the one to be claimed next first."""

    @abc.abstractmethod
    def settle(self) -> None:
        """Bring the histograms up to date."""


def lasting_variables(program: Program) -> list[Var]:
    """Return what an executor hands over and takes back, in its order."""
    own = [Var("now"), Var("due"), Var("last")]
    return [*own, *program.variables, *(queue.length for queue in program.queues)]


LAST_PLACE: Final = 2
"""Where ``lasting_variables`` has the node that was stepped last."""

NOBODY: Final = -1
"""The node of an exit at which none was called on what it had taken."""
