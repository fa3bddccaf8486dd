"""What memory managers say word for word, and what they count, keep and let go of."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, LimenError, ManagerError, PayloadMismatchError
from limen.memory import (
    FREED,
    HOST_ONLY,
    POISON_BYTE,
    PROVIDED,
    BorrowLedger,
    BoundedMemoryManager,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedSlots,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    LentBuffer,
    MemoryManager,
    Misuse,
    Placement,
    PlacementAcceptance,
    ReturnRing,
    SharedSlots,
    StaticMemoryManager,
    decide_placement,
)
from limen.message import Message, MessageHeader
from limen.types import (
    INVALID_TOKEN,
    DataType,
    MemoryClass,
    MessageToken,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    UpTo,
)

_SPEC = TensorSpec(DataType.F32, (3,))
_ROWS = TensorSpec(DataType.F32, (UpTo(3),))
_HEAP: Any = HeapMemoryManager
_STATIC: Any = StaticMemoryManager
_BOUNDED: Any = BoundedMemoryManager


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


_PLAIN: dict[str, Callable[[int], MemoryManager]] = {
    "static": lambda depth: StaticMemoryManager(_SPEC, depth),
    "bounded": lambda depth: BoundedMemoryManager(_ROWS, depth),
    "heap": HeapMemoryManager,
}
_CHECKED: dict[str, Callable[[int, BorrowLedger | None], CheckedManager]] = {
    "static": lambda depth, ledger: CheckedStaticMemoryManager(_SPEC, depth, "cam.out", ledger),
    "bounded": lambda depth, ledger: CheckedBoundedMemoryManager(_ROWS, depth, "cam.out", ledger),
    "heap": lambda depth, ledger: CheckedHeapMemoryManager(depth, np.ndarray, "cam.out", ledger),
}

every_plain = pytest.mark.parametrize("kind", _PLAIN)
every_checked = pytest.mark.parametrize("kind", _CHECKED)


def refused(call: Callable[[], object], code: Code, text: str) -> None:
    with pytest.raises(LimenError) as caught:
        call()
    assert (caught.value.code, str(caught.value)) == (code, text)


# ------------------------------------------------------------------ plain managers


@every_plain
@pytest.mark.parametrize("depth", [0, -1])
def test_a_manager_without_slots_is_refused(kind: str, depth: int) -> None:
    refused(
        lambda: _PLAIN[kind](depth),
        Code.CONFIGURATION,
        f"memory manager of depth {depth}; give it at least one slot",
    )


_REFUSALS: dict[str, tuple[Callable[[MemoryManager, MessageToken], object], Code, str]] = {
    "a token below": (
        lambda manager, _: manager.peek_header(MessageToken(-1)),
        Code.BAD_TOKEN,
        "token -1 is not of this manager (2 slots)",
    ),
    "a token above": (
        lambda manager, _: manager.peek_header(MessageToken(2)),
        Code.BAD_TOKEN,
        "token 2 is not of this manager (2 slots)",
    ),
    "a free slot": (
        lambda manager, _: manager.begin_read(MessageToken(1)),
        Code.NOT_ALLOCATED,
        "token 1 is not allocated",
    ),
    "an end of no read": (
        lambda manager, token: manager.end_read(token),
        Code.NOT_ALLOCATED,
        "token 0 has no read to end",
    ),
    "an end of a read below": (
        lambda manager, _: manager.end_read(MessageToken(-1)),
        Code.BAD_TOKEN,
        "token -1 is not of this manager (2 slots)",
    ),
    "an end of a read above": (
        lambda manager, _: manager.end_read(MessageToken(2)),
        Code.BAD_TOKEN,
        "token 2 is not of this manager (2 slots)",
    ),
    "an end of a read of a free slot": (
        lambda manager, _: manager.end_read(MessageToken(1)),
        Code.NOT_ALLOCATED,
        "token 1 is not allocated",
    ),
    "an end of a write of a free slot": (
        lambda manager, _: manager.end_write(MessageToken(1)),
        Code.NOT_ALLOCATED,
        "token 1 is not allocated",
    ),
    "an end of no write": (
        lambda manager, token: manager.end_write(token),
        Code.NOT_ALLOCATED,
        "token 0 has no write to end",
    ),
    "an end of a write below": (
        lambda manager, _: manager.end_write(MessageToken(-1)),
        Code.BAD_TOKEN,
        "token -1 is not of this manager (2 slots)",
    ),
    "an end of a write above": (
        lambda manager, _: manager.end_write(MessageToken(2)),
        Code.BAD_TOKEN,
        "token 2 is not of this manager (2 slots)",
    ),
    "a read of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_read(token)),
        Code.ALREADY_BORROWED,
        "token 0 is being written",
    ),
    "a write of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_write(token)),
        Code.ALREADY_BORROWED,
        "token 0 is being written",
    ),
    "a free of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.free(token)),
        Code.ALREADY_BORROWED,
        "token 0 is being written",
    ),
    "a write of what is read": (
        lambda manager, token: (manager.begin_read(token), manager.begin_write(token)),
        Code.BORROW_ACTIVE,
        "token 0 is written while a read of it is open",
    ),
    "a free of what is read": (
        lambda manager, token: (manager.begin_read(token), manager.free(token)),
        Code.BORROW_ACTIVE,
        "token 0 is freed while a read of it is open",
    ),
    "one too many": (
        lambda manager, _: (manager.store(message()), manager.store(message())),
        Code.NO_FREE_SLOTS,
        "all 2 slots are in use",
    ),
}


@every_plain
@pytest.mark.parametrize("case", _REFUSALS)
def test_a_refusal_says_word_for_word_what_was_wrong(kind: str, case: str) -> None:
    manager = _PLAIN[kind](2)
    call, code, text = _REFUSALS[case]
    token = manager.store(message())
    refused(lambda: call(manager, token), code, text)


def test_the_last_slot_can_be_read_and_written_like_the_first() -> None:
    for make in _PLAIN.values():
        manager = make(2)
        tokens = [manager.store(message(n)) for n in range(2)]
        for token in tokens:
            manager.begin_read(token)
            manager.begin_read(token)
            manager.end_read(token)
            manager.end_read(token)
            manager.begin_write(token)
            manager.end_write(token)
            manager.free(token)
        assert manager.available == 2


def test_memory_lies_in_the_host_and_tokens_are_described_by_number() -> None:
    for make in _PLAIN.values():
        manager = make(1)
        assert manager.memory_class is MemoryClass.HOST
        assert manager.describe(MessageToken(5)) == "token 5"
        assert manager.share_counts() == [0]


@every_plain
def test_slots_are_used_in_a_circle_also_after_a_refusal(kind: str) -> None:
    manager = _PLAIN[kind](3)
    first = [manager.store(message(n)) for n in range(2)]
    assert first == [0, 1]
    if kind != "heap":
        with pytest.raises(PayloadMismatchError):
            manager.store(Message(header(), np.zeros(4, np.float32)))
    assert manager.store(message()) == 2
    for token in (1, 0, 2):
        manager.free(MessageToken(token))
    if kind != "heap":
        with pytest.raises(PayloadMismatchError):
            manager.store(Message(header(), np.zeros(4, np.float32)))
    assert [manager.store(message()) for _ in range(3)] == [1, 0, 2]


@every_plain
def test_statistics_say_what_was_done_so_far(kind: str) -> None:
    manager = _PLAIN[kind](3)
    found = manager.statistics()
    size = 0 if kind == "heap" else 36
    assert (found.capacity, found.available, found.stored) == (3, 3, 0)
    assert (found.peak_used, found.copies, found.payload_bytes) == (0, 0, size)
    tokens = [manager.store(message(n)) for n in range(2)]
    manager.free(tokens[0])
    manager.store(message(2))
    found = manager.statistics()
    assert (found.capacity, found.available, found.stored) == (3, 1, 3)
    assert (found.peak_used, found.copies, found.payload_bytes) == (2, 3, size)


def test_what_is_held_by_reference_is_no_copy_and_is_let_go_when_freed() -> None:
    class Thing:
        """Something that can be referred to weakly."""

    for manager in (HeapMemoryManager(1), CheckedHeapMemoryManager(1)):
        thing = Thing()
        seen = weakref.ref(thing)
        token = manager.store(Message(header(), thing))
        assert manager.statistics().copies == 0
        del thing
        gc.collect()
        assert seen() is not None
        manager.free(token)
        gc.collect()
        assert seen() is None


def test_a_header_is_let_go_when_its_slot_is_freed() -> None:
    mine = header()
    before = sys.getrefcount(mine)
    manager = HeapMemoryManager(1)
    token = manager.store(Message(mine, "text"))
    manager.free(token)
    assert sys.getrefcount(mine) == before


_ONE_CLASS = "payload is a {}; emit what the port declares"
_MISFITS: dict[str, tuple[Callable[[], MemoryManager], object, str]] = {
    "heap": (lambda: _HEAP(1, int), "text", _ONE_CLASS.format("str")),
    "heap of arrays": (lambda: _HEAP(1, np.ndarray), None, _ONE_CLASS.format("NoneType")),
    "static shape": (
        lambda: _STATIC(_SPEC, 1),
        np.zeros((3, 1), np.float32),
        "payload float32[3, 1] does not fit f32[3]; emit what the port declares",
    ),
    "static type": (
        lambda: _STATIC(_SPEC, 1),
        np.zeros(3),
        "payload float64[3] does not fit f32[3]; emit what the port declares",
    ),
    "bounded length": (
        lambda: _BOUNDED(_ROWS, 1),
        np.zeros(4, np.float32),
        "payload float32[4] does not fit f32[<=3]; emit what the port declares",
    ),
    "bounded type": (
        lambda: _BOUNDED(_ROWS, 1),
        np.zeros(3),
        "payload float64[3] does not fit f32[<=3]; emit what the port declares",
    ),
}


@pytest.mark.parametrize("case", _MISFITS)
def test_a_payload_that_does_not_fit_is_refused_word_for_word(case: str) -> None:
    make, payload, text = _MISFITS[case]
    manager = make()
    with pytest.raises(PayloadMismatchError) as caught:
        manager.store(Message(header(), payload))
    assert (caught.value.code, str(caught.value)) == (Code.PAYLOAD_MISMATCH, text)
    assert (manager.available, manager.statistics().copies) == (1, 0)


def test_what_numpy_can_make_no_array_of_is_refused_word_for_word() -> None:
    for manager in (StaticMemoryManager(_SPEC, 1), BoundedMemoryManager(_ROWS, 1)):
        with pytest.raises(PayloadMismatchError) as caught:
            manager.store(Message(header(), [[1.0], [2.0, 3.0]]))
        assert caught.value.message.startswith("payload of type list is not an array: setting an ")
        assert caught.value.remedy == "emit what the port declares"
        assert isinstance(caught.value.__cause__, ValueError)


def test_specs_that_a_manager_cannot_serve_are_refused_word_for_word() -> None:
    spec = TensorSpec(DataType.F32, ("n", 3))
    refused(
        lambda: StaticMemoryManager(spec, 1),
        Code.CONFIGURATION,
        "static memory for f32[n,3]; every axis needs a length",
    )
    refused(
        lambda: BoundedMemoryManager(spec, 1),
        Code.CONFIGURATION,
        "bounded memory for f32[n,3]; every axis needs a length or a bound",
    )


@pytest.mark.parametrize("kind", [bool, int, float, complex])
def test_a_heap_of_numbers_takes_what_an_annotation_admits(kind: type) -> None:
    admitted: dict[type, tuple[object, ...]] = {
        bool: (True, np.True_),
        int: (1, True, np.int8(1), np.uint64(1)),
        float: (1.5, 1, np.float32(1), np.int8(1)),
        complex: (1j, 1.5, 1, np.complex64(1), np.float32(1)),
    }
    refused: dict[type, tuple[object, ...]] = {
        bool: (1, np.int8(1)),
        int: (1.0, np.float32(1), np.True_),
        float: (1j, "1", np.complex64(1)),
        complex: ("1", None),
    }
    for payload in admitted[kind]:
        HeapMemoryManager(1, kind).store(Message(header(), payload))
    for payload in refused[kind]:
        with pytest.raises(PayloadMismatchError):
            HeapMemoryManager(1, kind).store(Message(header(), payload))


def test_an_array_on_the_heap_can_be_written_under_a_guard_and_not_after_it() -> None:
    manager = HeapMemoryManager(2)
    array, other = (manager.store(Message(header(), x)) for x in (np.zeros(3), "text"))
    with manager.read_mut(array) as found:
        assert isinstance(found.payload, np.ndarray)
        found.payload[1] = 5
    with manager.read_mut(other) as found:
        assert found.payload == "text"
    with manager.read(array) as found:
        assert isinstance(found.payload, np.ndarray)
        assert found.payload.tolist() == [0, 5, 0]
        assert not found.payload.flags.writeable


@pytest.mark.parametrize("size", [0, 2, 3])
def test_a_bounded_payload_takes_the_bytes_that_it_has(size: int) -> None:
    manager = BoundedMemoryManager(_ROWS, 2)
    assert manager.size_of(np.zeros(size, np.float32)) == 4 * size
    assert manager.size_of(np.zeros(size, np.uint8)) == 4 * size, "as large as it will lie there"
    assert manager.payload_bytes == 24
    with pytest.raises(PayloadMismatchError):
        manager.size_of([[1.0], [2.0, 3.0]])


def test_bounded_slots_hold_zeros_and_no_shape_at_first() -> None:
    manager = BoundedMemoryManager(_ROWS, 2)
    assert manager._slots.tolist() == [[0.0] * 3] * 2
    assert manager._slots.dtype == np.float32
    token = manager.store(Message(header(), np.array([7], np.int8)))
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [7.0]
        assert np.asarray(found.payload).dtype == np.float32
    assert manager.statistics().copies == 1


def test_static_memory_is_made_of_zeros_and_knows_its_slots() -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    assert manager.slot_bytes == 12
    assert manager._array.tolist() == [[0.0] * 3] * 2
    assert manager._array.ctypes.data % 64 == 0
    assert manager.next_slot() is manager._slots[0]
    manager.store(message())
    assert manager.next_slot() is manager._slots[1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_reservation_is_as_long_as_asked_and_starts_at_the_next_slot(count: int) -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    manager.store(message(9))
    room = manager.reserve(count)
    assert room is not None
    assert room.shape == (count, 3)
    assert np.shares_memory(room[0], manager._slots[1])
    room[...] = 4
    token = manager.commit(header(4))
    assert token == 1
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [4.0] * 3
    assert manager.reserve(4) is None


def test_neighbours_across_the_wrap_are_none_even_if_all_are_live() -> None:
    manager = StaticMemoryManager(_SPEC, 3)
    tokens = [manager.store(message(n)) for n in range(3)]
    assert manager.neighbours([tokens[2], tokens[0]]) is None
    one = manager.neighbours([tokens[2]])
    assert one is not None
    assert one.tolist() == [[2.0] * 3]


# ------------------------------------------------------------------ shared slots


def test_a_return_ring_says_word_for_word_that_it_is_full() -> None:
    ring = ReturnRing(1)
    ring.give_back(MessageToken(3))
    refused(
        lambda: ring.give_back(MessageToken(4)),
        Code.NOT_ALLOCATED,
        "token 4 was handed back twice",
    )
    named = ReturnRing(1, lambda token: f"<{token}>")
    named.give_back(MessageToken(3))
    refused(
        lambda: named.give_back(MessageToken(4)), Code.NOT_ALLOCATED, "<4> was handed back twice"
    )
    assert ReturnRing(2)._tokens == [INVALID_TOKEN] * 2


def test_a_share_that_is_not_there_is_named_word_for_word() -> None:
    manager = HeapMemoryManager(2)
    slots = SharedSlots(manager, 1)
    token = manager.store(message())
    refused(lambda: slots.drop(token), Code.NOT_ALLOCATED, "token 0 is shared by no edge")
    slots.lend(token, 1)
    slots.drop(token)
    refused(lambda: slots.drop(token), Code.NOT_ALLOCATED, "token 0 is shared by no edge")
    assert slots.manager is manager
    assert len(slots.returns[0]._tokens) == 2
    slots.returns[0].give_back(token)
    slots.returns[0].give_back(token)
    refused(
        lambda: slots.returns[0].give_back(token),
        Code.NOT_ALLOCATED,
        "token 0 was handed back twice",
    )


def test_several_tokens_that_came_back_are_taken_in_at_once() -> None:
    manager = HeapMemoryManager(3)
    slots = SharedSlots(manager, 2)
    tokens = [manager.store(message(n)) for n in range(3)]
    for token in tokens:
        slots.lend(token, 2)
        for ring in slots.returns:
            ring.give_back(token)
    slots.reclaim()
    assert (manager.available, len(slots.returns[0]), len(slots.returns[1])) == (3, 0, 0)


# ------------------------------------------------------------------ placement


def test_acceptances_are_named_and_combined_as_bits() -> None:
    none = PlacementAcceptance()
    assert (none.bits, none.is_empty, none.classes, str(none)) == (0, True, (), "nothing")
    assert PlacementAcceptance.empty() == none
    assert PlacementAcceptance.exactly(MemoryClass.SHARED).bits == 4
    built = none.with_host().with_pinned_host().with_shared().with_device(0).with_device(15)
    assert built.bits == 0b111 | 1 << 16 | 1 << 31
    assert not built.is_empty
    assert [built.accepts(memory) for memory in built.classes] == [True] * 5
    assert len(built.classes) == 5
    assert not built.accepts(MemoryClass.device(1))
    assert str(built) == ", ".join(memory.label for memory in built.classes)
    one, two = PlacementAcceptance(0b011), PlacementAcceptance(0b110)
    assert (one.union(two).bits, one.intersect(two).bits) == (0b111, 0b010)
    assert one.union(two).contains(two)
    assert not one.contains(two)
    assert one.contains(none)
    assert HOST_ONLY == PROVIDED == PlacementAcceptance(1)


def test_bits_that_name_nothing_are_refused_word_for_word() -> None:
    refused(
        lambda: PlacementAcceptance(8),
        Code.CONFIGURATION,
        "bits 0x8 name memory that does not exist; use bits 0 to 2, and 16 to 31 for devices",
    )
    refused(
        lambda: PlacementAcceptance(-1),
        Code.CONFIGURATION,
        "bits is -1; give a whole number of at least 0",
    )
    wrong: Any = "1"
    refused(
        lambda: PlacementAcceptance(wrong),
        Code.CONFIGURATION,
        "bits is '1'; give a whole number of at least 0",
    )


def test_a_payload_is_used_where_it_lies_or_must_be_adapted() -> None:
    assert decide_placement(HOST_ONLY, MemoryClass.HOST) is Placement.ZERO_COPY
    assert decide_placement(HOST_ONLY, MemoryClass.SHARED) is Placement.ADAPT_REQUIRED
    assert [placement.value for placement in Placement] == ["zero_copy", "adapt_required"]


# ------------------------------------------------------------------ checked managers


def place(token: int, slot: int = 0) -> str:
    return f"token {token} (slot {slot} of cam.out)"


_CHECKED_REFUSALS: dict[
    str, tuple[Callable[[CheckedManager, MessageToken], object], Code, str, str]
] = {
    "a read of a freed slot": (
        lambda manager, token: (manager.free(token), manager.begin_read(token)),
        Code.NOT_ALLOCATED,
        "a read of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a look at a freed slot": (
        lambda manager, token: (manager.free(token), manager.peek_header(token)),
        Code.NOT_ALLOCATED,
        "a look at a freed slot: {}",
        ", freed by node 'n'",
    ),
    "an end of a read of a freed slot": (
        lambda manager, token: (manager.free(token), manager.end_read(token)),
        Code.NOT_ALLOCATED,
        "the end of a read of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a write to a freed slot": (
        lambda manager, token: (manager.free(token), manager.begin_write(token)),
        Code.NOT_ALLOCATED,
        "a write to a freed slot: {}",
        ", freed by node 'n'",
    ),
    "an end of a write to a freed slot": (
        lambda manager, token: (manager.free(token), manager.end_write(token)),
        Code.NOT_ALLOCATED,
        "the end of a write to a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a free of a freed slot": (
        lambda manager, token: (manager.free(token), manager.free(token)),
        Code.NOT_ALLOCATED,
        "a free of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "no read": (
        lambda manager, token: manager.end_read(token),
        Code.NOT_ALLOCATED,
        "no read to end of {}",
        "",
    ),
    "no read where there is a write": (
        lambda manager, token: (manager.begin_write(token), manager.end_read(token)),
        Code.NOT_ALLOCATED,
        "no read to end of {}",
        "",
    ),
    "no write": (
        lambda manager, token: manager.end_write(token),
        Code.NOT_ALLOCATED,
        "no write to end of {}",
        "",
    ),
    "no write where there is a read": (
        lambda manager, token: (manager.begin_read(token), manager.end_write(token)),
        Code.NOT_ALLOCATED,
        "no write to end of {}",
        "",
    ),
    "a read of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_read(token)),
        Code.ALREADY_BORROWED,
        "a read of a slot being written: {}",
        ", written by node 'n'",
    ),
    "a write to what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_write(token)),
        Code.ALREADY_BORROWED,
        "a write to a slot being written: {}",
        ", written by node 'n'",
    ),
    "a free of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.free(token)),
        Code.ALREADY_BORROWED,
        "a free of a slot being written: {}",
        ", written by node 'n'",
    ),
    "a write to what is read": (
        lambda manager, token: (
            manager.begin_read(token),
            manager.begin_read(token),
            manager.begin_write(token),
        ),
        Code.BORROW_ACTIVE,
        "a write under a read guard to {}",
        ", read by node 'n', node 'n'",
    ),
    "a free of what is read": (
        lambda manager, token: (manager.begin_read(token), manager.free(token)),
        Code.BORROW_ACTIVE,
        "a free under a read guard of {}",
        ", read by node 'n'",
    ),
}


@every_checked
@pytest.mark.parametrize("case", _CHECKED_REFUSALS)
def test_a_checked_refusal_names_token_slot_and_node_word_for_word(kind: str, case: str) -> None:
    call, code, before, after = _CHECKED_REFUSALS[case]
    manager = _CHECKED[kind](2, None)
    manager.ledger.begin("n")
    token = manager.store(message())
    refused(
        lambda: call(manager, token), code, before.format(f"{place(token)}, by node 'n'") + after
    )


@every_checked
@pytest.mark.parametrize(
    ("token", "text"),
    [
        (-1, "a look at a foreign token at cam.out: token -1 (no slot), by no node"),
        (0, "a look at a foreign token at cam.out: token 0 (slot 0 of no manager), by no node"),
        (
            1 << 32 | 2,
            "a look at a foreign token at cam.out: token 4294967298 (slot 2 of cam.out),"
            " by no node",
        ),
        (
            2 << 32,
            "a look at a foreign token at cam.out: token 8589934592 (slot 0 of no manager),"
            " by no node",
        ),
        (
            1 << 48 | 1 << 32,
            "a look at a token that was never given: token 281479271677952"
            " (slot 0 of cam.out), by no node",
        ),
    ],
    ids=["below", "zero", "above", "another tag", "later generation"],
)
def test_a_made_up_token_is_refused_word_for_word(kind: str, token: int, text: str) -> None:
    manager = _CHECKED[kind](2, None)
    refused(lambda: manager.peek_header(MessageToken(token)), Code.BAD_TOKEN, text)


@every_checked
def test_a_slot_that_never_held_anything_is_empty(kind: str) -> None:
    manager = _CHECKED[kind](2, None)
    first = manager.store(message())
    assert first == 1 << 32
    empty = MessageToken(first + 1)
    refused(
        lambda: manager.begin_read(empty),
        Code.NOT_ALLOCATED,
        f"a read of an empty slot: {place(empty, 1)}, by no node",
    )
    second = manager.store(message(1))
    assert second == empty
    assert manager.peek_header(second).sequence == 1


@every_checked
def test_a_token_carries_slot_manager_and_generation(kind: str) -> None:
    ledger = BorrowLedger()
    _CHECKED[kind](1, ledger)
    manager = _CHECKED[kind](2, ledger)
    assert manager.ledger is ledger
    tokens = [manager.store(message(n)) for n in range(2)]
    assert tokens == [2 << 32, 2 << 32 | 1]
    for generation in (1, 2):
        manager.free(tokens[0])
        tokens[0] = manager.store(message())
        assert tokens[0] == generation << 48 | 2 << 32
    assert manager.describe(tokens[1]) == f"{place(tokens[1], 1)}, by no node"


@every_checked
def test_readers_are_forgotten_one_by_one_in_whatever_order_they_end(kind: str) -> None:
    manager = _CHECKED[kind](1, None)
    token = manager.store(message())
    for node in ("a", "b", "c"):
        manager.ledger.begin(node)
        manager.begin_read(token)
    manager.ledger.begin("b")
    manager.end_read(token)
    manager.ledger.begin("x")
    refused(
        lambda: manager.free(token),
        Code.BORROW_ACTIVE,
        f"a free under a read guard of {place(token)}, by node 'x', read by node 'a', node 'c'",
    )
    manager.end_read(token)
    refused(
        lambda: manager.free(token),
        Code.BORROW_ACTIVE,
        f"a free under a read guard of {place(token)}, by node 'x', read by node 'a'",
    )
    manager.end_read(token)
    manager.free(token)
    assert manager.available == 1


@every_checked
def test_after_a_write_the_next_borrower_is_named_and_not_the_writer(kind: str) -> None:
    manager = _CHECKED[kind](1, None)
    token = manager.store(message())
    manager.ledger.begin("writer")
    with manager.read_mut(token):
        pass
    manager.ledger.begin("reader")
    manager.begin_read(token)
    refused(
        lambda: manager.begin_write(token),
        Code.BORROW_ACTIVE,
        f"a write under a read guard to {place(token)}, by node 'reader', read by node 'reader'",
    )


def _scribble(manager: CheckedManager, slot: int, value: int) -> None:
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


_WRITTEN = "a message was written while others may read it: {}, by {}; {}"
_OUT = "write to out slots only, and during the call"


@every_checked
@pytest.mark.parametrize("when", ["begin_read", "begin_write", "free", "end_read"])
def test_bytes_that_changed_are_reported_once_by_whatever_looks_next(kind: str, when: str) -> None:
    manager = _CHECKED[kind](2, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n")
    if when == "end_read":
        manager.begin_read(token)
    _scribble(manager, 1, 77)
    getattr(manager, when)(token)
    (misuse,) = manager.ledger.settle()
    node, by = ("n", "node 'n'") if when == "end_read" else ("", "nobody that is known")
    text = _WRITTEN.format(place(token, 1), by, _OUT)
    assert (misuse.node, misuse.error.code, str(misuse.error)) == (node, Code.BORROW_ACTIVE, text)
    assert misuse.header == header(3)
    assert manager.ledger.settle() == ()


@every_checked
def test_slots_are_verified_from_the_first_on_and_as_many_as_asked(kind: str) -> None:
    manager = _CHECKED[kind](4, None)
    for number in range(3):
        manager.store(message(number))
    for slot in range(3):
        _scribble(manager, slot, 77)
    manager.verify_slots(1, 1, "x")
    assert [misuse.header for misuse in manager.ledger.settle()] == [header(1)]
    manager.verify_slots(0, 4, "y")
    found = manager.ledger.settle()
    assert [(misuse.node, misuse.header) for misuse in found] == [
        ("y", header(0)),
        ("y", header(2)),
    ]
    manager.verify_slots(0, 4, "z")
    assert manager.ledger.settle() == ()


@every_checked
def test_a_slot_that_is_being_written_is_not_verified(kind: str) -> None:
    manager = _CHECKED[kind](2, None)
    first, second = manager.store(message(1)), manager.store(message(2))
    manager.begin_write(first)
    _scribble(manager, 0, 77)
    _scribble(manager, 1, 77)
    manager.verify_slots(0, 2, "x")
    assert [misuse.header for misuse in manager.ledger.settle()] == [header(2)]
    manager.end_write(first)
    manager.verify_slots(0, 2, "x")
    assert manager.ledger.settle() == ()
    assert manager.peek_header(second) == header(2)


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_a_freed_slot_that_is_written_is_reported_when_it_is_claimed(kind: str) -> None:
    manager = _CHECKED[kind](2, None)
    token = manager.store(message())
    manager.free(token)
    manager.store(message())
    _scribble(manager, 0, 77)
    assert manager.ledger.settle() == ()
    manager.ledger.begin("n")
    new = manager.store(message(5))
    (misuse,) = manager.ledger.settle()
    assert misuse == Misuse("", misuse.error, None)
    assert misuse.error.code is Code.MANAGER_POISONED
    # Named as it was found: by the token that the slot would have given next.
    assert str(misuse.error) == (
        f"a freed slot was written: {place(new)}, by nobody that is known; {_OUT}"
    )
    with manager.read(new) as found:
        assert np.asarray(found.payload).tolist() == [5.0] * 3


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_slots_are_poisoned_at_first_and_again_when_they_are_freed(kind: str) -> None:
    manager: Any = _CHECKED[kind](2, None)
    poison = manager._bytes[0].copy()
    assert manager._bytes.shape == (2, 12)
    assert np.isnan(poison.view(np.float32)).all()
    token = manager.store(message(1))
    assert not np.array_equal(manager._bytes[0], poison)
    manager.free(token)
    assert np.array_equal(manager._bytes[0], poison)
    assert np.array_equal(manager._bytes[1], poison)


def test_slots_of_whole_numbers_are_poisoned_with_a_byte() -> None:
    manager = CheckedStaticMemoryManager(TensorSpec(DataType.U16, (2,)), 1)
    assert POISON_BYTE == 0xDB
    assert manager._array.tolist() == [[0xDBDB] * 2]


@every_checked
def test_a_full_checked_manager_says_so(kind: str) -> None:
    manager = _CHECKED[kind](1, None)
    manager.store(message())
    refused(lambda: manager.store(message()), Code.NO_FREE_SLOTS, "all 1 slots are in use")


def test_a_full_checked_manager_has_no_next_slot() -> None:
    manager = CheckedStaticMemoryManager(_SPEC, 1, "cam.out")
    manager.store(message())
    refused(manager.next_slot, Code.NO_FREE_SLOTS, "all 1 slots of cam.out are in use")
    assert manager.reserve(1) is None


def test_managers_are_named_here_and_have_a_ledger_of_their_own_unless_told() -> None:
    for manager in (
        CheckedStaticMemoryManager(_SPEC, 1),
        CheckedBoundedMemoryManager(_ROWS, 1),
        CheckedHeapMemoryManager(1),
    ):
        token = manager.store(message())
        assert manager.describe(token) == f"token {token} (slot 0 of here), by no node"
        assert manager.ledger.name_of(1) == "here"
        assert manager.ledger.name_of(2) == "no manager"
        assert manager.ledger.name_of(0) == "no manager"


def test_a_checked_heap_takes_any_object_unless_told_and_marks_what_is_free() -> None:
    manager = CheckedHeapMemoryManager(2)
    token = manager.store(Message(header(), "text"))
    assert manager._digest(0) is None
    with manager.read(token) as found:
        assert found.payload == "text"
    manager.free(token)
    assert manager._payloads == [FREED, None]
    with pytest.raises(PayloadMismatchError):
        CheckedHeapMemoryManager(1, int).store(Message(header(), "text"))


def checked(depth: int) -> CheckedStaticMemoryManager:
    manager = CheckedStaticMemoryManager(_SPEC, depth, "cam.out")
    manager.ledger.begin("n")
    return manager


_KEPT = "a view of {} was kept past the call, by node 'n'; copy what is to be kept"


def kept_by(ledger: BorrowLedger) -> list[tuple[Code, str, str, MessageHeader | None]]:
    return [
        (misuse.error.code, misuse.node, str(misuse.error), misuse.header)
        for misuse in ledger.settle()
    ]


def test_a_reserved_run_that_is_kept_names_its_first_and_its_last_slot() -> None:
    manager = checked(4)
    manager.store(message())
    room = manager.reserve(2)
    assert room is not None
    assert room.shape == (2, 3)
    assert np.shares_memory(room[0], manager._slots[1])
    tokens = (1 << 32 | 1, 1 << 32 | 2)
    text = _KEPT.format(f"{place(tokens[0], 1)} to {place(tokens[1], 2)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, None)]


def test_a_batch_that_is_kept_names_its_first_and_last_slot_and_the_first_header() -> None:
    manager = checked(4)
    tokens = [manager.store(message(n)) for n in range(4)]
    kept = manager.neighbours(tokens[1:3])
    assert kept is not None
    assert kept.tolist() == [[1.0] * 3, [2.0] * 3]
    assert not kept.flags.writeable
    text = _KEPT.format(f"{place(tokens[1], 1)} to {place(tokens[2], 2)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(1))]
    assert manager.neighbours([tokens[2], tokens[1]]) is None


@pytest.mark.parametrize("kind", ["static", "bounded"])
@pytest.mark.parametrize("how", ["read", "read_mut"])
def test_a_payload_that_is_kept_names_its_slot_and_its_header(kind: str, how: str) -> None:
    manager = _CHECKED[kind](3, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n")
    with getattr(manager, how)(token) as found:
        kept = found.payload
        assert kept.tolist() == [3.0] * 3
        assert kept.flags.writeable is (how == "read_mut")
    del found
    text = _KEPT.format(place(token, 1))
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(3))]


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_where_views_are_not_tracked_they_are_the_plain_ones(kind: str) -> None:
    manager = _CHECKED[kind](3, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n", tracks=False)
    with manager.read(token) as found:
        kept: Any = found.payload
        assert kept.tolist() == [3.0] * 3
        assert not kept.flags.writeable
    with manager.read_mut(token) as found:
        also: Any = found.payload
        also[...] = 4
    assert kept.tolist() == [4.0] * 3
    assert kept_by(manager.ledger) == []
    assert manager.ledger.tracks, "the next call is tracked again"


def test_a_run_of_slots_is_lent_untracked_to_models() -> None:
    manager = checked(3)
    manager.ledger.begin("n", tracks=False)
    room = manager.reserve(2)
    assert room is not None
    assert np.shares_memory(room, manager._array)
    assert room.shape == (2, 3)
    slot = manager.next_slot()
    assert slot is manager._slots[0]
    slot[...] = 6
    token = manager.commit(header(6))
    batch = manager.neighbours([token])
    assert batch is not None
    assert batch.tolist() == [[6.0] * 3]
    assert kept_by(manager.ledger) == []


def test_gathered_payloads_are_checked_and_copied_in_order() -> None:
    manager = checked(3)
    tokens = [manager.store(message(n)) for n in range(3)]
    out = np.zeros((2, 3), np.float32)
    manager.gather([tokens[2], tokens[1]], out)
    assert out.tolist() == [[2.0] * 3, [1.0] * 3]
    _scribble(manager, 1, 77)
    manager.gather([tokens[0], tokens[1]], out)
    ((code, node, text, where),) = kept_by(manager.ledger)
    wanted = _WRITTEN.format(place(tokens[1], 1), "nobody that is known", _OUT)
    assert (code, node, text, where) == (Code.BORROW_ACTIVE, "", wanted, header(1))
    manager.free(tokens[0])
    manager.ledger.begin("n")
    for call in (
        lambda: manager.gather([tokens[0]], out),
        lambda: manager.neighbours([tokens[0]]),
    ):
        refused(
            call,
            Code.NOT_ALLOCATED,
            f"a read of a freed slot: {place(tokens[0])}, by node 'n', freed by no node",
        )


def test_a_lent_slot_that_became_a_message_is_kept_and_one_that_did_not_is_poisoned() -> None:
    manager = checked(3)
    room = manager.reserve(2)
    assert room is not None
    room[...] = 5
    token = manager.commit(header(5))
    del room
    assert kept_by(manager.ledger) == []
    assert manager._array[0].tolist() == [5.0] * 3
    assert np.isnan(manager._array[1]).all()
    assert manager._lent == {}
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [5.0] * 3


def test_a_slot_that_was_lent_is_no_freed_slot_that_was_written() -> None:
    manager = checked(2)
    slot = manager.next_slot()
    slot[...] = 5
    assert manager.store(message(7)) == 1 << 32
    manager.free(MessageToken(1 << 32))
    assert manager._lent == {}
    assert np.isnan(manager._array[0]).all()
    del slot
    assert kept_by(manager.ledger) == []


def test_the_next_slot_of_a_reserved_run_is_a_view_of_its_own() -> None:
    manager = checked(2)
    room = manager.reserve(2)
    assert room is not None
    room[...] = 5
    slot = manager.next_slot()
    assert manager._lent[0] is slot
    assert slot.tolist() == [5.0] * 3
    slot[...] = 6
    token = manager.commit(header(6))
    del room, slot
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [6.0] * 3
    del found
    assert kept_by(manager.ledger) == []


def test_a_commit_gives_a_token_whose_bytes_are_known() -> None:
    manager = checked(2)
    manager.next_slot()[...] = 5
    token = manager.commit(header(5))
    assert token == 1 << 32
    with manager.read(token):
        pass
    assert kept_by(manager.ledger) == []
    assert manager.statistics().copies == 0


# ------------------------------------------------------------------ the ledger


def test_a_ledger_says_who_is_called_and_for_how_long() -> None:
    ledger = BorrowLedger()
    assert (ledger.node, ledger.tracks, ledger.who) == ("", True, "no node")
    ledger.begin("n")
    assert (ledger.node, ledger.tracks, ledger.who) == ("n", True, "node 'n'")
    ledger.begin("m", tracks=False)
    assert (ledger.node, ledger.tracks) == ("m", False)
    assert ledger.settle() == ()
    assert (ledger.node, ledger.tracks, ledger.who) == ("", True, "no node")


def test_a_misuse_that_is_reported_is_returned_once() -> None:
    ledger = BorrowLedger()
    error = ManagerError("gone")
    ledger.report(error, "n", header(2))
    ledger.report(error, "")
    assert ledger.settle() == (Misuse("n", error, header(2)), Misuse("", error, None))
    assert ledger.settle() == ()


def test_a_keeper_is_known_until_the_view_is_gone_and_the_newest_one_counts() -> None:
    ledger = BorrowLedger()
    manager = CheckedStaticMemoryManager(_SPEC, 3, "cam.out", ledger)
    other = CheckedStaticMemoryManager(_SPEC, 3, "radar.out", ledger)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept: dict[str, object] = {}
    for node in ("first", "second"):
        ledger.begin(node)
        kept[node] = manager.begin_read(tokens[1]).payload
        manager.end_read(tokens[1])
        assert [misuse.node for misuse in ledger.settle()] == [node]
    assert ledger.holder(manager, 1) == "second"
    assert (ledger.holder(manager, 0), ledger.holder(manager, 2)) == ("", "")
    assert ledger.holder(other, 1) == ""
    del kept["second"]
    assert ledger.holder(manager, 1) == "", "of views of one slot only the newest is known"
    ledger.begin("batch")
    kept["batch"] = manager.neighbours(tokens)
    ledger.settle()
    assert [ledger.holder(manager, slot) for slot in range(3)] == ["batch"] * 3
    ledger.begin("third")
    kept["third"] = manager.begin_read(tokens[0]).payload
    manager.end_read(tokens[0])
    ledger.settle()
    assert [ledger.holder(manager, slot) for slot in range(3)] == ["third", "batch", "batch"]
    del kept["third"]
    assert ledger.holder(manager, 0) == "batch"


def test_what_is_written_through_a_kept_view_is_its_keepers_doing_when_the_slot_is_freed() -> None:
    manager = checked(2)
    token = manager.store(message(3))
    with manager.read_mut(token) as found:
        kept: Any = found.payload
    del found
    assert [misuse.node for misuse in manager.ledger.settle()] == ["n"]
    kept[0] = 9
    manager.ledger.begin("sink")
    manager.free(token)
    text = _WRITTEN.format(place(token), "node 'n'", _OUT)
    assert kept_by(manager.ledger) == [(Code.BORROW_ACTIVE, "n", text, header(3))]


def test_what_a_call_writes_to_what_it_was_lent_for_reading_is_found_when_it_ends() -> None:
    manager = checked(2)
    token = manager.store(message(3))
    manager.begin_read(token)
    manager.end_read(token)
    _scribble(manager, 0, 9)
    ((code, node, _, where),) = kept_by(manager.ledger)
    assert (code, node, where) == (Code.BORROW_ACTIVE, "n", header(3))


def test_a_lent_buffer_is_read_only_and_as_long_as_asked() -> None:
    ledger = BorrowLedger()
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    buffer = LentBuffer(array, "the batch of m", ledger)
    assert ledger.name_of(1) == "the batch of m"
    ledger.begin("n")
    lent = buffer.lend(2)
    assert lent.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert (lent.dtype, lent.flags.writeable) == (np.float32, False)
    assert np.shares_memory(lent, array)
    text = _KEPT.format("the batch of m")
    assert kept_by(ledger) == [(Code.VIEW_KEPT, "n", text, None)]
    del lent
    ledger.begin("n")
    assert buffer.lend(1).shape == (1, 3)
    assert kept_by(ledger) == []


def test_checked_slots_hand_tokens_back_under_the_consumers_name() -> None:
    manager = checked(2)
    slots = CheckedSlots(manager, 2)
    assert slots.names == []
    slots.names += ["draw", "store"]
    token = manager.store(message())
    slots.lend(token, 2)
    for ring in slots.returns:
        ring.give_back(token)
    slots.reclaim()
    assert manager.ledger.node == "n"
    assert manager.available == 2
    refused(
        lambda: manager.peek_header(token),
        Code.NOT_ALLOCATED,
        f"a look at a freed slot: {place(token)}, by node 'n', freed by node 'store'",
    )


def test_checked_slots_without_a_name_for_each_edge_are_not_taken_in() -> None:
    manager = checked(1)
    slots = CheckedSlots(manager, 1)
    with pytest.raises(ValueError, match="zip"):
        slots.reclaim()


def test_share_counts_of_checked_managers_hold_only_what_counts() -> None:
    for make in _CHECKED.values():
        counts: Any = make(1, None).share_counts()
        token = MessageToken(5)
        assert (counts[token], len(counts)) == (0, 0)
        counts[token] = 2
        assert dict(counts) == {5: 2}
        counts[token] = 0
        counts[token] = 0
        assert dict(counts) == {}


def test_a_configuration_error_is_a_value_error() -> None:
    with pytest.raises(ConfigurationError):
        HeapMemoryManager(0)


# ------------------------------------------------------------------ who is blamed for which slot


def keep(manager: CheckedManager, token: MessageToken) -> Any:  # noqa: ANN401 - any array
    """Let node ``hoarder`` keep a view of a slot that it may write to."""
    manager.ledger.begin("hoarder")
    with manager.read_mut(token) as found:
        kept: Any = found.payload
    del found
    assert [misuse.error.code for misuse in manager.ledger.settle()] == [Code.VIEW_KEPT]
    return kept


@pytest.mark.parametrize("kind", ["static", "bounded"])
@pytest.mark.parametrize("when", ["begin_read", "begin_write", "free"])
def test_whatever_looks_next_blames_the_keeper_of_that_very_slot(kind: str, when: str) -> None:
    manager = _CHECKED[kind](3, None)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept = keep(manager, tokens[1])
    assert [manager.ledger.holder(manager, slot) for slot in range(3)] == ["", "hoarder", ""]
    kept[0] = 77
    _scribble(manager, 0, 77)
    manager.ledger.begin("n")
    getattr(manager, when)(tokens[1])
    getattr(manager, when)(tokens[0])
    found = [(misuse.node, misuse.header) for misuse in manager.ledger.settle()]
    assert found == [("hoarder", header(1)), ("", header(0))]


@pytest.mark.parametrize("when", ["gather", "neighbours"])
def test_a_batch_blames_the_keepers_of_its_slots(when: str) -> None:
    manager = checked(3)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept = keep(manager, tokens[1])
    kept[0] = 77
    manager.ledger.begin("n")
    if when == "gather":
        manager.gather(tokens, np.zeros((3, 3), np.float32))
    else:
        manager.neighbours(tokens)
    found = [(misuse.node, misuse.header) for misuse in manager.ledger.settle()]
    assert found == [("hoarder", header(1))]


def test_the_slot_to_write_is_the_one_that_is_claimed_next() -> None:
    manager = checked(3)
    manager.store(message())
    slot = manager.next_slot()
    assert np.shares_memory(slot, manager._slots[1])
    assert not np.shares_memory(slot, manager._slots[0])
    assert [misuse.node for misuse in manager.ledger.settle()] == ["n"]
    assert [manager.ledger.holder(manager, n) for n in range(3)] == ["", "n", ""]


@pytest.mark.parametrize("kind", [*_PLAIN, *(f"checked {kind}" for kind in _CHECKED)])
def test_a_write_is_given_the_header_and_the_payload_in_its_own_shape(kind: str) -> None:
    spec = TensorSpec(DataType.F32, (UpTo(3), 2))
    fixed = TensorSpec(DataType.F32, (2, 2))
    makes: dict[str, Callable[[], MemoryManager]] = {
        "static": lambda: StaticMemoryManager(fixed, 1),
        "bounded": lambda: BoundedMemoryManager(spec, 1),
        "heap": lambda: HeapMemoryManager(1),
        "checked static": lambda: CheckedStaticMemoryManager(fixed, 1),
        "checked bounded": lambda: CheckedBoundedMemoryManager(spec, 1),
        "checked heap": lambda: CheckedHeapMemoryManager(1),
    }
    manager = makes[kind]()
    token = manager.store(Message(header(4), np.arange(4, dtype=np.float32).reshape(2, 2)))
    for guard in (manager.read_mut, manager.read):
        with guard(token) as found:
            assert found.header == header(4)
            assert np.asarray(found.payload).tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_every_copy_onto_the_heap_is_counted() -> None:
    manager = HeapMemoryManager(6)
    for payload in (b"a", bytearray(b"b"), bytearray(b"c"), memoryview(b"d"), np.zeros(1)):
        manager.store(Message(header(), payload))
    assert manager.statistics().copies == 4
    manager.store(Message(header(), np.zeros(1)))
    assert manager.statistics().copies == 5


def test_a_buffer_of_any_element_type_can_be_lent_and_has_no_slots() -> None:
    pytest.importorskip("ml_dtypes")
    ledger = BorrowLedger()
    array = np.arange(4).astype(DataType.BF16.numpy_dtype()).reshape(2, 2)
    buffer = LentBuffer(array, "the batch of m", ledger)
    ledger.begin("n")
    lent = buffer.lend(1)
    assert lent.dtype == array.dtype
    assert lent.astype(np.float32).tolist() == [[0.0, 1.0]]
    assert [misuse.error.code for misuse in ledger.settle()] == [Code.VIEW_KEPT]
    assert ledger.holder(buffer, 0) == ""


@pytest.mark.parametrize("tracks", [True, False])
def test_the_slot_to_write_is_one_view_within_a_call_and_another_after_its_commit(
    tracks: bool,
) -> None:
    manager = checked(2)
    manager.ledger.begin("n", tracks=tracks)
    slot = manager.next_slot()
    assert manager.next_slot() is slot
    manager.commit(header())
    assert manager.next_slot() is not slot


def test_a_run_of_three_slots_is_named_by_its_ends() -> None:
    manager = checked(4)
    tokens = [manager.store(message(n)) for n in range(4)]
    kept = manager.neighbours(tokens[1:])
    text = _KEPT.format(f"{place(tokens[1], 1)} to {place(tokens[3], 3)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(1))]
    assert kept is not None


def test_each_lender_has_a_number_and_a_name_of_its_own() -> None:
    ledger = BorrowLedger()
    names = ["a", "b", "c"]
    managers = [CheckedHeapMemoryManager(1, object, name, ledger) for name in names]
    assert [ledger.enter(managers[0], "d")] == [4]
    found = [ledger.name_of(tag) for tag in range(6)]
    assert found == ["no manager", *names, "d", "no manager"]
