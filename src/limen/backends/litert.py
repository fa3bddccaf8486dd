"""TFLite models run by LiteRT on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple, Protocol

from limen.backends._engine import Array, EngineModel, import_engine, not_loadable, one_line
from limen.backends._tflite import TfliteFile, read_tflite
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.types import DataType, require_whole

__all__ = ["LiteRtBackend", "LiteRtModel"]

_TAKES = frozenset(DataType) - {DataType.BF16}
_MAX_INTERPRETERS = 8


class _Interpreter(Protocol):
    def allocate_tensors(self) -> None: ...
    def invoke(self) -> None: ...
    def reset_all_variables(self) -> None: ...
    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int]) -> None: ...
    def set_tensor(self, tensor_index: int, value: Array) -> None: ...
    def tensor(self, tensor_index: int) -> Callable[[], Array]: ...


class _Call(NamedTuple):
    """An interpreter made ready for calls of one shape, and what a call takes and gives."""

    interpreter: _Interpreter
    set_input: Callable[[int, Array], None]
    invoke: Callable[[], None]
    result: Callable[[], Array]
    result_shape: tuple[int, ...]


class LiteRtBackend(ComputeBackend):
    """Runs TFLite models on the CPU; the package ``ai-edge-litert`` is imported on first use.

    When the first model of a process is loaded, LiteRT says on standard error that it uses its
    CPU kernels, and gives no way to stop it.

    Args:
        threads: Threads that one call may use; 1 keeps it on the caller's.
    """

    name = "litert"

    def __init__(self, threads: int = 1) -> None:
        self.threads = require_whole("threads", threads)

    def capabilities(self) -> BackendCapabilities:
        """Return what LiteRT can do: every element type but bf16, any number of items."""
        return BackendCapabilities(False, None, _TAKES)

    def engine(self) -> str:
        """Import LiteRT; its version."""
        _import()
        version = import_engine("ai_edge_litert", "ai-edge-litert", "litert").__version__
        return f"ai-edge-litert {version}"

    def load_model(self, artifact: ModelArtifact) -> LiteRtModel:
        """Load a model from the artifact's bytes; class names are its metadata ``labels``."""
        make = _import().Interpreter
        try:
            file = read_tflite(artifact.data)

            def interpreter() -> _Interpreter:
                made: _Interpreter = make(model_content=artifact.data, num_threads=self.threads)
                return made

            first = interpreter()
        except Exception as error:
            raise _not_loadable(artifact, error) from error
        model = LiteRtModel(file, interpreter, artifact.label)
        try:
            model.try_out(first)
        except Exception as error:
            raise _not_loadable(artifact, error) from error
        return model


class LiteRtModel(EngineModel):
    """A model in interpreters of LiteRT, one for each number of items that has come up.

    An interpreter owns the memory that it reads and writes, so a call copies its input in and its
    output out, once each, and makes nothing. Of more than eight different numbers of items, the one
    that came first is forgotten, and one that failed at once: it would repeat what it said with
    every later failure. State that a model keeps between calls is its interpreter's.
    """

    def __init__(self, file: TfliteFile, make: Callable[[], _Interpreter], label: str) -> None:
        inputs, outputs = [p.port for p in file.inputs], [p.port for p in file.outputs]
        super().__init__(inputs, outputs, label, file.labels_text, _TAKES)
        self._inputs, self._make = file.inputs, make
        self._output = file.outputs[0].index if file.outputs else 0
        self._calls: dict[tuple[tuple[int, ...], tuple[int, ...]], _Call] = {}
        self._whole = [p.name for p in inputs if not p.has_batch_axis]

    def try_out(self, interpreter: _Interpreter) -> None:
        """Have an interpreter plan a call of one item; one whose shapes are known is kept.

        Raises:
            Exception: The engine does not take the model.
        """
        specs = [spec for _, spec in (*self.metadata.inputs, *self.metadata.outputs)]
        if not all(spec.is_fixed for spec in specs):
            return
        if self.metadata.max_batch is None:
            for port, (_, spec) in zip(self._inputs, self.metadata.inputs, strict=True):
                interpreter.resize_tensor_input(port.index, (1, *spec.fixed_shape))
        interpreter.allocate_tensors()
        if len(self.metadata.inputs) == len(self.metadata.outputs) == 1:
            takes, gives = ((1, *spec.fixed_shape) for spec in specs)
            self._keep(interpreter, takes, gives)

    def infer_batch(self, inp: Array, out: Array) -> None:
        """Run the model on neighbouring items; one copy in and one out."""
        call = self._calls.get((inp.shape, out.shape))
        in_dtype, out_dtype = self._dtypes
        if (
            call is None
            or inp.dtype != in_dtype
            or out.dtype != out_dtype
            or not inp.flags.c_contiguous
            or not out.flags.carray
        ):
            self._check_call(inp, out)
            call = call or self._prepare(inp, out)
        try:
            call.set_input(self._inputs[0].index, inp[0] if self._whole else inp)
            call.invoke()
            result = call.result()
        except Exception as error:
            self._calls.pop((inp.shape, out.shape), None)
            raise self._failed(error) from error
        if result.shape != call.result_shape:
            shape = list(result.shape)
            # The engine refuses to run as long as anyone has a view of its memory.
            del result
            raise self._failed(ValueError(f"the output has shape {shape}"))
        out[...] = result

    def reset(self) -> None:
        """Forget what the model keeps between calls."""
        for call in self._calls.values():
            call.interpreter.reset_all_variables()

    def _prepare(self, inp: Array, out: Array) -> _Call:
        """Make an interpreter ready for arrays of these shapes, which have been checked."""
        try:
            if len(self._calls) >= _MAX_INTERPRETERS:
                interpreter = self._calls.pop(next(iter(self._calls))).interpreter
            else:
                interpreter = self._make()
            shape = self._engine_shape(self.metadata.inputs[0][0], inp)
            interpreter.resize_tensor_input(self._inputs[0].index, shape)
            interpreter.allocate_tensors()
        except Exception as error:
            raise self._failed(error) from error
        return self._keep(interpreter, inp.shape, out.shape)

    def _keep(
        self, interpreter: _Interpreter, takes: tuple[int, ...], gives: tuple[int, ...]
    ) -> _Call:
        name = self.metadata.outputs[0][0]
        call = self._calls[takes, gives] = _Call(
            interpreter,
            interpreter.set_tensor,
            interpreter.invoke,
            interpreter.tensor(self._output),
            gives if self._has_batch_axis[name] else gives[1:],
        )
        return call


def _import() -> ModuleType:
    return import_engine("ai_edge_litert.interpreter", "ai-edge-litert", "litert")


def _not_loadable(artifact: ModelArtifact, error: Exception) -> Exception:
    return not_loadable(artifact, "LiteRT", one_line(error), "a complete TFLite file")
