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
_SUPPORT = '''
from cpython.exc cimport PyErr_ExceptionMatches, PyErr_Fetch, PyErr_NormalizeException
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject, Py_XDECREF
from libc.string cimport memset

cdef extern from *:
    """
    #include <time.h>

    /* The clock that Python calls monotonic. */
    static inline long long machine_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    /* Buckets, overflow, count, least, most: as limen.telemetry.Histogram sorts durations. */
    static inline void record(long long *row, long long value) {
        long long place;
        int shift;
        if (value < 0) value = 0;
        if (row[BUCKETS + 1] == 0 || value < row[BUCKETS + 2]) row[BUCKETS + 2] = value;
        if (value > row[BUCKETS + 3]) row[BUCKETS + 3] = value;
        row[BUCKETS + 1] += 1;
        shift = value < 64 ? 0 : 58 - __builtin_clzll((unsigned long long)value);
        place = ((long long)shift << 5) + (value >> shift);
        row[place < BUCKETS ? place : BUCKETS] += 1;
    }
    """
    long long machine_ns() noexcept nogil
    void record(long long *row, long long value) noexcept nogil
    PyObject *call_one "PyObject_CallOneArg"(PyObject *function, PyObject *argument) noexcept
    PyObject *call_many "PyObject_Vectorcall"(
        PyObject *function, PyObject **arguments, size_t count, PyObject *names) noexcept
    Py_ssize_t size_of "PyList_GET_SIZE"(list items) noexcept


cdef object caught():
    """Take over what a call raised; what is no Exception goes on being raised."""
    cdef PyObject *kind = NULL
    cdef PyObject *error = NULL
    cdef PyObject *trace = NULL
    if not PyErr_ExceptionMatches(Exception):
        return None
    PyErr_Fetch(&kind, &error, &trace)
    PyErr_NormalizeException(&kind, &error, &trace)
    found = <object>error
    if trace is not NULL:
        found = found.with_traceback(<object>trace)
    Py_XDECREF(kind)
    Py_XDECREF(error)
    Py_XDECREF(trace)
    return found


cdef inline object made(PyObject *result):
    """Own what a call made, or raise what it raised."""
    if result is NULL:
        again()
    found = <object>result
    Py_DECREF(found)
    return found


cdef int again() except -1:
    """Go on raising."""
    return -1


cdef inline void clear(long long *row) noexcept:
    memset(row, 0, sizeof(long long) * (BUCKETS + 4))
'''.strip("\n")


def print_cython(program: Program) -> str:
    """Return the Program as the text of a Cython module with a class ``Turns``.

    Called by the native target and by ``limen build --print``. Equal Programs give equal bytes.
    """
    text = Text()
    text.add(f"# cython: {', '.join(_DIRECTIVES)}")
    text.add(*heading(program, "native"), "")
    text.add(*_SUPPORT.replace("BUCKETS", str(HISTOGRAM_BUCKETS)).split("\n"), "", "")
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
        yield (
            "names",
            "('trace_id', 'sequence', 'creation_tick', 'origin_tick', "
            + ("'payload_size_bytes', 'clock_domain')"),
        )
    forms = {s.form for b in program.blocks for s in statements(b.body) if isinstance(s, Invoke)}
    if CallForm.CONSUME in forms:
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
    if program.histograms:
        text.add(f"cdef long long rows[{len(program.histograms)}][{HISTOGRAM_BUCKETS + 4}]")


def _column_type(column: Column) -> str:
    return "PyObject *" if column in (Column.HEADER, Column.PAYLOAD) else "long long "


def _methods(program: Program, text: Text) -> None:
    text.add("", "def __init__(self, bound):")
    with text.deeper():
        text.add("self.attention = bound.attention", "self.epoch = bound.epoch")
        for name, where in _objects(program):
            text.add(f"self.{name} = {where}")
    text.add("", "def __dealloc__(self):")
    with text.deeper():
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
            text.add(f"found = [self.rows[row][i] for i in range({HISTOGRAM_BUCKETS + 4})]")
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
    text.add("cdef long long idle = 0, pushed = 0, creation = 0, begun = 0, slot, why = 0, node")
    for name in [*lasting, *heads]:
        text.add(f"cdef long long {name} = self.{name}")
    text.add("cdef long long epoch = self.epoch", "cdef PyObject *given[6]", "cdef PyObject *came")
    text.add("cdef object header = None, payload = None, result = None, failure = None")
    text.add("cdef object evicted = None, first = None, second = None, third = None")
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
            text.add("second = made(call_many(<PyObject *>message, given, 2, NULL))")
            text.add(f"third = {now}", "given[0] = <PyObject *>second")
            text.add("given[1] = <PyObject *>third")
            text.add(f"came = call_many({function}, given, 2, NULL)", "second = None")
        case unreachable:
            assert_never(unreachable)
    text.add("if came is NULL:")
    with text.deeper():
        text.add("failure = caught()", "if failure is None:", "    why = -1", "    break")
        _body(program, block, call.failed, text)
    text.add(f"{call.result.name} = <object>came", "Py_DECREF(result)")


def _head(node: int, sequence: str, size: int, target: Var, text: Text) -> None:
    text.add(f"first = {trace_base(node)} + {sequence}", f"second = {sequence}", "third = now")
    text.add("given[0] = <PyObject *>first", "given[1] = <PyObject *>second")
    text.add("given[2] = <PyObject *>third", "given[3] = <PyObject *>third")
    text.add(f"evicted = {size}", "given[4] = <PyObject *>evicted")
    text.add("given[5] = <PyObject *>domain")
    call = "call_many(<PyObject *>new_header, given, 0, <PyObject *>names)"
    text.add(f"{target.name} = made({call})")


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
            made = operand.name
            unset = " and ".join(f"{made}.{name} is None" for name in UNSTATED)
            return (
                f"(type({made}) is produced and type({made}.payload) is kind_{node} and {unset} "
                f"and {made}.qos is usual_qos and not {made}.degrade_allowed)"
            )
        case Fits(operand=operand, node=node):
            return f"(type({operand.name}) is kind_{node})"
        case Made(operand=operand):
            return f"{operand.name}.payload"
        case unreachable:
            assert_never(unreachable)


def _has(program: Program, kind: type) -> bool:
    return any(isinstance(s, kind) for b in program.blocks for s in statements(b.body))
