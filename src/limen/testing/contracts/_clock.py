"""The suite that every clock passes."""

from __future__ import annotations

import abc
import itertools
import threading
from collections.abc import Mapping
from typing import ClassVar

from limen.errors import LimenError
from limen.platform import PlatformClock
from limen.testing.contracts._contract import Contract, needs
from limen.types import Ticks

# How long a wait that should end is waited for; reached only by a clock that hangs.
_HANG_S = 5.0
_HOUR_NS = 3_600 * 10**9
_NS = (0, 1, 2, 30_517, 30_518, 999_999, 1_000_000, 1_000_001, 10**9 - 1, 10**9, 10**15 + 7)


class ClockContract(Contract):
    """Holds a clock to CLOCK-1 … CLOCK-17; write ``make``."""

    subjects = (PlatformClock,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "moves": "waiting for an instant brings it",
        "standstill": "waiting for an instant is in vain",
        "blocks": "a wait takes real time, and can be woken",
        "simulated": "it is moved by what calls are said to cost",
        "real": "it is not",
    }

    @abc.abstractmethod
    def make(self) -> PlatformClock:
        """Return a new clock; called for every test."""

    def test_clock_1_the_present_never_decreases(self) -> None:
        clock = self.make()
        instants = []
        for step in range(200):
            clock.charge(step % 3)
            clock.wait_until(Ticks(clock.now_ticks() + step % 2))
            instants.append(clock.now_ticks())
        falls = [(a, b) for a, b in itertools.pairwise(instants) if b < a]
        assert not falls, f"after {falls[0][0]} it was {falls[0][1]}"

    def test_clock_2_conversion_never_rounds_up(self) -> None:
        clock = self.make()
        for ns in _NS:
            back = clock.ticks_to_nanos(clock.nanos_to_ticks(ns))
            assert back <= ns, f"{ns} ns became {clock.nanos_to_ticks(ns)} ticks, which are {back}"

    def test_clock_3_conversion_loses_less_than_a_tick(self) -> None:
        clock = self.make()
        # Less than a tick; where ticks are no whole nanoseconds, a part of one more is cut off.
        most = (10**9 - 1) // clock.tick_rate_hz + (10**9 % clock.tick_rate_hz > 0)
        for ns in _NS:
            back = clock.ticks_to_nanos(clock.nanos_to_ticks(ns))
            assert ns - back <= most, (
                f"{ns} ns became {clock.nanos_to_ticks(ns)} ticks, which are {back} ns: "
                f"more than {most} ns of a tick are lost"
            )

    def test_clock_4_conversion_keeps_the_order(self) -> None:
        clock = self.make()
        ticks = [clock.nanos_to_ticks(ns) for ns in _NS]
        assert ticks == sorted(ticks), f"{_NS} ns became {ticks} ticks"
        none = clock.nanos_to_ticks(0), clock.ticks_to_nanos(0)
        assert none == (0, 0), f"0 ns and 0 ticks became {none}"

    def test_clock_5_a_duration_is_a_tick_at_least(self) -> None:
        clock = self.make()
        seen = [clock.duration_to_ticks(ns) for ns in (0, 1, _HOUR_NS)]
        wanted = [0, max(1, clock.nanos_to_ticks(1)), clock.nanos_to_ticks(_HOUR_NS)]
        assert seen == wanted, f"0 ns, 1 ns and 1 h are {seen} ticks of {clock.tick_rate_hz} Hz"

    def test_clock_6_what_it_states_stays(self) -> None:
        clock = self.make()
        before = clock.tick_rate_hz, clock.domain, clock.stands_still
        for _ in range(3):
            clock.charge(1)
            clock.wait_until(clock.now_ticks())
            clock.wake()
        after = clock.tick_rate_hz, clock.domain, clock.stands_still
        assert after == before, f"rate, domain and stands_still were {before}, and are {after}"
        assert clock.tick_rate_hz >= 1, f"it ticks {clock.tick_rate_hz} times a second"

    @needs("moves")
    def test_clock_7_a_wait_brings_its_instant(self) -> None:
        clock = self.make()
        for distance_ns in (1, 1_000, 2_000_000):
            start = clock.now_ticks()
            due = Ticks(start + clock.duration_to_ticks(distance_ns))
            self._wait(clock, due, f"a wait for {distance_ns} ns")
            now = clock.now_ticks()
            assert now >= due, f"at {start} it waited for {due}, and it is {now}"

    def test_clock_8_a_wait_for_the_past_turns_nothing_back(self) -> None:
        clock = self.make()
        clock.charge(1000)
        for past in (clock.now_ticks() - 500, -5):
            before = clock.now_ticks()
            self._wait(clock, Ticks(past), "a wait for the past")
            now = clock.now_ticks()
            assert now >= before, f"at {before} it waited for {past}, and it is {now}"

    @needs("blocks")
    def test_clock_9_a_wake_ends_a_wait(self) -> None:
        clock = self.make()
        # Woken over and over: it cannot be seen from outside when the wait has begun.
        waker = threading.Thread(target=self._wake_often, args=(clock,), daemon=True)
        due = self._far(clock)
        thread = threading.Thread(target=clock.wait_until, args=(due,), daemon=True)
        thread.start()
        waker.start()
        thread.join(_HANG_S)
        assert not thread.is_alive(), "another thread woke it, and a wait for an hour goes on"

    @needs("blocks")
    def test_clock_10_a_wake_ahead_ends_the_next_wait(self) -> None:
        clock = self.make()
        clock.wake()
        self._wait(clock, self._far(clock), "a wait for an hour, woken ahead of it")

    @needs("blocks")
    def test_clock_11_two_wakes_end_one_wait(self) -> None:
        clock = self.make()
        clock.wake()
        clock.wake()
        clock.wait_until(Ticks(clock.now_ticks() + clock.duration_to_ticks(20_000_000)))
        self._waits(clock, "after two wakes and one wait")

    @needs("blocks")
    def test_clock_12_a_wait_for_the_past_uses_up_a_wake(self) -> None:
        clock = self.make()
        clock.wake()
        clock.wait_until(Ticks(0))
        self._waits(clock, "after a wake and a wait for the past")

    @needs("standstill")
    def test_clock_13_standing_still_it_returns(self) -> None:
        clock = self.make()
        before = clock.now_ticks()
        self._wait(clock, self._far(clock), "a wait of an hour")
        now = clock.now_ticks()
        assert (clock.stands_still, now) == (True, before), (
            f"at {before} it waited an hour: stands_still is {clock.stands_still}, it is {now}"
        )

    @needs("simulated")
    def test_clock_14_a_charge_moves_by_what_it_says(self) -> None:
        clock = self.make()
        instants = [clock.now_ticks()]
        for ticks in (5, 0, 1_000_000):
            clock.charge(ticks)
            instants.append(clock.now_ticks())
        moved = [b - a for a, b in itertools.pairwise(instants)]
        assert moved == [5, 0, 1_000_000], f"charged 5, 0 and 1000000 ticks, and it moved {moved}"

    @needs("simulated")
    def test_clock_15_a_negative_charge_is_refused(self) -> None:
        clock = self.make()
        clock.charge(10)
        before, refused = clock.now_ticks(), False
        try:
            clock.charge(-1)
        except LimenError:
            refused = True
        now = clock.now_ticks()
        assert (refused, now) == (True, before), (
            f"charged -1 ticks at {before}: {'refused' if refused else 'taken'}, and it is {now}"
        )

    @needs("real")
    def test_clock_16_a_charge_moves_no_real_time(self) -> None:
        clock = self.make()
        before = clock.now_ticks()
        clock.charge(clock.nanos_to_ticks(_HOUR_NS))
        moved_ns = clock.ticks_to_nanos(clock.now_ticks() - before)
        assert moved_ns < _HOUR_NS, f"charged an hour, and {moved_ns} ns went by"

    def test_clock_17_clocks_share_no_state(self) -> None:
        first, other = self.make(), self.make()
        before = other.now_ticks()
        first.charge(first.nanos_to_ticks(_HOUR_NS))
        moved_ns = other.ticks_to_nanos(other.now_ticks() - before)
        assert moved_ns < _HOUR_NS, f"an hour charged to one clock moved another by {moved_ns} ns"

    def _far(self, clock: PlatformClock) -> Ticks:
        return Ticks(clock.now_ticks() + clock.nanos_to_ticks(_HOUR_NS))

    def _waits(self, clock: PlatformClock, when: str) -> None:
        """Assert that a short wait brings its instant, which a wake left over would cut off."""
        due = Ticks(clock.now_ticks() + clock.duration_to_ticks(20_000_000))
        clock.wait_until(due)
        now = clock.now_ticks()
        assert now >= due, f"{when}, a wait for {due} ended at {now}"

    def _wake_often(self, clock: PlatformClock) -> None:
        for _ in range(100):
            clock.wake()
            threading.Event().wait(0.01)

    def _wait(self, clock: PlatformClock, due: Ticks, what: str) -> None:
        """Assert that a wait returns; what hangs is woken in the end."""
        thread = threading.Thread(target=clock.wait_until, args=(due,), daemon=True)
        thread.start()
        thread.join(_HANG_S)
        hangs = thread.is_alive()
        if hangs:
            clock.wake()
        assert not hangs, f"{what} did not return within {_HANG_S:g} s"
