"""The suites that every telemetry and every sink of events passes."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Callable, Mapping
from typing import ClassVar

from limen.app import check
from limen.graph import Graph
from limen.platform import SimClock
from limen.runtime import SingleThreadRuntime
from limen.telemetry import (
    DecisionLog,
    EdgeSnapshot,
    Event,
    EventMessage,
    EventSink,
    Loss,
    NodeStep,
    PolicyEvent,
    RunStatistics,
    RuntimeEvent,
    RuntimeEventKind,
    StructuralDrop,
    Telemetry,
    TelemetryKey,
    TelemetryNs,
    ViolationKind,
)
from limen.testing._scripted import ScriptedNode, ScriptedSink, ScriptedSource
from limen.testing.contracts._contract import Contract, needs
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept

_MANY = 2_000
_HOSTILE = "\x1b[2J\u202e\ud800\0ä\u2028 " * 12
# A key that is kept takes several hundred bytes; a table may grow once meanwhile.
_KEY_SLACK_BYTES = _MANY * 32


class TelemetryContract(Contract):
    """Holds a telemetry to TEL-1 … TEL-9; write ``make``."""

    subjects = (Telemetry,)

    @abc.abstractmethod
    def make(self) -> Telemetry:
        """Return a new telemetry; called for every test."""

    def test_tel_1_events_of_every_kind_are_taken(self) -> None:
        telemetry = self.make()
        for event in _events():
            _takes(f"push_event of {event!r}", telemetry.push_event, event)

    def test_tel_2_values_of_every_size_are_taken(self) -> None:
        telemetry = self.make()
        for ns in TelemetryNs:
            key = TelemetryKey(ns, 3, "frames")
            for count in (0, 1, 2**63):
                _takes(f"counting {count}", telemetry.incr_counter, key, count)
                _takes(f"{count} ns", telemetry.record_latency_ns, key, count)
            for value in (0.0, -1e308, 1e-308, float("inf"), float("nan")):
                _takes(f"a gauge of {value}", telemetry.set_gauge, key, value)

    def test_tel_3_the_accounting_is_taken(self) -> None:
        telemetry = self.make()
        for statistics in _accounts():
            _takes(
                f"push_metrics of a run that is {statistics.outcome}",
                telemetry.push_metrics,
                statistics,
            )

    def test_tel_4_flush_may_come_at_any_time(self) -> None:
        telemetry = self.make()
        _takes("flush with nothing to write", telemetry.flush)
        _takes("flush again", telemetry.flush)

    def test_tel_5_it_goes_on_behind_a_flush(self) -> None:
        telemetry = self.make()
        telemetry.push_event(_STARTED)
        telemetry.flush()
        _takes("an event behind a flush", telemetry.push_event, _STARTED)
        _takes("flush behind that", telemetry.flush)

    def test_tel_6_many_events_take_no_more_memory(self) -> None:
        telemetry = self.make()
        numbers = itertools.count(10**9)

        def events() -> None:
            for _ in range(_MANY):
                telemetry.push_event(NodeStep(next(numbers), "n", 1, "made_progress", 1, 1, 1))

        kept = bytes_kept(events)
        assert kept < SLACK_BYTES, f"{_MANY} events kept {kept} B"

    def test_tel_7_many_keys_take_no_more_memory(self) -> None:
        telemetry = self.make()
        numbers = itertools.count()

        def keys() -> None:
            for _ in range(_MANY):
                key = TelemetryKey(TelemetryNs.NODE, 0, f"k{next(numbers)}")
                telemetry.incr_counter(key, 1)
                telemetry.set_gauge(key, 1.5)
                telemetry.record_latency_ns(key, 10)

        kept = bytes_kept(keys)
        assert kept < _KEY_SLACK_BYTES, f"{_MANY} more keys kept {kept} B"

    def test_tel_8_its_interval_stays(self) -> None:
        telemetry = self.make()
        before = telemetry.metrics_every_ns
        assert before is None or before >= 1, f"metrics_every_ns is {before}"
        telemetry.push_event(_STARTED)
        telemetry.push_metrics(_run(None))
        telemetry.flush()
        after = telemetry.metrics_every_ns
        assert after == before, f"metrics_every_ns was {before}, and is {after}"

    def test_tel_9_a_run_decides_the_same_with_it(self) -> None:
        without, having = _run(None).log_sha256, _run(self.make()).log_sha256
        assert having == without, f"the decision log is {without} without it, {having} with it"


class EventSinkContract(Contract):
    """Holds a sink of events to EVENTS-1 … EVENTS-6; write ``make``."""

    subjects = (EventSink,)
    capabilities: ClassVar[Mapping[str, str]] = {"failing target": "what it writes to can fail"}

    @abc.abstractmethod
    def make(self) -> EventSink:
        """Return a new sink; called for every test."""

    def broken(self) -> EventSink:
        """Return a sink whose target takes nothing; write it unless targets cannot fail."""
        raise NotImplementedError(
            "write broken(), or say in `lacks` why there is no 'failing target'"
        )

    def test_events_1_events_of_every_kind_are_taken(self) -> None:
        sink = self.make()
        for event in _events():
            _takes(f"write of {event!r}", sink.write, event)

    def test_events_2_the_accounting_is_taken(self) -> None:
        sink = self.make()
        for statistics in _accounts():
            _takes(
                f"write_metrics of a run that is {statistics.outcome}",
                sink.write_metrics,
                statistics,
            )

    def test_events_3_flush_may_come_at_any_time(self) -> None:
        sink = self.make()
        _takes("flush with nothing to write", sink.flush)
        _takes("flush again", sink.flush)

    def test_events_4_it_goes_on_behind_a_flush(self) -> None:
        sink = self.make()
        sink.write(_STARTED)
        sink.flush()
        _takes("an event behind a flush", sink.write, _STARTED)
        _takes("flush behind that", sink.flush)

    def test_events_5_many_events_take_no_more_memory(self) -> None:
        sink = self.make()
        numbers = itertools.count(10**9)

        def events() -> None:
            for _ in range(_MANY):
                sink.write(NodeStep(next(numbers), "n", 1, "made_progress", 1, 1, 1))

        kept = bytes_kept(events)
        assert kept < SLACK_BYTES, f"{_MANY} events kept {kept} B"

    @needs("failing target")
    def test_events_6_what_cannot_be_written_raises(self) -> None:
        sink = self.broken()
        raised = False
        try:
            for _ in range(_MANY):
                sink.write(_STARTED)
            sink.flush()
        except Exception:
            raised = True
        assert raised, f"{_MANY} events went to a broken target, were flushed, and nothing was said"


_STARTED = RuntimeEvent(0, RuntimeEventKind.GRAPH_STARTED, "g", EventMessage(""))


def _events() -> list[Event]:
    place = "a.out -> b.in"
    texts = (EventMessage(""), EventMessage.of(_HOSTILE), EventMessage("x" * 128))
    runtime = [RuntimeEvent(1, kind, place, text) for kind in RuntimeEventKind for text in texts]
    policies = [
        PolicyEvent(2, kind, "n", sequence, 1, 5) for kind in ViolationKind for sequence in (-1, 4)
    ]
    drops = [StructuralDrop(3, loss, place, "full", 2**40) for loss in Loss]
    steps = [NodeStep(2**62, "n", 2**40, "made_progress", 0, 0, 0)]
    snapshots = [EdgeSnapshot(4, place, 0, 0, 0, 0, "below_soft")]
    return [*runtime, *policies, *drops, *steps, *snapshots]


def _accounts() -> list[RunStatistics]:
    """Return the accounting of a run before its first step, and of one that is over."""
    clock = SimClock()
    waiting = SingleThreadRuntime(check(_graph(), clock), clock)
    waiting.start()
    begun = waiting.statistics()
    waiting.stop()
    return [begun, _run(None)]


def _run(telemetry: Telemetry | None) -> RunStatistics:
    clock = SimClock(1000)
    plan = check(_graph(), clock)
    return SingleThreadRuntime(plan, clock, log=DecisionLog(), telemetry=telemetry).run()


def _graph() -> Graph:
    """Return a graph that loses, fails and emits."""
    graph = Graph("observed")
    graph.add("source", ScriptedSource(count=12, every="2ms"))
    graph.add("node", ScriptedNode(script=["output", "error", "skip", "consume"]))
    graph.add("sink", ScriptedSink())
    return graph.chain("source", "node", "sink")


def _takes(what: str, call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
