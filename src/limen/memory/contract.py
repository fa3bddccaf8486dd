"""The contract of a memory manager: bounded slots, named by tokens."""

from __future__ import annotations

import abc
from collections.abc import MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from limen.errors import Code, ConfigurationError, ManagerError
from limen.message import Message, MessageHeader
from limen.types import MemoryClass, MessageToken


class HeaderStore(Protocol):
    """Looks headers up by token; what admission and batching need to know of memory."""

    def peek_header(self, token: MessageToken) -> MessageHeader:
        """Return the header of a live token."""


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """What a manager has done.

    Attributes:
        capacity: Slots in all.
        available: Slots free now.
        stored: Messages stored since the start.
        peak_used: Most slots in use at once.
        copies: Payloads copied into a slot; those written in place do not count.
        payload_bytes: Bytes preallocated for payloads; 0 where payloads are held by reference.
    """

    capacity: int
    available: int
    stored: int
    peak_used: int
    copies: int
    payload_bytes: int


class _Guard:
    """Access to one slot for the length of a ``with`` block."""

    __slots__ = ("_manager", "_token")

    def __init__(self, manager: MemoryManager, token: MessageToken) -> None:
        self._manager = manager
        self._token = token


class ReadGuard(_Guard):
    """Read access to one slot for the length of a ``with`` block."""

    __slots__ = ()

    def __enter__(self) -> Message:
        return self._manager.begin_read(self._token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.end_read(self._token)


class WriteGuard(_Guard):
    """Write access to one slot for the length of a ``with`` block; nobody else has any."""

    __slots__ = ()

    def __enter__(self) -> Message:
        return self._manager.begin_write(self._token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._manager.end_write(self._token)


class MemoryManager(abc.ABC):
    """Bounded slots that hold header and payload; one manager serves one output port.

    The producer stores, the consumers read and hand tokens back; the runtime is the only caller.

    - MEM-1: ``available + live tokens == capacity`` at every moment.
    - MEM-2: ``store`` on a full manager raises NO_FREE_SLOTS and changes nothing.
    - MEM-3: A freed or foreign token is refused by every method, never read.
    - MEM-4: What ``store`` was given is what ``read`` returns, until ``free``.
    - MEM-5: Freeing while a read is open is refused with BORROW_ACTIVE.
    - MEM-6: A payload that does not fit the slot is refused with PAYLOAD_MISMATCH, nothing kept.
    - MEM-7: A write is refused with BORROW_ACTIVE while a read is open, and reads, writes and frees
      with ALREADY_BORROWED while a write is.

    Args:
        depth: Number of slots, at least 1.
    """

    memory_class = MemoryClass.HOST

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ConfigurationError(
                f"memory manager of depth {depth}", remedy="give it at least one slot"
            )
        self.capacity = depth
        self._headers: list[MessageHeader | None] = [None] * depth
        # Open reads of each slot; -1 while it is written.
        self._readers = [0] * depth
        # Slots leave and return in a circle, so that consecutive messages lie side by side.
        self._free_ring = list(range(depth))
        self._free_head = 0
        self._available = depth
        self._stored = 0
        self._peak_used = 0
        self._copies = 0

    @property
    def available(self) -> int:
        """Slots free now."""
        return self._available

    def peek_header(self, token: MessageToken) -> MessageHeader:
        """Return the header of a live token.

        Raises:
            ManagerError: The token is not live here.
        """
        if not 0 <= token < self.capacity:
            raise ManagerError(
                f"token {token} is not of this manager ({self.capacity} slots)", code=Code.BAD_TOKEN
            )
        header = self._headers[token]
        if header is None:
            raise ManagerError(f"token {token} is not allocated", code=Code.NOT_ALLOCATED)
        return header

    # What this class itself calls: there a token is a slot, whatever subclasses make of tokens.
    _header_at = peek_header

    def describe(self, token: MessageToken) -> str:
        """Name a token in an error, with what else is known of it."""
        return f"token {token}"

    def read(self, token: MessageToken) -> ReadGuard:
        """Return a guard that yields the message inside its ``with`` block."""
        return ReadGuard(self, token)

    def read_mut(self, token: MessageToken) -> WriteGuard:
        """Return a guard that yields the message with a payload that can be written."""
        return WriteGuard(self, token)

    def begin_read(self, token: MessageToken) -> Message:
        """Open a read and return the message; every call is paired with ``end_read``.

        Raises:
            ManagerError: The token is not live here, or it is being written.
        """
        header = self._header_at(token)
        if self._readers[token] < 0:
            raise _being_written(token)
        self._readers[token] += 1
        return Message(header, self._payload(token))

    def end_read(self, token: MessageToken) -> None:
        """Close a read that ``begin_read`` opened."""
        if not 0 <= token < self.capacity or self._readers[token] < 1:
            raise ManagerError(f"token {token} has no read to end", code=Code.NOT_ALLOCATED)
        self._readers[token] -= 1

    def begin_write(self, token: MessageToken) -> Message:
        """Open a write and return the message; every call is paired with ``end_write``.

        Raises:
            ManagerError: The token is not live here, or it is being read or written.
        """
        header = self._header_at(token)
        if self._readers[token] < 0:
            raise _being_written(token)
        if self._readers[token]:
            raise ManagerError(
                f"token {token} is written while a read of it is open", code=Code.BORROW_ACTIVE
            )
        self._readers[token] = -1
        return Message(header, self._payload_mut(token))

    def end_write(self, token: MessageToken) -> None:
        """Close a write that ``begin_write`` opened."""
        if not 0 <= token < self.capacity or self._readers[token] >= 0:
            raise ManagerError(f"token {token} has no write to end", code=Code.NOT_ALLOCATED)
        self._readers[token] = 0

    def store(self, message: Message) -> MessageToken:
        """Take a message into a free slot and return the token that names it.

        Raises:
            ManagerError: No slot is free, or the payload does not fit one.
        """
        token = self._claim()
        try:
            self._put(token, message.payload)
        except BaseException:
            self._unclaim()
            raise
        self._keep(token, message.header)
        return token

    def free(self, token: MessageToken) -> None:
        """Give a slot back.

        Raises:
            ManagerError: The token is not live here, or a read of it is open.
        """
        self._header_at(token)
        if self._readers[token] < 0:
            raise _being_written(token)
        if self._readers[token]:
            raise ManagerError(
                f"token {token} is freed while a read of it is open", code=Code.BORROW_ACTIVE
            )
        self._headers[token] = None
        self._drop(token)
        self._free_ring[(self._free_head + self._available) % self.capacity] = token
        self._available += 1

    def statistics(self) -> MemoryStatistics:
        """Return the counts so far."""
        return MemoryStatistics(
            capacity=self.capacity,
            available=self._available,
            stored=self._stored,
            peak_used=self._peak_used,
            copies=self._copies,
            payload_bytes=self.payload_bytes,
        )

    def share_counts(self) -> MutableMapping[MessageToken, int] | list[int]:
        """Return a place to count, by token, how many edges hold a slot; 0 at first."""
        return [0] * self.capacity

    @property
    @abc.abstractmethod
    def payload_bytes(self) -> int:
        """Bytes preallocated for payloads."""

    @abc.abstractmethod
    def _payload(self, token: MessageToken) -> object:
        """Return the payload of a live slot."""

    @abc.abstractmethod
    def _payload_mut(self, token: MessageToken) -> object:
        """Return the payload of a live slot, to be written."""

    @abc.abstractmethod
    def _put(self, token: MessageToken, payload: object) -> None:
        """Write a payload into a claimed slot."""

    @abc.abstractmethod
    def _drop(self, token: MessageToken) -> None:
        """Forget the payload of a slot that is being freed."""

    def _claim(self) -> MessageToken:
        if self._available == 0:
            raise ManagerError(f"all {self.capacity} slots are in use", code=Code.NO_FREE_SLOTS)
        slot = self._free_ring[self._free_head]
        self._free_head = (self._free_head + 1) % self.capacity
        self._available -= 1
        return MessageToken(slot)

    def _keep(self, token: MessageToken, header: MessageHeader) -> None:
        self._headers[token] = header
        self._stored += 1
        self._peak_used = max(self._peak_used, self.capacity - self._available)

    def _unclaim(self) -> None:
        self._free_head = (self._free_head - 1) % self.capacity
        self._available += 1


def _being_written(token: MessageToken) -> ManagerError:
    return ManagerError(f"token {token} is being written", code=Code.ALREADY_BORROWED)
