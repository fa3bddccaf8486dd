"""What checked managers say word for word, and what they find when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, PayloadMismatchError
from limen.memory import (
    FREED,
    POISON_BYTE,
    BorrowLedger,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedStaticMemoryManager,
    Misuse,
)
from limen.message import Message
from limen.types import (
    DataType,
    MessageToken,
    TensorSpec,
)
from memory_parts import (
    CHECKED,
    KEPT,
    OUT,
    ROWS,
    SPEC,
    WRITTEN,
    checked,
    every_checked,
    header,
    kept_by,
    message,
    place,
    refused,
    scribble,
)

_CHECKED_REFUSALS: dict[
    str, tuple[Callable[[CheckedManager, MessageToken], object], Code, str, str]
] = {
    "a read of a freed slot": (
        lambda manager, token: (manager.free(token), manager.begin_read(token)),
        Code.NOT_ALLOCATED,
        "a read of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a look at a freed slot": (
        lambda manager, token: (manager.free(token), manager.peek_header(token)),
        Code.NOT_ALLOCATED,
        "a look at a freed slot: {}",
        ", freed by node 'n'",
    ),
    "an end of a read of a freed slot": (
        lambda manager, token: (manager.free(token), manager.end_read(token)),
        Code.NOT_ALLOCATED,
        "the end of a read of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a write to a freed slot": (
        lambda manager, token: (manager.free(token), manager.begin_write(token)),
        Code.NOT_ALLOCATED,
        "a write to a freed slot: {}",
        ", freed by node 'n'",
    ),
    "an end of a write to a freed slot": (
        lambda manager, token: (manager.free(token), manager.end_write(token)),
        Code.NOT_ALLOCATED,
        "the end of a write to a freed slot: {}",
        ", freed by node 'n'",
    ),
    "a free of a freed slot": (
        lambda manager, token: (manager.free(token), manager.free(token)),
        Code.NOT_ALLOCATED,
        "a free of a freed slot: {}",
        ", freed by node 'n'",
    ),
    "no read": (
        lambda manager, token: manager.end_read(token),
        Code.NOT_ALLOCATED,
        "no read to end of {}",
        "",
    ),
    "no read where there is a write": (
        lambda manager, token: (manager.begin_write(token), manager.end_read(token)),
        Code.NOT_ALLOCATED,
        "no read to end of {}",
        "",
    ),
    "no write": (
        lambda manager, token: manager.end_write(token),
        Code.NOT_ALLOCATED,
        "no write to end of {}",
        "",
    ),
    "no write where there is a read": (
        lambda manager, token: (manager.begin_read(token), manager.end_write(token)),
        Code.NOT_ALLOCATED,
        "no write to end of {}",
        "",
    ),
    "a read of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_read(token)),
        Code.ALREADY_BORROWED,
        "a read of a slot being written: {}",
        ", written by node 'n'",
    ),
    "a write to what is written": (
        lambda manager, token: (manager.begin_write(token), manager.begin_write(token)),
        Code.ALREADY_BORROWED,
        "a write to a slot being written: {}",
        ", written by node 'n'",
    ),
    "a free of what is written": (
        lambda manager, token: (manager.begin_write(token), manager.free(token)),
        Code.ALREADY_BORROWED,
        "a free of a slot being written: {}",
        ", written by node 'n'",
    ),
    "a write to what is read": (
        lambda manager, token: (
            manager.begin_read(token),
            manager.begin_read(token),
            manager.begin_write(token),
        ),
        Code.BORROW_ACTIVE,
        "a write under a read guard to {}",
        ", read by node 'n', node 'n'",
    ),
    "a free of what is read": (
        lambda manager, token: (manager.begin_read(token), manager.free(token)),
        Code.BORROW_ACTIVE,
        "a free under a read guard of {}",
        ", read by node 'n'",
    ),
}


@every_checked
@pytest.mark.parametrize("case", _CHECKED_REFUSALS)
def test_a_checked_refusal_names_token_slot_and_node_word_for_word(kind: str, case: str) -> None:
    call, code, before, after = _CHECKED_REFUSALS[case]
    manager = CHECKED[kind](2, None)
    manager.ledger.begin("n")
    token = manager.store(message())
    refused(
        lambda: call(manager, token), code, before.format(f"{place(token)}, by node 'n'") + after
    )


@every_checked
@pytest.mark.parametrize(
    ("token", "text"),
    [
        (-1, "a look at a foreign token at cam.out: token -1 (no slot), by no node"),
        (0, "a look at a foreign token at cam.out: token 0 (slot 0 of no manager), by no node"),
        (
            1 << 32 | 2,
            "a look at a foreign token at cam.out: token 4294967298 (slot 2 of cam.out),"
            " by no node",
        ),
        (
            2 << 32,
            "a look at a foreign token at cam.out: token 8589934592 (slot 0 of no manager),"
            " by no node",
        ),
        (
            1 << 48 | 1 << 32,
            "a look at a token that was never given: token 281479271677952"
            " (slot 0 of cam.out), by no node",
        ),
    ],
    ids=["below", "zero", "above", "another tag", "later generation"],
)
def test_a_made_up_token_is_refused_word_for_word(kind: str, token: int, text: str) -> None:
    manager = CHECKED[kind](2, None)
    refused(lambda: manager.peek_header(MessageToken(token)), Code.BAD_TOKEN, text)


@every_checked
def test_a_slot_that_never_held_anything_is_empty(kind: str) -> None:
    manager = CHECKED[kind](2, None)
    first = manager.store(message())
    assert first == 1 << 32
    empty = MessageToken(first + 1)
    refused(
        lambda: manager.begin_read(empty),
        Code.NOT_ALLOCATED,
        f"a read of an empty slot: {place(empty, 1)}, by no node",
    )
    second = manager.store(message(1))
    assert second == empty
    assert manager.peek_header(second).sequence == 1


@every_checked
def test_a_token_carries_slot_manager_and_generation(kind: str) -> None:
    ledger = BorrowLedger()
    CHECKED[kind](1, ledger)
    manager = CHECKED[kind](2, ledger)
    assert manager.ledger is ledger
    tokens = [manager.store(message(n)) for n in range(2)]
    assert tokens == [2 << 32, 2 << 32 | 1]
    for generation in (1, 2):
        manager.free(tokens[0])
        tokens[0] = manager.store(message())
        assert tokens[0] == generation << 48 | 2 << 32
    assert manager.describe(tokens[1]) == f"{place(tokens[1], 1)}, by no node"


@every_checked
def test_readers_are_forgotten_one_by_one_in_whatever_order_they_end(kind: str) -> None:
    manager = CHECKED[kind](1, None)
    token = manager.store(message())
    for node in ("a", "b", "c"):
        manager.ledger.begin(node)
        manager.begin_read(token)
    manager.ledger.begin("b")
    manager.end_read(token)
    manager.ledger.begin("x")
    refused(
        lambda: manager.free(token),
        Code.BORROW_ACTIVE,
        f"a free under a read guard of {place(token)}, by node 'x', read by node 'a', node 'c'",
    )
    manager.end_read(token)
    refused(
        lambda: manager.free(token),
        Code.BORROW_ACTIVE,
        f"a free under a read guard of {place(token)}, by node 'x', read by node 'a'",
    )
    manager.end_read(token)
    manager.free(token)
    assert manager.available == 1


@every_checked
def test_after_a_write_the_next_borrower_is_named_and_not_the_writer(kind: str) -> None:
    manager = CHECKED[kind](1, None)
    token = manager.store(message())
    manager.ledger.begin("writer")
    with manager.read_mut(token):
        pass
    manager.ledger.begin("reader")
    manager.begin_read(token)
    refused(
        lambda: manager.begin_write(token),
        Code.BORROW_ACTIVE,
        f"a write under a read guard to {place(token)}, by node 'reader', read by node 'reader'",
    )


@every_checked
@pytest.mark.parametrize("when", ["begin_read", "begin_write", "free", "end_read"])
def test_bytes_that_changed_are_reported_once_by_whatever_looks_next(kind: str, when: str) -> None:
    manager = CHECKED[kind](2, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n")
    if when == "end_read":
        manager.begin_read(token)
    scribble(manager, 1, 77)
    getattr(manager, when)(token)
    (misuse,) = manager.ledger.settle()
    node, by = ("n", "node 'n'") if when == "end_read" else ("", "nobody that is known")
    text = WRITTEN.format(place(token, 1), by, OUT)
    assert (misuse.node, misuse.error.code, str(misuse.error)) == (node, Code.BORROW_ACTIVE, text)
    assert misuse.header == header(3)
    assert manager.ledger.settle() == ()


@every_checked
def test_slots_are_verified_from_the_first_on_and_as_many_as_asked(kind: str) -> None:
    manager = CHECKED[kind](4, None)
    for number in range(3):
        manager.store(message(number))
    for slot in range(3):
        scribble(manager, slot, 77)
    manager.verify_slots(1, 1, "x")
    assert [misuse.header for misuse in manager.ledger.settle()] == [header(1)]
    manager.verify_slots(0, 4, "y")
    found = manager.ledger.settle()
    assert [(misuse.node, misuse.header) for misuse in found] == [
        ("y", header(0)),
        ("y", header(2)),
    ]
    manager.verify_slots(0, 4, "z")
    assert manager.ledger.settle() == ()


@every_checked
def test_a_slot_that_is_being_written_is_not_verified(kind: str) -> None:
    manager = CHECKED[kind](2, None)
    first, second = manager.store(message(1)), manager.store(message(2))
    manager.begin_write(first)
    scribble(manager, 0, 77)
    scribble(manager, 1, 77)
    manager.verify_slots(0, 2, "x")
    assert [misuse.header for misuse in manager.ledger.settle()] == [header(2)]
    manager.end_write(first)
    manager.verify_slots(0, 2, "x")
    assert manager.ledger.settle() == ()
    assert manager.peek_header(second) == header(2)


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_a_freed_slot_that_is_written_is_reported_when_it_is_claimed(kind: str) -> None:
    manager = CHECKED[kind](2, None)
    token = manager.store(message())
    manager.free(token)
    manager.store(message())
    scribble(manager, 0, 77)
    assert manager.ledger.settle() == ()
    manager.ledger.begin("n")
    new = manager.store(message(5))
    (misuse,) = manager.ledger.settle()
    assert misuse == Misuse("", misuse.error, None)
    assert misuse.error.code is Code.MANAGER_POISONED
    # Named as it was found: by the token that the slot would have given next.
    assert str(misuse.error) == (
        f"a freed slot was written: {place(new)}, by nobody that is known; {OUT}"
    )
    with manager.read(new) as found:
        assert np.asarray(found.payload).tolist() == [5.0] * 3


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_slots_are_poisoned_at_first_and_again_when_they_are_freed(kind: str) -> None:
    manager: Any = CHECKED[kind](2, None)
    poison = manager._bytes[0].copy()
    assert manager._bytes.shape == (2, 12)
    assert np.isnan(poison.view(np.float32)).all()
    token = manager.store(message(1))
    assert not np.array_equal(manager._bytes[0], poison)
    manager.free(token)
    assert np.array_equal(manager._bytes[0], poison)
    assert np.array_equal(manager._bytes[1], poison)


def test_slots_of_whole_numbers_are_poisoned_with_a_byte() -> None:
    manager = CheckedStaticMemoryManager(TensorSpec(DataType.U16, (2,)), 1)
    assert POISON_BYTE == 0xDB
    assert manager._array.tolist() == [[0xDBDB] * 2]


@every_checked
def test_a_full_checked_manager_says_so(kind: str) -> None:
    manager = CHECKED[kind](1, None)
    manager.store(message())
    refused(lambda: manager.store(message()), Code.NO_FREE_SLOTS, "all 1 slots are in use")


def test_a_full_checked_manager_has_no_next_slot() -> None:
    manager = CheckedStaticMemoryManager(SPEC, 1, "cam.out")
    manager.store(message())
    refused(manager.next_slot, Code.NO_FREE_SLOTS, "all 1 slots of cam.out are in use")
    assert manager.reserve(1) is None


def test_managers_are_named_here_and_have_a_ledger_of_their_own_unless_told() -> None:
    for manager in (
        CheckedStaticMemoryManager(SPEC, 1),
        CheckedBoundedMemoryManager(ROWS, 1),
        CheckedHeapMemoryManager(1),
    ):
        token = manager.store(message())
        assert manager.describe(token) == f"token {token} (slot 0 of here), by no node"
        assert manager.ledger.name_of(1) == "here"
        assert manager.ledger.name_of(2) == "no manager"
        assert manager.ledger.name_of(0) == "no manager"


def test_a_checked_heap_takes_any_object_unless_told_and_marks_what_is_free() -> None:
    manager = CheckedHeapMemoryManager(2)
    token = manager.store(Message(header(), "text"))
    assert manager._digest(0) is None
    with manager.read(token) as found:
        assert found.payload == "text"
    manager.free(token)
    assert manager._payloads == [FREED, None]
    with pytest.raises(PayloadMismatchError):
        CheckedHeapMemoryManager(1, int).store(Message(header(), "text"))


def test_a_reserved_run_that_is_kept_names_its_first_and_its_last_slot() -> None:
    manager = checked(4)
    manager.store(message())
    room = manager.reserve(2)
    assert room is not None
    assert room.shape == (2, 3)
    assert np.shares_memory(room[0], manager._slots[1])
    tokens = (1 << 32 | 1, 1 << 32 | 2)
    text = KEPT.format(f"{place(tokens[0], 1)} to {place(tokens[1], 2)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, None)]


def test_a_batch_that_is_kept_names_its_first_and_last_slot_and_the_first_header() -> None:
    manager = checked(4)
    tokens = [manager.store(message(n)) for n in range(4)]
    kept = manager.neighbours(tokens[1:3])
    assert kept is not None
    assert kept.tolist() == [[1.0] * 3, [2.0] * 3]
    assert not kept.flags.writeable
    text = KEPT.format(f"{place(tokens[1], 1)} to {place(tokens[2], 2)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(1))]
    assert manager.neighbours([tokens[2], tokens[1]]) is None


@pytest.mark.parametrize("kind", ["static", "bounded"])
@pytest.mark.parametrize("how", ["read", "read_mut"])
def test_a_payload_that_is_kept_names_its_slot_and_its_header(kind: str, how: str) -> None:
    manager = CHECKED[kind](3, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n")
    with getattr(manager, how)(token) as found:
        kept = found.payload
        assert kept.tolist() == [3.0] * 3
        assert kept.flags.writeable is (how == "read_mut")
    del found
    text = KEPT.format(place(token, 1))
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(3))]


@pytest.mark.parametrize("kind", ["static", "bounded"])
def test_where_views_are_not_tracked_they_are_the_plain_ones(kind: str) -> None:
    manager = CHECKED[kind](3, None)
    manager.store(message(8))
    token = manager.store(message(3))
    manager.ledger.begin("n", tracks=False)
    with manager.read(token) as found:
        kept: Any = found.payload
        assert kept.tolist() == [3.0] * 3
        assert not kept.flags.writeable
    with manager.read_mut(token) as found:
        also: Any = found.payload
        also[...] = 4
    assert kept.tolist() == [4.0] * 3
    assert kept_by(manager.ledger) == []
    assert manager.ledger.tracks, "the next call is tracked again"


def test_a_run_of_slots_is_lent_untracked_to_models() -> None:
    manager = checked(3)
    manager.ledger.begin("n", tracks=False)
    room = manager.reserve(2)
    assert room is not None
    assert np.shares_memory(room, manager._array)
    assert room.shape == (2, 3)
    slot = manager.next_slot()
    assert slot is manager._slots[0]
    slot[...] = 6
    token = manager.commit(header(6))
    batch = manager.neighbours([token])
    assert batch is not None
    assert batch.tolist() == [[6.0] * 3]
    assert kept_by(manager.ledger) == []


def test_gathered_payloads_are_checked_and_copied_in_order() -> None:
    manager = checked(3)
    tokens = [manager.store(message(n)) for n in range(3)]
    out = np.zeros((2, 3), np.float32)
    manager.gather([tokens[2], tokens[1]], out)
    assert out.tolist() == [[2.0] * 3, [1.0] * 3]
    scribble(manager, 1, 77)
    manager.gather([tokens[0], tokens[1]], out)
    ((code, node, text, where),) = kept_by(manager.ledger)
    wanted = WRITTEN.format(place(tokens[1], 1), "nobody that is known", OUT)
    assert (code, node, text, where) == (Code.BORROW_ACTIVE, "", wanted, header(1))
    manager.free(tokens[0])
    manager.ledger.begin("n")
    for call in (
        lambda: manager.gather([tokens[0]], out),
        lambda: manager.neighbours([tokens[0]]),
    ):
        refused(
            call,
            Code.NOT_ALLOCATED,
            f"a read of a freed slot: {place(tokens[0])}, by node 'n', freed by no node",
        )


def test_a_lent_slot_that_became_a_message_is_kept_and_one_that_did_not_is_poisoned() -> None:
    manager = checked(3)
    room = manager.reserve(2)
    assert room is not None
    room[...] = 5
    token = manager.commit(header(5))
    del room
    assert kept_by(manager.ledger) == []
    assert manager._array[0].tolist() == [5.0] * 3
    assert np.isnan(manager._array[1]).all()
    assert manager._lent == {}
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [5.0] * 3


def test_a_slot_that_was_lent_is_no_freed_slot_that_was_written() -> None:
    manager = checked(2)
    slot = manager.next_slot()
    slot[...] = 5
    assert manager.store(message(7)) == 1 << 32
    manager.free(MessageToken(1 << 32))
    assert manager._lent == {}
    assert np.isnan(manager._array[0]).all()
    del slot
    assert kept_by(manager.ledger) == []


def test_the_next_slot_of_a_reserved_run_is_a_view_of_its_own() -> None:
    manager = checked(2)
    room = manager.reserve(2)
    assert room is not None
    room[...] = 5
    slot = manager.next_slot()
    assert manager._lent[0] is slot
    assert slot.tolist() == [5.0] * 3
    slot[...] = 6
    token = manager.commit(header(6))
    del room, slot
    with manager.read(token) as found:
        assert np.asarray(found.payload).tolist() == [6.0] * 3
    del found
    assert kept_by(manager.ledger) == []


def test_a_commit_gives_a_token_whose_bytes_are_known() -> None:
    manager = checked(2)
    manager.next_slot()[...] = 5
    token = manager.commit(header(5))
    assert token == 1 << 32
    with manager.read(token):
        pass
    assert kept_by(manager.ledger) == []
    assert manager.statistics().copies == 0
