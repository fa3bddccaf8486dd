"""What a user is told about a graph that may stand still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limen.graph._flow_counts import FlowEdge, FlowNode, Standstill
from limen.graph._flow_waits import Wait


@dataclass(frozen=True, slots=True)
class FlowDeadlock:
    """Why a graph must or may stand still.

    Attributes:
        message: The waiting chain with its numbers.
        edge: Index of the full BLOCK edge to change; None where a feedback loop starves.
        capacity: Smallest capacity of that edge that avoids this; None if none is found.
        waiting: Who waits for whom, a sentence each.
        remedy: What the user can do.
    """

    message: str
    edge: int | None
    capacity: int | None
    waiting: tuple[str, ...]
    remedy: str


class Wording:
    """Puts waits of one graph into words.

    Args:
        nodes: Of the graph.
        edges: Of the graph; their names tell the names of nodes and ports.
    """

    def __init__(self, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> None:
        self._nodes = nodes
        self._edges = edges

    def deadlock(
        self, waiting: Sequence[str], full: int | None, enough: int | None, starved: int
    ) -> FlowDeadlock:
        """Return the report.

        Args:
            waiting: The sentences.
            full: Index of the edge to change, if one is full.
            enough: The capacity it needs, if any helps.
            starved: Index of an edge that starves; named where none is full.
        """
        if full is None:
            remedy = (
                f"start {self._edges[starved].name} with more initial tokens, take smaller "
                "batches, or let no edge of the loop lose messages"
            )
        elif enough is None:
            remedy = (
                f"let {self._edges[full].name} drop (drop_oldest, mailbox), or hold it with a "
                "latch: no capacity is enough"
            )
        else:
            remedy = f"raise max_items of {self._edges[full].name} to at least {enough}"
        return FlowDeadlock("; ".join(waiting), full, enough, tuple(waiting), remedy)

    def may_wait(self, ring: Sequence[Wait], why: str) -> list[str]:
        """Return who can wait for whom in a ring, and why that cannot be excluded."""
        chain = [f"{self.node(w.waiter)} can wait for {self._awaited(w)}" for w in ring]
        return [*chain, why]

    def stands(self, ring: Sequence[Wait], counts: Mapping[int, int], end: Standstill) -> list[str]:
        """Return who waits for whom, with the counts at the end of a simulation."""
        return [
            self._sentence(wait, counts, end, passes=not wait.room and not ring[i - 1].room)
            for i, wait in enumerate(ring)
        ]

    def node(self, index: int) -> str:
        """Return a node's name."""
        for edge in self._edges:
            if edge.producer == index:
                return edge.name.partition(" -> ")[0].partition(".")[0]
            if edge.consumer == index:
                return edge.name.rpartition(" -> ")[2].partition(".")[0]
        return f"node {index}"

    def edge(self, index: int) -> str:
        """Return an edge's name."""
        return self._edges[index].name

    def _sentence(
        self, wait: Wait, counts: Mapping[int, int], end: Standstill, *, passes: bool
    ) -> str:
        name, edge, node = self.node(wait.waiter), self._edges[wait.edge], self._nodes[wait.waiter]
        if wait.room:
            filled = min(counts.get(wait.edge, edge.capacity), edge.capacity)
            return f"{name} waits for {self._awaited(wait)} ({filled} of {edge.capacity})"
        if passes and wait.edge in counts:
            batch = node.wanted(edge.capacity, begun=end.begun[wait.waiter])
            if batch > 1:
                return f"{name} has {counts[wait.edge]} of the {batch} messages of its batch"
            needed = node.each if end.gave[wait.waiter] else node.first
            if needed > 1:
                held = needed - end.lacks[wait.waiter]
                return f"{name} holds {held} of the {needed} messages it needs"
        return f"{name} waits for {self._awaited(wait)}"

    def _awaited(self, wait: Wait) -> str:
        edge = self._edges[wait.edge]
        if wait.room:
            return f"room on {edge.name}"
        return f"{edge.name.rpartition(' -> ')[2]} from {self.node(wait.target)}"
