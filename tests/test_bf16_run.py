"""Whole graphs of every element type, bf16 above all: ports, batches, memory, files, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
from jaxtyping import BFloat16

import limen
from limen.errors import Code, GraphError, MissingExtraError
from limen.io import JsonLinesSink
from limen.message import Message
from limen.types import DataType, TensorSpec, spec_from_annotation

_BF16 = DataType.BF16.numpy_dtype()
Three = BFloat16[np.ndarray, "3"]
Rows = BFloat16[np.ndarray, "n 3"]
_THREE = TensorSpec(DataType.BF16, (3,))
_ANNOTATIONS = {
    DataType.BOOLEAN: jaxtyping.Bool,
    DataType.U8: jaxtyping.UInt8,
    DataType.U16: jaxtyping.UInt16,
    DataType.U32: jaxtyping.UInt32,
    DataType.U64: jaxtyping.UInt64,
    DataType.S8: jaxtyping.Int8,
    DataType.S16: jaxtyping.Int16,
    DataType.S32: jaxtyping.Int32,
    DataType.S64: jaxtyping.Int64,
    DataType.F16: jaxtyping.Float16,
    DataType.BF16: jaxtyping.BFloat16,
    DataType.F32: jaxtyping.Float32,
    DataType.F64: jaxtyping.Float64,
}
Array = np.ndarray[Any, Any]


class Give(limen.Source):
    def __init__(self, payloads: list[Any], spec: TensorSpec = _THREE) -> None:
        self.payloads, self.declared = payloads, spec

    def spec(self) -> TensorSpec:
        return self.declared

    def open(self, clock: object, now: int) -> None:
        self.left = list(self.payloads)

    def try_produce(self, now: int) -> limen.Produced | limen.SourceSignal:
        return limen.Produced(self.left.pop(0)) if self.left else limen.SourceSignal.END_OF_STREAM


class Keep(limen.Sink):
    def __init__(self) -> None:
        self.found: list[Array] = []

    def consume(self, message: Message, now: int) -> None:
        self.found.append(np.array(message.payload))


@limen.node
def double(x: Three) -> Three:
    return x + x


@limen.node
def double_into(x: Three, out: Three) -> Three:
    np.add(x, x, out=out)
    return out


@limen.node(batch=True)
def total(xs: Rows) -> Three:
    return xs.sum(axis=0).astype(xs.dtype)


def bf16(*values: float) -> Array:
    return np.array(values, _BF16)


def run(source: limen.Source, *nodes: object, **policy: Any) -> list[Array]:  # noqa: ANN401
    graph, sink = limen.Graph("bf16"), Keep()
    graph.add("give", source)
    names = ["give"]
    for number, node in enumerate(nodes):
        names.append(f"node{number}")
        graph.add(names[-1], node, **policy)  # type: ignore[arg-type]
    graph.add("keep", sink)
    graph.chain(*names, "keep", policy=limen.EdgePolicy.block(4))
    limen.run(graph, clock=limen.SimClock())
    return sink.found


@pytest.mark.parametrize("dtype", DataType)
def test_a_message_of_every_element_type_goes_through_a_graph(dtype: DataType) -> None:
    value = np.array([0, 1, 1], dtype.numpy_dtype())
    (found,) = run(Give([value], TensorSpec(dtype, (3,))))
    assert found.dtype == dtype.numpy_dtype()
    assert found.tobytes() == value.tobytes()


@pytest.mark.parametrize("dtype", DataType)
def test_the_annotation_of_every_element_type_is_read(dtype: DataType) -> None:
    spec = spec_from_annotation(_ANNOTATIONS[dtype][np.ndarray, "n 3"])
    assert spec == TensorSpec(dtype, ("n", 3))


def test_bf16_is_recognised_without_importing_jaxtyping_or_its_own_package() -> None:
    code = (
        "import sys, limen\n"
        "class Annotation: dtypes = ['bfloat16']; dim_str = '3'\n"
        "spec = limen.types.spec_from_annotation(Annotation)\n"
        "print(spec.dtype.value, 'jaxtyping' in sys.modules, 'ml_dtypes' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["bf16", "False", "False"]


@pytest.mark.parametrize("node", [double, double_into])
def test_functions_of_bf16_compute_in_bf16(node: object) -> None:
    found = run(Give([bf16(1, 2, 3), bf16(0.1, -0.0, float("inf"))]), node)
    assert [x.dtype for x in found] == [_BF16] * 2
    assert found[0].tolist() == [2, 4, 6]
    assert found[1].tobytes() == (bf16(0.1, -0.0, float("inf")) * bf16(2, 2, 2)).tobytes()


def test_a_nan_keeps_its_bits_on_the_way() -> None:
    bits = np.array([0x7FC1, 0xFFFF, 0x7F81], np.uint16)
    (found,) = run(Give([bits.view(_BF16)]))
    assert found.view(np.uint16).tolist() == bits.tolist()


def test_a_batch_and_a_window_of_bf16_are_arrays_of_bf16() -> None:
    rows = [bf16(n, 2 * n, 0) for n in range(4)]
    batching = limen.NodePolicy(batching=limen.Batching.fixed(4))
    (found,) = run(Give(rows), total, policy=batching)
    assert found.tolist() == [6, 12, 0]
    found = run(Give(rows), limen.nodes.Window(size=2))[0]
    assert (found.shape, found.dtype) == ((2, 3), _BF16)
    assert found.tolist() == [[0, 0, 0], [1, 2, 0]]


def test_failsafe_messages_and_feedback_of_bf16_are_bf16() -> None:
    @limen.node
    def fails(x: Three) -> Three:
        raise ValueError("always")

    policy = limen.NodePolicy(error_action=limen.EmitFailsafe([0.5, 1.0, 2.0]))
    (found,) = run(Give([bf16(1, 2, 3)]), fails, policy=policy)
    assert (found.dtype, found.tolist()) == (_BF16, [0.5, 1, 2])

    @limen.node
    def add(x: Three, last: Three) -> Three:
        return x + last

    graph, sink = limen.Graph("loop"), Keep()
    graph.add("give", Give([bf16(1, 1, 1)] * 3))
    graph.add("add", add)
    graph.add("keep", sink)
    graph.connect("give", "add.x", policy=limen.EdgePolicy.block(2))
    graph.connect("add", "add.last", policy=limen.EdgePolicy.block(2), initial=[bf16(0, 0, 0)])
    graph.connect("add", "keep", policy=limen.EdgePolicy.block(2))
    limen.run(graph, clock=limen.SimClock())
    assert [float(x[0]) for x in sink.found] == [1, 2, 3]


def test_lines_write_bf16_as_numbers_and_null_for_what_json_has_none_for(
    tmp_path: Path,
) -> None:
    graph, path = limen.Graph("lines"), tmp_path / "out.jsonl"
    graph.add("give", Give([bf16(1.5, 0.1, float("nan"))]))
    graph.add("lines", JsonLinesSink(path))
    graph.connect("give", "lines", policy=limen.EdgePolicy.block(2))
    limen.run(graph, clock=limen.SimClock())
    assert json.loads(path.read_text("utf-8"))["value"] == [1.5, 0.10009765625, None]


@pytest.mark.parametrize(
    "payload",
    [np.zeros(3, np.float32), np.zeros(3, np.float64), np.zeros(3, np.float16), [0.5, 1.0, 2.0]],
)
def test_what_would_lose_digits_in_bf16_is_refused(payload: object) -> None:
    graph = limen.Graph("wide")
    graph.add("give", Give([payload]))
    graph.add("keep", Keep())
    graph.connect("give", "keep", policy=limen.EdgePolicy.block(2))
    report = limen.run(graph, clock=limen.SimClock())
    assert report.statistics.nodes[0].errors == 1


def without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)


def test_without_its_package_the_check_refuses_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_ml_dtypes(monkeypatch)
    graph = limen.Graph("bf16")
    graph.add("give", Give([]))
    graph.add("keep", Keep())
    graph.connect("give", "keep", policy=limen.EdgePolicy.block(2))
    with pytest.raises(GraphError, match=r"give\.out: dtype bf16 needs the package") as caught:
        limen.check(graph)
    assert caught.value.code is Code.MISSING_EXTRA
    assert "pip install 'limen[bf16]'" in str(caught.value)


def test_without_its_package_the_dtype_is_an_import_error_to_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_ml_dtypes(monkeypatch)
    with pytest.raises(ImportError, match=r"limen\[bf16\]") as caught:
        DataType.BF16.numpy_dtype()
    assert isinstance(caught.value, MissingExtraError)
    assert DataType.BF16.size_bytes == 2, "what is known of it needs no package"
