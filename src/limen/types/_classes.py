"""Small closed vocabularies that messages and nodes are labelled with."""

from __future__ import annotations

import enum
from typing import NewType

from limen.errors import ConfigurationError

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
    """Where a payload lies; the value is its bit in a ``PlacementAcceptance``."""

    HOST = 0
    PINNED_HOST = 1
    SHARED = 2
    DEVICE_0 = 16
    DEVICE_1 = 17
    DEVICE_2 = 18
    DEVICE_3 = 19
    DEVICE_4 = 20
    DEVICE_5 = 21
    DEVICE_6 = 22
    DEVICE_7 = 23
    DEVICE_8 = 24
    DEVICE_9 = 25
    DEVICE_10 = 26
    DEVICE_11 = 27
    DEVICE_12 = 28
    DEVICE_13 = 29
    DEVICE_14 = 30
    DEVICE_15 = 31

    @classmethod
    def device(cls, ordinal: int) -> MemoryClass:
        """Return the memory of a device.

        Raises:
            ConfigurationError: There are devices 0 to 15.
        """
        if not 0 <= ordinal <= 15:
            raise ConfigurationError(f"device {ordinal}", remedy="give an ordinal from 0 to 15")
        return cls(cls.DEVICE_0 + ordinal)

    @property
    def ordinal(self) -> int | None:
        """The number of the device; None for memory that is no device's."""
        return self - MemoryClass.DEVICE_0 if self >= MemoryClass.DEVICE_0 else None

    @property
    def label(self) -> str:
        """Its name in messages."""
        names = {MemoryClass.HOST: "host", MemoryClass.PINNED_HOST: "pinned host"}
        return names.get(self, "shared" if self.ordinal is None else f"device {self.ordinal}")
