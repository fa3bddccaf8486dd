"""Events, keys, switches, sinks and hooks by themselves, with hostile text and broken targets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from limen.errors import ConfigurationError, OutputError
from limen.telemetry import (
    BufferEventSink,
    EdgeSnapshot,
    Event,
    EventMessage,
    EventSink,
    GraphTelemetry,
    Hooks,
    JsonEventSink,
    LineEventSink,
    Loss,
    NodeStep,
    NodeTelemetry,
    NoopTelemetry,
    PolicyEvent,
    RuntimeEvent,
    RuntimeEventKind,
    StructuralDrop,
    Telemetry,
    TelemetryKey,
    TelemetryNs,
    TelemetrySwitches,
    ViolationKind,
    describe_event,
    event_json,
    passes_power_of_ten,
)

MS = 1_000_000
KEY = TelemetryKey(TelemetryNs.NODE, 2, "frames")
DROP = StructuralDrop(5 * MS, Loss.REFUSED, "a.out -> b.in", "full", 7)
STARTED = RuntimeEvent(0, RuntimeEventKind.GRAPH_STARTED, "g", EventMessage(""))
EVENTS: list[tuple[Event, str, str]] = [
    (STARTED, "runtime", "        0 ns  g: graph started"),
    (
        RuntimeEvent(MS, RuntimeEventKind.DATA_GAP, "a.out -> b.in", EventMessage("why")),
        "runtime",
        "        1 ms  a.out -> b.in: data gap: why",
    ),
    (
        PolicyEvent(2 * MS, ViolationKind.DEADLINE_MISS, "n", 4, 1, MS),
        "policy",
        "        2 ms  n: deadline miss #4, 1 ms",
    ),
    (
        PolicyEvent(2 * MS, ViolationKind.MISSED_PERIODS, "n", -1, 3, 0),
        "policy",
        "        2 ms  n: missed periods, 3 times",
    ),
    (DROP, "structural_drop", "        5 ms  a.out -> b.in: refused #7 (full)"),
    (
        NodeStep(9 * MS, "n", 3, "made_progress", 1, 2, MS),
        "node_step",
        "        9 ms  n: step 3 made_progress, 1 in, 2 out, 1 ms",
    ),
    (
        EdgeSnapshot(9 * MS, "a.out -> b.in", 2, 8, 1, 0, "at_or_above_hard"),
        "edge_snapshot",
        "        9 ms  a.out -> b.in: 2 waiting (8 B, at_or_above_hard), 1 staged, 0 held",
    ),
]
HOSTILE = "\x1b[2J\n\r\u2028\u202e\ud800\0ä" * 40


class Raising(EventSink):
    """Fails at its n-th event."""

    def __init__(self, at: int = 1, error: Exception | None = None) -> None:
        self.at = at
        self.error = OSError(28, "No space left on device") if error is None else error
        self.calls = 0
        self.flushes = 0

    def write(self, event: Event) -> None:
        self.calls += 1
        if self.calls >= self.at:
            raise self.error

    def flush(self) -> None:
        self.flushes += 1


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


# ---------------------------------------------------------------- messages, keys, switches


@pytest.mark.parametrize("text", ["", "graph started", "x" * 128, "ä" * 64])
def test_a_short_line_is_a_message(text: str) -> None:
    message = EventMessage(text)
    assert message == text
    assert EventMessage.of(text) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 129, "has 129 bytes"),
        ("ä" * 65, "has 130 bytes"),
        ("a\nb", "more than a line"),
        ("a\n", "more than a line"),
        ("\n", "more than a line"),
        ("a\rb", "more than a line"),
        ("a\u2028b", "more than a line"),
        ("a\x85", "more than a line"),
        ("\ud800", "not Unicode"),
        (b"bytes", "give a text"),
        (None, "give a text"),
        (7, "give a text"),
    ],
)
def test_what_is_no_short_line_is_refused(text: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        EventMessage(text)


def test_a_constant_is_checked_when_its_module_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from limen.telemetry import EventMessage\nBAD = EventMessage('one\\ntwo')\n"
    (tmp_path / "wordy.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match="more than a line"):
        __import__("wordy")


@pytest.mark.parametrize("text", [HOSTILE, "x" * 1000, "ä" * 127, "€" * 43, UnprintableError])
def test_any_text_can_be_made_a_message(text: object) -> None:
    message = EventMessage.of(text)
    assert len(message.encode()) <= 128
    assert message.isprintable()
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("ns", "index", "kind"),
    [
        ("node", 0, "frames"),
        (TelemetryNs.NODE, -1, "frames"),
        (TelemetryNs.NODE, 1.0, "frames"),
        (TelemetryNs.NODE, True, "frames"),
        (TelemetryNs.NODE, 0, ""),
        (TelemetryNs.NODE, 0, "Frames"),
        (TelemetryNs.NODE, 0, "a b"),
        (TelemetryNs.NODE, 0, "a\n"),
        (TelemetryNs.NODE, 0, "a" * 65),
        (TelemetryNs.NODE, 0, None),
    ],
)
def test_a_key_that_is_none_is_refused(ns: object, index: object, kind: object) -> None:
    with pytest.raises(ConfigurationError):
        TelemetryKey(ns, index, kind)


@pytest.mark.parametrize(
    "wrong",
    [{"counters": 1}, {"events": None}, {"node_steps": "on"}, {"sample_every": 0}],
    ids=str,
)
def test_switches_are_truth_values_and_sampling_is_a_number(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TelemetrySwitches(**wrong)


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        *((0, 1, True), (0, 5, True), (9, 10, True), (7, 250, True), (99, 100, True)),
        *((1, 2, False), (1, 9, False), (10, 10, False), (100, 999, False)),
    ],
)
def test_a_line_is_logged_at_powers_of_ten(before: int, after: int, passes: bool) -> None:
    assert passes_power_of_ten(before, after) is passes


# ---------------------------------------------------------------- how events are written


@pytest.mark.parametrize(("event", "name", "line"), EVENTS)
def test_every_event_has_a_json_object_and_a_line(event: Event, name: str, line: str) -> None:
    record = json.loads(event_json(event))
    assert record.pop("event") == name
    assert record == event._asdict()
    assert describe_event(event) == line


def test_hostile_text_stays_within_its_line() -> None:
    event = StructuralDrop(0, Loss.DROPPED, HOSTILE, HOSTILE, 0)
    written = event_json(event)
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["place"] == HOSTILE
    assert describe_event(event).isprintable()


def test_lines_go_to_a_stream_that_stays_open() -> None:
    stream = io.StringIO()
    for sink in (JsonEventSink(stream), LineEventSink(stream)):
        sink.write(DROP)
        sink.flush()
        sink.close()
    assert stream.getvalue() == f"{event_json(DROP)}\n{describe_event(DROP)}\n"


def test_lines_for_people_go_to_standard_error_if_nothing_else_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    LineEventSink().write(STARTED)
    assert capsys.readouterr().err == f"{describe_event(STARTED)}\n"


def test_a_stream_that_lacks_characters_gets_them_escaped() -> None:
    raw = io.BytesIO()
    sink = LineEventSink(io.TextIOWrapper(raw, encoding="ascii"))
    sink.write(DROP._replace(reason="zu groß"))
    sink.flush()
    assert raw.getvalue().endswith(b"(zu gro\\xdf)\n")


def test_a_file_is_written_anew_and_is_complete_once_closed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    sink = JsonEventSink(path)
    sink.write(DROP)
    assert path.read_text() == ""
    sink.write(STARTED)
    assert len(path.read_text().splitlines()) == 2, "an event of the run itself is out at once"
    sink.write(DROP)
    sink.close()
    sink.close()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        *("structural_drop", "runtime", "structural_drop")
    ]


@pytest.mark.parametrize("name", ["", "missing/events.jsonl", "a\0b"])
def test_a_file_that_cannot_be_opened_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        JsonEventSink(f"{tmp_path}/{name}")


def test_a_full_buffer_keeps_the_newest_and_counts_the_others() -> None:
    sink = BufferEventSink(2)
    kept = [DROP._replace(sequence=number) for number in range(5)]
    for event in kept:
        sink.write(event)
    assert sink.events == (*kept[3:],)
    assert sink.overflow == 3
    sink.clear()
    assert sink.events == ()
    sink.write(DROP)
    assert (sink.events, sink.overflow) == ((DROP,), 3)


@pytest.mark.parametrize("capacity", [0, -1, 1.5, None, True])
def test_a_buffer_has_room_for_one_at_least(capacity: object) -> None:
    with pytest.raises(ConfigurationError, match="capacity"):
        BufferEventSink(capacity)


# ---------------------------------------------------------------- collecting


def test_a_sink_that_raises_is_told_no_more_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing, kept = Raising(at=2), BufferEventSink(9)
    telemetry = GraphTelemetry([failing, kept])
    for _ in range(4):
        telemetry.push_event(DROP)
    telemetry.flush()
    assert (failing.calls, failing.flushes, len(kept.events)) == (2, 0, 4)
    detached = telemetry.statistics().detached
    assert detached == ("Raising: OSError: [Errno 28] No space left on device",)
    assert [record.getMessage() for record in caplog.records] == [
        f"an event sink is told no more: {detached[0]}"
    ]


def test_a_closed_file_is_detached(tmp_path: Path) -> None:
    sink = JsonEventSink(tmp_path / "events.jsonl")
    telemetry = GraphTelemetry([sink])
    sink.close()
    telemetry.push_event(DROP)
    telemetry.push_event(DROP)
    assert telemetry.statistics().detached == (
        "JsonEventSink: ValueError: I/O operation on closed file.",
    )


def test_an_error_that_cannot_be_printed_detaches_as_well() -> None:
    telemetry = GraphTelemetry([Raising(error=UnprintableError())])
    telemetry.push_event(DROP)
    assert telemetry.statistics().detached == (
        "Raising: UnprintableError, which cannot be printed",
    )


def test_a_full_disk_is_found_when_it_is_written_to() -> None:
    sink = JsonEventSink("/dev/full")
    telemetry = GraphTelemetry([sink])
    telemetry.push_event(DROP)
    assert telemetry.statistics().detached == ()
    telemetry.flush()
    assert "No space left" in telemetry.statistics().detached[0]
    with pytest.raises(OutputError, match="No space left"):
        sink.close()
    sink.close()


def test_what_nodes_measure_is_kept_by_key_and_within_bounds() -> None:
    telemetry = GraphTelemetry(max_keys=3)
    other = TelemetryKey(TelemetryNs.NODE, 3, "frames")
    telemetry.incr_counter(KEY)
    telemetry.incr_counter(KEY, 4)
    telemetry.set_gauge(KEY, 1.5)
    telemetry.set_gauge(KEY, -2.5)
    telemetry.record_latency_ns(KEY, 30)
    telemetry.incr_counter(other)
    telemetry.record_latency_ns(other, 1)
    telemetry.set_gauge(other, 1)
    found = telemetry.statistics()
    assert found.counters == {KEY: 5}
    assert found.gauges == {KEY: -2.5}
    assert [(key, kept.count, kept.max_ns) for key, kept in found.latencies.items()] == [
        (KEY, 1, 30)
    ]
    assert found.ignored == 3


def test_a_counter_does_not_fall() -> None:
    with pytest.raises(ConfigurationError, match="use a gauge"):
        GraphTelemetry().incr_counter(KEY, -1)


@pytest.mark.parametrize(
    "wrong",
    [{"sinks": [print]}, {"metrics_every_ns": 0}, {"metrics_every_ns": 1.5}, {"max_keys": 0}],
    ids=str,
)
def test_a_telemetry_of_wrong_parts_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        GraphTelemetry(**wrong)


# ---------------------------------------------------------------- hooks


HOOKS: list[tuple[str, str, Callable[[Hooks], None]]] = [
    ("push_event", "event", lambda hooks: hooks.tell(DROP)),
    ("push_event", "sample", lambda hooks: hooks.tell_sample(DROP)),
    ("push_metrics", "metrics", lambda hooks: hooks.push_metrics(None)),
    ("incr_counter", "counter", lambda hooks: hooks.count(KEY, 1)),
    ("set_gauge", "gauge", lambda hooks: hooks.observe(KEY, 1.0)),
    ("record_latency_ns", "latency", lambda hooks: hooks.time(KEY, 1)),
]


@pytest.mark.parametrize(("method", "hook", "call"), HOOKS, ids=lambda value: str(value)[:12])
def test_a_hook_is_called_only_if_it_is_overridden_and_no_more_once_it_raises(
    method: str, hook: str, call: Callable[[Hooks], None], caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def raising(self: Telemetry, *given: object) -> None:
        calls.append(given)
        raise UnprintableError

    on = TelemetrySwitches.full()
    silent = Hooks(NoopTelemetry(), on)
    assert getattr(silent, hook) is None
    call(silent)
    hooks = Hooks(type("Broken", (Telemetry,), {method: raising})(), on)
    assert getattr(hooks, hook) is not None
    call(hooks)
    call(hooks)
    assert len(calls) == 1
    assert getattr(hooks, hook) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{method} is called no more" in caplog.text


def test_flush_may_fail_too(caplog: pytest.LogCaptureFixture) -> None:
    def raising(self: Telemetry) -> None:
        raise OSError("gone")

    hooks = Hooks(type("Broken", (Telemetry,), {"flush": raising})())
    hooks.flush()
    hooks.flush()
    assert caplog.text.count("flush is called no more: OSError: gone") == 1


@pytest.mark.parametrize(
    ("switches", "on"),
    [
        (TelemetrySwitches.none(), set()),
        (TelemetrySwitches(), {"event", "metrics", "counter", "gauge", "latency"}),
        (TelemetrySwitches.full(), {"event", "sample", "metrics", "counter", "gauge", "latency"}),
        (TelemetrySwitches(events=False), {"metrics", "counter", "gauge", "latency"}),
        (TelemetrySwitches(histograms=False), {"event", "metrics", "counter", "gauge"}),
        (TelemetrySwitches(counters=False), {"event", "latency"}),
        (TelemetrySwitches(False, False, False, node_steps=True), {"sample"}),
        (TelemetrySwitches(False, False, False, edge_snapshots=True), {"sample"}),
    ],
)
def test_what_is_switched_off_has_no_hook(switches: TelemetrySwitches, on: set[str]) -> None:
    hooks = Hooks(GraphTelemetry(), switches)
    assert {hook for _, hook, _ in HOOKS if getattr(hooks, hook) is not None} == on


@pytest.mark.parametrize("wrong", [print, "stderr", GraphTelemetry, BufferEventSink(1)])
def test_what_is_no_telemetry_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="telemetry is"):
        Hooks(wrong)


def test_a_node_measures_under_its_own_keys() -> None:
    sink = BufferEventSink(4)
    telemetry = GraphTelemetry([sink])
    own = NodeTelemetry("camera", 2, Hooks(telemetry), lambda: 7)
    own.incr_counter("frames")
    own.set_gauge("temperature", 40)
    own.record_latency_ns("exposure", 3)
    own.push_event(RuntimeEventKind.BROKER_DISCONNECTED, HOSTILE)
    found = telemetry.statistics()
    assert found.counters == {KEY: 1}
    assert {key.kind for key in (*found.gauges, *found.latencies)} == {"temperature", "exposure"}
    (event,) = sink.events
    assert isinstance(event, RuntimeEvent)
    assert (event.instant_ns, event.kind, event.place) == (7, "broker_disconnected", "camera")
    assert len(event.message.encode()) <= 128


@pytest.mark.parametrize(
    "use",
    [
        lambda own: own.incr_counter("frames", -1),
        lambda own: own.incr_counter("Not A Name"),
        lambda own: own.record_latency_ns("exposure", -1),
        lambda own: own.record_latency_ns("exposure", 0.5),
        lambda own: own.set_gauge("no name", 1),
        lambda own: own.push_event("no such event"),
    ],
)
def test_a_node_that_misuses_its_telemetry_is_told_and_the_hook_stays(
    use: Callable[[NodeTelemetry], None],
) -> None:
    hooks = Hooks(GraphTelemetry())
    with pytest.raises(ValueError, match=r"delta|kind|value_ns|no such event"):
        use(NodeTelemetry("camera", 2, hooks, lambda: 7))
    assert None not in (hooks.counter, hooks.gauge, hooks.latency, hooks.event)


def test_where_nobody_listens_a_node_s_telemetry_does_nothing() -> None:
    own = NodeTelemetry("camera", 2, Hooks(), lambda: 7)
    own.incr_counter("frames")
    own.set_gauge("temperature", 40)
    own.record_latency_ns("exposure", 3)
    own.push_event(RuntimeEventKind.BROKER_RECOVERED)
