"""What engines say of a model's tensors, made into the metadata that all backends give."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from limen.compute import ModelMetadata
from limen.errors import ConfigurationError, InvalidArtifactError, ModelMismatchError
from limen.types import DataType, TensorSpec, describe_spec


@dataclass(frozen=True, slots=True)
class EnginePort:
    """One input or output as the engine describes it.

    Attributes:
        name: The tensor's name.
        kind: The engine's word for its type, as errors show it.
        dtype: Short, NumPy or ONNX name of its element type; None if it is no tensor of numbers.
        shape: Its axes: a length, or for a free one its name, None where it has none.
    """

    name: str
    kind: str
    dtype: str | None
    shape: tuple[int | str | None, ...]

    @property
    def is_dynamic(self) -> bool:
        """Whether the first axis is of any length."""
        return bool(self.shape) and not isinstance(self.shape[0], int)

    @property
    def has_batch_axis(self) -> bool:
        """Whether the first axis counts items: a free one does, and one of length 1."""
        return self.is_dynamic or self.shape[:1] == (1,)


def read_metadata(
    inputs: Sequence[EnginePort],
    outputs: Sequence[EnginePort],
    label: str,
    labels_text: str | None = None,
) -> ModelMetadata:
    """Make a model's metadata; called once when it is loaded.

    Args:
        inputs: In the model's order.
        outputs: Likewise.
        label: What errors call the model.
        labels_text: Class names of the first output, a JSON list; None where the file has none.

    Raises:
        ModelMismatchError: A port is no tensor of numbers, or only some have a batch axis.
        InvalidArtifactError: The labels do not fit.
    """
    ports = (*inputs, *outputs)
    dynamic = [port for port in ports if port.is_dynamic]
    if dynamic and len(dynamic) < len(ports):
        other = next(port for port in ports if not port.is_dynamic)
        raise ModelMismatchError(
            f"model {label!r}: {dynamic[0].name!r} has a batch axis of any length and "
            f"{other.name!r} has none",
            remedy="export it with a free first axis in every input and output, or in none",
        )
    in_specs = tuple((port.name, _spec(port, label)) for port in inputs)
    out_specs = tuple((port.name, _spec(port, label)) for port in outputs)
    if labels_text is not None and out_specs:
        name, spec = out_specs[0]
        out_specs = ((name, _with_labels(spec, labels_text, label)), *out_specs[1:])
    return ModelMetadata(in_specs, out_specs, None if dynamic else 1)


def _spec(port: EnginePort, label: str) -> TensorSpec:
    """Read a port's spec, without the batch axis."""
    try:
        if port.dtype is None:
            raise ConfigurationError("not a tensor of numbers")
        shape = tuple(
            a if isinstance(a, int) else _axis_name(a, i) for i, a in enumerate(port.shape)
        )
        return TensorSpec(DataType.from_name(port.dtype), shape[1 if port.has_batch_axis else 0 :])
    except ConfigurationError as error:
        raise ModelMismatchError(
            f"model {label!r}: {port.name!r} is {port.kind}: {error.message}",
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
