"""Small closed vocabularies that messages and nodes are labelled with."""

from __future__ import annotations

import enum
from typing import NewType

ClockDomainId = NewType("ClockDomainId", int)


class QoSClass(enum.IntEnum):
    """How much a message matters to its queues; a larger value matters more."""

    BACKGROUND = 1
    BEST_EFFORT = 2
    LATENCY_CRITICAL = 3


class CriticalityClass(enum.IntEnum):
    """How much a node matters to its machine; a larger value matters more."""

    BEST_EFFORT = 1
    OPERATIONAL = 2
    SAFETY_CRITICAL = 3


class MemoryClass(enum.IntEnum):
    """Where a payload lies."""

    HOST = 0
    PINNED_HOST = 1
    DEVICE = 2
    SHARED = 3
