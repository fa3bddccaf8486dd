"""Who owns bytes: managers of slots that tokens name."""

from limen.memory._heap import HeapMemoryManager
from limen.memory._returns import ReturnRing, SharedSlots
from limen.memory._static import StaticMemoryManager
from limen.memory.contract import HeaderStore, MemoryManager, MemoryStatistics, ReadGuard

__all__ = [
    "HeaderStore",
    "HeapMemoryManager",
    "MemoryManager",
    "MemoryStatistics",
    "ReadGuard",
    "ReturnRing",
    "SharedSlots",
    "StaticMemoryManager",
]
