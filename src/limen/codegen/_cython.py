"""The printer for Cython: a class with typed fields, which is fastest compiled."""

from __future__ import annotations

from typing import assert_never

from limen.codegen._asked import (
    WHY,
    emits_arrays,
    has,
    memory_of,
    queue_of,
    trace_base,
)
from limen.codegen._cython_class import SPARE_HEADERS, objects_of, print_fields, print_methods
from limen.codegen._expressions import (
    Aged,
    Binary,
    Column,
    Const,
    Described,
    Expression,
    Fits,
    Front,
    FrontSlots,
    IsA,
    IsNone,
    Made,
    Next,
    NextDue,
    NextSlots,
    Not,
    Number,
    Operator,
    Pauses,
    Room,
    Row,
    Same,
    Stated,
    Var,
    View,
    Window,
    WindowHeader,
)
from limen.codegen._program import NEVER, Block, Memory, Program, Queue
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
    Why,
)
from limen.codegen._support import SUPPORT
from limen.codegen._text import Text, heading, shown
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
    text.add("cdef enum:", *(f"    {why.name} = {number}" for why, number in WHY.items()), "", "")
    text.add("cdef class Turns:")
    with text.deeper():
        text.add('"""Takes the turns of the graph; what its names stand for is given once."""', "")
        print_fields(program, text)
        print_methods(program, text)
        text.add("", "def take(self, long long turn):")
        with text.deeper():
            _take(program, text)
    return str(text)


def _take(program: Program, text: Text) -> None:
    lasting = [var.name for var in lasting_variables(program)]
    heads = [f"{queue.name}_head" for queue in program.queues]
    text.add('"""Take turns from a node on; return why it was left, and at which node."""')
    text.add("cdef long long pushed = 0, creation = 0, begun = 0, slot = 0, room = 0, gone = 0")
    text.add("cdef long long late = 0, earliest = 0, soon = 0, asked = 0")
    text.add("cdef long long first_deadline, first_number, own_deadline, own_number")
    text.add("cdef long long place, why = 0, node")
    for name in [*lasting, *heads]:
        text.add(f"cdef long long {name} = self.{name}")
    text.add("cdef long long epoch = self.epoch", "cdef PyObject *given[6]", "cdef PyObject *came")
    text.add("cdef object header = None, payload = None, result = None, failure = None")
    text.add("cdef object kept = None, evicted = None, first = None, second = None, third = None")
    for name, _ in objects_of(program):
        text.add(f"cdef object {name} = self.{name}")
    for memory in program.memories:
        text.add(f"cdef list {memory.name}_views = self.{memory.name}_views")
        if memory.copies:
            text.add(f"cdef list {memory.name}_rooms = self.{memory.name}_rooms")
    text.add("cdef list attention = self.attention", "node = turn", "try:")
    with text.deeper():
        text.add("while True:")
        with text.deeper():
            _body(program, program.ahead, program.ahead.body, text)
            guard = "==" if program.chooses else "<="
            for block in program.blocks:
                text.add(f"# {shown(block.title)}", f"if turn {guard} {block.node}:")
                with text.deeper():
                    _body(program, block, block.body, text)
            text.add("turn = 0")
    text.add("finally:")
    with text.deeper():
        text.add(*(f"self.{name} = {name}" for name in [*lasting, *heads]))
        text.add("self.header, self.payload, self.asked = header, payload, asked")
        text.add("self.slot, self.pushed, self.failure = slot, pushed, failure")
    text.add("if why < 0:", "    again()")
    text.add("return why, node")


def _body(program: Program, block: Block, body: tuple[Statement, ...], text: Text) -> None:
    for statement in body:
        _statement(program, block, statement, text)


def _statement(program: Program, block: Block, statement: Statement, text: Text) -> None:
    match statement:
        case Set(target=target, value=value):
            text.add(f"{target.name} = {_expression(program, value)}")
        case If(test=test, then=then, otherwise=otherwise):
            text.add(f"if {_expression(program, test)}:")
            with text.deeper():
                _body(program, block, then, text)
            if otherwise:
                text.add("else:")
                with text.deeper():
                    _body(program, block, otherwise, text)
        case Pop(queue=name, targets=targets):
            _pop(queue_of(program, name), targets, text)
        case Push(queue=name, values=values):
            _push(program, queue_of(program, name), values, text)
        case Claim(memory=memory, target=target, shares=shares):
            _claim(memory_of(program, memory), target.name, shares, text)
        case Store(memory=memory, slot=slot, value=value):
            found = memory_of(program, memory)
            where = (
                f"{memory}_rooms[{slot.name}][...]"
                if found.copies
                else f"{memory}_views[{slot.name}]"
            )
            text.add(f"{where} = {_expression(program, value)}")
        case Free(memory=memory, slot=slot):
            _free(memory_of(program, memory), slot.name, text)
        case Invoke() as call:
            _invoke(program, block, call, text)
        case Sample(cost=cost):
            machine = "machine_ns() - epoch"
            text.add(f"now = {machine if program.clock == 'monotonic' else f'sample({cost})'}")
        case Miss(node=node, header=header, late=late):
            text.add(f"missed({node}, now, {header.name}, {late.name})")
        case Record(histogram=histogram, ticks=ticks):
            row = [h.name for h in program.histograms].index(histogram)
            text.add(f"record(self.rows[{row}], {_expression(program, ticks)})")
        case Again():
            text.add("continue")
        case Head(node=node, sequence=sequence, creation=creation, size_bytes=size, target=target):
            numbers = (_expression(program, sequence), _expression(program, creation))
            _head(node, *numbers, size, target, text)
        case Note(place=place, action=action, header=header, reason=reason):
            number = "-1" if header is None else f"{header.name}.sequence"
            text.add(f"note(now, {place!r}, {action!r}, {number}, {reason!r})")
        case Lose(edge=edge, counter=counter, what=what, reason=reason):
            text.add(f"lost({edge}, {counter.name}, {what!r}, {reason!r})")
        case Exit(why=why, node=node):
            if why is Why.UNUSUAL:
                text.add("failure = result")
            text.add(f"why = {why.name}", f"node = {node}", "break")
        case unreachable:
            assert_never(unreachable)


def _claim(memory: Memory, slot: str, shares: int, text: Text) -> None:
    name, count = memory.name, f"self.{memory.name}_count"
    text.add(f"{slot} = {_next(memory)}", f"{count} -= 1")
    if memory.in_turn:
        text.add(f"self.{name}_head = (self.{name}_head + 1) % {memory.depth}")
    text.add(f"if {count} < {name}_least:", f"    {name}_least = {count}")
    if memory.is_shared:
        text.add(f"self.{name}_shares[{slot}] = {shares}")


def _next(memory: Memory, place: int = 0) -> str:
    """Return the slot that is claimed next, or so many places behind that."""
    name = memory.name
    if not memory.in_turn:
        return f"self.{name}_free[self.{name}_count - {1 + place}]"
    at = f"(self.{name}_head + {place}) % {memory.depth}" if place else f"self.{name}_head"
    return f"self.{name}_free[{at}]"


def _front(queue: Queue, place: int, column: Column) -> str:
    at = f"({queue.name}_head + {place}) % {queue.capacity}" if place else f"{queue.name}_head"
    cell = f"self.{queue.name}_{column.value}[{at}]"
    return f"<object>{cell}" if column in (Column.HEADER, Column.PAYLOAD) else cell


def _free(memory: Memory, slot: str, text: Text) -> None:
    name = memory.name
    if memory.is_shared:
        text.add(f"self.{name}_shares[{slot}] -= 1", f"if self.{name}_shares[{slot}] == 0:")
    indent = "    " if memory.is_shared else ""
    if not memory.copies:
        text.add(f"{indent}{name}_views[{slot}] = None")
    place = f"self.{name}_count"
    if memory.in_turn:
        place = f"(self.{name}_head + {place}) % {memory.depth}"
    text.add(f"{indent}self.{name}_free[{place}] = {slot}", f"{indent}self.{name}_count += 1")


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


def _push(program: Program, queue: Queue, values: tuple[Expression, ...], text: Text) -> None:
    name = queue.name
    text.add(f"place = {name}_head + {name}_length")
    text.add(f"place = place if place < {queue.capacity} else place - {queue.capacity}")
    for column, value in zip(queue.columns, values, strict=True):
        cell = f"self.{name}_{column.value}[place]"
        if column in (Column.HEADER, Column.PAYLOAD):
            text.add(f"first = {_expression(program, value)}", "Py_INCREF(first)")
            text.add(f"{cell} = <PyObject *>first")
        else:
            text.add(f"{cell} = {_expression(program, value)}")


def _invoke(program: Program, block: Block, call: Invoke, text: Text) -> None:
    given = [_expression(program, argument) for argument in call.arguments]
    function = f"<PyObject *>call_{call.node}"
    match call.form:
        case CallForm.PAYLOAD | CallForm.WINDOW:
            text.add(f"second = {given[0]}", f"came = call_one({function}, <PyObject *>second)")
        case CallForm.PRODUCE:
            text.add(f"first = {given[0]}", f"came = call_one({function}, <PyObject *>first)")
        case CallForm.CONSUME:
            header, payload, now = given
            _message(header, payload, text)
            text.add(f"third = {now}", "given[0] = <PyObject *>kept")
            text.add("given[1] = <PyObject *>third")
            text.add(f"came = call_many({function}, given, 2, NULL)")
        case CallForm.MESSAGE:
            context = f"context_{call.node}"
            text.add(f"{context}.now = {given[2]}")
            text.add(*(f"{context}.room = {room}" for room in given[3:]))
            _message(given[0], given[1], text)
            text.add("given[0] = <PyObject *>kept", f"given[1] = <PyObject *>{context}")
            text.add(f"came = call_many({function}, given, 2, NULL)")
        case CallForm.FILL:
            text.add(f"second = {given[0]}", f"third = {given[1]}", "given[0] = <PyObject *>second")
            text.add("given[1] = <PyObject *>third")
            text.add(f"came = call_many({function}, given, 1, <PyObject *>out_name)")
        case CallForm.INFER:
            text.add(f"first = {given[0]}", f"third = {given[1]}", "given[0] = <PyObject *>first")
            text.add("given[1] = <PyObject *>third")
            text.add(f"came = call_many({function}, given, 2, NULL)")
        case unreachable:
            assert_never(unreachable)
    text.add("if came is NULL:")
    with text.deeper():
        if call.form in (CallForm.CONSUME, CallForm.MESSAGE):
            text.add("kept = None")
        text.add("failure = caught()", "if failure is None:", "    why = -1", "    break")
        _body(program, block, call.failed, text)
    text.add(f"{call.result.name} = <object>came", "Py_DECREF(result)")
    if call.form in (CallForm.CONSUME, CallForm.MESSAGE):
        _let_go(text)
    if call.form is CallForm.CONSUME and has(program, Head):
        _retire(text)


def _message(header: str, payload: str, text: Text) -> None:
    """Make a message, or the last one anew where nobody else holds that."""
    text.add(f"given[0] = <PyObject *>{header}", f"second = {payload}")
    text.add("given[1] = <PyObject *>second", "if kept is None:")
    text.add("    kept = made(call_many(<PyObject *>message, given, 2, NULL))", "else:")
    text.add("    put(<PyObject *>kept, self.message_at[0], given[0])")
    text.add("    put(<PyObject *>kept, self.message_at[1], given[1])")


def _let_go(text: Text) -> None:
    """Keep the message to be used again, where the node has not kept it."""
    text.add("if is_alone(<PyObject *>kept):")
    text.add("    put(<PyObject *>kept, self.message_at[0], <PyObject *>None)")
    text.add("    put(<PyObject *>kept, self.message_at[1], <PyObject *>None)")
    text.add("else:", "    kept = None")


def _retire(text: Text) -> None:
    """Keep the header to be used again, where the sink has kept neither it nor the message."""
    text.add(f"if self.spares < {SPARE_HEADERS} and is_alone(<PyObject *>header) and is_usual(")
    text.add("    <PyObject *>header, <PyObject *>new_header, self.head_at, <PyObject *>usual_head")
    text.add("):", "    self.spare[self.spares] = <PyObject *>header", "    Py_INCREF(header)")
    text.add("    self.spares += 1", "    header = None")


def _head(node: int, sequence: str, creation: str, size: int, target: Var, text: Text) -> None:
    """Make a header, of one that nobody holds any more where there is such."""
    name, trace = target.name, f"{trace_base(node)} + {sequence}"
    text.add("if self.spares:")
    with text.deeper():
        text.add("self.spares -= 1", "came = self.spare[self.spares]")
        text.add(f"{name} = <object>came", f"Py_DECREF({name})")
        for place, number in enumerate((trace, sequence, creation)):
            text.add(f"put_number(came, self.head_at[{place}], {number})")
        text.add("put(came, self.head_at[3], member(came, self.head_at[2]))")
        text.add(f"put_number(came, self.head_at[4], {size})")
    text.add("else:")
    with text.deeper():
        text.add(
            f"first = {trace}", f"second = {sequence}", f"third = {creation}", f"evicted = {size}"
        )
        for place, value in enumerate(("first", "second", "third", "third", "evicted", "domain")):
            text.add(f"given[{place}] = <PyObject *>{value}")
        call = "call_many(<PyObject *>new_header, given, 0, <PyObject *>names)"
        text.add(f"{name} = made({call})", "evicted = None")


def _expression(program: Program, expression: Expression) -> str:
    match expression:
        case Const(value=value):
            return "LLONG_MAX" if value == NEVER else str(value)
        case Var(name="attention"):
            return "size_of(attention)"
        case Var(name=name):
            return name
        case Binary(operator=operator, left=Const(value=left), right=Const(value=right)):
            return str(int((left == right) == (operator is Operator.EQUAL)))
        case Binary(operator=operator, left=left, right=right):
            return f"({_expression(program, left)} {operator.value} {_expression(program, right)})"
        case Not(operand=operand):
            return f"(not {_expression(program, operand)})"
        case IsNone(operand=operand):
            return f"({operand.name} is None)"
        case Fits(operand=operand, node=node, form=CallForm.PRODUCE):
            given = f"<PyObject *>{operand.name}, <PyObject *>produced, self.made_at"
            plain = f"is_plain({given}, <PyObject *>usual_qos)"
            return f"({plain} and {_fits(program, _made(operand), node)})"
        case Fits(operand=operand, node=node, form=CallForm.MESSAGE):
            return _fits(program, f"{operand.name}.payload", node)
        case Fits(operand=operand, node=node):
            return _fits(program, operand.name, node)
        case Stated(operand=operand, offset=offset):
            stated = f"member(<PyObject *>{operand.name}, self.made_at[1])"
            return f"(now if {stated} == <PyObject *>None else whole_number({stated}) + {offset})"
        case NextDue(node=node):
            return f"due_{node}()"
        case Made(operand=operand, form=CallForm.PRODUCE):
            return _made(operand)
        case Made(operand=operand):
            return f"{operand.name}.payload"
        case View(memory=memory, slot=slot):
            return f"{memory}_views[{slot.name}]"
        case Room(memory=memory, slot=slot):
            return f"{memory}_rooms[{slot.name}]"
        case Next(memory=memory):
            return _next(memory_of(program, memory))
        case NextSlots(memory=memory, count=count):
            slots = [_next(memory_of(program, memory), place) for place in range(count)]
            return f"({', '.join(slots)})"
        case Front(queue=name, place=place, column=column):
            return _front(queue_of(program, name), place, column)
        case Window(node=node, queue=name, count=count):
            return _window(program, node, queue_of(program, name), count)
        case WindowHeader(queue=name, count=count):
            queue = queue_of(program, name)
            headers = [_front(queue, place, Column.HEADER) for place in range(count)]
            return f"window_header(({', '.join(headers)},))"
        case Number(header=header):
            return f"({_expression(program, header)}).sequence"
        case FrontSlots(queue=name, count=count):
            queue = queue_of(program, name)
            slots = [_front(queue, place, Column.SLOT) for place in range(count)]
            return f"({', '.join(slots)})"
        case Row(operand=operand, place=place):
            return f"{operand.name}[{place}]"
        case Same(operand=operand, room=room):
            return f"({_expression(program, operand)} is {_expression(program, room)})"
        case IsA(operand=operand, answer=answer):
            return f"(type({operand.name}) is {answer.value})"
        case Aged(header=header, operand=operand):
            aged = f"aged({header.name}, {operand.name}.origin_tick)"
            return f"({header.name} if {operand.name}.origin_tick is None else {aged})"
        case Described(node=node, header=header, payload=payload):
            return f"described({node}, {header.name}, {_expression(program, payload)})"
        case Pauses(node=node):
            return f"pauses_{node}()"
        case unreachable:
            assert_never(unreachable)


def _window(program: Program, node: int, queue: Queue, count: int) -> str:
    """Return a window's payloads: an array that lies in slots, or a tuple of objects."""
    memory = None if queue.memory is None else memory_of(program, queue.memory)
    column = Column.PAYLOAD if memory is None else Column.SLOT
    places = [_front(queue, place, column) for place in range(count)]
    if memory is not None and memory.copies:
        return f"window_{node}(({', '.join(places)},))"
    if memory is not None:
        places = [f"{memory.name}_views[{place}]" for place in places]
    return f"({', '.join(places)},)"


def _made(operand: Var) -> str:
    return f"(<object>member(<PyObject *>{operand.name}, self.made_at[0]))"


def _fits(program: Program, payload: str, node: int) -> str:
    """Return the test that a payload is taken as it is."""
    if not emits_arrays(program, node):
        return f"type({payload}) is kind_{node}"
    return (
        f"(type({payload}) is array and {payload}.dtype is dtype_{node} "
        f"and {payload}.shape == shape_{node})"
    )
