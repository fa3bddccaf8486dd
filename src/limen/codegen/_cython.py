"""The printer for Cython: a class with typed fields, which is fastest compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from limen.codegen._program import (
    Binary,
    Block,
    Column,
    Const,
    Exit,
    Expression,
    Fits,
    Head,
    If,
    Invoke,
    IsNone,
    Lose,
    Made,
    Not,
    Note,
    Operator,
    Pop,
    Program,
    Push,
    Queue,
    Record,
    Sample,
    Set,
    Statement,
    Var,
    statements,
)
from limen.codegen._python import UNSTATED, WHY, trace_base
from limen.codegen._support import SUPPORT
from limen.codegen._text import Text, heading
from limen.codegen._turns import lasting_variables
from limen.node import CallForm
from limen.telemetry import HISTOGRAM_BUCKETS

_DIRECTIVES = (
    "language_level=3",
    "boundscheck=False",
    "wraparound=False",
    "initializedcheck=False",
    "cdivision=True",
)


def print_cython(program: Program) -> str:
    """Return the Program as the text of a Cython module with a class ``Turns``.

    Called by the native target and by ``limen build --print``. Equal Programs give equal bytes.
    """
    text = Text()
    text.add(f"# cython: {', '.join(_DIRECTIVES)}")
    text.add(*heading(program, "native"), "")
    text.add(*SUPPORT.replace("BUCKETS", str(HISTOGRAM_BUCKETS)).split("\n"), "", "")
    text.add("cdef class Turns:")
    with text.deeper():
        text.add('"""Takes the turns of the graph; what its names stand for is given once."""', "")
        _fields(program, text)
        _methods(program, text)
        text.add("", "def take(self, long long turn):")
        with text.deeper():
            _take(program, text)
    return str(text)


def _objects(program: Program) -> Iterator[tuple[str, str]]:
    """Yield the objects that the text calls or compares with: name, and where it is from."""
    if program.clock != "monotonic":
        yield "sample", "bound.sample"
    if program.logs:
        yield "note", "bound.note"
    if _has(program, Lose):
        yield "lost", "bound.lost"
    if _has(program, Head):
        yield "new_header", "bound.new_header"
        yield "domain", "bound.domain"
        yield "produced", "bound.produced"
        yield "usual_qos", "bound.usual_qos"
        yield "usual_head", "bound.usual_head"
        yield (
            "names",
            "('trace_id', 'sequence', 'creation_tick', 'origin_tick', "
            + ("'payload_size_bytes', 'clock_domain')"),
        )
    if _consumes(program):
        yield "message", "bound.message"
        yield "resized", "bound.resized"
    for block in program.blocks:
        body = list(statements(block.body))
        if any(isinstance(s, Invoke) for s in body):
            yield f"call_{block.node}", f"bound.calls[{block.node}]"
        if any(isinstance(s, If) and "Fits" in repr(s.test) for s in body):
            yield f"kind_{block.node}", f"bound.kinds[{block.node}]"


def _fields(program: Program, text: Text) -> None:
    text.add("cdef public list attention")
    for var in lasting_variables(program):
        text.add(f"cdef long long {var.name}")
    for name, _ in _objects(program):
        text.add(f"cdef object {name}")
    text.add(
        "cdef long long epoch", "cdef object header, payload, failure", "cdef long long pushed"
    )
    for queue in program.queues:
        text.add(f"cdef long long {queue.name}_head")
        for column in queue.columns:
            text.add(f"cdef {_column_type(column)}{queue.name}_{column.value}[{queue.capacity}]")
    if _has(program, Head):
        text.add("cdef Py_ssize_t made_at[6], head_at[11]")
        text.add(f"cdef PyObject *spare[{SPARE_HEADERS}]", "cdef long long spares")
    if _consumes(program):
        text.add("cdef Py_ssize_t message_at[2]")
    if program.histograms:
        text.add(f"cdef long long rows[{len(program.histograms)}][{HISTOGRAM_BUCKETS + 3}]")


SPARE_HEADERS = 64
"""Headers that are kept to be used again, once nobody else holds them."""

_MADE = ("payload", *UNSTATED, "qos", "degrade_allowed")
_HEAD = (
    *("trace_id", "sequence", "creation_tick", "origin_tick", "payload_size_bytes"),
    *("deadline_ns", "max_age_ns", "qos", "flags", "memory_class", "clock_domain"),
)


def _places(program: Program) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield where members of structs are told to lie: the array, the struct, the members."""
    if _has(program, Head):
        yield "made_at", "produced", _MADE
        yield "head_at", "new_header", _HEAD
    if _consumes(program):
        yield "message_at", "message", ("header", "payload")


def _column_type(column: Column) -> str:
    return "PyObject *" if column in (Column.HEADER, Column.PAYLOAD) else "long long "


def _methods(program: Program, text: Text) -> None:
    text.add("", "def __init__(self, bound):")
    with text.deeper():
        text.add("self.attention = bound.attention", "self.epoch = bound.epoch")
        for name, where in _objects(program):
            text.add(f"self.{name} = {where}")
        for row in range(len(program.histograms)):
            text.add(f"clear(self.rows[{row}])")
        for name, kind, members in _places(program):
            for i, member in enumerate(members):
                text.add(f"self.{name}[{i}] = place_in(bound.{kind}, b{member!r})")
    text.add("", "def __dealloc__(self):")
    with text.deeper():
        if _has(program, Head):
            text.add("while self.spares:", "    self.spares -= 1")
            text.add("    Py_XDECREF(self.spare[self.spares])")
        for queue in program.queues:
            _empty(queue, text)
        text.add("pass")
    lasting = [var.name for var in lasting_variables(program)]
    text.add("", "def load(self, list state):")
    with text.deeper():
        text.add(*(f"self.{name} = state[{i}]" for i, name in enumerate(lasting)))
    text.add("", "def store(self):")
    with text.deeper():
        text.add("return [", *(f"    self.{name}," for name in lasting), "]")
    text.add("", "def pending(self):")
    with text.deeper():
        text.add("found = (self.header, self.payload, self.pushed, self.failure)")
        text.add("self.header = self.payload = self.failure = None", "return found")
    text.add("", "def fill(self, long long edge, list waiting):")
    with text.deeper():
        text.add("cdef long long i = 0")
        for queue in program.queues:
            text.add(f"if edge == {queue.edge}:")
            with text.deeper():
                text.add(f"self.{queue.name}_head = 0", "for entry in waiting:")
                with text.deeper():
                    for place, column in enumerate(queue.columns):
                        cell = f"self.{queue.name}_{column.value}[i]"
                        if column in (Column.HEADER, Column.PAYLOAD):
                            text.add(f"item = entry[{place}]", "Py_INCREF(item)")
                            text.add(f"{cell} = <PyObject *>item")
                        else:
                            text.add(f"{cell} = entry[{place}]")
                    text.add("i += 1")
    text.add("", "def drain(self, long long edge):")
    with text.deeper():
        text.add("waiting = []")
        for queue in program.queues:
            text.add(f"if edge == {queue.edge}:")
            with text.deeper():
                text.add(f"while self.{queue.name}_length:")
                with text.deeper():
                    at = f"[self.{queue.name}_head]"
                    cells = [
                        f"<object>self.{queue.name}_{c.value}{at}"
                        if c in (Column.HEADER, Column.PAYLOAD)
                        else f"self.{queue.name}_{c.value}{at}"
                        for c in queue.columns
                    ]
                    text.add(f"waiting.append(({', '.join(cells)}))")
                    _forget(queue, text)
        text.add("return waiting")
    text.add("", "def histogram(self, long long row):")
    with text.deeper():
        if program.histograms:
            text.add("cdef long long i")
            text.add(f"found = [self.rows[row][i] for i in range({HISTOGRAM_BUCKETS + 3})]")
            text.add("clear(self.rows[row])", "return found")
        else:
            text.add("return []")


def _empty(queue: Queue, text: Text) -> None:
    text.add(f"while self.{queue.name}_length:")
    with text.deeper():
        _forget(queue, text)


def _forget(queue: Queue, text: Text) -> None:
    """Let go of the front of a queue, outside of turns."""
    for column in queue.columns:
        if column in (Column.HEADER, Column.PAYLOAD):
            text.add(f"Py_XDECREF(self.{queue.name}_{column.value}[self.{queue.name}_head])")
    text.add(f"self.{queue.name}_head = (self.{queue.name}_head + 1) % {queue.capacity}")
    text.add(f"self.{queue.name}_length -= 1")


def _take(program: Program, text: Text) -> None:
    lasting = [var.name for var in lasting_variables(program)]
    heads = [f"{queue.name}_head" for queue in program.queues]
    text.add('"""Take turns from a node on; return why it was left, and at which node."""')
    text.add("cdef long long pushed = 0, creation = 0, begun = 0, slot, why = 0, node")
    for name in [*lasting, *heads]:
        text.add(f"cdef long long {name} = self.{name}")
    text.add("cdef long long epoch = self.epoch", "cdef PyObject *given[6]", "cdef PyObject *came")
    text.add("cdef object header = None, payload = None, result = None, failure = None")
    text.add("cdef object kept = None, evicted = None, first = None, second = None, third = None")
    for name, _ in _objects(program):
        text.add(f"cdef object {name} = self.{name}")
    text.add("cdef list attention = self.attention", "node = turn", "while True:")
    with text.deeper():
        for block in program.blocks:
            text.add(f"# {block.title}", f"if turn <= {block.node}:")
            with text.deeper():
                _body(program, block, block.body, text)
        text.add("turn = 0")
    text.add(*(f"self.{name} = {name}" for name in [*lasting, *heads]))
    text.add("self.header, self.payload = header, payload")
    text.add("self.pushed, self.failure = pushed, failure")
    text.add("if why < 0:", "    again()")
    text.add("return why, node")


def _body(program: Program, block: Block, body: tuple[Statement, ...], text: Text) -> None:
    for statement in body:
        _statement(program, block, statement, text)


def _statement(program: Program, block: Block, statement: Statement, text: Text) -> None:
    match statement:
        case Set(target=target, value=value):
            text.add(f"{target.name} = {_expression(value)}")
        case If(test=test, then=then, otherwise=otherwise):
            text.add(f"if {_expression(test)}:")
            with text.deeper():
                _body(program, block, then, text)
            if otherwise:
                text.add("else:")
                with text.deeper():
                    _body(program, block, otherwise, text)
        case Pop(queue=name, targets=targets):
            _pop(_queue(program, name), targets, text)
        case Push(queue=name, values=values):
            _push(_queue(program, name), values, text)
        case Invoke() as call:
            _invoke(program, block, call, text)
        case Sample(cost=cost):
            machine = "machine_ns() - epoch"
            text.add(f"now = {machine if program.clock == 'monotonic' else f'sample({cost})'}")
        case Record(histogram=histogram, ticks=ticks):
            row = [h.name for h in program.histograms].index(histogram)
            text.add(f"record(self.rows[{row}], {_expression(ticks)})")
        case Head(node=node, sequence=sequence, size_bytes=size, target=target):
            _head(node, _expression(sequence), size, target, text)
        case Note(place=place, action=action, header=header, reason=reason):
            number = "-1" if header is None else f"{header.name}.sequence"
            text.add(f"note(now, {place!r}, {action!r}, {number}, {reason!r})")
        case Lose(edge=edge, counter=counter, what=what, reason=reason):
            text.add(f"lost({edge}, {counter.name}, {what!r}, {reason!r})")
        case Exit(why=why, node=node):
            if WHY[why] == 2:
                text.add("failure = result")
            text.add(f"why = {WHY[why]}", f"node = {node}", "break")
        case unreachable:
            assert_never(unreachable)


def _queue(program: Program, name: str) -> Queue:
    return next(queue for queue in program.queues if queue.name == name)


def _pop(queue: Queue, targets: tuple[Var | None, ...], text: Text) -> None:
    head = f"{queue.name}_head"
    for column, target in zip(queue.columns, targets, strict=True):
        cell = f"self.{queue.name}_{column.value}[{head}]"
        if column in (Column.HEADER, Column.PAYLOAD):
            if target is not None:
                text.add(f"{target.name} = <object>{cell}")
            text.add(f"Py_XDECREF({cell})")
        elif target is not None:
            text.add(f"{target.name} = {cell}")
    text.add(f"{head} = {head} + 1 if {head} < {queue.capacity - 1} else 0")


def _push(queue: Queue, values: tuple[Expression, ...], text: Text) -> None:
    name = queue.name
    text.add(f"slot = {name}_head + {name}_length")
    text.add(f"slot = slot if slot < {queue.capacity} else slot - {queue.capacity}")
    for column, value in zip(queue.columns, values, strict=True):
        cell = f"self.{name}_{column.value}[slot]"
        if column in (Column.HEADER, Column.PAYLOAD):
            text.add(f"first = {_expression(value)}", "Py_INCREF(first)")
            text.add(f"{cell} = <PyObject *>first")
        else:
            text.add(f"{cell} = {_expression(value)}")


def _invoke(program: Program, block: Block, call: Invoke, text: Text) -> None:
    given = [_expression(argument) for argument in call.arguments]
    function = f"<PyObject *>call_{call.node}"
    match call.form:
        case CallForm.PAYLOAD:
            text.add(f"came = call_one({function}, <PyObject *>{given[0]})")
        case CallForm.PRODUCE:
            text.add(f"first = {given[0]}", f"came = call_one({function}, <PyObject *>first)")
        case CallForm.CONSUME:
            header, payload, now = given
            if call.resized:
                header = f"resized({block.node}, {header}, {payload})"
            text.add(f"first = {header}", "given[0] = <PyObject *>first")
            text.add(f"given[1] = <PyObject *>{payload}")
            text.add("if kept is None:")
            text.add("    kept = made(call_many(<PyObject *>message, given, 2, NULL))", "else:")
            text.add("    put(<PyObject *>kept, self.message_at[0], given[0])")
            text.add("    put(<PyObject *>kept, self.message_at[1], given[1])")
            text.add(f"third = {now}", "given[0] = <PyObject *>kept")
            text.add("given[1] = <PyObject *>third")
            text.add(f"came = call_many({function}, given, 2, NULL)", "first = None")
        case unreachable:
            assert_never(unreachable)
    text.add("if came is NULL:")
    with text.deeper():
        if call.form is CallForm.CONSUME:
            text.add("kept = None")
        text.add("failure = caught()", "if failure is None:", "    why = -1", "    break")
        _body(program, block, call.failed, text)
    text.add(f"{call.result.name} = <object>came", "Py_DECREF(result)")
    if call.form is CallForm.CONSUME:
        _let_go(program, text)


def _let_go(program: Program, text: Text) -> None:
    """Use message and header again, where the sink has kept neither."""
    text.add("if is_alone(<PyObject *>kept):")
    text.add("    put(<PyObject *>kept, self.message_at[0], <PyObject *>None)")
    text.add("    put(<PyObject *>kept, self.message_at[1], <PyObject *>None)")
    text.add("else:", "    kept = None")
    if _has(program, Head):
        text.add(f"if self.spares < {SPARE_HEADERS} and is_alone(<PyObject *>header) and is_usual(")
        text.add(
            "    <PyObject *>header, <PyObject *>new_header, self.head_at, <PyObject *>usual_head"
        )
        text.add("):", "    self.spare[self.spares] = <PyObject *>header", "    Py_INCREF(header)")
        text.add("    self.spares += 1", "    header = None")


def _head(node: int, sequence: str, size: int, target: Var, text: Text) -> None:
    """Make a header, of one that nobody holds any more where there is such."""
    name, trace = target.name, f"{trace_base(node)} + {sequence}"
    text.add("if self.spares:")
    with text.deeper():
        text.add("self.spares -= 1", "came = self.spare[self.spares]")
        text.add(f"{name} = <object>came", f"Py_DECREF({name})")
        for place, number in enumerate((trace, sequence, "now")):
            text.add(f"put_number(came, self.head_at[{place}], {number})")
        text.add("put(came, self.head_at[3], member(came, self.head_at[2]))")
        text.add(f"put_number(came, self.head_at[4], {size})")
    text.add("else:")
    with text.deeper():
        text.add(f"first = {trace}", f"second = {sequence}", "third = now", f"evicted = {size}")
        for place, value in enumerate(("first", "second", "third", "third", "evicted", "domain")):
            text.add(f"given[{place}] = <PyObject *>{value}")
        call = "call_many(<PyObject *>new_header, given, 0, <PyObject *>names)"
        text.add(f"{name} = made({call})", "evicted = None")


def _expression(expression: Expression) -> str:
    match expression:
        case Const(value=value):
            return str(value)
        case Var(name="attention"):
            return "size_of(attention)"
        case Var(name=name):
            return name
        case Binary(operator=operator, left=Const(value=left), right=Const(value=right)):
            return str(int((left == right) == (operator is Operator.EQUAL)))
        case Binary(operator=operator, left=left, right=right):
            return f"({_expression(left)} {operator.value} {_expression(right)})"
        case Not(operand=operand):
            return f"(not {_expression(operand)})"
        case IsNone(operand=operand):
            return f"({operand.name} is None)"
        case Fits(operand=operand, node=node, form=CallForm.PRODUCE):
            kinds = f"<PyObject *>produced, <PyObject *>kind_{node}"
            return (
                f"is_plain(<PyObject *>{operand.name}, {kinds}, self.made_at, "
                "<PyObject *>usual_qos)"
            )
        case Fits(operand=operand, node=node):
            return f"(type({operand.name}) is kind_{node})"
        case Made(operand=operand):
            return f"<object>member(<PyObject *>{operand.name}, self.made_at[0])"
        case unreachable:
            assert_never(unreachable)


def _consumes(program: Program) -> bool:
    forms = {s.form for b in program.blocks for s in statements(b.body) if isinstance(s, Invoke)}
    return CallForm.CONSUME in forms


def _has(program: Program, kind: type) -> bool:
    return any(isinstance(s, kind) for b in program.blocks for s in statements(b.body))
