"""A model as C."""

from __future__ import annotations

from dataclasses import dataclass

from limen.types import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelC:
    """A model as one C file and its header.

    Its entry is ``void ENTRY(uint64_t *arena, const T *in0, …, T *out0, …)``: inputs, then outputs,
    in the model's order, each flat in C order; booleans are bytes of 0 and 1. Inputs, outputs and
    arena must not overlap. The arena is the caller's and holds nothing between calls: models that
    are called in turn may share one. Where ``arena_bytes`` is 0 it may be NULL.

    Attributes:
        source: Text of ``ENTRY.c``; all its names but ``ENTRY`` are its own.
        header: Text of ``ENTRY.h``.
        entry: The function.
        inputs: Name and type of each, the batch axis included.
        outputs: Likewise.
        weights_bytes: Bytes of its constants in the object file.
        arena_bytes: Bytes of the arena, a multiple of 8; 0 for a model without temporaries.
        temporaries_bytes: Bytes of all temporaries, were each to have a place of its own.
        batch: Items of a call.
        is_free: Whether the model leaves its batch axis open.
        labels_text: Class names of the first output, a JSON list; None where the file has none.
        digest: SHA-256 of the model, in hexadecimal.
    """

    source: str
    header: str
    entry: str
    inputs: tuple[tuple[str, TensorSpec], ...]
    outputs: tuple[tuple[str, TensorSpec], ...]
    weights_bytes: int
    arena_bytes: int
    temporaries_bytes: int
    batch: int
    is_free: bool
    labels_text: str | None
    digest: str
