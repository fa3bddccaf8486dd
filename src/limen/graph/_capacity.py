"""Whether what an edge must hold fits it."""

from __future__ import annotations

from limen.errors import Code
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec, NodeSpec
from limen.message import counts_data
from limen.node import SourceNode
from limen.policy import AdmissionPolicy, QueueCaps
from limen.types import ObjectSpec, PayloadSpec, TensorSpec, describe_spec


def edge_problems(
    edge: EdgeSpec, payload: PayloadSpec | None, consumer: NodeSpec | None
) -> list[Problem]:
    """Return what cannot fit; payload and consumer are None where they are unknown."""
    caps = edge.policy.caps
    problems: list[Problem] = []
    batch = 1 if consumer is None or edge.policy.is_latch else effective_batch(consumer, caps)
    name = "" if consumer is None else consumer.name
    if batch > caps.max_items:
        problems.append(
            Problem(
                Code.BATCH_EXCEEDS_QUEUE,
                str(edge),
                f"capacity {caps.max_items} can never hold a batch of {batch}",
                f"raise max_items to at least {batch}, or lower the batch of {name!r}",
            )
        )
    if len(edge.initial) > caps.max_items:
        problems.append(
            Problem(
                Code.INVALID_CAPACITY,
                str(edge),
                f"{len(edge.initial)} initial tokens in a queue of {caps.max_items}",
                f"raise max_items to at least {len(edge.initial)}, or give fewer",
            )
        )
    if caps.max_bytes is None or not isinstance(payload, TensorSpec):
        return problems
    needed = payload.size_bytes
    what = "the payload's"
    if edge.initial:
        needed *= len(edge.initial)
        what = f"the {len(edge.initial)} initial tokens'"
    if (edge.policy.admission is AdmissionPolicy.BLOCK or edge.initial) and (
        not caps.can_ever_fit(needed)
    ):
        problems.append(
            Problem(
                Code.INVALID_CAPACITY,
                str(edge),
                f"max_bytes {caps.byte_limit} is below {what} {needed}",
                f"raise max_bytes to at least {needed}",
            )
        )
    return problems


def edge_warnings(
    edge: EdgeSpec,
    payload: PayloadSpec | None,
    producer: NodeSpec | None,
    consumer: NodeSpec | None,
) -> list[str]:
    """Return what is legal and probably not meant; what is None is unknown."""
    warnings: list[str] = []
    source = producer.node.source if producer and isinstance(producer.node, SourceNode) else None
    if edge.policy.admission is AdmissionPolicy.BLOCK and source and not source.pausable:
        warnings.append(
            f"edge {edge}: BLOCK behind a live source moves the loss into the device; use "
            f"drop_oldest to keep it here and counted"
        )
    caps = edge.policy.caps
    if caps.max_bytes is not None and isinstance(payload, ObjectSpec):
        if payload.type is not object and not counts_data(payload.type):
            warnings.append(
                f"edge {edge}: max_bytes counts of a {describe_spec(payload)} only the object, not "
                f"what it refers to; use a dataclass, or give it a buffer_descriptor()"
            )
        return warnings
    if consumer is None or caps.max_bytes is None or not isinstance(payload, TensorSpec):
        return warnings
    if not caps.can_ever_fit(payload.size_bytes):
        refused = "every message is" if payload.is_fixed else "the longest messages are"
        if edge.policy.admission is not AdmissionPolicy.BLOCK:
            warnings.append(
                f"edge {edge}: max_bytes {caps.byte_limit} is below the payload's "
                f"{payload.size_bytes}: {refused} refused as too large"
            )
        return warnings
    batch = effective_batch(consumer, caps) * payload.size_bytes
    if consumer.policy.batching.max_items is not None and batch > caps.byte_limit:
        warnings.append(
            f"edge {edge}: max_bytes {caps.byte_limit} never holds a full batch of {batch} B; "
            f"{consumer.name!r} gets shorter ones"
        )
    return warnings


def effective_batch(node: NodeSpec, caps: QueueCaps) -> int:
    """Return the most items that a step of the node presents of one input: min(policy, node).

    Where the policy gives no number, the queue's capacity is the limit.
    """
    wanted = node.policy.batching.max_items
    limits = (node.node.max_batch, caps.max_items if wanted is None else wanted)
    return min(limit for limit in limits if limit is not None)
