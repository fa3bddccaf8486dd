"""The Program: what printers turn into text, with every decision made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, assert_never

from limen.codegen._expressions import Column, Expression, Kind, Var, operands
from limen.codegen._statements import (
    Again,
    Claim,
    Exit,
    Free,
    Head,
    If,
    Invoke,
    Lose,
    Miss,
    Note,
    Pop,
    Push,
    Record,
    Sample,
    Set,
    Statement,
    Store,
)
from limen.errors import Code, GraphError


@dataclass(frozen=True, slots=True)
class Memory:
    """Slots of one output.

    Attributes:
        name: How statements call it.
        node: Index of its node.
        port: Index of the output.
        depth: How many slots.
        copies: Whether what is stored is copied into the slot, as arrays are.
        is_shared: Whether several edges may hold a slot.
        in_turn: Whether slots are claimed in the order in which they became free, so that
            consecutive messages lie side by side; else the one that became free last comes first.
    """

    name: str
    node: int
    port: int
    depth: int
    copies: bool
    is_shared: bool
    in_turn: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages on one edge.

    Attributes:
        name: How statements call it.
        edge: Index of its edge.
        capacity: Most items.
        columns: What is kept of each message.
        length: The variable that counts them.
        memory: Where its payloads lie, by name; None where it holds them itself.
        batch: How many of its messages a step takes.
    """

    name: str
    edge: int
    capacity: int
    columns: tuple[Column, ...]
    length: Var
    memory: str | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """What a node's turn comes to.

    Attributes:
        node: Its index.
        title: Its name and what it is, for readers.
        body: What is done.
    """

    node: int
    title: str
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations that are counted.

    Attributes:
        name: How statements call it.
        node: Index of the node it belongs to.
        what: ``wait``, ``latency``, ``age`` or ``lateness``.
        per_step: How many a step counts.
    """

    name: str
    node: int
    what: str
    per_step: int = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A Plan as straight-line code: nodes take their turns in a circle until an Exit.

    ``turn`` is where it begins, ``last`` the node that was stepped last: at its next turn all the
    others have passed. ``soon`` is the earliest instant that anything waits for, ``due`` the
    earliest that the reference does; ``asked`` says that a source's instant has come.

    Attributes:
        name: The graph's.
        blocks: By node.
        ahead: What is looked at before turns, again and again; its number is that of no node.
        chooses: Whether that chooses each node that is stepped, so that there are no turns.
        variables: What lasts from turn to turn, but for the queues' lengths.
        queues: By edge, those that the Program owns.
        memories: Those that queues refer to.
        histograms: What it counts.
        logs: Whether decisions are written.
        clock: ``monotonic`` for the machine's own, ``any`` for one that is asked.
        node_names: By index.
        cold: For each node that the Program leaves to the reference, why.
        is_lazy: Whether instants that nobody looks at are not sampled.
    """

    name: str
    blocks: tuple[Block, ...]
    variables: tuple[Var, ...]
    queues: tuple[Queue, ...]
    histograms: tuple[Histogram, ...]
    logs: bool
    clock: str
    node_names: tuple[str, ...]
    cold: tuple[tuple[str, str], ...] = ()
    is_lazy: bool = False
    memories: tuple[Memory, ...] = ()
    ahead: Block = Block(-1, "ahead of turns", ())
    chooses: bool = False

    @property
    def holds_any(self) -> bool:
        """Whether there is a node that the reference does not step."""
        return len(self.cold) < len(self.blocks)

    @property
    def digest(self) -> str:
        """SHA-256 of all that the Program says: equal Plans give equal digests."""
        return hashlib.sha256(repr(self).encode("ascii", "backslashreplace")).hexdigest()


TURN = Var("turn")
NOW = Var("now")
DUE = Var("due")
SOON = Var("soon")
ASKED = Var("asked", Kind.BOOL)
ATTENTION = Var("attention", Kind.BOOL)
LAST = Var("last")
OWN = (TURN, LAST, NOW, DUE, SOON, ASKED, ATTENTION)
"""Variables that every Program has."""

NEVER: Final = (1 << 63) - 1
"""An instant that does not come."""

LATEST: Final = 1 << 62
"""From this instant on the reference decides: 64 bits hold what a Program adds to earlier ones."""


def verify_program(program: Program) -> None:
    """Check what every Program must satisfy; a failure is a defect of whoever lowered it.

    Raises:
        GraphError: INVALID_INDEX, naming the place.
    """
    _require([b.node for b in program.blocks] == list(range(len(program.blocks))), "blocks")
    _require(len(program.node_names) == len(program.blocks), "names")
    queues = {queue.name: queue for queue in program.queues}
    histograms = {histogram.name for histogram in program.histograms}
    lasting = {var.name: var.kind for var in (*OWN, *program.variables)}
    lasting |= {queue.length.name: Kind.INT for queue in program.queues}
    memories = {memory.name for memory in program.memories}
    _require({q.memory for q in program.queues} - {None} <= memories, "memories")
    _require(len(lasting) == len(OWN) + len(program.variables) + len(program.queues), "variables")
    for block in (program.ahead, *program.blocks):
        _require(bool(block.body) or block is program.ahead, f"{block.title}: nothing to do")
        known = dict(lasting)
        _verify_body(block.body, known, queues, histograms, program, block)


def _verify_body(
    body: tuple[Statement, ...],
    known: dict[str, Kind],
    queues: dict[str, Queue],
    histograms: set[str],
    program: Program,
    block: Block,
) -> None:
    """Check a body against what is known ahead of it; what it sets is known behind it."""

    def reads(*expressions: Expression) -> None:
        for expression in expressions:
            for var in operands(expression):
                _require(known.get(var.name) is var.kind, f"{block.title}: {var.name} is not set")

    memories = {memory.name for memory in program.memories}
    for place, statement in enumerate(body):
        match statement:
            case Set(target=target, value=value):
                reads(value)
                known[target.name] = target.kind
            case If(test=test, then=then, otherwise=otherwise):
                reads(test)
                for part in (then, otherwise):
                    _verify_body(part, dict(known), queues, histograms, program, block)
            case Pop(queue=name, targets=targets):
                _require(name in queues, f"{block.title}: queue {name}")
                _require(len(targets) == len(queues[name].columns), f"{block.title}: columns")
                known |= {t.name: t.kind for t in targets if t is not None}
            case Push(queue=name, values=values):
                _require(name in queues, f"{block.title}: queue {name}")
                _require(len(values) == len(queues[name].columns), f"{block.title}: columns")
                reads(*values)
            case Claim(memory=name, target=target):
                _require(name in memories, f"{block.title}: memory {name}")
                known[target.name] = target.kind
            case Store(memory=name, slot=slot, value=value):
                _require(name in memories, f"{block.title}: memory {name}")
                reads(slot, value)
            case Free(memory=name, slot=slot):
                _require(name in memories, f"{block.title}: memory {name}")
                reads(slot)
            case Invoke(arguments=arguments, result=result, failed=failed):
                reads(*arguments)
                _require(bool(failed) and isinstance(failed[-1], Exit), f"{block.title}: failure")
                _verify_body(failed, dict(known), queues, histograms, program, block)
                known[result.name] = result.kind
            case Miss(header=header, late=late):
                reads(header, late)
            case Record(histogram=name, ticks=ticks):
                _require(name in histograms, f"{block.title}: histogram {name}")
                reads(ticks)
            case Head(sequence=sequence, creation=creation, target=target):
                reads(sequence, creation)
                known[target.name] = target.kind
            case Note(header=header):
                _require(program.logs, f"{block.title}: a note without a log")
                reads(*(() if header is None else (header,)))
            case Lose(counter=counter):
                reads(counter)
            case Exit(node=node):
                _require(node == block.node, f"{block.title}: exit of another node")
                _require(place == len(body) - 1, f"{block.title}: unreachable statements")
            case Again():
                _require(place == len(body) - 1, f"{block.title}: unreachable statements")
            case Sample():
                pass
            case unreachable:
                assert_never(unreachable)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise GraphError(f"program: {what} is inconsistent", code=Code.INVALID_INDEX)
