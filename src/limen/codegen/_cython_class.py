"""What of a text for Cython lies around the turns: fields, and how state comes and goes."""

from __future__ import annotations

from collections.abc import Iterator

from limen.codegen._asked import (
    UNSTATED,
    all_expressions,
    calls_of,
    emits_arrays,
    has,
    makes_messages,
    windows_of_arrays,
)
from limen.codegen._expressions import (
    Aged,
    Column,
    Described,
    Fits,
    IsA,
    NextDue,
    Pauses,
    WindowHeader,
)
from limen.codegen._program import Program, Queue
from limen.codegen._statements import Head, Lose, Miss
from limen.codegen._text import Text
from limen.codegen._turns import lasting_variables
from limen.node import CallForm
from limen.telemetry import HISTOGRAM_BUCKETS


def objects_of(program: Program) -> Iterator[tuple[str, str]]:
    """Yield the objects that the text calls or compares with: name, and where it is from."""
    if program.clock != "monotonic":
        yield "sample", "bound.sample"
    if program.logs:
        yield "note", "bound.note"
    if has(program, Miss):
        yield "missed", "bound.missed"
    if has(program, Lose):
        yield "lost", "bound.lost"
    if has(program, Head):
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
    if makes_messages(program):
        yield "message", "bound.message"
    found = all_expressions(program)
    if any(isinstance(e, Described) for e in found):
        yield "described", "bound.described"
    if any(memory.copies for memory in program.memories):
        yield "array", "bound.array"
    for answer in sorted({e.answer.value for e in found if isinstance(e, IsA)}):
        yield answer, f"bound.{answer}"
    if any(isinstance(e, Aged) for e in found):
        yield "aged", "bound.aged"
    for block in program.blocks:
        for call in calls_of(block):
            yield f"call_{call.node}", f"bound.calls[{call.node}]"
            if call.form is CallForm.MESSAGE:
                yield f"context_{call.node}", f"bound.contexts[{call.node}]"
    for node in sorted({e.node for e in found if isinstance(e, Pauses)}):
        yield f"pauses_{node}", f"bound.pauses[{node}]"
    for node in sorted({e.node for e in found if isinstance(e, Fits)}):
        if emits_arrays(program, node):
            yield f"dtype_{node}", f"bound.tensors[{node}][0]"
            yield f"shape_{node}", f"bound.tensors[{node}][1]"
        else:
            yield f"kind_{node}", f"bound.kinds[{node}]"
    calls = [call for block in program.blocks for call in calls_of(block)]
    if any(isinstance(e, WindowHeader) for e in found):
        yield "window_header", "bound.window_header"
    for node in windows_of_arrays(program):
        yield f"window_{node}", f"bound.windows[{node}]"
    for node in sorted({e.node for e in found if isinstance(e, NextDue)}):
        yield f"due_{node}", f"bound.dues[{node}]"
    if any(call.form is CallForm.FILL for call in calls):
        yield "out_name", "('out',)"


def print_fields(program: Program, text: Text) -> None:
    text.add("cdef public list attention")
    for var in lasting_variables(program):
        text.add(f"cdef long long {var.name}")
    for name, _ in objects_of(program):
        text.add(f"cdef object {name}")
    text.add(
        *("cdef long long epoch", "cdef object header, payload, failure"),
        *("cdef long long pushed", "cdef long long slot", "cdef readonly long long asked"),
    )
    for memory in program.memories:
        name = memory.name
        text.add(f"cdef list {name}_views" + (f", {name}_rooms" if memory.copies else ""))
        text.add(f"cdef long long {name}_free[{memory.depth}], {name}_head, {name}_count")
        if memory.is_shared:
            text.add(f"cdef long long {name}_shares[{memory.depth}]")
    for queue in program.queues:
        text.add(f"cdef long long {queue.name}_head")
        for column in queue.columns:
            text.add(f"cdef {_column_type(column)}{queue.name}_{column.value}[{queue.capacity}]")
    if has(program, Head):
        text.add("cdef Py_ssize_t made_at[6], head_at[11]")
        text.add(f"cdef PyObject *spare[{SPARE_HEADERS}]", "cdef long long spares")
    if makes_messages(program):
        text.add("cdef Py_ssize_t message_at[2]")
    if program.histograms:
        text.add(f"cdef long long rows[{len(program.histograms)}][{HISTOGRAM_BUCKETS + 3}]")


SPARE_HEADERS = 64
"""Headers that are kept to be used again, once nobody else holds them."""

_MADE = ("payload", "creation_tick", *UNSTATED, "qos", "degrade_allowed")
_HEAD = (
    *("trace_id", "sequence", "creation_tick", "origin_tick", "payload_size_bytes"),
    *("deadline_ns", "max_age_ns", "qos", "flags", "memory_class", "clock_domain"),
)


def _places(program: Program) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield where members of structs are told to lie: the array, the struct, the members."""
    if has(program, Head):
        yield "made_at", "produced", _MADE
        yield "head_at", "new_header", _HEAD
    if makes_messages(program):
        yield "message_at", "message", ("header", "payload")


def _column_type(column: Column) -> str:
    return "PyObject *" if column in (Column.HEADER, Column.PAYLOAD) else "long long "


def print_methods(program: Program, text: Text) -> None:
    text.add("", "def __init__(self, bound):")
    with text.deeper():
        text.add("self.attention = bound.attention", "self.epoch = bound.epoch")
        for name, where in objects_of(program):
            text.add(f"self.{name} = {where}")
        for memory in program.memories:
            slots = f"bound.slots[{memory.name!r}]"
            text.add(f"self.{memory.name}_views = {slots}.views")
            if memory.copies:
                text.add(f"self.{memory.name}_rooms = {slots}.rooms")
        for row in range(len(program.histograms)):
            text.add(f"clear(self.rows[{row}])")
        for name, kind, members in _places(program):
            for i, member in enumerate(members):
                text.add(f"self.{name}[{i}] = place_in(bound.{kind}, b{member!r})")
    text.add("", "def __dealloc__(self):")
    with text.deeper():
        if has(program, Head):
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
        text.add("found = (self.header, self.payload, self.slot, self.pushed, self.failure)")
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
    _lending(program, text)
    text.add("", "def histogram(self, long long row):")
    with text.deeper():
        if program.histograms:
            text.add("cdef long long i")
            text.add(f"found = [self.rows[row][i] for i in range({HISTOGRAM_BUCKETS + 3})]")
            text.add("clear(self.rows[row])", "return found")
        else:
            text.add("return []")


def _lending(program: Program, text: Text) -> None:
    """Print how free slots come and go."""
    text.add("", "def lend(self, str memory, list free, shares):")
    with text.deeper():
        text.add("cdef long long i")
        for memory in program.memories:
            name = memory.name
            text.add(f"if memory == {name!r}:")
            with text.deeper():
                text.add("for i in range(len(free)):", f"    self.{name}_free[i] = free[i]")
                text.add(f"self.{name}_head, self.{name}_count = 0, len(free)")
                if memory.is_shared:
                    text.add(f"for i in range({memory.depth}):")
                    text.add(f"    self.{name}_shares[i] = shares[i]")
    text.add("", "def give_back(self, str memory, shares):")
    with text.deeper():
        text.add("cdef long long i", "free = []")
        for memory in program.memories:
            name = memory.name
            text.add(f"if memory == {name!r}:")
            with text.deeper():
                text.add(f"for i in range(self.{name}_count):")
                place = f"(self.{name}_head + i) % {memory.depth}"
                text.add(f"    free.append(self.{name}_free[{place}])")
                text.add(f"self.{name}_head = self.{name}_count = 0")
                if memory.is_shared:
                    text.add(f"for i in range({memory.depth}):")
                    text.add(f"    shares[i] = self.{name}_shares[i]")
        text.add("return free")


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
