"""Telemetries and sinks of events under the kit, and the kit under some that break one clause."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from limen.errors import OutputError
from limen.runtime import SingleThreadRuntime
from limen.telemetry import (
    BufferEventSink,
    Event,
    EventSink,
    GraphTelemetry,
    JsonEventSink,
    LineEventSink,
    NoopTelemetry,
    PolicyEvent,
    RunStatistics,
    Telemetry,
    TelemetryKey,
)
from limen.testing import Contract, EventSinkContract, TelemetryContract
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched


class Forgetting(io.TextIOBase):
    """A target that takes everything and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


class Full(io.TextIOBase):
    """A target that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class NoopTelemetrySuite(TelemetryContract):
    def make(self) -> Telemetry:
        return NoopTelemetry()


class GraphTelemetrySuite(TelemetryContract):
    def make(self) -> Telemetry:
        sinks = [JsonEventSink(Forgetting()), LineEventSink(Forgetting()), BufferEventSink(64)]
        return GraphTelemetry(sinks, metrics_every_ns=1_000_000)


class JsonEventSinkSuite(EventSinkContract):
    def make(self) -> EventSink:
        return JsonEventSink(Forgetting())

    def broken(self) -> EventSink:
        return JsonEventSink(Full())


class LineEventSinkSuite(EventSinkContract):
    def make(self) -> EventSink:
        return LineEventSink(Forgetting())

    def broken(self) -> EventSink:
        return LineEventSink(Full())


class FileEventSinkSuite(EventSinkContract):
    """A real file, and a real device that is full."""

    def make(self) -> EventSink:
        self.opened = JsonEventSink(os.devnull)
        return self.opened

    def broken(self) -> EventSink:
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        self.opened = JsonEventSink("/dev/full")
        return self.opened

    def release(self) -> None:
        with contextlib.suppress(OutputError):
            self.opened.close()


class BufferEventSinkSuite(EventSinkContract):
    lacks: ClassVar[Mapping[str, str]] = {"failing target": "it writes nowhere"}

    def make(self) -> EventSink:
        return BufferEventSink(256)


_SUITES: tuple[type[Contract], ...] = (
    NoopTelemetrySuite,
    GraphTelemetrySuite,
    JsonEventSinkSuite,
    LineEventSinkSuite,
    FileEventSinkSuite,
    BufferEventSinkSuite,
)


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[Contract]) -> None:
    assert_holds(suite)


class LogsPolicies(NoopTelemetry):
    def push_event(self, event: Event) -> None:
        if isinstance(event, PolicyEvent):
            raise TypeError("a policy?")


class WholeGauges(NoopTelemetry):
    def set_gauge(self, key: TelemetryKey, value: float) -> None:
        int(value)


class NeedsAnEnd(NoopTelemetry):
    def push_metrics(self, statistics: RunStatistics) -> None:
        if statistics.outcome == "running":
            raise ValueError("not over")


class NeedsEvents(NoopTelemetry):
    events = 0

    def push_event(self, event: Event) -> None:
        self.events += 1

    def flush(self) -> None:
        if not self.events:
            raise ValueError("nothing to write")


class ClosesWithFlush(NoopTelemetry):
    flushed = False

    def push_event(self, event: Event) -> None:
        if self.flushed:
            raise ValueError("closed")

    def flush(self) -> None:
        self.flushed = True


class KeepsEvents(NoopTelemetry):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def push_event(self, event: Event) -> None:
        self.events.append(event)


class KeepsKeys(NoopTelemetry):
    def __init__(self) -> None:
        self.counts: dict[TelemetryKey, int] = {}

    def incr_counter(self, key: TelemetryKey, delta: int = 1) -> None:
        self.counts[key] = delta


class SlowsDown(NoopTelemetry):
    def flush(self) -> None:
        self.metrics_every_ns = 10**9


class Meddles(NoopTelemetry):
    """Looks up the run that calls it, and advances its clock."""

    def push_event(self, event: Event) -> None:
        for frame, _ in traceback.walk_stack(None):
            caller = frame.f_locals.get("self")
            if isinstance(caller, SingleThreadRuntime):
                caller._clock.charge(1)
                return


_TELEMETRIES: dict[str, tuple[Callable[[], Telemetry], str]] = {
    "TEL-1": (LogsPolicies, "TypeError('a policy?')"),
    "TEL-2": (WholeGauges, "a gauge of inf"),
    "TEL-3": (NeedsAnEnd, "push_metrics of a run that is running"),
    "TEL-4": (NeedsEvents, "flush with nothing to write"),
    "TEL-5": (ClosesWithFlush, "an event behind a flush"),
    "TEL-6": (KeepsEvents, "2000 events kept"),
    "TEL-7": (KeepsKeys, "2000 more keys kept"),
    "TEL-8": (SlowsDown, "was None, and is 1000000000"),
    "TEL-9": (Meddles, "the decision log is"),
}


class Deaf(EventSink):
    def write(self, event: Event) -> None:
        pass


class DeafSuite(EventSinkContract):
    """For saboteurs that have no target."""

    lacks: ClassVar[Mapping[str, str]] = {"failing target": "it writes nowhere"}

    def make(self) -> EventSink:
        return Deaf()


class WritesNoPolicies(Deaf):
    def write(self, event: Event) -> None:
        LogsPolicies().push_event(event)


class WritesEnds(Deaf):
    def write_metrics(self, statistics: RunStatistics) -> None:
        NeedsAnEnd().push_metrics(statistics)


class FlushesSomething(Deaf):
    written = 0

    def write(self, event: Event) -> None:
        self.written += 1

    def flush(self) -> None:
        if self.written == 0:
            raise ValueError("nothing to write")


class FlushesOnce(Deaf):
    flushed = False

    def write(self, event: Event) -> None:
        if self.flushed:
            raise ValueError("closed")

    def flush(self) -> None:
        self.flushed = True


class KeepsWhatItWrote(Deaf):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(event)


class Swallows(JsonEventSink):
    """Says nothing of a target that fails."""

    def write(self, event: Event) -> None:
        try:
            super().write(event)
        except OSError:
            logging.getLogger("limen").debug("lost")


_SINKS: dict[str, tuple[type[EventSinkContract], Callable[[], EventSink], str]] = {
    "EVENTS-1": (DeafSuite, WritesNoPolicies, "TypeError('a policy?')"),
    "EVENTS-2": (DeafSuite, WritesEnds, "write_metrics of a run that is running"),
    "EVENTS-3": (DeafSuite, FlushesSomething, "flush with nothing to write"),
    "EVENTS-4": (DeafSuite, FlushesOnce, "an event behind a flush"),
    "EVENTS-5": (DeafSuite, KeepsWhatItWrote, "2000 events kept"),
    "EVENTS-6": (JsonEventSinkSuite, lambda: Swallows(Forgetting()), "nothing was said"),
}


@pytest.mark.parametrize("clause", _TELEMETRIES)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _TELEMETRIES[clause]
    assert_caught(NoopTelemetrySuite, clause, make, seen)


@pytest.mark.parametrize("clause", _SINKS)
def test_a_sink_that_is_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    suite, make, seen = _SINKS[clause]
    if clause == "EVENTS-6":
        suite = type("SwallowsSuite", (suite,), {"broken": lambda self: Swallows(Full())})
    assert_caught(suite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(TelemetryContract, _TELEMETRIES)
    assert_all_have_saboteurs(EventSinkContract, _SINKS)


@pytest.mark.parametrize("suite", [TelemetryContract, EventSinkContract])
def test_the_docstring_and_the_suite_state_the_same_clauses(suite: type[Contract]) -> None:
    assert_matched(suite)
