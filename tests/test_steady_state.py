"""On static memory a graph that runs for ever keeps nothing it allocates."""

from __future__ import annotations

import gc
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import limen
from doubles import SCALAR, Cell, Doing, TwiceInPlace, forward, runtime_of
from limen import Graph, SimClock, Sink, Skip, Source
from limen.app import make_runtime
from limen.message import Message
from limen.node import Output, Produced, SourceSignal
from limen.telemetry import (
    BufferEventSink,
    GraphTelemetry,
    JsonEventSink,
    Telemetry,
    TelemetrySwitches,
)

WARM_UP, MEASURED = 10_000, 100_000
LIMEN = str(Path(limen.__file__).parent / "*")


class CountingSource(Source):
    """Counts up in one buffer and takes a snapshot at its marks, before it goes on."""

    pausable = True

    def __init__(self, marks: tuple[int, ...]) -> None:
        self.marks = marks
        self.count = 0
        self.buffer = np.zeros(1, np.float32)
        self.snapshots: list[tracemalloc.Snapshot] = []

    def spec(self) -> limen.TensorSpec:
        return SCALAR

    def try_produce(self, now: int) -> Produced | SourceSignal:
        if self.count in self.marks and len(self.snapshots) <= self.marks.index(self.count):
            gc.collect()
            self.snapshots.append(tracemalloc.take_snapshot())
            if self.count == self.marks[-1]:
                return SourceSignal.END_OF_STREAM
        self.buffer[0] = self.count % 1000
        self.count += 1
        return Produced(self.buffer)


class SummingSink(Sink):
    """Adds up."""

    def __init__(self) -> None:
        self.total = 0.0

    def consume(self, message: Message, now: int) -> None:
        self.total += float(message.payload[0])


def kept(snapshot: tracemalloc.Snapshot) -> dict[str, int]:
    """Return the live bytes that lines of limen allocated, by line."""
    chosen = snapshot.filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern=LIMEN)])
    return {str(s.traceback): s.size for s in chosen.statistics("lineno")}


@pytest.mark.slow
def test_a_hundred_thousand_messages_leave_no_memory_behind() -> None:
    """Growth per message would be a leak: even one kept int is 28 bytes a message.

    Not exactly 0: counters grow past the small-int cache and long ints gain digits, some bytes once
    each, independent of the number of messages. Hence less than a byte per 100 messages.
    """
    source, sink = CountingSource((WARM_UP, WARM_UP + MEASURED)), SummingSink()
    graph = Graph("steady").add("source", source).add("copied", Doing(forward))
    graph.add("in_place", TwiceInPlace()).add("sink", sink)
    graph.chain("source", "copied", "in_place", "sink")
    runtime = runtime_of(graph)
    assert runtime.plan.profile == "static"
    tracemalloc.start()
    try:
        statistics = runtime.run()
    finally:
        tracemalloc.stop()
    assert statistics.closes
    assert sink.total == 2.0 * sum(i % 1000 for i in range(WARM_UP + MEASURED))
    before, after = (kept(snapshot) for snapshot in source.snapshots)
    grown = {line: size - before.get(line, 0) for line, size in after.items()}
    growth = sum(after.values()) - sum(before.values())
    print(f"kept after {MEASURED} messages: {growth} B")
    assert before, "the filter finds limen's own allocations"
    assert growth < MEASURED / 100, sorted(grown.items(), key=lambda item: -item[1])[:5]


def every_other(message: Message) -> Output | Skip:
    """Lose one of two messages, so that there is something to tell."""
    return Skip() if message.header.sequence % 2 else Output(message.payload)


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True], ids=["everything off", "everything on"])
def test_telemetry_keeps_nothing_for_each_message(on: bool) -> None:
    """With all on, each message gives some ten events, which are written and overwritten.

    What is kept then is what the file has not been given yet: less than its buffer.
    """
    warm_up, measured = 2_000, 10_000
    source = CountingSource((warm_up, warm_up + measured))
    graph = Graph("watched").add("source", source).add("work", Doing(every_other))
    graph.add("sink", SummingSink()).chain("source", "work", "sink")
    telemetry: Telemetry | None = None
    file = JsonEventSink("/dev/null")
    kept_newest = BufferEventSink(64)
    if on:
        telemetry = GraphTelemetry([file, kept_newest], metrics_every_ns=1_000_000_000)
    switches = TelemetrySwitches.full() if on else TelemetrySwitches.none()
    runtime = make_runtime(graph, SimClock(), telemetry=telemetry, switches=switches)
    tracemalloc.start()
    try:
        assert runtime.run().closes
    finally:
        tracemalloc.stop()
        file.close()
    before, after = (kept(snapshot) for snapshot in source.snapshots)
    grown = {line: size - before.get(line, 0) for line, size in after.items()}
    growth = sum(after.values()) - sum(before.values())
    told = kept_newest.overflow + len(kept_newest.events)
    print(f"kept after {measured} messages and {told} events: {growth} B")
    assert told == 0 or (on and told > 8 * measured)
    assert growth < measured / 10 + on * io.DEFAULT_BUFFER_SIZE, sorted(
        grown.items(), key=lambda item: -item[1]
    )[:5]


def test_the_cell_of_these_tests_is_the_port_s_spec() -> None:
    assert limen.types.spec_from_annotation(Cell) == SCALAR
