"""ONNX models run by ONNX Runtime on the CPU, reading and writing slots in place."""

from __future__ import annotations

import ctypes
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from limen.compute import (
    BackendCapabilities,
    ComputeBackend,
    ComputeModel,
    ModelArtifact,
    ModelMetadata,
)
from limen.errors import (
    Code,
    ConfigurationError,
    InferenceError,
    InvalidArtifactError,
    ModelMismatchError,
)
from limen.types import DataType, TensorSpec, describe_spec, require_whole

__all__ = ["OnnxRuntimeBackend", "OnnxRuntimeModel"]

_Array = NDArray[np.generic]
_Bind = Callable[[str, str, int, object, tuple[int, ...], int], None]
_MAX_BINDINGS = 1024
_MAX_BOUND_BYTES = 256 << 20
_ONNX_BFLOAT16 = 16
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


class _Tensor(Protocol):
    name: str
    type: str
    shape: Sequence[int | str | None]


class _Value(Protocol):
    def data_ptr(self) -> int: ...
    def shape(self) -> Sequence[int]: ...


class _Binding(Protocol):
    bind_input: _Bind
    bind_output: _Bind

    def get_outputs(self) -> Sequence[_Value]: ...


class _ModelMeta(Protocol):
    custom_metadata_map: Mapping[str, str]


class _Session(Protocol):
    def get_inputs(self) -> Sequence[_Tensor]: ...
    def get_outputs(self) -> Sequence[_Tensor]: ...
    def get_modelmeta(self) -> _ModelMeta: ...
    def io_binding(self) -> _Binding: ...
    def run_with_iobinding(self, binding: _Binding) -> None: ...


_Entry = tuple[_Binding, _Array, _Array]


class OnnxRuntimeBackend(ComputeBackend):
    """Runs ONNX models on the CPU; the package ``onnxruntime`` is imported on first use.

    Args:
        threads: Threads that one call may use; 1 keeps it on the caller's.
    """

    name = "onnxruntime"

    def __init__(self, threads: int = 1) -> None:
        self.threads = require_whole("threads", threads)

    def capabilities(self) -> BackendCapabilities:
        """Return what ONNX Runtime can do: every element type, any number of items."""
        return BackendCapabilities(False, None, frozenset(DataType))

    def load_model(self, artifact: ModelArtifact) -> OnnxRuntimeModel:
        """Load a model; weights in files of their own are looked for beside ``artifact.path``."""
        return OnnxRuntimeModel(_open(artifact, self.threads), artifact.label)


class OnnxRuntimeModel(ComputeModel):
    """A model in an ONNX Runtime session.

    Calls are bound to the memory of ``inp`` and ``out``, and bindings are kept by address: with
    slots, which come round again, nothing is made in a call. The kept ones hold on to their arrays.
    """

    def __init__(self, session: _Session, label: str) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        tensors = (*inputs, *outputs)
        dynamic = _has_dynamic_batch(tensors, label)
        labels_text = session.get_modelmeta().custom_metadata_map.get("labels")
        in_specs = tuple((t.name, _spec(t, label)) for t in inputs)
        out_specs = tuple((t.name, _spec(t, label)) for t in outputs)
        if labels_text is not None and out_specs:
            name, spec = out_specs[0]
            out_specs = ((name, _with_labels(spec, labels_text, label)), *out_specs[1:])
        self.metadata = ModelMetadata(in_specs, out_specs, None if dynamic else 1)
        self._label, self._session = label, session
        self._run = session.run_with_iobinding
        self._has_batch_axis = {t.name: _has_batch_axis(t) for t in tensors}
        self._bindings: dict[tuple[int, int, int], _Entry] = {}
        self._bound_bytes = 0
        # A model that hands its input through returns the input's memory and leaves `out` alone.
        self._writes_in_place = True

    def infer_batch(self, inp: _Array, out: _Array) -> None:
        """Run the model on neighbouring items and write its output in place."""
        key = (_pointer(inp), _pointer(out), len(inp))
        entry = self._bindings.get(key)
        if entry is None:
            entry = self._infer_first(inp, out)
        else:
            try:
                self._run(entry[0])
            except Exception as error:
                raise self._failed(error) from error
        if not self._writes_in_place:
            ctypes.memmove(key[1], entry[0].get_outputs()[0].data_ptr(), out.nbytes)

    def _infer_first(self, inp: _Array, out: _Array) -> _Entry:
        """Check the arrays, bind them, run, and keep the binding if all went well."""
        inputs, outputs = self.metadata.inputs, self.metadata.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelMismatchError(
                f"model {self._label!r} has {len(inputs)} inputs and {len(outputs)} outputs",
                remedy="use a model with one input and one output",
            )
        (in_name, in_spec), (out_name, out_spec) = inputs[0], outputs[0]
        self._check(in_name, in_spec, inp, len(inp))
        self._check(out_name, out_spec, out, len(inp))
        if not out.flags.writeable:
            raise self._failed(ValueError("the output array is read-only"))
        in_shape = inp.shape if self._has_batch_axis[in_name] else inp.shape[1:]
        out_shape = out.shape if self._has_batch_axis[out_name] else out.shape[1:]
        in_type, out_type = _element_type(in_spec), _element_type(out_spec)
        try:
            binding = self._session.io_binding()
            binding.bind_input(in_name, "cpu", 0, in_type, in_shape, inp.ctypes.data)
            binding.bind_output(out_name, "cpu", 0, out_type, out_shape, out.ctypes.data)
            self._run(binding)
            result = binding.get_outputs()[0]
        except Exception as error:
            raise self._failed(error) from error
        if result.data_ptr() != out.ctypes.data:
            if tuple(result.shape()) != out_shape:
                raise self._failed(ValueError(f"the output has shape {list(result.shape())}"))
            self._writes_in_place = False
        size = inp.nbytes + out.nbytes
        if len(self._bindings) >= _MAX_BINDINGS or self._bound_bytes + size > _MAX_BOUND_BYTES:
            self._bindings.clear()
            self._bound_bytes = 0
        # The arrays are held so that no other array can come to lie at a kept address.
        entry = (binding, inp, out)
        self._bindings[inp.ctypes.data, out.ctypes.data, len(inp)] = entry
        self._bound_bytes += size
        return entry

    def _check(self, name: str, spec: TensorSpec, array: _Array, items: int) -> None:
        wanted = (items, *spec.shape)
        same = (isinstance(w, str) or w == n for w, n in zip(wanted, array.shape, strict=False))
        most = self.metadata.max_batch or items
        well_formed = array.dtype == spec.dtype.numpy_dtype() and array.flags.c_contiguous
        fits = array.ndim == len(wanted) and all(same) and 1 <= items <= most
        if not (fits and well_formed):
            raise ModelMismatchError(
                f"model {self._label!r}: {array.dtype.name}{list(array.shape)} does not fit "
                f"{items} x {name!r}, each {describe_spec(spec)}",
                remedy=f"give C-contiguous arrays of as many items, at most {most}",
            )

    def _failed(self, error: Exception) -> InferenceError:
        text = f"model {self._label!r} failed: {_reason(error)}"
        return InferenceError(text, code=Code.INFERENCE_FAILED)


def _open(artifact: ModelArtifact, threads: int) -> _Session:
    try:
        import onnxruntime
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise InferenceError(
            "onnxruntime " + ("is not installed" if missing else f"fails: {_reason(error)}"),
            code=Code.RESOURCE_UNAVAILABLE,
            remedy="pip install limen[onnx]",
        ) from error
    try:
        if not artifact.data:
            raise ValueError("it is empty")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        if artifact.path is not None:
            # The bytes that the digest is of, not what may lie there by now.
            folder = str(artifact.path.resolve().parent)
            options.add_session_config_entry(_EXTERNAL_FOLDER, folder)
        providers = ["CPUExecutionProvider"]
        session: _Session = onnxruntime.InferenceSession(
            artifact.data, options, providers=providers
        )
    except Exception as error:
        raise InvalidArtifactError(
            f"model {artifact.label!r} is not a model that ONNX Runtime can load: {_reason(error)}",
            remedy="give a complete ONNX file whose operators this version of ONNX Runtime knows",
        ) from error
    return session


def _has_dynamic_batch(tensors: Sequence[_Tensor], label: str) -> bool:
    dynamic = [t for t in tensors if t.shape and not isinstance(t.shape[0], int)]
    if dynamic and len(dynamic) < len(tensors):
        other = next(t for t in tensors if t not in dynamic)
        raise ModelMismatchError(
            f"model {label!r}: {dynamic[0].name!r} has a batch axis of any length and "
            f"{other.name!r} has none",
            remedy="export it with a free first axis in every input and output, or in none",
        )
    return bool(dynamic)


def _has_batch_axis(tensor: _Tensor) -> bool:
    return bool(tensor.shape) and (not isinstance(tensor.shape[0], int) or tensor.shape[0] == 1)


def _spec(tensor: _Tensor, label: str) -> TensorSpec:
    """Read a port's spec, without the batch axis."""
    found = re.fullmatch(r"tensor\((\w+)\)", tensor.type)
    try:
        if found is None:
            raise ConfigurationError("not a tensor")
        first = 1 if _has_batch_axis(tensor) else 0
        shape = tuple(
            a if isinstance(a, int) else _axis_name(a, i) for i, a in enumerate(tensor.shape)
        )
        return TensorSpec(DataType.from_name(found[1]), shape[first:])
    except ConfigurationError as error:
        raise ModelMismatchError(
            f"model {label!r}: {tensor.name!r} is {tensor.type}: {error.message}",
            remedy="use a model whose inputs and outputs are tensors of numbers",
        ) from error


def _axis_name(name: str | None, index: int) -> str:
    cleaned = re.sub(r"\W+", "_", name or "").strip("_")
    return cleaned if cleaned.isidentifier() else f"axis{index}{'_' if cleaned else ''}{cleaned}"


def _with_labels(spec: TensorSpec, text: str, label: str) -> TensorSpec:
    try:
        names = json.loads(text)
        if not (names and isinstance(names, list) and all(isinstance(n, str) for n in names)):
            raise ConfigurationError("not a list of strings")
        return TensorSpec(spec.dtype, spec.shape, tuple(names))
    except (ValueError, RecursionError) as error:
        reason = error.message if isinstance(error, ConfigurationError) else "not JSON"
        raise InvalidArtifactError(
            f"model {label!r}: its metadata 'labels' is wrong: {reason}",
            remedy=f"write a JSON list of strings, one for each entry of {describe_spec(spec)}",
        ) from error


def _element_type(spec: TensorSpec) -> object:
    return _ONNX_BFLOAT16 if spec.dtype is DataType.BF16 else spec.dtype.numpy_dtype().type


def _reason(error: Exception) -> str:
    """Keep what ONNX Runtime says, in one line without its status codes and source places."""
    text = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Status Message: ", str(error))[-1]
    text = re.sub(r"^Load model from .*? failed:\s*", "", text)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def _documented_pointer(array: _Array) -> int:
    return array.ctypes.data


def _direct_pointer(array: _Array) -> int:
    """Read the address where NumPy's C ABI puts it, right behind the object header."""
    return _read(id(array) + _HEADER).value


_read, _HEADER = ctypes.c_size_t.from_address, object.__basicsize__
_probe = np.zeros(8)[3:]
# ``ctypes.data`` builds objects and takes as long as a small layer, so it is the second choice.
_pointer = _documented_pointer
if sys.implementation.name == "cpython" and _direct_pointer(_probe) == _probe.ctypes.data:
    _pointer = _direct_pointer
