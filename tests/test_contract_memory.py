"""Every memory manager under the kit, and the kit under managers that break one clause each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import ClassVar

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from limen.errors import Code, ManagerError, PayloadMismatchError
from limen.memory import (
    BoundedMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    MemoryStatistics,
    ReadGuard,
    StaticMemoryManager,
    WriteGuard,
)
from limen.memory._static import read_only
from limen.message import Message, MessageHeader
from limen.testing import MemoryManagerContract
from limen.testing.contracts._memory_suite import header
from limen.types import DataType, MemoryClass, MessageToken, TensorSpec, Ticks, UpTo
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched

_APART: Mapping[str, str] = {"neighbours": "its slots lie apart"}


class StaticMemorySuite(MemoryManagerContract):
    def make(self, depth: int) -> MemoryManager:
        return StaticMemoryManager(TensorSpec(DataType.F32, (3,)), depth)


class StaticScalarsSuite(MemoryManagerContract):
    def make(self, depth: int) -> MemoryManager:
        return StaticMemoryManager(TensorSpec(DataType.S8, ()), depth)


class StaticPlanesSuite(MemoryManagerContract):
    def make(self, depth: int) -> MemoryManager:
        return StaticMemoryManager(TensorSpec(DataType.U16, (2, 1, 5)), depth)


class BoundedMemorySuite(MemoryManagerContract):
    lacks = _APART

    def make(self, depth: int) -> MemoryManager:
        return BoundedMemoryManager(TensorSpec(DataType.F32, (UpTo(5), 2)), depth)


class HeapOfArraysSuite(MemoryManagerContract):
    lacks = _APART

    def make(self, depth: int) -> MemoryManager:
        return HeapMemoryManager(depth, np.ndarray)


class HeapOfBuffersSuite(MemoryManagerContract):
    lacks: ClassVar[Mapping[str, str]] = {**_APART, "arrays": "its payloads are bytes"}

    def make(self, depth: int) -> MemoryManager:
        return HeapMemoryManager(depth, bytearray)

    def payload(self, number: int) -> object:
        return bytearray([number + 1] * 3)


class HeapOfObjectsSuite(MemoryManagerContract):
    lacks: ClassVar[Mapping[str, str]] = {
        **_APART,
        "arrays": "its payloads are dicts",
        "copies": "objects are held by reference",
        "misfits": "it takes everything",
    }

    def make(self, depth: int) -> MemoryManager:
        return HeapMemoryManager(depth)

    def payload(self, number: int) -> object:
        return {"boxes": [number] * number}


_SUITES = [
    StaticMemorySuite,
    StaticScalarsSuite,
    StaticPlanesSuite,
    BoundedMemorySuite,
    HeapOfArraysSuite,
    HeapOfBuffersSuite,
    HeapOfObjectsSuite,
]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[MemoryManagerContract]) -> None:
    assert_holds(suite)


class Static(StaticMemoryManager):
    """What most saboteurs begin with: three float32 a slot."""

    def __init__(self, depth: int) -> None:
        super().__init__(TensorSpec(DataType.F32, (3,)), depth)


class FreesTwice(Static):
    """The second of three that comes back counts for two."""

    @property
    def available(self) -> int:
        found = super().available
        return 3 if found == 2 and self.capacity == 3 and self._stored == 3 else found


class AtLeastOne(Static):
    def __init__(self, depth: int) -> None:
        super().__init__(max(depth, 1))


class SaysMisfit(Static):
    def store(self, message: Message) -> MessageToken:
        if self._available == 0:
            raise PayloadMismatchError("no slot fits")
        return super().store(message)


class CountsRefused(Static):
    def store(self, message: Message) -> MessageToken:
        if self._available == 0:
            self._stored += 1
        return super().store(message)


class GivesTwice(Static):
    """The ninth of four slots has the token of another."""

    def store(self, message: Message) -> MessageToken:
        token = super().store(message)
        twice = self.capacity == 4 and self._stored == 9
        return MessageToken((token + 1) % 4) if twice else token


class LosesSlots(Static):
    """A slot is lost where all come back from last to first."""

    def free(self, token: MessageToken) -> None:
        super().free(token)
        ring = [self._free_ring[(self._free_head + i) % self.capacity] for i in range(3)]
        if self._available == self.capacity == 3 and ring == [2, 1, 0]:
            self._available -= 1


class CountsForOthers(Static):
    made: ClassVar[list[CountsForOthers]] = []

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.made.append(self)

    def begin_read(self, token: MessageToken) -> Message:
        for other in self.made:
            other._stored += other is not self
        return super().begin_read(token)


class FirstHeaders(Static):
    """A slot shows the first header it ever had."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.first: dict[MessageToken, MessageHeader] = {}

    def _keep(self, token: MessageToken, header: MessageHeader) -> None:
        self.first.setdefault(token, header)
        super()._keep(token, header)

    def peek_header(self, token: MessageToken) -> MessageHeader:
        super().peek_header(token)
        return self.first[token]


class ReadsWithoutOrigin(Static):
    def begin_read(self, token: MessageToken) -> Message:
        found = super().begin_read(token)
        header = msgspec.structs.replace(found.header, origin_tick=Ticks(0))
        return Message(header, found.payload)


class TiresOfReads(Static):
    """The third read of one of four is of its neighbour."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.reads = [0] * depth

    def begin_read(self, token: MessageToken) -> Message:
        found = super().begin_read(token)
        self.reads[token] += self.capacity == 4
        return Message(found.header, self._views[token - 1]) if self.reads[token] == 3 else found


class WritesOver(Static):
    """The twentieth of three slots is written to all of them."""

    def _put(self, token: MessageToken, payload: object) -> None:
        super()._put(token, payload)
        if self._stored == 20 and self.capacity == 3:
            self._array[...] = self._array[token]


class HoldsViews(HeapMemoryManager):
    def __init__(self, depth: int) -> None:
        super().__init__(depth, np.ndarray)

    def _put(self, token: MessageToken, payload: object) -> None:
        super()._put(token, payload)
        if isinstance(payload, np.ndarray):
            self._payloads[token] = payload.view()
            self._payload_mut(token)


class ReadsToWrite(Static):
    def _payload(self, token: MessageToken) -> object:
        return self._payload_mut(token)


class WritesToCopies(Static):
    def _payload_mut(self, token: MessageToken) -> object:
        slot = self._slots[token]
        return slot.copy() if self.capacity == 2 else slot


class LooksAtFreed(Static):
    def peek_header(self, token: MessageToken) -> MessageHeader:
        try:
            return super().peek_header(token)
        except ManagerError as error:
            if error.code is not Code.NOT_ALLOCATED:
                raise
            return header(0)


class ForgetsFreed(Static):
    """What was freed counts as never given."""

    def begin_read(self, token: MessageToken) -> Message:
        if token in range(self.capacity) and self._headers[token] is None:
            raise ManagerError("never heard of it", code=Code.BAD_TOKEN)
        return super().begin_read(token)


class WritesFromTheEnd(Static):
    def begin_write(self, token: MessageToken) -> Message:
        return super().begin_write(MessageToken(token % self.capacity if token == -1 else token))


class FreesAgain(Static):
    def free(self, token: MessageToken) -> None:
        if token not in range(self.capacity) or self._headers[token] is not None:
            super().free(token)


class EndsAnything(Static):
    def end_write(self, token: MessageToken) -> None:
        if token not in range(self.capacity):
            raise ManagerError("nothing to end", code=Code.NOT_ALLOCATED)
        super().end_write(token)


class CountsRefusedFrees(Static):
    def free(self, token: MessageToken) -> None:
        if token in range(self.capacity) and self._headers[token] is None:
            self._available += 1
        super().free(token)


class TwoReaders(Static):
    def begin_read(self, token: MessageToken) -> Message:
        if token in range(self.capacity) and self._readers[token] == 2:
            raise ManagerError("two are enough", code=Code.ALREADY_BORROWED)
        return super().begin_read(token)


class FreesReadOnce(Static):
    """Of two reads only the first is looked at."""

    def free(self, token: MessageToken) -> None:
        if token in range(self.capacity) and self._readers[token] == 2:
            self._readers[token] = 0
        super().free(token)


class WritesUnderReads(Static):
    def begin_write(self, token: MessageToken) -> Message:
        if token in range(self.capacity) and self._readers[token] > 0:
            raise ManagerError("it is borrowed", code=Code.ALREADY_BORROWED)
        return super().begin_write(token)


class ReadsUnderWrites(Static):
    def begin_read(self, token: MessageToken) -> Message:
        if token in range(self.capacity) and self._readers[token] < 0:
            raise ManagerError("it is borrowed", code=Code.BORROW_ACTIVE)
        return super().begin_read(token)


class FreesUnderWrites(Static):
    def free(self, token: MessageToken) -> None:
        if token in range(self.capacity) and self._readers[token] < 0:
            self._readers[token] = 0
        super().free(token)


class EndsWritesAsReads(Static):
    def end_read(self, token: MessageToken) -> None:
        if token in range(self.capacity) and self._readers[token] < 0:
            self._readers[token] = 0
        else:
            super().end_read(token)


class EndsReadsAsWrites(Static):
    def end_write(self, token: MessageToken) -> None:
        if token in range(self.capacity) and self._readers[token] > 0:
            self._readers[token] = 0
        else:
            super().end_write(token)


class StaysOpen(ReadGuard):
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            super().__exit__(kind, error, trace)


class StaysOpenOnErrors(Static):
    def read(self, token: MessageToken) -> ReadGuard:
        return StaysOpen(self, token)


class OpensAtOnce(WriteGuard):
    def __init__(self, manager: MemoryManager, token: MessageToken) -> None:
        super().__init__(manager, token)
        self.found = manager.begin_write(token)

    def __enter__(self) -> Message:
        return self.found


class OpensBeforeItsBlock(Static):
    def read_mut(self, token: MessageToken) -> WriteGuard:
        return OpensAtOnce(self, token)


class FreesNothingMeanwhile(Static):
    def free(self, token: MessageToken) -> None:
        if any(count for slot, count in enumerate(self._readers) if slot != token):
            raise ManagerError("somebody reads or writes", code=Code.BORROW_ACTIVE)
        super().free(token)


class Narrows(Static):
    def _put(self, token: MessageToken, payload: object) -> None:
        if isinstance(payload, np.ndarray) and payload.dtype == np.float64:
            payload = payload.astype(np.float32)
        super()._put(token, payload)


class LosesSlotsOfMisfits(Static):
    def _unclaim(self) -> None:
        pass


class CountsLive(Static):
    def free(self, token: MessageToken) -> None:
        super().free(token)
        self._stored -= 1


class PeaksFall(Static):
    def _keep(self, token: MessageToken, header: MessageHeader) -> None:
        super()._keep(token, header)
        self._peak_used = self.capacity - self._available


class CountsWrites(Static):
    def _payload_mut(self, token: MessageToken) -> object:
        self._copies += 1
        return super()._payload_mut(token)


class StatesNoBytes(Static):
    def statistics(self) -> MemoryStatistics:
        return dataclasses.replace(super().statistics(), payload_bytes=0)


class BytesOfTheFree(Static):
    @property
    def payload_bytes(self) -> int:
        return self.slot_bytes * self._available


class OneCount(Static):
    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.counts = super().share_counts()

    def share_counts(self) -> MutableMapping[MessageToken, int] | list[int]:
        return self.counts


class Nameless(Static):
    def describe(self, token: MessageToken) -> str:
        return "a token"


class SaysDevice(Static):
    memory_class = MemoryClass.DEVICE_0


class KeepsHeaders(Static):
    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.seen: list[MessageHeader] = []

    def _keep(self, token: MessageToken, header: MessageHeader) -> None:
        self.seen.append(header)
        super()._keep(token, header)


class CopiesNeighbours(Static):
    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        found = super().neighbours(tokens)
        return None if found is None else read_only(found.copy())


class NeighboursToWrite(Static):
    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        found = super().neighbours(tokens)
        return None if found is None else self._array[tokens[0] : tokens[0] + len(found)]


class SortsNeighbours(Static):
    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        return super().neighbours(sorted(tokens))


class LastFreedFirst(Static):
    def free(self, token: MessageToken) -> None:
        super().free(token)
        self._free_head = (self._free_head - 1) % self.capacity
        self._free_ring[self._free_head] = token


class ClearsTheRest(Static):
    def gather(self, tokens: Sequence[MessageToken], out: NDArray[np.generic]) -> None:
        super().gather(tokens, out)
        out[len(tokens) :] = 0


class GathersFreed(Static):
    def gather(self, tokens: Sequence[MessageToken], out: NDArray[np.generic]) -> None:
        for place, token in enumerate(tokens):
            self._require(token)
            out[place] = self._views[token]

    def _require(self, token: MessageToken) -> None:
        if token not in range(self.capacity):
            raise ManagerError("no slot", code=Code.BAD_TOKEN)


class CountsReserved(Static):
    def reserve(self, count: int) -> NDArray[np.generic] | None:
        self._stored += 1
        return super().reserve(count)


class ReservesCopies(Static):
    """What is no row is made one."""

    def reserve(self, count: int) -> NDArray[np.generic] | None:
        found = super().reserve(count)
        return self._array[:count] if found is None and count <= self._available else found


class CommitsCopies(Static):
    def commit(self, header: MessageHeader) -> MessageToken:
        token = super().commit(header)
        self._copies += 1
        return token


class CommitsMisfits(Static):
    def commit(self, header: MessageHeader) -> MessageToken:
        if self._available == 0:
            raise PayloadMismatchError("no slot fits")
        return super().commit(header)


class LendsCopies(Static):
    def next_slot(self) -> NDArray[np.generic]:
        return super().next_slot().copy()


_SABOTEURS: dict[str, tuple[Callable[[int], MemoryManager], str]] = {
    "MEM-1": (FreesTwice, "[3, 2, 1, 0, 1, 3, 3]"),
    "MEM-2": (AtLeastOne, "a manager of depth 0: None"),
    "MEM-3": (SaysMisfit, "a third store into 2 slots: "),
    "MEM-4": (CountsRefused, "stored=3"),
    "MEM-5": (GivesTwice, "four messages are live, their tokens are "),
    "MEM-6": (LosesSlots, "store 3 into 3 slots: "),
    "MEM-7": (CountsForOthers, "stored=2"),
    "MEM-8": (FirstHeaders, "peek_header says "),
    "MEM-9": (ReadsWithoutOrigin, "origin_tick=0"),
    "MEM-10": (TiresOfReads, "[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [4.0, 4.0, 4.0]]"),
    "MEM-11": (WritesOver, "stores of others made [6.0, 6.0, 6.0] of it "),
    "MEM-12": (HoldsViews, "from [2.0, 2.0, 2.0] to [0.0, 0.0, 0.0]"),
    "MEM-13": (ReadsToWrite, "a read of what was stored can be written to"),
    "MEM-14": (WritesToCopies, "[5.0, 5.0, 5.0] was written, and [2.0, 2.0, 2.0] is read"),
    "MEM-15": (LooksAtFreed, "peek_header of a freed token, 0: None"),
    "MEM-16": (ForgetsFreed, "begin_read of a freed token, 0: "),
    "MEM-17": (WritesFromTheEnd, "begin_write of a foreign token, -1: None"),
    "MEM-18": (FreesAgain, "free of a freed token, 0: None"),
    "MEM-19": (EndsAnything, "end_write of a foreign token, -1: "),
    "MEM-20": (CountsRefusedFrees, "free(0) changed (1, "),
    "MEM-21": (TwoReaders, "read 3 of one message at once: "),
    "MEM-22": (FreesReadOnce, "free with 2 reads open: None"),
    "MEM-23": (WritesUnderReads, "a write, 1 reads open: "),
    "MEM-24": (ReadsUnderWrites, "a read while a write is open: "),
    "MEM-25": (FreesUnderWrites, "free while a write is open: None"),
    "MEM-26": (EndsWritesAsReads, "end_read while a write is open: None"),
    "MEM-27": (EndsReadsAsWrites, "end_write while a read is open: None"),
    "MEM-28": (StaysOpenOnErrors, "something is open after a block that raised ZeroDivision"),
    "MEM-29": (OpensBeforeItsBlock, "before its block begins something is open"),
    "MEM-30": (FreesNothingMeanwhile, "free of another while a read is open: "),
    "MEM-31": (Narrows, "a store of array([0., 0., 0.]): None"),
    "MEM-32": (LosesSlotsOfMisfits, "was refused, and changed (2, "),
    "MEM-33": (CountsLive, "[0, 1, 1, 1, "),
    "MEM-34": (PeaksFall, "peak_used is [0, 1, 2, 2, 2, 3, 3, 1, 4, 4]"),
    "MEM-35": (CountsWrites, "[0, 2, 4, 6, 8]"),
    "MEM-36": (StatesNoBytes, "(3, 3, 36) with 0 of 3 slots in use, and in statistics (3, 3, 0)"),
    "MEM-37": (BytesOfTheFree, "payload_bytes was 36, and after 1 stores 24"),
    "MEM-38": (OneCount, "they count [2, 3, 2, 3]"),
    "MEM-39": (Nameless, "describe(0) is 'a token'"),
    "MEM-40": (SaysDevice, "DEVICE_0"),
    "MEM-41": (KeepsHeaders, "B were kept"),
    "MEM-42": (CopiesNeighbours, "the view of messages 0 to 3 is a copy"),
    "MEM-43": (NeighboursToWrite, "the view of 1 neighbours can be written to"),
    "MEM-44": (SortsNeighbours, "messages (1, 0) of 4 in a row form a view"),
    "MEM-45": (LastFreedFirst, "round 1: three messages lie in slots [2.0, 1.0, 0.0]"),
    "MEM-46": (ClearsTheRest, "[0.0, 0.0, 0.0]"),
    "MEM-47": (GathersFreed, "gather of [0], 0 not live: None"),
    "MEM-48": (CountsReserved, "reserving 1 slots changed "),
    "MEM-49": (ReservesCopies, "[False, False, False, True, True, True]"),
    "MEM-50": (CommitsCopies, "2 stores and 2 copies"),
    "MEM-51": (CommitsMisfits, "a commit into a full manager: "),
    "MEM-52": (LendsCopies, "was written to the next slot, and "),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    suite = HeapOfArraysSuite if clause == "MEM-12" else StaticMemorySuite
    assert_caught(suite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert len(_SABOTEURS) >= 25
    assert_all_have_saboteurs(MemoryManagerContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(MemoryManagerContract)
