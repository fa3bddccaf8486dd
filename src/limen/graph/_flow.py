"""Whether a graph must or may stand still, decided before start by the counts of its messages.

A node waits for room on a full BLOCK edge, so for its consumer, or for messages on an input, so
for their producer. Nodes that can never step again hold a ring of such waits that visits no node
twice. So rings alone matter, and each may be judged alone: what lies beside it neither starves
nor blocks for ever, or it holds another ring.

- Lossless waits: counts follow from the numbers of firings, and a firing never disables another
  node. So all schedules end alike, and an eager simulation is exact. A strongly connected set of
  lossless waits stands still as a whole, and is simulated as a whole.
- A ring with a lossy wait (a dropping edge, a merge, a batch closed by time) whose nodes pass
  messages on at once goes on: each node fired last after the node it waits for, which cannot go
  round. Results of one step that are staged may be as many as the lossy edges hold.
- Otherwise, with one lossy edge, letting its consumer step last loses most and allows the fewest
  firings: that schedule is simulated. Lossy waits in a row are one edge that holds one message.
- What may lose every message, an optional input that may come too late to be taken, a merge
  that may prefer its other inputs, and all other rings with lossy waits are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from limen.graph._flow_counts import (
    FlowEdge,
    FlowNode,
    Standstill,
    UndecidedError,
    is_balanced,
    simulate,
    smallest_capacity,
)
from limen.graph._flow_text import FlowDeadlock, Wording
from limen.graph._flow_waits import Wait, Waits, cycles, rings

__all__ = ["FlowDeadlock", "FlowEdge", "FlowNode", "find_deadlock"]

_MOST_PATHS: Final = 20_000


def find_deadlock(nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> FlowDeadlock | None:
    """Return how the graph may stand still; None if no schedule can bring that about.

    Called by ``verify``, once per graph. Promised for nodes that emit what they declare; counts
    that do not repeat within 300,000 visits of nodes pass.
    """
    inputs = [0] * len(nodes)
    for edge in edges:
        inputs[edge.consumer] += 1
    joins = any(count > 1 and not node.any for count, node in zip(inputs, nodes, strict=True))
    if not joins and not any(edge.initial for edge in edges):
        return None
    return _Judge(nodes, edges).verdict()


class _Judge:
    def __init__(self, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.waits = Waits(nodes, edges)
        self.words = Wording(nodes, edges)

    def verdict(self) -> FlowDeadlock | None:
        after, is_plain = self.waits.after, self.waits.is_plain
        plain = {a: [b for b in others if is_plain(a, b)] for a, others in after.items()}
        for group in cycles(plain):
            if found := self._judge_group(sorted({wait.edge for wait in group})):
                return found
        for group in cycles(after):
            if self._needs_rings(group) and (found := self._judge_rings(group)):
                return found
        return None

    def _judge_group(self, chosen: list[int]) -> FlowDeadlock | None:
        edges = [self.edges[e] for e in chosen]
        end = _end(self.nodes, edges)
        if end is None:
            return None
        ring = self._standing_ring(chosen, end)
        return self._report(ring, chosen, edges, end, even=is_balanced(self.nodes, edges))

    def _needs_rings(self, group: list[Wait]) -> bool:
        """Say whether a ring of the group may fail the argument of the last firings."""
        return any(
            self.nodes[wait.target].withholds
            or self.nodes[wait.target].varies
            or self.nodes[wait.target].lump > 1
            or self.waits.merges[wait.target]
            or self.edges[wait.edge].initial
            or (not wait.room and self.edges[wait.edge].refuses_when_empty)
            or (wait.room and wait.edge in self.waits.late)
            for wait in group
        )

    def _judge_rings(self, group: list[Wait]) -> FlowDeadlock | None:
        inside = set(group)
        after = {a: [b for b in self.waits.after[a] if b in inside] for a in group}
        for paths, ring in enumerate(rings(after, self.waits.is_plain)):
            if paths > _MOST_PATHS:
                why = "too many paths lead round to prove that they always go on"
                return self._refuse(group[:1], why)
            if ring and (found := self._judge_ring(_from_the_blocked(ring))):
                return found
        return None

    def _judge_ring(self, ring: list[Wait]) -> FlowDeadlock | None:
        pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        if why := self._refused_outright(pairs):
            return self._refuse(ring, why)
        lossy = self._lossy(pairs)
        if self._passes_on(pairs, lossy):
            return None
        chosen = [wait.edge for wait in ring]
        edges = [self.edges[e] for e in chosen]
        if lossy:
            why = f"{self.words.edge(ring[lossy[0][0]].edge)} may carry fewer messages"
            shorter = self._as_one_lossy_edge(ring, lossy)
            if shorter is None or any(self._varies(a, b) for a, b in pairs):
                return self._refuse(ring, why)
            chosen, edges = shorter
        end = _end(self.nodes, edges)
        return None if end is None else self._report(ring, chosen, edges, end, even=True)

    def _refused_outright(self, pairs: list[tuple[Wait, Wait]]) -> str:
        for wait, other in pairs:
            name, node = self.words.edge(wait.edge), self.words.node(wait.target)
            if not wait.room and self.edges[wait.edge].refuses_when_empty:
                return f"{name} may lose every message"
            if wait.room and wait.edge in self.waits.late:
                return f"{node} does not wait for {name} and may miss what comes over it"
            if wait.room and other.room and self.waits.merges[wait.target]:
                return f"{node} may take its other inputs first"
            if self.nodes[wait.target].varies:
                return f"{node} may give more or fewer results when it is over its budget"
        return ""

    def _lossy(self, pairs: list[tuple[Wait, Wait]]) -> list[tuple[int, int]]:
        """Return first and last wait of each lossy part: an edge, or a node between two."""
        found: list[tuple[int, int]] = []
        for i, (wait, other) in enumerate(pairs):
            edge = self.edges[wait.edge]
            if not wait.room and not edge.blocks and not edge.latch:
                found.append((i, i))
            if self.waits.loses_between(wait, other):
                found.append((i, i + 1))
        return found

    def _passes_on(self, pairs: list[tuple[Wait, Wait]], lossy: list[tuple[int, int]]) -> bool:
        """Say whether the argument of the last firings holds for a ring."""
        starts = any(
            self.edges[wait.edge].initial < self.edges[wait.edge].capacity
            if wait.room
            else self.edges[wait.edge].initial > 0
            for wait, _ in pairs
        )
        withheld = any(
            not a.room and not b.room and self.nodes[a.target].withholds for a, b in pairs
        )
        lumps = [self.nodes[a.target].lump for a, b in pairs if b.room]
        lumps = [lump for lump in lumps if lump > 1]
        if not starts or withheld or len(lumps) > 1:
            return False
        return not lumps or all(
            first == last and self.edges[pairs[first][0].edge].capacity >= lumps[0]
            for first, last in lossy
        )

    def _varies(self, wait: Wait, other: Wait) -> bool:
        """Say whether what a node frees or gives per step is not what its simulation assumes."""
        node = self.nodes[wait.target]
        if wait.room and other.room:
            return node.closes and node.batch > 1
        return other.room and node.lump > 1

    def _as_one_lossy_edge(
        self, ring: list[Wait], lossy: list[tuple[int, int]]
    ) -> tuple[list[int], list[FlowEdge]] | None:
        """Return the ring's edges, with lossy waits in a row as one; None if one is not enough."""
        first, last = lossy[0][0], max(end for _, end in lossy)
        edges = [self.edges[wait.edge] for wait in ring]
        chosen = [wait.edge for wait in ring]
        if len(lossy) == 1 and first == last:
            return chosen, edges
        if last >= len(ring) or any(wait.room for wait in ring[first : last + 1]):
            return None
        part = edges[first : last + 1]
        taker = self.nodes[part[0].consumer]
        if (
            any(edge.latch or edge.initial for edge in part)
            or any(self.nodes[wait.target].withholds for wait in ring[first:last])
            or (taker.batch > 1 and not taker.closes)
        ):
            return None
        one = replace(part[0], producer=part[-1].producer, capacity=1, blocks=False)
        return chosen[: first + 1] + chosen[last + 1 :], [*edges[:first], one, *edges[last + 1 :]]

    def _standing_ring(self, chosen: list[int], end: Standstill) -> list[Wait]:
        """Return a ring of the waits that hold at a standstill."""
        holds: dict[int, Wait] = {}
        for e, count in zip(chosen, end.counts, strict=True):
            if count >= self.edges[e].capacity:
                holds[self.edges[e].producer] = self.waits.of(e, room=True)
        for e, count in zip(chosen, end.counts, strict=True):
            edge = self.edges[e]
            node = self.nodes[edge.consumer]
            if count == 0 or count < node.wanted(edge.capacity, begun=end.begun[edge.consumer]):
                holds.setdefault(edge.consumer, self.waits.of(e, room=False))
        path = [next(iter(holds.values()))]
        while path[-1].target not in (waiters := [wait.waiter for wait in path]):
            path.append(holds[path[-1].target])
        return _from_the_blocked(path[waiters.index(path[-1].target) :])

    def _report(
        self,
        ring: list[Wait],
        chosen: list[int],
        edges: list[FlowEdge],
        end: Standstill,
        *,
        even: bool,
    ) -> FlowDeadlock:
        waiting = self.words.stands(ring, dict(zip(chosen, end.counts, strict=True)), end)
        full = _full(ring)
        for e in full if even else []:
            enough = smallest_capacity(self.nodes, edges, chosen.index(e))
            if enough is not None:
                return self.words.deadlock(waiting, e, enough, ring[0].edge)
        return self.words.deadlock(waiting, full[0] if full else None, None, ring[0].edge)

    def _refuse(self, ring: list[Wait], why: str) -> FlowDeadlock:
        full = _full(ring)
        waiting = self.words.may_wait(ring, why)
        return self.words.deadlock(waiting, full[0] if full else None, None, ring[0].edge)


def _end(nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> Standstill | None:
    try:
        return simulate(nodes, edges)
    except UndecidedError:
        return None


def _from_the_blocked(ring: list[Wait]) -> list[Wait]:
    """Begin a ring with a node that is held up by a full edge and starves another, if any."""
    for i, wait in enumerate(ring):
        if wait.room and not ring[i - 1].room:
            return ring[i:] + ring[:i]
    return ring


def _full(ring: list[Wait]) -> list[int]:
    """Return the full edges into nodes that wait for another input; else all full edges."""
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    into_joins = [wait.edge for wait, other in pairs if wait.room and not other.room]
    return into_joins or [wait.edge for wait in ring if wait.room]
