"""Turns that take several messages: models on batches, functions of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limen.codegen._expressions import (
    Binary,
    Column,
    Const,
    Expression,
    Fits,
    Front,
    FrontSlots,
    IsNone,
    Kind,
    NextSlots,
    Not,
    Operator,
    Pauses,
    Var,
    Window,
    WindowHeader,
)
from limen.codegen._parts import (
    BEGUN,
    COLUMNS,
    CREATION,
    HEADER,
    RESULT,
    SLOT,
    Parts,
    every,
    kept,
    memory_of,
    since,
    some_of,
)
from limen.codegen._program import NOW, Queue
from limen.codegen._statements import Exit, Free, If, Pop, Set, Statement, Why
from limen.node import CallForm
from limen.policy import AdmissionPolicy
from limen.scheduling import EdgePlan, NodePlan


@dataclass(slots=True)
class Batches(Parts):
    """Makes the turns of nodes that take several messages in a step.

    Nothing leaves the queue before the node has answered: after a failure it is all there.
    """

    def _taking_batch(
        self,
        node: NodePlan,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        """Run a model on a full batch."""
        index, edge, count = node.index, self.plan.edges[into.edge], into.batch
        decide = (Exit(Why.DECIDE, index),)
        targets = tuple(COLUMNS[column] for column in into.columns)
        given = (FrontSlots(into.name, count), NextSlots(memory_of(outs), count))
        step: list[Statement | None] = [If(Pauses(index), decide), *self._begin(node)]
        step += self._taken(node, into)
        step += [
            self._begun(),
            self._invoke(node, CallForm.INFER, given),
            self._sample(node, outs),
            self._record(node, "latency", since(BEGUN)),
        ]
        for place in range(count):
            step += [
                Pop(into.name, targets),
                Set(into.length, Binary(Operator.SUBTRACT, into.length, Const(1))),
                *self._emit(node, outs, None, place),
                self._record(node, "age", since(CREATION)),
                *self._deadline(node, edge),
                Free(str(into.memory), SLOT),
            ]
        step += self._end(node)
        return self._when_full(node, into, outs, rooms, kept(step), count)

    def _taking_window(
        self,
        node: NodePlan,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
    ) -> tuple[Statement, ...]:
        """Hand a full window over for one result."""
        index, count = node.index, into.batch
        unusual = (Exit(Why.UNUSUAL, index),)
        nones = self._state(f"n{index}_nothing")
        emit = (
            If(Not(Fits(RESULT, index, CallForm.WINDOW)), unusual),
            Set(HEADER, WindowHeader(into.name, count)),
            *self._emit(node, outs, RESULT),
        )
        nothing = Set(nones, Binary(Operator.ADD, nones, Const(1)))
        step: list[Statement | None] = [
            *self._begin(node),
            *self._taken(node, into),
            self._begun(),
            self._invoke(node, CallForm.WINDOW, (Window(index, into.name, count),)),
            self._sample(node, outs),
            self._record(node, "latency", since(BEGUN)),
        ]
        if Column.CREATION in into.columns:
            step.append(Set(CREATION, Front(into.name, count - 1, Column.CREATION)))
        step += [If(IsNone(RESULT), (nothing,), emit), self._record(node, "age", since(CREATION))]
        gone = tuple(SLOT if column is Column.SLOT else None for column in into.columns)
        for _ in range(count):
            step += [
                Pop(into.name, gone),
                Set(into.length, Binary(Operator.SUBTRACT, into.length, Const(1))),
                None if into.memory is None else Free(into.memory, SLOT),
            ]
        step += self._end(node)
        return self._when_full(node, into, outs, rooms, kept(step), 1)

    def _taken(self, node: NodePlan, into: Queue) -> list[Statement | None]:
        """Note that a batch is taken, and how long its messages have waited."""
        found: list[Statement | None] = []
        for place in range(into.batch if self.logs else 0):
            found.append(Set(HEADER, Front(into.name, place, Column.HEADER)))
            found.append(self._note_edge(self.plan.edges[into.edge], "take"))
        for place in range(into.batch if self.plan.switches.histograms else 0):
            pushed = Front(into.name, place, Column.PUSHED)
            waited = Binary(Operator.SUBTRACT, NOW, pushed)
            found.append(self._record(node, "wait", waited, into.batch))
        found.append(self._relieve(into))
        return found

    def _when_full(
        self,
        node: NodePlan,
        into: Queue,
        outs: Sequence[tuple[EdgePlan, Queue]],
        rooms: Sequence[Expression],
        step: tuple[Statement, ...],
        results: int,
    ) -> tuple[Statement, ...]:
        """Step where a batch is full; what closes one early is for the reference to see."""
        decide, count = (Exit(Why.DECIDE, node.index),), into.batch
        ready = Binary(Operator.LESS, Const(count - 1), into.length)
        some = Binary(Operator.LESS, Const(0), into.length)
        pressed = Var(f"{into.name}_pressed", Kind.BOOL)
        reasons: list[Expression] = [pressed]
        full = step
        delta = node.inputs[0].batching.delta_ticks
        if delta is not None:
            limit = Binary(Operator.ADD, Front(into.name, 0, Column.CREATION), Const(delta))
            beyond = [
                Binary(Operator.LESS, limit, Front(into.name, place, Column.CREATION))
                for place in range(1, count)
            ]
            waited = Binary(Operator.ADD, Front(into.name, 0, Column.PUSHED), Const(delta))
            reasons.append(Binary(Operator.AT_MOST, waited, NOW))
            for place, test in enumerate(beyond, 1):
                there = Binary(Operator.LESS, Const(place), into.length)
                reasons.append(Binary(Operator.AND, there, test))
            full = (If(some_of(beyond), decide), *full)
        # With room for some of its results, the rest are staged.
        tight = [
            Binary(Operator.LESS, Const(queue.capacity - results), queue.length)
            for edge, queue in outs
            if edge.policy.admission is AdmissionPolicy.BLOCK
        ]
        if tight:
            full = (If(some_of(tight), decide), *full)
        early = (
            If(Var(f"{into.name}_closed", Kind.BOOL), decide),
            If(Binary(Operator.AND, some, some_of(reasons)), decide),
        )
        return (If(every([ready, *rooms]), full, (*early, *self._pass(node))),)
