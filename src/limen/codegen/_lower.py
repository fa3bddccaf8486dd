"""From a Plan to a Program: what each node's turn comes to, decided once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limen.codegen._batches import Batches
from limen.codegen._cold import cold_nodes, edges_into, edges_of, has_instants, is_timed
from limen.codegen._expressions import (
    Aged,
    Answer,
    Binary,
    Column,
    Const,
    Described,
    Expression,
    Fits,
    Front,
    IsA,
    IsNone,
    Kind,
    Made,
    Next,
    NextDue,
    Not,
    Number,
    Operator,
    Pauses,
    Room,
    Same,
    Stated,
    Var,
    View,
)
from limen.codegen._parts import (
    BEGUN,
    COLUMNS,
    CREATION,
    FALSE,
    HEADER,
    PAYLOAD,
    PUSHED,
    RESULT,
    ROOM,
    SLOT,
    TRUE,
    every,
    is_held,
    kept,
    memory_of,
    since,
    size_of,
)
from limen.codegen._program import (
    ASKED,
    ATTENTION,
    DUE,
    LAST,
    NEVER,
    NOW,
    SOON,
    TURN,
    Block,
    Memory,
    Program,
    Queue,
    verify_program,
)
from limen.codegen._statements import (
    Again,
    Exit,
    Free,
    Head,
    If,
    Pop,
    Sample,
    Set,
    Statement,
    Why,
)
from limen.node import CallForm, NodeKind
from limen.policy import AdmissionPolicy
from limen.scheduling import EdgePlan, NodePlan, Plan
from limen.types import TensorSpec


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


_DEADLINE = Var("first_deadline")
_NUMBER = Var("first_number")
_OWN_DEADLINE = Var("own_deadline")
_OWN_NUMBER = Var("own_number")
_AHEAD = "ahead of turns: sources whose instants have come"


@dataclass(slots=True)
class _Lowering(Batches):
    def program(self) -> Program:
        plan = self.plan
        self.cold = cold_nodes(plan)
        hot = [n for n in plan.nodes if n.index not in self.cold]
        owned = sorted({e for n in hot for e in edges_of(n)})
        queues = {e: self._queue(plan.edges[e]) for e in owned}
        blocks = tuple(self._block(node, queues) for node in plan.nodes)
        ahead = self._ahead(queues)
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
            ahead=ahead,
            chooses=self._chooses,
        )

    def _queue(self, edge: EdgePlan) -> Queue:
        memory = self._memory(edge)
        columns = [Column.HEADER, Column.PAYLOAD if memory is None else Column.SLOT]
        # What one edge keeps has to come along on those before it.
        inputs = [port for node in self.plan.nodes for port in node.inputs]
        spans = any(port.batching.delta_ticks is not None for port in inputs)
        if self._keeps_instants(edge) or spans:
            columns.append(Column.PUSHED)
        if self.plan.switches.histograms or spans:
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
        if not (copies or is_shared) and is_held(output.spec):
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

    def _block(self, node: NodePlan, queues: dict[int, Queue]) -> Block:
        title = f"{node.name}: {node.kind.value}"
        why = self.cold.get(node.index)
        if why is not None:
            return Block(node.index, f"{title}, {why}", self._cold(node, queues))
        outs = [(self.plan.edges[e], queues[e]) for port in node.outputs for e in port.edges]
        rooms = self._rooms(node, queues)
        if node.kind is NodeKind.SOURCE:
            return Block(node.index, title, self._source(node, outs, rooms))
        into = queues[edges_into(node)[0]]
        if into.batch > 1 and node.kind is NodeKind.MODEL:
            return Block(node.index, title, self._taking_batch(node, into, outs, rooms))
        if node.node.takes_windows:
            return Block(node.index, title, self._taking_window(node, into, outs, rooms))
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
        return (If(every(tests), self._pass(node), (Exit(Why.DECIDE, node.index),)),)

    def _source(
        self,
        node: NodePlan,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        index, timed = node.index, is_timed(node)
        off = self._state(f"n{index}_off", Kind.BOOL)
        held = self._state(f"n{index}_held", Kind.BOOL)
        made = self._state(f"n{index}_made")
        looks = self._looks(node)
        step = [
            # It has to be told that it was held back.
            If(held, (Exit(Why.DECIDE, index),)),
            *self._begin(node, in_turn=not timed),
            # Who was called before this did not need the instant behind its call.
            Sample() if self._is_lazy and looks else None,
            self._begun(),
            self._invoke(node, CallForm.PRODUCE, (NOW if looks else Const(0),)),
            Sample(node.sim_cost_ticks),
            self._record(node, "latency", since(BEGUN)),
            If(Not(Fits(RESULT, index, CallForm.PRODUCE)), (Exit(Why.UNUSUAL, index),)),
            Set(CREATION, Stated(RESULT, node.clock_offset_ticks)),
            Head(index, made, CREATION, size_of(node) or 0, HEADER),
            *self._emit(node, outs, Made(RESULT)),
            Set(made, Binary(Operator.ADD, made, Const(1))),
            self._record(node, "age", since(CREATION)),
        ]
        if timed:
            due = self._state(f"n{index}_due")
            back = Set(TURN, Binary(Operator.ADD, LAST, Const(1)))
            asked = (Set(ASKED, FALSE), If(ATTENTION, (Exit(Why.DECIDE, index),)), back, Again())
            step += [Set(due, NextDue(index)), *self._soon(), If(ASKED, asked)]
        body = kept([*step, *self._end(node)])
        if rooms:
            body = (If(every(rooms), body, (Set(held, TRUE), *self._pass(node))),)
        tests: list[Expression] = [Not(off)]
        if timed:
            # A source with a schedule takes no turn: one that is always due would else starve
            # whoever does not come right behind it.
            unscheduled = Binary(Operator.EQUAL, due, Const(NEVER))
            tests.append(Binary(Operator.OR, ASKED, unscheduled))
        return (If(every(tests), body, self._pass(node)),)

    def _ahead(self, queues: dict[int, Queue]) -> Block:
        """Choose the source whose instant came first; others without room have to be told so."""
        timed = self._timed()
        choose = self._choose(queues) if self._chooses else ()
        if not timed:
            limit = If(Binary(Operator.AT_MOST, DUE, NOW), (Exit(Why.DECIDE, -1),))
            look: tuple[Statement, ...] = (Set(SOON, DUE), limit)
            return Block(-1, _AHEAD, (*(look if has_instants(self.plan) else ()), *choose))
        first = Var("earliest")
        find: list[Statement] = [Set(first, Const(NEVER))]
        refuse: list[Statement] = []
        for node in timed:
            due = Var(f"n{node.index}_due")
            come = Binary(Operator.AT_MOST, due, NOW)
            rooms = self._rooms(node, queues)
            mine = (Set(first, due), Set(TURN, Const(node.index)), Set(ASKED, TRUE))
            earlier = every([come, Binary(Operator.LESS, due, first), *rooms])
            find.append(If(earlier, mine))
            if rooms:
                sooner = Binary(Operator.LESS, due, first)
                tied = Binary(Operator.EQUAL, due, first)
                before = Binary(Operator.LESS, Const(node.index), TURN)
                ahead = Binary(Operator.OR, sooner, Binary(Operator.AND, tied, before))
                held = (Set(Var(f"n{node.index}_held", Kind.BOOL), TRUE),)
                refuse.append(If(every([come, Not(every(rooms)), ahead]), held))
        limit = If(Binary(Operator.AT_MOST, DUE, NOW), (Exit(Why.DECIDE, -1),))
        come = Binary(Operator.AT_MOST, SOON, NOW)
        body = (*self._soon(), If(come, (limit, *find, *refuse)))
        rest = (If(Not(ASKED), choose),) if choose else ()
        return Block(-1, _AHEAD, (*body, *rest))

    @property
    def _chooses(self) -> bool:
        return self.plan.scheduler == "edf" and not self.cold

    def _choose(self, queues: dict[int, Queue]) -> tuple[Statement, ...]:
        """Choose by deadline, then number, then index, of all that can be stepped."""
        none = (Exit(Why.DECIDE, -1),)
        body: list[Statement] = [
            Set(TURN, Const(-1)),
            Set(_DEADLINE, Const(NEVER)),
            Set(_NUMBER, Const(NEVER)),
        ]
        for node in self.plan.nodes:
            rooms = self._rooms(node, queues)
            if node.kind is NodeKind.SOURCE:
                body.append(self._consider_source(node, rooms))
                continue
            into = queues[edges_into(node)[0]]
            edge = self.plan.edges[into.edge]
            some = Binary(Operator.LESS, Const(0), into.length)
            ready = Binary(Operator.LESS, Const(into.batch - 1), into.length)
            closed = Var(f"{into.name}_closed", Kind.BOOL)
            # The end of a stream, and what closes a batch early, are for the reference to see.
            body.append(If(Binary(Operator.AND, closed, Not(ready)), none))
            if into.batch > 1:
                body.append(If(every([some, Not(ready)]), none))
            due: Expression = Const(NEVER)
            if edge.default_ns is not None:
                pushed = Front(into.name, 0, Column.PUSHED)
                due = Binary(Operator.ADD, pushed, Const(edge.default_ns))
            number = Number(Front(into.name, 0, Column.HEADER))
            body.append(If(every([ready, *rooms]), self._consider(node, due, number)))
        nobody = Binary(Operator.EQUAL, TURN, Const(-1))
        return (*body, If(nobody, none))

    def _consider_source(self, node: NodePlan, rooms: Sequence[Expression]) -> Statement:
        """A source without a schedule competes by the number of its next message."""
        name = f"n{node.index}"
        tests: list[Expression] = [Not(Var(f"{name}_off", Kind.BOOL))]
        if is_timed(node):
            tests.append(Binary(Operator.EQUAL, Var(f"{name}_due"), Const(NEVER)))
        found = self._consider(node, Const(NEVER), Var(f"{name}_made"))
        if rooms:
            found = (If(every(rooms), found, (Set(Var(f"{name}_held", Kind.BOOL), TRUE),)),)
        return If(every(tests), found)

    def _consider(
        self, node: NodePlan, due: Expression, number: Expression
    ) -> tuple[Statement, ...]:
        sooner = Binary(Operator.LESS, _OWN_DEADLINE, _DEADLINE)
        tied = Binary(Operator.EQUAL, _OWN_DEADLINE, _DEADLINE)
        before = Binary(Operator.LESS, _OWN_NUMBER, _NUMBER)
        first = Binary(Operator.OR, sooner, Binary(Operator.AND, tied, before))
        mine = (
            Set(TURN, Const(node.index)),
            Set(_DEADLINE, _OWN_DEADLINE),
            Set(_NUMBER, _OWN_NUMBER),
        )
        return (Set(_OWN_DEADLINE, due), Set(_OWN_NUMBER, number), If(first, mine))

    def _rooms(self, node: NodePlan, queues: dict[int, Queue]) -> list[Expression]:
        """Return the tests that a node's outputs have the room that it needs before a step."""
        return [
            Binary(Operator.LESS, queues[e].length, Const(queues[e].capacity))
            for port in node.outputs
            for e in port.edges
            if self.plan.edges[e].policy.admission is AdmissionPolicy.BLOCK
        ]

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
        targets = [COLUMNS[column] for column in into.columns]
        looks = form is CallForm.CONSUME and self._looks(node)
        pauses = call is not None and call.pauses is not None
        step: list[Statement | None] = [
            If(Pauses(index), (Exit(Why.DECIDE, index),)) if pauses else None,
            *self._begin(node),
            Pop(into.name, tuple(targets)),
            # Ahead of the note, which may be interrupted: nobody may drain what was popped.
            Set(into.length, Binary(Operator.SUBTRACT, into.length, Const(1))),
            self._note_edge(self.plan.edges[into.edge], "take"),
            self._relieve(into),
            self._record(node, "wait", since(PUSHED)),
            Sample() if self._is_lazy and looks else None,
            self._begun(),
            *self._call(node, form, into, outs, looks=looks),
            self._sample(node, outs),
            self._record(node, "latency", since(BEGUN)),
            *self._results(node, form, outs),
            self._record(node, "age", since(CREATION)),
            *self._deadline(node, self.plan.edges[into.edge]),
            None if into.memory is None else Free(into.memory, SLOT),
            *self._end(node),
        ]
        ready = Binary(Operator.LESS, Const(0), into.length)
        # It may be that the stream has ended: that is for the judge to say.
        ended = If(Binary(Operator.AND, closed, Not(ready)), (Exit(Why.DECIDE, index),))
        tests = [ready, *rooms]
        return (If(every(tests), kept(step), (ended, *self._pass(node))),)

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
        payload: Expression = PAYLOAD if into.memory is None else View(into.memory, SLOT)
        before: list[Statement] = []
        if form in (CallForm.FILL, CallForm.INFER, CallForm.MESSAGE) and self._in_place(outs):
            before.append(Set(ROOM, Next(memory_of(outs))))
        match form:
            case CallForm.CONSUME | CallForm.MESSAGE:
                if not self._is_exact(self._producer_of(node)):
                    header = Described(self._producer_of(node).index, HEADER, payload)
                    before.append(Set(HEADER, header))
                instant = NOW if looks or form is CallForm.MESSAGE else Const(0)
                arguments: tuple[Expression, ...] = (HEADER, payload, instant)
                if form is CallForm.MESSAGE and self._in_place(outs):
                    arguments = (*arguments, Room(memory_of(outs), ROOM))
            case CallForm.FILL:
                arguments = (payload, Room(memory_of(outs), ROOM))
            case CallForm.INFER:
                arguments = (SLOT, ROOM)
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
        payload = Made(RESULT, form) if answers else RESULT
        aged = (Set(HEADER, Aged(HEADER, RESULT)),) if answers else ()
        unusual = (Exit(Why.UNUSUAL, node.index),)
        fits = If(Not(Fits(RESULT, node.index, form)), unusual)
        emit: tuple[Statement, ...] = (*aged, *self._emit(node, outs, payload))
        if form is not CallForm.PAYLOAD and self._in_place(outs):
            same = Same(payload, Room(memory_of(outs), ROOM))
            emit = (If(same, (*aged, *self._emit(node, outs, None)), (fits, *emit)),)
        else:
            emit = (fits, *emit)
        if answers:
            emit = (If(Not(IsA(RESULT, Answer.OUTPUT)), unusual), *emit)
        nones = self._state(f"n{node.index}_nothing")
        nothing = Set(nones, Binary(Operator.ADD, nones, Const(1)))
        test = IsA(RESULT, Answer.CONSUMED) if answers else IsNone(RESULT)
        return (If(test, (nothing,), emit),)
