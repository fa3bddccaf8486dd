"""The header that a source makes and every node hands on."""

from __future__ import annotations

import enum

import msgspec

from limen.types import (
    ClockDomainId,
    DeadlineNs,
    MemoryClass,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)


class MessageFlags(enum.IntFlag):
    """Marks on a message; ``with_``, ``without`` and ``contains`` read better than bit tricks."""

    NONE = 0
    FIRST_IN_BATCH = 1
    LAST_IN_BATCH = 2
    DEGRADE_ALLOWED = 4
    DEGRADED = 8
    DEFAULTED = 16
    STALE = 32

    def with_(self, other: MessageFlags) -> MessageFlags:
        """Return these marks and the others."""
        return self | other

    def without(self, other: MessageFlags) -> MessageFlags:
        """Return these marks less the others."""
        return self & ~other

    def contains(self, other: MessageFlags) -> bool:
        """Whether all of the other marks are set."""
        return self & other == other


class MessageHeader(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Identity, times and classes of one message; immutable, and shared by those who hand it on.

    Attributes:
        trace_id: The source message this one stems from.
        sequence: Number of that message at its source port, from 0.
        creation_tick: When it was made, in ticks of ``clock_domain``.
        origin_tick: The oldest creation among everything that went into it.
        deadline_ns: Absolute deadline in nanoseconds since the clock's epoch, if it carries one.
        qos: Its class at queues that look at it.
        payload_size_bytes: Bytes of the payload; follows the payload when a node replaces it.
        flags: Marks.
        memory_class: Where the payload lies.
        max_age_ns: Age past which it is stale, if the producer says so.
        clock_domain: The clock that its ticks count.
    """

    trace_id: TraceId
    sequence: SequenceNumber
    creation_tick: Ticks
    origin_tick: Ticks
    payload_size_bytes: int
    deadline_ns: DeadlineNs | None = None
    qos: QoSClass = QoSClass.BEST_EFFORT
    flags: MessageFlags = MessageFlags.NONE
    memory_class: MemoryClass = MemoryClass.HOST
    max_age_ns: int | None = None
    clock_domain: ClockDomainId = ClockDomainId(0)

    def resized(
        self, payload_size_bytes: int, memory_class: MemoryClass = MemoryClass.HOST
    ) -> MessageHeader:
        """Return this header for a payload of another size and place; itself where both stay."""
        if payload_size_bytes == self.payload_size_bytes and memory_class is self.memory_class:
            return self
        return msgspec.structs.replace(
            self, payload_size_bytes=payload_size_bytes, memory_class=memory_class
        )

    def with_flags(self, flags: MessageFlags) -> MessageHeader:
        """Return this header with other marks; itself where they are the same."""
        if flags == self.flags:
            return self
        return msgspec.structs.replace(self, flags=flags)

    def with_origin(self, origin_tick: Ticks) -> MessageHeader:
        """Return this header for a payload that older messages went into as well."""
        return msgspec.structs.replace(self, origin_tick=origin_tick)
