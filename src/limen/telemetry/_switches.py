"""What a run measures, decided before it starts."""

from __future__ import annotations

from dataclasses import dataclass, fields

from limen.types import require_type, require_whole


@dataclass(frozen=True, slots=True)
class TelemetrySwitches:
    """Which parts of the telemetry there are in a Plan; what is off costs nothing.

    The accounting of messages is no part of it: it is what reports are made of, and decisions read
    parts of it.

    Attributes:
        counters: What nodes count and observe, and the hand-over of the accounting.
        histograms: Durations, waits, ages and lateness; off, their summaries have a count of 0.
        events: Events of the runtime, of policies, and of lost messages.
        node_steps: A ``NodeStep`` for steps.
        edge_snapshots: An ``EdgeSnapshot`` of every edge behind steps.
        sample_every: Of how many steps one is told as ``NodeStep`` and ``EdgeSnapshot``.
    """

    counters: bool = True
    histograms: bool = True
    events: bool = True
    node_steps: bool = False
    edge_snapshots: bool = False
    sample_every: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "sample_every":
                require_type(field.name, getattr(self, field.name), bool, "give True or False")
        require_whole("sample_every", self.sample_every)

    @classmethod
    def none(cls) -> TelemetrySwitches:
        """Return the value in which all is off."""
        return cls(counters=False, histograms=False, events=False)

    @classmethod
    def full(cls) -> TelemetrySwitches:
        """Return the value in which all is on."""
        return cls(node_steps=True, edge_snapshots=True)
