"""The clauses of the clock contract: CLOCK-1 to CLOCK-4."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen.errors import ConfigurationError
from limen.platform import MonotonicClock, NoopClock, PlatformClock, SimClock
from limen.types import Ticks

_CLOCKS: dict[str, Callable[[], PlatformClock]] = {
    "monotonic": MonotonicClock,
    "sim": SimClock,
    "sim_1khz": lambda: SimClock(tick_rate_hz=1000),
    "sim_32768hz": lambda: SimClock(tick_rate_hz=32768),
    "noop": NoopClock,
}
_FAR = Ticks(3_600 * 10**9)
_HANG_S = 30.0


@pytest.fixture(params=_CLOCKS)
def clock(request: pytest.FixtureRequest) -> PlatformClock:
    return _CLOCKS[request.param]()


def test_clock_1_the_present_never_decreases(clock: PlatformClock) -> None:
    instants = []
    for step in range(200):
        clock.charge(step % 3)
        clock.wait_until(Ticks(step - 100))
        instants.append(clock.now_ticks())
    assert instants == sorted(instants)


@given(st.sampled_from(sorted(_CLOCKS)), st.integers(0, 10**20))
def test_clock_2_conversion_rounds_down_by_less_than_a_tick(name: str, ns: int) -> None:
    clock = _CLOCKS[name]()
    back = clock.ticks_to_nanos(clock.nanos_to_ticks(ns))
    assert 0 <= ns - back <= -(-(10**9) // clock.tick_rate_hz)
    if 10**9 % clock.tick_rate_hz == 0:
        assert ns - back < 10**9 // clock.tick_rate_hz


@pytest.mark.parametrize(("ns", "ticks"), [(0, 0), (999_999, 0), (1_000_000, 1), (2_999_999, 2)])
def test_clock_2_a_coarse_clock_drops_what_is_finer_than_its_tick(ns: int, ticks: int) -> None:
    assert SimClock(tick_rate_hz=1000).nanos_to_ticks(ns) == ticks


@pytest.mark.parametrize("rate", [0, -1])
def test_a_clock_that_does_not_tick_is_refused(rate: int) -> None:
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        SimClock(tick_rate_hz=rate)


@pytest.mark.parametrize("name", ["monotonic", "sim", "sim_1khz"])
def test_clock_3_a_wait_returns_at_or_after_its_instant(name: str) -> None:
    clock = _CLOCKS[name]()
    for distance in (1, 1_000, 2_000_000):
        due = Ticks(clock.now_ticks() + distance)
        clock.wait_until(due)
        assert clock.now_ticks() >= due


def test_clock_3_a_wait_for_the_past_does_not_move_simulated_time() -> None:
    clock = SimClock(start=50)
    clock.wait_until(Ticks(20))
    assert clock.now_ticks() == 50
    clock.wait_until(Ticks(51))
    assert clock.now_ticks() == 51


def test_the_noop_clock_returns_from_a_wait_and_stays_at_zero() -> None:
    clock = NoopClock()
    clock.wait_until(_FAR)
    assert clock.now_ticks() == 0


def _wait_in_thread(clock: PlatformClock) -> tuple[threading.Thread, threading.Event]:
    entered = threading.Event()

    def body() -> None:
        entered.set()
        clock.wait_until(_FAR)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread, entered


def test_clock_3_wake_from_another_thread_ends_a_wait() -> None:
    clock = MonotonicClock()
    thread, entered = _wait_in_thread(clock)
    assert entered.wait(_HANG_S)
    clock.wake()
    thread.join(_HANG_S)
    assert not thread.is_alive()
    assert clock.now_ticks() < _FAR


def test_clock_3_wake_before_a_wait_ends_that_wait() -> None:
    clock = MonotonicClock()
    clock.wake()
    clock.wake()
    thread, _ = _wait_in_thread(clock)
    thread.join(_HANG_S)
    assert not thread.is_alive()


def test_clock_3_two_wakes_end_one_wait_only() -> None:
    clock = MonotonicClock()
    clock.wake()
    clock.wake()
    clock.wait_until(_FAR)
    due = Ticks(clock.now_ticks() + 5_000_000)
    clock.wait_until(due)
    assert clock.now_ticks() >= due


def test_clock_3_a_wait_for_the_past_uses_up_an_earlier_wake() -> None:
    clock = MonotonicClock()
    clock.wake()
    clock.wait_until(Ticks(0))
    due = Ticks(clock.now_ticks() + 5_000_000)
    clock.wait_until(due)
    assert clock.now_ticks() >= due


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_clock_3_a_signal_handler_wakes_the_thread_it_interrupts() -> None:
    clock = MonotonicClock()
    before = signal.signal(signal.SIGALRM, lambda *_: clock.wake())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        clock.wait_until(_FAR)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert clock.now_ticks() < _FAR


@pytest.mark.parametrize("rate", [1, 1000, 10**9])
def test_clock_4_simulated_time_moves_by_exactly_the_charge(rate: int) -> None:
    clock = SimClock(tick_rate_hz=rate, start=7)
    clock.charge(5)
    clock.charge(0)
    assert clock.now_ticks() == 12


@pytest.mark.parametrize("name", ["monotonic", "noop"])
def test_clock_4_a_charge_does_not_move_real_time(name: str) -> None:
    clock = _CLOCKS[name]()
    clock.charge(_FAR)
    assert clock.now_ticks() < _FAR


def test_clock_4_a_negative_charge_is_refused_and_changes_nothing() -> None:
    clock = SimClock(start=7)
    with pytest.raises(ConfigurationError, match="time only moves forward"):
        clock.charge(-1)
    assert clock.now_ticks() == 7


def test_clocks_of_two_domains_can_be_told_apart() -> None:
    assert SimClock(domain=1).domain != SimClock(domain=2).domain
    assert MonotonicClock(domain=4).domain == 4
