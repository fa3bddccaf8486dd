"""Who owns bytes: managers of slots that tokens name."""

from limen.memory._checked import (
    FREED,
    POISON_BYTE,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedSlots,
    CheckedStaticMemoryManager,
)
from limen.memory._heap import HeapMemoryManager
from limen.memory._ledger import BorrowLedger, LentBuffer, Misuse
from limen.memory._placement import (
    HOST_ONLY,
    PROVIDED,
    BufferDescriptor,
    Placement,
    PlacementAcceptance,
    decide_placement,
)
from limen.memory._returns import ReturnRing, SharedSlots
from limen.memory._static import StaticMemoryManager
from limen.memory.contract import (
    HeaderStore,
    MemoryManager,
    MemoryStatistics,
    ReadGuard,
    WriteGuard,
)

__all__ = [
    "FREED",
    "HOST_ONLY",
    "POISON_BYTE",
    "PROVIDED",
    "BorrowLedger",
    "BufferDescriptor",
    "CheckedHeapMemoryManager",
    "CheckedManager",
    "CheckedSlots",
    "CheckedStaticMemoryManager",
    "HeaderStore",
    "HeapMemoryManager",
    "LentBuffer",
    "MemoryManager",
    "MemoryStatistics",
    "Misuse",
    "Placement",
    "PlacementAcceptance",
    "ReadGuard",
    "ReturnRing",
    "SharedSlots",
    "StaticMemoryManager",
    "WriteGuard",
    "decide_placement",
]
