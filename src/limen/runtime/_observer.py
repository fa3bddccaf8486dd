"""Tells a telemetry how a run goes: its start and end, its steps, its edges, its accounting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limen.node import StepResult, YieldUntil
from limen.runtime._context import NodeContext
from limen.runtime._journal import Journal
from limen.runtime._link import Link
from limen.telemetry import EdgeSnapshot, NodeStep, RunStatistics, RuntimeEventKind
from limen.types import NodeIndex, Ticks

Step = Callable[[NodeIndex], StepResult | YieldUntil | None]


class Observer:
    """Reads what an executor keeps anyway; it decides nothing and no decision reads it.

    Args:
        graph: The graph's name.
        journal: The run's, with the hooks of the telemetry.
        contexts: All nodes, by index.
        links: All edges, by index.
        statistics: Returns the accounting as it is now.

    Attributes:
        hands_over: Whether the accounting is handed over while the graph runs.
    """

    def __init__(
        self,
        graph: str,
        journal: Journal,
        contexts: Sequence[NodeContext],
        links: Sequence[Link],
        statistics: Callable[[], RunStatistics],
    ) -> None:
        self._graph = graph
        self._journal = journal
        self._contexts = contexts
        self._links = links
        self._statistics = statistics
        self._every = journal.switches.sample_every
        every_ns = journal.hooks.metrics_every_ns
        self._metrics_ticks = max(1, journal.clock.nanos_to_ticks(every_ns or 0))
        self.hands_over = every_ns is not None
        self._metrics_due = Ticks(0)

    def started(self) -> None:
        """Tell that all nodes have started."""
        self._journal.happened(RuntimeEventKind.GRAPH_STARTED, self._graph)
        self._metrics_due = Ticks(self._journal.tick + self._metrics_ticks)

    def hand_over(self) -> None:
        """Hand the accounting over where that is due."""
        if self._journal.tick >= self._metrics_due:
            self._metrics_due = Ticks(self._journal.tick + self._metrics_ticks)
            if self._journal.hooks.metrics is not None:
                self._journal.hooks.push_metrics(self._statistics())

    def observed(self, step: Step) -> Step:
        """Return what steps a node and tells of it; the step itself where nobody listens."""
        return step if self._journal.hooks.sample is None else lambda index: self._step(step, index)

    def ended(self, outcome: str, why: str) -> None:
        """Tell that the run is over, for the last time.

        Args:
            outcome: As the report names it.
            why: What ended it before its time; empty if nothing did.
        """
        for context in self._contexts:
            context.tell_load_failures()
        well = outcome in ("completed", "stopped")
        kind = RuntimeEventKind.GRAPH_STOPPED if well else RuntimeEventKind.GRAPH_PANICKED
        self._journal.happened(kind, self._graph, f"{outcome}: {why}" if why else outcome)
        hooks = self._journal.hooks
        if hooks.metrics is not None:
            hooks.push_metrics(self._statistics())
        hooks.flush()

    def _step(self, step: Step, index: NodeIndex) -> StepResult | YieldUntil | None:
        journal, context = self._journal, self._contexts[index]
        if (journal.steps + 1) % self._every:
            return step(index)
        begun, taken, emitted = journal.tick, context.taken, context.emitted
        result = step(index)
        hooks, now_ns = journal.hooks, journal.now_ns
        if journal.switches.node_steps and hooks.sample is not None:
            hooks.tell_sample(
                NodeStep(
                    now_ns,
                    context.plan.name,
                    journal.steps,
                    _name_of(result),
                    context.taken - taken,
                    context.emitted - emitted,
                    journal.clock.ticks_to_nanos(journal.tick - begun),
                )
            )
        if journal.switches.edge_snapshots:
            for link in self._links:
                if hooks.sample is not None:
                    hooks.tell_sample(_snapshot(link, now_ns))
        return result


def _name_of(result: StepResult | YieldUntil | None) -> str:
    match result:
        case None:
            return "failed"
        case YieldUntil():
            return "yield_until"
        case _:
            return result.value


def _snapshot(link: Link, now_ns: int) -> EdgeSnapshot:
    occupancy = link.occupancy
    return EdgeSnapshot(
        now_ns,
        link.plan.name,
        occupancy.items,
        occupancy.size_bytes,
        len(link.staged),
        len(link.hold),
        occupancy.watermark.name.lower(),
    )
