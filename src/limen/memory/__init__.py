"""Who owns bytes: managers of slots that tokens name."""

from limen.memory._bounded import BoundedMemoryManager
from limen.memory._checked import (
    FREED,
    POISON_BYTE,
    CheckedBoundedMemoryManager,
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
from limen.message import BufferDescriptor

__all__ = [
    "FREED",
    "HOST_ONLY",
    "POISON_BYTE",
    "PROVIDED",
    "BorrowLedger",
    "BoundedMemoryManager",
    "BufferDescriptor",
    "CheckedBoundedMemoryManager",
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
