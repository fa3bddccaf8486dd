"""Whether what an edge must hold fits it."""

from __future__ import annotations

from limen.errors import Code
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec, NodeSpec
from limen.node import SourceNode
from limen.policy import AdmissionPolicy
from limen.types import PayloadSpec, TensorSpec


def edge_problems(
    edge: EdgeSpec, payload: PayloadSpec | None, consumer: NodeSpec | None
) -> list[Problem]:
    """Return what cannot fit; payload and consumer are None where they are unknown."""
    caps = edge.policy.caps
    problems: list[Problem] = []
    batch = 1 if consumer is None else effective_batch(consumer)
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
    if caps.max_bytes is None or not isinstance(payload, TensorSpec):
        return problems
    blocks = edge.policy.admission is AdmissionPolicy.BLOCK
    if blocks and not caps.can_ever_fit(payload.size_bytes):
        problems.append(
            Problem(
                Code.INVALID_CAPACITY,
                str(edge),
                f"max_bytes {caps.byte_limit} is below the payload's {payload.size_bytes}",
                f"raise max_bytes to at least {payload.size_bytes}",
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
    if consumer is None or caps.max_bytes is None or not isinstance(payload, TensorSpec):
        return warnings
    batch = effective_batch(consumer) * payload.size_bytes
    if caps.can_ever_fit(payload.size_bytes) and batch > caps.byte_limit:
        warnings.append(
            f"edge {edge}: max_bytes {caps.byte_limit} never holds a full batch of {batch} B; "
            f"{consumer.name!r} gets shorter ones"
        )
    return warnings


def effective_batch(node: NodeSpec) -> int:
    """Return the most items that a step of the node takes: min(policy, node)."""
    most = node.node.max_batch
    wanted = node.policy.batching.max_items
    return wanted if most is None else min(wanted, most)
