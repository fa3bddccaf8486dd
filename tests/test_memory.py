"""The clauses of the memory contract, for every manager: MEM-1 to MEM-6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from limen.errors import Code, ConfigurationError, LimenError, ManagerError
from limen.memory import (
    CheckedHeapMemoryManager,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    StaticMemoryManager,
)
from limen.message import Message, MessageHeader
from limen.types import DataType, MessageToken, SequenceNumber, TensorSpec, Ticks, TraceId

_SPEC = TensorSpec(DataType.F32, (3,))
Make = Callable[[int], MemoryManager]
_MAKES: dict[str, Make] = {
    "static": lambda depth: StaticMemoryManager(_SPEC, depth),
    "heap": HeapMemoryManager,
    "checked static": lambda depth: CheckedStaticMemoryManager(_SPEC, depth),
    "checked heap": CheckedHeapMemoryManager,
}


def header(sequence: int = 0) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(sequence),
        sequence=SequenceNumber(sequence),
        creation_tick=Ticks(sequence),
        origin_tick=Ticks(sequence),
        payload_size_bytes=12,
    )


def message(value: int = 0) -> Message:
    return Message(header(value), np.full(3, value, np.float32))


def value_of(found: Message) -> list[float]:
    assert isinstance(found.payload, np.ndarray)
    return [float(x) for x in found.payload]


@pytest.fixture(params=_MAKES)
def make(request: pytest.FixtureRequest) -> Make:
    return _MAKES[request.param]


def assert_refused(code: Code, call: Callable[[], object]) -> None:
    with pytest.raises(ManagerError) as caught:
        call()
    assert caught.value.code is code


@pytest.mark.parametrize("depth", [0, -1])
def test_a_manager_without_slots_is_refused(make: Make, depth: int) -> None:
    with pytest.raises(ConfigurationError, match="at least one slot"):
        make(depth)


def test_mem_1_slots_in_use_and_slots_free_add_up(make: Make) -> None:
    manager = make(3)
    live = [manager.store(message(i)) for i in range(3)]
    assert manager.available == 0
    for count, token in enumerate(live, start=1):
        manager.free(token)
        assert manager.available == count
    assert manager.available == manager.capacity == 3


def test_mem_2_a_full_manager_refuses_and_changes_nothing(make: Make) -> None:
    manager = make(2)
    tokens = [manager.store(message(i)) for i in range(2)]
    before = manager.statistics()
    assert_refused(Code.NO_FREE_SLOTS, lambda: manager.store(message(9)))
    assert manager.statistics() == before
    for value, token in enumerate(tokens):
        with manager.read(token) as found:
            assert value_of(found) == [value] * 3


_CALLS: dict[str, Callable[[Any, MessageToken], object]] = {
    "peek_header": lambda manager, token: manager.peek_header(token),
    "begin_read": lambda manager, token: manager.begin_read(token),
    "end_read": lambda manager, token: manager.end_read(token),
    "read": lambda manager, token: manager.read(token).__enter__(),
    "free": lambda manager, token: manager.free(token),
}
_ARRAY_CALLS: dict[str, Callable[[Any, MessageToken], object]] = {
    "neighbours": lambda manager, token: manager.neighbours([token]),
    "gather": lambda manager, token: manager.gather([token], np.zeros((1, 3), np.float32)),
}


@pytest.mark.parametrize("token", [-1, -2, 2, 99, 0, 1])
@pytest.mark.parametrize("call", _CALLS)
def test_mem_3_a_freed_or_foreign_token_is_refused(make: Make, call: str, token: int) -> None:
    manager = make(2)
    manager.free(manager.store(message()))
    before = manager.statistics()
    with pytest.raises(ManagerError) as caught:
        _CALLS[call](manager, MessageToken(token))
    assert caught.value.code in (Code.BAD_TOKEN, Code.NOT_ALLOCATED)
    assert manager.statistics() == before


@pytest.mark.parametrize("token", [-1, 2, 0, 1])
@pytest.mark.parametrize("call", _ARRAY_CALLS)
def test_mem_3_a_batch_with_a_freed_or_foreign_token_is_refused(call: str, token: int) -> None:
    manager = StaticMemoryManager(_SPEC, 2)
    manager.free(manager.store(message()))
    with pytest.raises(ManagerError):
        _ARRAY_CALLS[call](manager, MessageToken(token))


def test_mem_4_what_was_stored_is_read_until_it_is_freed(make: Make) -> None:
    manager = make(4)
    tokens = {value: manager.store(message(value)) for value in range(4)}
    manager.free(tokens.pop(1))
    tokens[7] = manager.store(message(7))
    for value, token in tokens.items():
        with manager.read(token) as found:
            assert found.header == manager.peek_header(token) == header(value)
            assert value_of(found) == [value] * 3


def test_mem_4_the_heap_hands_back_the_very_object() -> None:
    manager = HeapMemoryManager(1)
    payload = {"score": 1}
    with manager.read(manager.store(Message(header(), payload))) as found:
        assert found.payload is payload


def test_mem_5_a_slot_is_not_freed_while_a_read_is_open(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    with manager.read(token), manager.read(token):
        assert_refused(Code.BORROW_ACTIVE, lambda: manager.free(token))
    manager.free(token)
    assert manager.available == 1


def test_mem_5_a_read_that_fails_inside_is_closed_all_the_same(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    with pytest.raises(ZeroDivisionError), manager.read(token):
        _ = 1 // 0
    manager.free(token)


def test_a_read_is_not_ended_twice(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    manager.begin_read(token)
    manager.end_read(token)
    assert_refused(Code.NOT_ALLOCATED, lambda: manager.end_read(token))


def test_mem_7_a_slot_is_not_written_while_it_is_read_and_not_used_while_it_is_written(
    make: Make,
) -> None:
    manager = make(1)
    token = manager.store(message(1))
    with manager.read(token):
        assert_refused(Code.BORROW_ACTIVE, lambda: manager.begin_write(token))
    with manager.read_mut(token) as found:
        for call in (manager.begin_read, manager.begin_write, manager.free):
            assert_refused(Code.ALREADY_BORROWED, lambda call=call: call(token))
        assert isinstance(found.payload, np.ndarray)
        found.payload[...] = 5
    with manager.read(token) as found:
        assert value_of(found) == [5.0] * 3
    manager.free(token)


def test_a_write_is_not_ended_twice_and_not_as_a_read(make: Make) -> None:
    manager = make(1)
    token = manager.store(message())
    assert_refused(Code.NOT_ALLOCATED, lambda: manager.end_write(token))
    manager.begin_write(token)
    assert_refused(Code.NOT_ALLOCATED, lambda: manager.end_read(token))
    manager.end_write(token)
    assert_refused(Code.NOT_ALLOCATED, lambda: manager.end_write(token))


def test_arrays_on_the_heap_are_handed_out_read_only() -> None:
    manager = HeapMemoryManager(1)
    with manager.read(manager.store(message(1))) as found:
        assert isinstance(found.payload, np.ndarray)
        with pytest.raises(ValueError, match="read-only"):
            found.payload[0] = 9


@pytest.mark.parametrize(
    "payload",
    [
        np.zeros(4, np.float32),
        np.zeros((3, 1), np.float32),
        np.zeros((), np.float32),
        np.zeros(3, np.float64),
        np.zeros(3, np.complex64),
        ["a", "b", "c"],
        [[1.0], [2.0, 3.0]],
        object(),
        None,
    ],
    ids=repr,
)
def test_mem_6_a_payload_that_does_not_fit_is_refused_and_nothing_kept(payload: object) -> None:
    manager = StaticMemoryManager(_SPEC, 1)
    before = manager.statistics()
    assert_refused(Code.PAYLOAD_MISMATCH, lambda: manager.store(Message(header(), payload)))
    assert manager.statistics() == before
    manager.store(message(1))
    assert manager.available == 0


def test_mem_6_a_payload_that_fits_without_loss_is_taken() -> None:
    manager = StaticMemoryManager(_SPEC, 1)
    token = manager.store(Message(header(), np.arange(3, dtype=np.uint8)))
    with manager.read(token) as found:
        assert value_of(found) == [0.0, 1.0, 2.0]


class BrokenPayload:
    def __array__(self, *_: object, **__: object) -> object:
        raise LimenError("the device is gone")


def test_a_payload_that_raises_while_it_is_copied_leaks_no_slot() -> None:
    manager = StaticMemoryManager(_SPEC, 1)
    with pytest.raises(LimenError, match="the device is gone"):
        manager.store(Message(header(), BrokenPayload()))
    assert manager.available == 1


def test_statistics_count_stores_copies_and_the_peak() -> None:
    manager = StaticMemoryManager(_SPEC, 4)
    first, second = manager.store(message(1)), manager.store(message(2))
    manager.free(first)
    manager.free(second)
    manager.store(message(3))
    found = manager.statistics()
    assert (found.capacity, found.available, found.stored) == (4, 3, 3)
    assert (found.peak_used, found.copies, found.payload_bytes) == (2, 3, 48)


class ManagerMachine(RuleBasedStateMachine):
    """A dict from token to value and open reads models a manager."""

    tokens = Bundle("tokens")

    @initialize(name=st.sampled_from(sorted(_MAKES)), depth=st.integers(1, 4))
    def begin(self, name: str, depth: int) -> None:
        self.manager = _MAKES[name](depth)
        self.live: dict[MessageToken, tuple[int, int]] = {}

    @rule(target=tokens, value=st.integers(0, 1000))
    def store(self, value: int) -> MessageToken:
        if len(self.live) == self.manager.capacity:
            assert_refused(Code.NO_FREE_SLOTS, lambda: self.manager.store(message(value)))
            return MessageToken(self.manager.capacity)
        token = self.manager.store(message(value))
        assert token not in self.live
        self.live[token] = (value, 0)
        return token

    @rule(token=tokens)
    def begin_read(self, token: MessageToken) -> None:
        if token not in self.live:
            with pytest.raises(ManagerError):
                self.manager.begin_read(token)
            return
        value, reads = self.live[token]
        found = self.manager.begin_read(token)
        assert (found.header.sequence, value_of(found)) == (value, [value] * 3)
        self.live[token] = (value, reads + 1)

    @rule(token=tokens)
    def end_read(self, token: MessageToken) -> None:
        value, reads = self.live.get(token, (0, 0))
        if reads == 0:
            with pytest.raises(ManagerError) as caught:
                self.manager.end_read(token)
            assert caught.value.code in (Code.BAD_TOKEN, Code.NOT_ALLOCATED)
            return
        self.manager.end_read(token)
        self.live[token] = (value, reads - 1)

    @rule(token=consumes(tokens))
    def free(self, token: MessageToken) -> None:
        if token not in self.live or self.live[token][1]:
            with pytest.raises(ManagerError):
                self.manager.free(token)
            return
        self.manager.free(token)
        del self.live[token]

    @invariant()
    def slots_add_up_and_hold_their_values(self) -> None:
        if not hasattr(self, "manager"):
            return
        assert self.manager.available + len(self.live) == self.manager.capacity
        for token, (value, _) in self.live.items():
            assert self.manager.peek_header(token).sequence == value


TestManagerMachine = ManagerMachine.TestCase


@pytest.mark.parametrize(
    "given",
    [np.arange(3), bytearray(b"abc"), memoryview(bytearray(b"abc"))],
    ids=lambda v: type(v).__name__,
)
def test_what_its_maker_may_write_to_again_is_copied_onto_the_heap(given: Any) -> None:  # noqa: ANN401
    manager = HeapMemoryManager(1)
    token = manager.store(Message(header(), given))
    before = bytes(given)
    given[0] = 77
    with manager.read(token) as found:
        assert bytes(found.payload) == before
        assert isinstance(found.payload, np.ndarray if isinstance(given, np.ndarray) else bytes)
    assert manager.statistics().copies == 1


@pytest.mark.parametrize(
    ("kind", "payload", "fits"),
    [(float, 1, True), (int, np.int8(1), True), (int, 1.5, False), (bytes, "abc", False)],
)
def test_a_heap_of_one_class_takes_its_instances_and_numbers_as_annotations_mean_them(
    kind: type, payload: object, fits: bool
) -> None:
    manager = HeapMemoryManager(1, kind)
    if fits:
        manager.store(Message(header(), payload))
        return
    with pytest.raises(TypeError, match=r"payload is a .*emit what the port declares"):
        manager.store(Message(header(), payload))
    assert manager.available == 1
