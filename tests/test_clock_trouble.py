"""Clocks that jump, go back, stand still or tick coarsely: decisions stay those of the instants."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings

from doubles import assert_settled
from limen.app import check
from limen.graph import load_document
from limen.platform import SimClock
from limen.runtime import SingleThreadRuntime
from limen.telemetry import Decision, DecisionLog, PolicyEvent, RunStatistics
from limen.testing.drawn import Drawn, Kind, StoppingClock, draw_graph
from limen.types import Ticks
from test_conservation import A_SEED, ONCE, conserve

HOUR_MS = 3_600_000
MOST_STEPS = 2_000


class TroubledClock(StoppingClock):
    """Jumps by up to hours, forward and back, and stands still for some samples, now and then."""

    def __init__(self, drawn: Drawn, kinds: str = "fbs") -> None:
        super().__init__(drawn.stop_at_tick)
        self._rng = random.Random(drawn.seed)
        self._kinds = kinds
        self._stuck = 0
        self._last = 0
        self.seen = 0

    @property
    def instant(self) -> int:
        """The latest sample, which is the instant that decisions use."""
        return self.seen

    def now_ticks(self) -> Ticks:
        self._trouble()
        self._last = self._last if self._stuck else super().now_ticks()
        self.seen = max(self.seen, self._last)
        return Ticks(self._last)

    def _trouble(self) -> None:
        rng = self._rng
        self._stuck = max(self._stuck - 1, 0)
        if rng.random() > 0.08:
            return
        length = rng.choice((1, 7, 40, 1_000, HOUR_MS, 5 * HOUR_MS))
        match rng.choice(self._kinds):
            case "f":
                self._now += length
            case "b":
                self._now = max(self._now - length, 0)
            case "s":
                self._stuck = rng.randint(1, 12)


class JumpingClock(SimClock):
    """Reads another time from an instant on; a wait ends where the jump comes."""

    def __init__(self, at: int, by: int) -> None:
        super().__init__(tick_rate_hz=1000)
        self._at = at
        self._by = by

    def now_ticks(self) -> Ticks:
        if self._by and self._now >= self._at:
            self._now = max(self._now + self._by, 0)
            self._by = 0
        return super().now_ticks()

    def wait_until(self, tick: Ticks) -> None:
        super().wait_until(Ticks(min(tick, self._at)) if self._by else tick)


class StuckClock(SimClock):
    """Stands still at an instant for so many samples."""

    def __init__(self, at: int, samples: int) -> None:
        super().__init__(tick_rate_hz=1000)
        self._at = at
        self._left = samples

    def now_ticks(self) -> Ticks:
        if self._now >= self._at and self._left:
            self._left -= 1
            return Ticks(self._at)
        return super().now_ticks()


def constrained() -> dict[str, object]:
    """A graph with every kind of timer; all its durations are whole multiples of 100 ms."""
    part = "limen.testing:Scripted"
    return {
        "limen": 1,
        "nodes": {
            "src": {
                "type": f"{part}Source",
                "every": "200ms",
                "script": [{"deadline": "900ms"}, {"max_age": "100ms"}, *[{}] * 8],
            },
            "work": {
                "type": f"{part}Node",
                "keeps_place": True,
                "script": [{"cost": "300ms"}, "output", "error", {"cost": "400ms"}, "skip"],
                "variant": {"type": f"{part}Node"},
                "policy": {
                    "sim_cost": "100ms",
                    "deadline": {"default": "500ms", "on_miss": "drop"},
                    "budget": {
                        "tick_budget": "200ms",
                        "watchdog": "300ms",
                        "action": {"degrade_after": 1, "recover_after": 2},
                    },
                    "error_action": {"restart": 2, "per": "10s", "backoff": "300ms"},
                    "liveness": {"max_gap": "300ms", "max_step_gap": "200ms"},
                },
            },
            "beat": {
                "type": f"{part}Sink",
                "inputs": ["value", "raw"],
                "optional": ["value", "raw"],
                "policy": {
                    "activation": {"periodic": "300ms"},
                    "freshness": {"max_age": "600ms", "on_stale": "deliver"},
                },
            },
            "batch": {
                "type": f"{part}Model",
                "policy": {
                    "batching": {"fixed": 4, "delta_t": "500ms"},
                    "freshness": "800ms",
                    "sim_cost": "100ms",
                },
            },
            "out": {"type": f"{part}Sink", "policy": {"deadline": {"default": "0ms"}}},
        },
        "edges": [
            {"from": "src.out", "to": "work.in"},
            {"from": "work.out", "to": "beat.value", "policy": {"retention": "latch"}},
            {"from": "src.out", "to": "beat.raw", "policy": {"retention": "mailbox"}},
            {"from": "src.out", "to": "batch.in"},
            {"from": "batch.out", "to": "out.in"},
        ],
    }


def run(
    document: dict[str, object], clock: SimClock
) -> tuple[list[Decision], RunStatistics, list[PolicyEvent]]:
    graph = load_document(document, Path(__file__), allow_import=True).graph
    lines: list[Decision] = []
    events: list[PolicyEvent] = []
    runtime = SingleThreadRuntime(
        check(graph, clock), clock, log=DecisionLog(lines.append), on_event=events.append
    )
    runtime.start()
    for _ in range(MOST_STEPS):
        if not runtime.step():
            break
    else:
        raise AssertionError("it ends")
    runtime.stop()
    assert_settled(runtime.statistics())
    return lines, runtime.statistics(), events


def steps_of(lines: list[Decision], name: str) -> list[int]:
    return [line.instant for line in lines if (line.place, line.action) == (name, "step")]


@pytest.mark.parametrize("rate_hz", [10, 100, 1000, 32_000])
def test_every_tick_rate_that_durations_fit_gives_the_same_decisions(rate_hz: int) -> None:
    fine, coarse = SimClock(), SimClock(tick_rate_hz=rate_hz)
    wanted, statistics, _ = run(constrained(), fine)
    seen, others, _ = run(constrained(), coarse)
    tick_ns = fine.tick_rate_hz // rate_hz
    in_ns = [line._replace(instant=line.instant * tick_ns) for line in seen]
    assert [x for x in in_ns if x.action != "liveness"] == [
        x for x in wanted if x.action != "liveness"
    ]
    # A gap is found at the first instant past it, which is the next tick.
    silent = [(x.place, -(-x.instant // tick_ns)) for x in wanted if x.action == "liveness"]
    assert [(x.place, x.instant) for x in seen if x.action == "liveness"] == silent
    told = {violation.kind.value for violation in statistics.violations}
    assert told == {violation.kind.value for violation in others.violations}
    assert {"liveness", "overrun", "watchdog", "restart", "degraded", "stale"} <= told


def test_a_tick_is_the_shortest_period_gap_and_age() -> None:
    # 30 ms and 10 ms are less than a tick of 100 ms, and count as one.
    part = "limen.testing:Scripted"
    document = {
        "limen": 1,
        "nodes": {
            "src": {"type": f"{part}Source", "script": [{"at": "100ms"}, {"at": "500ms"}]},
            "beat": {
                "type": f"{part}Sink",
                "policy": {"activation": {"periodic": "30ms"}, "liveness": "10ms"},
            },
        },
        "edges": [{"from": "src.out", "to": "beat.in"}],
    }
    lines, statistics, _ = run(document, SimClock(tick_rate_hz=10))
    assert steps_of(lines, "beat") == [1, 2, 3, 4, 5]
    assert [line.instant for line in lines if line.action == "liveness"] == [3]
    assert statistics.nodes[1].missed_periods == 0


@pytest.mark.parametrize("by", [HOUR_MS, 500 * HOUR_MS])
def test_a_jump_ahead_costs_periods_and_one_activation(by: int) -> None:
    lines, statistics, events = run(constrained(), JumpingClock(1000, by))
    calm = run(constrained(), SimClock(tick_rate_hz=1000))[0]
    assert len(steps_of(lines, "beat")) <= len(steps_of(calm, "beat"))
    missed = [line for line in lines if line.action == "missed_periods"]
    assert max(line.sequence for line in missed) >= by // 300 - 1
    assert max(Counter(steps_of(lines, "beat")).values()) == 1
    silent = Counter((line.place, line.instant) for line in lines if line.action == "liveness")
    assert set(silent.values()) == {1}
    assert len(silent) <= 2 + sum(line.action == "liveness" for line in calm)
    assert min(event.amount_ns for event in events) >= 0
    assert statistics.outcome == "completed"


@pytest.mark.parametrize("by", [101, 300, 999, HOUR_MS])
def test_a_jump_back_counts_as_no_time_at_all_and_is_noted(by: int) -> None:
    lines, statistics, events = run(constrained(), JumpingClock(1000, -by))
    assert statistics.outcome == "completed"
    instants = [line.instant for line in lines]
    assert instants == sorted(instants)
    assert any(note.startswith("the clock went back") for note in statistics.notes)
    steps = steps_of(lines, "beat")
    assert len(steps) == len(set(steps))
    assert min(event.amount_ns for event in events) >= 0


def test_a_clock_that_stands_still_holds_up_what_waits_for_time_and_nothing_else() -> None:
    lines, statistics, events = run(constrained(), StuckClock(1000, 40))
    assert statistics.outcome == "completed"
    assert sum(instant == 1000 for instant in steps_of(lines, "beat")) <= 1
    assert sum(line.action == "liveness" and line.instant == 1000 for line in lines) <= 2
    assert min(event.amount_ns for event in events) >= 0
    assert statistics.nodes[0].processed == 10


def trouble(seed: int, kind: Kind) -> None:
    drawn = draw_graph(seed, kind)
    try:
        conserve(drawn, TroubledClock(drawn))
    except AssertionError as error:
        raise AssertionError(f"{kind} {seed}: {error}") from error


@pytest.mark.parametrize("kind", Kind)
@settings(ONCE, max_examples=15)
@given(seed=A_SEED)
def test_random_graphs_conserve_whatever_the_clock_does(kind: Kind, seed: int) -> None:
    trouble(seed, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", Kind)
@settings(ONCE, max_examples=200)
@given(seed=A_SEED)
def test_many_more_random_graphs_conserve_whatever_the_clock_does(kind: Kind, seed: int) -> None:
    trouble(seed, kind)
