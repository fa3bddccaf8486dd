"""The printer for Python: one function over local variables, which is fastest interpreted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from limen.codegen._asked import (
    UNSTATED,
    WHY,
    all_expressions,
    calls_of,
    emits_arrays,
    has,
    makes_messages,
    memory_of,
    queue_of,
    trace_base,
    waits,
    windows_of_arrays,
)
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
from limen.codegen._program import LATEST, NEVER, Block, Memory, Program, Queue
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
from limen.codegen._text import Text, heading, shown
from limen.codegen._turns import lasting_variables
from limen.node import CallForm

_STEP = "    "


def print_python(program: Program) -> str:
    """Return the Program as the text of a Python module with a function ``make``.

    Called by the executor and by ``limen build --print``. Equal Programs give equal bytes.
    """
    text = Text()
    text.add(*heading(program, "python"))
    text.add("", "from time import monotonic_ns", "")
    text.add(f"{', '.join(why.name for why in WHY)} = range({len(WHY)})")
    if any(e == Const(NEVER) for e in all_expressions(program)):
        text.add(f"NEVER = {NEVER}")
    text.add("")
    text.add("", "def make(bound):")
    with text.deeper():
        text.add(
            '"""Return the function that takes turns until an exit, in the world it is given."""'
        )
        for line in _bindings(program):
            text.add(line)
        text.add("", "def run(turn):")
        with text.deeper():
            _run(program, text)
        text.add("", "return run")
    return str(text)


def _bindings(program: Program) -> Iterator[str]:
    yield "state, attention = bound.state, bound.attention"
    if program.clock == "monotonic":
        yield "epoch = bound.epoch"
    else:
        yield "sample = bound.sample"
    if program.logs:
        yield "note = bound.note"
    if has(program, Miss):
        yield "missed = bound.missed"
    if has(program, Lose):
        yield "lost = bound.lost"
    if has(program, Head):
        yield "new_header, domain = bound.new_header, bound.domain"
        yield "produced, usual_qos = bound.produced, bound.usual_qos"
    if makes_messages(program):
        yield "message = bound.message"
    for answer in sorted({e.answer.value for e in all_expressions(program) if isinstance(e, IsA)}):
        yield f"{answer} = bound.{answer}"
    if any(isinstance(e, Aged) for e in all_expressions(program)):
        yield "aged = bound.aged"
    found = all_expressions(program)
    if any(isinstance(e, Described) for e in found):
        yield "described = bound.described"
    if any(memory.copies for memory in program.memories):
        yield "array = bound.array"
    for block in program.blocks:
        for call in calls_of(block):
            yield f"call_{call.node} = bound.calls[{call.node}]"
            if call.form is CallForm.MESSAGE:
                yield f"context_{call.node} = bound.contexts[{call.node}]"
    for node in sorted({e.node for e in found if isinstance(e, Pauses)}):
        yield f"pauses_{node} = bound.pauses[{node}]"
    for node in sorted({e.node for e in found if isinstance(e, Fits)}):
        if emits_arrays(program, node):
            yield f"dtype_{node}, shape_{node} = bound.tensors[{node}]"
        else:
            yield f"kind_{node} = bound.kinds[{node}]"
    if any(isinstance(e, WindowHeader) for e in found):
        yield "window_header = bound.window_header"
    for node in windows_of_arrays(program):
        yield f"window_{node} = bound.windows[{node}]"
    for node in sorted({e.node for e in found if isinstance(e, NextDue)}):
        yield f"due_{node} = bound.dues[{node}]"
    for memory in program.memories:
        yield from _memory(memory)
    for queue in program.queues:
        name = queue.name
        if queue.batch > 1 or program.chooses:
            yield f"{name} = bound.queues[{queue.edge}]"
        yield f"{name}_push, {name}_pop = bound.queues[{queue.edge}].append, " + (
            f"bound.queues[{queue.edge}].popleft"
        )
    for histogram in program.histograms:
        yield f"{histogram.name} = bound.histograms[{histogram.name!r}].append"
    if program.histograms:
        yield "settle = bound.settle"


def _memory(memory: Memory) -> Iterator[str]:
    name = memory.name
    yield f"{name}_views = bound.slots[{name!r}].views"
    if memory.copies:
        yield f"{name}_rooms = bound.slots[{name!r}].rooms"
    if memory.is_shared:
        yield f"{name}_shares = bound.slots[{name!r}].shares"
    yield f"{name}_free = bound.free[{name!r}]"
    claim = "popleft" if memory.in_turn else "pop"
    yield f"{name}_claim, {name}_give = {name}_free.{claim}, {name}_free.append"


def _run(program: Program, text: Text) -> None:
    lasting = [var.name for var in lasting_variables(program)]
    text.add('"""Take turns from a node on; return why it was left, and at which node."""')
    text.add(*_spread(lasting, "state"))
    text.add("failure = header = payload = None", "pushed = slot = 0")
    text.add("why, node = DECIDE, turn")
    if program.ahead.body:
        text.add("asked = False")
    if program.histograms:
        text.add(f"rounds = {ROUNDS}")
    text.add("try:")
    with text.deeper():
        text.add("while True:")
        with text.deeper():
            if program.ahead.body:
                text.add(f"# {program.ahead.title}")
                _body(program, program.ahead, program.ahead.body, text)
            if program.histograms:
                text.add("rounds -= 1", "if not rounds:")
                text.add(f"{_STEP}settle()", f"{_STEP}rounds = {ROUNDS}")
            for block in program.blocks:
                text.add(f"# {shown(block.title)}")
                text.add(f"if turn {'==' if program.chooses else '<='} {block.node}:")
                with text.deeper():
                    _body(program, block, block.body, text)
            text.add("turn = 0")
    text.add("finally:")
    with text.deeper():
        text.add(*_gather(lasting, "state[:]"))
        text.add("bound.pending = header, payload, slot, pushed, failure")
        if program.ahead.body:
            text.add("bound.asked = asked")
        if program.histograms:
            text.add("settle()")
    text.add("return why, node")


ROUNDS = 512
"""Rounds after which durations are sorted into histograms."""


def _spread(names: list[str], source: str) -> list[str]:
    return ["(", *(f"{_STEP}{name}," for name in names), f") = {source}"]


def _gather(names: list[str], target: str) -> list[str]:
    return [f"{target} = (", *(f"{_STEP}{name}," for name in names), ")"]


def _body(program: Program, block: Block, body: tuple[Statement, ...], text: Text) -> None:
    for statement in body:
        _statement(program, block, statement, text)


def _statement(program: Program, block: Block, statement: Statement, text: Text) -> None:
    match statement:
        case Set(target=target, value=value):
            text.add(_assignment(program, target, value))
        case If(test=test, then=then, otherwise=otherwise):
            text.add(f"if {_expression(program, test)}:")
            with text.deeper():
                _body(program, block, then, text)
            if otherwise:
                text.add("else:")
                with text.deeper():
                    _body(program, block, otherwise, text)
        case Pop(queue=queue, targets=targets):
            names = ["_" if target is None else target.name for target in targets]
            text.add(f"{', '.join(names)} = {queue}_pop()")
        case Push(queue=queue, values=values):
            text.add(
                f"{queue}_push(({', '.join(_expression(program, value) for value in values)}))"
            )
        case Claim(memory=memory, target=target, shares=shares):
            text.add(f"{target.name} = {memory}_claim()")
            text.add(f"if len({memory}_free) < {memory}_least:")
            text.add(f"{_STEP}{memory}_least = len({memory}_free)")
            if memory_of(program, memory).is_shared:
                text.add(f"{memory}_shares[{target.name}] = {shares}")
        case Store(memory=memory, slot=slot, value=value):
            if memory_of(program, memory).copies:
                text.add(f"{memory}_rooms[{slot.name}][...] = {_expression(program, value)}")
            else:
                text.add(f"{memory}_views[{slot.name}] = {_expression(program, value)}")
        case Free(memory=memory, slot=slot):
            _free(memory_of(program, memory), slot.name, text)
        case Invoke() as call:
            _invoke(program, block, call, text)
        case Sample(cost=cost):
            if program.clock == "monotonic":
                text.add("now = monotonic_ns() - epoch")
            else:
                text.add(f"now = sample({cost})")
        case Miss(node=node, header=header, late=late):
            text.add(f"missed({node}, now, {header.name}, {late.name})")
        case Record(histogram=name, ticks=Binary() as waited) if name in waits(program):
            text.add(
                f"if {_expression(program, waited.left)} != {_expression(program, waited.right)}:"
            )
            text.add(f"{_STEP}{name}({_expression(program, waited)})")
        case Record(histogram=histogram, ticks=ticks):
            text.add(f"{histogram}({_expression(program, ticks)})")
        case Again():
            text.add("continue")
        case Head(node=node, sequence=sequence, creation=creation, size_bytes=size, target=target):
            number, made = _expression(program, sequence), _expression(program, creation)
            text.add(
                f"{target.name} = new_header(trace_id={trace_base(node)} + {number}, "
                f"sequence={number}, creation_tick={made}, origin_tick={made}, "
                f"payload_size_bytes={size}, clock_domain=domain)"
            )
        case Note(place=place, action=action, header=header, reason=reason):
            number = "-1" if header is None else f"{header.name}.sequence"
            text.add(f"note(now, {place!r}, {action!r}, {number}, {reason!r})")
        case Lose(edge=edge, counter=counter, what=what, reason=reason):
            text.add(f"lost({edge}, {counter.name}, {what!r}, {reason!r})")
        case Exit(why=why, node=node):
            if why is Why.UNUSUAL:
                text.add("failure = result")
            text.add(f"why, node = {why.name}, {node}", "break")
        case unreachable:
            assert_never(unreachable)


def _free(memory: Memory, slot: str, text: Text) -> None:
    name = memory.name
    if memory.is_shared:
        text.add(f"{name}_shares[{slot}] -= 1", f"if not {name}_shares[{slot}]:")
    indent = _STEP if memory.is_shared else ""
    if not memory.copies:
        text.add(f"{indent}{name}_views[{slot}] = None")
    text.add(f"{indent}{name}_give({slot})")


def _invoke(program: Program, block: Block, call: Invoke, text: Text) -> None:
    given = [_expression(program, argument) for argument in call.arguments]
    match call.form:
        case CallForm.CONSUME:
            given = [f"message({given[0]}, {given[1]})", given[2]]
        case CallForm.MESSAGE:
            text.add(f"context_{call.node}.now = {given[2]}")
            text.add(*(f"context_{call.node}.room = {room}" for room in given[3:]))
            given = [f"message({given[0]}, {given[1]})", f"context_{call.node}"]
        case CallForm.FILL:
            given[1] = f"out={given[1]}"
        case _:
            pass
    text.add("try:")
    text.add(f"{_STEP}{call.result.name} = call_{call.node}({', '.join(given)})")
    text.add("except Exception as error:")
    with text.deeper():
        text.add("failure = error")
        _body(program, block, call.failed, text)


def _assignment(program: Program, target: Var, value: Expression) -> str:
    match value:
        case Binary(operator=operator, left=left, right=Const(value=step)) if left == target:
            return f"{target.name} {operator.value}= {step}"
        case _:
            return f"{target.name} = {_expression(program, value)}"


def _expression(program: Program, expression: Expression) -> str:
    match expression:
        case Const(value=value):
            return "NEVER" if value == NEVER else str(value)
        case Var(name=name):
            return name
        case Binary(operator=operator, left=Const(value=left), right=Const(value=right)):
            return str((left == right) == (operator is Operator.EQUAL))
        case Binary(operator=Operator.LESS, left=Const(value=0), right=Var() as length) if any(
            queue.length == length for queue in program.queues
        ):
            return length.name
        case Binary(operator=operator, left=left, right=right):
            return f"{_operand(program, left)} {operator.value} {_operand(program, right)}"
        case Not(operand=operand):
            return f"not {_operand(program, operand)}"
        case IsNone(operand=operand):
            return f"{operand.name} is None"
        case Fits(operand=operand, node=node, form=CallForm.PRODUCE):
            plain = _plain(operand.name)
            return f"({plain} and {_fits(program, f'{operand.name}.payload', node)})"
        case Fits(operand=operand, node=node, form=CallForm.MESSAGE):
            return _fits(program, f"{operand.name}.payload", node)
        case Fits(operand=operand, node=node):
            return _fits(program, operand.name, node)
        case Stated(operand=operand, offset=offset):
            stated = f"{operand.name}.creation_tick"
            moved = f"{stated} + {offset}" if offset else stated
            return f"now if {stated} is None else {moved}"
        case NextDue(node=node):
            return f"due_{node}()"
        case Made(operand=operand):
            return f"{operand.name}.payload"
        case View(memory=memory, slot=slot):
            return f"{memory}_views[{slot.name}]"
        case Room(memory=memory, slot=slot):
            return f"{memory}_rooms[{slot.name}]"
        case Next(memory=memory):
            return f"{memory}_free[{0 if memory_of(program, memory).in_turn else -1}]"
        case NextSlots(memory=memory, count=count):
            in_turn = memory_of(program, memory).in_turn
            places = range(count) if in_turn else range(-1, -count - 1, -1)
            return f"({', '.join(f'{memory}_free[{place}]' for place in places)})"
        case Front(queue=name, place=place, column=column):
            return f"{name}[{place}][{queue_of(program, name).columns.index(column)}]"
        case Window(node=node, queue=name, count=count):
            return _window(program, node, queue_of(program, name), count)
        case WindowHeader(queue=name, count=count):
            at = queue_of(program, name).columns.index(Column.HEADER)
            return f"window_header(({', '.join(f'{name}[{i}][{at}]' for i in range(count))}))"
        case Number(header=header):
            return f"{_expression(program, header)}.sequence"
        case FrontSlots(queue=name, count=count):
            at = queue_of(program, name).columns.index(Column.SLOT)
            return f"({', '.join(f'{name}[{place}][{at}]' for place in range(count))})"
        case Row(operand=operand, place=place):
            return f"{operand.name}[{place}]"
        case Same(operand=operand, room=room):
            return f"{_expression(program, operand)} is {_expression(program, room)}"
        case IsA(operand=operand, answer=answer):
            return f"type({operand.name}) is {answer.value}"
        case Aged(header=header, operand=operand):
            aged = f"aged({header.name}, {operand.name}.origin_tick)"
            return f"{header.name} if {operand.name}.origin_tick is None else {aged}"
        case Described(node=node, header=header, payload=payload):
            return f"described({node}, {header.name}, {_expression(program, payload)})"
        case Pauses(node=node):
            return f"pauses_{node}()"
        case unreachable:
            assert_never(unreachable)


def _fits(program: Program, payload: str, node: int) -> str:
    """Return the test that a payload is taken as it is."""
    if not emits_arrays(program, node):
        return f"type({payload}) is kind_{node}"
    return (
        f"(type({payload}) is array and {payload}.dtype is dtype_{node} "
        f"and {payload}.shape == shape_{node})"
    )


def _window(program: Program, node: int, queue: Queue, count: int) -> str:
    """Return a window's payloads: an array that lies in slots, or a tuple of objects."""
    memory = None if queue.memory is None else memory_of(program, queue.memory)
    at = queue.columns.index(Column.PAYLOAD if memory is None else Column.SLOT)
    places = [f"{queue.name}[{place}][{at}]" for place in range(count)]
    if memory is not None and memory.copies:
        return f"window_{node}(({', '.join(places)}))"
    if memory is not None:
        places = [f"{memory.name}_views[{place}]" for place in places]
    return f"({', '.join(places)},)"


def _plain(made: str) -> str:
    """Return the test that a source stated nothing but a payload."""
    unset = " and ".join(f"{made}.{name} is None" for name in UNSTATED)
    usual = f"{made}.qos is usual_qos and not {made}.degrade_allowed"
    stated = f"(type({made}.creation_tick) is int and 0 <= {made}.creation_tick < {LATEST})"
    timed = f"({made}.creation_tick is None or {stated})"
    return f"type({made}) is produced and {timed} and {unset} and {usual}"


def _operand(program: Program, expression: Expression) -> str:
    text = _expression(program, expression)
    return f"({text})" if isinstance(expression, (Binary, Fits, IsNone)) and " " in text else text
