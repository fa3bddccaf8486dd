"""What a generated text reads its names from, and how messages lie in its queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from limen.codegen._program import Column
from limen.codegen._turns import Entry, World
from limen.message import Message, MessageFlags, MessageHeader
from limen.node import Produced
from limen.types import MemoryClass, QoSClass, Ticks


class Bound:
    """The names that a text of any target may read; see ``World`` for those of a run."""

    def __init__(self, world: World) -> None:
        self.attention = world.attention
        self.epoch = world.epoch
        self.sample = world.sample
        self.note = world.note
        self.lost = world.lost
        self.resized = world.resized
        self.domain = world.domain
        self.calls = world.calls
        self.kinds = world.kinds
        self.message = Message
        self.new_header = MessageHeader
        self.produced = Produced
        self.usual_qos = QoSClass.BEST_EFFORT
        # What a source's header says beside identity, times and size.
        self.usual_head = (
            *(None, None, QoSClass.BEST_EFFORT),
            *(MessageFlags.NONE, MemoryClass.HOST, world.domain),
        )


def entry_values(columns: Sequence[Column], waiting: Iterable[Entry]) -> list[tuple[object, ...]]:
    """Return messages as a queue of these columns holds them."""
    return [tuple(_value(column, entry) for column in columns) for entry in waiting]


def waiting_of(
    columns: Sequence[Column], entries: Iterable[tuple[object, ...]], now: Ticks
) -> list[Entry]:
    """Return what a queue held as messages; ``now`` stands for instants that it did not keep."""
    kept = columns.index(Column.PUSHED) if Column.PUSHED in columns else None
    waiting: list[Entry] = []
    for entry in entries:
        header, pushed = entry[0], now if kept is None else entry[kept]
        if isinstance(header, MessageHeader) and isinstance(pushed, int):
            waiting.append((header, entry[1], Ticks(pushed)))
    return waiting


def _value(column: Column, entry: Entry) -> object:
    header, payload, pushed = entry
    match column:
        case Column.HEADER:
            return header
        case Column.PAYLOAD:
            return payload
        case Column.PUSHED:
            return pushed
        case Column.CREATION:
            return header.creation_tick
        case unreachable:
            assert_never(unreachable)
