"""Queues of tokens between one producer and one consumer."""

from limen.edge._no_queue import NoQueue
from limen.edge._static_ring import StaticRing
from limen.edge.contract import Edge, EdgeConsumer, EdgeOccupancy, EdgeProducer, PushResult

__all__ = [
    "Edge",
    "EdgeConsumer",
    "EdgeOccupancy",
    "EdgeProducer",
    "NoQueue",
    "PushResult",
    "StaticRing",
]
