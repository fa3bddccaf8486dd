"""ONNX models run by ONNX Runtime on the CPU, reading and writing slots in place."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Protocol

from limen.backends._bound import BoundModel, pointer
from limen.backends._engine import Array, import_engine, message_of, not_loadable
from limen.backends._ports import EnginePort
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.errors import InvalidArtifactError
from limen.types import DataType, TensorSpec, require_whole

__all__ = ["OnnxRuntimeBackend", "OnnxRuntimeModel"]

_Bind = Callable[[str, str, int, object, tuple[int, ...], int], None]
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
    _iobinding: object
    bind_input: _Bind
    bind_output: _Bind

    def get_outputs(self) -> Sequence[_Value]: ...


class _ModelMeta(Protocol):
    custom_metadata_map: Mapping[str, str]


class _Inner(Protocol):
    def run_with_iobinding(self, binding: object, options: object) -> None: ...


class _Session(Protocol):
    _sess: _Inner

    def get_inputs(self) -> Sequence[_Tensor]: ...
    def get_outputs(self) -> Sequence[_Tensor]: ...
    def get_modelmeta(self) -> _ModelMeta: ...
    def io_binding(self) -> _Binding: ...
    def run_with_iobinding(self, binding: _Binding, run_options: object) -> None: ...


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

    def engine(self) -> str:
        """Import ONNX Runtime; its version and what it can run on."""
        onnxruntime = _import()
        providers = ", ".join(onnxruntime.get_available_providers())
        return f"onnxruntime {onnxruntime.__version__} ({providers})"

    def load_model(self, artifact: ModelArtifact) -> OnnxRuntimeModel:
        """Load a model; weights in files of their own are looked for beside ``artifact.path``."""
        session = _open(artifact, self.threads)
        try:
            return OnnxRuntimeModel(session, artifact.label, _run_options())
        except UnicodeDecodeError as error:
            raise _not_loadable(artifact, "a name in it is not UTF-8") from error


class OnnxRuntimeModel(BoundModel[_Binding]):
    """A model in an ONNX Runtime session.

    Args:
        session: Where the model is loaded.
        label: What errors call it.
        options: What every call is given; without it, each would make its own.
    """

    def __init__(self, session: _Session, label: str, options: object) -> None:
        super().__init__(
            [_port(tensor) for tensor in session.get_inputs()],
            [_port(tensor) for tensor in session.get_outputs()],
            label,
            session.get_modelmeta().custom_metadata_map.get("labels"),
            _call_maker(session, options),
        )
        self._session = session

    def _bind(self, inp: Array, out: Array) -> _Binding:
        (in_name, in_spec), (out_name, out_spec) = self.metadata.inputs[0], self.metadata.outputs[0]
        in_shape, out_shape = self._engine_shape(in_name, inp), self._engine_shape(out_name, out)
        in_type, out_type = _element_type(in_spec), _element_type(out_spec)
        binding = self._session.io_binding()
        binding.bind_input(in_name, "cpu", 0, in_type, in_shape, pointer(inp))
        binding.bind_output(out_name, "cpu", 0, out_type, out_shape, pointer(out))
        return binding

    def _wrote_in_place(self, binding: _Binding, out: Array) -> bool:
        # A model that hands its input through returns the input's memory and leaves `out` alone.
        result = binding.get_outputs()[0]
        if result.data_ptr() == pointer(out):
            return True
        wanted = self._engine_shape(self.metadata.outputs[0][0], out)
        if tuple(result.shape()) != wanted:
            raise ValueError(f"the output has shape {list(result.shape())}")
        return False

    def _copy_result(self, binding: _Binding, inp: Array, out: Array) -> None:
        ctypes.memmove(pointer(out), binding.get_outputs()[0].data_ptr(), out.nbytes)

    def _reason(self, error: Exception) -> str:
        return _reason(error)


def _import() -> ModuleType:
    return import_engine("onnxruntime", "onnxruntime", "onnx")


def _open(artifact: ModelArtifact, threads: int) -> _Session:
    onnxruntime = _import()
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
        raise not_loadable(
            artifact, "ONNX Runtime", _reason(error), "a complete ONNX file"
        ) from error
    return session


def _run_options() -> object:
    options = _import().RunOptions()
    options.log_severity_level = 4
    return options


def _call_maker(session: _Session, options: object) -> Callable[[_Binding], Callable[[], None]]:
    """Return what makes a binding into a call, past the package's Python where that is possible.

    ``run_with_iobinding`` only hands on to an object whose name is not public. So it is tried, on a
    binding of nothing, which the engine refuses without running; the public method does as well.
    """

    def through_package(binding: _Binding) -> Callable[[], None]:
        return functools.partial(session.run_with_iobinding, binding, options)

    def direct(binding: _Binding) -> Callable[[], None]:
        return functools.partial(run, binding._iobinding, options)

    try:
        run, nothing = session._sess.run_with_iobinding, session.io_binding()._iobinding
        run(nothing, options)
    except (AttributeError, TypeError):
        return through_package
    except Exception:
        return direct
    return direct


def _not_loadable(artifact: ModelArtifact, reason: str) -> InvalidArtifactError:
    return not_loadable(artifact, "ONNX Runtime", reason, "a complete ONNX file")


def _port(tensor: _Tensor) -> EnginePort:
    found = re.fullmatch(r"tensor\((\w+)\)", tensor.type)
    return EnginePort(tensor.name, tensor.type, found and found[1], tuple(tensor.shape))


def _element_type(spec: TensorSpec) -> object:
    return _ONNX_BFLOAT16 if spec.dtype is DataType.BF16 else spec.dtype.numpy_dtype().type


def _reason(error: Exception) -> str:
    """Keep what ONNX Runtime says, in one line without its status codes and source places."""
    text = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Status Message: ", message_of(error))[-1]
    text = re.sub(r"^Load model from .*? failed:\s*", "", text)
    return (text.strip().splitlines() or [type(error).__name__])[0]
