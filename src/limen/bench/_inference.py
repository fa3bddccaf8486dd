"""What a pipeline costs around a model.

A graph of source -> model -> sink is compared with the bare ``session.run`` loop over the same
inputs, in the same batches, with one thread inside the engine. Its figure is calls of the model a
second, and the ratio the graph's throughput over the loop's: above 1 the graph is the faster.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limen.app import example_folder
from limen.bench._measure import (
    Count,
    Items,
    Measure,
    Result,
    Setting,
    Size,
    interleaved,
    now_ns,
    repeated,
    timed_run,
)
from limen.bench._rows import Row
from limen.compute import ModelArtifact, find_backend
from limen.graph import Graph
from limen.node import InferenceModel
from limen.policy import Batching, EdgePolicy, NodePolicy
from limen.types import DataType, TensorSpec

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

CAPACITY = 64
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
WINDOW = 50
STRIDE = 25
ROWS, WIDTH, INNER = 32, 64, 1024
"""Of the model that is built: its items, and what each of its blocks widens them to."""

AIM_NS = 1_000_000

Floats = NDArray[np.float32]

_LEGEND = (
    "inference: calls of the model a second, from source to sink; baseline: the session.run loop",
    "  over the same inputs and batches; a ratio below 1 is lost to the loop",
)


@dataclass(frozen=True, slots=True)
class _Work:
    rounds: int
    windows: int
    slow_calls: int
    longest: int


_WORK = {
    Size.FULL: _Work(rounds=7, windows=4_000, slow_calls=150, longest=64),
    Size.FAST: _Work(rounds=5, windows=8, slow_calls=3, longest=1),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A model, what goes into it, and how much at a time.

    Attributes:
        name: Of the case.
        artifact: The model.
        items: One message each; used over and over.
        batch: Items in a call.
        count: Items in a run.
    """

    name: str
    artifact: ModelArtifact
    items: Sequence[Floats]
    batch: int
    count: int


def inference(setting: Setting) -> Result:
    """Measure models in a graph against the loop without one."""
    if importlib.util.find_spec("onnxruntime") is None:
        setting.say("inference: skipped: ONNX Runtime is not installed: pip install 'limen[onnx]'")
        return Result((), ())
    work = _WORK[setting.size]
    artifact = ModelArtifact.from_path(example_folder() / "activity.onnx")
    windows = recorded_windows()
    cases = [
        Case(f"activity_batch{batch}", artifact, windows, batch, work.windows) for batch in (1, 4)
    ]
    if importlib.util.find_spec("onnx") is None:
        setting.say("inference model_1ms: skipped: pip install onnx, which builds the model")
    else:
        cases.append(slow_case(work.slow_calls, work.longest))
    measures = [
        Measure(
            case.name,
            target,
            metrics,
            partial(graph_rate, case, target, metrics=metrics),
            partial(session_rate, case),
        )
        for case in cases
        for target in setting.executors()
        for metrics in (True, False)
    ]
    rows = interleaved("inference", "1/s", measures, work.rounds, setting.size)
    return Result(tuple(rows), _LEGEND, draw=lambda figure: draw(rows, figure))


def recorded_windows() -> list[Floats]:
    """Cut the example's recording into the windows that its graph makes."""
    path = example_folder() / "test.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [[float(row[name]) for name in CHANNELS] for row in csv.DictReader(file)]
    samples = np.asarray(rows, dtype=np.float32)
    starts = range(0, len(samples) - WINDOW + 1, STRIDE)
    return [samples[start : start + WINDOW] for start in starts]


def slow_case(count: int, longest: int) -> Case:
    """Return a model that takes about a millisecond here: as many blocks as that makes.

    Args:
        count: Items in a run.
        longest: Most blocks; 1 to measure nothing.
    """
    items = [np.full((ROWS, WIDTH), value, np.float32) for value in (0.0, 0.5, 1.0)]
    case = Case("model_1ms", blocks_model(1), items, 1, max(count, 1))
    if longest == 1:
        return case
    took = min(1e9 / session_rate(case) for _ in range(3))
    blocks = min(max(round(AIM_NS / took), 1), longest)
    return Case(case.name, blocks_model(blocks), items, 1, case.count)


def blocks_model(blocks: int) -> ModelArtifact:
    """Build a model of blocks that widen their input and narrow it again, with a ReLU between."""
    onnx = importlib.import_module("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    draw_weights = np.random.default_rng(1)
    nodes, weights, last = [], [], "x"

    def add(operator: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(operator, inputs, [output]))
        return output

    def weight(name: str, rows: int, columns: int) -> str:
        drawn = draw_weights.standard_normal((rows, columns), np.float32) / np.sqrt(rows)
        weights.append(onnx.numpy_helper.from_array(drawn.astype(np.float32), name))
        return name

    for number in range(blocks):
        wide = add("MatMul", [last, weight(f"a{number}", WIDTH, INNER)], f"wide{number}")
        kept = add("Relu", [wide], f"kept{number}")
        name = "y" if number == blocks - 1 else f"narrow{number}"
        last = add("MatMul", [kept, weight(f"b{number}", INNER, WIDTH)], name)
    shape = ["n", ROWS, WIDTH]
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return ModelArtifact.from_bytes(model.SerializeToString(), "blocks")


def graph_rate(case: Case, target: str, *, metrics: bool) -> float:
    """Return calls a second through source -> model -> sink."""
    spec = TensorSpec(DataType.F32, case.items[0].shape)
    graph, sink = Graph(case.name), Count()
    policy = NodePolicy(batching=Batching.fixed(case.batch))
    graph.add("items", Items(spec, repeated(case.items, case.count)))
    model = InferenceModel(find_backend("onnxruntime"), case.artifact)
    graph.add("model", model, policy)
    graph.add("sink", sink)
    graph.chain("items", "model", "sink", policy=EdgePolicy.block(CAPACITY))
    took = timed_run(graph, [sink], case.count, target, metrics=metrics)
    return case.count / case.batch * 1e9 / took


def session_rate(case: Case) -> float:
    """Return calls a second of the bare loop: the same items, order and batches."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(case.artifact.data, options, providers=["CPUExecutionProvider"])
    order = [case.items[number % len(case.items)] for number in range(case.count)]
    feeds = [
        np.stack(order[start : start + case.batch]) for start in range(0, case.count, case.batch)
    ]
    name, results = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    begun = now_ns()
    for feed in feeds:
        session.run(results, {name: feed})
    return len(feeds) * 1e9 / (now_ns() - begun)


def draw(rows: Sequence[Row], figure: SubFigure) -> None:
    """Draw throughput against the bare loop's, a bar a row."""
    axes = figure.subplots()
    names = [f"{row.case} {row.target}{' + metrics' if row.metrics else ''}" for row in rows]
    colours = {"reference": "C0", "python": "C1", "native": "C2"}
    axes.barh(
        names, [row.ratio or 0.0 for row in rows], color=[colours[row.target] for row in rows]
    )
    axes.invert_yaxis()
    axes.set(xlabel="throughput, of the bare session.run loop's", title="Around a model")
    axes.tick_params(axis="y", labelsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
