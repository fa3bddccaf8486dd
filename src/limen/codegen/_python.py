"""The printer for Python: one function over local variables, which is fastest interpreted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from limen.codegen._program import (
    Binary,
    Block,
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
    Record,
    Sample,
    Set,
    Statement,
    Var,
    Why,
    statements,
)
from limen.codegen._text import Text, heading
from limen.codegen._turns import lasting_variables
from limen.node import CallForm
from limen.types import NodeIndex, PortIndex, SequenceNumber, make_trace_id

_STEP = "    "


def print_python(program: Program) -> str:
    """Return the Program as the text of a Python module with a function ``make``.

    Called by the executor and by ``limen build --print``. Equal Programs give equal bytes.
    """
    text = Text()
    text.add(*heading(program, "python"))
    text.add("", "from time import monotonic_ns", "")
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
    if _has(program, Lose):
        yield "lost = bound.lost"
    if _has(program, Head):
        yield "new_header, domain = bound.new_header, bound.domain"
        yield "produced, usual_qos = bound.produced, bound.usual_qos"
    if _has_consumer(program):
        yield "message, resized = bound.message, bound.resized"
    for block in program.blocks:
        if any(isinstance(s, Invoke) for s in _all(block)):
            yield f"call_{block.node} = bound.calls[{block.node}]"
        if any(isinstance(e, Fits) for e in _tests(block)):
            yield f"kind_{block.node} = bound.kinds[{block.node}]"
    for queue in program.queues:
        name = queue.name
        yield f"{name}_push, {name}_pop = bound.queues[{queue.edge}].append, " + (
            f"bound.queues[{queue.edge}].popleft"
        )
    for histogram in program.histograms:
        yield f"{histogram.name} = bound.histograms[{histogram.name!r}].append"
    if program.histograms:
        yield "settle = bound.settle"


def _run(program: Program, text: Text) -> None:
    lasting = [var.name for var in lasting_variables(program)]
    text.add('"""Take turns from a node on; return why it was left, and at which node."""')
    text.add(*_spread(lasting, "state"))
    text.add("failure = header = payload = None", "pushed = 0")
    text.add("why, node = 0, turn")
    if program.histograms:
        text.add(f"rounds = {ROUNDS}")
    text.add("try:")
    with text.deeper():
        text.add("while True:")
        with text.deeper():
            if program.histograms:
                text.add("rounds -= 1", "if not rounds:")
                text.add(f"{_STEP}settle()", f"{_STEP}rounds = {ROUNDS}")
            for block in program.blocks:
                text.add(f"# {block.title}")
                text.add(f"if turn <= {block.node}:")
                with text.deeper():
                    _body(program, block, block.body, text)
            text.add("turn = 0")
    text.add("finally:")
    with text.deeper():
        text.add(*_gather(lasting, "state[:]"))
        text.add("bound.pending = header, payload, pushed, failure")
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
            text.add(_assignment(target, value))
        case If(test=test, then=then, otherwise=otherwise):
            text.add(f"if {_expression(test)}:")
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
            text.add(f"{queue}_push(({', '.join(_expression(value) for value in values)}))")
        case Invoke() as call:
            _invoke(program, block, call, text)
        case Sample(cost=cost):
            if program.clock == "monotonic":
                text.add("now = monotonic_ns() - epoch")
            else:
                text.add(f"now = sample({cost})")
        case Record(histogram=name, ticks=Binary() as waited) if name in waits(program):
            text.add(f"if {_expression(waited.left)} != {_expression(waited.right)}:")
            text.add(f"{_STEP}{name}({_expression(waited)})")
        case Record(histogram=histogram, ticks=ticks):
            text.add(f"{histogram}({_expression(ticks)})")
        case Head(node=node, sequence=sequence, size_bytes=size, target=target):
            number = _expression(sequence)
            text.add(
                f"{target.name} = new_header(trace_id={trace_base(node)} + {number}, "
                f"sequence={number}, creation_tick=now, origin_tick=now, "
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
            text.add(f"why, node = {WHY[why]}, {node}", "break")
        case unreachable:
            assert_never(unreachable)


def waits(program: Program) -> dict[str, int]:
    """Return the histograms of waits that are 0, mostly, with their nodes: those are not noted.

    A step notes one wait, so the steps of the node say how many were not.
    """
    return {h.name: h.node for h in program.histograms if h.what == "wait"}


WHY = {why: number for number, why in enumerate(Why)}
"""How a run function says why it was left."""


def _invoke(program: Program, block: Block, call: Invoke, text: Text) -> None:
    given = [_expression(argument) for argument in call.arguments]
    if call.form is CallForm.CONSUME:
        header = f"resized({block.node}, {given[0]}, {given[1]})" if call.resized else given[0]
        given = [f"message({header}, {given[1]})", given[2]]
    text.add("try:")
    text.add(f"{_STEP}{call.result.name} = call_{call.node}({', '.join(given)})")
    text.add("except Exception as error:")
    with text.deeper():
        text.add("failure = error")
        _body(program, block, call.failed, text)


def _assignment(target: Var, value: Expression) -> str:
    match value:
        case Binary(operator=operator, left=left, right=Const(value=step)) if left == target:
            return f"{target.name} {operator.value}= {step}"
        case _:
            return f"{target.name} = {_expression(value)}"


def _expression(expression: Expression) -> str:
    match expression:
        case Const(value=value):
            return str(value)
        case Var(name=name):
            return name
        case Binary(operator=operator, left=Const(value=left), right=Const(value=right)):
            return str((left == right) == (operator is Operator.EQUAL))
        case Binary(operator=Operator.LESS, left=Const(value=0), right=Var(name=name)):
            return name
        case Binary(operator=operator, left=left, right=right):
            return f"{_operand(left)} {operator.value} {_operand(right)}"
        case Not(operand=operand):
            return f"not {_operand(operand)}"
        case IsNone(operand=operand):
            return f"{operand.name} is None"
        case Fits(operand=operand, node=node, form=CallForm.PRODUCE):
            return f"({_plain(operand.name, node)})"
        case Fits(operand=operand, node=node):
            return f"type({operand.name}) is kind_{node}"
        case Made(operand=operand):
            return f"{operand.name}.payload"
        case unreachable:
            assert_never(unreachable)


def _plain(made: str, node: int) -> str:
    """Return the test that a source stated nothing but a payload of the declared class."""
    unset = " and ".join(f"{made}.{name} is None" for name in UNSTATED)
    return (
        f"type({made}) is produced and type({made}.payload) is kind_{node} and {unset} "
        f"and {made}.qos is usual_qos and not {made}.degrade_allowed"
    )


UNSTATED = ("creation_tick", "deadline_ns", "max_age_ns")
"""What a source may state beside a payload, and mostly does not."""


def _operand(expression: Expression) -> str:
    text = _expression(expression)
    return f"({text})" if isinstance(expression, (Binary, Fits, IsNone)) and " " in text else text


def trace_base(node: int) -> int:
    """Return the trace id of a source's first message; those of the others follow it."""
    return make_trace_id(NodeIndex(node), PortIndex(0), SequenceNumber(0))


def _all(block: Block) -> Iterator[Statement]:
    return statements(block.body)


def _tests(block: Block) -> Iterator[Expression]:
    for statement in _all(block):
        if isinstance(statement, If):
            yield from _inner(statement.test)


def _inner(expression: Expression) -> Iterator[Expression]:
    yield expression
    match expression:
        case Binary(left=left, right=right):
            yield from _inner(left)
            yield from _inner(right)
        case Not(operand=operand):
            yield from _inner(operand)
        case _:
            pass


def _has(program: Program, kind: type) -> bool:
    return any(isinstance(s, kind) for block in program.blocks for s in _all(block))


def _has_consumer(program: Program) -> bool:
    return any(
        isinstance(s, Invoke) and s.form is CallForm.CONSUME
        for block in program.blocks
        for s in _all(block)
    )
