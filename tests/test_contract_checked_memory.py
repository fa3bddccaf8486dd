"""Every checked manager under the kit, and the kit under some that break one clause each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from limen.errors import Code, ManagerError
from limen.memory import (
    BorrowLedger,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedStaticMemoryManager,
)
from limen.message import Message, MessageHeader
from limen.testing import CheckedMemoryContract, MemoryManagerContract, clause_tests
from limen.types import DataType, MessageToken, TensorSpec, UpTo
from sabotage import assert_caught, assert_holds, assert_matched

_APART: Mapping[str, str] = {"neighbours": "its slots lie apart"}
_BY_REFERENCE: Mapping[str, str] = {
    **_APART,
    "poison": "what is freed is let go",
    "views": "its arrays stay what they were when they are kept",
}


class CheckedStaticSuite(CheckedMemoryContract):
    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        return CheckedStaticMemoryManager(TensorSpec(DataType.F32, (3,)), depth, name, ledger)


class CheckedStaticScalarsSuite(CheckedMemoryContract):
    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        return CheckedStaticMemoryManager(TensorSpec(DataType.U16, ()), depth, name, ledger)


class CheckedBoundedSuite(CheckedMemoryContract):
    lacks = _APART

    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        spec = TensorSpec(DataType.F32, (UpTo(5), 2))
        return CheckedBoundedMemoryManager(spec, depth, name, ledger)


class CheckedHeapOfArraysSuite(CheckedMemoryContract):
    lacks = _BY_REFERENCE

    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        return CheckedHeapMemoryManager(depth, np.ndarray, name, ledger)


class CheckedHeapOfObjectsSuite(CheckedMemoryContract):
    lacks: ClassVar[Mapping[str, str]] = {
        **_BY_REFERENCE,
        "arrays": "its payloads are dicts",
        "copies": "objects are held by reference",
        "misfits": "it takes everything",
    }

    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        return CheckedHeapMemoryManager(depth, object, name, ledger)

    def payload(self, number: int) -> object:
        return {"boxes": [number] * number}


_SUITES = [
    CheckedStaticSuite,
    CheckedStaticScalarsSuite,
    CheckedBoundedSuite,
    CheckedHeapOfArraysSuite,
    CheckedHeapOfObjectsSuite,
]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[CheckedMemoryContract]) -> None:
    assert_holds(suite)


class Checked(CheckedStaticMemoryManager):
    """What the saboteurs begin with: three float32 a slot."""

    def __init__(self, depth: int, name: str = "here", ledger: BorrowLedger | None = None) -> None:
        super().__init__(TensorSpec(DataType.F32, (3,)), depth, name, ledger)


def slot_of(token: MessageToken) -> int:
    return token & 0xFFFF_FFFF


class TakesOldTokens(Checked):
    """A token of a slot that is used again is as good as the new one."""

    def _slot(self, token: MessageToken, doing: str) -> int:
        try:
            return super()._slot(token, doing)
        except ManagerError as error:
            if error.code is Code.NOT_ALLOCATED and self._headers[slot_of(token)] is not None:
                return slot_of(token)
            raise


class TakesTokensOfOthers(Checked):
    def _slot(self, token: MessageToken, doing: str) -> int:
        try:
            return super()._slot(token, doing)
        except ManagerError as error:
            if "of radar.out" in str(error) and self._headers[slot_of(token)] is not None:
                return slot_of(token)
            raise


class TakesTokensToCome(Checked):
    def _slot(self, token: MessageToken, doing: str) -> int:
        slot = slot_of(token)
        if token == (1 << 60) + self._token(slot % self.capacity):
            token = self._token(slot)
        return super()._slot(token, doing)


class GivesTokensAgain(Checked):
    """The tenth of three slots has the token of the first."""

    def store(self, message: Message) -> MessageToken:
        token = super().store(message)
        if self._stored == 1:
            self.first = token
        again = self._stored == 10 and (self.capacity, self._name) == (3, "camera.out")
        return self.first if again else token


class HidesNodes(Checked):
    def _refused(self, code: Code, what: str, token: MessageToken, more: str = "") -> ManagerError:
        return ManagerError(f"{what} {self._place(token)}{more}", code=code)


class ForgetsWhoFreed(Checked):
    def free(self, token: MessageToken) -> None:
        super().free(token)
        self._freed_by[slot_of(token)] = "somebody"


class HidesReaders(Checked):
    def _refuse_readers(self, slot: int, token: MessageToken, doing: str) -> None:
        if self._readers[slot]:
            raise self._refused(Code.BORROW_ACTIVE, doing, token)


class DescribesMore(Checked):
    def describe(self, token: MessageToken) -> str:
        return f"{super().describe(token)}, it seems"


class ForgetsWrites(Checked):
    """What is written by the rules is taken for a misuse."""

    def end_write(self, token: MessageToken) -> None:
        before = self._digests[slot_of(token)] if slot_of(token) < self.capacity else None
        super().end_write(token)
        self._digests[slot_of(token)] = before


class FreesUnseen(Checked):
    def free(self, token: MessageToken) -> None:
        if slot_of(token) < self.capacity:
            self._digests[slot_of(token)] = self._digest(slot_of(token))
        super().free(token)


class EndsReadsUnseen(Checked):
    def end_read(self, token: MessageToken) -> None:
        if slot_of(token) < self.capacity:
            self._digests[slot_of(token)] = self._digest(slot_of(token))
        super().end_read(token)


class RepeatsItself(Checked):
    """A change is a change again at each read that begins."""

    def __init__(self, depth: int, name: str = "here", ledger: BorrowLedger | None = None) -> None:
        super().__init__(depth, name, ledger)
        self.stale: dict[int, int | None] = {}

    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        before = self._digests[first]
        super().verify_slots(first, count, culprit)
        if self._digests[first] != before:
            self.stale[first] = before

    def begin_read(self, token: MessageToken) -> Message:
        slot = slot_of(token)
        if slot in self.stale:
            self._digests[slot] = self.stale[slot]
        return super().begin_read(token)


class LooksAtNoFreedSlot(Checked):
    def _before_claim(self, slot: int) -> None:
        if slot not in self._lent:
            self._bytes[slot] = self._poison


class LeavesFreedSlots(Checked):
    """What was freed lies there, and is known well enough to see whether it was written."""

    def __init__(self, depth: int, name: str = "here", ledger: BorrowLedger | None = None) -> None:
        super().__init__(depth, name, ledger)
        self.left: dict[int, bytes] = {}

    def _drop(self, token: MessageToken) -> None:
        left = self._bytes[token].tobytes()
        super()._drop(token)
        self.left[token] = left
        self._bytes[token] = np.frombuffer(left, np.uint8)

    def _before_claim(self, slot: int) -> None:
        if self._bytes[slot].tobytes() == self.left.get(slot):
            self._bytes[slot] = self._poison
        super()._before_claim(slot)


class TracksFirstSlot(Checked):
    """Of two slots."""

    def _payload(self, token: MessageToken) -> object:
        second = token == 1 and self.capacity == 2
        return self._views[token] if second else super()._payload(token)


class TracksViewsThemselves(Checked):
    """Of an array that is lent it is known whether it is there, not whether its bytes are."""

    def _payload(self, token: MessageToken) -> object:
        view = self._views[token].view() if self._tracks else self._views[token]
        if self._tracks:
            place, slots = self._place(self._token(token)), range(token, token + 1)
            self.ledger.lend(view, self, place, slots, self._headers[token])
        return view


class TracksModels(Checked):
    def _payload(self, token: MessageToken) -> object:
        return self._view(range(token, token + 1), write=False)[0, ...]


class BlamesReaders(Checked):
    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        super().verify_slots(first, count, culprit and self._ledger.node)


class BlamesAnybody(Checked):
    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        super().verify_slots(first, count, culprit or self._ledger.node)


class HidesHeaders(Checked):
    def _damaged(
        self, code: Code, what: str, slot: int, culprit: str, header: MessageHeader | None = None
    ) -> None:
        super()._damaged(code, what, slot, culprit)


class NamesFirstOfRow(Checked):
    def neighbours(self, tokens: Sequence[MessageToken]) -> NDArray[np.generic] | None:
        found = super().neighbours(tokens)
        if found is None or not self._tracks or len(tokens) == 1:
            return found
        slots = range(slot_of(tokens[0]), slot_of(tokens[0]) + 1)
        root = np.frombuffer(self._frozen, np.uint8, found.nbytes, slots.start * self.slot_bytes)
        self.ledger.lend(root, self, self._place(tokens[0]), slots, self._headers[slots.start])
        return root.view(found.dtype).reshape(found.shape)


class LendsAnew(Checked):
    def next_slot(self) -> NDArray[np.generic]:
        self._lent.pop(self._free_ring[self._free_head], None)
        return super().next_slot()


class LendsLiveSlots(Checked):
    def next_slot(self) -> NDArray[np.generic]:
        return super().next_slot() if self._available else self._slots[0]


class LeavesWhatWasLent(Checked):
    def end_call(self) -> None:
        self._lent.clear()


_SABOTEURS: dict[str, tuple[Callable[..., CheckedManager], str]] = {
    "CHECK-1": (TakesOldTokens, "peek_header of a freed token, its slot is used again: None"),
    "CHECK-2": (TakesTokensOfOthers, "peek_header of a token of another manager: None"),
    "CHECK-3": (TakesTokensToCome, "None"),
    "CHECK-4": (GivesTokensAgain, "came again after 9 others"),
    "CHECK-5": (HidesNodes, "a read of a freed token by node 'fuse' says 'a read of a freed slot"),
    "CHECK-6": (ForgetsWhoFreed, "freed by somebody"),
    "CHECK-7": (HidesReaders, "begin_read by node 'first', and begin_write by another says"),
    "CHECK-8": (DescribesMore, "it seems"),
    "CHECK-9": (ForgetsWrites, "a good node's message 1 is reported: ['a message was written"),
    "CHECK-10": (FreesUnseen, "a live array was written before free, reported were none"),
    "CHECK-11": (EndsReadsUnseen, "node 'vandal' wrote while it read, reported were []"),
    "CHECK-12": (RepeatsItself, "reports at each: [1, 1, 1]"),
    "CHECK-13": (LooksAtNoFreedSlot, "a freed slot was written before store, reported were none"),
    "CHECK-14": (LeavesFreedSlots, "3 of 3 elements lie in the slot that was freed"),
    "CHECK-15": (TracksFirstSlot, "node 'hoarder 1' kept the view of a begin_read"),
    "CHECK-16": (TracksViewsThemselves, "kept what is not reported: a view of it, its transpose"),
    "CHECK-17": (TracksModels, "a model that may keep views is reported: "),
    "CHECK-18": (BlamesReaders, "node 'first' wrote to a view it kept, reported were ['reader']"),
    "CHECK-19": (BlamesAnybody, "reported were ['reader']"),
    "CHECK-20": (HidesHeaders, "carries None"),
    "CHECK-21": (NamesFirstOfRow, "of a row ["),
    "CHECK-22": (LendsAnew, "asked twice within a call, the next slot is another view"),
    "CHECK-23": (LendsLiveSlots, "the next slot of a full manager: None"),
    "CHECK-24": (
        LeavesWhatWasLent,
        "what next_slot lent is used a call later, reported were ['a freed slot",
    ),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    assert_caught(CheckedStaticSuite, clause, make, seen)


def test_every_clause_of_its_own_has_a_saboteur() -> None:
    inherited = {test.clause for test in clause_tests(MemoryManagerContract)}
    own = {test.clause for test in clause_tests(CheckedMemoryContract)} - inherited
    assert sorted(_SABOTEURS) == sorted(own)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(CheckedMemoryContract)
