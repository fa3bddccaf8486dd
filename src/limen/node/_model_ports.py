"""What a model's metadata says of its node: names of ports, a fixed batch, what a swap compares."""

from __future__ import annotations

import re

from limen.compute import ModelMetadata
from limen.errors import ModelMismatchError


def shape_of(metadata: ModelMetadata) -> tuple[tuple[str, object, object], ...]:
    """Return what two models must have in common; names of classes may differ."""
    return tuple(
        (name, spec.dtype, spec.shape) for name, spec in (*metadata.inputs, *metadata.outputs)
    )


def common_batch(metadata: ModelMetadata, label: str) -> int:
    """Return the length that the first axes of a model's tensors share."""
    specs = [spec for _, spec in (*metadata.inputs, *metadata.outputs)]
    lengths = {spec.shape[0] if spec.shape else None for spec in specs}
    length = lengths.pop() if len(lengths) == 1 else None
    if metadata.max_batch != 1 or not isinstance(length, int):
        raise ModelMismatchError(
            f"model {label!r} has no batch axis of one fixed length",
            remedy="leave first_axis_is_batch out",
        )
    return length


def port_name(name: str) -> str:
    """Turn a tensor name of a model file into a port name: ``[a-z][a-z0-9_]*``."""
    cleaned = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    return cleaned if cleaned[:1].isalpha() else f"port_{cleaned}"
