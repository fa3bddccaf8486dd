"""Managers that find out who misuses them."""

from __future__ import annotations

import abc
import math
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, ManagerError
from limen.memory._bounded import BoundedMemoryManager
from limen.memory._heap import HeapMemoryManager
from limen.memory._ledger import BorrowLedger
from limen.memory._returns import SharedSlots
from limen.memory._static import StaticMemoryManager
from limen.memory.contract import MemoryManager
from limen.message import Message, MessageHeader
from limen.types import MessageToken, TensorSpec

POISON_BYTE: Final = 0xDB
"""What fills freed slots of whole numbers; those of floats are filled with NaN."""

_SLOT_BITS: Final = 32
_TAG_BITS: Final = 16


class _ShareCounts(dict[MessageToken, int]):
    """Counts by token; what is not there counts 0, and what counts 0 is not there."""

    def __missing__(self, token: MessageToken) -> int:
        return 0

    def __setitem__(self, token: MessageToken, count: int) -> None:
        if count:
            super().__setitem__(token, count)
        else:
            self.pop(token, None)


class CheckedManager(MemoryManager):
    """What the checked managers add to those they stand on.

    A token carries, above its slot, the number of its manager and the slot's generation, which each
    ``free`` raises. So a token that was freed or is another manager's is known as such for ever.
    What the caller does wrong raises; what is noticed later goes to the ledger.

    Tokens
    - CHECK-1: A freed token is refused with NOT_ALLOCATED, also once its slot is used again.
    - CHECK-2: A token of another manager is refused with BAD_TOKEN, also where its slot is live.
    - CHECK-3: A token that was never given is refused with BAD_TOKEN, also where its slot is live.
    - CHECK-4: No token is given twice.

    What is refused
    - CHECK-5: Its error names token, slot, manager and the node that is called.
    - CHECK-6: That of a freed token says who freed it.
    - CHECK-7: That of a borrow or a free says who reads or writes meanwhile.
    - CHECK-8: ``describe`` names token, slot, manager and the node that is called.

    What is noticed later
    - CHECK-9: Where nothing is misused, nothing is reported.
    - CHECK-10: An array that was written though live is reported with BORROW_ACTIVE, as soon as it
      is read, written or freed.
    - CHECK-11: One that is written while it is read is reported where the read ends, of its reader.
    - CHECK-12: Each such change is reported once.
    - CHECK-13: A freed slot that was written is reported with MANAGER_POISONED as it is used again.
    - CHECK-14: What lay in a slot cannot be read there any more once it is freed.
    - CHECK-15: A view that is there after its call is reported with VIEW_KEPT, of its node.
    - CHECK-16: So is whatever stands on a view: slices, reshaped arrays, buffers.
    - CHECK-17: Views are not reported of nodes that may keep them (``tracks``).
    - CHECK-18: What is written through a kept view later is reported of the node that kept it.
    - CHECK-19: Nobody is blamed for what nobody is known to have written.
    - CHECK-20: A report names token, slot, manager and node, and carries the message's header.

    Slots side by side, where a manager has such
    - CHECK-21: A row of neighbours that is kept is reported with its first and its last slot.
    - CHECK-22: ``next_slot`` returns the same view until it is claimed or the call ends.
    - CHECK-23: ``next_slot`` raises NO_FREE_SLOTS where no slot is free.
    - CHECK-24: What was written to a slot that was lent and not claimed is gone after the call, and
      is no misuse.
    """

    _ledger: BorrowLedger
    _name: str
    _tag: int

    def _begin_checks(self, name: str, ledger: BorrowLedger | None) -> None:
        self._name = name
        self._ledger = BorrowLedger() if ledger is None else ledger
        self._tag = self._ledger.enter(self, name)
        self._generations = [0] * self.capacity
        self._digests: list[int | None] = [None] * self.capacity
        self._borrowers: list[list[str]] = [[] for _ in range(self.capacity)]
        self._freed_by = [""] * self.capacity

    @property
    def ledger(self) -> BorrowLedger:
        """Where misuse is noted."""
        return self._ledger

    def describe(self, token: MessageToken) -> str:
        """Name token, slot and node."""
        return f"{self._place(token)}, by {self._ledger.who}"

    def share_counts(self) -> _ShareCounts:
        """Return counts by token."""
        return _ShareCounts()

    def peek_header(self, token: MessageToken) -> MessageHeader:
        """Return the header of a live token.

        Raises:
            ManagerError: The token is not live here.
        """
        return self._header_at(MessageToken(self._slot(token, "a look at")))

    def store(self, message: Message) -> MessageToken:
        """Take a message into a free slot and return the token that names it.

        Raises:
            ManagerError: No slot is free, or the payload does not fit one.
        """
        if self._available:
            self._before_claim(self._free_ring[self._free_head])
        return self._tagged(super().store(message))

    def begin_read(self, token: MessageToken) -> Message:
        """Open a read and return the message; every call is paired with ``end_read``.

        Raises:
            ManagerError: The token is not live here, or it is being written.
        """
        slot = self._slot(token, "a read of")
        self._refuse_writer(slot, token, "a read of")
        self.verify_slots(slot, 1, self._ledger.holder(self, slot))
        message = super().begin_read(MessageToken(slot))
        self._borrowers[slot].append(self._ledger.who)
        return message

    def end_read(self, token: MessageToken) -> None:
        """Close a read that ``begin_read`` opened."""
        slot = self._slot(token, "the end of a read of")
        if self._readers[slot] < 1:
            raise self._refused(Code.NOT_ALLOCATED, "no read to end of", token)
        super().end_read(MessageToken(slot))
        self.verify_slots(slot, 1, self._ledger.node)
        names = self._borrowers[slot]
        names.remove(self._ledger.who if self._ledger.who in names else names[-1])

    def begin_write(self, token: MessageToken) -> Message:
        """Open a write and return the message; every call is paired with ``end_write``.

        Raises:
            ManagerError: The token is not live here, or it is being read or written.
        """
        slot = self._slot(token, "a write to")
        self._refuse_writer(slot, token, "a write to")
        self._refuse_readers(slot, token, "a write under a read guard to")
        self.verify_slots(slot, 1, self._ledger.holder(self, slot))
        message = super().begin_write(MessageToken(slot))
        self._borrowers[slot].append(self._ledger.who)
        return message

    def end_write(self, token: MessageToken) -> None:
        """Close a write that ``begin_write`` opened."""
        slot = self._slot(token, "the end of a write to")
        if self._readers[slot] >= 0:
            raise self._refused(Code.NOT_ALLOCATED, "no write to end of", token)
        super().end_write(MessageToken(slot))
        self._borrowers[slot].clear()
        self._digests[slot] = self._digest(slot)

    def free(self, token: MessageToken) -> None:
        """Give a slot back.

        Raises:
            ManagerError: The token is not live here, or it is being read or written.
        """
        slot = self._slot(token, "a free of")
        self._refuse_writer(slot, token, "a free of")
        self._refuse_readers(slot, token, "a free under a read guard of")
        self.verify_slots(slot, 1, self._ledger.holder(self, slot))
        super().free(MessageToken(slot))
        self._generations[slot] += 1
        self._freed_by[slot] = self._ledger.who

    def end_call(self) -> None:
        """Let go of what was lent for the call."""

    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        """Report live slots whose bytes have changed since they were stored; once each.

        Args:
            first: The first slot.
            count: How many.
            culprit: Who did it, if anybody did.
        """
        for slot in range(first, first + count):
            header = self._headers[slot]
            if header is None or self._readers[slot] < 0:
                continue
            found = self._digest(slot)
            if found != self._digests[slot]:
                self._digests[slot] = found
                self._damaged(
                    Code.BORROW_ACTIVE,
                    "a message was written while others may read it",
                    slot,
                    culprit,
                    header,
                )

    @abc.abstractmethod
    def _digest(self, slot: int) -> int | None:
        """Return a number that changes with the payload; None where there is none."""

    def _before_claim(self, slot: int) -> None:
        """Look at a free slot that is about to be used."""

    def _tagged(self, slot: int) -> MessageToken:
        self._digests[slot] = self._digest(slot)
        return self._token(slot)

    def _token(self, slot: int) -> MessageToken:
        above = self._generations[slot] << _TAG_BITS | self._tag
        return MessageToken(above << _SLOT_BITS | slot)

    def _slot(self, token: MessageToken, doing: str) -> int:
        """Return the slot of a live token."""
        slot, above = token & (1 << _SLOT_BITS) - 1, token >> _SLOT_BITS
        tag, generation = above & (1 << _TAG_BITS) - 1, above >> _TAG_BITS
        if token < 0 or tag != self._tag or slot >= self.capacity:
            raise self._refused(Code.BAD_TOKEN, f"{doing} a foreign token at {self._name}:", token)
        if generation > self._generations[slot]:
            raise self._refused(Code.BAD_TOKEN, f"{doing} a token that was never given:", token)
        if generation < self._generations[slot]:
            # What was freed since is not known by whom; the last time is.
            freed = f", freed by {self._freed_by[slot]}"
            raise self._refused(Code.NOT_ALLOCATED, f"{doing} a freed slot:", token, freed)
        if self._headers[slot] is None:
            raise self._refused(Code.NOT_ALLOCATED, f"{doing} an empty slot:", token)
        return slot

    def _refuse_writer(self, slot: int, token: MessageToken, doing: str) -> None:
        if self._readers[slot] < 0:
            by = f", written by {self._borrowers[slot][0]}"
            raise self._refused(Code.ALREADY_BORROWED, f"{doing} a slot being written:", token, by)

    def _refuse_readers(self, slot: int, token: MessageToken, doing: str) -> None:
        if self._readers[slot]:
            by = f", read by {', '.join(self._borrowers[slot])}"
            raise self._refused(Code.BORROW_ACTIVE, doing, token, by)

    def _refused(self, code: Code, what: str, token: MessageToken, more: str = "") -> ManagerError:
        return ManagerError(f"{what} {self.describe(token)}{more}", code=code)

    def _damaged(
        self, code: Code, what: str, slot: int, culprit: str, header: MessageHeader | None = None
    ) -> None:
        by = f"node {culprit!r}" if culprit else "nobody that is known"
        text = f"{what}: {self._place(self._token(slot))}, by {by}"
        error = ManagerError(text, code=code, remedy="write to out slots only, and during the call")
        self._ledger.report(error, culprit, header)

    def _place(self, token: MessageToken) -> str:
        if token < 0:
            return f"token {token} (no slot)"
        slot, above = token & (1 << _SLOT_BITS) - 1, token >> _SLOT_BITS
        name = self._ledger.name_of(above & (1 << _TAG_BITS) - 1)
        return f"token {token} (slot {slot} of {name})"


class _PoisonedSlots(CheckedManager):
    """What checked managers of tensors share: slots as bytes, poisoned while they are free."""

    def _begin_slots(
        self, slots: NDArray[np.generic], spec: TensorSpec, name: str, ledger: BorrowLedger | None
    ) -> None:
        flat = slots.reshape(-1).view(np.uint8)
        self._bytes = flat.reshape(-1, spec.size_bytes)
        self._writable, self._frozen = flat.data, flat.data.toreadonly()
        self._poison = _poison(spec)
        self._bytes[...] = self._poison
        self._begin_checks(name, ledger)

    def _drop(self, token: MessageToken) -> None:
        self._bytes[token] = self._poison

    def _digest(self, slot: int) -> int | None:
        return zlib.crc32(self._bytes[slot])

    def _before_claim(self, slot: int) -> None:
        if np.array_equal(self._bytes[slot], self._poison):
            return
        self._bytes[slot] = self._poison
        culprit = self._ledger.holder(self, slot)
        self._damaged(Code.MANAGER_POISONED, "a freed slot was written", slot, culprit)


class CheckedStaticMemoryManager(_PoisonedSlots, StaticMemoryManager):
    """A ``StaticMemoryManager`` that tags tokens, poisons freed slots and tracks views.

    Args:
        spec: The tensor that each slot holds; every axis known.
        depth: Number of slots.
        name: How errors name it: ``node.port``.
        ledger: The run's; one of its own if not given.
    """

    def __init__(
        self, spec: TensorSpec, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> None:
        super().__init__(spec, depth)
        # Slots lent for writing in the current call; views, or None where they are not tracked.
        self._lent: dict[int, NDArray[np.generic] | None] = {}
        self._begin_slots(self._array, spec, name, ledger)

    def reserve(self, count: int) -> NDArray[np.generic] | None:
        """Return the next free slots as one writable array, to be let go after the call."""
        found = super().reserve(count)
        if found is None:
            return None
        first = self._free_ring[self._free_head]
        for slot in range(first, first + count):
            self._before_claim(slot)
            self._lent.setdefault(slot, None)
        return self._view(range(first, first + count), write=True) if self._tracks else found

    def next_slot(self) -> NDArray[np.generic]:
        """Return the writable view of the slot that is claimed next, the same one within a call.

        Raises:
            ManagerError: No slot is free.
        """
        if self._available == 0:
            raise ManagerError(
                f"all {self.capacity} slots of {self._name} are in use", code=Code.NO_FREE_SLOTS
            )
        slot = self._free_ring[self._free_head]
        view = self._lent.get(slot)
        if view is None:
            self._before_claim(slot)
            view = self._slots[slot]
            if self._tracks:
                view = self._view(range(slot, slot + 1), write=True)[0, ...]
            self._lent[slot] = view
        return view

    def commit(self, header: MessageHeader) -> MessageToken:
        """Claim the next reserved slot, whose payload has been written in place."""
        return self._tagged(super().commit(header))

    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        """Return the payloads of consecutive slots as one read-only array, else None.

        Raises:
            ManagerError: A token is not live here.
        """
        slots = self._readable(tokens)
        found = super().neighbours(slots)
        if found is None or not self._tracks:
            return found
        return self._view(range(slots[0], slots[0] + len(slots)), write=False)

    def gather(self, tokens: Sequence[MessageToken], out: NDArray[np.generic]) -> None:
        """Copy the payloads of the slots into the front of ``out``, in order.

        Raises:
            ManagerError: A token is not live here.
        """
        super().gather(self._readable(tokens), out)

    def end_call(self) -> None:
        """Let go of the slots that were lent, and poison those that did not become messages."""
        for slot in self._lent:
            if self._headers[slot] is None:
                self._bytes[slot] = self._poison
        self._lent.clear()

    @property
    def _tracks(self) -> bool:
        return self._ledger.tracks

    def _readable(self, tokens: Sequence[MessageToken]) -> list[MessageToken]:
        slots = [MessageToken(self._slot(token, "a read of")) for token in tokens]
        for slot in slots:
            self.verify_slots(slot, 1, self._ledger.holder(self, slot))
        return slots

    def _view(self, slots: range, *, write: bool) -> NDArray[np.generic]:
        """Return slots side by side as an array that is made for this call."""
        size = self.slot_bytes
        memory = self._writable if write else self._frozen
        root = np.frombuffer(memory, np.uint8, len(slots) * size, slots.start * size)
        places = [self._place(self._token(slot)) for slot in slots]
        place = places[0] if len(slots) == 1 else f"{places[0]} to {places[-1]}"
        self._ledger.lend(root, self, place, slots, self._headers[slots.start])
        return root.view(self._array.dtype).reshape((len(slots), *self.spec.fixed_shape))

    def _payload(self, token: MessageToken) -> object:
        if not self._tracks:
            return super()._payload(token)
        return self._view(range(token, token + 1), write=False)[0, ...]

    def _payload_mut(self, token: MessageToken) -> object:
        if not self._tracks:
            return super()._payload_mut(token)
        return self._view(range(token, token + 1), write=True)[0, ...]

    def _drop(self, token: MessageToken) -> None:
        super()._drop(token)
        self._lent.pop(token, None)

    def _before_claim(self, slot: int) -> None:
        if slot not in self._lent:
            super()._before_claim(slot)


class CheckedBoundedMemoryManager(_PoisonedSlots, BoundedMemoryManager):
    """A ``BoundedMemoryManager`` that tags tokens, poisons freed slots and tracks views.

    Args:
        spec: The tensor that each slot holds; every axis with a length or a bound.
        depth: Number of slots.
        name: How errors name it: ``node.port``.
        ledger: The run's; one of its own if not given.
    """

    def __init__(
        self, spec: TensorSpec, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> None:
        super().__init__(spec, depth)
        self._begin_slots(self._slots, spec, name, ledger)

    def _payload(self, token: MessageToken) -> object:
        return self._view(token, self._frozen) if self._ledger.tracks else super()._payload(token)

    def _payload_mut(self, token: MessageToken) -> object:
        if not self._ledger.tracks:
            return super()._payload_mut(token)
        return self._view(token, self._writable)

    def _view(self, token: MessageToken, memory: memoryview) -> NDArray[np.generic]:
        """Return a slot's message as an array that is made for this call."""
        shape, size = self._shapes[token], self.spec.size_bytes
        root = np.frombuffer(memory, np.uint8, size, token * size)
        place = self._place(self._token(token))
        self._ledger.lend(root, self, place, range(token, token + 1), self._headers[token])
        return root.view(self._slots.dtype)[: math.prod(shape)].reshape(shape)


class CheckedHeapMemoryManager(CheckedManager, HeapMemoryManager):
    """A ``HeapMemoryManager`` that tags tokens and notices arrays that are written.

    Objects are held by reference, so that one which a node keeps stays what it was; they are not
    looked into.

    Args:
        depth: Number of slots.
        kind: The class that payloads are instances of.
        name: How errors name it: ``node.port``.
        ledger: The run's; one of its own if not given.
    """

    def __init__(
        self,
        depth: int,
        kind: type = object,
        name: str = "here",
        ledger: BorrowLedger | None = None,
    ) -> None:
        super().__init__(depth, kind)
        self._begin_checks(name, ledger)

    def _drop(self, token: MessageToken) -> None:
        self._payloads[token] = FREED

    def _digest(self, slot: int) -> int | None:
        payload = self._payloads[slot]
        return zlib.crc32(payload.tobytes()) if isinstance(payload, np.ndarray) else None


class CheckedSlots(SharedSlots):
    """Shared slots that note, for each consumer, what was handed back twice.

    Args:
        manager: Whose slots.
        consumers: Edges that share them.

    Attributes:
        names: The node at the end of each edge; filled in as edges are wired.
    """

    def __init__(self, manager: CheckedManager, consumers: int) -> None:
        super().__init__(manager, consumers)
        self._ledger = manager.ledger
        self.names: list[str] = []

    def reclaim(self) -> None:
        """Take in what consumers have handed back; called before a slot is claimed."""
        before = self._ledger.node
        for ring, name in zip(self.returns, self.names, strict=True):
            self._ledger.node = name
            while ring:
                try:
                    self.drop(ring.try_take())
                except ManagerError as error:
                    # Not the fault of whoever needs a slot now.
                    self._ledger.report(error, "")
        self._ledger.node = before


class _Freed:
    def __repr__(self) -> str:
        return "<freed>"


FREED: Final = _Freed()
"""What stands in freed slots of a checked heap."""


def _poison(spec: TensorSpec) -> NDArray[np.uint8]:
    """Return the bytes of a freed slot."""
    slot = np.full(spec.size_bytes, POISON_BYTE, np.uint8)
    typed = slot.view(spec.dtype.numpy_dtype())
    if spec.dtype.is_float:
        typed.fill(np.nan)
    return slot
