"""What the models of all engines share: the checks of a call, and the words of errors."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from limen.backends._ports import EnginePort, read_metadata
from limen.compute import ComputeModel, ModelArtifact
from limen.errors import Code, InferenceError, InvalidArtifactError, ModelMismatchError
from limen.types import DataType, TensorSpec, describe_spec

Array = NDArray[np.generic]


class EngineModel(ComputeModel):
    """A model in an engine's hands.

    Args:
        inputs: Its inputs, in the model's order.
        outputs: Its outputs, likewise.
        label: What errors call it.
        labels_text: Class names of the first output, a JSON list; None where the file has none.
        takes: Element types that the engine keeps as they are.
    """

    def __init__(
        self,
        inputs: Sequence[EnginePort],
        outputs: Sequence[EnginePort],
        label: str,
        labels_text: str | None = None,
        takes: frozenset[DataType] = frozenset(DataType),
    ) -> None:
        self.metadata = read_metadata(inputs, outputs, label, labels_text)
        for name, spec in (*self.metadata.inputs, *self.metadata.outputs):
            if spec.dtype not in takes:
                raise ModelMismatchError(
                    f"model {label!r}: {name!r} is {spec.dtype.value}, which this engine does not "
                    "keep as it is",
                    remedy="use a model of " + ", ".join(t.value for t in DataType if t in takes),
                )
        self._label = label
        self._dtypes = tuple(
            ports[0][1].dtype.numpy_dtype() if ports else None
            for ports in (self.metadata.inputs, self.metadata.outputs)
        )
        self._has_batch_axis = {p.name: p.has_batch_axis for p in (*inputs, *outputs)}

    def _check_call(self, inp: Array, out: Array) -> None:
        """Refuse arrays that are not of the model's one input and one output."""
        inputs, outputs = self.metadata.inputs, self.metadata.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelMismatchError(
                f"model {self._label!r} has {len(inputs)} inputs and {len(outputs)} outputs",
                remedy="use a model with one input and one output",
            )
        self._check(*inputs[0], inp, len(inp))
        self._check(*outputs[0], out, len(inp))
        if not out.flags.writeable:
            raise self._failed(ValueError("the output array is read-only"))

    def _check(self, name: str, spec: TensorSpec, array: Array, items: int) -> None:
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

    def _engine_shape(self, name: str, array: Array) -> tuple[int, ...]:
        """Return the shape that the engine sees: without the items where it knows none."""
        return array.shape if self._has_batch_axis[name] else array.shape[1:]

    def _failed(self, error: Exception) -> InferenceError:
        text = f"model {self._label!r} failed: {self._reason(error)}"
        return InferenceError(text, code=Code.INFERENCE_FAILED)

    def _reason(self, error: Exception) -> str:
        """Say in one line what the engine said; engines with manners of their own override it."""
        return one_line(error)


def import_engine(module: str, package: str, extra: str) -> ModuleType:
    """Import an engine on first use.

    Args:
        module: What to import.
        package: What errors call it: the package as it is installed.
        extra: The extra of Limen that brings it.

    Raises:
        InferenceError: RESOURCE_UNAVAILABLE: it is not installed, or broken.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise InferenceError(
            f"{package} " + ("is not installed" if missing else f"fails: {one_line(error)}"),
            code=Code.RESOURCE_UNAVAILABLE,
            remedy=f"pip install limen[{extra}]",
        ) from error


def not_loadable(
    artifact: ModelArtifact, engine: str, reason: str, files: str
) -> InvalidArtifactError:
    """Make the error for what is no model, or none that this engine knows.

    Args:
        artifact: What was to be loaded.
        engine: The engine's name, as prose has it.
        reason: What is wrong, in one line.
        files: What would be right: "a complete … file".
    """
    return InvalidArtifactError(
        f"model {artifact.label!r} is not a model that {engine} can load: {reason}",
        remedy=f"give {files} whose operators this version of {engine} knows",
    )


def message_of(error: Exception) -> str:
    """Return what an engine said, even if its bytes were not UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "replace")
    return str(error)


def one_line(error: Exception) -> str:
    """Return the first line of what an engine said; its kind where it said nothing."""
    return (message_of(error).strip().splitlines() or [type(error).__name__])[0]
