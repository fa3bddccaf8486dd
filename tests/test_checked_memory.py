"""Checked managers: each misuse is found, and its error names token, slot and node (CHECK-1…5)."""

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
from limen.types import DataType, MessageToken, SequenceNumber, TensorSpec, Ticks, TraceId

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


def test_use_after_free_names_token_slot_node_and_who_freed_it(make: Make) -> None:
    manager = make(2)
    token = manager.store(message())
    manager.ledger.begin("writer")
    manager.free(token)
    manager.ledger.begin("reader")
    for call in (manager.begin_read, manager.peek_header, manager.begin_write):
        code, text = refusal(lambda call=call: call(token))
        assert code is Code.NOT_ALLOCATED
        assert f"a freed slot: token {token} (slot 0 of camera.out), by node 'reader'" in text
        assert text.endswith("freed by node 'writer'")


def test_a_freed_token_stays_refused_when_its_slot_is_used_again(make: Make) -> None:
    manager = make(1)
    old = manager.store(message(1))
    manager.free(old)
    new = manager.store(message(2))
    assert new != old
    assert refusal(lambda: manager.begin_read(old))[0] is Code.NOT_ALLOCATED
    assert manager.peek_header(new).sequence == 2


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


def test_a_foreign_token_is_refused_even_where_its_slot_is_live(make: Make) -> None:
    ledger = BorrowLedger()
    mine, other = make(2, "camera.out", ledger), make(2, "radar.out", ledger)
    mine.store(message())
    token = other.store(message())
    ledger.begin("fuse")
    for call in (mine.begin_read, mine.free, mine.peek_header, mine.end_read):
        code, text = refusal(lambda call=call: call(token))
        assert code is Code.BAD_TOKEN
        assert "a foreign token at camera.out" in text
        assert text.endswith(f"token {token} (slot 0 of radar.out), by node 'fuse'")


@pytest.mark.parametrize("token", [-1, 0, 7, 1 << 32 | 5, 1 << 48 | 1 << 32])
def test_a_made_up_token_is_refused(make: Make, token: int) -> None:
    manager = make(2)
    manager.store(message())
    assert refusal(lambda: manager.begin_read(MessageToken(token)))[0] is Code.BAD_TOKEN


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


def test_bytes_written_behind_a_read_are_found_when_it_ends() -> None:
    manager = static(2)
    token = manager.store(message(4))
    manager.ledger.begin("vandal")
    with manager.read(token):
        manager._slots[0][1] = 9
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.BORROW_ACTIVE, "vandal")
    assert f"token {token} (slot 0 of camera.out), by node 'vandal'" in text
    with manager.read(token):
        pass
    assert manager.ledger.settle() == (), "once each"


def test_an_array_on_the_heap_that_is_written_is_found() -> None:
    manager = CheckedHeapMemoryManager(1, np.ndarray, "camera.out")
    token = manager.store(message(4))
    manager.ledger.begin("vandal")
    with manager.read(token) as found:
        assert isinstance(found.payload, np.ndarray)
        found.payload.flags.writeable = True
        found.payload[1] = 9
    assert found_at(manager.ledger)[:2] == (Code.BORROW_ACTIVE, "vandal")


def test_a_write_under_a_write_guard_is_no_misuse(make: Make) -> None:
    manager = make(1)
    token = manager.store(message(1))
    with manager.read_mut(token) as found:
        assert isinstance(found.payload, np.ndarray)
        found.payload[...] = 7
    del found
    with manager.read(token) as found:
        assert found.payload.tolist() == [7, 7, 7]
    del found
    manager.free(token)
    assert manager.ledger.settle() == ()


_KEEP: dict[str, Callable[[np.ndarray], object]] = {
    "itself": lambda view: view,
    "slice": lambda view: view[1:],
    "one element as a view": lambda view: view[1, ...],
    "reversed": lambda view: view[::-1],
    "transposed": lambda view: view.T,
    "reshaped": lambda view: view.reshape(1, 3)[0],
    "flattened": lambda view: view.ravel(),
    "as bytes": lambda view: view.view(np.uint8),
    "subclass": lambda view: view.view(np.ma.MaskedArray),
    "memoryview": memoryview,
    "array of a memoryview": lambda view: np.asarray(memoryview(view)),
    "strided": lambda view: np.lib.stride_tricks.as_strided(view, (2,)),
    "broadcast": lambda view: np.broadcast_to(view, (2, 3)),
    "iterator": iter,
    "in a cycle": lambda view: _cycle(view),
    "in objects": lambda view: {"boxes": [(1, view[:2])]},
}
_LET_GO: dict[str, Callable[[np.ndarray], object]] = {
    "a copy": lambda view: view.copy(),
    "a scalar": lambda view: view[1],
    "a result": lambda view: view + 1,
    "chosen elements": lambda view: view[[0, 2]],
    "a list": lambda view: view.tolist(),
    "bytes": lambda view: view.tobytes(),
}


def _cycle(view: np.ndarray) -> list[object]:
    kept: list[object] = [view]
    kept.append(kept)
    return kept


@pytest.mark.parametrize("how", _KEEP)
def test_a_view_kept_past_its_call_is_found_whatever_was_made_of_it(how: str) -> None:
    manager = static(2)
    token = manager.store(message(5))
    manager.ledger.begin("hoarder")
    with manager.read(token) as found:
        kept = _KEEP[how](found.payload)
    del found
    code, node, text = found_at(manager.ledger)
    assert (code, node) == (Code.VIEW_KEPT, "hoarder")
    assert text.startswith(
        f"a view of token {token} (slot 0 of camera.out) was kept past the call, by node 'hoarder'"
    )
    assert kept is not None


@pytest.mark.parametrize("how", _LET_GO)
def test_what_is_copied_is_nobodys_business(how: str) -> None:
    manager = static(2)
    token = manager.store(message(5))
    with manager.read(token) as found:
        kept = _LET_GO[how](found.payload)
    del found
    assert manager.ledger.settle() == ()
    assert kept is not None


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


def test_a_kept_batch_names_all_its_slots() -> None:
    manager = static(4)
    tokens = [manager.store(message(n)) for n in range(3)]
    manager.ledger.begin("windows")
    kept = manager.neighbours(tokens)
    assert kept is not None
    assert kept.tolist() == [[0] * 3, [1] * 3, [2] * 3]
    text = found_at(manager.ledger)[2]
    assert "(slot 0 of camera.out)" in text
    assert "(slot 2 of camera.out)" in text


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


def test_the_slot_to_write_is_the_same_one_within_a_call() -> None:
    manager = static(2)
    manager.ledger.begin("scale")
    slot = manager.next_slot()
    assert manager.next_slot() is slot
    slot[...] = 4
    token = manager.commit(header())
    assert manager.next_slot() is not slot
    del slot
    assert manager.ledger.settle() == ()
    with manager.read(token) as found:
        assert found.payload.tolist() == [4, 4, 4]


def test_a_slot_that_was_lent_and_not_used_is_poisoned_again() -> None:
    manager = static(1)
    manager.next_slot()[...] = 8
    assert manager.ledger.settle() == ()
    assert np.isnan(manager.next_slot()).all()
    with pytest.raises(ManagerError):
        manager.store(Message(header(), np.zeros(4, np.float32)))
    manager.store(message())
    assert refusal(manager.next_slot)[0] is Code.NO_FREE_SLOTS


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


def test_a_scalar_slot_is_tracked_as_well() -> None:
    manager = CheckedStaticMemoryManager(TensorSpec(DataType.F32, ()), 1)
    token = manager.store(Message(header(), np.float32(2)))
    with manager.read(token) as found:
        kept = found.payload
    del found
    assert kept == 2
    assert found_at(manager.ledger)[0] is Code.VIEW_KEPT


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
