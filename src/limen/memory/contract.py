"""The contract of a memory manager: bounded slots, named by tokens."""

from __future__ import annotations

import abc
from collections.abc import MutableMapping, Sequence
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

    Slots
    - MEM-1: ``capacity`` is the depth given; ``available`` and the live tokens add up to it.
    - MEM-2: A depth below 1 is refused.
    - MEM-3: ``store`` raises NO_FREE_SLOTS where no slot is free.
    - MEM-4: That changes nothing, neither what is stored nor what is counted.
    - MEM-5: The tokens of live messages differ.
    - MEM-6: What was freed can be stored into again, over and over; no slot is lost.
    - MEM-7: Managers share no state.

    What is stored
    - MEM-8: ``peek_header`` returns the header that was stored, until ``free``.
    - MEM-9: A read returns the header that was stored.
    - MEM-10: A read returns the payload that was stored, however often.
    - MEM-11: Storing, writing and freeing others changes no payload.
    - MEM-12: Where payloads are copied, what their maker writes to them later does not show.
    - MEM-13: Where payloads are arrays, a read's cannot be written to.
    - MEM-14: Where payloads are arrays, a write's can be, and reads return then what was written.

    Tokens
    - MEM-15: ``peek_header`` refuses a freed token with NOT_ALLOCATED, one never given with
      BAD_TOKEN.
    - MEM-16: Reads refuse them likewise, whether they are guarded or not.
    - MEM-17: Writes refuse them likewise, whether they are guarded or not.
    - MEM-18: ``free`` refuses them likewise.
    - MEM-19: ``end_read`` and ``end_write`` refuse them likewise.
    - MEM-20: A token that is refused changes nothing.

    Borrows
    - MEM-21: A message can be read several times at once; each ``end_read`` ends one read.
    - MEM-22: ``free`` raises BORROW_ACTIVE while a read is open.
    - MEM-23: A write raises BORROW_ACTIVE while a read is open.
    - MEM-24: Reads and writes raise ALREADY_BORROWED while a write is open.
    - MEM-25: ``free`` raises ALREADY_BORROWED while a write is open.
    - MEM-26: ``end_read`` raises NOT_ALLOCATED where no read is open, also while a write is.
    - MEM-27: ``end_write`` raises NOT_ALLOCATED where no write is open, also while a read is.
    - MEM-28: The guard of ``read`` opens a read where its block begins, and ends it with the block,
      also where that raises.
    - MEM-29: The guard of ``read_mut`` does so for a write.
    - MEM-30: What is open of one message concerns no other.

    Misfits
    - MEM-31: ``store`` raises PAYLOAD_MISMATCH for a payload that does not fit the slot.
    - MEM-32: Nothing is kept of it, and its slot stays free.

    Counts
    - MEM-33: ``stored`` counts what was stored since the start, freed or not.
    - MEM-34: ``peak_used`` is the most slots that were in use at once.
    - MEM-35: ``copies`` counts the payloads that ``store`` copied; none where they are held by
      reference.
    - MEM-36: ``statistics`` states capacity, available slots and payload bytes as the manager does.
    - MEM-37: ``payload_bytes`` stays what it was at first, 0 where payloads are held by reference.
    - MEM-38: ``share_counts`` returns a place of its own where every live token counts 0 at first.
    - MEM-39: ``describe`` names the token.
    - MEM-40: ``memory_class`` says where payloads lie; HOST where they are NumPy arrays.
    - MEM-41: Nothing that stores, reads and writes allocate is kept once a message is freed.

    Slots side by side, where a manager has such
    - MEM-42: ``neighbours`` returns what was stored one after another as one view, in order,
      without copying.
    - MEM-43: That view cannot be written to.
    - MEM-44: It returns None for messages in another order, apart, or repeated.
    - MEM-45: Slots go round: what is stored after a full round lies side by side again.
    - MEM-46: ``gather`` copies payloads in order to the front of an array, and leaves the rest.
    - MEM-47: ``neighbours`` and ``gather`` refuse tokens as reads do.
    - MEM-48: ``reserve`` returns the slots claimed next as one array to write, and claims nothing.
    - MEM-49: It returns None for more slots than are free, or where they are no neighbours.
    - MEM-50: ``commit`` makes a message of what was written to the next slot, which is no copy.
    - MEM-51: ``commit`` raises NO_FREE_SLOTS where no slot is free, and changes nothing.
    - MEM-52: ``next_slot`` returns the slot claimed next to write, and claims nothing.

    Args:
        depth: Number of slots, at least 1.
        in_turn: Whether slots go round, so that consecutive messages lie side by side (MEM-45);
            else the one that was freed last is claimed next, which few memory is touched by.
    """

    memory_class = MemoryClass.HOST

    def __init__(self, depth: int, *, in_turn: bool = True) -> None:
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
        self._in_turn = in_turn
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
        """Close a read that ``begin_read`` opened.

        Raises:
            ManagerError: The token is not live here, or no read of it is open.
        """
        if not 0 <= token < self.capacity or self._readers[token] < 1:
            raise self._not_open(token, "read")
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
        """Close a write that ``begin_write`` opened.

        Raises:
            ManagerError: The token is not live here, or no write of it is open.
        """
        if not 0 <= token < self.capacity or self._readers[token] >= 0:
            raise self._not_open(token, "write")
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
            ManagerError: The token is not live here, or it is being read or written.
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
        if self._in_turn:
            self._free_ring[(self._free_head + self._available) % self.capacity] = token
        else:
            self._free_head = (self._free_head - 1) % self.capacity
            self._free_ring[self._free_head] = token
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

    def raise_peak(self, used: int) -> None:
        """Count a number of slots as used at a time, by who kept messages elsewhere meanwhile."""
        self._peak_used = max(self._peak_used, used)

    # What another executor keeps of it for a while.

    def lend_free(self) -> list[MessageToken]:
        """Hand over the free slots, the one claimed next first, until ``take_back_free``."""
        end = self._free_head + self._available
        free = [MessageToken(slot) for slot in (self._free_ring * 2)[self._free_head : end]]
        self._available = 0
        return free

    def take_back_free(self, free: Sequence[MessageToken], stored: int, copies: int) -> None:
        """Take over the free slots again, with what was done meanwhile.

        Args:
            free: The one to be claimed next first.
            stored: How many messages were stored.
            copies: How many of those were copied.
        """
        for slot in free:
            self._headers[slot] = None
        self._free_ring[: len(free)] = free
        self._free_head, self._available = 0, len(free)
        self._stored += stored
        self._copies += copies

    def rename(self, token: MessageToken, header: MessageHeader) -> None:
        """State the header of a slot that somebody else stored into meanwhile."""
        self._headers[token] = header

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

    def _not_open(self, token: MessageToken, what: str) -> ManagerError:
        """Return why a borrow cannot be ended; what is wrong with the token itself comes first."""
        self._header_at(token)
        return ManagerError(f"token {token} has no {what} to end", code=Code.NOT_ALLOCATED)

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
