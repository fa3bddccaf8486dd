"""Who owns bytes: managers of slots that tokens name."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.memory._placement import (
    HOST_ONLY,
    PROVIDED,
    Placement,
    PlacementAcceptance,
    decide_placement,
)
from limen.message import BufferDescriptor

if TYPE_CHECKING:
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
    from limen.memory._returns import ReturnRing, SharedSlots
    from limen.memory._static import StaticMemoryManager
    from limen.memory.contract import (
        HeaderStore,
        MemoryManager,
        MemoryStatistics,
        ReadGuard,
        WriteGuard,
    )
else:
    # A node states where its payloads may lie; only a run holds any.
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.memory._bounded": ("BoundedMemoryManager",),
            "limen.memory._checked": (
                "FREED",
                "POISON_BYTE",
                "CheckedBoundedMemoryManager",
                "CheckedHeapMemoryManager",
                "CheckedManager",
                "CheckedSlots",
                "CheckedStaticMemoryManager",
            ),
            "limen.memory._heap": ("HeapMemoryManager",),
            "limen.memory._ledger": ("BorrowLedger", "LentBuffer", "Misuse"),
            "limen.memory._returns": ("ReturnRing", "SharedSlots"),
            "limen.memory._static": ("StaticMemoryManager",),
            "limen.memory.contract": (
                "HeaderStore",
                "MemoryManager",
                "MemoryStatistics",
                "ReadGuard",
                "WriteGuard",
            ),
        },
    )

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
