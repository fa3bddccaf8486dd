"""Queues of tokens between one producer and one consumer."""

from typing import TYPE_CHECKING

from limen._lazy import lazily

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.edge._heap_ring": ("HeapRing",),
            "limen.edge._no_queue": ("NoQueue",),
            "limen.edge._open": ("RING_GROUP", "OpenEdge", "find_edge", "open_edge"),
            "limen.edge._priority": ("Priority2",),
            "limen.edge._ring": ("Ring",),
            "limen.edge._static_ring": ("StaticRing",),
            "limen.edge.contract": (
                "Edge",
                "EdgeConsumer",
                "EdgeFactory",
                "EdgeOccupancy",
                "EdgeProducer",
                "PushResult",
            ),
        },
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
