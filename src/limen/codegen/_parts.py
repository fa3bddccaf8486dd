"""Parts of turns: what is noted, counted, recorded and emitted, whatever a node is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from limen.codegen._cold import edges_into, has_instants, is_timed
from limen.codegen._expressions import (
    Binary,
    Column,
    Const,
    Described,
    Expression,
    IsNone,
    Kind,
    Not,
    Operator,
    Row,
    Var,
)
from limen.codegen._program import (
    ASKED,
    ATTENTION,
    DUE,
    LAST,
    NOW,
    SOON,
    TURN,
    Histogram,
    Memory,
    Queue,
)
from limen.codegen._reads import reads
from limen.codegen._statements import (
    Again,
    Claim,
    Exit,
    Free,
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
    Why,
)
from limen.errors import Code, GraphError
from limen.message import payload_size_bytes
from limen.node import CallForm, NodeKind
from limen.policy import AdmissionPolicy, RetentionMode
from limen.scheduling import EdgePlan, NodePlan, Plan
from limen.types import PayloadSpec, TensorSpec

# What is held by reference, copied by nobody, and cannot change under a reader.
_BY_REFERENCE = (int, float, bool, str, bytes, complex)

_SIZES: dict[type, int] = {kind: payload_size_bytes(kind()) for kind in (int, float, bool, complex)}

HEADER = Var("header", Kind.OBJECT)
PAYLOAD = Var("payload", Kind.OBJECT)
RESULT = Var("result", Kind.OBJECT)
SLOT = Var("slot")
LATE = Var("late")
ROOM = Var("room")
PUSHED = Var("pushed")
CREATION = Var("creation")
BEGUN = Var("begun")
COLUMNS: dict[Column, Var] = {
    Column.HEADER: HEADER,
    Column.PAYLOAD: PAYLOAD,
    Column.SLOT: SLOT,
    Column.PUSHED: PUSHED,
    Column.CREATION: CREATION,
}


@dataclass(slots=True)
class Parts:
    """Makes the parts of which turns are put together.

    Attributes:
        plan: What is lowered.
        clock: The kind of clock that is read.
        logs: Whether decisions are written.
        variables: What lasts.
        histograms: What is counted.
        cold: Of nodes that the reference steps, why.
        memories: Where payloads lie, by name.
    """

    plan: Plan
    clock: str
    logs: bool
    variables: list[Var] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    cold: dict[int, str] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)

    @property
    def _is_lazy(self) -> bool:
        """Whether instants that nobody looks at are not sampled: on the machine's clock only.

        There a call and the next use of its instant lie nanoseconds apart, and nothing counts how
        often it is read; any other clock is read as often as the contract says.
        """
        watched = self.logs or self.plan.switches.histograms or has_instants(self.plan)
        watched = watched or any(edge.default_ns is not None for edge in self.plan.edges)
        watched = watched or any(
            port.batching.delta_ticks is not None
            for node in self.plan.nodes
            for port in node.inputs
        )
        return self.clock == "monotonic" and not watched

    def _keeps_instants(self, edge: EdgePlan) -> bool:
        """Whether somebody looks at when messages of an edge were pushed."""
        return not self._is_lazy or edge.consumer.node in self.cold

    def _sample(self, node: NodePlan, outs: Sequence[tuple[EdgePlan, Queue]]) -> Statement | None:
        """Sample behind a call."""
        if self._is_lazy and not any(self._keeps_instants(edge) for edge, _ in outs):
            return None
        return Sample(node.sim_cost_ticks)

    def _state(self, name: str, kind: Kind = Kind.INT) -> Var:
        var = Var(name, kind)
        if var not in self.variables:
            self.variables.append(var)
        return var

    def _looks(self, node: NodePlan) -> bool:
        """Whether a source or sink looks at the instant that it is given."""
        call = node.node.direct_call()
        return call is None or reads(call.function, 0 if call.form is CallForm.PRODUCE else 1)

    def _begun(self) -> Statement | None:
        return Set(BEGUN, NOW) if self.plan.switches.histograms else None

    def _relieve(self, queue: Queue) -> Statement | None:
        """Forget that something found no room: that counts since the last take."""
        pressed = Var(f"{queue.name}_pressed", Kind.BOOL)
        return Set(pressed, FALSE) if pressed in self.variables else None

    def _begin(self, node: NodePlan, *, in_turn: bool = True) -> list[Statement | None]:
        steps = self._state(f"n{node.index}_steps")
        last = Set(LAST, Const(node.index))
        return [
            # In this order: whose step an interrupt breaks off has counted it.
            Set(steps, Binary(Operator.ADD, steps, Const(1))),
            last if in_turn else If(Not(ASKED), (last,)),
            self._note(node.index, "step", None),
        ]

    def _end(self, node: NodePlan) -> tuple[Statement, ...]:
        """Go on with the next node, unless something asks for the reference."""
        leave = If(ATTENTION, (Exit(Why.DECIDE, node.index),))
        if not has_instants(self.plan):
            return (leave,)
        come = Binary(Operator.AT_MOST, SOON, NOW)
        return (leave, If(come, (Set(TURN, Const(node.index + 1)), Again())))

    def _soon(self) -> list[Statement]:
        """Find the earliest instant again."""
        found: list[Statement] = [Set(SOON, DUE)]
        for node in self._timed():
            due = Var(f"n{node.index}_due")
            found.append(If(Binary(Operator.LESS, due, SOON), (Set(SOON, due),)))
        return found

    def _timed(self) -> list[NodePlan]:
        """Return the sources with schedules that the Program steps."""
        return [
            node
            for node in self.plan.nodes
            if node.index not in self.cold and node.kind is NodeKind.SOURCE and is_timed(node)
        ]

    def _pass(self, node: NodePlan) -> tuple[Statement, ...]:
        """Leave the Program where the turn is back at who was stepped last: all have passed."""
        test = Binary(Operator.EQUAL, LAST, Const(node.index))
        return (If(test, (Exit(Why.DECIDE, node.index),)),)

    def _invoke(
        self, node: NodePlan, form: CallForm, arguments: tuple[Expression, ...]
    ) -> Statement:
        failed: list[Statement | None] = [
            None if self._is_lazy else Sample(node.sim_cost_ticks),
            self._record(node, "latency", since(BEGUN)),
            Exit(Why.FAILED, node.index),
        ]
        return Invoke(node.index, form, arguments, RESULT, kept(failed))

    def _producer_of(self, node: NodePlan) -> NodePlan:
        return self.plan.nodes[self.plan.edges[edges_into(node)[0]].producer.node]

    def _stated(self, node: NodePlan) -> int | None:
        """Return the size that every header of a node's output states; None if that varies."""
        if node.index in self.cold:
            return None
        size = size_of(node)
        if node.kind is NodeKind.SOURCE or size is None:
            return size
        return size if size == self._stated(self._producer_of(node)) else None

    def _is_exact(self, node: NodePlan) -> bool:
        """Whether headers of a node's output state the sizes of its own payloads."""
        described = node.index in self.cold or not is_held(node.outputs[0].spec)
        return described or self._stated(node) is not None

    def _deadline(self, node: NodePlan, edge: EdgePlan) -> list[Statement | None]:
        """Say how late a result is, where its edge gives messages a deadline."""
        if edge.default_ns is None:
            return []
        return [
            Set(LATE, Binary(Operator.SUBTRACT, since(PUSHED), Const(edge.default_ns))),
            self._record(node, "lateness", LATE),
            If(
                Binary(Operator.LESS, Const(edge.slack_ns), LATE),
                (Miss(node.index, HEADER, LATE),),
            ),
        ]

    def _emit(
        self,
        node: NodePlan,
        outs: Sequence[tuple[EdgePlan, Queue]],
        payload: Expression | None,
        row: int | None = None,
    ) -> tuple[Statement, ...]:
        """Offer a message to every edge, in connect order.

        Args:
            node: Who emits it.
            outs: The edges.
            payload: Its payload; None where that lies in the next slot already.
            row: Its place among the results of a batch, which may lie elsewhere after all.
        """
        body: list[Statement] = []
        if payload is not None and not is_held(node.outputs[0].spec):
            body.append(Set(HEADER, Described(node.index, HEADER, payload)))
        name = outs[0][1].memory
        if name is not None:
            body.append(Claim(name, ROOM, len(outs)))
        if name is not None and payload is not None:
            body += self._store(name, payload)
        if name is not None and row is not None:
            elsewhere = self._store(name, Row(RESULT, row))
            body.append(If(Not(IsNone(RESULT)), tuple(elsewhere)))
        for edge, queue in outs:
            pushed: dict[Column, Expression] = {
                **COLUMNS,
                Column.SLOT: ROOM,
                Column.PUSHED: NOW,
            }
            if payload is not None:
                pushed[Column.PAYLOAD] = payload
            values = tuple(pushed[column] for column in queue.columns)
            peak = Var(f"{queue.name}_peak")
            longer = Set(queue.length, Binary(Operator.ADD, queue.length, Const(1)))
            push: list[Statement | None] = [
                Push(queue.name, values),
                longer,
                If(Binary(Operator.LESS, peak, queue.length), (Set(peak, queue.length),)),
                self._note_edge(edge, "push"),
            ]
            body += self._admit(edge, queue, kept(push))
        return tuple(body)

    def _store(self, memory: str, payload: Expression) -> list[Statement]:
        copies = Var(f"{memory}_copies")
        stored: list[Statement] = [Store(memory, ROOM, payload)]
        if copies in self.variables:
            stored.append(Set(copies, Binary(Operator.ADD, copies, Const(1))))
        return stored

    def _admit(
        self, edge: EdgePlan, queue: Queue, push: tuple[Statement, ...]
    ) -> tuple[Statement, ...]:
        """Apply the row of the admission table; a step begins only with room on BLOCK edges."""
        full = Binary(Operator.EQUAL, queue.length, Const(queue.capacity))
        pressed = Set(Var(f"{queue.name}_pressed", Kind.BOOL), TRUE)
        match edge.policy.admission:
            case AdmissionPolicy.BLOCK:
                return push
            case AdmissionPolicy.DROP_NEWEST:
                refused = Var(f"{queue.name}_lost")
                lost: list[Statement | None] = [
                    self._note_edge(edge, "refuse", "full"),
                    Set(refused, Binary(Operator.ADD, refused, Const(1))),
                    pressed,
                    Lose(edge.index, refused, "refused", "full"),
                    None if queue.memory is None else Free(queue.memory, ROOM),
                ]
                return (If(full, kept(lost), push),)
            case _:
                latest = edge.policy.retention is RetentionMode.MAILBOX
                reason = "superseded" if latest else "capacity"
                evicted, old = Var(f"{queue.name}_lost"), Var("evicted", Kind.OBJECT)
                slot = Var("gone")
                unused = (None,) * (len(queue.columns) - 2)
                gone: list[Statement | None] = [
                    Pop(queue.name, (old, None if queue.memory is None else slot, *unused)),
                    Set(queue.length, Binary(Operator.SUBTRACT, queue.length, Const(1))),
                    Note(edge.name, "evict", old, reason) if self.logs else None,
                    Set(evicted, Binary(Operator.ADD, evicted, Const(1))),
                    pressed,
                    None if latest else Lose(edge.index, evicted, "evicted", reason),
                    None if queue.memory is None else Free(queue.memory, slot),
                ]
                return (If(full, kept(gone)), *push)

    def _record(
        self, node: NodePlan, what: str, ticks: Expression, per_step: int = 1
    ) -> Statement | None:
        if not self.plan.switches.histograms:
            return None
        name = f"n{node.index}_{what}"
        histogram = Histogram(name, node.index, what, per_step)
        if histogram not in self.histograms:
            self.histograms.append(histogram)
        return Record(name, ticks)

    def _note(self, node: int, action: str, header: Var | None = HEADER) -> Statement | None:
        return Note(self.plan.nodes[node].name, action, header) if self.logs else None

    def _note_edge(self, edge: EdgePlan, action: str, reason: str = "") -> Statement | None:
        return Note(edge.name, action, HEADER, reason) if self.logs else None


TRUE = Binary(Operator.EQUAL, Const(0), Const(0))
FALSE = Binary(Operator.NOT_EQUAL, Const(0), Const(0))


def since(then: Var) -> Expression:
    return Binary(Operator.SUBTRACT, NOW, then)


def kept(body: Sequence[Statement | None]) -> tuple[Statement, ...]:
    return tuple(statement for statement in body if statement is not None)


def some_of(tests: Sequence[Expression]) -> Expression:
    """Join tests of which one is enough."""
    found = tests[0]
    for test in tests[1:]:
        found = Binary(Operator.OR, found, test)
    return found


def every(tests: Sequence[Expression]) -> Expression:
    found = tests[0]
    for test in tests[1:]:
        found = Binary(Operator.AND, found, test)
    return found


def memory_of(outs: Sequence[tuple[EdgePlan, Queue]]) -> str:
    name = outs[0][1].memory
    if name is None:
        raise GraphError("an output that is written in place lies nowhere", code=Code.INVALID_INDEX)
    return name


def size_of(node: NodePlan) -> int | None:
    """Return the size of every payload that a node emits; None if that varies."""
    spec = node.outputs[0].spec
    if isinstance(spec, TensorSpec):
        return spec.size_bytes if spec.is_fixed else None
    return _SIZES.get(spec.type)


def is_held(spec: PayloadSpec) -> bool:
    """Whether payloads are arrays of one size, or cannot change once they are emitted."""
    return isinstance(spec, TensorSpec) or spec.type in _BY_REFERENCE
