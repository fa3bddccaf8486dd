"""What payloads count for at byte caps: data, declared sizes, and what is not looked into."""

from __future__ import annotations

import collections
import enum
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import limen
from limen.errors import ConfigurationError, PayloadMismatchError
from limen.message import (
    BufferDescriptor,
    Message,
    MessageHeader,
    buffer_descriptor,
    counts_data,
    payload_size_bytes,
)
from limen.policy import AdmissionPolicy
from limen.types import DataType, MemoryClass, SequenceNumber, Ticks, TraceId


class Kind(enum.Enum):
    CAR = "a car"


class Number(enum.IntEnum):
    ONE = 1


class Box(NamedTuple):
    x: int
    y: int


class Detection(msgspec.Struct):
    label: str
    score: float
    box: Box
    mask: Any = None


@dataclass(slots=True)
class Frame:
    pixels: Any
    detections: list[Detection]
    note: str = field(init=False)


@dataclass
class OnDevice:
    handle: object

    def buffer_descriptor(self) -> BufferDescriptor:
        return BufferDescriptor(6_000_000, MemoryClass.DEVICE_0)


class Opaque:
    """Of a class that is not looked into."""

    def __init__(self) -> None:
        self.pixels = np.zeros(1000)


class Loop(msgspec.Struct):
    again: Any = None


def loop() -> Loop:
    made = Loop()
    made.again = [made]
    return made


def nested(depth: int) -> object:
    value: object = 1.0
    for _ in range(depth):
        value = [value]
    return value


_SHARED = np.zeros(10, np.uint8)
_BIG = np.zeros((100, 100), np.float32)


@pytest.mark.parametrize(
    ("payload", "size"),
    [
        (_BIG, 40_000),
        (_BIG[::2, :5], 50 * 5 * 4),
        (np.zeros((3, 0)), 0),
        (np.zeros(3, DataType.BF16.numpy_dtype()), 6),
        (np.float32(1), 4),
        (np.bool_(True), 1),
        (b"abc", 3),
        (bytearray(5), 5),
        (memoryview(np.zeros(4, np.uint16)), 8),
        ("abc", 3),
        ("käse", 5),
        ("\udc80", 3),
        (1, 8),
        (1.5, 8),
        (True, 1),
        (2j, 16),
        (None, 0),
        (Number.ONE, 8),
        (Kind.CAR, 8),
        ([1, 2.0, None], 16),
        ((), 0),
        ({"a": 1, "bc": b"xyz"}, 1 + 8 + 2 + 3),
        ({1, 2}, 16),
        (frozenset({"a"}), 1),
        (collections.deque([1.0]), 8),
        (collections.OrderedDict(a=1), 9),
        (Box(1, 2), 16),
        (Detection("cat", 0.5, Box(1, 2)), 3 + 8 + 16),
        (Frame(_BIG, [Detection("cat", 0.5, Box(1, 2), _BIG[:1])]), 40_000 + 27 + 400),
        ([_SHARED, _SHARED], 10),
        ([_SHARED[:5], _SHARED[:5]], 10),
        (np.array([b"abc", None, [1.0]], object), 11),
        (loop(), 0),
        (nested(50_000), 8),
        (OnDevice(None), 6_000_000),
        ([OnDevice(None), 1], 6_000_008),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_payload_counts_its_data(payload: object, size: int) -> None:
    assert payload_size_bytes(payload) == size
    assert buffer_descriptor(payload).bytes == size


def test_an_object_that_is_not_looked_into_counts_itself_alone() -> None:
    assert payload_size_bytes(Opaque()) == sys.getsizeof(Opaque())
    assert payload_size_bytes(len) == sys.getsizeof(len)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (np.ndarray, True),
        (bytes, True),
        (str, True),
        (float, True),
        (Number, True),
        (dict, True),
        (Box, True),
        (Detection, True),
        (Frame, True),
        (OnDevice, True),
        (Opaque, False),
        (object, False),
    ],
)
def test_a_class_says_whether_its_data_is_counted(kind: type, counted: bool) -> None:
    assert counts_data(kind) is counted


_leaves = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)
)


def by_hand(value: object) -> int:
    match value:
        case list():
            return sum(by_hand(item) for item in value)
        case str():
            return len(value.encode())
        case bool():
            return 1
        case None:
            return 0
        case _:
            return 8


@given(st.recursive(_leaves, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_a_list_counts_the_sum_of_its_items(payload: object) -> None:
    assert payload_size_bytes(payload) == by_hand(payload)
    assert payload_size_bytes({"a": payload}) == 1 + by_hand(payload)


class Declares(NamedTuple):
    answer: object

    def buffer_descriptor(self) -> object:
        return self.answer


@pytest.mark.parametrize("answer", [None, 12, (4, MemoryClass.HOST)])
def test_a_declared_size_that_is_none_is_refused_with_what_would_be_right(answer: object) -> None:
    for payload in (Declares(answer), [Declares(answer)]):
        with pytest.raises(PayloadMismatchError, match="return a BufferDescriptor"):
            payload_size_bytes(payload)


@pytest.mark.parametrize(
    ("size", "place", "said"),
    [
        (-1, MemoryClass.HOST, "bytes is -1"),
        (True, MemoryClass.HOST, "bytes is True"),
        (1.5, MemoryClass.HOST, r"bytes is 1\.5"),
        (4, 2, "memory_class is 2"),
    ],
)
def test_a_descriptor_of_nonsense_is_refused(size: object, place: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        BufferDescriptor(size, place)  # type: ignore[arg-type]


def test_what_is_raised_while_declaring_is_not_hidden() -> None:
    class Broken:
        def buffer_descriptor(self) -> BufferDescriptor:
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        buffer_descriptor(Broken())


def message(payload: object) -> Message:
    header = MessageHeader(
        trace_id=TraceId(1),
        sequence=SequenceNumber(1),
        creation_tick=Ticks(1),
        origin_tick=Ticks(1),
        payload_size_bytes=4,
    )
    return Message(header, payload)


def test_size_and_place_follow_the_payload() -> None:
    first = message(np.zeros(1, np.float32))
    assert first.with_payload(b"abcd").header is first.header
    placed = first.with_payload(OnDevice(None))
    assert placed.header.payload_size_bytes == 6_000_000
    assert placed.header.memory_class is MemoryClass.DEVICE_0
    back = placed.map_payload(lambda payload: [payload, 1.0])
    assert back.header.payload_size_bytes == 6_000_008
    assert back.header.memory_class is MemoryClass.HOST
    assert back.into_parts() == (back.header, back.payload)


# In a run.


class Give(limen.Source):
    def __init__(self, payloads: list[Any], kind: type) -> None:
        self.payloads, self.kind = payloads, kind

    def spec(self) -> limen.ObjectSpec:
        return limen.ObjectSpec(self.kind)

    def open(self, clock: object, now: int) -> None:
        self.left = list(self.payloads)

    def try_produce(self, now: int) -> limen.Produced | limen.SourceSignal:
        return limen.Produced(self.left.pop(0)) if self.left else limen.SourceSignal.END_OF_STREAM


class Keep(limen.Sink):
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def consume(self, message: Message, now: int) -> None:
        self.messages.append(message)


def graph_of(payloads: list[Any], kind: type, most: int | None = None) -> tuple[limen.Graph, Keep]:
    graph, kept = limen.Graph("sizes"), Keep()
    graph.add("give", Give(payloads, kind))
    graph.add("keep", kept)
    policy = limen.EdgePolicy(limen.QueueCaps(4, max_bytes=most), AdmissionPolicy.DROP_NEWEST)
    graph.connect("give", "keep", policy=policy)
    return graph, kept


@pytest.mark.parametrize(
    ("payload", "kind", "size"),
    [
        (b"abcde", bytes, 5),
        (1.5, float, 8),
        (Detection("cat", 0.5, Box(1, 2)), Detection, 27),
        (Frame(_BIG, []), Frame, 40_000),
        (OnDevice(None), OnDevice, 6_000_000),
    ],
    ids=["bytes", "a scalar", "a Struct", "a dataclass", "what declares it"],
)
def test_byte_caps_admit_what_is_as_large_as_they_are_and_refuse_one_byte_more(
    payload: object, kind: type, size: int
) -> None:
    graph, kept = graph_of([payload], kind, size)
    limen.run(graph, clock=limen.SimClock())
    assert [m.header.payload_size_bytes for m in kept.messages] == [size]
    assert kept.messages[0].payload is payload, "by reference"
    if size > 8:
        graph, kept = graph_of([payload], kind, size - 1)
        report = limen.run(graph, clock=limen.SimClock())
        assert kept.messages == []
        assert report.statistics.edges[0].refused["too_large"] == 1


def test_a_record_that_grows_past_the_cap_is_counted_message_by_message() -> None:
    frames = [Frame(np.zeros(n, np.uint8), []) for n in (10, 30, 20)]
    graph, kept = graph_of(frames, Frame, 20)
    limen.run(graph, clock=limen.SimClock())
    assert [m.header.payload_size_bytes for m in kept.messages] == [10, 20]


def test_the_memory_class_that_a_payload_declares_is_in_its_header() -> None:
    graph, kept = graph_of([OnDevice(None), OnDevice(None)], OnDevice)
    limen.run(graph, clock=limen.SimClock())
    assert [m.header.memory_class for m in kept.messages] == [MemoryClass.DEVICE_0] * 2


def test_a_payload_that_declares_nonsense_fails_its_producer_not_the_process() -> None:
    graph, kept = graph_of([Declares(-3)], Declares)
    report = limen.run(graph, clock=limen.SimClock())
    assert report.statistics.nodes[0].errors == 1
    assert kept.messages == []


@pytest.mark.parametrize("most", [None, 1000])
@pytest.mark.parametrize("kind", [Opaque, Detection, Frame, OnDevice, bytes, object])
def test_the_check_warns_where_a_byte_cap_counts_only_an_object_s_shell(
    kind: type, most: int | None
) -> None:
    plan = limen.check(graph_of([], kind, most)[0])
    found = [warning for warning in plan.warnings if "buffer_descriptor" in warning]
    assert len(found) == (kind is Opaque and most is not None)
    assert all("Opaque" in warning and "max_bytes" in warning for warning in found)
