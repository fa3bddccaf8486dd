"""The suite that every source passes."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar, NoReturn

from limen.errors import SensorError
from limen.node import Source, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.testing.contracts._contract import Contract, inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._payload_checks import all_same, kept, misfit, same, shown
from limen.testing.contracts._reading import Reading
from limen.testing.contracts._resources import SLACK_BYTES, Held, bytes_kept, returns_within
from limen.types import SequenceNumber, Ticks

_MANY = 500
_SLOW_HZ = 1_000
_TICK_NS = 1_000_000


class SourceContract(Contract):
    """Holds a source to SOURCE-1 … SOURCE-26; write ``make``, and what its clauses need.

    Attributes:
        most: How many messages a test reads at most; those of an endless source are many.
        patience_s: Seconds until a call counts as blocked, and until a live source that has
            nothing is not asked any more.
        pause_ns: For how long a pausable source is held back, by the suite's clock.
        place_in_error: What the error for an unreadable entry says about its place.
    """

    subjects = (Source,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "end": "its stream comes to an end",
        "failures": "what it reads may be unreadable: write `broken`",
        "repeats": "each one that is made gives the same",
        "rewinds": "opened again it begins anew",
        "waits": "what it reads may not have come yet: write `starved`",
    }
    most: ClassVar[int] = 40
    patience_s: ClassVar[float] = 5.0
    pause_ns: ClassVar[int] = 1_000_000_000
    place_in_error: ClassVar[str] = ""

    @abc.abstractmethod
    def make(self) -> Source:
        """Return a new source with something to read; called once or twice in every test."""

    def expected(self) -> Sequence[object] | None:
        """Return what ``make``'s source gives: all payloads, or the first ones of endless many.

        An array may be given as lists. None where nobody can say.
        """
        return None

    def broken(self) -> Source:
        """Return a new source that meets something unreadable within ``most`` calls.

        Behind it there is something to read, or the stream ends.
        """
        self._missing("failures", "broken")

    def expected_of_broken(self) -> Sequence[object] | None:
        """Return the payloads that ``broken``'s source gives; None where nobody can say."""
        return None

    def starved(self) -> Source:
        """Return a new source for which nothing has come yet, and nothing comes during a test."""
        self._missing("waits", "starved")

    def plenty(self) -> Source:
        """Return a new source with two thousand messages and more; ``make``'s, if it has them."""
        return self.make()

    def clock(self) -> PlatformClock:
        """Return the clock that a source is opened with; a real one for what lives by real time."""
        return SimClock(start=5_000_000)

    @needs("repeats")
    def test_source_1_preparing_again_changes_nothing(self) -> None:
        once, twice = self._prepared(), self._prepared()
        seen = code_raised(twice.prepare)
        assert seen is None, f"the second prepare: {seen}"
        given, again = self._payloads(once), self._payloads(twice)
        assert all_same(given, again), (
            f"prepared once it gives {shown(given)}, prepared twice {shown(again)}"
        )

    def test_source_2_the_spec_is_known_and_stays(self) -> None:
        source = self._prepared()
        spec = source.spec()
        seen = {"after prepare": source.spec()}
        with self._reading(source) as reading:
            seen["after open"] = source.spec()
            reading.messages(self.most)
            seen["after reading"] = source.spec()
        seen["after close"] = source.spec()
        for when, found in seen.items():
            assert found == spec, f"the spec was {spec}, and {when} it is {found}"

    def test_source_3_its_attributes_are_settled(self) -> None:
        source = self._prepared()
        before = source.pausable, source.clock_domain
        with self._reading(source) as reading:
            opened = source.pausable, source.clock_domain
            reading.messages(self.most)
            read = source.pausable, source.clock_domain
        assert opened == read == before, (
            f"pausable and clock_domain after prepare, open and reading: {before}, {opened}, {read}"
        )

    def test_source_4_it_gives_messages_and_signals_only(self) -> None:
        with self._reading(self._prepared()) as reading:
            given = len(reading.messages(self.most))
        assert not reading.strange, (
            f"try_produce returned {reading.strange[0]!r} after {given} messages"
        )
        assert given, "it gave no message: let make return a source with something to read"

    @needs("waits")
    def test_source_5_it_does_not_wait(self) -> None:
        source = self.starved()
        source.prepare()
        with self._reading(source) as reading:
            now = reading.clock.now_ticks()
            came_back, made = returns_within(lambda: source.try_produce(now), self.patience_s)
            assert came_back, f"try_produce did not return within {self.patience_s:g} s"
            assert made is SourceSignal.NOTHING_NOW, f"where nothing has come it gives {made!r}"

    def test_source_6_it_gives_what_was_read(self) -> None:
        wanted = self.expected()
        if wanted is None:
            inapplicable("what it reads is not known: see `expected`")
        with self._reading(self._prepared()) as reading:
            given = reading.messages(len(wanted) if "end" in self.lacks else len(wanted) + 1)
        assert all_same(given, wanted), f"it gave {shown(given)}, and read {shown(wanted)}"

    def test_source_7_payloads_fit_the_spec(self) -> None:
        source = self._prepared()
        spec = source.spec()
        with self._reading(source) as reading:
            for number in range(self.most):
                made = reading.next_message()
                if made is None:
                    break
                wrong = misfit(made.payload, spec)
                assert wrong is None, f"message {number}: {wrong}"

    def test_source_8_a_payload_stays_until_the_next_call(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            for number in range(self.most):
                made = reading.next_message()
                if made is None:
                    break
                before = kept(made.payload)
                source.next_due()
                source.interval_ns()
                source.locate(SequenceNumber(number))
                source.spec()
                assert same(made.payload, before), (
                    f"message {number} was {shown([before])}, and without a call of try_produce "
                    f"became {shown([made.payload])}"
                )

    def test_source_9_creation_does_not_lie_ahead(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            if source.clock_domain not in (None, reading.clock.domain):
                inapplicable(f"it counts by clock {source.clock_domain}")
            for number in range(self.most):
                made = reading.next_message()
                if made is None:
                    break
                now, stated = reading.clock.now_ticks(), made.creation_tick
                assert stated is None or 0 <= stated <= now, (
                    f"message {number} was created at {stated}, and it is {now}"
                )

    @needs("end")
    def test_source_10_the_end_is_the_end(self) -> None:
        with self._reading(self._prepared()) as reading:
            given = len(reading.messages(self.most + 1))
            assert reading.ended, (
                f"no END_OF_STREAM came behind {given} messages: raise `most`, or say in `lacks` "
                "that it has no end"
            )
            seen = [reading.ask_at(reading.clock.now_ticks()) for _ in range(3)]
        assert seen == [SourceSignal.END_OF_STREAM] * 3, (
            f"asked again behind the end it gave {seen}"
        )

    def test_source_11_it_has_a_schedule_or_none(self) -> None:
        with self._reading(self._prepared()) as reading:
            instants = reading.instants(self.most)
        timed = [instant is not None for instant in instants]
        assert all(timed) or not any(timed), (
            f"next_due of {len(instants)} messages: {shown(instants, self.most)}"
        )

    def test_source_12_no_message_is_there_before_it_is_due(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            early = 0
            for _ in range(self.most):
                due = source.next_due()
                if due is not None and due > reading.clock.now_ticks():
                    early += 1
                    made = reading.ask_at(Ticks(due - 1))
                    if reading.ended:
                        break
                    after = source.next_due()
                    assert (made, after) == (SourceSignal.NOTHING_NOW, due), (
                        f"next_due was {due}, and at {due - 1} it gave {made!r}, next_due {after}"
                    )
                if reading.next_message() is None:
                    break
        if not early:
            inapplicable("it states no instant that lies ahead")

    def test_source_13_something_is_there_when_it_is_due(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            if source.next_due() is None:
                inapplicable("it states no instants")
            for _ in range(self.most):
                due = source.next_due()
                made = reading.ask()
                if made is SourceSignal.END_OF_STREAM:
                    break
                after = source.next_due()
                stuck = made is SourceSignal.NOTHING_NOW and after == due is not None
                assert not stuck, f"at {due}, where it is due, it gave {made} and stays due then"

    def test_source_14_instants_do_not_go_back(self) -> None:
        instants = self._instants()
        for earlier, later in itertools.pairwise(instants):
            assert earlier <= later, f"behind {earlier} came {later}: {instants}"

    def test_source_15_the_interval_is_that_of_its_instants(self) -> None:
        source = self._prepared()
        interval = source.interval_ns()
        if interval is None:
            inapplicable("it states no interval")
        clock = self.clock()
        found = self._instants(clock)
        for number, instant in enumerate(found):
            apart = clock.ticks_to_nanos(instant - found[0])
            off = abs(apart - number * Fraction(interval))
            assert off <= 2 * clock.ticks_to_nanos(1) + 1, (
                f"interval_ns is {interval}, and message {number} is due {apart} ns after the first"
            )

    @needs("repeats")
    def test_source_16_instants_are_those_of_the_clock_given(self) -> None:
        fine = self._schedule(SimClock(start=5_000_000))
        coarse = self._schedule(SimClock(_SLOW_HZ, start=5))
        for number, (one, other) in enumerate(zip(fine, coarse, strict=False)):
            assert abs(one - other) <= _TICK_NS, (
                f"message {number} is due {one} ns after the epoch by a clock of 1 GHz, {other} ns "
                "by one of 1 kHz"
            )

    @needs("repeats")
    def test_source_17_a_replay_gives_the_same_at_any_speed(self) -> None:
        usual, faster = self._prepared(), self.make()
        if not faster.set_speed(2.0):
            inapplicable("it is no replay")
        faster.prepare()
        given, again = self._payloads(usual), self._payloads(faster)
        assert all_same(given, again), f"it gives {shown(given)}, and at speed 2 {shown(again)}"

    @needs("repeats")
    def test_source_18_a_pause_loses_nothing(self) -> None:
        source, other = self._prepared(), self._prepared()
        if not source.pausable:
            inapplicable("it is not pausable")
        with self._reading(source) as reading:
            given = reading.messages(2)
            clock = reading.clock
            clock.wait_until(Ticks(clock.now_ticks() + clock.nanos_to_ticks(self.pause_ns)))
            source.resumed(clock.now_ticks())
            given += reading.messages(self.most - 2)
        usual = self._payloads(other)
        assert all_same(given, usual), (
            f"held back behind two messages it gave {shown(given)}, else {shown(usual)}"
        )

    @needs("failures")
    def test_source_19_what_cannot_be_read_raises(self) -> None:
        source = self.broken()
        source.prepare()
        with self._reading(source) as reading:
            error = reading.until_failure(self.most)
        assert error is not None, f"{len(reading.given)} messages came, and no error"
        assert isinstance(error, SensorError), (
            f"what cannot be read raised {type(error).__name__}: {error}"
        )
        assert self.place_in_error in str(error) and str(error), (
            f"{self.place_in_error!r} is not in {str(error)!r}"
        )

    @needs("failures")
    def test_source_20_reading_goes_on_behind_a_failure(self) -> None:
        source = self.broken()
        source.prepare()
        with self._reading(source) as reading:
            if reading.until_failure(self.most) is None:
                inapplicable("there was no failure: see SOURCE-19")
            behind: list[object] = []
            while len(behind) < self.most and not reading.ended:
                behind.append(reading.attempt())
        failed = [made for made in behind if isinstance(made, Exception)]
        assert len(failed) < len(behind), (
            f"behind a failure each of {len(behind)} calls failed as well: {failed[-1]}"
        )
        wanted = self.expected_of_broken()
        if wanted is not None:
            given = reading.given if reading.ended else reading.given[: len(wanted)]
            assert all_same(given, wanted), (
                f"around the failure it gave {shown(given)}, and could read {shown(wanted)}"
            )

    def test_source_21_places_are_words(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            given = len(reading.messages(self.most))
            for number in range(given):
                place = source.locate(SequenceNumber(number))
                assert place is None or (isinstance(place, str) and place), (
                    f"message {number} comes from {place!r}"
                )
            for number in (-1, given, given + 1_000_000):
                place = source.locate(SequenceNumber(number))
                assert place is None, f"message {number} of {given} comes from {place!r}"

    @needs("rewinds")
    def test_source_22_it_begins_anew(self) -> None:
        source = self._prepared()
        with self._reading(source) as reading:
            first = reading.messages(self.most)
        with self._reading(source) as reading:
            reading.messages(2)
        with self._reading(source) as reading:
            again = reading.messages(self.most)
        assert all_same(first, again), f"it gave {shown(first)}, and opened again {shown(again)}"

    def test_source_23_close_raises_nothing(self) -> None:
        source = self.make()
        seen = [code_raised(source.close)]
        source.prepare()
        self._reading(source)
        seen += [code_raised(source.close), code_raised(source.close)]
        assert seen == [None] * 3, f"close before open, after it, and again: {seen}"
        if "failures" not in self.lacks:
            source = self.broken()
            source.prepare()
            self._reading(source).until_failure(self.most)
            seen = [code_raised(source.close), code_raised(source.close)]
            assert seen == [None] * 2, f"close after a failure, and again: {seen}"

    def test_source_24_nothing_is_left_behind(self) -> None:
        source = self.make()
        held = Held()
        source.prepare()
        for _ in range(2 if "rewinds" not in self.lacks else 1):
            reading = self._reading(source)
            reading.messages(2)
            source.close()
        left = held.left(self.patience_s)
        assert not left, f"after close there is still {', '.join(left)}"

    def test_source_25_what_is_kept_does_not_grow(self) -> None:
        source = self.plenty()
        source.prepare()
        with self._reading(source) as reading:
            grown = bytes_kept(lambda: reading.skip(_MANY))
        if reading.count < 3 * _MANY:
            inapplicable(f"it has no {3 * _MANY} messages: see `plenty`")
        # Twice the slack: how full a buffer of a pipe is changes from call to call.
        assert grown < 2 * SLACK_BYTES, f"{_MANY} messages were read and {grown} B were kept"

    @needs("repeats")
    def test_source_26_sources_share_no_state(self) -> None:
        alone = self._payloads(self._prepared())
        one, other = self._prepared(), self._prepared()
        with self._reading(one) as reading:
            given = reading.messages(1)
            with self._reading(other) as beside:
                beside.messages(3)
            given += reading.messages(self.most - 1)
        assert all_same(given, alone), (
            f"alone it gives {shown(alone)}, with another one beside it {shown(given)}"
        )

    def _missing(self, capability: str, hook: str) -> NoReturn:
        inapplicable(f"write `{hook}`, or say in `lacks` why it does without {capability!r}")

    def _prepared(self) -> Source:
        source = self.make()
        source.prepare()
        return source

    def _reading(self, source: Source, clock: PlatformClock | None = None) -> Reading:
        return Reading(source, self.clock() if clock is None else clock, self.patience_s)

    def _payloads(self, source: Source) -> list[object]:
        with self._reading(source) as reading:
            return reading.messages(self.most)

    def _schedule(self, clock: PlatformClock) -> list[int]:
        """When messages are due, in ns."""
        return [clock.ticks_to_nanos(tick) for tick in self._instants(clock)]

    def _instants(self, clock: PlatformClock | None = None) -> list[Ticks]:
        with self._reading(self._prepared(), clock) as reading:
            found = [instant for instant in reading.instants(self.most) if instant is not None]
        if not found or len(found) < reading.count:
            inapplicable("it states no instants, or not always: see SOURCE-11")
        return found
