"""What keeps the last samples in C, for the nodes that look at several."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limen.node import CField
from limen.nodes import _c
from limen.types import TensorSpec


@dataclass(frozen=True, slots=True)
class SampleRing:
    """The ring of samples of a node.

    Attributes:
        keep: Keeps the sample that came and returns, unless a result is due; of that it sets the
            origin. ``self->head`` is where the oldest sample lies then.
        state: ``ring``, the samples one behind the other; ``head``; and what only ``keep`` reads.
        start: Begins a new first window.
    """

    keep: str
    state: tuple[CField, ...]
    start: str


def ring(node: str, sample: TensorSpec, size: int, stride: int) -> SampleRing:
    """Return the ring of a window.

    Results begin and end at multiples of what divides both size and stride, so that the oldest
    origin is kept of so many samples together, and not of each.

    Args:
        node: How errors name the node.
        sample: What arrives.
        size: Samples in a window.
        stride: Samples from one result to the next.
    """
    _c.require_count(node, "size", size)
    count, together = _c.count_of(sample), math.gcd(size, stride)
    blocks = size // together
    if blocks == 1:
        block_at, begins = "0", "self->head == 0"
    else:
        block_at, begins = f"self->head / {together}", f"self->head % {together} == 0"
    first = "origin < self->oldest"
    keep = [
        _c.copied(_c.plus("self->ring", _c.times("self->head", count)), "in", sample),
        "const limen_tick origin = call->headers[0]->origin;",
    ]
    if together == 1:
        keep.append("self->oldest[self->head] = origin;")
    else:
        keep.append(
            _c.block(f"if ({begins} || {first}[{block_at}])", f"self->oldest[{block_at}] = origin;")
        )
    keep += [
        f"self->head = self->head == {size - 1} ? 0 : self->head + 1;",
        "self->missing--;",
        _c.block("if (self->missing > 0)", _c.DONE),
        f"self->missing = {stride};",
        "call->header.origin = self->oldest[0];",
    ]
    if blocks > 1:
        keep.append(
            _c.block(
                f"for (uint32_t i = 1; i < {blocks}; i++)",
                _c.block(
                    "if (self->oldest[i] < call->header.origin)",
                    "call->header.origin = self->oldest[i];",
                ),
            )
        )
    return SampleRing(
        keep=_c.lines(*keep),
        state=(
            CField("limen_tick", "oldest", (blocks,)),
            CField("uint32_t", "head"),
            CField("uint32_t", "missing"),
            CField(sample.dtype.c_type, "ring", (size * count,)),
        ),
        start=_c.lines("self->head = 0;", f"self->missing = {size};"),
    )
