"""What a Program is made of: expressions and statements."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from limen.node import CallForm


class Kind(enum.Enum):
    """What a variable holds; ``INT`` has 64 bits."""

    INT = "int"
    BOOL = "bool"
    OBJECT = "object"


class Operator(enum.Enum):
    """What joins two operands; the value is how Python and Cython write it."""

    ADD = "+"
    SUBTRACT = "-"
    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    AND = "and"
    OR = "or"


class Answer(enum.Enum):
    """What a node's answer may be that is taken as it is; the value is what texts call it."""

    OUTPUT = "output"
    CONSUMED = "consumed"


class Column(enum.Enum):
    """What a queue keeps of each message: its payload itself, or the slot that it lies in."""

    HEADER = "header"
    PAYLOAD = "payload"
    SLOT = "slot"
    PUSHED = "pushed"
    CREATION = "creation"


# Expressions.


@dataclass(frozen=True, slots=True)
class Const:
    """A whole number that the Plan decided."""

    value: int


@dataclass(frozen=True, slots=True)
class Var:
    """A variable: the Program's own, or one of a block."""

    name: str
    kind: Kind = Kind.INT


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and what joins them."""

    operator: Operator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary of a truth value."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class IsNone:
    """Whether a call gave nothing."""

    operand: Var


@dataclass(frozen=True, slots=True)
class Fits:
    """Whether what a call returned is taken as it is; anything else is left to the reference.

    A payload must be of exactly the class that the output declares; what a source made must in
    addition state nothing but its payload, and an answer must be one with a payload.

    Attributes:
        operand: What was returned.
        node: Index of the node whose output declares it.
        form: How the node was called.
    """

    operand: Var
    node: int
    form: CallForm


@dataclass(frozen=True, slots=True)
class Made:
    """The payload of what a source made, or of a node's answer.

    Attributes:
        operand: What was returned.
        form: How the node was called.
    """

    operand: Var
    form: CallForm = CallForm.PRODUCE


@dataclass(frozen=True, slots=True)
class View:
    """The payload in a slot, to be read.

    Attributes:
        memory: Whose slot.
        slot: Which.
    """

    memory: str
    slot: Var


@dataclass(frozen=True, slots=True)
class Room:
    """The payload in a slot, to be written.

    Attributes:
        memory: Whose slot.
        slot: Which.
    """

    memory: str
    slot: Var


@dataclass(frozen=True, slots=True)
class Next:
    """The slot that a Claim takes next."""

    memory: str


@dataclass(frozen=True, slots=True)
class Front:
    """What a queue holds of a message that waits, counted from the front; it is there.

    Attributes:
        queue: Its name.
        place: Which message.
        column: What of it.
    """

    queue: str
    place: int
    column: Column


@dataclass(frozen=True, slots=True)
class FrontSlots:
    """The slots of the messages at the front of a queue, together; they are there.

    Attributes:
        queue: Its name.
        count: How many.
    """

    queue: str
    count: int


@dataclass(frozen=True, slots=True)
class NextSlots:
    """The slots that as many Claims take next, together; there are so many.

    Attributes:
        memory: Whose slots.
        count: How many.
    """

    memory: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """One of the results that a call returned side by side.

    Attributes:
        operand: What it returned.
        place: Which.
    """

    operand: Var
    place: int


@dataclass(frozen=True, slots=True)
class Same:
    """Whether a call returned the very array that it was given to fill.

    Attributes:
        operand: What it returned.
        room: What it was given.
    """

    operand: Var | Made
    room: Room


@dataclass(frozen=True, slots=True)
class Aged:
    """A header with the oldest creation that went into an answer, where the answer states one.

    Attributes:
        header: The header as it was.
        operand: The answer.
    """

    header: Var
    operand: Var


@dataclass(frozen=True, slots=True)
class IsA:
    """Whether an answer has a payload, or says that nothing goes out.

    Attributes:
        operand: The answer.
        answer: Which of the two.
    """

    operand: Var
    answer: Answer


@dataclass(frozen=True, slots=True)
class Described:
    """A header with size and place of a payload.

    Attributes:
        node: Index of the node that emits it.
        header: The header as it was.
        payload: The payload.
    """

    node: int
    header: Var
    payload: Expression


@dataclass(frozen=True, slots=True)
class Pauses:
    """Whether a node asks for a step of its own: another model may wait to be taken over."""

    node: int


Expression = (
    Const
    | Var
    | Binary
    | Not
    | IsNone
    | IsA
    | Fits
    | Made
    | View
    | Room
    | Next
    | Front
    | FrontSlots
    | NextSlots
    | Row
    | Same
    | Described
    | Aged
    | Pauses
)


# Statements.


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
        size_bytes: Of its payload; 0 where each has its own, and readers ask for it.
        target: The header.
    """

    node: int
    sequence: Expression
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


def operands(expression: Expression) -> Iterator[Var]:
    """Yield the variables that an expression reads."""
    match expression:
        case Var():
            yield expression
        case Binary(left=left, right=right):
            yield from operands(left)
            yield from operands(right)
        case Not(operand=operand):
            yield from operands(operand)
        case IsNone(operand=operand) | Fits(operand=operand) | Made(operand=operand):
            yield operand
        case View(slot=slot) | Room(slot=slot):
            yield slot
        case Same(operand=operand, room=room):
            yield from operands(operand)
            yield room.slot
        case Aged(header=header, operand=operand):
            yield header
            yield operand
        case IsA(operand=operand):
            yield operand
        case Described(header=header, payload=payload):
            yield header
            yield from operands(payload)
        case Row(operand=operand):
            yield operand
        case Const() | Next() | NextSlots() | Front() | FrontSlots() | Pauses():
            pass
        case unreachable:
            assert_never(unreachable)
