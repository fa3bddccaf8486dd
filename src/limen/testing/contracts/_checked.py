"""The suite that every checked memory manager passes, on top of that of all managers."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, LimenError
from limen.memory import (
    BorrowLedger,
    CheckedManager,
    CheckedStaticMemoryManager,
    MemoryManager,
    Misuse,
)
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._memory import MemoryManagerContract
from limen.testing.contracts._memory_suite import Call, MemorySuite, as_array, header
from limen.types import MessageToken

_ROUNDS = 20
_NAME, _OTHER = "camera.out", "radar.out"


class CheckedMemoryContract(MemoryManagerContract):
    """Holds a checked manager to CHECK-1 … CHECK-24 as well; write ``make``."""

    subjects = (CheckedManager, MemoryManager)
    capabilities: ClassVar[Mapping[str, str]] = {
        **MemorySuite.capabilities,
        "poison": "payloads lie in slots that are watched while they are free",
        "views": "payloads are views, each made for its call",
    }

    @abc.abstractmethod
    def make(
        self, depth: int, name: str = "here", ledger: BorrowLedger | None = None
    ) -> CheckedManager:
        """Return a new manager of ``depth`` slots.

        ``name`` is what errors name it, ``ledger`` the run's; one of its own where it is None.
        """

    def end_call(self, manager: MemoryManager) -> None:
        """Settle what was lent."""
        if isinstance(manager, CheckedManager):
            manager.ledger.settle()

    def test_check_1_a_freed_token_stays_refused(self) -> None:
        manager = self.make(2, _NAME)
        old = self._store(manager, (1, 2))
        for token in old:
            manager.free(token)
        for when in ("its slot is free", "its slot is used again"):
            for name, call in self._calls(manager).items():
                for token in old:
                    seen = code_raised(call, token)
                    assert seen is Code.NOT_ALLOCATED, f"{name} of a freed token, {when}: {seen}"
            self._store(manager, (3, 4) if when == "its slot is free" else ())

    def test_check_2_a_token_of_another_manager_is_refused(self) -> None:
        ledger = BorrowLedger()
        mine, other = self.make(2, _NAME, ledger), self.make(2, _OTHER, ledger)
        self._store(mine, (1, 2))
        for token in self._store(other, (3, 4)):
            for name, call in self._calls(mine).items():
                seen = code_raised(call, token)
                assert seen is Code.BAD_TOKEN, f"{name} of a token of another manager: {seen}"

    def test_check_3_a_token_that_was_never_given_is_refused(self) -> None:
        manager = self.make(2, _NAME)
        given: set[MessageToken] = set()
        for _ in range(3):
            live = self._store(manager, (1, 2))
            given.update(live)
            for token in live:
                manager.free(token)
        live = self._store(manager, (1, 2))
        given.update(live)
        made_up = {token + (1 << bit) for token in live for bit in range(62)}
        made_up |= {0, 1, 2, 7} | {token ^ (1 << bit) for token in live for bit in range(32, 48)}
        for number in sorted(made_up - given):
            seen = code_raised(manager.begin_read, MessageToken(number))
            assert seen is Code.BAD_TOKEN, f"a read of {number}, given were {sorted(given)}: {seen}"

    def test_check_4_no_token_is_given_twice(self) -> None:
        manager = self.make(3, _NAME)
        given: list[MessageToken] = []
        for number in range(_ROUNDS):
            tokens = self._store(manager, (number % 8, 1)[: 1 + number % 2])
            for token in tokens:
                assert token not in given, f"token {token} came again after {len(given)} others"
                manager.free(token)
            given += tokens

    def test_check_5_a_refusal_names_token_slot_manager_and_node(self) -> None:
        ledger = BorrowLedger()
        mine, other = self.make(2, _NAME, ledger), self.make(2, _OTHER, ledger)
        freed, live = self._store(mine, (1, 2))
        mine.free(freed)
        foreign, idle = self._store(other, (3, 4))
        mine.begin_read(live)
        ledger.begin("fuse")
        for what, call, token, name in (
            ("a read of a freed token", mine.begin_read, freed, _NAME),
            ("a look at a freed token", mine.peek_header, freed, _NAME),
            ("a free of a token that is read", mine.free, live, _NAME),
            ("a write to a token that is read", mine.begin_write, live, _NAME),
            ("an end of a write of what is read", mine.end_write, live, _NAME),
            ("an end of a write that is not open", other.end_write, idle, _OTHER),
            ("an end of a read that is not open", other.end_read, idle, _OTHER),
            ("a free of a foreign token", mine.free, foreign, _OTHER),
        ):
            text = _text(call, token)
            wanted = rf"token {token} \(slot \d+ of {re.escape(name)}\).* node 'fuse'"
            assert re.search(wanted, text), f"{what} by node 'fuse' says {text!r}"
        text = _text(mine.free, foreign)
        assert _NAME in text, (
            f"a token of {_OTHER} is freed at {_NAME}, and the error says {text!r}"
        )

    def test_check_6_who_freed_is_named(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[0]
        manager.ledger.begin("writer")
        manager.free(token)
        manager.ledger.begin("reader")
        for name, call in self._calls(manager).items():
            text = _text(call, token)
            assert "freed by node 'writer'" in text, (
                f"node 'writer' freed it, and {name} by node 'reader' says {text!r}"
            )

    def test_check_7_who_borrows_is_named(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[0]
        for open_, close, calls in (
            (manager.begin_read, manager.end_read, (manager.begin_write, manager.free)),
            (
                manager.begin_write,
                manager.end_write,
                (manager.begin_read, manager.begin_write, manager.free),
            ),
        ):
            for holder in ("first", "second"):
                manager.ledger.begin(holder)
                open_(token)
                manager.ledger.begin("other")
                for call in calls:
                    text = _text(call, token)
                    assert f"by node '{holder}'" in text, (
                        f"{open_.__name__} by node {holder!r}, and {call.__name__} by another says "
                        f"{text!r}"
                    )
                manager.ledger.begin(holder)
                close(token)

        for holder in ("first", "second"):
            manager.ledger.begin(holder)
            manager.begin_read(token)
        for holder, left in (("first", "second"), ("second", "first")):
            manager.ledger.begin(holder)
            manager.end_read(token)
            text = _text(manager.free, token)
            assert f"read by node '{left}'" in text, (
                f"two nodes read, {holder!r} has ended, and free says {text!r}"
            )
            manager.begin_read(token)

    def test_check_8_a_description_names_token_slot_manager_and_node(self) -> None:
        manager = self.make(2, _NAME)
        for token in self._store(manager, (1, 2)):
            manager.ledger.begin("fuse")
            text = manager.describe(token)
            wanted = rf"token {token} \(slot \d+ of {re.escape(_NAME)}\), by node 'fuse'"
            assert re.fullmatch(wanted, text), f"describe by node 'fuse' says {text!r}"

    def test_check_9_where_nothing_is_misused_nothing_is_reported(self) -> None:
        manager = self.make(2, _NAME)
        kept: list[object] = []
        for number in range(_ROUNDS):
            manager.ledger.begin("good")
            token = manager.store(self._message(number % 8))
            for begin, end in (
                (manager.begin_read, manager.end_read),
                (manager.begin_write, manager.end_write),
                (manager.begin_read, manager.end_read),
            ):
                payload = begin(token).payload
                if isinstance(payload, np.ndarray):
                    if begin == manager.begin_write:
                        payload[...] = as_array(self.payload((number + 1) % 8)).flat[0]
                    flat = payload.reshape(-1)
                    kept += [payload.copy(), payload + 1, payload.tolist(), payload.tobytes()]
                    kept += [flat[0], flat[[0]]]
                    del flat
                del payload
                end(token)
            manager.free(token)
            seen = [str(misuse.error) for misuse in manager.ledger.settle()]
            assert seen == [], f"a good node's message {number + 1} is reported: {seen}"

    @needs("arrays")
    def test_check_10_an_array_that_was_written_though_live_is_reported(self) -> None:
        for name in ("begin_read", "begin_write", "free", "neighbours", "gather"):
            manager = self.make(2, _NAME)
            token = self._store(manager, (1, 2))[0]
            view = self._kept_to_write(manager, token, "keeper")
            view[...] = 9
            if name in self._calls(manager):
                code_raised(self._calls(manager)[name], token)
            elif not isinstance(manager, CheckedStaticMemoryManager):
                continue
            elif name == "neighbours":
                manager.neighbours([token])
            else:
                manager.gather([token], np.stack([view]))
            seen = [misuse.error.code for misuse in manager.ledger.settle()]
            assert Code.BORROW_ACTIVE in seen, (
                f"a live array was written before {name}, reported were {_names(seen)}"
            )

    @needs("arrays")
    def test_check_11_an_array_that_is_written_while_it_is_read_is_reported(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[0]
        manager.ledger.begin("vandal")
        view = as_array(manager.begin_write(token).payload)
        manager.end_write(token)
        manager.begin_read(token)
        view[...] = 9
        del view
        manager.end_read(token)
        seen = [misuse.node for misuse in _found(manager, Code.BORROW_ACTIVE)]
        assert set(seen) == {"vandal"}, f"node 'vandal' wrote while it read, reported were {seen}"

    @needs("arrays")
    def test_check_12_a_change_is_reported_once(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[0]
        view = self._kept_to_write(manager, token, "keeper")
        for value in (9, 8):
            view[...] = value
            seen = []
            for _ in range(3):
                self._shown(manager, token)
                seen.append(len(_found(manager, Code.BORROW_ACTIVE)))
            if seen[0] == 0:
                inapplicable("it is not reported at all: see CHECK-10")
            assert seen == [1, 0, 0], f"one change and three reads, reports at each: {seen}"

    @needs("poison")
    def test_check_13_a_freed_slot_that_was_written_is_reported(self) -> None:
        for name in ("store", "next_slot", "reserve"):
            manager = self.make(2, _NAME)
            token = self._store(manager, (1, 2))[0]
            view = self._kept_to_write(manager, token, "keeper")
            manager.free(token)
            manager.ledger.settle()
            view[...] = 9
            if name == "store":
                manager.store(self._message(3))
            elif not isinstance(manager, CheckedStaticMemoryManager):
                continue
            elif name == "next_slot":
                manager.next_slot()
            else:
                manager.reserve(1)
            seen = [misuse.error.code for misuse in manager.ledger.settle()]
            assert Code.MANAGER_POISONED in seen, (
                f"a freed slot was written before {name}, reported were {_names(seen)}"
            )

    @needs("poison")
    def test_check_14_what_was_freed_cannot_be_read(self) -> None:
        manager = self.make(2, _NAME)
        for token, number in zip(self._store(manager, (1, 2)), (1, 2), strict=True):
            view = as_array(manager.begin_read(token).payload)
            manager.end_read(token)
            manager.free(token)
            stored = as_array(self.payload(number)).flat[0]
            left = int(np.count_nonzero(view == stored))
            assert left == 0, f"{left} of {view.size} elements lie in the slot that was freed"
            del view

    @needs("views")
    def test_check_15_a_view_that_is_kept_is_reported(self) -> None:
        manager = self.make(2, _NAME)
        for place, token in enumerate(self._store(manager, (1, 2))):
            for begin, end in (
                (manager.begin_read, manager.end_read),
                (manager.begin_write, manager.end_write),
            ):
                manager.ledger.begin(f"hoarder {place}")
                view = begin(token).payload
                end(token)
                seen = [misuse.node for misuse in _found(manager, Code.VIEW_KEPT)]
                assert seen == [f"hoarder {place}"], (
                    f"node 'hoarder {place}' kept the view of a {begin.__name__}, reported were "
                    f"{seen}"
                )
                del view

    @needs("views")
    def test_check_16_what_stands_on_a_view_is_reported(self) -> None:
        manager = self.make(len(_STANDING), _NAME)
        tokens = self._store(manager, [number % 8 for number in range(len(_STANDING))])
        manager.ledger.begin("hoarder")
        kept = []
        for make, token in zip(_STANDING.values(), tokens, strict=True):
            kept.append(make(as_array(manager.begin_read(token).payload)))
            manager.end_read(token)
        texts = [str(misuse.error) for misuse in _found(manager, Code.VIEW_KEPT)]
        del kept
        unseen = [
            what
            for what, token in zip(_STANDING, tokens, strict=True)
            if not any(f"token {token} (" in text for text in texts)
        ]
        assert not unseen, f"node 'hoarder' kept what is not reported: {', '.join(unseen)}"

    @needs("views")
    def test_check_17_who_may_keep_views_is_not_reported(self) -> None:
        manager = self.make(2, _NAME)
        kept = []
        for token in self._store(manager, (1, 2)):
            manager.ledger.begin("model", tracks=False)
            kept.append(manager.begin_read(token).payload)
            manager.end_read(token)
            seen = [str(misuse.error) for misuse in _found(manager, Code.VIEW_KEPT)]
            assert seen == [], f"a model that may keep views is reported: {seen}"

    @needs("views")
    def test_check_18_what_a_kept_view_writes_is_its_keepers_doing(self) -> None:
        manager = self.make(2, _NAME)
        tokens = self._store(manager, (1, 2))
        views = [
            self._kept_to_write(manager, token, keeper)
            for token, keeper in zip(tokens, ("first", "second"), strict=True)
        ]
        for view in views:
            view[...] = 9
        for token, keeper in zip(tokens, ("first", "second"), strict=True):
            manager.ledger.begin("reader")
            self._shown(manager, token)
            seen = [misuse.node for misuse in _found(manager, Code.BORROW_ACTIVE)]
            assert seen in ([keeper], []), (
                f"node {keeper!r} wrote to a view it kept, reported were {seen}"
            )

    @needs("arrays")
    def test_check_19_nobody_is_blamed_for_what_nobody_is_known_to_have_written(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[0]
        view = self._kept_to_write(manager, token, "model", tracks=False)
        view[...] = 9
        manager.ledger.begin("reader")
        self._shown(manager, token)
        seen = [misuse.node for misuse in _found(manager, Code.BORROW_ACTIVE)]
        assert seen in ([""], []), f"nobody is known to have written, and reported were {seen}"

    @needs("arrays")
    def test_check_20_a_report_names_what_and_who_and_carries_the_header(self) -> None:
        manager = self.make(2, _NAME)
        token = self._store(manager, (1, 2))[1]
        manager.ledger.begin("vandal")
        view = as_array(manager.begin_write(token).payload)
        manager.end_write(token)
        manager.begin_read(token)
        view[...] = 9
        manager.end_read(token)
        wanted = rf"token {token} \(slot \d+ of {re.escape(_NAME)}\).* node 'vandal'"
        for misuse in manager.ledger.settle():
            text = str(misuse.error)
            assert re.search(wanted, text), f"of token {token} and node 'vandal' it says {text!r}"
            assert misuse.header == header(2), f"the report {text!r} carries {misuse.header}"

    @needs("neighbours")
    def test_check_21_a_row_that_is_kept_is_reported_from_first_to_last(self) -> None:
        manager = self._checked_row(3)
        tokens = self._store(manager, (0, 1, 2))
        manager.ledger.begin("windows")
        kept = manager.neighbours(tokens)
        texts = [str(misuse.error) for misuse in _found(manager, Code.VIEW_KEPT)]
        assert len(texts) == 1, f"node 'windows' kept a row of three slots, reported were {texts}"
        del kept
        for token in (tokens[0], tokens[-1]):
            assert f"token {token} (" in texts[0], f"of a row {tokens} it says {texts[0]!r}"

    @needs("neighbours")
    def test_check_22_the_next_slot_is_one_view_within_a_call(self) -> None:
        manager = self._checked_row(2)
        manager.ledger.begin("scale")
        slot = manager.next_slot()
        again = manager.next_slot()
        assert again is slot, "asked twice within a call, the next slot is another view"
        slot[...] = as_array(self.payload(3))
        manager.commit(header(3))
        after = manager.next_slot()
        assert after is not slot, "once it has been claimed, the next slot is still the same view"
        del slot, again, after

    @needs("neighbours")
    def test_check_23_there_is_no_next_slot_where_none_is_free(self) -> None:
        manager = self._checked_row(2)
        self._store(manager, (1, 2))
        seen = code_raised(manager.next_slot)
        assert seen is Code.NO_FREE_SLOTS, f"the next slot of a full manager: {seen}"

    @needs("neighbours")
    def test_check_24_what_was_lent_and_not_claimed_is_gone(self) -> None:
        for what in ("next_slot", "reserve"):
            manager = self._checked_row(2)
            manager.ledger.begin("scale")
            as_array(manager.next_slot() if what == "next_slot" else manager.reserve(2))[...] = 9
            seen = [str(misuse.error) for misuse in manager.ledger.settle()]
            assert seen == [], f"what {what} lent was written and not claimed: {seen}"
            manager.ledger.begin("scale", tracks=False)
            left = int(np.count_nonzero(manager.next_slot() == 9))
            assert left == 0, f"{left} elements written to what {what} lent are there a call later"
            self._store(manager, (1, 2))
            seen = [str(misuse.error) for misuse in manager.ledger.settle()]
            assert seen == [], f"what {what} lent is used a call later, reported were {seen}"

    def _kept_to_write(
        self, manager: CheckedManager, token: MessageToken, node: str, *, tracks: bool = True
    ) -> NDArray[Any]:
        """Return a view that can be written to after the call of a node, which is over."""
        manager.ledger.begin(node, tracks=tracks)
        view = as_array(manager.begin_write(token).payload)
        manager.end_write(token)
        manager.ledger.settle()
        return view

    def _checked_row(self, depth: int) -> CheckedStaticMemoryManager:
        manager = self.make(depth, _NAME)
        if not isinstance(manager, CheckedStaticMemoryManager):
            inapplicable(f"a {type(manager).__qualname__} is no CheckedStaticMemoryManager")
        return manager


_STANDING: dict[str, Callable[[NDArray[Any]], object]] = {
    "a view of it": lambda view: view[...],
    "its transpose": lambda view: view.T,
    "its first element as a view": lambda view: view.reshape(-1)[:1],
    "its elements from the end": lambda view: view.reshape(-1)[::-1],
    "its bytes": lambda view: view.reshape(-1).view(np.uint8),
    "a buffer of its bytes": lambda view: view.reshape(-1).view(np.uint8).data,
    "an array on a buffer of it": lambda view: np.asarray(view.reshape(-1).view(np.uint8).data),
    "a subclass of it": lambda view: view.view(np.ma.MaskedArray),
    "strides over it": lambda view: np.lib.stride_tricks.as_strided(view.reshape(-1), (1,)),
    "it, broadcast": lambda view: np.broadcast_to(view, (2, *view.shape)),
    "an iterator over it": lambda view: iter(view.reshape(-1)),
    "objects that have it": lambda view: {"boxes": [(1, view)]},
    "a cycle that has it": lambda view: _cycle(view),
}


def _cycle(view: object) -> list[object]:
    kept: list[object] = [view]
    kept.append(kept)
    return kept


def _found(manager: CheckedManager, code: Code) -> list[Misuse]:
    """Settle the call, and return what was reported with a code."""
    return [misuse for misuse in manager.ledger.settle() if misuse.error.code is code]


def _text(call: Call, token: MessageToken) -> str:
    try:
        call(token)
    except LimenError as error:
        return str(error)
    return "nothing: it was not refused"


def _names(codes: list[Code]) -> str:
    return ", ".join(code.name for code in codes) or "none"
