"""What memory managers say word for word, and what they count, keep and let go of."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, PayloadMismatchError
from limen.memory import (
    HOST_ONLY,
    PROVIDED,
    BoundedMemoryManager,
    CheckedHeapMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    Placement,
    PlacementAcceptance,
    ReturnRing,
    SharedSlots,
    StaticMemoryManager,
    decide_placement,
)
from limen.message import Message
from limen.types import (
    INVALID_TOKEN,
    DataType,
    MemoryClass,
    MessageToken,
    TensorSpec,
)
from memory_parts import (
    BOUNDED,
    HEAP,
    PLAIN,
    ROWS,
    SPEC,
    STATIC,
    every_plain,
    header,
    message,
    refused,
)


@every_plain
@pytest.mark.parametrize("depth", [0, -1])
def test_a_manager_without_slots_is_refused(kind: str, depth: int) -> None:
    refused(
        lambda: PLAIN[kind](depth),
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
    manager = PLAIN[kind](2)
    call, code, text = _REFUSALS[case]
    token = manager.store(message())
    refused(lambda: call(manager, token), code, text)


def test_the_last_slot_can_be_read_and_written_like_the_first() -> None:
    for make in PLAIN.values():
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
    for make in PLAIN.values():
        manager = make(1)
        assert manager.memory_class is MemoryClass.HOST
        assert manager.describe(MessageToken(5)) == "token 5"
        assert manager.share_counts() == [0]


@every_plain
def test_slots_are_used_in_a_circle_also_after_a_refusal(kind: str) -> None:
    manager = PLAIN[kind](3)
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
    manager = PLAIN[kind](3)
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
    "heap": (lambda: HEAP(1, int), "text", _ONE_CLASS.format("str")),
    "heap of arrays": (lambda: HEAP(1, np.ndarray), None, _ONE_CLASS.format("NoneType")),
    "static shape": (
        lambda: STATIC(SPEC, 1),
        np.zeros((3, 1), np.float32),
        "payload float32[3, 1] does not fit f32[3]; emit what the port declares",
    ),
    "static type": (
        lambda: STATIC(SPEC, 1),
        np.zeros(3),
        "payload float64[3] does not fit f32[3]; emit what the port declares",
    ),
    "bounded length": (
        lambda: BOUNDED(ROWS, 1),
        np.zeros(4, np.float32),
        "payload float32[4] does not fit f32[<=3]; emit what the port declares",
    ),
    "bounded type": (
        lambda: BOUNDED(ROWS, 1),
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
    for manager in (StaticMemoryManager(SPEC, 1), BoundedMemoryManager(ROWS, 1)):
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
    manager = BoundedMemoryManager(ROWS, 2)
    assert manager.size_of(np.zeros(size, np.float32)) == 4 * size
    assert manager.size_of(np.zeros(size, np.uint8)) == 4 * size, "as large as it will lie there"
    assert manager.payload_bytes == 24
    with pytest.raises(PayloadMismatchError):
        manager.size_of([[1.0], [2.0, 3.0]])


def test_bounded_slots_hold_zeros_and_no_shape_at_first() -> None:
    manager = BoundedMemoryManager(ROWS, 2)
    assert manager._slots.tolist() == [[0.0] * 3] * 2
    assert manager._slots.dtype == np.float32
    token = manager.store(Message(header(), np.array([7], np.int8)))
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [7.0]
        assert np.asarray(found.payload).dtype == np.float32
    assert manager.statistics().copies == 1


def test_static_memory_is_made_of_zeros_and_knows_its_slots() -> None:
    manager = StaticMemoryManager(SPEC, 2)
    assert manager.slot_bytes == 12
    assert manager._array.tolist() == [[0.0] * 3] * 2
    assert manager._array.ctypes.data % 64 == 0
    assert manager.next_slot() is manager._slots[0]
    manager.store(message())
    assert manager.next_slot() is manager._slots[1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_reservation_is_as_long_as_asked_and_starts_at_the_next_slot(count: int) -> None:
    manager = StaticMemoryManager(SPEC, 4)
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
    manager = StaticMemoryManager(SPEC, 3)
    tokens = [manager.store(message(n)) for n in range(3)]
    assert manager.neighbours([tokens[2], tokens[0]]) is None
    one = manager.neighbours([tokens[2]])
    assert one is not None
    assert one.tolist() == [[2.0] * 3]


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


def test_every_copy_onto_the_heap_is_counted() -> None:
    manager = HeapMemoryManager(6)
    for payload in (b"a", bytearray(b"b"), bytearray(b"c"), memoryview(b"d"), np.zeros(1)):
        manager.store(Message(header(), payload))
    assert manager.statistics().copies == 4
    manager.store(Message(header(), np.zeros(1)))
    assert manager.statistics().copies == 5


def test_a_configuration_error_is_a_value_error() -> None:
    with pytest.raises(ConfigurationError):
        HeapMemoryManager(0)
