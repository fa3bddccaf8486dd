"""Small models for tests, written from one description as ONNX, as TFLite and as OpenVINO IR.

``make_model("mlp", "tflite")`` gives an artifact, ``reference("mlp", items)`` what it answers. All
take ``x`` and give ``y``, f32, channels last; their weights are drawn from fixed seeds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limen.compute import ModelArtifact

Kind = Literal["mlp", "conv1d", "conv2d", "affine", "line"]
Format = Literal["onnx", "tflite", "ir"]
Batch = Literal["free", "one"]

KINDS: tuple[Kind, ...] = ("mlp", "conv1d", "conv2d", "affine", "line")
FORMATS: tuple[Format, ...] = ("onnx", "tflite", "ir")
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "tflite": ".tflite", "ir": ".xml"}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Dense:
    """``x @ weight + bias``, then ReLU if asked; weight is [in, out]."""

    weight: Floats
    bias: Floats
    relu: bool


@dataclass(frozen=True)
class Conv:
    """A convolution without padding, then ReLU; kernel is [places …, in, out]."""

    kernel: Floats
    bias: Floats


@dataclass(frozen=True)
class Affine:
    """``x * scale + shift``, both of the last axis's length."""

    scale: Floats
    shift: Floats


Layer = Dense | Conv | Affine


@dataclass(frozen=True)
class Network:
    """Layers in order, and the shape of one item before the first and behind the last."""

    takes: tuple[int, ...]
    gives: tuple[int, ...]
    layers: tuple[Layer, ...]


@functools.cache
def network(kind: Kind) -> Network:
    """Describe a model."""
    draw = np.random.default_rng(KINDS.index(kind) + 1)

    def some(*shape: int) -> Floats:
        return draw.normal(scale=0.5, size=shape).astype(np.float32)

    match kind:
        case "mlp":
            layers = (Dense(some(8, 16), some(16), True), Dense(some(16, 4), some(4), False))
            return Network((8,), (4,), layers)
        case "conv1d":
            return Network((16, 3), (12, 4), (Conv(some(5, 3, 4), some(4)),))
        case "conv2d":
            return Network((7, 6, 2), (5, 5, 3), (Conv(some(3, 2, 2, 3), some(3)),))
        case "line":
            # What the contract kit asks a backend for.
            two, one = np.full(4, 2, np.float32), np.ones(4, np.float32)
            return Network((4,), (4,), (Affine(two, one),))
        case "affine":
            return Network((5, 3), (5, 3), (Affine(some(3), some(3)),))


def reference(kind: Kind, items: Floats) -> Floats:
    """Compute what a model answers, in f64."""
    value = items.astype(np.float64)
    for layer in network(kind).layers:
        match layer:
            case Dense(weight, bias, relu):
                value = value @ weight + bias
                value = np.maximum(value, 0) if relu else value
            case Conv(kernel, bias):
                places = kernel.shape[:-2]
                axes = tuple(range(1, 1 + len(places)))
                windows = np.lib.stride_tricks.sliding_window_view(value, places, axes)
                windows = np.moveaxis(windows, 1 + len(places), -1)
                value = np.maximum(np.tensordot(windows, kernel, len(places) + 1) + bias, 0)
            case Affine(scale, shift):
                value = value * scale + shift
    return value.astype(np.float32)


def make_model(kind: Kind, form: Format, batch: Batch = "free") -> ModelArtifact:
    """Make a model; IR has its weights in a second file and is therefore read from a folder."""
    if form == "ir":
        return ModelArtifact.from_path(_ir_path(kind, batch))
    return ModelArtifact.from_bytes(_content(kind, form, batch), f"{kind}.{form}")


def write_model(folder: Path, kind: Kind, form: Format, batch: Batch = "free") -> Path:
    """Write a model's file or files into a folder; the path of the main one."""
    path = folder / f"{kind}_{batch}{ENDINGS[form]}"
    if form == "ir":
        source = _ir_path(kind, batch)
        path.with_suffix(".bin").write_bytes(source.with_suffix(".bin").read_bytes())
        path.write_bytes(source.read_bytes())
    else:
        path.write_bytes(_content(kind, form, batch))
    return path


@functools.cache
def _content(kind: Kind, form: Format, batch: Batch) -> bytes:
    return (_onnx if form == "onnx" else _tflite)(network(kind), batch)


@functools.cache
def _ir_folder() -> TemporaryDirectory[str]:
    import atexit

    folder = TemporaryDirectory(prefix="limen-models-")
    atexit.register(folder.cleanup)
    return folder


@functools.cache
def _ir_path(kind: Kind, batch: Batch) -> Path:
    path = Path(_ir_folder().name) / f"{kind}_{batch}.xml"
    _write_ir(network(kind), batch, path)
    return path


def _onnx(net: Network, batch: Batch) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []
    last = "x"

    def add(op: str, *constants: Floats, **attributes: object) -> None:
        nonlocal last
        at = len(nodes)
        names = [f"w{at}_{i}" for i in range(len(constants))]
        weights.extend(numpy_helper.from_array(c, n) for c, n in zip(constants, names, strict=True))
        nodes.append(helper.make_node(op, [last, *names], [f"t{at}"], **attributes))
        last = f"t{at}"

    for layer in net.layers:
        match layer:
            case Dense(weight, bias, relu):
                add("MatMul", weight)
                add("Add", bias)
                if relu:
                    add("Relu")
            case Conv(kernel, bias):
                axes = kernel.ndim - 2
                add("Transpose", perm=[0, axes + 1, *range(1, axes + 1)])
                add("Conv", np.moveaxis(kernel, (-1, -2), (0, 1)).copy(), bias)
                add("Relu")
                add("Transpose", perm=[0, *range(2, axes + 2), 1])
            case Affine(scale, shift):
                add("Mul", scale)
                add("Add", shift)
    nodes[-1].output[0] = "y"
    lead = "N" if batch == "free" else 1
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [lead, *net.takes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [lead, *net.gives])],
        weights,
    )
    opset = [helper.make_operatorsetid("", 17)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    return data


def _tflite(net: Network, batch: Batch) -> bytes:
    from tflite_writer import Writer

    writer = Writer(batch)
    last = writer.tensor("x", net.takes)
    for layer in net.layers:
        match layer:
            case Dense(weight, bias, relu):
                last = writer.dense(last, weight, bias, relu=relu)
            case Conv(kernel, bias):
                last = writer.conv(last, kernel, bias)
            case Affine(scale, shift):
                last = writer.affine(last, scale, shift)
    return writer.finish(last)


def _write_ir(net: Network, batch: Batch, path: Path) -> None:
    from limen.backends._openvino_graph import import_openvino

    openvino = import_openvino()  # Without its telemetry, which a plain import starts.
    ops = openvino.opset13
    lead = -1 if batch == "free" else 1
    entry = ops.parameter([lead, *net.takes], np.float32, name="x")
    entry.output(0).tensor.set_names({"x"})
    last = entry
    for layer in net.layers:
        match layer:
            case Dense(weight, bias, relu):
                last = ops.add(ops.matmul(last, weight, False, False), bias)
                last = ops.relu(last) if relu else last
            case Conv(kernel, bias):
                axes = kernel.ndim - 2
                order = [0, axes + 1, *range(1, axes + 1)]
                last = ops.transpose(last, np.array(order))
                flat, ones = [0] * axes, [1] * axes
                filters = np.moveaxis(kernel, (-1, -2), (0, 1)).copy()
                last = ops.convolution(last, filters, ones, flat, flat, ones)
                last = ops.add(last, bias.reshape(1, -1, *ones))
                last = ops.transpose(ops.relu(last), np.array([0, *range(2, axes + 2), 1]))
            case Affine(scale, shift):
                last = ops.add(ops.multiply(last, scale), shift)
    last.output(0).tensor.set_names({"y"})
    openvino.serialize(openvino.Model([ops.result(last)], [entry], "g"), path)
