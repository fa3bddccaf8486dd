"""What clocks do beyond their contract."""

from __future__ import annotations

import signal
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


@given(st.sampled_from(sorted(_CLOCKS)), st.integers(0, 10**20))
def test_conversion_rounds_down_by_less_than_a_tick(name: str, ns: int) -> None:
    clock = _CLOCKS[name]()
    back = clock.ticks_to_nanos(clock.nanos_to_ticks(ns))
    assert 0 <= ns - back <= -(-(10**9) // clock.tick_rate_hz)
    if 10**9 % clock.tick_rate_hz == 0:
        assert ns - back < 10**9 // clock.tick_rate_hz


@pytest.mark.parametrize(("ns", "ticks"), [(0, 0), (999_999, 0), (1_000_000, 1), (2_999_999, 2)])
def test_a_coarse_clock_drops_what_is_finer_than_its_tick(ns: int, ticks: int) -> None:
    assert SimClock(tick_rate_hz=1000).nanos_to_ticks(ns) == ticks


@pytest.mark.parametrize("rate", [0, -1])
def test_a_clock_that_does_not_tick_is_refused(rate: int) -> None:
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        SimClock(tick_rate_hz=rate)


def test_a_wait_for_the_past_does_not_move_simulated_time() -> None:
    clock = SimClock(start=50)
    clock.wait_until(Ticks(20))
    assert clock.now_ticks() == 50
    clock.wait_until(Ticks(51))
    assert clock.now_ticks() == 51


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_signal_handler_wakes_the_thread_it_interrupts() -> None:
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
def test_simulated_time_moves_by_exactly_the_charge(rate: int) -> None:
    clock = SimClock(tick_rate_hz=rate, start=7)
    clock.charge(5)
    clock.charge(0)
    assert clock.now_ticks() == 12


def test_clocks_of_two_domains_can_be_told_apart() -> None:
    assert SimClock(domain=1).domain != SimClock(domain=2).domain
    assert MonotonicClock(domain=4).domain == 4
