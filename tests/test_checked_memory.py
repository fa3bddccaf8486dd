"""Checked managers beyond their contract: texts, poison, and slots that consumers share."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from limen.errors import Code, ManagerError
from limen.memory import (
    FREED,
    POISON_BYTE,
    BorrowLedger,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedSlots,
    CheckedStaticMemoryManager,
    StaticMemoryManager,
)
from limen.message import Message, MessageHeader
from limen.types import DataType, SequenceNumber, TensorSpec, Ticks, TraceId

_SPEC = TensorSpec(DataType.F32, (3,))
Make = Callable[..., CheckedManager]
_MAKES: dict[str, Make] = {
    "static": lambda depth, name="camera.out", ledger=None: CheckedStaticMemoryManager(
        _SPEC, depth, name, ledger
    ),
    "heap": lambda depth, name="camera.out", ledger=None: CheckedHeapMemoryManager(
        depth, np.ndarray, name, ledger
    ),
}


@pytest.fixture(params=_MAKES)
def make(request: pytest.FixtureRequest) -> Make:
    return _MAKES[request.param]


def static(depth: int, ledger: BorrowLedger | None = None) -> CheckedStaticMemoryManager:
    return CheckedStaticMemoryManager(_SPEC, depth, "camera.out", ledger)


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


def found_at(ledger: BorrowLedger) -> tuple[Code, str, str]:
    """Return the only misuse that a call came to: its code, who did it, and its text."""
    (misuse,) = ledger.settle()
    return misuse.error.code, misuse.node, str(misuse.error)


def refusal(call: Callable[[], object]) -> tuple[Code, str]:
    with pytest.raises(ManagerError) as caught:
        call()
    return caught.value.code, str(caught.value)


def test_a_double_free_is_found_out(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    manager.ledger.begin("sink")
    manager.free(token)
    code, text = refusal(lambda: manager.free(token))
    assert code is Code.NOT_ALLOCATED
    assert text == (
        f"a free of a freed slot: token {token} (slot 0 of camera.out), by node 'sink', "
        f"freed by node 'sink'"
    )
    assert manager.available == 1


def test_a_write_under_a_read_guard_names_both_nodes(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    manager.ledger.begin("reader")
    with manager.read(token):
        manager.ledger.begin("writer")
        code, text = refusal(lambda: manager.read_mut(token).__enter__())
        assert code is Code.BORROW_ACTIVE
        assert text == (
            f"a write under a read guard to token {token} (slot 0 of camera.out), "
            f"by node 'writer', read by node 'reader'"
        )
        code, text = refusal(lambda: manager.free(token))
        assert code is Code.BORROW_ACTIVE
        assert "a free under a read guard" in text
    with manager.read_mut(token):
        code, text = refusal(lambda: manager.begin_read(token))
        assert code is Code.ALREADY_BORROWED
        assert text.endswith("written by node 'writer'")


def _cycle(view: np.ndarray) -> list[object]:
    kept: list[object] = [view]
    kept.append(kept)
    return kept


def test_a_view_that_only_a_dead_cycle_holds_is_not_kept() -> None:
    manager = static(1)
    token = manager.store(message())
    gc.disable()
    try:
        with manager.read(token) as found:
            _cycle(found.payload)
        del found
        assert manager.ledger.settle() == ()
    finally:
        gc.enable()


def test_models_may_stay_bound_to_slots() -> None:
    manager = static(2)
    token = manager.store(message())
    manager.ledger.begin("classify", tracks=False)
    kept = [manager.neighbours([token]), manager.reserve(1)]
    assert manager.ledger.settle() == ()
    assert all(array is not None for array in kept)


def test_a_kept_slot_is_found_and_what_is_written_there_later_is_its_keepers_doing() -> None:
    manager = static(3)
    manager.ledger.begin("scale")
    kept = manager.next_slot()
    kept[...] = 1
    token = manager.commit(header())
    assert found_at(manager.ledger)[:2] == (Code.VIEW_KEPT, "scale")
    kept[0] = 2
    manager.ledger.begin("sink")
    with manager.read(token):
        pass
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.BORROW_ACTIVE, "scale")
    assert text.startswith("a message was written while others may read it: token")
    manager.free(token)
    kept[0] = 3
    for _ in range(3):
        manager.store(message())
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.MANAGER_POISONED, "scale")
    assert "a freed slot was written" in text
    assert "(slot 0 of camera.out)" in text


def test_nobody_is_blamed_for_bytes_that_nobody_is_known_to_have() -> None:
    manager = static(1)
    manager.free(manager.store(message()))
    manager._slots[0][...] = 3
    manager.ledger.begin("camera")
    manager.store(message())
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.MANAGER_POISONED, "")
    assert "by nobody that is known" in text


@pytest.mark.parametrize("dtype", [d for d in DataType if d is not DataType.BF16])
def test_freed_slots_can_be_told_by_their_bytes(dtype: DataType) -> None:
    manager = CheckedStaticMemoryManager(TensorSpec(dtype, (2, 2)), 1)
    slot = manager._slots[0]
    for _ in range(2):
        if dtype.is_float:
            assert np.isnan(slot).all()
        else:
            assert set(slot.tobytes()) == {POISON_BYTE}
        manager.free(manager.store(Message(header(), np.zeros((2, 2), dtype.numpy_dtype()))))


def test_bf16_is_poisoned_with_nan() -> None:
    pytest.importorskip("ml_dtypes")
    manager = CheckedStaticMemoryManager(TensorSpec(DataType.BF16, (2,)), 1)
    assert np.isnan(manager._slots[0].astype(np.float32)).all()


def test_a_freed_place_on_the_heap_holds_a_mark() -> None:
    manager = CheckedHeapMemoryManager(1)
    manager.free(manager.store(Message(header(), "text")))
    assert manager._payloads == [FREED]
    assert repr(FREED) == "<freed>"


def test_a_token_handed_back_twice_is_noted_for_its_consumer_and_others_go_on() -> None:
    manager = static(2)
    slots = CheckedSlots(manager, 2)
    slots.names += ["draw", "store"]
    first, second = manager.store(message(1)), manager.store(message(2))
    slots.lend(first, 1)
    slots.lend(second, 1)
    slots.returns[0].give_back(first)
    slots.returns[1].give_back(first)
    slots.returns[1].give_back(second)
    manager.ledger.begin("camera")
    slots.reclaim()
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.NOT_ALLOCATED, "")
    assert text == f"token {first} (slot 0 of camera.out), by node 'store' is shared by no edge"
    assert manager.available == 2


def test_more_tokens_than_slots_on_a_return_ring_are_refused_by_name() -> None:
    manager = static(1)
    slots = CheckedSlots(manager, 1)
    token = manager.store(message())
    slots.lend(token, 1)
    slots.returns[0].give_back(token)
    manager.ledger.begin("sink")
    text = refusal(lambda: slots.returns[0].give_back(token))[1]
    assert text == f"token {token} (slot 0 of camera.out), by node 'sink' was handed back twice"


def test_an_unchecked_manager_is_not_touched_by_any_of_this() -> None:
    manager = StaticMemoryManager(_SPEC, 1)
    token = manager.store(message(3))
    with manager.read(token) as found:
        kept = found.payload
    manager.free(token)
    assert kept is manager._views[0], "views are made once"
    assert kept.tolist() == [3, 3, 3], "freed slots are not filled"
