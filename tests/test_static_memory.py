"""Static memory: alignment, neighbours, writing in place, views nobody can write to."""

from __future__ import annotations

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, ManagerError
from limen.memory import StaticMemoryManager
from limen.message import Message, MessageHeader
from limen.types import DataType, MessageToken, SequenceNumber, TensorSpec, Ticks, TraceId

_SPEC = TensorSpec(DataType.F32, (3,))


def header(sequence: int = 0) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(sequence),
        sequence=SequenceNumber(sequence),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=12,
    )


def store(manager: StaticMemoryManager, value: int) -> MessageToken:
    return manager.store(Message(header(value), np.full(3, value, np.float32)))


def payload(manager: StaticMemoryManager, token: MessageToken) -> np.ndarray:
    with manager.read(token) as found:
        assert isinstance(found.payload, np.ndarray)
        return found.payload


@pytest.mark.parametrize("dtype", list(DataType))
@pytest.mark.parametrize("shape", [(), (1,), (3, 5)])
def test_the_first_slot_is_aligned_and_slots_are_unpadded(
    dtype: DataType, shape: tuple[int, ...]
) -> None:
    spec = TensorSpec(dtype, shape)
    manager = StaticMemoryManager(spec, 3)
    value = np.ones(shape, dtype.numpy_dtype())
    tokens = [manager.store(Message(header(), value)) for _ in range(3)]
    places = [payload(manager, token).ctypes.data for token in tokens]
    assert places[0] % 64 == 0
    assert [place - places[0] for place in places] == [0, spec.size_bytes, 2 * spec.size_bytes]
    assert payload(manager, tokens[2]).dtype == dtype.numpy_dtype()
    assert manager.payload_bytes == 3 * spec.size_bytes


def test_a_spec_with_an_open_axis_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="every axis needs a length"):
        StaticMemoryManager(TensorSpec(DataType.F32, ("n", 3)), 2)


def test_a_view_that_is_read_cannot_be_written_or_made_writable() -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    tokens = [store(manager, 1), store(manager, 2)]
    batch = manager.neighbours(tokens)
    assert batch is not None
    for view in (payload(manager, tokens[0]), batch):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 9
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
    assert payload(manager, tokens[0]).tolist() == [1, 1, 1]


def test_a_scalar_slot_is_a_view_and_not_a_copied_value() -> None:
    manager = StaticMemoryManager(TensorSpec(DataType.F32, ()), 1)
    view = payload(manager, manager.store(Message(header(), np.float32(2))))
    assert isinstance(view, np.ndarray)
    assert view == 2
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 9


def test_neighbouring_slots_form_one_view_without_a_copy() -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    tokens = [store(manager, value) for value in range(4)]
    batch = manager.neighbours(tokens[1:3])
    assert batch is not None
    assert batch.tolist() == [[1] * 3, [2] * 3]
    assert np.shares_memory(batch, payload(manager, tokens[1]))


@pytest.mark.parametrize("order", [(1, 0), (0, 2), (0, 0), (3, 0), (0, 1, 3)])
def test_slots_that_are_no_neighbours_in_order_form_no_view(order: tuple[int, ...]) -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    tokens = [store(manager, value) for value in range(4)]
    assert manager.neighbours([tokens[i] for i in order]) is None


def test_gathering_copies_in_order_and_leaves_the_rest_alone() -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    tokens = [store(manager, value) for value in range(4)]
    out = np.full((3, 3), -1, np.float32)
    manager.gather([tokens[3], tokens[0]], out)
    assert out.tolist() == [[3] * 3, [0] * 3, [-1] * 3]


def test_a_gather_into_too_small_a_buffer_fails() -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    tokens = [store(manager, 1), store(manager, 2)]
    with pytest.raises(IndexError):
        manager.gather(tokens, np.zeros((1, 3), np.float32))


def test_a_result_written_in_place_is_committed_without_a_copy() -> None:
    manager = StaticMemoryManager(_SPEC, 3)
    room = manager.reserve(2)
    assert room is not None
    assert manager.available == 3, "reserving claims nothing"
    room[0], room[1] = 5, 6
    tokens = [manager.commit(header(5)), manager.commit(header(6))]
    assert [payload(manager, token).tolist() for token in tokens] == [[5] * 3, [6] * 3]
    assert [manager.peek_header(token).sequence for token in tokens] == [5, 6]
    found = manager.statistics()
    assert (found.stored, found.copies, found.available, found.peak_used) == (2, 0, 1, 2)


def test_more_than_is_free_cannot_be_reserved() -> None:
    manager = StaticMemoryManager(_SPEC, 3)
    store(manager, 0)
    assert manager.reserve(3) is None
    assert manager.reserve(2) is not None


def test_a_reservation_across_the_wrap_is_refused_and_a_single_one_is_not() -> None:
    manager = StaticMemoryManager(_SPEC, 3)
    tokens = [store(manager, value) for value in range(3)]
    manager.free(tokens[2])
    manager.free(tokens[0])
    assert manager.reserve(2) is None, "slots 2 and 0 are not side by side"
    assert manager.reserve(1) is not None
    store(manager, 7)
    manager.free(tokens[1])
    assert manager.reserve(2) is not None, "slots 0 and 1 are"


def test_slots_come_back_in_a_circle_so_that_messages_stay_side_by_side() -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    for _ in range(3):
        tokens = [store(manager, value) for value in range(4)]
        assert manager.neighbours(tokens) is not None
        for token in tokens:
            manager.free(token)


def test_a_commit_without_a_free_slot_is_refused() -> None:
    manager = StaticMemoryManager(_SPEC, 1)
    store(manager, 1)
    before = manager.statistics()
    with pytest.raises(ManagerError) as caught:
        manager.commit(header(2))
    assert caught.value.code is Code.NO_FREE_SLOTS
    assert manager.statistics() == before
