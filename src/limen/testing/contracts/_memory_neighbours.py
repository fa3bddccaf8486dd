"""Clauses of memory managers whose slots lie side by side."""

from __future__ import annotations

import numpy as np

from limen.errors import Code
from limen.memory import StaticMemoryManager
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._memory_suite import MemorySuite, as_array, header, write_through
from limen.types import MessageToken


class NeighbourClauses(MemorySuite):
    """Holds a memory manager to MEM-42 … MEM-52, where its slots lie side by side."""

    @needs("neighbours")
    def test_mem_42_neighbours_are_one_view(self) -> None:
        manager = self._side_by_side(4)
        tokens = self._store(manager, (0, 1, 2, 3))
        for first, last in ((0, 4), (0, 1), (1, 3), (3, 4)):
            found = manager.neighbours(tokens[first:last])
            assert found is not None, f"messages {first} to {last - 1} of 4 form no view"
            wanted = [self._wanted(number) for number in range(first, last)]
            seen = self.contents(found)
            assert seen == wanted, f"messages {first} to {last - 1} hold {wanted}, the view {seen}"
            array = as_array(manager.begin_write(tokens[first]).payload)
            shared = np.shares_memory(array, found)
            manager.end_write(tokens[first])
            assert shared, f"the view of messages {first} to {last - 1} is a copy"
            del array, found

    @needs("neighbours")
    def test_mem_43_neighbours_that_are_read_cannot_be_written_to(self) -> None:
        manager = self._side_by_side(3)
        tokens = self._store(manager, (0, 1, 2))
        for count in (1, 3):
            found = manager.neighbours(tokens[:count])
            if found is None:
                inapplicable("they form no view: see MEM-42")
            seen = write_through(found, 0)
            del found
            assert seen is not None, f"the view of {count} neighbours can be written to"

    @needs("neighbours")
    def test_mem_44_what_is_no_row_of_neighbours_forms_no_view(self) -> None:
        manager = self._side_by_side(4)
        tokens = self._store(manager, (0, 1, 2, 3))
        for places in ((1, 0), (0, 2), (0, 0), (3, 0), (0, 1, 3), (0, 1, 1), (1, 2, 0)):
            seen = manager.neighbours([tokens[place] for place in places])
            assert seen is None, f"messages {places} of 4 in a row form a view"

    @needs("neighbours")
    def test_mem_45_slots_go_round(self) -> None:
        manager = self._side_by_side(3)
        first: int | None = None
        for turn in range(5):
            tokens = self._store(manager, (0, 1, 2))
            places = [_place(manager, token) for token in tokens]
            first = places[0] if first is None else first
            seen = [(place - first) / manager.slot_bytes for place in places]
            assert seen == [0, 1, 2], f"round {turn}: three messages lie in slots {seen}"
            for token in tokens:
                manager.free(token)
        for turn in range(10):
            (token,) = self._store(manager, (1,))
            slot = (_place(manager, token) - (first or 0)) / manager.slot_bytes
            assert slot == turn % 3, f"message {turn} of some freed at once lies in slot {slot:g}"
            manager.free(token)

    @needs("neighbours")
    def test_mem_46_a_gather_copies_in_order(self) -> None:
        manager = self._side_by_side(4)
        tokens = self._store(manager, (0, 1, 2, 3))
        out = np.stack([as_array(self.payload(7))] * 4)
        for places in ((3, 0), (2,), (1, 2, 3), (0, 0)):
            out[...] = as_array(self.payload(7))
            manager.gather([tokens[place] for place in places], out)
            seen = self.contents(out)
            wanted = [self._wanted(number) for number in (*places, 7, 7, 7)][:4]
            assert seen == wanted, f"messages {places} hold {wanted}, gathered was {seen}"

    @needs("neighbours")
    def test_mem_47_batches_with_a_token_that_is_not_live_are_refused(self) -> None:
        manager = self._side_by_side(4)
        live, freed, foreign = self._bad_tokens(manager)
        out = np.stack([as_array(self.payload(7))] * 3)
        for name in ("neighbours", "gather"):
            for bad, wanted in ((freed, Code.NOT_ALLOCATED), (foreign, Code.BAD_TOKEN)):
                for token in bad:
                    for batch in ([token], [token, live[0]], [live[0], token], [*live[:2], token]):
                        seen = (
                            code_raised(manager.neighbours, batch)
                            if name == "neighbours"
                            else code_raised(manager.gather, batch, out)
                        )
                        assert seen is wanted, f"{name} of {batch}, {token} not live: {seen}"

    @needs("neighbours")
    def test_mem_48_a_reservation_is_a_row_of_slots_to_write(self) -> None:
        manager = self._side_by_side(3)
        before = manager.statistics()
        for count in (1, 3, 2):
            room = manager.reserve(count)
            assert room is not None, f"of 3 free slots {count} cannot be reserved"
            assert len(room) == count, f"for {count} slots an array of {len(room)} is reserved"
            seen = write_through(room, as_array(self.payload(count)).flat[0])
            assert seen is None, f"what is reserved cannot be written to: {seen}"
            after = manager.statistics()
            assert after == before, f"reserving {count} slots changed {before} into {after}"
            del room
        self._store(manager, (1,))
        room = manager.reserve(2)
        assert room is not None, "of 3 slots, the first in use, 2 cannot be reserved"
        view = as_array(manager.begin_write(manager.store(self._message(2))).payload)
        assert np.shares_memory(room, view), "what was stored then lies beside what was reserved"

    @needs("neighbours")
    def test_mem_49_what_is_no_row_of_free_slots_cannot_be_reserved(self) -> None:
        manager = self._side_by_side(3)
        seen = [_reserved(manager, 4)]
        tokens = self._store(manager, (0, 1, 2))
        seen.append(_reserved(manager, 1))
        manager.free(tokens[2])
        manager.free(tokens[0])
        seen += [_reserved(manager, 3), _reserved(manager, 2), _reserved(manager, 1)]
        self._store(manager, (1,))
        manager.free(tokens[1])
        seen.append(_reserved(manager, 2))
        wanted = [False, False, False, False, True, True]
        assert seen == wanted, (
            "reserved were 4 of 3 free, 1 of none, 3 and 2 and 1 of the last and the first slot, "
            f"2 of the first two: {seen}"
        )

    @needs("neighbours")
    def test_mem_50_a_commit_makes_a_message_of_what_was_written(self) -> None:
        manager = self._side_by_side(3)
        self._store(manager, (0,))
        room = manager.reserve(2)
        if room is None:
            inapplicable("two of three slots cannot be reserved: see MEM-48")
        room[0], room[1] = as_array(self.payload(5)), as_array(self.payload(6))
        del room
        before = manager.statistics()
        tokens = [manager.commit(header(5)), manager.commit(header(6))]
        after = manager.statistics()
        seen = after.stored - before.stored, after.copies - before.copies
        assert seen == (2, 0), f"two commits count as {seen[0]} stores and {seen[1]} copies"
        assert after.available == 0, f"with two of two slots committed {after.available} are free"
        assert after.peak_used == 3, f"with three slots in use the peak is {after.peak_used}"
        for number, token in zip((5, 6), tokens, strict=True):
            shown = manager.peek_header(token), self._shown(manager, token)
            wanted = header(number), self._wanted(number)
            assert shown == wanted, f"committed was {wanted}, and {shown} is read"

    @needs("neighbours")
    def test_mem_51_a_commit_without_a_free_slot_is_refused(self) -> None:
        manager = self._side_by_side(2)
        live = self._store(manager, (1, 2))
        before = self._state(manager, live)
        seen = code_raised(manager.commit, header(3))
        assert seen is Code.NO_FREE_SLOTS, f"a commit into a full manager: {seen}"
        after = self._state(manager, live)
        assert after == before, f"a commit into a full manager changed {before} into {after}"

    @needs("neighbours")
    def test_mem_52_the_next_slot_is_the_one_that_is_claimed(self) -> None:
        manager = self._side_by_side(2)
        for number in range(5):
            before = manager.statistics()
            slot = manager.next_slot()
            seen = write_through(slot, self.payload(number))
            assert seen is None, f"the next slot cannot be written to: {seen}"
            after = manager.statistics()
            assert after == before, f"asking for the next slot changed {before} into {after}"
            token = manager.commit(header(number))
            shown = self._shown(manager, token)
            assert shown == self._wanted(number), (
                f"{self._wanted(number)} was written to the next slot, and {shown} is read"
            )
            del slot
            self.end_call(manager)
            manager.free(token)


def _reserved(manager: StaticMemoryManager, count: int) -> bool:
    return manager.reserve(count) is not None


def _place(manager: StaticMemoryManager, token: MessageToken) -> int:
    """Where the payload of a message begins."""
    address = as_array(manager.begin_read(token).payload).ctypes.data
    manager.end_read(token)
    return address
