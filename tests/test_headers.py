"""Headers of results that several messages went into: SPEC 4 and SEMANTICS 6, rule by rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import msgspec
import pytest

from limen.message import MessageFlags, MessageHeader, joined_header, window_header
from limen.types import (
    ClockDomainId,
    DeadlineNs,
    MemoryClass,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)

_F = MessageFlags
_INHERITED = (_F.DEGRADED, _F.DEFAULTED, _F.STALE)
_BATCH = (_F.FIRST_IN_BATCH, _F.LAST_IN_BATCH)


def header(
    number: int = 0,
    creation: int = 100,
    origin: int | None = None,
    deadline: int | None = None,
    qos: QoSClass = QoSClass.BEST_EFFORT,
    flags: MessageFlags = _F.NONE,
    max_age: int | None = None,
) -> MessageHeader:
    """A header whose identity follows from its number."""
    return MessageHeader(
        trace_id=TraceId(1000 + number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(creation),
        origin_tick=Ticks(creation if origin is None else origin),
        payload_size_bytes=4,
        deadline_ns=None if deadline is None else DeadlineNs(deadline),
        qos=qos,
        flags=flags,
        max_age_ns=max_age,
    )


def least(values: Sequence[int | None]) -> int | None:
    given = sorted(value for value in values if value is not None)
    return given[0] if given else None


def kinds() -> list[MessageHeader]:
    """Headers that differ in all that is combined."""
    times = ((100, 90), (80, 80), (120, 30))
    return [
        header(number, creation, origin, deadline, qos, flags, max_age)
        for number, ((creation, origin), (deadline, max_age), (qos, flags)) in enumerate(
            itertools.product(
                times,
                ((None, 7), (500, None), (400, 9)),
                ((QoSClass.BACKGROUND, _F.STALE), (QoSClass.LATENCY_CRITICAL, _F.NONE)),
            )
        )
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_small_join_combines_as_the_rules_say(count: int) -> None:
    for flows in itertools.product(kinds()[:: count if count > 1 else 1], repeat=count):
        joined = joined_header(flows)
        assert (joined.trace_id, joined.sequence) == (flows[0].trace_id, flows[0].sequence)
        assert joined.creation_tick == min(h.creation_tick for h in flows)
        assert joined.origin_tick == min(h.origin_tick for h in flows)
        assert joined.deadline_ns == least([h.deadline_ns for h in flows])
        assert joined.qos == max(h.qos for h in flows)
        assert joined.max_age_ns == least([h.max_age_ns for h in flows])
        stale = any(_F.STALE in h.flags for h in flows)
        assert (_F.STALE in joined.flags) is stale


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_small_window_takes_after_its_newest_with_the_oldest_origin(count: int) -> None:
    for members in itertools.product(kinds()[:: count if count > 1 else 1], repeat=count):
        made, newest = window_header(members), members[-1]
        for name in ("trace_id", "sequence", "creation_tick", "deadline_ns"):
            assert getattr(made, name) == getattr(newest, name), name
        assert made.origin_tick == min(h.origin_tick for h in members)


def test_the_newest_of_a_window_is_the_last_in_order_not_the_youngest() -> None:
    made = window_header([header(1, creation=300, deadline=9), header(2, creation=200)])
    assert (made.sequence, made.creation_tick, made.deadline_ns) == (2, 200, None)
    assert made.origin_tick == 200


@pytest.mark.parametrize("flag", _INHERITED, ids=str)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("combine", [joined_header, window_header])
def test_a_mark_that_is_inherited_is_so_from_any_place(
    combine: Callable[[Sequence[MessageHeader]], MessageHeader], place: int, flag: MessageFlags
) -> None:
    plain = [header(n) for n in range(3)]
    assert flag not in combine(plain).flags
    plain[place] = header(place, flags=flag)
    assert combine(plain).flags == flag


@pytest.mark.parametrize("flag", _BATCH, ids=str)
@pytest.mark.parametrize("combine", [joined_header, window_header])
def test_batch_marks_do_not_outlive_their_batch(
    combine: Callable[[Sequence[MessageHeader]], MessageHeader], flag: MessageFlags
) -> None:
    marked = [header(0, flags=flag), header(1, flags=flag | _F.STALE)]
    assert combine(marked).flags == _F.STALE


def test_a_join_may_be_degraded_only_where_every_flow_allows_it() -> None:
    allowed = header(0, flags=_F.DEGRADE_ALLOWED)
    assert joined_header([allowed, allowed]).flags == _F.DEGRADE_ALLOWED
    assert joined_header([allowed, header(1)]).flags == _F.NONE
    assert joined_header([header(1), allowed]).flags == _F.NONE


def test_marks_of_different_inputs_are_united() -> None:
    flows = [header(0, flags=_F.STALE), header(1, flags=_F.DEGRADED), header(2, flags=_F.DEFAULTED)]
    assert joined_header(flows).flags == _F.STALE | _F.DEGRADED | _F.DEFAULTED


def test_a_latch_beside_a_flow_contributes_to_the_origin_only() -> None:
    flow = header(0, creation=100)
    latch = header(7, 10, 5, 1, QoSClass.LATENCY_CRITICAL, _F.NONE, 1)
    assert joined_header([flow], [latch]) == flow.with_origin(Ticks(5))


def test_a_latch_that_is_younger_than_the_flow_changes_nothing() -> None:
    flow = header(0, creation=100)
    assert joined_header([flow], [header(1, creation=200)]) == flow


def test_latches_among_themselves_are_joined_like_flows() -> None:
    first = header(3, 100, deadline=700, max_age=9)
    second = header(4, 50, 40, 600, QoSClass.LATENCY_CRITICAL)
    alone = joined_header([], [first, second])
    assert alone == joined_header([first, second])
    assert (alone.sequence, alone.creation_tick, alone.origin_tick) == (3, 50, 40)
    assert (alone.deadline_ns, alone.qos, alone.max_age_ns) == (600, QoSClass.LATENCY_CRITICAL, 9)


def test_one_message_alone_gives_its_own_header() -> None:
    only = header(5, 100, 60, 900, QoSClass.BACKGROUND, _F.DEGRADE_ALLOWED | _F.STALE, 3)
    assert joined_header([only]) == only
    assert window_header([only]) == only


@pytest.mark.parametrize("combine", [joined_header, window_header])
def test_shared_headers_are_never_mutated(
    combine: Callable[[Sequence[MessageHeader]], MessageHeader],
) -> None:
    members = [header(0, 100, 20, 500, flags=_F.STALE), header(1, 90, 90, 400, max_age=2)]
    before = [msgspec.structs.replace(member) for member in members]
    combine(members)
    assert members == before
    with pytest.raises(AttributeError):
        members[0].origin_tick = Ticks(0)


def test_clock_domain_and_memory_class_follow_the_first_flow_of_a_join() -> None:
    other = msgspec.structs.replace(
        header(0), clock_domain=ClockDomainId(3), memory_class=MemoryClass.HOST
    )
    assert joined_header([other, header(1)]).clock_domain == 3


def test_an_unchanged_size_or_origin_gives_the_same_header_back() -> None:
    one = header(0, 100, 50)
    assert one.resized(4) is one
    assert one.resized(8).payload_size_bytes == 8
    assert one.with_origin(Ticks(50)) == one
    assert one.with_origin(Ticks(20)).origin_tick == 20
    assert one.origin_tick == 50
