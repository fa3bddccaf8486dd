"""Queues of tokens between one producer and one consumer."""

from limen.edge._heap_ring import HeapRing
from limen.edge._no_queue import NoQueue
from limen.edge._priority import Priority2
from limen.edge._ring import Ring
from limen.edge._static_ring import StaticRing
from limen.edge.contract import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult

__all__ = [
    "Edge",
    "EdgeConsumer",
    "EdgeOccupancy",
    "EdgeProducer",
    "HeapRing",
    "NoQueue",
    "Priority2",
    "PushResult",
    "Ring",
    "StaticRing",
]
