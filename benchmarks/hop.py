"""What a hop costs on the reference executor, and what a pipeline costs around a model.

``chain8`` runs source -> 8 pass-through nodes -> sink. Its figure is the time of a whole run, start
and stop left out, divided by messages and by the 8 nodes: source and sink are paid for by the
nodes. The baseline is a direct Python call of the same function in the same round; a hand-written
loop of 8 stages over deques stands beside it. ``inference`` runs source -> model -> sink; its
baseline is the bare ``session.run`` loop over the same windows. Rounds are interleaved; a ratio is
the median of the rounds' ratios.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import limen
from figures import Row, aligned, as_json, machine, parser_of, row_of
from limen.app import make_runtime
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.types import PayloadSpec, Ticks

HOPS = 8
CAPACITY = 64
ACTIVITY = Path(__file__).parents[1] / "examples" / "activity"
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
WINDOW = 50
STRIDE = 25
SAMPLE = limen.TensorSpec(limen.DataType.F32, (len(CHANNELS),))

Floats = NDArray[np.float32]
Sample = Annotated[Floats, SAMPLE]


@dataclass(frozen=True, slots=True)
class Size:
    """How much work one round is."""

    rounds: int
    messages: int
    calls: int
    windows: int


FULL = Size(rounds=7, messages=1_500, calls=200_000, windows=2_000)
FAST = Size(rounds=5, messages=20, calls=200, windows=8)


def same(x: int) -> int:
    """Pass an object on."""
    return x


def same_sample(x: Sample) -> Sample:
    """Pass a sample on; the step context copies it into its slot."""
    return x


class Items(limen.Source):
    """Makes the payloads of a list, over and over, as fast as there is room."""

    pausable = True

    def __init__(self, spec: PayloadSpec, payloads: Sequence[object], count: int) -> None:
        self._spec = spec
        self._payloads = payloads
        self._left = count

    def spec(self) -> PayloadSpec:
        return self._spec

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if not self._left:
            return SourceSignal.END_OF_STREAM
        self._left -= 1
        return Produced(self._payloads[self._left % len(self._payloads)])


class Count(limen.Sink):
    """Counts what arrives."""

    def __init__(self) -> None:
        self.count = 0

    def consume(self, message: Message, now: Ticks) -> None:
        self.count += 1


def timed_run(graph: limen.Graph, sink: Count, expected: int) -> int:
    """Run a graph and return the nanoseconds between its start and its last step."""
    runtime = make_runtime(graph)
    runtime.start()
    try:
        begun = perf_counter_ns()
        while runtime.step():
            pass
        took = perf_counter_ns() - begun
    finally:
        runtime.stop()
    run = runtime.statistics()
    if sink.count != expected or run.outcome != "completed" or not run.closes:
        raise RuntimeError(f"{graph.name}: {sink.count} of {expected} messages, {run.outcome}")
    return took


def chain(
    function: Callable[..., object],
    spec: PayloadSpec,
    payload: object,
    policy: limen.EdgePolicy,
    messages: int,
) -> float:
    """Return nanoseconds per message and node of a chain of pass-through nodes."""
    graph, sink = limen.Graph("chain8"), Count()
    names = ["source", *(f"pass{number}" for number in range(HOPS)), "sink"]
    graph.add("source", Items(spec, [payload], messages))
    for name in names[1:-1]:
        graph.add(name, limen.node(function))
    graph.add("sink", sink)
    graph.chain(*names, policy=policy)
    return timed_run(graph, sink, messages) / (messages * HOPS)


def direct(function: Callable[..., object], payload: object, calls: int) -> float:
    """Return nanoseconds per call of the function itself, the loop around it included."""
    begun = perf_counter_ns()
    for _ in range(calls):
        function(payload)
    return (perf_counter_ns() - begun) / calls


def deques(function: Callable[..., object], payload: object, messages: int) -> float:
    """Return nanoseconds per message and stage of a hand-written loop over queues."""
    queues: list[deque[object]] = [deque(maxlen=CAPACITY) for _ in range(HOPS + 1)]
    stages = list(itertools.pairwise(queues))
    done = 0
    begun = perf_counter_ns()
    for _ in range(messages):
        queues[0].append(payload)
        for source, target in stages:
            target.append(function(source.popleft()))
        queues[-1].popleft()
        done += 1
    took = perf_counter_ns() - begun
    return took / (done * HOPS)


def hop_rows(size: Size) -> list[Row]:
    """Measure the chain with objects and tensors, and with two admissions."""
    sample = np.arange(len(CHANNELS), dtype=np.float32)
    block, drop = limen.EdgePolicy.block(CAPACITY), limen.EdgePolicy.drop_oldest(CAPACITY)
    whole, loops = limen.ObjectSpec(int), size.calls // HOPS
    cases: dict[tuple[str, str], Callable[[], float]] = {
        ("direct", "object"): lambda: direct(same, 7, size.calls),
        ("direct", "tensor"): lambda: direct(same_sample, sample, size.calls),
        ("chain8", "deque"): lambda: deques(same, 7, loops),
        ("chain8_tensor", "deque"): lambda: deques(same_sample, sample, loops),
        ("chain8", "reference"): lambda: chain(same, whole, 7, block, size.messages),
        ("chain8_drop_oldest", "reference"): lambda: chain(same, whole, 7, drop, size.messages),
        ("chain8_tensor", "reference"): lambda: chain(
            same_sample, SAMPLE, sample, block, size.messages
        ),
    }
    found: dict[tuple[str, str], list[float]] = {key: [] for key in cases}
    for _ in range(size.rounds):
        for key, measure in cases.items():
            found[key].append(measure())
    rows = []
    for (case, target), values in found.items():
        if case != "direct":
            calls = found["direct", "tensor" if "tensor" in case else "object"]
            rows.append(row_of("hop", case, target, "ns", values, calls))
    return rows


def recorded_windows() -> list[Floats]:
    """Cut the example's recording into the windows that its graph makes."""
    with (ACTIVITY / "test.csv").open(newline="", encoding="utf-8") as file:
        rows = [[float(row[name]) for name in CHANNELS] for row in csv.DictReader(file)]
    samples = np.asarray(rows, dtype=np.float32)
    starts = range(0, len(samples) - WINDOW + 1, STRIDE)
    return [samples[start : start + WINDOW] for start in starts]


def pipeline_rate(windows: Sequence[Floats], batch: int, count: int) -> float:
    """Return windows a second through source -> model -> sink."""
    spec = limen.TensorSpec(limen.DataType.F32, (WINDOW, len(CHANNELS)))
    graph, sink = limen.Graph("inference"), Count()
    policy = limen.NodePolicy(batching=limen.Batching.fixed(batch))
    graph.add("windows", Items(spec, windows, count))
    graph.add("model", limen.Model(ACTIVITY / "activity.onnx"), policy)
    graph.add("sink", sink)
    graph.chain("windows", "model", "sink", policy=limen.EdgePolicy.block(CAPACITY))
    return count * 1e9 / timed_run(graph, sink, count)


def session_rate(windows: Sequence[Floats], batch: int, count: int) -> float:
    """Return windows a second through the bare loop: the same windows, order and batches."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        ACTIVITY / "activity.onnx", options, providers=["CPUExecutionProvider"]
    )
    order = [windows[left % len(windows)] for left in range(count - 1, -1, -1)]
    feeds = [np.stack(order[start : start + batch]) for start in range(0, count, batch)]
    name, results = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    begun = perf_counter_ns()
    for feed in feeds:
        session.run(results, {name: feed})
    return count * 1e9 / (perf_counter_ns() - begun)


def inference_rows(size: Size) -> list[Row]:
    """Measure the activity model in a graph against the loop without one."""
    windows = recorded_windows()
    batches = (1, 4)
    bare: dict[int, list[float]] = {batch: [] for batch in batches}
    graphs: dict[int, list[float]] = {batch: [] for batch in batches}
    for _ in range(size.rounds):
        for batch in batches:
            bare[batch].append(session_rate(windows, batch, size.windows))
            graphs[batch].append(pipeline_rate(windows, batch, size.windows))
    return [
        row_of(
            "inference", f"activity_batch{batch}", "reference", "1/s", graphs[batch], bare[batch]
        )
        for batch in batches
    ]


def table(rows: Sequence[Row]) -> str:
    """Lay the figures out for people."""
    head = ("bench", "case", "target", "value", "unit", "baseline", "ratio", "runs", "min", "max")
    cells = [head]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.{2 if row.ratio < 10 else 0}f}"
        figures = [f"{value:.0f}" for value in (row.value, row.baseline, row.min, row.max)]
        value, baseline, least, most = figures
        names = (row.bench, row.case, row.target)
        cells.append((*names, value, row.unit, baseline, ratio, str(row.runs), least, most))
    return aligned(cells, left=(0, 1, 2, 4))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = parser_of("Measure hops and inference in ratios.", plots=False)
    chosen = parser.parse_args(arguments)
    size = FAST if chosen.fast else FULL
    rows = [*hop_rows(size), *inference_rows(size)]
    if chosen.json:
        print(as_json(rows))
    else:
        print(table(rows))
        print("\nhop: ns per message and node; baseline: a direct call of the same function")
        print("inference: windows a second; baseline: the session.run loop over the same windows")
        print(machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
