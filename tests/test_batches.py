"""Batches: marks by place, views without copies, batches that may be kept."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.errors import ConfigurationError
from limen.message import Batch, BatchView, Message, MessageFlags, MessageHeader
from limen.types import SequenceNumber, Ticks, TraceId

_F = MessageFlags
_MARKS = _F.FIRST_IN_BATCH | _F.LAST_IN_BATCH
flags = st.integers(0, 63).map(MessageFlags)


def header(number: int, marks: MessageFlags = _F.NONE) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(number),
        origin_tick=Ticks(number),
        payload_size_bytes=12,
        flags=marks,
    )


def view_of(count: int, marks: MessageFlags = _F.NONE) -> BatchView:
    payloads = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    payloads.flags.writeable = False
    return BatchView(tuple(header(n, marks) for n in range(count)), payloads)


@given(flags, flags)
def test_flags_are_added_taken_away_and_contained(one: MessageFlags, other: MessageFlags) -> None:
    assert one.with_(other).contains(one)
    assert one.with_(other).contains(other)
    assert one.without(other) & other == _F.NONE
    assert one.without(other).with_(one & other) == one
    assert one.contains(other) == (one.with_(other) == one)
    assert one.contains(_F.NONE)


@pytest.mark.parametrize(
    ("name", "bit"),
    [
        ("FIRST_IN_BATCH", 0),
        ("LAST_IN_BATCH", 1),
        ("DEGRADE_ALLOWED", 2),
        ("DEGRADED", 3),
        ("DEFAULTED", 4),
        ("STALE", 5),
    ],
)
def test_a_flag_keeps_its_bit(name: str, bit: int) -> None:
    assert MessageFlags[name] == 1 << bit
    assert len(MessageFlags) == 6, "as many as are listed here"


@given(st.lists(flags, min_size=1, max_size=5))
def test_exactly_the_first_and_the_last_are_marked_so(given_flags: list[MessageFlags]) -> None:
    count = len(given_flags)
    headers = tuple(header(n, f) for n, f in enumerate(given_flags))
    view = BatchView(headers, np.zeros((count, 3), np.float32))
    kept = Batch.of([Message(h, b"x") for h in headers])
    for found in (list(view), list(kept.messages), list(kept.view())):
        marks = [m.header.flags for m in found]
        assert [f.contains(_F.FIRST_IN_BATCH) for f in marks] == [n == 0 for n in range(count)]
        assert [f.contains(_F.LAST_IN_BATCH) for f in marks] == [
            n == count - 1 for n in range(count)
        ]
        assert [f.without(_MARKS) for f in marks] == [f.without(_MARKS) for f in given_flags]
    assert [view.flags(n) for n in range(count)] == [m.header.flags for m in view]
    assert view.headers == headers, "the headers themselves stay as they came"


def test_a_message_of_a_view_lies_where_the_view_does() -> None:
    view = view_of(3)
    assert isinstance(view.payloads, np.ndarray)
    middle = view[1].payload
    assert isinstance(middle, np.ndarray)
    assert np.shares_memory(middle, view.payloads)
    assert not middle.flags.writeable
    assert view[-1].header.sequence == 2
    assert [m.header.sequence for m in view] == [0, 1, 2]


def test_an_item_without_axes_is_a_view_too() -> None:
    view = BatchView((header(0), header(1)), np.zeros(2, np.float32))
    assert isinstance(view[1].payload, np.ndarray)


def test_a_batch_of_fixed_length_has_no_messages_past_its_items() -> None:
    view = BatchView((header(0), header(1)), np.zeros((4, 3), np.float32))
    assert len(view) == len(list(view)) == 2
    assert view[1].header.flags == _F.LAST_IN_BATCH
    for place in (2, 3, -3):
        with pytest.raises(IndexError):
            view[place]
        with pytest.raises(IndexError):
            view.flags(place)


def test_an_empty_view_has_no_first() -> None:
    view = BatchView((), ())
    assert list(view) == []
    with pytest.raises(IndexError):
        view.flags(0)


def test_what_is_kept_is_independent_of_the_slots() -> None:
    slots = np.ones((2, 3), np.float32)
    kept = BatchView((header(0), header(1)), slots).to_batch()
    slots[...] = 9
    assert [np.asarray(m.payload).tolist() for m in kept.messages] == [[1] * 3] * 2
    thing = object()
    assert BatchView((header(0),), (thing,)).to_batch().messages[0].payload is thing


def test_a_batch_is_viewed_as_a_call_would_be_handed_it() -> None:
    rows = [Message(header(n), np.full(3, n, np.float32)) for n in range(3)]
    view = Batch.of(rows).view()
    assert isinstance(view.payloads, np.ndarray)
    assert view.payloads.shape == (3, 3)
    with pytest.raises(ValueError, match="read-only"):
        view.payloads[0, 0] = 1  # type: ignore[call-overload]
    assert len(Batch.of(rows)) == len(view) == 3


@pytest.mark.parametrize(
    "payloads",
    [
        (np.zeros(3), b"x"),
        (np.zeros(3), np.zeros(4)),
        (np.zeros(3), np.zeros(3, np.float32)),
        ("a", "b"),
    ],
)
def test_payloads_that_do_not_lie_side_by_side_are_a_tuple(payloads: tuple[Any, ...]) -> None:
    view = Batch.of([Message(header(n), p) for n, p in enumerate(payloads)]).view()
    assert isinstance(view.payloads, tuple)
    assert all(found is given for found, given in zip(view.payloads, payloads, strict=True))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="give at least one"):
        Batch.of([])


def test_views_and_batches_cannot_be_changed() -> None:
    for frozen, name in ((view_of(1), "headers"), (view_of(1).to_batch(), "messages")):
        with pytest.raises(AttributeError):
            setattr(frozen, name, ())
    assert msgspec.structs.asdict(view_of(1))["headers"] == (header(0),)
