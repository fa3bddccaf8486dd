"""What printers ask of a Program."""

from __future__ import annotations

from collections.abc import Iterator

from limen.codegen._expressions import Binary, Described, Expression, Not, Window
from limen.codegen._program import Block, Histogram, Memory, Program, Queue
from limen.codegen._statements import (
    If,
    Invoke,
    Push,
    Record,
    Set,
    Statement,
    Store,
    Why,
    statements,
)
from limen.node import CallForm
from limen.types import NodeIndex, PortIndex, SequenceNumber, make_trace_id

WHY = {why: number for number, why in enumerate(Why)}
"""How a run function says why it was left."""


UNSTATED = ("deadline_ns", "max_age_ns")
"""What a source may state beside a payload, and mostly does not."""


def waits(program: Program) -> dict[str, Histogram]:
    """Return the histograms of waits, by name, that are 0, mostly: those are not noted.

    The steps of the node say how many there were.
    """
    return {h.name: h for h in program.histograms if h.what == "wait"}


def queue_of(program: Program, name: str) -> Queue:
    """Return a queue by name."""
    return next(queue for queue in program.queues if queue.name == name)


def memory_of(program: Program, name: str) -> Memory:
    """Return a memory by name."""
    return next(memory for memory in program.memories if memory.name == name)


def emits_arrays(program: Program, node: int) -> bool:
    """Whether the output of a node is copied into slots: it takes arrays of one dtype and shape."""
    return any(memory.node == node and memory.copies for memory in program.memories)


def trace_base(node: int) -> int:
    """Return the trace id of a source's first message; those of the others follow it."""
    return make_trace_id(NodeIndex(node), PortIndex(0), SequenceNumber(0))


def expressions(statement: Statement) -> Iterator[Expression]:
    """Yield the expressions of one statement, and what they are made of."""
    match statement:
        case Set(value=value) | Store(value=value) | If(test=value) | Record(ticks=value):
            yield from _inner(value)
        case Push(values=values) | Invoke(arguments=values):
            for one in values:
                yield from _inner(one)
        case _:
            pass


def _inner(expression: Expression) -> Iterator[Expression]:
    yield expression
    match expression:
        case Binary(left=left, right=right):
            yield from _inner(left)
            yield from _inner(right)
        case Not(operand=operand):
            yield from _inner(operand)
        case Described(payload=payload):
            yield from _inner(payload)
        case _:
            pass


def all_blocks(program: Program) -> tuple[Block, ...]:
    """Return what is looked at ahead of turns, and the turns."""
    return (program.ahead, *program.blocks)


def calls_of(block: Block) -> list[Invoke]:
    """Return the calls that a block makes."""
    return [s for s in all_of(block) if isinstance(s, Invoke)]


def all_expressions(program: Program) -> list[Expression]:
    return [e for block in all_blocks(program) for s in all_of(block) for e in expressions(s)]


def has(program: Program, kind: type) -> bool:
    return any(isinstance(s, kind) for block in program.blocks for s in all_of(block))


def makes_messages(program: Program) -> bool:
    forms = {call.form for block in program.blocks for call in calls_of(block)}
    return not forms.isdisjoint((CallForm.CONSUME, CallForm.MESSAGE))


def all_of(block: Block) -> Iterator[Statement]:
    return statements(block.body)


def windows_of_arrays(program: Program) -> list[int]:
    """Return the nodes that are given windows which lie in slots as arrays."""
    found = set()
    for expression in all_expressions(program):
        if isinstance(expression, Window):
            memory = queue_of(program, expression.queue).memory
            if memory is not None and memory_of(program, memory).copies:
                found.add(expression.node)
    return sorted(found)
