"""The kit under sinks that break one clause each."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from limen.errors import Code, LifecycleError, OutputError
from limen.message import Message
from limen.node import Sink
from limen.platform import PlatformClock
from limen.testing import ClauseOutcome, SinkContract, run_contract
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks
from sabotage import assert_all_have_saboteurs, assert_caught, assert_matched

_ROWS = 2500


class Tape(Sink):
    """Writes pairs to rows that are there from the beginning; those who break a clause derive.

    ``fails`` are the numbers of the messages that it cannot write.
    """

    inputs: tuple[str, ...] = ("a", "b")

    def __init__(self) -> None:
        self.rows: NDArray[np.float32] = np.zeros((_ROWS, 2), np.float32)
        self.count = 0
        self.fails: Container[int] = ()
        self.is_open = False

    def spec(self) -> PayloadSpec:
        return TensorSpec(DataType.F32, (2,))

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        self.count = 0
        self.is_open = True

    def consume(self, message: Message, now: Ticks) -> None:
        if message.header.sequence in self.fails:
            self.fail(message.header.sequence)
        self.put(message.payload)

    def put(self, payload: object) -> None:
        self.rows[self.count] = payload
        self.count += 1

    def fail(self, number: int) -> None:
        raise OutputError(f"message {number} does not fit on the tape")

    def close(self) -> None:
        self.is_open = False


class TapeSuite(SinkContract):
    def make(self) -> Sink:
        return Tape()

    def failing(self, numbers: Container[int]) -> Sink:
        sink = self.make()
        assert isinstance(sink, Tape)
        sink.fails = numbers
        return sink

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, Tape)
        return [row.tolist() for row in sink.rows[: sink.count]]

    def broken(self) -> Sink:
        return self.failing(range(_ROWS))

    def failing_once(self) -> Sink:
        return self.failing([1])


class PreparesOnce(Tape):
    prepared = False

    def prepare(self) -> None:
        if self.prepared:
            raise LifecycleError("prepared already", code=Code.WRONG_STATE)
        self.prepared = True

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        super().open(clock, spec)
        self.prepared = False


class WipesEarly(Tape):
    def prepare(self) -> None:
        self.count = 0


class GrowsAnInput(Tape):
    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        super().open(clock, spec)
        self.inputs = ("a", "b", "c")


class ForgetsItsSpec(Tape):
    def spec(self) -> PayloadSpec:
        return TensorSpec(DataType.F32, (2,) if self.is_open or not self.count else (3,))


class PrefersA(Tape):
    def select_input(self, ready: Sequence[str]) -> str:
        return "a"


class Swaps(Tape):
    """The third is written before the one in front of it."""

    def consume(self, message: Message, now: Ticks) -> None:
        super().consume(message, now)
        if message.header.sequence == 2:
            last = self.count - 1
            self.rows[[last - 1, last]] = self.rows[[last, last - 1]]


class HoldsBack(Tape):
    """Writes a message when the next one comes, and forgets the last."""

    pending: NDArray[np.float32] | None = None

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        super().open(clock, spec)
        self.pending = None

    def put(self, payload: object) -> None:
        if self.pending is not None:
            super().put(self.pending)
        self.pending = np.array(payload)


class Scales(Tape):
    """Does its arithmetic where the payload lies."""

    def put(self, payload: object) -> None:
        super().put(payload)
        assert isinstance(payload, np.ndarray)
        payload.flags.writeable = True
        payload *= 2


class ReadsLate(HoldsBack):
    """Keeps the payload itself until the next one comes."""

    def put(self, payload: object) -> None:
        assert isinstance(payload, np.ndarray)
        if self.pending is not None:
            Tape.put(self, self.pending)
        self.pending = payload

    def close(self) -> None:
        if self.pending is not None:
            Tape.put(self, self.pending)
            self.pending = None
        super().close()


class RaisesItsOwn(Tape):
    def fail(self, number: int) -> None:
        raise IndexError(f"index {number} is out of bounds")


class StaysBroken(Tape):
    def fail(self, number: int) -> None:
        self.fails = range(_ROWS)
        super().fail(number)


class Leaks(Tape):
    """Opens a file and never closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    def leak(self) -> None:
        if self.left is None:
            self.left = os.open(os.devnull, os.O_WRONLY)

    def __del__(self) -> None:
        if self.left is not None:
            os.close(self.left)


class LeaksWhenItFails(Leaks):
    def fail(self, number: int) -> None:
        self.leak()
        super().fail(number)


class LeaksWhenItWrites(Leaks):
    def put(self, payload: object) -> None:
        super().put(payload)
        self.leak()


class ClosesOnce(Tape):
    def close(self) -> None:
        if not self.is_open:
            raise LifecycleError("closed already", code=Code.WRONG_STATE)
        super().close()


class TakesOnce(Tape):
    opened = 0

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        self.opened += 1
        if self.opened == 1:
            super().open(clock, spec)

    def put(self, payload: object) -> None:
        if self.is_open:
            super().put(payload)


class KeepsPayloads(Tape):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def put(self, payload: object) -> None:
        super().put(payload)
        self.seen.append(np.array(payload))


class SharesItsRows(Tape):
    shared: ClassVar[NDArray[np.float32]] = np.zeros((_ROWS, 2), np.float32)

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.shared


_SABOTEURS: dict[str, tuple[type[Tape], str]] = {
    "SINK-1": (PreparesOnce, "the second prepare: 902"),
    "SINK-2": (WipesEarly, "behind another prepare []"),
    "SINK-3": (GrowsAnInput, "are ('a', 'b', 'c') once it is used"),
    "SINK-4": (ForgetsItsSpec, "shape=(3,)"),
    "SINK-5": (PrefersA, "of ('b',) it selects 'a'"),
    "SINK-6": (Swaps, "it took [[85.0, 63.0], [51.0, 26.0], [30.0, 4.0]"),
    "SINK-7": (HoldsBack, "5 messages were taken, and when close had returned 4 were out"),
    "SINK-8": (Scales, "it was given [[85.0, 63.0]], and made [[170.0, 126.0]] of it"),
    "SINK-9": (ReadsLate, "out came [[86.0, 64.0]"),
    "SINK-10": (RaisesItsOwn, "raised IndexError: index 0 is out of bounds"),
    "SINK-11": (StaysBroken, "(2, 'message 2 does not fit on the tape')"),
    "SINK-12": (LeaksWhenItFails, "after a failure and close there is still descriptor"),
    "SINK-13": (ClosesOnce, "[<Code.WRONG_STATE: 902>, None, <Code.WRONG_STATE: 902>]"),
    "SINK-14": (TakesOnce, "opened again it was given"),
    "SINK-15": (LeaksWhenItWrites, "after close there is still descriptor"),
    "SINK-16": (KeepsPayloads, "B were kept"),
    "SINK-17": (SharesItsRows, "with another one beside it"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    assert_caught(TapeSuite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(SinkContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(SinkContract)


class BareSuite(SinkContract):
    """Writes make and nothing else."""

    lacks: ClassVar[Mapping[str, str]] = {"output": "nobody reads a tape"}

    def make(self) -> Sink:
        return Tape()


def test_a_clause_without_what_it_needs_says_which_method_to_write() -> None:
    report = run_contract(BareSuite)
    skipped = {r.clause: r.detail for r in report.results if r.outcome is ClauseOutcome.SKIPPED}
    assert report.passed, str(report)
    assert skipped["SINK-6"] == "output: nobody reads a tape"
    assert skipped["SINK-10"].startswith("write `broken`, or say in `lacks`")
    assert skipped["SINK-11"].startswith("write `failing_once`, or say in `lacks`")
