"""Clauses of memory managers: which tokens are refused, and who may borrow what meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from limen.errors import Code
from limen.memory import MemoryManager, ReadGuard, WriteGuard
from limen.message import Message
from limen.testing.contracts._contract import inapplicable
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._memory_suite import Call, MemorySuite
from limen.types import MessageToken


class BorrowClauses(MemorySuite):
    """Holds a memory manager to MEM-15 … MEM-30."""

    def test_mem_15_a_look_at_a_token_that_is_not_live_is_refused(self) -> None:
        manager = self.make(3)
        self._assert_refused(manager, {"peek_header": manager.peek_header})

    def test_mem_16_a_read_of_a_token_that_is_not_live_is_refused(self) -> None:
        manager = self.make(3)
        self._assert_refused(
            manager,
            {
                "begin_read": manager.begin_read,
                "a block with read": lambda token: manager.read(token).__enter__(),
            },
        )

    def test_mem_17_a_write_to_a_token_that_is_not_live_is_refused(self) -> None:
        manager = self.make(3)
        self._assert_refused(
            manager,
            {
                "begin_write": manager.begin_write,
                "a block with read_mut": lambda token: manager.read_mut(token).__enter__(),
            },
        )

    def test_mem_18_a_free_of_a_token_that_is_not_live_is_refused(self) -> None:
        manager = self.make(3)
        self._assert_refused(manager, {"free": manager.free})

    def test_mem_19_an_end_for_a_token_that_is_not_live_is_refused(self) -> None:
        manager = self.make(3)
        self._assert_refused(
            manager, {"end_read": manager.end_read, "end_write": manager.end_write}
        )

    def test_mem_20_a_token_that_is_refused_changes_nothing(self) -> None:
        manager = self.make(3)
        live, freed, foreign = self._bad_tokens(manager)
        before = self._state(manager, live)
        for name, call in self._calls(manager).items():
            for token in (*freed, *foreign):
                if code_raised(call, token) is None:
                    inapplicable(f"{name} takes the token {token}: see MEM-15 to MEM-19")
                after = self._state(manager, live)
                assert after == before, f"{name}({token}) changed {before} into {after}"

    def test_mem_21_a_message_can_be_read_several_times_at_once(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        for depth in range(1, 4):
            seen = code_raised(manager.begin_read, token)
            assert seen is None, f"read {depth} of one message at once: {seen}"
        for depth in range(3, 0, -1):
            seen = code_raised(manager.end_read, token)
            assert seen is None, f"the end of one of {depth} reads of a message: {seen}"

    def test_mem_22_a_message_that_is_read_is_not_freed(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        for count in (1, 2):
            manager.begin_read(token)
            self._assert_blocks(manager.free, token, f"free with {count} reads open", _READ)
        manager.end_read(token)
        self._assert_blocks(manager.free, token, "free with one read left", _READ)
        manager.end_read(token)
        seen = code_raised(manager.free, token)
        assert seen is None, f"free after two reads, both ended: {seen}"

    def test_mem_23_a_message_that_is_read_is_not_written(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        for count in (1, 2):
            manager.begin_read(token)
            self._assert_blocks(manager.begin_write, token, f"a write, {count} reads open", _READ)
        manager.end_read(token)
        self._assert_blocks(manager.begin_write, token, "a write, one read left", _READ)
        manager.end_read(token)
        seen = code_raised(manager.begin_write, token)
        assert seen is None, f"a write after two reads, both ended: {seen}"

    def test_mem_24_a_message_that_is_written_is_not_borrowed(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        manager.begin_write(token)
        for _ in range(2):
            for name, call in (("read", manager.begin_read), ("write", manager.begin_write)):
                self._assert_blocks(call, token, f"a {name} while a write is open", _WRITTEN)
        manager.end_write(token)
        seen = code_raised(manager.begin_read, token)
        assert seen is None, f"a read after a write that was ended: {seen}"

    def test_mem_25_a_message_that_is_written_is_not_freed(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        manager.begin_write(token)
        for _ in range(2):
            self._assert_blocks(manager.free, token, "free while a write is open", _WRITTEN)
        manager.end_write(token)
        seen = code_raised(manager.free, token)
        assert seen is None, f"free after a write that was ended: {seen}"

    def test_mem_26_a_read_that_is_not_open_cannot_be_ended(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        end = manager.end_read
        self._assert_blocks(end, token, "end_read of what was not read", _NOT_OPEN)
        manager.begin_read(token)
        manager.end_read(token)
        self._assert_blocks(end, token, "a second end_read of one read", _NOT_OPEN)
        manager.begin_write(token)
        self._assert_blocks(end, token, "end_read while a write is open", _NOT_OPEN)
        manager.end_write(token)
        self._assert_blocks(end, token, "end_read after a write", _NOT_OPEN)

    def test_mem_27_a_write_that_is_not_open_cannot_be_ended(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        end = manager.end_write
        self._assert_blocks(end, token, "end_write of what was not written", _NOT_OPEN)
        manager.begin_write(token)
        manager.end_write(token)
        self._assert_blocks(end, token, "a second end_write of one write", _NOT_OPEN)
        manager.begin_read(token)
        self._assert_blocks(end, token, "end_write while a read is open", _NOT_OPEN)
        manager.end_read(token)
        self._assert_blocks(end, token, "end_write after a read", _NOT_OPEN)

    def test_mem_28_a_guard_reads_for_the_length_of_its_block(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        guard = manager.read(token)
        self._assert_guards(guard, token, manager.begin_read, manager.end_read)

    def test_mem_29_a_guard_writes_for_the_length_of_its_block(self) -> None:
        manager = self.make(2)
        token = self._store(manager, (1, 2))[0]
        guard = manager.read_mut(token)
        self._assert_guards(guard, token, manager.begin_write, manager.end_write)

    def test_mem_30_what_is_open_of_one_message_concerns_no_other(self) -> None:
        for opened in ("read", "write"):
            manager = self.make(4)
            tokens = self._store(manager, (0, 1, 2, 3))
            held = tokens.pop(1)
            (manager.begin_read if opened == "read" else manager.begin_write)(held)
            for name, call in self._free_to_use(manager).items():
                for token in tokens:
                    seen = code_raised(call, token)
                    assert seen is None, f"{name} of another while a {opened} is open: {seen}"

    def _assert_refused(self, manager: MemoryManager, calls: dict[str, Call]) -> None:
        wrong = list(self._refusals(manager, calls))
        assert not wrong, "; ".join(f"{what}, {token}: {seen}" for what, token, seen in wrong)

    def _assert_guards(
        self,
        guard: ReadGuard | WriteGuard,
        token: MessageToken,
        begin: Callable[[MessageToken], Message],
        end: Call,
    ) -> None:
        """Assert that a guard borrows just inside its block, and hands its errors on."""
        seen = code_raised(end, token)
        assert seen is not None, "before its block begins something is open"
        wanted = begin(token).header
        end(token)
        for error in (None, ZeroDivisionError("in the block")):
            handed_on = False
            try:
                with guard as found:
                    given = found.header
                    inside = code_raised(end, token)
                    begin(token)
                    if error is not None:
                        raise error
            except ZeroDivisionError:
                handed_on = True
            assert inside is None, f"in its block nothing is open: {inside}"
            assert given == wanted, f"its block is given {given}, not {wanted}"
            assert handed_on is (error is not None), f"of {error!r} in its block nothing is left"
            seen = code_raised(end, token)
            assert seen is not None, f"something is open after a block that raised {error!r}"

    def _assert_blocks(self, call: Call, token: MessageToken, what: str, wanted: Code) -> None:
        seen = code_raised(call, token)
        assert seen is wanted, f"{what}: {seen}"

    def _calls(self, manager: MemoryManager) -> dict[str, Call]:
        return {
            "peek_header": manager.peek_header,
            "begin_read": manager.begin_read,
            "end_read": manager.end_read,
            "begin_write": manager.begin_write,
            "end_write": manager.end_write,
            "free": manager.free,
        }

    def _free_to_use(self, manager: MemoryManager) -> dict[str, Call]:
        """What every other message can go through, in this order."""
        return {
            name: self._calls(manager)[name]
            for name in ("begin_write", "end_write", "begin_read", "end_read", "free")
        }


_READ, _WRITTEN, _NOT_OPEN = Code.BORROW_ACTIVE, Code.ALREADY_BORROWED, Code.NOT_ALLOCATED
