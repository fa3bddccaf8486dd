"""Memory managers beyond their contract: what the heap takes, and a model of them all."""

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

from limen.errors import Code, LimenError, ManagerError
from limen.memory import (
    BoundedMemoryManager,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    StaticMemoryManager,
)
from limen.message import Message, MessageHeader
from limen.types import DataType, MessageToken, SequenceNumber, TensorSpec, Ticks, TraceId, UpTo

_SPEC = TensorSpec(DataType.F32, (3,))
_BOUNDED = TensorSpec(DataType.F32, (UpTo(4),))
Make = Callable[[int], MemoryManager]
_MAKES: dict[str, Make] = {
    "static": lambda depth: StaticMemoryManager(_SPEC, depth),
    "heap": HeapMemoryManager,
    "bounded": lambda depth: BoundedMemoryManager(_BOUNDED, depth),
    "checked static": lambda depth: CheckedStaticMemoryManager(_SPEC, depth),
    "checked heap": CheckedHeapMemoryManager,
    "checked bounded": lambda depth: CheckedBoundedMemoryManager(_BOUNDED, depth),
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


def assert_refused(code: Code, call: Callable[[], object]) -> None:
    with pytest.raises(ManagerError) as caught:
        call()
    assert caught.value.code is code


def test_the_heap_hands_back_the_very_object() -> None:
    manager = HeapMemoryManager(1)
    payload = {"score": 1}
    with manager.read(manager.store(Message(header(), payload))) as found:
        assert found.payload is payload


def test_a_payload_that_fits_without_loss_is_taken() -> None:
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
