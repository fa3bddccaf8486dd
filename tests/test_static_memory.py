"""Static memory beyond its contract: alignment, and views that nobody can make writable."""

from __future__ import annotations

import numpy as np
import pytest

from limen.errors import ConfigurationError
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


def test_a_slot_alone_is_the_same_view_whenever_it_comes_round() -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    seen: list[tuple[int, int]] = []
    kept: list[object] = []
    for number in range(6):
        room = manager.reserve(1)
        assert room is not None
        assert room.shape == (1, 3)
        room[...] = number
        token = manager.commit(header())
        batch = manager.neighbours([token])
        assert batch is not None
        assert batch.tolist() == [[number] * 3]
        kept += [room, batch]
        seen.append((id(room), id(batch)))
        manager.free(token)
    assert len(set(seen)) == 2
    assert seen[:2] * 3 == seen


def test_a_gather_into_too_small_a_buffer_fails() -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    tokens = [store(manager, 1), store(manager, 2)]
    with pytest.raises(IndexError):
        manager.gather(tokens, np.zeros((1, 3), np.float32))
