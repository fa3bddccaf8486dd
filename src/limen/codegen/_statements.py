"""What a Program does, one by one."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from limen.codegen._expressions import Expression, Var
from limen.node import CallForm


@dataclass(frozen=True, slots=True)
class Set:
    """Give a variable a value."""

    target: Var
    value: Expression


@dataclass(frozen=True, slots=True)
class If:
    """Do one thing or another."""

    test: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Pop:
    """Take the front of a queue, which is not empty; a target that is None is thrown away."""

    queue: str
    targets: tuple[Var | None, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """Append to a queue, which has room."""

    queue: str
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """Take the next free slot of a memory; there is one.

    Attributes:
        memory: Its name.
        target: The slot.
        shares: How many edges the message is offered to.
    """

    memory: str
    target: Var
    shares: int


@dataclass(frozen=True, slots=True)
class Store:
    """Put a payload that fits into a slot: an array is copied.

    Attributes:
        memory: Whose slot.
        slot: Which.
        value: The payload.
    """

    memory: str
    slot: Var
    value: Expression


@dataclass(frozen=True, slots=True)
class Free:
    """Give up one edge's share of a slot; with the last one the slot is free again.

    Attributes:
        memory: Whose slot.
        slot: Which.
    """

    memory: str
    slot: Var


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call into a node: the only place where a user's code runs.

    Attributes:
        node: Its index.
        form: How it is called.
        arguments: What it is given.
        result: What it returned.
        failed: What is done where it raised; ends with an Exit.
    """

    node: int
    form: CallForm
    arguments: tuple[Expression, ...]
    result: Var
    failed: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """Read the clock: from here on it is a new instant.

    Attributes:
        cost: Ticks that a simulated clock is charged first.
    """

    cost: int = 0


@dataclass(frozen=True, slots=True)
class Miss:
    """Account for a result that came after its deadline.

    Attributes:
        node: Whose result.
        header: Of the message it was made of.
        late: How long after its deadline, in ticks.
    """

    node: int
    header: Var
    late: Var


@dataclass(frozen=True, slots=True)
class Record:
    """Count a duration in a histogram.

    Attributes:
        histogram: Its name.
        ticks: The duration.
    """

    histogram: str
    ticks: Expression


@dataclass(frozen=True, slots=True)
class Head:
    """Make the header of a source's message.

    Attributes:
        node: The source's index.
        sequence: Its number.
        creation: When it was made.
        size_bytes: Of its payload; 0 where each has its own, and readers ask for it.
        target: The header.
    """

    node: int
    sequence: Expression
    creation: Expression
    size_bytes: int
    target: Var


@dataclass(frozen=True, slots=True)
class Note:
    """Write a decision to the log.

    Attributes:
        place: Node or edge.
        action: What was done.
        header: Of the message it was done to; None where there is none.
        reason: Why.
    """

    place: str
    action: str
    header: Var | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Lose:
    """Count a message that an edge lost, and warn of the first ones.

    Attributes:
        edge: Its index.
        counter: How many were lost for that reason.
        what: ``refused`` or ``evicted``.
        reason: Why.
    """

    edge: int
    counter: Var
    what: str
    reason: str


class Why(enum.Enum):
    """Why a Program is left."""

    DECIDE = "decide"
    """The next decision is none of its own."""
    FAILED = "failed"
    """A node raised: ``failure`` holds what."""
    UNUSUAL = "unusual"
    """A node returned what is not taken as it is: ``failure`` holds it."""
    INTERRUPTED = "interrupted"
    """A node was called and has not answered: an interrupt goes on its way."""


@dataclass(frozen=True, slots=True)
class Again:
    """Begin anew with what is looked at ahead of turns; ``turn`` is where they go on."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Leave the Program: the reference goes on from the state as it is.

    Attributes:
        why: What is left to it.
        node: The node that the block is of.
    """

    why: Why
    node: int


Statement = (
    Set
    | If
    | Pop
    | Push
    | Claim
    | Store
    | Free
    | Invoke
    | Sample
    | Record
    | Miss
    | Head
    | Note
    | Lose
    | Again
    | Exit
)


def statements(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield the statements of a body and of what they hold, in order."""
    for statement in body:
        yield statement
        match statement:
            case If(then=then, otherwise=otherwise):
                yield from statements(then)
                yield from statements(otherwise)
            case Invoke(failed=failed):
                yield from statements(failed)
            case _:
                pass
