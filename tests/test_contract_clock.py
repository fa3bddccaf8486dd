"""Every clock of ours under the kit, and the kit under clocks that break one clause each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest

from limen.platform import MonotonicClock, NoopClock, PlatformClock, SimClock
from limen.testing import ClockContract
from limen.types import Ticks
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched


class MonotonicClockSuite(ClockContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "standstill": "it is the machine's time",
        "simulated": "it is the machine's time",
    }

    def make(self) -> PlatformClock:
        return MonotonicClock()


class SimClockSuite(ClockContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "standstill": "a wait moves it",
        "blocks": "a wait moves it at once",
        "real": "it is simulated",
    }

    def make(self) -> PlatformClock:
        return SimClock()


class CoarseClockSuite(SimClockSuite):
    lacks: ClassVar[Mapping[str, str]] = SimClockSuite.lacks

    def make(self) -> PlatformClock:
        return SimClock(tick_rate_hz=1000, start=7)


class WatchCrystalSuite(SimClockSuite):
    lacks: ClassVar[Mapping[str, str]] = SimClockSuite.lacks

    def make(self) -> PlatformClock:
        return SimClock(tick_rate_hz=32768)


class NoopClockSuite(ClockContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "moves": "it is for graphs that do not look at time",
        "blocks": "it has nothing to wait for",
        "simulated": "nothing moves it",
    }

    def make(self) -> PlatformClock:
        return NoopClock()


_SUITES = (MonotonicClockSuite, SimClockSuite, CoarseClockSuite, WatchCrystalSuite, NoopClockSuite)


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[ClockContract]) -> None:
    assert_holds(suite)


class Stumbles(SimClock):
    """Goes back ten ticks with its 150th wait."""

    waits = 0

    def wait_until(self, tick: Ticks) -> None:
        super().wait_until(tick)
        self.waits += 1
        self._now -= 10 * (self.waits == 150)


class RoundsUp(SimClock):
    def nanos_to_ticks(self, nanos: int) -> Ticks:
        return Ticks(-(-nanos * self.tick_rate_hz // 10**9))


class LosesATick(SimClock):
    def ticks_to_nanos(self, ticks: int) -> int:
        return max(super().ticks_to_nanos(ticks) - 10**9 // self.tick_rate_hz, 0)


class StartsAtOne(SimClock):
    """No time is a tick of its own, which is no time again."""

    def nanos_to_ticks(self, nanos: int) -> Ticks:
        return Ticks(-1) if nanos == 0 else super().nanos_to_ticks(nanos)

    def ticks_to_nanos(self, ticks: int) -> int:
        return max(super().ticks_to_nanos(ticks), 0)


class RoundsDurationsDown(SimClock):
    def duration_to_ticks(self, nanos: int) -> int:
        return self.nanos_to_ticks(nanos)


class ChangesDomain(SimClock):
    def wake(self) -> None:
        self.domain = type(self.domain)(self.domain + 1)


class ReturnsEarly(SimClock):
    def wait_until(self, tick: Ticks) -> None:
        super().wait_until(Ticks(tick - 1000))


class TurnsBack(SimClock):
    def wait_until(self, tick: Ticks) -> None:
        self._now = tick


class SleepsDeeply(MonotonicClock):
    """Looks for a wake before a wait only."""

    def wait_until(self, tick: Ticks) -> None:
        if self._woken.acquire(blocking=False):
            return
        while self.now_ticks() < tick:
            time.sleep(0.01)


class ForgetsWakes(MonotonicClock):
    """Looks for a wake during a wait only."""

    def wait_until(self, tick: Ticks) -> None:
        self._woken.acquire(blocking=False)
        super().wait_until(tick)


class CountsWakes(MonotonicClock):
    def __init__(self) -> None:
        super().__init__()
        self._wakes = threading.Semaphore(0)

    def wake(self) -> None:
        self._wakes.release()

    def wait_until(self, tick: Ticks) -> None:
        self._wakes.acquire(timeout=max(tick - self.now_ticks(), 0) / 1e9)


class KeepsWakes(MonotonicClock):
    def wait_until(self, tick: Ticks) -> None:
        if tick > self.now_ticks():
            super().wait_until(tick)


class StandsAndJumps(NoopClock):
    now = 0

    def now_ticks(self) -> Ticks:
        return Ticks(self.now)

    def wait_until(self, tick: Ticks) -> None:
        self.now = max(self.now, tick)


class ChargesTwice(SimClock):
    def charge(self, ticks: int) -> None:
        super().charge(2 * ticks)


class TakesNegative(SimClock):
    def charge(self, ticks: int) -> None:
        super().charge(max(ticks, 0))


class ChargedReality(MonotonicClock):
    charged = 0

    def now_ticks(self) -> Ticks:
        return Ticks(super().now_ticks() + self.charged)

    def charge(self, ticks: int) -> None:
        if ticks > 10**9:
            self.charged += ticks


class OneForAll(SimClock):
    charged: ClassVar[list[int]] = [0]

    def charge(self, ticks: int) -> None:
        super().charge(ticks)
        if ticks > 10**9:
            self.charged[0] = ticks
            self._now -= ticks

    def now_ticks(self) -> Ticks:
        return Ticks(super().now_ticks() + self.charged[0])


_SABOTEURS: dict[str, tuple[type[ClockContract], Callable[[], PlatformClock], str]] = {
    "CLOCK-1": (SimClockSuite, Stumbles, "it was"),
    "CLOCK-2": (CoarseClockSuite, lambda: RoundsUp(1000), "1 ns became 1 ticks"),
    "CLOCK-3": (CoarseClockSuite, lambda: LosesATick(1000), "more than 999999 ns"),
    "CLOCK-4": (SimClockSuite, StartsAtOne, "became (-1, 0)"),
    "CLOCK-5": (CoarseClockSuite, lambda: RoundsDurationsDown(1000), "[0, 0, 3600000] ticks"),
    "CLOCK-6": (SimClockSuite, ChangesDomain, "and are (1000000000, 3, False)"),
    "CLOCK-7": (SimClockSuite, ReturnsEarly, "it waited for"),
    "CLOCK-8": (SimClockSuite, TurnsBack, "it waited for 500, and it is 500"),
    "CLOCK-9": (MonotonicClockSuite, SleepsDeeply, "goes on"),
    "CLOCK-10": (MonotonicClockSuite, ForgetsWakes, "did not return within"),
    "CLOCK-11": (MonotonicClockSuite, CountsWakes, "after two wakes and one wait"),
    "CLOCK-12": (MonotonicClockSuite, KeepsWakes, "after a wake and a wait for the past"),
    "CLOCK-13": (NoopClockSuite, StandsAndJumps, "stands_still is True"),
    "CLOCK-14": (SimClockSuite, ChargesTwice, "it moved [10, 0, 2000000]"),
    "CLOCK-15": (SimClockSuite, TakesNegative, "charged -1 ticks at 10: taken"),
    "CLOCK-16": (MonotonicClockSuite, ChargedReality, "charged an hour"),
    "CLOCK-17": (SimClockSuite, OneForAll, "moved another by"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    suite, make, seen = _SABOTEURS[clause]
    assert_caught(suite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(ClockContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(ClockContract)
