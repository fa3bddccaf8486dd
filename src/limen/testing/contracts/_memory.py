"""The suite that every memory manager passes."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np

from limen.errors import Code, LimenError
from limen.memory import MemoryManager
from limen.message import Message
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._memory_borrows import BorrowClauses
from limen.testing.contracts._memory_neighbours import NeighbourClauses
from limen.testing.contracts._memory_suite import as_array, header, write_through
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept
from limen.types import MemoryClass, MessageToken

_ROUNDS = 12
_CYCLES = 300


class MemoryManagerContract(BorrowClauses, NeighbourClauses):
    """Holds a memory manager to MEM-1 … MEM-52; write ``make``."""

    subjects: ClassVar[tuple[type, ...]] = (MemoryManager,)

    def test_mem_1_slots_free_and_messages_live_add_up(self) -> None:
        manager = self.make(3)
        assert manager.capacity == 3, f"made with a depth of 3, its capacity is {manager.capacity}"
        live: list[MessageToken] = []
        seen = [manager.available]
        for number in range(3):
            live.append(manager.store(self._message(number)))
            seen.append(manager.available)
        for place in (1, 0, 0):
            manager.free(live.pop(place))
            seen.append(manager.available)
        wanted = [3, 2, 1, 0, 1, 2, 3]
        assert seen == wanted, f"available before and after 3 stores, then 3 frees: {seen}"

    def test_mem_2_a_depth_below_one_is_refused(self) -> None:
        for depth in (0, -1):
            seen = code_raised(self.make, depth)
            assert seen is Code.CONFIGURATION, f"a manager of depth {depth}: {seen}"

    def test_mem_3_a_store_without_a_free_slot_is_refused(self) -> None:
        manager = self.make(2)
        self._store(manager, (1, 2))
        for _ in range(2):
            seen = code_raised(manager.store, self._message(3))
            assert seen is Code.NO_FREE_SLOTS, f"a third store into 2 slots: {seen}"

    def test_mem_4_a_store_without_a_free_slot_changes_nothing(self) -> None:
        manager = self.make(2)
        live = self._store(manager, (1, 2))
        before = self._state(manager, live)
        if code_raised(manager.store, self._message(3)) is None:
            inapplicable("it takes more than it has slots: see MEM-3")
        after = self._state(manager, live)
        assert after == before, f"a store into a full manager changed {before} into {after}"

    def test_mem_5_tokens_of_live_messages_differ(self) -> None:
        manager = self.make(4)
        live = self._store(manager, (0, 1, 2, 3))
        for number in range(4, 4 + 4 * _ROUNDS):
            assert len(set(live)) == 4, f"four messages are live, their tokens are {live}"
            manager.free(live.pop(number % 3))
            live.append(manager.store(self._message(number % 8)))

    def test_mem_6_no_slot_is_lost(self) -> None:
        manager = self.make(3)
        for turn, order in enumerate(list(itertools.permutations(range(3))) * 2):
            live: list[MessageToken] = []
            for number in range(3):
                seen: Code | None = None
                try:
                    live.append(manager.store(self._message(number)))
                except LimenError as error:
                    seen = error.code
                assert seen is None, f"round {turn}: store {number + 1} into 3 slots: {seen}"
            for place in order:
                manager.free(live[place])

    def test_mem_7_managers_share_no_state(self) -> None:
        first, other = self.make(2), self.make(2)
        live = self._store(other, (1,))
        before = self._state(other, live)
        token = first.store(self._message(2))
        first.begin_read(token)
        first.store(self._message(3))
        after = self._state(other, live)
        assert after == before, f"using one manager changed another from {before} to {after}"

    def test_mem_8_a_header_can_be_looked_at_until_its_message_is_freed(self) -> None:
        manager = self.make(3)
        tokens = dict(enumerate(self._store(manager, (0, 1, 2))))
        manager.free(tokens.pop(1))
        tokens[4] = manager.store(self._message(4))
        manager.free(tokens.pop(0))
        for number, token in tokens.items():
            seen = manager.peek_header(token)
            assert seen == header(number), f"stored {header(number)}, and peek_header says {seen}"

    def test_mem_9_a_read_returns_the_header(self) -> None:
        manager = self.make(3)
        for number, token in enumerate(self._store(manager, (0, 1, 2))):
            for _ in range(2):
                seen = manager.begin_read(token).header
                manager.end_read(token)
                assert seen == header(number), f"stored {header(number)}, a read returns {seen}"

    def test_mem_10_a_read_returns_the_payload(self) -> None:
        manager = self.make(4)
        for number, token in enumerate(self._store(manager, (0, 1, 2, 3))):
            wanted = self._wanted(number)
            seen = [self._shown(manager, token) for _ in range(3)]
            assert seen == [wanted] * 3, f"stored {wanted}, three reads return {seen}"

    def test_mem_11_others_change_no_payload(self) -> None:
        manager = self.make(3)
        first, kept, last = self._store(manager, (1, 5, 2))
        before = self._shown(manager, kept)
        manager.begin_write(first)
        manager.end_write(first)
        for token in (first, last):
            manager.free(token)
        for number in range(3 * _ROUNDS):
            others = self._store(manager, [number % 4, (number + 1) % 4][: 1 + number % 2])
            after = self._shown(manager, kept)
            assert after == before, f"{number + 1} stores of others made {before} of it {after}"
            for token in others:
                manager.free(token)

    @needs("copies")
    def test_mem_12_the_maker_changes_nothing_that_was_copied(self) -> None:
        manager = self.make(1)
        source = self.payload(1)
        token = manager.store(Message(header(1), source))
        before = self._shown(manager, token)
        if isinstance(source, np.ndarray):
            source[...] = 0
        elif isinstance(source, bytearray):
            source[:] = bytes(len(source))
        else:
            inapplicable(f"a {type(source).__qualname__} cannot be written to")
        after = self._shown(manager, token)
        assert after == before, f"what was stored changed with its source from {before} to {after}"

    @needs("arrays")
    def test_mem_13_an_array_that_is_read_cannot_be_written_to(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[1]
        for when in ("stored", "written"):
            view = as_array(manager.begin_read(token).payload)
            seen = write_through(view, 0)
            manager.end_read(token)
            assert seen is not None, f"a read of what was {when} can be written to"
            del view
            manager.begin_write(token)
            manager.end_write(token)

    @needs("arrays")
    def test_mem_14_an_array_that_is_written_is_what_is_read_then(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        for number in (4, 5):
            view = as_array(manager.begin_write(token).payload)
            seen = write_through(view, as_array(self.payload(number)).flat[0])
            wanted = self.contents(view)
            del view
            manager.end_write(token)
            assert seen is None, f"an array to write cannot be written to: {seen}"
            after = self._shown(manager, token)
            assert after == wanted, f"{wanted} was written, and {after} is read"

    @needs("misfits")
    def test_mem_31_a_misfit_is_refused(self) -> None:
        for misfit in self.misfits():
            manager = self.make(2)
            seen = code_raised(manager.store, Message(header(1), misfit))
            assert seen is Code.PAYLOAD_MISMATCH, f"a store of {misfit!r}: {seen}"

    @needs("misfits")
    def test_mem_32_nothing_is_kept_of_a_misfit(self) -> None:
        for misfit, used in itertools.product(self.misfits(), (1, 2)):
            manager = self.make(3)
            live = self._store(manager, (1, 2)[:used])
            before = self._state(manager, live)
            if code_raised(manager.store, Message(header(1), misfit)) is None:
                inapplicable(f"{misfit!r} was taken: see MEM-31")
            after = self._state(manager, live)
            assert after == before, f"{misfit!r} was refused, and changed {before} into {after}"
            live += self._store(manager, (1, 2, 3)[used:])
            seen = [self._shown(manager, token) for token in live]
            wanted = [self._wanted(number) for number in (1, 2, 3)]
            assert seen == wanted, f"with {misfit!r} refused after {used}, {wanted} are {seen}"

    def test_mem_33_messages_are_counted_as_they_are_stored(self) -> None:
        manager = self.make(2)
        seen = [manager.statistics().stored]
        for number in range(2 * _ROUNDS):
            token = manager.store(self._message(number % 8))
            seen.append(manager.statistics().stored)
            manager.free(token)
        wanted = list(range(2 * _ROUNDS + 1))
        assert seen == wanted, f"stored before and after stores, each freed at once: {seen}"

    def test_mem_34_the_peak_is_the_most_that_was_used(self) -> None:
        manager = self.make(4)
        live: list[MessageToken] = []
        seen = []
        for count in (0, 1, 2, 1, 2, 3, 0, 1, 4, 2):
            while len(live) < count:
                live.append(manager.store(self._message(count)))
            while len(live) > count:
                manager.free(live.pop())
            seen.append(manager.statistics().peak_used)
        wanted = [0, 1, 2, 2, 2, 3, 3, 3, 4, 4]
        assert seen == wanted, f"with 0, 1, 2, 1, 2, 3, 0, 1, 4, 2 live, peak_used is {seen}"

    def test_mem_35_copies_are_counted(self) -> None:
        manager = self.make(2)
        seen = [manager.statistics().copies]
        for number in range(4):
            token = manager.store(self._message(number))
            manager.begin_write(token)
            manager.end_write(token)
            self._shown(manager, token)
            seen.append(manager.statistics().copies)
            manager.free(token)
        wanted = [0] * 5 if "copies" in self.lacks else [0, 1, 2, 3, 4]
        assert seen == wanted, f"copies before and after 4 stores, each read and written: {seen}"

    def test_mem_36_statistics_say_what_the_manager_says(self) -> None:
        manager = self.make(3)
        for number in range(4):
            found = manager.statistics()
            seen = found.capacity, found.available, found.payload_bytes
            wanted = manager.capacity, manager.available, manager.payload_bytes
            assert seen == wanted, (
                f"capacity, available and payload_bytes are {wanted} with {number} of 3 slots in "
                f"use, and in statistics {seen}"
            )
            if number < 3:
                manager.store(self._message(number))

    def test_mem_37_payload_bytes_stay(self) -> None:
        manager = self.make(3)
        first = manager.payload_bytes
        assert first >= 0, f"payload_bytes is {first}"
        assert first == 0 or "copies" not in self.lacks, (
            f"payload_bytes is {first}, and payloads are held by reference"
        )
        for number in range(3):
            token = manager.store(self._message(number))
            self._shown(manager, token)
            seen = manager.payload_bytes
            assert seen == first, f"payload_bytes was {first}, and after {number + 1} stores {seen}"
            if number == 1:
                manager.free(token)

    def test_mem_38_shares_are_counted_by_token(self) -> None:
        manager = self.make(2)
        counts, others = manager.share_counts(), manager.share_counts()
        for turn in range(3):
            live = self._store(manager, (1, 2))
            seen = [counts[token] for token in live]
            assert seen == [0, 0], f"the shares of new messages, round {turn + 1}: {seen}"
            for count, token in enumerate(live, start=2):
                counts[token] = count
            seen = [counts[token] for token in live] + [others[token] for token in live]
            assert seen == [2, 3, 0, 0], (
                f"set to 2 and 3, in another place not at all, they count {seen}"
            )
            for token in live:
                counts[token] -= counts[token]
                manager.free(token)

    def test_mem_39_a_description_names_the_token(self) -> None:
        manager = self.make(2)
        live = self._store(manager, (1, 2))
        for token in (*live, MessageToken(-1), MessageToken(max(live) + 5)):
            seen = manager.describe(token)
            assert str(token) in seen, f"describe({token}) is {seen!r}"

    def test_mem_40_the_memory_class_says_where_payloads_lie(self) -> None:
        manager = self.make(1)
        seen: object = manager.memory_class
        assert isinstance(seen, MemoryClass), f"memory_class is {seen!r}"
        found = manager.begin_read(manager.store(self._message(1))).payload
        assert seen is MemoryClass.HOST or not isinstance(found, np.ndarray), (
            f"memory_class is {seen!r}, and a read returns a NumPy array"
        )

    def test_mem_41_nothing_is_kept_of_what_was_freed(self) -> None:
        manager = self.make(2)
        payloads = [self.payload(number) for number in range(8)]

        def cycles() -> None:
            for number in range(_CYCLES):
                token = manager.store(Message(header(1_000_000 + number), payloads[number % 8]))
                with manager.read(token), manager.read(token):
                    pass
                with manager.read_mut(token):
                    pass
                manager.free(token)
                self.end_call(manager)

        kept = bytes_kept(cycles)
        assert kept < SLACK_BYTES, f"{_CYCLES} messages went through and {kept} B were kept"
