"""Which payloads are copied on their way, and when."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from limen.memory import Placement
from limen.node import NodeKind
from limen.policy import OverBudgetAction
from limen.scheduling._lower import gather_items
from limen.scheduling._plan import InputPlan, MessagePlan, NodePlan, OutputPlan, Plan
from limen.types import EdgeIndex, NodeIndex, ObjectSpec, TensorSpec

_COPIED_OBJECTS = (np.ndarray, bytearray, memoryview)


class CopyKind(enum.Enum):
    """Why a payload is copied.

    ``STORED`` and ``SCATTERED`` are results that go into slots, one by one or a batch whose slots
    are no neighbours; ``OutputStatistics.copies`` counts both. ``GATHERED`` and ``PADDED`` are
    batches whose slots are no neighbours, or that are filled up: ``NodeStatistics.gathers`` and
    ``padded``. ``OWNED`` are inputs of nodes that make objects: ``NodeStatistics.input_copies``.
    ``ADAPTED`` are payloads that a consumer cannot use where they lie.
    """

    STORED = "stored"
    SCATTERED = "scattered"
    GATHERED = "gathered"
    PADDED = "padded"
    OWNED = "owned"
    ADAPTED = "adapted"


@dataclass(frozen=True, slots=True)
class CopyNote:
    """One copy that a message can meet.

    Attributes:
        place: The edge on whose way it is made; of a result, ``node.port``.
        kind: Why.
        always: Whether every message is copied.
        when: When it is made, in words.
        size_bytes: Bytes of one such copy, at most; 0 for objects, whose size is not known.
        node: Who reads the copy; of a result, who made it.
        edge: The edge; None for a result.
    """

    place: str
    kind: CopyKind
    always: bool
    when: str
    size_bytes: int
    node: NodeIndex
    edge: EdgeIndex | None = None


def copies(plan: Plan) -> tuple[CopyNote, ...]:
    """List all copies that messages can meet: of results by node, then on edges.

    An edge that is in no note hands over what lies in the slots: zero-copy.
    """
    found = [
        note
        for node in plan.nodes
        for port in node.outputs
        for note in _of_output(node, port, any(plan.edges[e].is_feedback for e in port.edges))
    ]
    for edge in plan.edges:
        node = plan.nodes[edge.consumer.node]
        into = node.inputs[edge.consumer.port]
        made = list(_of_input(node, into, latch=edge.policy.is_latch))
        if edge.placement is Placement.ADAPT_REQUIRED:
            size = into.spec.size_bytes if isinstance(into.spec, TensorSpec) else 0
            when = "every message, as its consumer cannot use it where it lies"
            made.insert(0, (CopyKind.ADAPTED, True, when, size))
        found += [CopyNote(edge.name, *copy, node.index, edge.index) for copy in made]
    return tuple(found)


def _of_output(node: NodePlan, port: OutputPlan, begins: bool) -> Iterator[CopyNote]:
    place = f"{node.name}.{port.name}"
    if isinstance(port.spec, ObjectSpec):
        kind = port.spec.type
        if kind is object or issubclass(kind, _COPIED_OBJECTS):
            when = "every array and buffer"
            yield CopyNote(place, CopyKind.STORED, kind is not object, when, 0, node.index)
        return
    size = port.spec.size_bytes
    # What takes batches is handed the slots of its results.
    if not (node.node.writes_in_place or node.kind is NodeKind.MODEL):
        when = "every result, as its node does not write to the slot"
        yield CopyNote(place, CopyKind.STORED, True, when, size, node.index)
        return
    items = _batch(node)
    if node.kind is NodeKind.MODEL and items > 1:
        when = "results of a batch whose slots are no neighbours, or that is filled up"
        yield CopyNote(place, CopyKind.SCATTERED, False, when, items * size, node.index)
    if begins:
        when = "the initial messages of a feedback edge"
        yield CopyNote(place, CopyKind.STORED, False, when, size, node.index)
    instead = (node.budget.action, node.on_error)
    if OverBudgetAction.SKIP_STAGE in instead or any(
        isinstance(action, MessagePlan) for action in instead
    ):
        when = "what is emitted in place of a result"
        yield CopyNote(place, CopyKind.STORED, False, when, size, node.index)
    variant = node.variant
    if variant is not None and not (variant.writes_in_place or node.kind is NodeKind.MODEL):
        when = "every result of the variant, as it does not write to the slot"
        yield CopyNote(place, CopyKind.STORED, False, when, size, node.index)


def _of_input(
    node: NodePlan, into: InputPlan, *, latch: bool
) -> Iterator[tuple[CopyKind, bool, str, int]]:
    if not isinstance(into.spec, TensorSpec):
        return
    size, fixed = into.spec.size_bytes, node.node.fixed_batch or 1
    items = _batch(node)
    most = into.batching.max_items
    if items and most > 1:
        yield CopyKind.GATHERED, False, "a batch whose slots are no neighbours", most * size
    if fixed > 1:
        yield CopyKind.PADDED, False, f"a batch of fewer than {fixed}", fixed * size
    if node.owns_input:
        what = "its value, at every step" if latch else "every message"
        when = f"{what}, as its node makes objects of it"
        yield CopyKind.OWNED, True, when, max(items, 1) * size


def _batch(node: NodePlan) -> int:
    """Return the items that one call is given side by side; 0 where it is given single ones."""
    return gather_items(node.node, node.inputs[0].batching.max_items) if node.inputs else 0
