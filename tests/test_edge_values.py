"""What edges say word for word, and what they keep and let go of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, ClassVar

import pytest

from limen.edge import (
    HeapRing,
    NoQueue,
    Priority2,
    PushResult,
    Ring,
    StaticRing,
    find_edge,
    open_edge,
)
from limen.errors import Code, ConfigurationError, LifecycleError, LimenError, QueueError
from limen.message import MessageHeader
from limen.platform import NoopClock, PlatformClock, SimClock
from limen.policy import EdgePolicy, QueueCaps, Watermark
from limen.types import INVALID_TOKEN, MessageToken, QoSClass, SequenceNumber, Ticks, TraceId

_RINGS: tuple[type[Ring], ...] = (StaticRing, HeapRing, Priority2)

every_ring = pytest.mark.parametrize("kind", _RINGS, ids=lambda kind: kind.__name__)


def header(size: int = 1, qos: QoSClass = QoSClass.BEST_EFFORT) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=size,
        qos=qos,
    )


def ring(kind: type[Ring], items: int = 3) -> Ring:
    edge = kind(QueueCaps(items), NoopClock())
    edge.try_push(MessageToken(7), header(), Ticks(0))
    return edge


_TEXTS: dict[str, tuple[Callable[[Ring], object], type[LimenError], Code, str]] = {
    "a second producer": (
        lambda edge: (edge.producer(), edge.producer()),
        LifecycleError,
        Code.WRONG_STATE,
        "this edge has a producer already",
    ),
    "a second consumer": (
        lambda edge: (edge.consumer(), edge.consumer()),
        LifecycleError,
        Code.WRONG_STATE,
        "this edge has a consumer already",
    ),
    "a push after the close": (
        lambda edge: (edge.close(), edge.try_push(MessageToken(1), header(), Ticks(0))),
        LifecycleError,
        Code.WRONG_STATE,
        "push into a closed edge",
    ),
    "an instant past the end": (
        lambda edge: edge.push_tick_at(1),
        QueueError,
        Code.QUEUE_EMPTY,
        "place 1 of 1",
    ),
    "a header before the front": (
        lambda edge: edge.header_at(-1),
        QueueError,
        Code.QUEUE_EMPTY,
        "place -1 of 1",
    ),
    "an item past the end": (
        lambda edge: edge.item(1),
        QueueError,
        Code.QUEUE_EMPTY,
        "place 1 of 1",
    ),
}


@every_ring
@pytest.mark.parametrize("case", _TEXTS)
def test_a_refusal_says_word_for_word_what_was_wrong(kind: type[Ring], case: str) -> None:
    call, error, code, text = _TEXTS[case]
    with pytest.raises(error) as caught:
        call(ring(kind))
    assert (caught.value.code, str(caught.value)) == (code, text)


def test_a_place_of_a_static_ring_that_should_hold_something_and_does_not_is_poisoned() -> None:
    edge = StaticRing(QueueCaps(2), NoopClock())
    with pytest.raises(QueueError) as caught:
        edge._at(1)
    assert (caught.value.code, str(caught.value)) == (Code.QUEUE_POISONED, "place 1 holds nothing")


@every_ring
@pytest.mark.parametrize("leave", ["try_pop", "evict"])
def test_a_ring_lets_go_of_the_header_of_what_left(kind: type[Ring], leave: str) -> None:
    mine = header()
    before = sys.getrefcount(mine)
    edge = kind(QueueCaps(3), NoopClock())
    edge.try_push(MessageToken(1), mine, Ticks(0))
    assert sys.getrefcount(mine) > before
    assert getattr(edge, leave)() == 1
    assert sys.getrefcount(mine) == before


@every_ring
def test_bytes_are_those_that_wait_whichever_way_messages_leave(kind: type[Ring]) -> None:
    edge = kind(QueueCaps(4), NoopClock())
    assert edge.size_bytes == 0
    for token, size in enumerate((1, 10, 100, 1000)):
        edge.try_push(MessageToken(token), header(size), Ticks(0))
    assert edge.size_bytes == 1111
    assert (edge.try_pop(), edge.size_bytes) == (0, 1110)
    assert (edge.evict(), edge.size_bytes) == (1, 1100)
    assert edge.occupancy(EdgePolicy(QueueCaps(4, max_bytes=1100))) == (
        2,
        1100,
        Watermark.AT_OR_ABOVE_HARD,
    )


def test_a_static_ring_is_made_as_large_as_its_caps_and_stays_so() -> None:
    edge = StaticRing(QueueCaps(3), NoopClock())
    assert edge._entries == [None] * 3
    for token in range(7):
        edge.try_push(MessageToken(token), header(), Ticks(0))
        edge.try_pop()
    assert edge._entries == [None] * 3


def test_no_queue_refuses_without_raising_and_has_ended() -> None:
    edge = NoQueue()
    assert edge.try_push(MessageToken(1), header(), Ticks(0)) is PushResult.REJECTED
    assert (edge.ended, edge.closed, len(edge), edge.size_bytes) == (True, True, 0, 0)
    assert (edge.try_pop(), edge.evict()) == (INVALID_TOKEN, INVALID_TOKEN)
    assert edge.caps == QueueCaps(1)
    assert edge.occupancy(EdgePolicy(QueueCaps(1))) == (0, 0, Watermark.BELOW_SOFT)


@every_ring
def test_an_endpoint_is_the_edge_itself(kind: type[Ring]) -> None:
    edge = ring(kind)
    assert edge.producer() is edge
    assert edge.consumer() is edge
    assert edge.caps == QueueCaps(3)


@pytest.mark.parametrize("qos", list(QoSClass), ids=lambda qos: qos.name)
def test_only_what_is_latency_critical_takes_the_high_lane(qos: QoSClass) -> None:
    edge = Priority2(QueueCaps(3), NoopClock())
    edge.try_push(MessageToken(1), header(), Ticks(0))
    edge.try_push(MessageToken(2), header(qos=qos), Ticks(0))
    overtakes = qos is QoSClass.LATENCY_CRITICAL
    assert edge.try_peek_at(0) == (2 if overtakes else 1)
    assert edge.evict() == 1


def test_the_words_for_what_became_of_a_push_are_these() -> None:
    assert [result.value for result in PushResult] == ["enqueued", "rejected"]


# ------------------------------------------------------------------ edges that a graph names


class Halved(StaticRing):
    """An edge that gives what it is told to as its endpoints."""

    ends: ClassVar[tuple[object, object]] = (None, None)

    def producer(self) -> Any:  # noqa: ANN401 - whatever it was told
        return super().producer() if self.ends[0] is None else self.ends[0]

    def consumer(self) -> Any:  # noqa: ANN401 - whatever it was told
        return super().consumer() if self.ends[1] is None else self.ends[1]


def gives(producer: object, consumer: object) -> Any:  # noqa: ANN401 - a class
    return type("Told", (Halved,), {"ends": (producer, consumer)})


def fails(caps: QueueCaps, clock: PlatformClock) -> Any:  # noqa: ANN401 - nothing
    raise ZeroDivisionError("no room")


_MAKE = "correct make(caps, clock) -> Edge in the package that offers it"
_UNFIT: dict[str, tuple[Any, int, Code, str]] = {
    "no edge": (
        lambda caps, clock: 5,
        1,
        Code.BAD_COMPONENT,
        "ring 'r' makes a int; it must make an Edge",
    ),
    "a failure": (
        fails,
        1,
        Code.BAD_COMPONENT,
        f"ring 'r' cannot be made: ZeroDivisionError: no room; {_MAKE}",
    ),
    "a producer that is none": (
        gives(5, None),
        1,
        Code.BAD_COMPONENT,
        "ring 'r' gives a int as its producer; producer() must give all that EdgeProducer names",
    ),
    "a consumer that is none": (
        gives(None, "x"),
        1,
        Code.BAD_COMPONENT,
        "ring 'r' gives a str as its consumer; consumer() must give all that EdgeConsumer names",
    ),
    "one lane for two": (
        StaticRing,
        2,
        Code.QUEUE_UNSUPPORTED,
        "ring 'r' has one lane, and the policy asks for 2; write lanes = 1, or name another ring",
    ),
    "two lanes for one": (
        Priority2,
        1,
        Code.QUEUE_UNSUPPORTED,
        "ring 'r' has 2 lanes, and the policy asks for 1; write lanes = 2, or name another ring",
    ),
}


@pytest.mark.parametrize("case", _UNFIT)
def test_an_edge_that_cannot_be_used_is_refused_word_for_word(case: str) -> None:
    make, lanes, code, text = _UNFIT[case]
    with pytest.raises(LimenError) as caught:
        open_edge("r", make, EdgePolicy(QueueCaps(3), lanes=lanes), NoopClock())
    assert (caught.value.code, str(caught.value)) == (code, text)
    assert isinstance(caught.value, QueueError) is (code is Code.QUEUE_UNSUPPORTED)


def test_an_edge_that_refuses_by_itself_is_quoted_as_it_is() -> None:
    def make(caps: QueueCaps, clock: PlatformClock) -> Any:  # noqa: ANN401 - nothing
        raise QueueError("not today", code=Code.QUEUE_FULL)

    with pytest.raises(QueueError, match=r"^not today$"):
        open_edge("r", make, EdgePolicy(), NoopClock())


@pytest.mark.parametrize(("make", "lanes"), [(HeapRing, 1), (Priority2, 2)])
def test_an_open_edge_has_its_policys_caps_its_clock_and_both_endpoints(
    make: type[Ring], lanes: int
) -> None:
    clock = SimClock(tick_rate_hz=1000)
    opened = open_edge("r", make, EdgePolicy(QueueCaps(3), lanes=lanes), clock)
    assert opened == (opened.edge, opened.edge, opened.edge)
    assert isinstance(opened.edge, make)
    assert opened.edge.caps == QueueCaps(3)
    opened.producer.try_push(MessageToken(1), header(), Ticks(7))
    assert opened.producer.item(0).pushed_ns == 7_000_000
    with pytest.raises(LifecycleError):
        opened.edge.consumer()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``limen.edges`` name a ring, and a number."""

    def found(*, group: str, name: str = "") -> EntryPoints:
        here = {"mine": "limen.edge:HeapRing", "number": "limen.edge:RING_GROUP"}
        assert group == "limen.edges"
        wanted = [name] if name else list(here)
        return EntryPoints(EntryPoint(key, here[key], group) for key in wanted if key in here)

    monkeypatch.setattr("importlib.metadata.entry_points", found)


@pytest.mark.usefixtures("offered")
def test_an_edge_is_found_by_name_or_refused_word_for_word() -> None:
    assert find_edge("mine") is HeapRing
    for name, code, text in (
        (
            "number",
            Code.BAD_COMPONENT,
            "ring 'number' is a str; its package must name a class or a function: "
            "make(caps, clock) -> Edge",
        ),
        (
            "mined",
            Code.UNKNOWN_TYPE,
            "unknown ring 'mined'; did you mean 'mine'? (known: mine, number)",
        ),
    ):
        with pytest.raises(ConfigurationError) as caught:
            find_edge(name)
        assert (caught.value.code, str(caught.value)) == (code, text)
