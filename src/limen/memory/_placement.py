"""Where payloads may lie, and whether a consumer can use them there."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from limen.errors import ConfigurationError
from limen.types import MemoryClass, require_whole

_KNOWN: Final = sum(1 << memory for memory in MemoryClass)


@dataclass(frozen=True, slots=True)
class PlacementAcceptance:
    """A set of memory classes that a port can use as they are.

    Attributes:
        bits: Bit n stands for the class of value n: 0 host, 1 pinned host, 2 shared, 16 to 31 the
            devices 0 to 15.
    """

    bits: int = 0

    def __post_init__(self) -> None:
        require_whole("bits", self.bits, 0)
        if self.bits & ~_KNOWN:
            raise ConfigurationError(
                f"bits {self.bits:#x} name memory that does not exist",
                remedy="use bits 0 to 2, and 16 to 31 for devices",
            )

    @classmethod
    def empty(cls) -> PlacementAcceptance:
        """Return the set without members."""
        return cls()

    @classmethod
    def exactly(cls, memory: MemoryClass) -> PlacementAcceptance:
        """Return the set of one class."""
        return cls(1 << memory)

    def with_host(self) -> PlacementAcceptance:
        """Return this set and host memory."""
        return self._with(MemoryClass.HOST)

    def with_pinned_host(self) -> PlacementAcceptance:
        """Return this set and pinned host memory."""
        return self._with(MemoryClass.PINNED_HOST)

    def with_shared(self) -> PlacementAcceptance:
        """Return this set and shared memory."""
        return self._with(MemoryClass.SHARED)

    def with_device(self, ordinal: int) -> PlacementAcceptance:
        """Return this set and the memory of a device, 0 to 15."""
        return self._with(MemoryClass.device(ordinal))

    def union(self, other: PlacementAcceptance) -> PlacementAcceptance:
        """Return what is in either set."""
        return PlacementAcceptance(self.bits | other.bits)

    def intersect(self, other: PlacementAcceptance) -> PlacementAcceptance:
        """Return what is in both sets."""
        return PlacementAcceptance(self.bits & other.bits)

    def contains(self, other: PlacementAcceptance) -> bool:
        """Whether all of the other set is in this one."""
        return self.bits & other.bits == other.bits

    def accepts(self, memory: MemoryClass) -> bool:
        """Whether a class is in the set."""
        return bool(self.bits >> memory & 1)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return self.bits == 0

    @property
    def classes(self) -> tuple[MemoryClass, ...]:
        """What is in it, in the order of the bits."""
        return tuple(memory for memory in MemoryClass if self.accepts(memory))

    def __str__(self) -> str:
        return ", ".join(memory.label for memory in self.classes) or "nothing"

    def _with(self, memory: MemoryClass) -> PlacementAcceptance:
        return PlacementAcceptance(self.bits | 1 << memory)


HOST_ONLY: Final = PlacementAcceptance.exactly(MemoryClass.HOST)
"""What ports accept unless they say more."""

PROVIDED: Final = HOST_ONLY
"""The memory that there are managers of; a manager ships once it has been tested."""


class Placement(enum.Enum):
    """What an edge does with a payload."""

    ZERO_COPY = "zero_copy"
    ADAPT_REQUIRED = "adapt_required"


def decide_placement(acceptance: PlacementAcceptance, current: MemoryClass) -> Placement:
    """Say whether a payload can be used where it lies; decided when a graph is built."""
    return Placement.ZERO_COPY if acceptance.accepts(current) else Placement.ADAPT_REQUIRED
