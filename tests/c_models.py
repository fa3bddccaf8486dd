"""ONNX graphs as C for tests: small graphs, what compiles them, and what ONNX Runtime answers."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from limen.onnx_c import ModelC, compile_model
from limen.toolchain import host_compiler

Array = NDArray[np.generic]

ACTIVITY = Path(__file__).parents[1] / "examples" / "activity" / "activity.onnx"
STRICT = (
    *("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"),
    *("-Wconversion", "-Wshadow", "-Wvla"),
)
# The model compiler's own text is no pedant's: it hands arrays to parameters of constant arrays.
MODEL = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wvla", "-Wshadow", "-ffp-contract=off")
ARM = "arm-none-eabi-gcc"
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]

WITH_COMPILER = pytest.mark.skipif(host_compiler() is None, reason="no C compiler is installed")
WITH_ARM = pytest.mark.skipif(shutil.which(ARM) is None, reason=f"{ARM} is not installed")


@dataclass(frozen=True)
class Case:
    """A graph and the shapes of its inputs with a batch of one."""

    model: onnx.ModelProto
    near: float = 1e-6

    @property
    def data(self) -> bytes:
        data: bytes = self.model.SerializeToString()
        return data


def value(
    name: str, shape: Sequence[int | str | None], kind: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def node(kind: str, reads: str, writes: str, **attributes: object) -> onnx.NodeProto:
    names = [r if r != "-" else "" for r in reads.split()]
    return helper.make_node(kind, names, writes.split(), name=writes.split()[0], **attributes)


def make(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    opset: int = 17,
    extra: Sequence[str] = (),
    **weights: Array,
) -> onnx.ModelProto:
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), held)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in extra)]
    ir = 10 if opset > 19 else 8
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def drawn(*shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(sum(shape) + len(shape))
    return rng.normal(scale=0.4, size=shape).astype(np.float32)


def _convolutional(opset: int) -> onnx.ModelProto:
    return make(
        [
            node("Conv", "x k b", "c", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "c s o m v", "n"),
            node("Relu", "n", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", "p k2", "d"),
            node("GlobalAveragePool", "d", "g"),
            node("Flatten", "g", "f"),
            node("Gemm", "f w wb", "l", transB=1),
            node("Softmax", "l", "y", axis=1),
        ],
        [value("x", ["N", 2, 8, 6])],
        [value("y", ["N", 3])],
        opset,
        k=drawn(4, 2, 3, 3),
        b=drawn(4),
        s=np.abs(drawn(4)) + 1,
        o=drawn(4),
        m=drawn(4),
        v=np.abs(drawn(4)) + 1,
        k2=drawn(5, 4, 2, 2),
        w=drawn(3, 5),
        wb=drawn(3),
    )


def _quantised() -> onnx.ModelProto:
    f32, s8 = np.float32, np.int8
    weights = np.clip(np.round(drawn(6, 4) * 100), -127, 127).astype(s8)
    return make(
        [
            node("QuantizeLinear", "x xs xz", "xq"),
            node("DequantizeLinear", "xq xs xz", "xd"),
            node("DequantizeLinear", "wq ws wz", "wd"),
            node("MatMul", "xd wd", "h"),
            node("QuantizeLinear", "h hs xz", "hq"),
            node("DequantizeLinear", "hq hs xz", "y"),
        ],
        [value("x", ["N", 6])],
        [value("y", ["N", 4])],
        xs=f32(0.05),
        xz=s8(3),
        wq=weights,
        ws=f32(0.01),
        wz=s8(0),
        hs=f32(0.03),
    )


def _cases() -> dict[str, Case]:
    x, y = value("x", ["N", 6]), value("y", ["N", 6])
    s64, boolean = TensorProto.INT64, TensorProto.BOOL
    i64 = np.int64
    return {
        "gemm, opset 7": Case(
            make(
                [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v c", "y")],
                [x],
                [value("y", ["N", 3])],
                7,
                w=drawn(6, 9),
                b=drawn(9),
                v=drawn(9, 3),
                c=drawn(3),
            )
        ),
        "conv 1d": Case(
            make(
                [
                    node("Conv", "x k b", "c", strides=[2], dilations=[2], group=2),
                    node("Tanh", "c", "t"),
                    node("AveragePool", "t", "y", kernel_shape=[2]),
                ],
                [value("x", ["N", 4, 20])],
                [value("y", ["N", 6, 6])],
                k=drawn(6, 2, 4),
                b=drawn(6),
            )
        ),
        "conv 2d, opset 9": Case(_convolutional(9)),
        "conv 2d, opset 21": Case(_convolutional(21)),
        "int8": Case(_quantised(), near=0.031),
        "reshape and concat": Case(
            make(
                [
                    node("Reshape", "x s", "r"),
                    node("Transpose", "r", "t", perm=[0, 2, 1]),
                    node("Reshape", "t back", "u"),
                    node("Concat", "x u x", "y", axis=1),
                ],
                [x],
                [value("y", ["N", 18])],
                s=np.array([0, 2, 3], i64),
                back=np.array([-1, 6], i64),
            )
        ),
        "add with broadcast": Case(
            make(
                [node("Add", "x row", "a"), node("Mul", "a one", "b"), node("Add", "b col", "y")],
                [value("x", ["N", 4, 6])],
                [value("y", ["N", 4, 6])],
                row=drawn(6),
                one=np.float32(1.5),
                col=drawn(4, 1),
            )
        ),
        "several inputs and outputs": Case(
            make(
                [
                    node("Add", "x z", "sum"),
                    node("Identity", "sum", "same"),
                    node("ReduceMean", "sum", "mean", axes=[1], keepdims=0),
                    node("ArgMax", "sum", "top", axis=1, keepdims=0),
                ],
                [x, value("z", ["N", 6]), value("unread", ["N", 2])],
                [
                    value("same", ["N", 6]),
                    value("sum", ["N", 6]),
                    value("mean", ["N"]),
                    value("top", ["N"], s64),
                ],
            )
        ),
        "an output that is an input, and one that is a weight": Case(
            make(
                [node("Relu", "x", "y")],
                [value("x", [1, 6])],
                [value("x", [1, 6]), value("y", [1, 6]), value("w", [1, 2])],
                w=drawn(1, 2),
            )
        ),
        "only the input": Case(make([node("Identity", "x", "y")], [x], [y])),
        "a scalar": Case(
            make(
                [node("Exp", "x", "e"), node("Add", "e e", "y")], [value("x", [])], [value("y", [])]
            )
        ),
        "int64 and bool": Case(
            make(
                [
                    node("Cast", "x", "whole", to=s64),
                    node("Mul", "whole whole", "square"),
                    node("Greater", "square two", "above"),
                    node("Not", "above", "y"),
                    node("Cast", "above", "f", to=TensorProto.FLOAT),
                    node("Mul", "f x", "z"),
                ],
                [x],
                [value("y", ["N", 6], boolean), value("z", ["N", 6])],
                two=np.array(2, i64),
            )
        ),
        "float64": Case(
            make(
                [node("Sqrt", "x", "r"), node("Mul", "r x", "y")],
                [value("x", ["N", 3], TensorProto.DOUBLE)],
                [value("y", ["N", 3], TensorProto.DOUBLE)],
            )
        ),
        "shared weights, constants, dead nodes": Case(
            make(
                [
                    helper.make_node(
                        "Constant", [], ["c"], value=numpy_helper.from_array(drawn(6), "c")
                    ),
                    node("MatMul", "x w", "a"),
                    node("MatMul", "a w", "b"),
                    node("Add", "b c", "y"),
                    node("MatMul", "a dead", "nobody"),
                    node("NonZero", "nobody", "reads"),
                ],
                [x],
                [y],
                w=drawn(6, 6),
                dead=drawn(6, 100),
            )
        ),
        "names of C": Case(
            make(
                [
                    node("Exp", "float", "arena"),
                    node("Add", "arena in0", "limen_arena"),
                    node("Relu", "limen_arena", "limen_model"),
                    node("Neg", "limen_model", "ÿ"),
                ],
                [value("float", [1, 6]), value("in0", [1, 6])],
                [value("ÿ", [1, 6])],
            )
        ),
        "lstm": Case(
            make(
                [node("LSTM", "x w r b", "y h", hidden_size=4)],
                [value("x", [5, 1, 3])],
                [value("y", [5, 1, 1, 4])],
                w=drawn(1, 16, 3),
                r=drawn(1, 16, 4),
                b=drawn(1, 32),
            )
        ),
    }


CASES = _cases()


@functools.cache
def compiled(name: str) -> ModelC:
    """Return a case in C, named ``m``; made once for all tests of a process."""
    return compile_model(CASES[name].data, "m")


def feeds(model: ModelC, seed: int = 0) -> list[Array]:
    """Draw a value for every input."""
    rng = np.random.default_rng(seed)
    found: list[Array] = []
    for _, spec in model.inputs:
        dtype = spec.dtype.numpy_dtype()
        numbers = rng.normal(size=spec.fixed_shape) * 2
        found.append(np.asarray(np.abs(numbers), dtype, order="C"))
    return found


def expected(data: bytes, inputs: Sequence[Array]) -> list[Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    results = session.run(None, dict(zip(names, inputs, strict=True)))
    return [np.asarray(result) for result in results]


def write(folder: Path, model: ModelC) -> Path:
    """Write the files of a model; the source."""
    (folder / f"{model.entry}.h").write_text(model.header, encoding="utf-8")
    source = folder / f"{model.entry}.c"
    source.write_text(model.source, encoding="utf-8")
    return source


def run_compiler(folder: Path, *arguments: str, compiler: str | None = None) -> None:
    command = [compiler or host_compiler() or "cc", *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stderr}"


def symbols(path: Path, *options: str) -> list[list[str]]:
    ran = subprocess.run(["nm", *options, str(path)], capture_output=True, text=True, check=True)
    return [line.split() for line in ran.stdout.splitlines()]


def call(folder: Path, model: ModelC, inputs: Sequence[Array]) -> list[Array]:
    """Compile a model for this machine and call it on an arena of its very size."""
    source, library_name = write(folder, model), f"{model.entry}.so"
    run_compiler(folder, *MODEL, "-O2", "-fPIC", "-shared", "-o", library_name, source.name, "-lm")
    library = ctypes.CDLL(str(folder / library_name))
    arena = np.full(model.arena_bytes // 8, 0xA5A5A5A5A5A5A5A5, np.uint64)
    results = empty_results(model)
    places = [array.ctypes.data_as(ctypes.c_void_p) for array in (arena, *inputs, *results)]
    getattr(library, model.entry)(*places)
    return results


def empty_results(model: ModelC) -> list[Array]:
    return [np.zeros(s.fixed_shape, s.dtype.numpy_dtype()) for _, s in model.outputs]
