"""From a Plan to a Program: what each node's turn comes to, decided once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from limen.codegen._cold import cold_nodes, edges_into, edges_of, has_timed
from limen.codegen._program import (
    ATTENTION,
    DUE,
    LAST,
    NOW,
    Block,
    Histogram,
    Memory,
    Program,
    Queue,
    verify_program,
)
from limen.codegen._reads import reads
from limen.codegen._statements import (
    Aged,
    Answer,
    Binary,
    Claim,
    Column,
    Const,
    Described,
    Exit,
    Expression,
    Fits,
    Free,
    Front,
    FrontSlots,
    Head,
    If,
    Invoke,
    IsA,
    IsNone,
    Kind,
    Lose,
    Made,
    Miss,
    Next,
    NextSlots,
    Not,
    Note,
    Operator,
    Pauses,
    Pop,
    Push,
    Record,
    Room,
    Row,
    Same,
    Sample,
    Set,
    Statement,
    Store,
    Var,
    View,
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

_HEADER = Var("header", Kind.OBJECT)
_PAYLOAD = Var("payload", Kind.OBJECT)
_RESULT = Var("result", Kind.OBJECT)
_SLOT = Var("slot")
_LATE = Var("late")
_ROOM = Var("room")
_PUSHED = Var("pushed")
_CREATION = Var("creation")
_BEGUN = Var("begun")
_COLUMNS: dict[Column, Var] = {
    Column.HEADER: _HEADER,
    Column.PAYLOAD: _PAYLOAD,
    Column.SLOT: _SLOT,
    Column.PUSHED: _PUSHED,
    Column.CREATION: _CREATION,
}


def lower_program(plan: Plan, *, clock: str = "monotonic", logs: bool = False) -> Program:
    """Decide what each node's turn comes to.

    Called by whoever makes an executor of a Plan, once a run, and by who shows or ships its text.

    Args:
        plan: What to lower.
        clock: ``monotonic`` where the run's clock is the machine's own, else ``any``.
        logs: Whether decisions are written to a log.
    """
    program = _Lowering(plan, clock, logs).program()
    verify_program(program)
    return program


@dataclass(slots=True)
class _Lowering:
    plan: Plan
    clock: str
    logs: bool
    variables: list[Var] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    cold: dict[int, str] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)

    def program(self) -> Program:
        plan = self.plan
        self.cold = cold_nodes(plan)
        hot = [n for n in plan.nodes if n.index not in self.cold]
        owned = sorted({e for n in hot for e in edges_of(n)})
        queues = {e: self._queue(plan.edges[e]) for e in owned}
        blocks = tuple(self._block(node, queues) for node in plan.nodes)
        return Program(
            name=plan.name,
            blocks=blocks,
            variables=tuple(self.variables),
            queues=tuple(queues.values()),
            histograms=tuple(self.histograms),
            logs=self.logs,
            clock=self.clock,
            node_names=tuple(node.name for node in plan.nodes),
            cold=tuple((plan.nodes[i].name, why) for i, why in sorted(self.cold.items())),
            is_lazy=self._is_lazy,
            memories=tuple(self.memories[name] for name in sorted(self.memories)),
        )

    def _queue(self, edge: EdgePlan) -> Queue:
        memory = self._memory(edge)
        columns = [Column.HEADER, Column.PAYLOAD if memory is None else Column.SLOT]
        if self._keeps_instants(edge):
            columns.append(Column.PUSHED)
        if self.plan.switches.histograms:
            columns.append(Column.CREATION)
        name = f"q{edge.index}"
        self._state(f"{name}_peak")
        self._state(f"{name}_closed", Kind.BOOL)
        batch = self._batch(self.plan.nodes[edge.consumer.node])
        if edge.policy.admission is not AdmissionPolicy.BLOCK:
            self._state(f"{name}_lost")
        if edge.policy.admission is not AdmissionPolicy.BLOCK or batch > 1:
            self._state(f"{name}_pressed", Kind.BOOL)
        return Queue(
            name,
            edge.index,
            edge.policy.caps.max_items,
            tuple(columns),
            Var(f"{name}_length"),
            None if memory is None else memory.name,
            batch,
        )

    def _batch(self, node: NodePlan) -> int:
        """Return how many messages a step of a node takes."""
        return 1 if node.index in self.cold else node.inputs[0].batching.max_items

    def _memory(self, edge: EdgePlan) -> Memory | None:
        """Return where the payloads of an edge lie; None where the queue itself holds them."""
        producer = self.plan.nodes[edge.producer.node]
        output = producer.outputs[edge.producer.port]
        copies = isinstance(output.spec, TensorSpec)
        is_shared = len(output.edges) > 1
        if not (copies or is_shared) and _is_held(output.spec):
            return None
        name = f"m{producer.index}" + (f"_{edge.producer.port}" if edge.producer.port else "")
        if name not in self.memories:
            self._state(f"{name}_least")
            if copies and producer.index not in self.cold:
                self._state(f"{name}_copies")
            self.memories[name] = Memory(
                name,
                producer.index,
                edge.producer.port,
                output.depth,
                copies,
                is_shared,
                output.in_turn,
            )
        return self.memories[name]

    @property
    def _is_lazy(self) -> bool:
        """Whether instants that nobody looks at are not sampled: on the machine's clock only.

        There a call and the next use of its instant lie nanoseconds apart, and nothing counts how
        often it is read; any other clock is read as often as the contract says.
        """
        watched = self.logs or self.plan.switches.histograms or has_timed(self.plan)
        watched = watched or any(edge.default_ns is not None for edge in self.plan.edges)
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

    def _block(self, node: NodePlan, queues: dict[int, Queue]) -> Block:
        title = f"{node.name}: {node.kind.value}"
        why = self.cold.get(node.index)
        if why is not None:
            return Block(node.index, f"{title}, {why}", self._cold(node, queues))
        outs = [(self.plan.edges[e], queues[e]) for port in node.outputs for e in port.edges]
        rooms = [
            Binary(Operator.LESS, queue.length, Const(queue.capacity))
            for edge, queue in outs
            if edge.policy.admission is AdmissionPolicy.BLOCK
        ]
        if node.kind is NodeKind.SOURCE:
            return Block(node.index, title, self._source(node, outs, rooms))
        into = queues[edges_into(node)[0]]
        if into.batch > 1:
            return Block(node.index, title, self._taking_batch(node, into, outs, rooms))
        return Block(node.index, title, self._taking(node, into, outs, rooms))

    # Turns.

    def _cold(self, node: NodePlan, queues: dict[int, Queue]) -> tuple[Statement, ...]:
        """Leave the turn to the reference, unless nothing is there for the node.

        What its other edges hold cannot change here: whoever hands the state over looks at them.
        """
        tests: list[Expression] = [self._state(f"n{node.index}_idle", Kind.BOOL)]
        tests += [
            Binary(Operator.EQUAL, queues[edge].length, Const(0))
            for edge in edges_into(node)
            if edge in queues
        ]
        return (If(_all(tests), self._pass(node), (Exit(Why.DECIDE, node.index),)),)

    def _source(
        self,
        node: NodePlan,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        index = node.index
        off = self._state(f"n{index}_off", Kind.BOOL)
        held = self._state(f"n{index}_held", Kind.BOOL)
        made = self._state(f"n{index}_made")
        looks = self._looks(node)
        step = [
            # It has to be told that it was held back.
            If(held, (Exit(Why.DECIDE, index),)),
            *self._begin(node),
            # Who was called before this did not need the instant behind its call.
            Sample() if self._is_lazy and looks else None,
            self._begun(),
            self._invoke(node, CallForm.PRODUCE, (NOW if looks else Const(0),)),
            Sample(node.sim_cost_ticks),
            self._record(node, "latency", _since(_BEGUN)),
            If(Not(Fits(_RESULT, index, CallForm.PRODUCE)), (Exit(Why.UNUSUAL, index),)),
            Head(index, made, _size(node) or 0, _HEADER),
            Set(_CREATION, NOW) if self.plan.switches.histograms else None,
            *self._emit(node, outs, Made(_RESULT)),
            Set(made, Binary(Operator.ADD, made, Const(1))),
            self._record(node, "age", Const(0)),
            *self._end(node),
        ]
        body = _kept(step)
        if rooms:
            body = (If(_all(rooms), body, (Set(held, _TRUE), *self._pass(node))),)
        return (If(Not(off), body, self._pass(node)),)

    def _taking(
        self,
        node: NodePlan,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        index = node.index
        call = node.node.direct_call()
        form = CallForm.PAYLOAD if call is None else call.form
        closed = Var(f"{into.name}_closed", Kind.BOOL)
        targets = [_COLUMNS[column] for column in into.columns]
        looks = form is CallForm.CONSUME and self._looks(node)
        pauses = call is not None and call.pauses is not None
        step: list[Statement | None] = [
            If(Pauses(index), (Exit(Why.DECIDE, index),)) if pauses else None,
            *self._begin(node),
            Pop(into.name, tuple(targets)),
            self._note_edge(self.plan.edges[into.edge], "take"),
            Set(into.length, Binary(Operator.SUBTRACT, into.length, Const(1))),
            self._relieve(into),
            self._record(node, "wait", _since(_PUSHED)),
            Sample() if self._is_lazy and looks else None,
            self._begun(),
            *self._call(node, form, into, outs, looks=looks),
            self._sample(node, outs),
            self._record(node, "latency", _since(_BEGUN)),
            *self._results(node, form, outs),
            self._record(node, "age", _since(_CREATION)),
            *self._deadline(node, self.plan.edges[into.edge]),
            None if into.memory is None else Free(into.memory, _SLOT),
            *self._end(node),
        ]
        ready = Binary(Operator.LESS, Const(0), into.length)
        # It may be that the stream has ended: that is for the judge to say.
        ended = If(Binary(Operator.AND, closed, Not(ready)), (Exit(Why.DECIDE, index),))
        tests = [ready, *rooms]
        return (If(_all(tests), _kept(step), (ended, *self._pass(node))),)

    def _taking_batch(
        self,
        node: NodePlan,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        """Run a model on a full batch; what closes one early is for the reference to see.

        Nothing leaves the queue before the model has answered: after a failure it is all there.
        """
        index, edge, count = node.index, self.plan.edges[into.edge], into.batch
        decide = (Exit(Why.DECIDE, index),)
        targets = tuple(_COLUMNS[column] for column in into.columns)
        given = (FrontSlots(into.name, count), NextSlots(_memory_of(outs), count))
        step: list[Statement | None] = [If(Pauses(index), decide), *self._begin(node)]
        for place in range(count):
            if self.logs:
                step.append(Set(_HEADER, Front(into.name, place, Column.HEADER)))
                step.append(self._note_edge(edge, "take"))
        for place in range(count if self.plan.switches.histograms else 0):
            pushed = Front(into.name, place, Column.PUSHED)
            waited = Binary(Operator.SUBTRACT, NOW, pushed)
            step.append(self._record(node, "wait", waited, count))
        step += [
            self._relieve(into),
            self._begun(),
            self._invoke(node, CallForm.INFER, given),
            self._sample(node, outs),
            self._record(node, "latency", _since(_BEGUN)),
        ]
        for place in range(count):
            step += [
                Pop(into.name, targets),
                Set(into.length, Binary(Operator.SUBTRACT, into.length, Const(1))),
                *self._emit(node, outs, None, place),
                self._record(node, "age", _since(_CREATION)),
                *self._deadline(node, edge),
                Free(str(into.memory), _SLOT),
            ]
        step += self._end(node)
        ready = Binary(Operator.LESS, Const(count - 1), into.length)
        some = Binary(Operator.LESS, Const(0), into.length)
        pressed = Var(f"{into.name}_pressed", Kind.BOOL)
        early = (
            If(Var(f"{into.name}_closed", Kind.BOOL), decide),
            If(Binary(Operator.AND, pressed, some), decide),
        )
        return (If(_all([ready, *rooms]), _kept(step), (*early, *self._pass(node))),)

    def _deadline(self, node: NodePlan, edge: EdgePlan) -> list[Statement | None]:
        """Say how late a result is, where its edge gives messages a deadline."""
        if edge.default_ns is None:
            return []
        return [
            Set(_LATE, Binary(Operator.SUBTRACT, _since(_PUSHED), Const(edge.default_ns))),
            self._record(node, "lateness", _LATE),
            If(
                Binary(Operator.LESS, Const(edge.slack_ns), _LATE),
                (Miss(node.index, _HEADER, _LATE),),
            ),
        ]

    def _call(
        self,
        node: NodePlan,
        form: CallForm,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        *,
        looks: bool,
    ) -> list[Statement]:
        """Call a node on what was popped."""
        payload: Expression = _PAYLOAD if into.memory is None else View(into.memory, _SLOT)
        before: list[Statement] = []
        if form in (CallForm.FILL, CallForm.INFER, CallForm.MESSAGE) and self._in_place(outs):
            before.append(Set(_ROOM, Next(_memory_of(outs))))
        match form:
            case CallForm.CONSUME | CallForm.MESSAGE:
                if not self._is_exact(self._producer_of(node)):
                    header = Described(self._producer_of(node).index, _HEADER, payload)
                    before.append(Set(_HEADER, header))
                instant = NOW if looks or form is CallForm.MESSAGE else Const(0)
                arguments: tuple[Expression, ...] = (_HEADER, payload, instant)
                if form is CallForm.MESSAGE and self._in_place(outs):
                    arguments = (*arguments, Room(_memory_of(outs), _ROOM))
            case CallForm.FILL:
                arguments = (payload, Room(_memory_of(outs), _ROOM))
            case CallForm.INFER:
                arguments = (_SLOT, _ROOM)
            case _:
                arguments = (payload,)
        return [*before, self._invoke(node, form, arguments)]

    def _in_place(self, outs: Sequence[tuple[EdgePlan, Queue]]) -> bool:
        """Whether an output's payloads are written where they lie."""
        name = outs[0][1].memory if outs else None
        return name is not None and self.memories[name].copies

    def _results(
        self, node: NodePlan, form: CallForm, outs: Sequence[tuple[EdgePlan, Queue]]
    ) -> tuple[Statement, ...]:
        """Emit what a node returned, or what lies in its slot."""
        match form:
            case CallForm.CONSUME:
                return ()
            case CallForm.INFER:
                return self._emit(node, outs, None)
            case _:
                pass
        answers = form is CallForm.MESSAGE
        payload = Made(_RESULT, form) if answers else _RESULT
        aged = (Set(_HEADER, Aged(_HEADER, _RESULT)),) if answers else ()
        unusual = (Exit(Why.UNUSUAL, node.index),)
        fits = If(Not(Fits(_RESULT, node.index, form)), unusual)
        emit: tuple[Statement, ...] = (*aged, *self._emit(node, outs, payload))
        if form is not CallForm.PAYLOAD and self._in_place(outs):
            same = Same(payload, Room(_memory_of(outs), _ROOM))
            emit = (If(same, (*aged, *self._emit(node, outs, None)), (fits, *emit)),)
        else:
            emit = (fits, *emit)
        if answers:
            emit = (If(Not(IsA(_RESULT, Answer.OUTPUT)), unusual), *emit)
        nones = self._state(f"n{node.index}_nothing")
        nothing = Set(nones, Binary(Operator.ADD, nones, Const(1)))
        test = IsA(_RESULT, Answer.CONSUMED) if answers else IsNone(_RESULT)
        return (If(test, (nothing,), emit),)

    # Parts of turns.

    def _looks(self, node: NodePlan) -> bool:
        """Whether a source or sink looks at the instant that it is given."""
        call = node.node.direct_call()
        return call is None or reads(call.function, 0 if call.form is CallForm.PRODUCE else 1)

    def _begun(self) -> Statement | None:
        return Set(_BEGUN, NOW) if self.plan.switches.histograms else None

    def _relieve(self, queue: Queue) -> Statement | None:
        """Forget that something found no room: that counts since the last take."""
        pressed = Var(f"{queue.name}_pressed", Kind.BOOL)
        return Set(pressed, _FALSE) if pressed in self.variables else None

    def _begin(self, node: NodePlan) -> list[Statement | None]:
        steps = self._state(f"n{node.index}_steps")
        return [
            Set(LAST, Const(node.index)),
            Set(steps, Binary(Operator.ADD, steps, Const(1))),
            self._note(node.index, "step", None),
        ]

    def _end(self, node: NodePlan) -> tuple[Statement, ...]:
        """Go on with the next node, unless something asks for the reference."""
        test: Expression = ATTENTION
        if has_timed(self.plan):
            test = Binary(Operator.OR, test, Binary(Operator.AT_MOST, DUE, NOW))
        return (If(test, (Exit(Why.DECIDE, node.index),)),)

    def _pass(self, node: NodePlan) -> tuple[Statement, ...]:
        """Leave the Program where the turn is back at who was stepped last: all have passed."""
        test = Binary(Operator.EQUAL, LAST, Const(node.index))
        return (If(test, (Exit(Why.DECIDE, node.index),)),)

    def _invoke(
        self, node: NodePlan, form: CallForm, arguments: tuple[Expression, ...]
    ) -> Statement:
        failed: list[Statement | None] = [
            None if self._is_lazy else Sample(node.sim_cost_ticks),
            self._record(node, "latency", _since(_BEGUN)),
            Exit(Why.FAILED, node.index),
        ]
        return Invoke(node.index, form, arguments, _RESULT, _kept(failed))

    def _producer_of(self, node: NodePlan) -> NodePlan:
        return self.plan.nodes[self.plan.edges[edges_into(node)[0]].producer.node]

    def _stated(self, node: NodePlan) -> int | None:
        """Return the size that every header of a node's output states; None if that varies."""
        if node.index in self.cold:
            return None
        size = _size(node)
        if node.kind is NodeKind.SOURCE or size is None:
            return size
        return size if size == self._stated(self._producer_of(node)) else None

    def _is_exact(self, node: NodePlan) -> bool:
        """Whether headers of a node's output state the sizes of its own payloads."""
        described = node.index in self.cold or not _is_held(node.outputs[0].spec)
        return described or self._stated(node) is not None

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
        if payload is not None and not _is_held(node.outputs[0].spec):
            body.append(Set(_HEADER, Described(node.index, _HEADER, payload)))
        name = outs[0][1].memory
        if name is not None:
            body.append(Claim(name, _ROOM, len(outs)))
        if name is not None and payload is not None:
            body += self._store(name, payload)
        if name is not None and row is not None:
            elsewhere = self._store(name, Row(_RESULT, row))
            body.append(If(Not(IsNone(_RESULT)), tuple(elsewhere)))
        for edge, queue in outs:
            pushed: dict[Column, Expression] = {
                **_COLUMNS,
                Column.SLOT: _ROOM,
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
            body += self._admit(edge, queue, _kept(push))
        return tuple(body)

    def _store(self, memory: str, payload: Expression) -> list[Statement]:
        copies = Var(f"{memory}_copies")
        stored: list[Statement] = [Store(memory, _ROOM, payload)]
        if copies in self.variables:
            stored.append(Set(copies, Binary(Operator.ADD, copies, Const(1))))
        return stored

    def _admit(
        self, edge: EdgePlan, queue: Queue, push: tuple[Statement, ...]
    ) -> tuple[Statement, ...]:
        """Apply the row of the admission table; a step begins only with room on BLOCK edges."""
        full = Binary(Operator.EQUAL, queue.length, Const(queue.capacity))
        pressed = Set(Var(f"{queue.name}_pressed", Kind.BOOL), _TRUE)
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
                    None if queue.memory is None else Free(queue.memory, _ROOM),
                ]
                return (If(full, _kept(lost), push),)
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
                return (If(full, _kept(gone)), *push)

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

    def _note(self, node: int, action: str, header: Var | None = _HEADER) -> Statement | None:
        return Note(self.plan.nodes[node].name, action, header) if self.logs else None

    def _note_edge(self, edge: EdgePlan, action: str, reason: str = "") -> Statement | None:
        return Note(edge.name, action, _HEADER, reason) if self.logs else None


_TRUE = Binary(Operator.EQUAL, Const(0), Const(0))
_FALSE = Binary(Operator.NOT_EQUAL, Const(0), Const(0))


def _since(then: Var) -> Expression:
    return Binary(Operator.SUBTRACT, NOW, then)


def _kept(body: Sequence[Statement | None]) -> tuple[Statement, ...]:
    return tuple(statement for statement in body if statement is not None)


def _all(tests: Sequence[Expression]) -> Expression:
    found = tests[0]
    for test in tests[1:]:
        found = Binary(Operator.AND, found, test)
    return found


def _memory_of(outs: Sequence[tuple[EdgePlan, Queue]]) -> str:
    name = outs[0][1].memory
    if name is None:
        raise GraphError("an output that is written in place lies nowhere", code=Code.INVALID_INDEX)
    return name


def _size(node: NodePlan) -> int | None:
    """Return the size of every payload that a node emits; None if that varies."""
    spec = node.outputs[0].spec
    if isinstance(spec, TensorSpec):
        return spec.size_bytes if spec.is_fixed else None
    return _SIZES.get(spec.type)


def _is_held(spec: PayloadSpec) -> bool:
    """Whether payloads are arrays of one size, or cannot change once they are emitted."""
    return isinstance(spec, TensorSpec) or spec.type in _BY_REFERENCE
