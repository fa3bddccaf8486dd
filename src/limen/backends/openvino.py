"""ONNX, OpenVINO IR and TFLite models run by OpenVINO on the CPU, reading and writing in place."""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Protocol

import numpy as np

from limen.backends._bound import BoundModel, pointer
from limen.backends._engine import Array, import_engine, message_of, not_loadable
from limen.backends._ports import EnginePort
from limen.backends._tflite import read_tflite
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.types import DataType, require_whole

__all__ = ["OpenVinoBackend", "OpenVinoModel"]

_TAKES = frozenset(DataType) - {DataType.S64, DataType.U64, DataType.F64}
_FILES = "a complete ONNX, OpenVINO IR or TFLite file"
_TELEMETRY = "openvino_telemetry"
_MAX_SHAPES = 1024
_NUMBERS = {"boolean": "bool"} | {
    f"{ours}{bits}": f"{theirs}{bits}"
    for ours, theirs, widths in (
        ("i", "s", (8, 16, 32, 64)),
        ("u", "u", (8, 16, 32, 64)),
        ("f", "f", (16, 32, 64)),
        ("bf", "bf", (16,)),
    )
    for bits in widths
}


class _Type(Protocol):
    def get_type_name(self) -> str: ...


class _Dimension(Protocol):
    is_dynamic: bool

    def get_length(self) -> int: ...


class _Shape(Protocol):
    @property
    def rank(self) -> _Dimension: ...
    def __iter__(self) -> Iterator[_Dimension]: ...


class _Node(Protocol):
    def get_friendly_name(self) -> str: ...
    def get_type_name(self) -> str: ...
    def input_value(self, index: int) -> _Port: ...


class _Port(Protocol):
    names: set[str]
    partial_shape: _Shape

    def get_element_type(self) -> _Type: ...
    def get_node(self) -> _Node: ...


class _Text(Protocol):
    value: object


class _Graph(Protocol):
    inputs: Sequence[_Port]
    outputs: Sequence[_Port]

    def has_rt_info(self, path: list[str]) -> bool: ...
    def get_rt_info(self, path: list[str]) -> _Text: ...


class _Tensor(Protocol):
    shape: Sequence[int]


class _Request(Protocol):
    def set_input_tensor(self, tensor: _Tensor) -> None: ...
    def set_output_tensor(self, tensor: _Tensor) -> None: ...
    def get_output_tensor(self) -> _Tensor: ...
    def infer(self, *, share_outputs: bool) -> object: ...
    def reset_state(self) -> None: ...


class _Compiled(Protocol):
    def create_infer_request(self) -> _Request: ...


_Binding = tuple[_Tensor, _Tensor]


class OpenVinoBackend(ComputeBackend):
    """Runs ONNX, OpenVINO IR and TFLite models; ``openvino`` is imported on first use.

    It computes in f32 also where the processor would be faster in fewer bits. The package's
    telemetry is kept from starting, which is possible only where nobody has imported it before.

    Args:
        threads: Threads that one call may use.
    """

    name = "openvino"

    def __init__(self, threads: int = 1) -> None:
        self.threads = require_whole("threads", threads)

    def capabilities(self) -> BackendCapabilities:
        """Return what OpenVINO's CPU device keeps as it is: no s64, u64 and f64."""
        return BackendCapabilities(False, None, _TAKES)

    def engine(self) -> str:
        """Import OpenVINO; its version."""
        return f"openvino {_import().__version__}"

    def load_model(self, artifact: ModelArtifact) -> OpenVinoModel:
        """Load a model; the weights of an IR lie beside ``artifact.path``, named ``.bin``.

        Class names are what an ONNX or a TFLite file has as its metadata ``labels``, and an IR as
        its ``model_info/labels``, parted by spaces.
        """
        openvino = _import()
        try:
            graph, labels_text = _read(openvino, artifact)
            compiled: _Compiled = openvino.Core().compile_model(
                graph,
                "CPU",
                {
                    "NUM_STREAMS": 1,
                    "INFERENCE_NUM_THREADS": self.threads,
                    "INFERENCE_PRECISION_HINT": "f32",
                    "ENABLE_CPU_PINNING": False,
                },
            )
        except Exception as error:
            raise not_loadable(artifact, "OpenVINO", _reason(error), _FILES) from error
        return OpenVinoModel(openvino, graph, compiled, artifact.label, labels_text)


class OpenVinoModel(BoundModel[_Binding]):
    """A model compiled by OpenVINO.

    There is one request, whose tensors are set anew when a call comes with other arrays than the
    one before: state that a model keeps between calls is the same for all of them.
    """

    def __init__(
        self,
        openvino: ModuleType,
        graph: _Graph,
        compiled: _Compiled,
        label: str,
        labels_text: str | None,
    ) -> None:
        inputs = [_port(port) for port in graph.inputs]
        outputs = [_port(port) for port in graph.outputs]
        super().__init__(inputs, outputs, label, labels_text, self._infer, _TAKES)
        self._openvino, self._compiled = openvino, compiled
        self._request = compiled.create_infer_request()
        self._types = [p.get_element_type() for p in (*graph.inputs, *graph.outputs)]
        self._set: _Binding | None = None
        # OpenVINO tells an input and an output that are one tensor apart by nothing.
        self._hands_through = any(
            port.get_node().input_value(0).get_node().get_type_name() == "Parameter"
            for port in graph.outputs
        )
        self._shapes: set[tuple[int, ...]] = set()

    def reset(self) -> None:
        """Forget what the model keeps between calls."""
        self._request.reset_state()

    def _infer(self, binding: _Binding) -> None:
        if self._hands_through:
            return
        request = self._request
        if binding is not self._set:
            self._set = None
            request.set_input_tensor(binding[0])
            request.set_output_tensor(binding[1])
            self._set = binding
        request.infer(share_outputs=True)

    def _bind(self, inp: Array, out: Array) -> _Binding:
        in_shape = self._engine_shape(self.metadata.inputs[0][0], inp)
        out_shape = self._engine_shape(self.metadata.outputs[0][0], out)
        takes, gives = (
            self._openvino.Tensor(_bytes_of(array), self._openvino.Shape(shape), kind)
            for array, shape, kind in zip(
                (inp, out), (in_shape, out_shape), self._types, strict=True
            )
        )
        if in_shape not in self._shapes and not self._hands_through:
            self._try_shape(takes, out_shape)
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes.add(in_shape)
        return takes, gives

    def _try_shape(self, takes: _Tensor, wanted: tuple[int, ...]) -> None:
        """Have a request of its own answer once: one with a set output hides a wrong shape."""
        request = self._compiled.create_infer_request()
        request.set_input_tensor(takes)
        request.infer(share_outputs=True)
        shape = tuple(request.get_output_tensor().shape)
        if shape != wanted:
            raise ValueError(f"the output has shape {list(shape)}")

    def _wrote_in_place(self, binding: _Binding, out: Array) -> bool:
        return not self._hands_through

    def _copy_result(self, binding: _Binding, inp: Array, out: Array) -> None:
        ctypes.memmove(pointer(out), pointer(inp), out.nbytes)

    def _reason(self, error: Exception) -> str:
        return _reason(error)


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Have OpenVINO not find the package that writes to the home folder and sends.

    Imported with OpenVINO, it would report the import; where it is missing, OpenVINO does without.
    """
    real = sys.modules.get(_TELEMETRY)
    # What Python's import system documents as making an import fail.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if real is not None:
            sys.modules[_TELEMETRY] = real


def _import() -> ModuleType:
    with _without_telemetry():
        return import_engine("openvino", "openvino", "openvino")


def _read(openvino: ModuleType, artifact: ModelArtifact) -> tuple[_Graph, str | None]:
    """Read a model's graph and the text of its labels."""
    data = artifact.data
    if not data:
        raise ValueError("it is empty")
    if data[4:8] == b"TFL3":
        labels_text = read_tflite(data).labels_text
        with TemporaryDirectory(prefix="limen-") as folder:
            # This front end reads files alone, and knows them by their ending.
            copy = Path(folder) / "model.tflite"
            copy.write_bytes(data)
            return _convert(openvino, "tflite", str(copy)), labels_text
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        graph: _Graph = openvino.Core().read_model(data, _weights_beside(artifact.path))
    elif b"location" not in data:
        graph = _convert(openvino, "onnx", io.BytesIO(data))
    else:
        graph = _onnx_with_weights_beside(openvino, artifact)
    return graph, _labels(graph)


def _convert(openvino: ModuleType, framework: str, source: str | io.BytesIO) -> _Graph:
    front_end = openvino.frontend.FrontEndManager().load_by_framework(framework)
    # Without mapping: a file that is written anew must not change a model that runs.
    graph: _Graph = front_end.convert(front_end.load(source, False))
    return graph


def _onnx_with_weights_beside(openvino: ModuleType, artifact: ModelArtifact) -> _Graph:
    """Read by path what may name files: OpenVINO keeps those inside the folder only so."""
    if artifact.path is None:
        with TemporaryDirectory(prefix="limen-") as folder:
            copy = Path(folder) / "model.onnx"
            copy.write_bytes(artifact.data)
            return _convert(openvino, "onnx", str(copy))
    path = artifact.path.resolve()
    graph = _convert(openvino, "onnx", str(path))
    if hashlib.sha256(path.read_bytes()).hexdigest() != artifact.sha256:
        raise ValueError("the file has changed since it was read")
    return graph


def _weights_beside(path: Path | None) -> bytes:
    """Read the weights of an IR; one without any has no file for them."""
    if path is None:
        return b""
    weights = path.with_suffix(".bin")
    if not weights.exists():
        return b""
    if weights.resolve().parent not in (path.parent.resolve(), path.resolve().parent):
        raise ValueError(f"its weights {weights.name!r} lie outside its folder")
    return weights.read_bytes()


def _labels(graph: _Graph) -> str | None:
    if graph.has_rt_info(["framework", "labels"]):
        return str(graph.get_rt_info(["framework", "labels"]).value)
    if graph.has_rt_info(["model_info", "labels"]):
        return json.dumps(str(graph.get_rt_info(["model_info", "labels"]).value).split())
    return None


def _port(port: _Port) -> EnginePort:
    kind = port.get_element_type().get_type_name()
    name = min(port.names, default=port.get_node().get_friendly_name())
    if port.partial_shape.rank.is_dynamic:
        return EnginePort(name, f"{kind} of any rank", None, ())
    shape = tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape)
    return EnginePort(name, kind, _NUMBERS.get(kind), shape)


def _bytes_of(array: Array) -> Array:
    """Return an array's memory as bytes; OpenVINO takes neither read-only arrays nor bf16."""
    memory = (ctypes.c_uint8 * array.nbytes).from_address(pointer(array))
    return np.frombuffer(memoryview(memory), np.uint8)


def _reason(error: Exception) -> str:
    """Keep what OpenVINO says last, without the places in its sources."""
    lines = [line.strip() for line in message_of(error).splitlines()]
    said = [
        line for line in lines if line and not line.startswith(("Exception from src", "Check '"))
    ]
    return (said or [line for line in lines if line] or [type(error).__name__])[-1]
