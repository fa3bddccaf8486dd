"""Who is blamed for which slot, and what a ledger remembers of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from limen.errors import Code, ManagerError
from limen.memory import (
    BorrowLedger,
    BoundedMemoryManager,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedSlots,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    LentBuffer,
    MemoryManager,
    Misuse,
    StaticMemoryManager,
)
from limen.message import Message
from limen.types import (
    DataType,
    MessageToken,
    TensorSpec,
    UpTo,
)
from memory_parts import (
    CHECKED,
    KEPT,
    OUT,
    PLAIN,
    SPEC,
    WRITTEN,
    checked,
    header,
    kept_by,
    message,
    place,
    refused,
    scribble,
)


def test_a_ledger_says_who_is_called_and_for_how_long() -> None:
    ledger = BorrowLedger()
    assert (ledger.node, ledger.tracks, ledger.who) == ("", True, "no node")
    ledger.begin("n")
    assert (ledger.node, ledger.tracks, ledger.who) == ("n", True, "node 'n'")
    ledger.begin("m", tracks=False)
    assert (ledger.node, ledger.tracks) == ("m", False)
    assert ledger.settle() == ()
    assert (ledger.node, ledger.tracks, ledger.who) == ("", True, "no node")


def test_a_misuse_that_is_reported_is_returned_once() -> None:
    ledger = BorrowLedger()
    error = ManagerError("gone")
    ledger.report(error, "n", header(2))
    ledger.report(error, "")
    assert ledger.settle() == (Misuse("n", error, header(2)), Misuse("", error, None))
    assert ledger.settle() == ()


def test_a_keeper_is_known_until_the_view_is_gone_and_the_newest_one_counts() -> None:
    ledger = BorrowLedger()
    manager = CheckedStaticMemoryManager(SPEC, 3, "cam.out", ledger)
    other = CheckedStaticMemoryManager(SPEC, 3, "radar.out", ledger)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept: dict[str, object] = {}
    for node in ("first", "second"):
        ledger.begin(node)
        kept[node] = manager.begin_read(tokens[1]).payload
        manager.end_read(tokens[1])
        assert [misuse.node for misuse in ledger.settle()] == [node]
    assert ledger.holder(manager, 1) == "second"
    assert (ledger.holder(manager, 0), ledger.holder(manager, 2)) == ("", "")
    assert ledger.holder(other, 1) == ""
    del kept["second"]
    assert ledger.holder(manager, 1) == "", "of views of one slot only the newest is known"
    ledger.begin("batch")
    kept["batch"] = manager.neighbours(tokens)
    ledger.settle()
    assert [ledger.holder(manager, slot) for slot in range(3)] == ["batch"] * 3
    ledger.begin("third")
    kept["third"] = manager.begin_read(tokens[0]).payload
    manager.end_read(tokens[0])
    ledger.settle()
    assert [ledger.holder(manager, slot) for slot in range(3)] == ["third", "batch", "batch"]
    del kept["third"]
    assert ledger.holder(manager, 0) == "batch"


def test_what_is_written_through_a_kept_view_is_its_keepers_doing_when_the_slot_is_freed() -> None:
    manager = checked(2)
    token = manager.store(message(3))
    with manager.read_mut(token) as found:
        kept: Any = found.payload
    del found
    assert [misuse.node for misuse in manager.ledger.settle()] == ["n"]
    kept[0] = 9
    manager.ledger.begin("sink")
    manager.free(token)
    text = WRITTEN.format(place(token), "node 'n'", OUT)
    assert kept_by(manager.ledger) == [(Code.BORROW_ACTIVE, "n", text, header(3))]


def test_what_a_call_writes_to_what_it_was_lent_for_reading_is_found_when_it_ends() -> None:
    manager = checked(2)
    token = manager.store(message(3))
    manager.begin_read(token)
    manager.end_read(token)
    scribble(manager, 0, 9)
    ((code, node, _, where),) = kept_by(manager.ledger)
    assert (code, node, where) == (Code.BORROW_ACTIVE, "n", header(3))


def test_a_lent_buffer_is_read_only_and_as_long_as_asked() -> None:
    ledger = BorrowLedger()
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    buffer = LentBuffer(array, "the batch of m", ledger)
    assert ledger.name_of(1) == "the batch of m"
    ledger.begin("n")
    lent = buffer.lend(2)
    assert lent.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert (lent.dtype, lent.flags.writeable) == (np.float32, False)
    assert np.shares_memory(lent, array)
    text = KEPT.format("the batch of m")
    assert kept_by(ledger) == [(Code.VIEW_KEPT, "n", text, None)]
    del lent
    ledger.begin("n")
    assert buffer.lend(1).shape == (1, 3)
    assert kept_by(ledger) == []


def test_checked_slots_hand_tokens_back_under_the_consumers_name() -> None:
    manager = checked(2)
    slots = CheckedSlots(manager, 2)
    assert slots.names == []
    slots.names += ["draw", "store"]
    token = manager.store(message())
    slots.lend(token, 2)
    for ring in slots.returns:
        ring.give_back(token)
    slots.reclaim()
    assert manager.ledger.node == "n"
    assert manager.available == 2
    refused(
        lambda: manager.peek_header(token),
        Code.NOT_ALLOCATED,
        f"a look at a freed slot: {place(token)}, by node 'n', freed by node 'store'",
    )


def test_checked_slots_without_a_name_for_each_edge_are_not_taken_in() -> None:
    manager = checked(1)
    slots = CheckedSlots(manager, 1)
    with pytest.raises(ValueError, match="zip"):
        slots.reclaim()


def test_share_counts_of_checked_managers_hold_only_what_counts() -> None:
    for make in CHECKED.values():
        counts: Any = make(1, None).share_counts()
        token = MessageToken(5)
        assert (counts[token], len(counts)) == (0, 0)
        counts[token] = 2
        assert dict(counts) == {5: 2}
        counts[token] = 0
        counts[token] = 0
        assert dict(counts) == {}


def keep(manager: CheckedManager, token: MessageToken) -> Any:  # noqa: ANN401 - any array
    """Let node ``hoarder`` keep a view of a slot that it may write to."""
    manager.ledger.begin("hoarder")
    with manager.read_mut(token) as found:
        kept: Any = found.payload
    del found
    assert [misuse.error.code for misuse in manager.ledger.settle()] == [Code.VIEW_KEPT]
    return kept


@pytest.mark.parametrize("kind", ["static", "bounded"])
@pytest.mark.parametrize("when", ["begin_read", "begin_write", "free"])
def test_whatever_looks_next_blames_the_keeper_of_that_very_slot(kind: str, when: str) -> None:
    manager = CHECKED[kind](3, None)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept = keep(manager, tokens[1])
    assert [manager.ledger.holder(manager, slot) for slot in range(3)] == ["", "hoarder", ""]
    kept[0] = 77
    scribble(manager, 0, 77)
    manager.ledger.begin("n")
    getattr(manager, when)(tokens[1])
    getattr(manager, when)(tokens[0])
    found = [(misuse.node, misuse.header) for misuse in manager.ledger.settle()]
    assert found == [("hoarder", header(1)), ("", header(0))]


@pytest.mark.parametrize("when", ["gather", "neighbours"])
def test_a_batch_blames_the_keepers_of_its_slots(when: str) -> None:
    manager = checked(3)
    tokens = [manager.store(message(n)) for n in range(3)]
    kept = keep(manager, tokens[1])
    kept[0] = 77
    manager.ledger.begin("n")
    if when == "gather":
        manager.gather(tokens, np.zeros((3, 3), np.float32))
    else:
        manager.neighbours(tokens)
    found = [(misuse.node, misuse.header) for misuse in manager.ledger.settle()]
    assert found == [("hoarder", header(1))]


def test_the_slot_to_write_is_the_one_that_is_claimed_next() -> None:
    manager = checked(3)
    manager.store(message())
    slot = manager.next_slot()
    assert np.shares_memory(slot, manager._slots[1])
    assert not np.shares_memory(slot, manager._slots[0])
    assert [misuse.node for misuse in manager.ledger.settle()] == ["n"]
    assert [manager.ledger.holder(manager, n) for n in range(3)] == ["", "n", ""]


@pytest.mark.parametrize("kind", [*PLAIN, *(f"checked {kind}" for kind in CHECKED)])
def test_a_write_is_given_the_header_and_the_payload_in_its_own_shape(kind: str) -> None:
    spec = TensorSpec(DataType.F32, (UpTo(3), 2))
    fixed = TensorSpec(DataType.F32, (2, 2))
    makes: dict[str, Callable[[], MemoryManager]] = {
        "static": lambda: StaticMemoryManager(fixed, 1),
        "bounded": lambda: BoundedMemoryManager(spec, 1),
        "heap": lambda: HeapMemoryManager(1),
        "checked static": lambda: CheckedStaticMemoryManager(fixed, 1),
        "checked bounded": lambda: CheckedBoundedMemoryManager(spec, 1),
        "checked heap": lambda: CheckedHeapMemoryManager(1),
    }
    manager = makes[kind]()
    token = manager.store(Message(header(4), np.arange(4, dtype=np.float32).reshape(2, 2)))
    for guard in (manager.read_mut, manager.read):
        with guard(token) as found:
            assert found.header == header(4)
            assert np.asarray(found.payload).tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_a_buffer_of_any_element_type_can_be_lent_and_has_no_slots() -> None:
    pytest.importorskip("ml_dtypes")
    ledger = BorrowLedger()
    array = np.arange(4).astype(DataType.BF16.numpy_dtype()).reshape(2, 2)
    buffer = LentBuffer(array, "the batch of m", ledger)
    ledger.begin("n")
    lent = buffer.lend(1)
    assert lent.dtype == array.dtype
    assert lent.astype(np.float32).tolist() == [[0.0, 1.0]]
    assert [misuse.error.code for misuse in ledger.settle()] == [Code.VIEW_KEPT]
    assert ledger.holder(buffer, 0) == ""


@pytest.mark.parametrize("tracks", [True, False])
def test_the_slot_to_write_is_one_view_within_a_call_and_another_after_its_commit(
    tracks: bool,
) -> None:
    manager = checked(2)
    manager.ledger.begin("n", tracks=tracks)
    slot = manager.next_slot()
    assert manager.next_slot() is slot
    manager.commit(header())
    assert manager.next_slot() is not slot


def test_a_run_of_three_slots_is_named_by_its_ends() -> None:
    manager = checked(4)
    tokens = [manager.store(message(n)) for n in range(4)]
    kept = manager.neighbours(tokens[1:])
    text = KEPT.format(f"{place(tokens[1], 1)} to {place(tokens[3], 3)}")
    assert kept_by(manager.ledger) == [(Code.VIEW_KEPT, "n", text, header(1))]
    assert kept is not None


def test_each_lender_has_a_number_and_a_name_of_its_own() -> None:
    ledger = BorrowLedger()
    names = ["a", "b", "c"]
    managers = [CheckedHeapMemoryManager(1, object, name, ledger) for name in names]
    assert [ledger.enter(managers[0], "d")] == [4]
    found = [ledger.name_of(tag) for tag in range(6)]
    assert found == ["no manager", *names, "d", "no manager"]
