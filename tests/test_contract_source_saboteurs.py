"""The kit under sources that break one clause each."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from limen.errors import Code, LifecycleError, SensorError
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.testing import SourceContract
from limen.types import DataType, PayloadSpec, SequenceNumber, TensorSpec, Ticks
from sabotage import assert_all_have_saboteurs, assert_caught, assert_matched, sabotaged

BAD, WAITS = "bad", "waits"


class Numbers(Source):
    """Plays numbers on a grid of ten ms, as a replay would.

    What it plays is its ``items``: numbers, WAITS for what has not come, BAD for what cannot be
    read. Those that break one clause are derived from it.
    """

    pausable = True

    def __init__(self) -> None:
        self.items: Sequence[object] = [0, 1, 2, 3, 4, 5]
        self.every_ns = Fraction(10_000_000)
        self.place = 0
        self.made = 0
        self.begun_ns = 0
        self.buffer = np.zeros(1, np.float32)
        self.ticking: PlatformClock | None = None

    def spec(self) -> PayloadSpec:
        return TensorSpec(DataType.F32, (1,))

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self.place = self.made = 0
        self.ticking = clock
        self.begun_ns = clock.ticks_to_nanos(now)

    def next_due(self) -> Ticks | None:
        if self.ticking is None:
            return None
        return self.ticking.nanos_to_ticks(self.begun_ns + int(self.place * self.every_ns))

    def interval_ns(self) -> Fraction | int | None:
        return self.every_ns

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        due = self.next_due()
        if self.place == len(self.items):
            return self.at_end()
        if due is not None and now < due:
            return SourceSignal.NOTHING_NOW
        item = self.items[self.place]
        if item == WAITS:
            return self.waiting()
        if item == BAD:
            return self.unreadable()
        self.place += 1
        return self.message(item, due)

    def message(self, item: object, due: Ticks | None) -> Produced:
        self.made += 1
        self.buffer[0] = item
        return Produced(self.buffer, creation_tick=due)

    def waiting(self) -> SourceSignal:
        return SourceSignal.NOTHING_NOW

    def at_end(self) -> Produced | SourceSignal:
        return SourceSignal.END_OF_STREAM

    def unreadable(self) -> Produced | SourceSignal:
        self.place += 1
        raise SensorError(f"number {self.place - 1} is bad")

    def resumed(self, now: Ticks) -> None:
        due = self.next_due()
        if self.ticking is not None and due is not None and now > due:
            self.begun_ns += self.ticking.ticks_to_nanos(now - due)

    def locate(self, sequence: SequenceNumber) -> str | None:
        return f"number {sequence}" if 0 <= sequence < self.made else None

    def set_speed(self, speed: float | None) -> bool:
        self.every_ns = Fraction(10_000_000) / Fraction(speed or 1.0)
        return True

    def close(self) -> None:
        self.ticking = None


class NumbersSuite(SourceContract):
    patience_s = 0.5
    place_in_error = "number 1"

    def make(self) -> Source:
        return Numbers()

    def playing(self, items: Sequence[object]) -> Source:
        source = self.make()
        assert isinstance(source, Numbers)
        source.items = items
        return source

    def expected(self) -> Sequence[object]:
        return [[number] for number in range(6)]

    def broken(self) -> Source:
        return self.playing([0, BAD, 2, 3])

    def expected_of_broken(self) -> Sequence[object]:
        return [[0], [2], [3]]

    def starved(self) -> Source:
        return self.playing([WAITS])

    def plenty(self) -> Source:
        return self.playing(range(2500))


class PrepareReads(Numbers):
    """The second time it has read something already."""

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1
        if self.prepared == 2:
            self.items = self.items[1:]


class ForgetsItsSpec(Numbers):
    def spec(self) -> PayloadSpec:
        return TensorSpec(DataType.F32, (2 if self.made and self.ticking is None else 1,))


class TurnsLive(Numbers):
    def open(self, clock: PlatformClock, now: Ticks) -> None:
        super().open(clock, now)
        self.pausable = False


class GivesNone(Numbers):
    """Once it returns what other people's iterators do."""

    tired = True

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self.tired and self.place == 3 and self.next_due() == now:
            self.tired = False
            return None  # type: ignore[return-value]  # what is tested
        return super().try_produce(now)


class Blocks(Numbers):
    def waiting(self) -> SourceSignal:
        threading.Event().wait(30)
        return SourceSignal.NOTHING_NOW


class Misreads(Numbers):
    def message(self, item: object, due: Ticks | None) -> Produced:
        return super().message(7 if item == 4 else item, due)


class TurnsDouble(Numbers):
    def message(self, item: object, due: Ticks | None) -> Produced:
        made = super().message(item, due)
        return Produced(self.buffer.astype(np.float64), due) if item == 2 else made


class WritesEarly(Numbers):
    """Reads the next one as soon as it is asked where this one came from."""

    def locate(self, sequence: SequenceNumber) -> str | None:
        self.buffer[0] = -1
        return super().locate(sequence)


class FromTheFuture(Numbers):
    def message(self, item: object, due: Ticks | None) -> Produced:
        made = super().message(item, due)
        return Produced(made.payload, Ticks((due or 0) + 1)) if item == 3 else made


class ComesBack(Numbers):
    """Behind its end there is one more, for those who ask."""

    ends = 0

    def at_end(self) -> Produced | SourceSignal:
        self.ends += 1
        return self.message(6, None) if self.ends == 3 else SourceSignal.END_OF_STREAM


class NowAndThen(Numbers):
    def next_due(self) -> Ticks | None:
        return None if self.place == 3 else super().next_due()


class Hasty(Numbers):
    """Gives what is there, due or not."""

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        return super().try_produce(max(now, self.next_due() or now))


class NotYet(Numbers):
    """The first time that the third is due, it is not there."""

    late = True

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self.late and self.place == 3 and self.next_due() == now:
            self.late = False
            return SourceSignal.NOTHING_NOW
        return super().try_produce(now)


class GoesBack(Numbers):
    def next_due(self) -> Ticks | None:
        due = super().next_due()
        if due is None or self.ticking is None or self.place != 3:
            return due
        return Ticks(due - self.ticking.nanos_to_ticks(15_000_000))

    def interval_ns(self) -> Fraction | int | None:
        return None


class SaysSeconds(Numbers):
    def interval_ns(self) -> Fraction | int | None:
        return Fraction(1, 100)


class CountsNanoseconds(Numbers):
    """Adds ns to the tick at which it was opened, as if every clock counted them."""

    begun = 0

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        super().open(clock, now)
        self.begun = now

    def next_due(self) -> Ticks | None:
        if self.ticking is None:
            return None
        return Ticks(self.begun + int(self.place * self.every_ns))

    def resumed(self, now: Ticks) -> None:
        self.begun += max(0, now - (self.next_due() or now))


class SkipsWhenFast(Numbers):
    def set_speed(self, speed: float | None) -> bool:
        if speed == 2:
            self.items = self.items[::2]
        return super().set_speed(speed)


class CatchesUp(Numbers):
    """What was due meanwhile is gone."""

    def resumed(self, now: Ticks) -> None:
        while self.place < len(self.items) and (self.next_due() or now) < now:
            self.place += 1


class RaisesItsOwn(Numbers):
    def unreadable(self) -> Produced | SourceSignal:
        self.place += 1
        raise ValueError("could not convert string to float: 'x'")


class Stuck(Numbers):
    def unreadable(self) -> Produced | SourceSignal:
        raise SensorError(f"number {self.place} is bad")


class KnowsTheFuture(Numbers):
    def locate(self, sequence: SequenceNumber) -> str | None:
        return f"number {sequence}"


class GoesOn(Numbers):
    """Opened again it goes on where it was."""

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        place, made = self.place, self.made
        super().open(clock, now)
        self.place, self.made = place, made
        self.begun_ns -= int(place * self.every_ns)


class ClosesOnce(Numbers):
    def close(self) -> None:
        if self.ticking is None:
            raise LifecycleError("closed already", code=Code.WRONG_STATE)
        super().close()


class KeepsAFile(Numbers):
    kept: int | None = None

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        super().open(clock, now)
        if self.kept is None:
            self.kept = os.open(os.devnull, os.O_RDONLY)

    def __del__(self) -> None:
        if self.kept is not None:
            os.close(self.kept)


class KeepsAThread(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        super().open(clock, now)
        threading.Thread(target=self.stop.wait, args=(30,), name="reader", daemon=True).start()

    def __del__(self) -> None:
        self.stop.set()


class KeepsPayloads(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def message(self, item: object, due: Ticks | None) -> Produced:
        made = super().message(item, due)
        self.seen.append(self.buffer.copy())
        return made


class SharesItsPlace(Numbers):
    places: ClassVar[list[int]] = [0]

    @property
    def place(self) -> int:
        return self.places[0]

    @place.setter
    def place(self, place: int) -> None:
        self.places[0] = place


_SABOTEURS: dict[str, tuple[type[Numbers], str]] = {
    "SOURCE-1": (PrepareReads, "prepared twice [[1.0], [2.0]"),
    "SOURCE-2": (ForgetsItsSpec, "after close it is"),
    "SOURCE-3": (TurnsLive, "(True, None), (False, None)"),
    "SOURCE-4": (GivesNone, "returned None after 6 messages"),
    "SOURCE-5": (Blocks, "did not return within 0.5 s"),
    "SOURCE-6": (Misreads, "[3.0], [7.0], [5.0]]"),
    "SOURCE-7": (TurnsDouble, "message 2: float64[1] does not fit f32[1]"),
    "SOURCE-8": (WritesEarly, "message 0 was [[0.0]]"),
    "SOURCE-9": (FromTheFuture, "message 3 was created at"),
    "SOURCE-10": (ComesBack, "Produced(payload="),
    "SOURCE-11": (NowAndThen, "25000000, None, 45000000"),
    "SOURCE-12": (Hasty, "at 14999999 it gave Produced"),
    "SOURCE-13": (NotYet, "at 35000000, where it is due"),
    "SOURCE-14": (GoesBack, "behind 25000000 came 20000000"),
    "SOURCE-15": (SaysSeconds, "interval_ns is 1/100"),
    "SOURCE-16": (CountsNanoseconds, "by one of 1 kHz"),
    "SOURCE-17": (SkipsWhenFast, "at speed 2 [[0.0], [2.0], [4.0]]"),
    "SOURCE-18": (CatchesUp, "it gave [[0.0], [1.0]], else"),
    "SOURCE-19": (RaisesItsOwn, "raised ValueError: could not convert"),
    "SOURCE-20": (Stuck, "failed as well: number 1 is bad"),
    "SOURCE-21": (KnowsTheFuture, "message -1 of 6 comes from 'number -1'"),
    "SOURCE-22": (GoesOn, "and opened again []"),
    "SOURCE-23": (ClosesOnce, "[<Code.WRONG_STATE: 902>, None, <Code.WRONG_STATE: 902>]"),
    "SOURCE-24": (KeepsAFile, "there is still descriptor"),
    "SOURCE-25": (KeepsPayloads, "B were kept"),
    "SOURCE-26": (SharesItsPlace, "with another one beside it"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    assert_caught(NumbersSuite, clause, make, seen)


def test_a_thread_that_is_left_is_seen_as_well() -> None:
    assert_caught(NumbersSuite, "SOURCE-24", KeepsAThread, "thread reader")


def test_every_clause_has_a_saboteur() -> None:
    assert len(_SABOTEURS) >= 20
    assert_all_have_saboteurs(SourceContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(SourceContract)


class HasNothing(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.items = ()


def test_a_source_that_gives_nothing_does_not_pass() -> None:
    found = sabotaged(NumbersSuite, HasNothing)
    assert sorted(found) == ["SOURCE-4", "SOURCE-6"], found
    assert "let make return a source with something to read" in found["SOURCE-4"]
