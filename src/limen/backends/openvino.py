"""ONNX and OpenVINO IR models run by OpenVINO on the CPU, reading and writing slots in place."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Protocol

import numpy as np

from limen.backends._bound import BoundModel, pointer
from limen.backends._engine import Array, not_loadable
from limen.backends._openvino_graph import (
    Graph,
    describe_port,
    import_openvino,
    read_graph,
    reason_of,
)
from limen.backends._ports import EnginePort
from limen.backends._signal_stack import signal_stack_kept
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.types import DataType, require_whole

__all__ = ["OpenVinoBackend", "OpenVinoModel"]

_TAKES = frozenset(DataType) - {DataType.S64, DataType.U64, DataType.F64}
_FILES = "a complete ONNX or OpenVINO IR file, an IR with its .bin beside it,"
_MAX_SHAPES = 1024


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
    """Runs ONNX and OpenVINO IR models; the package ``openvino`` is imported on first use.

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
        return f"openvino {import_openvino().__version__}"

    def load_model(self, artifact: ModelArtifact) -> OpenVinoModel:
        """Load a model; the weights of an IR lie beside ``artifact.path``, named ``.bin``.

        Class names are the metadata ``labels`` of an ONNX file, and the ``model_info/labels`` of an
        IR, parted by spaces.
        """
        openvino = import_openvino()
        try:
            graph, labels_text = read_graph(openvino, artifact)
            inputs, outputs = (
                [describe_port(p) for p in ps] for ps in (graph.inputs, graph.outputs)
            )
            runner = _Runner(openvino, graph, self.threads)
        except Exception as error:
            raise not_loadable(artifact, "OpenVINO", reason_of(error), _FILES) from error
        return OpenVinoModel(runner, inputs, outputs, artifact.label, labels_text)


class _Runner:
    """Runs one request, whose tensors are set anew when a call comes with others than before."""

    def __init__(self, openvino: ModuleType, graph: Graph, threads: int) -> None:
        self._openvino, self._graph, self._threads = openvino, graph, threads
        self._types = [p.get_element_type() for p in (*graph.inputs, *graph.outputs)]
        # An input and an output that are one tensor are one to OpenVINO: it leaves `out` alone.
        self.hands_through = any(
            port.get_node().input_value(0).get_node().get_type_name() == "Parameter"
            for port in graph.outputs
        )
        self._renew()

    def _renew(self) -> None:
        """Compile the graph; anew after a failed call, which leaves wrong shapes behind."""
        options = {
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        with signal_stack_kept():
            # A core of its own: one that has failed keeps wrong shapes for what it compiles next.
            core = self._openvino.Core()
            self._compiled: _Compiled = core.compile_model(self._graph, "CPU", options)
        self._request = self._compiled.create_infer_request()
        self._set: _Binding | None = None
        self._shapes: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def reset(self) -> None:
        self._request.reset_state()

    def make_call(self, binding: _Binding) -> Callable[[], None]:
        return functools.partial(self._run, binding)

    def _run(self, binding: _Binding) -> None:
        if self.hands_through:
            return
        request = self._request
        try:
            if binding is not self._set:
                self._set = None
                request.set_input_tensor(binding[0])
                request.set_output_tensor(binding[1])
                self._set = binding
            request.infer(share_outputs=True)
        except Exception:
            self._renew()
            raise

    def bind(
        self, inp: Array, in_shape: tuple[int, ...], out: Array, out_shape: tuple[int, ...]
    ) -> _Binding:
        """Make tensors over the memory of arrays, which have been checked."""
        takes, gives = (
            self._openvino.Tensor(_bytes_of(array), self._openvino.Shape(shape), kind)
            for array, shape, kind in zip(
                (inp, out), (in_shape, out_shape), self._types, strict=True
            )
        )
        shapes = (in_shape, out_shape)
        if shapes not in self._shapes and not self.hands_through:
            self._try_shape(takes, out_shape)
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes.add(shapes)
        return takes, gives

    def _try_shape(self, takes: _Tensor, wanted: tuple[int, ...]) -> None:
        """Have a request of its own answer once: one with a set output hides a wrong shape."""
        request = self._compiled.create_infer_request()
        try:
            request.set_input_tensor(takes)
            request.infer(share_outputs=True)
            shape = tuple(request.get_output_tensor().shape)
            if shape != wanted:
                raise ValueError(f"the output has shape {list(shape)}")
        except Exception:
            self._renew()
            raise


class OpenVinoModel(BoundModel[_Binding]):
    """A model compiled by OpenVINO.

    All calls go through one request: state that a model keeps between calls is the same for all,
    and is lost with a failed one.
    """

    def __init__(
        self,
        runner: _Runner,
        inputs: Sequence[EnginePort],
        outputs: Sequence[EnginePort],
        label: str,
        labels_text: str | None,
    ) -> None:
        # A method of the model itself would tie it and the engine's threads into a cycle.
        super().__init__(inputs, outputs, label, labels_text, runner.make_call, _TAKES)
        self._runner = runner

    def reset(self) -> None:
        """Forget what the model keeps between calls."""
        self._runner.reset()

    def _bind(self, inp: Array, out: Array) -> _Binding:
        in_shape = self._engine_shape(self.metadata.inputs[0][0], inp)
        return self._runner.bind(
            inp, in_shape, out, self._engine_shape(self.metadata.outputs[0][0], out)
        )

    def _wrote_in_place(self, binding: _Binding, out: Array) -> bool:
        return not self._runner.hands_through

    def _copy_result(self, binding: _Binding, inp: Array, out: Array) -> None:
        ctypes.memmove(pointer(out), pointer(inp), out.nbytes)

    def _reason(self, error: Exception) -> str:
        return reason_of(error)


def _bytes_of(array: Array) -> Array:
    """Return an array's memory as bytes; OpenVINO takes neither read-only arrays nor bf16."""
    memory = (ctypes.c_uint8 * array.nbytes).from_address(pointer(array))
    return np.frombuffer(memoryview(memory), np.uint8)
