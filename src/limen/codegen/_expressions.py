"""What statements of a Program read: constants, variables, slots, fronts of queues, answers."""

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

    A payload must be of exactly the class that the output declares; what a source made may state
    no more beside it than when that was.

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
class Stated:
    """When a source's message was made: what it states, moved to the graph's clock, or now.

    Attributes:
        operand: What it returned, which fits.
        offset: What is added to what it states.
    """

    operand: Var
    offset: int


@dataclass(frozen=True, slots=True)
class NextDue:
    """The next instant of a source's schedule; ``NEVER`` where it has none now."""

    node: int


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
class Number:
    """The sequence number that a header states."""

    header: Front


@dataclass(frozen=True, slots=True)
class Window:
    """The payloads at the front of a queue side by side, as one array or a tuple of objects.

    Attributes:
        node: Who is given them.
        queue: Where they wait.
        count: How many.
    """

    node: int
    queue: str
    count: int


@dataclass(frozen=True, slots=True)
class WindowHeader:
    """The header of what is made of the messages at the front of a queue.

    Attributes:
        queue: Where they wait.
        count: How many.
    """

    queue: str
    count: int


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
    | Stated
    | NextDue
    | Next
    | Front
    | Number
    | Window
    | WindowHeader
    | FrontSlots
    | NextSlots
    | Row
    | Same
    | Described
    | Aged
    | Pauses
)


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
        case Row(operand=operand) | Stated(operand=operand):
            yield operand
        case (
            Const()
            | NextDue()
            | Next()
            | NextSlots()
            | Front()
            | Number()
            | FrontSlots()
            | Window()
            | WindowHeader()
            | Pauses()
        ):
            pass
        case unreachable:
            assert_never(unreachable)
