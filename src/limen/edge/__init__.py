"""Queues of tokens between one producer and one consumer."""

from limen.edge._heap_ring import HeapRing
from limen.edge._no_queue import NoQueue
from limen.edge._open import RING_GROUP, OpenEdge, find_edge, open_edge
from limen.edge._priority import Priority2
from limen.edge._ring import Ring
from limen.edge._static_ring import StaticRing
from limen.edge.contract import (
    Edge,
    EdgeConsumer,
    EdgeFactory,
    EdgeOccupancy,
    EdgeProducer,
    PushResult,
)

__all__ = [
    "RING_GROUP",
    "Edge",
    "EdgeConsumer",
    "EdgeFactory",
    "EdgeOccupancy",
    "EdgeProducer",
    "HeapRing",
    "NoQueue",
    "OpenEdge",
    "Priority2",
    "PushResult",
    "Ring",
    "StaticRing",
    "find_edge",
    "open_edge",
]
