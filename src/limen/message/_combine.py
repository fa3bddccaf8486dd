"""The header of a message that several went into."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from limen.message._header import MessageFlags, MessageHeader
from limen.types import DeadlineNs

_INHERITED = MessageFlags.DEGRADED | MessageFlags.DEFAULTED | MessageFlags.STALE


def window_header(headers: Sequence[MessageHeader]) -> MessageHeader:
    """Return the header of a result made of a whole window: the newest's, with the oldest origin.

    Args:
        headers: Of the messages presented, oldest first; the last counts as the newest.
    """
    newest = headers[-1]
    flags = newest.flags & MessageFlags.DEGRADE_ALLOWED
    for header in headers:
        flags |= header.flags & _INHERITED
    return msgspec.structs.replace(
        newest, origin_tick=min(header.origin_tick for header in headers), flags=flags
    )


def joined_header(
    flows: Sequence[MessageHeader], state: Sequence[MessageHeader] = ()
) -> MessageHeader:
    """Return the header of a result made of one message an input.

    Trace and sequence are those of the first; creation and deadline the earliest, the class the
    highest, the age limit the smallest. State counts for the origin only, unless there is nothing
    else. A result may be degraded only where each input allows it.

    Args:
        flows: Of the messages taken, in port order.
        state: Of the values of latches and of what feedback edges brought, in port order.
    """
    chosen = flows or state
    allowed = MessageFlags.DEGRADE_ALLOWED
    marks = MessageFlags.NONE
    for header in chosen:
        allowed &= header.flags
        marks |= header.flags & _INHERITED
    deadlines = [h.deadline_ns for h in chosen if h.deadline_ns is not None]
    ages = [h.max_age_ns for h in chosen if h.max_age_ns is not None]
    return msgspec.structs.replace(
        chosen[0],
        creation_tick=min(h.creation_tick for h in chosen),
        origin_tick=min(h.origin_tick for h in (*flows, *state)),
        deadline_ns=DeadlineNs(min(deadlines)) if deadlines else None,
        qos=max(h.qos for h in chosen),
        max_age_ns=min(ages, default=None),
        flags=allowed | marks,
    )
