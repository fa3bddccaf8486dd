"""Who has views of which slots, while one node is called; for checked managers."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, ManagerError
from limen.message import MessageHeader


@dataclass(frozen=True, slots=True)
class Misuse:
    """A misuse that was noticed after it happened.

    Attributes:
        node: Who did it; empty where nobody can be blamed.
        error: What happened, with token, slot and node.
        header: Of the message concerned, if there is one.
    """

    node: str
    error: ManagerError
    header: MessageHeader | None = None


class Lender(Protocol):
    """What hands out views and takes part in settling a call."""

    def end_call(self) -> None:
        """Let go of what was lent for the call."""

    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        """Report live slots whose bytes have changed since they were stored."""


@dataclass(frozen=True, slots=True)
class _Loan:
    root: weakref.ref[NDArray[np.uint8]]
    lender: Lender
    place: str
    slots: range
    node: str
    header: MessageHeader | None


class BorrowLedger:
    """Knows what was lent to the node that is being called, and whether it was given back.

    A run has one. Each view is made for its call, on an array of its own that every slice of it
    keeps alive: if that array is there after the call, somebody has kept a view. The runtime says
    who is called (``begin``) and asks afterwards (``settle``).

    Attributes:
        node: Who is being called.
        tracks: Whether what is lent must be given back; models keep arrays they are bound to.
    """

    def __init__(self) -> None:
        self.node = ""
        self.tracks = True
        self._names: list[str] = []
        self._lenders: list[Lender] = []
        self._lent: list[_Loan] = []
        self._kept: list[_Loan] = []
        self._found: list[Misuse] = []

    def enter(self, lender: Lender, name: str) -> int:
        """Take in a lender; the number that tags its tokens, from 1."""
        self._lenders.append(lender)
        self._names.append(name)
        return len(self._names)

    def name_of(self, tag: int) -> str:
        """Return the name of a lender, or that there is none."""
        return self._names[tag - 1] if 1 <= tag <= len(self._names) else "no manager"

    @property
    def who(self) -> str:
        """The node that is being called, in words."""
        return f"node {self.node!r}" if self.node else "no node"

    def begin(self, node: str, *, tracks: bool = True) -> None:
        """Say who is called next."""
        self.node = node
        self.tracks = tracks

    def lend(
        self,
        root: NDArray[np.uint8],
        lender: Lender,
        place: str,
        slots: range,
        header: MessageHeader | None = None,
    ) -> None:
        """Note a view.

        Args:
            root: The array that all views of it keep alive.
            lender: Whose bytes they are.
            place: Token and slot in words.
            slots: The lender's slots.
            header: Of the message in it.
        """
        loan = _Loan(weakref.ref(root), lender, place, slots, self.node, header)
        self._lent.append(loan)

    def holder(self, lender: Lender, slot: int) -> str:
        """Return who has kept a view of a slot; empty if nobody is known to."""
        for loan in reversed(self._kept):
            if loan.lender is lender and slot in loan.slots and loan.root() is not None:
                return loan.node
        return ""

    def report(self, error: ManagerError, node: str, header: MessageHeader | None = None) -> None:
        """Note a misuse, for ``settle`` to return.

        Args:
            error: What happened.
            node: Who did it; empty where that is not known.
            header: Of the message concerned.
        """
        self._found.append(Misuse(node, error, header))

    def settle(self) -> tuple[Misuse, ...]:
        """End a call: return all misuse noticed since the last one, views kept included."""
        for lender in self._lenders:
            lender.end_call()
        lent, self._lent = self._lent, []
        for loan in lent:
            loan.lender.verify_slots(loan.slots.start, len(loan.slots), loan.node)
        if any(loan.root() is not None for loan in lent):
            # What only a cycle keeps alive, an exception's frames for instance, nobody can read.
            gc.collect()
            kept = [loan for loan in lent if loan.root() is not None]
            # Of views of one slot the newest is enough to know who has one.
            new = {(id(loan.lender), loan.slots) for loan in kept}
            self._kept = [
                loan
                for loan in self._kept
                if loan.root() is not None and (id(loan.lender), loan.slots) not in new
            ]
            self._kept += kept
            for loan in kept:
                self.report(_kept_view(loan), loan.node, loan.header)
        found, self._found = tuple(self._found), []
        self.node, self.tracks = "", True
        return found


class LentBuffer:
    """A buffer that is handed out call by call; views of it are to be let go like those of slots.

    Args:
        array: The buffer, C-contiguous.
        name: How errors name it.
        ledger: The run's.
    """

    def __init__(self, array: NDArray[np.generic], name: str, ledger: BorrowLedger) -> None:
        self._array = array
        self._name = name
        self._ledger = ledger
        self._frozen = memoryview(array.reshape(-1).view(np.uint8).data).toreadonly()
        ledger.enter(self, name)

    def lend(self, items: int) -> NDArray[np.generic]:
        """Return the first items, read-only, for the call that begins."""
        size = items * self._array[:1].nbytes
        root = np.frombuffer(self._frozen, np.uint8, size)
        self._ledger.lend(root, self, self._name, range(0))
        return root.view(self._array.dtype).reshape((items, *self._array.shape[1:]))

    def end_call(self) -> None:
        """Nothing is kept here."""

    def verify_slots(self, first: int, count: int, culprit: str) -> None:
        """There are no slots."""


def _kept_view(loan: _Loan) -> ManagerError:
    return ManagerError(
        f"a view of {loan.place} was kept past the call, by node {loan.node!r}",
        code=Code.VIEW_KEPT,
        remedy="copy what is to be kept",
    )
