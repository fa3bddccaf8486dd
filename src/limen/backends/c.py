"""ONNX models compiled to C for this machine: the same code that a firmware runs."""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import shutil
import subprocess
import sysconfig
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from limen.backends._bound import pointer
from limen.backends._engine import Array, EngineModel, import_engine, not_loadable, one_line
from limen.backends._ports import EnginePort
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.errors import Code, GraphError, InferenceError
from limen.onnx_c import ModelC, compile_model
from limen.types import DataType, TensorSpec, require_whole

__all__ = ["CBackend", "CModel"]

_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-w")
_TAKES = frozenset(DataType) - {DataType.F16, DataType.BF16}
_ENTRY = "limen_model"
_MOST_BUILT = 8


class CBackend(ComputeBackend):
    """Compiles ONNX models to C and runs them; needs a C compiler, and the extra ``mcu``.

    A batch is computed item by item, in the caller's thread and without the interpreter's lock, so
    that results are what a firmware computes.

    Args:
        threads: Threads that one call may use; a call uses one, whatever is given.
    """

    name = "c"

    def __init__(self, threads: int = 1) -> None:
        self.threads = require_whole("threads", threads)

    def capabilities(self) -> BackendCapabilities:
        """Return what C can do: element types of 8 to 64 bits that it knows, any batch."""
        return BackendCapabilities(False, None, _TAKES)

    def engine(self) -> str:
        """Import the model compiler; its version, and the C compiler."""
        version = import_engine("importlib.metadata", "", "").version("emx-onnx-cgen")
        return f"emx-onnx-cgen {version} ({_compiler()})"

    def load_model(self, artifact: ModelArtifact) -> CModel:
        """Compile a model and load it."""
        import_engine("emx_onnx_cgen", "emx-onnx-cgen", "mcu")
        try:
            model, code = _build(artifact.data, _compiler())
        except (GraphError, _CompilerError) as error:
            said = error.message if isinstance(error, GraphError) else str(error)
            raise not_loadable(artifact, "the C backend", said, _FILES) from error
        return CModel(model, _load(code, artifact), artifact.label)


class _CompilerError(Exception):
    """What a C compiler said."""


class CModel(EngineModel):
    """A model as machine code.

    Args:
        model: Its C form.
        library: Where it is loaded.
        label: What errors call it.
    """

    def __init__(self, model: ModelC, library: ctypes.CDLL, label: str) -> None:
        inputs = [_port(name, spec, model.is_free) for name, spec in model.inputs]
        outputs = [_port(name, spec, model.is_free) for name, spec in model.outputs]
        super().__init__(inputs, outputs, label, model.labels_text, _TAKES)
        self._entry = getattr(library, model.entry)
        self._entry.restype = None
        self._entry.argtypes = [ctypes.c_void_p] * 3
        self._arena = np.zeros(max(model.arena_bytes // 8, 1), np.uint64)
        self._is_free = model.is_free
        weakref.finalize(self, _ctypes.dlclose, library._handle)

    def infer_batch(self, inp: Array, out: Array) -> None:
        """Run the model on neighbouring items, one by one where its batch axis is free."""
        self._check_call(inp, out)
        arena = pointer(self._arena)
        for taken, given in self._calls(inp, out):
            self._entry(arena, taken, given)

    def bind(self, inp: Array, out: Array) -> Callable[[], None]:
        """Return a call on two arrays; it looks nothing up."""
        self._check_call(inp, out)
        calls = self._calls(inp, out)
        arena = pointer(self._arena)
        if len(calls) == 1:
            # What the call needs has to stay where it is for as long as it may be made.
            return functools.partial(_call_one, self._entry, (arena, *calls[0]), (self, inp, out))
        return functools.partial(_call_all, self._entry, arena, calls, (self, inp, out))

    def _calls(self, inp: Array, out: Array) -> list[tuple[int, int]]:
        begin_in, begin_out = pointer(inp), pointer(out)
        if not self._is_free:
            return [(begin_in, begin_out)]
        size_in, size_out = inp.nbytes // len(inp), out.nbytes // len(out)
        return [(begin_in + i * size_in, begin_out + i * size_out) for i in range(len(inp))]


def _call_one(
    entry: Callable[[int, int, int], None], places: tuple[int, int, int], _: object
) -> None:
    entry(*places)


def _call_all(
    entry: Callable[[int, int, int], None], arena: int, calls: list[tuple[int, int]], _: object
) -> None:
    for taken, given in calls:
        entry(arena, taken, given)


_FILES = "a complete ONNX file of operators that have a C form"


def _port(name: str, spec: TensorSpec, is_free: bool) -> EnginePort:
    shape: tuple[int | str | None, ...] = spec.fixed_shape
    if is_free and shape:
        shape = ("batch", *shape[1:])
    return EnginePort(name, spec.dtype.onnx_type, spec.dtype.value, shape)


def _compiler() -> str:
    named = (sysconfig.get_config_var("CC") or "cc").split()[0]
    for command in (named, "gcc", "cc"):
        if (path := shutil.which(command)) is not None:
            return path
    raise InferenceError(
        "the backend c needs a C compiler, and none is installed",
        code=Code.RESOURCE_UNAVAILABLE,
        remedy="apt-get install gcc, or choose the backend onnxruntime",
    )


@functools.lru_cache(maxsize=_MOST_BUILT)
def _build(data: bytes, compiler: str) -> tuple[ModelC, bytes]:
    """Return a model and its machine code; a model may be loaded again and again."""
    model = compile_model(data, _ENTRY)
    with tempfile.TemporaryDirectory(prefix="limen-model-") as made:
        folder = Path(made)
        (folder / f"{model.entry}.c").write_text(model.source)
        (folder / f"{model.entry}.h").write_text(model.header)
        command = [compiler, *_FLAGS, "-o", "model.so", f"{model.entry}.c", "-lm"]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode:
            said = ran.stderr.strip().splitlines()
            raise _CompilerError(said[0] if said else f"the compiler ended with {ran.returncode}")
        return model, (folder / "model.so").read_bytes()


def _load(code: bytes, artifact: ModelArtifact) -> ctypes.CDLL:
    """Load a shared object from a file of its own: what two models load is not one library."""
    with tempfile.NamedTemporaryFile(prefix="limen-model-", suffix=".so") as file:
        file.write(code)
        file.flush()
        try:
            return ctypes.CDLL(file.name)
        except OSError as error:
            raise not_loadable(artifact, "the C backend", one_line(error), _FILES) from error
