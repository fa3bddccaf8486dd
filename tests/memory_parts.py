"""Memory managers of every kind, and what tests of their texts and values ask of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, LimenError
from limen.memory import (
    BorrowLedger,
    BoundedMemoryManager,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    StaticMemoryManager,
)
from limen.message import Message, MessageHeader
from limen.types import (
    DataType,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    UpTo,
)

SPEC = TensorSpec(DataType.F32, (3,))
ROWS = TensorSpec(DataType.F32, (UpTo(3),))
HEAP: Any = HeapMemoryManager
STATIC: Any = StaticMemoryManager
BOUNDED: Any = BoundedMemoryManager


def header(number: int = 0) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=12,
    )


def message(number: int = 0) -> Message:
    return Message(header(number), np.full(3, number, np.float32))


PLAIN: dict[str, Callable[[int], MemoryManager]] = {
    "static": lambda depth: StaticMemoryManager(SPEC, depth),
    "bounded": lambda depth: BoundedMemoryManager(ROWS, depth),
    "heap": HeapMemoryManager,
}
CHECKED: dict[str, Callable[[int, BorrowLedger | None], CheckedManager]] = {
    "static": lambda depth, ledger: CheckedStaticMemoryManager(SPEC, depth, "cam.out", ledger),
    "bounded": lambda depth, ledger: CheckedBoundedMemoryManager(ROWS, depth, "cam.out", ledger),
    "heap": lambda depth, ledger: CheckedHeapMemoryManager(depth, np.ndarray, "cam.out", ledger),
}

every_plain = pytest.mark.parametrize("kind", PLAIN)
every_checked = pytest.mark.parametrize("kind", CHECKED)


def refused(call: Callable[[], object], code: Code, text: str) -> None:
    with pytest.raises(LimenError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, text)


def place(token: int, slot: int = 0) -> str:
    return f"token {token} (slot {slot} of cam.out)"


def scribble(manager: CheckedManager, slot: int, value: int) -> None:
    """Write to a slot behind the manager's back."""
    if isinstance(manager, CheckedHeapMemoryManager):
        payload = manager._payloads[slot]
        assert isinstance(payload, np.ndarray)
        payload.flags.writeable = True
        payload[0] = value
        payload.flags.writeable = False
    else:
        assert isinstance(manager, (CheckedStaticMemoryManager, CheckedBoundedMemoryManager))
        manager._slots[slot][0] = value


def checked(depth: int) -> CheckedStaticMemoryManager:
    manager = CheckedStaticMemoryManager(SPEC, depth, "cam.out")
    manager.ledger.begin("n")
    return manager


WRITTEN = "a message was written while others may read it: {}, by {}; {}"
OUT = "write to out slots only, and during the call"
KEPT = "a view of {} was kept past the call, by node 'n'; copy what is to be kept"


def kept_by(ledger: BorrowLedger) -> list[tuple[Code, str, str, MessageHeader | None]]:
    return [
        (misuse.error.code, misuse.node, str(misuse.error), misuse.header)
        for misuse in ledger.settle()
    ]
