"""Whether a graph must or may deadlock, decided before start by the counts of its messages.

A node waits for room on a full BLOCK edge, so for its consumer, or for messages on an input, so
for their producer. A *wait* is one such possibility. Nodes that can never step again hold a cycle
of waits that visits no node twice, so only such cycles matter, and each may be judged alone: the
rest of the graph then always supplies and always drains.

- Cycles of lossless waits: every count follows from the numbers of firings, and a firing never
  disables another node. So all schedules end alike, and one eager simulation is exact. A strongly
  connected set of such waits stands still as a whole, and is simulated as a whole.
- Cycles with a lossy wait (a dropping edge, a merge, a batch closed by time): if every node
  passes messages on one by one, each node of the cycle stepped last after the node it waits for,
  which cannot go round. Otherwise, with one lossy edge, the schedule that lets its consumer step
  last loses most and allows the fewest firings: it is simulated. Lossy waits in a row are one
  edge that holds one message. Anything else is refused.
- An edge that may refuse everything, an optional input that may come too late to be taken, and a
  merge that may prefer its other inputs are refused where they lie on such a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

_MOST_VISITS: Final = 300_000
_MOST_RINGS: Final = 20_000
_MOST_CAPACITY: Final = 65_536


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """One edge as counts see it; ``find_deadlock`` reads them by index.

    Attributes:
        name: As users read it, ``node.port -> node.port``.
        producer: Index of the node.
        consumer: Index of the node.
        capacity: Items it can hold.
        blocks: BLOCK admission; otherwise it drops at capacity, and the count stays.
        latch: Keeps the last value and never consumes it.
        refuses_when_empty: Its policy may refuse messages although there is room.
        initial: Tokens it starts with; more than 0 on feedback.
    """

    name: str
    producer: int
    consumer: int
    capacity: int
    blocks: bool = True
    latch: bool = False
    refuses_when_empty: bool = False
    initial: int = 0


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One node as counts see it; every result goes to all of its output edges.

    Attributes:
        source: It has no inputs.
        any: One ready port makes it step; otherwise all must be ready.
        optional: Indices of edges that never make it wait.
        batch: Messages a step takes.
        stride: Of these, new ones in each later step, if ``window``.
        window: One result per batch; otherwise one per message.
        closes: Time closes a batch, so it never waits for more.
        first: Messages (or batches, if ``window``) absorbed before the first result.
        each: The same for each further result.
    """

    source: bool = False
    any: bool = False
    optional: frozenset[int] = frozenset()
    batch: int = 1
    stride: int = 1
    window: bool = False
    closes: bool = False
    first: int = 1
    each: int = 1


@dataclass(frozen=True, slots=True)
class FlowDeadlock:
    """Why a graph may stand still.

    Attributes:
        message: The waiting chain with its numbers.
        edge: Index of the full BLOCK edge to change; None where a feedback loop starves.
        capacity: Smallest capacity of that edge that avoids this; None if none does.
        waiting: Who waits for whom, a sentence each.
        remedy: What the user can do.
    """

    message: str
    edge: int | None
    capacity: int | None
    waiting: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class _Wait:
    """``waiter`` waits for ``target``: for room on the edge, or for messages over it."""

    edge: int
    room: bool
    waiter: int
    target: int


@dataclass(frozen=True, slots=True)
class _Standstill:
    """Where a simulation ended: items on each edge, what each node still lacks for a result."""

    counts: list[int]
    lacks: list[int]
    begun: list[bool]


def find_deadlock(nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> FlowDeadlock | None:
    """Return how the graph may stand still, None if no schedule can bring that about.

    Called by ``verify`` once per graph. Promised for endless sources and nodes that emit what
    they declare; a graph whose counts do not repeat within 300,000 visits of nodes passes.
    """
    joins = any(
        not node.any and sum(edge.consumer == i for edge in edges) > 1
        for i, node in enumerate(nodes)
    )
    if not joins and not any(edge.initial for edge in edges):
        return None
    return _Search(nodes, edges).run()


class _Search:
    """The waits of one graph, and the verdict on their cycles."""

    def __init__(self, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.ins: list[list[int]] = [[] for _ in nodes]
        self.outs: list[list[int]] = [[] for _ in nodes]
        for i, edge in enumerate(edges):
            self.ins[edge.consumer].append(i)
            self.outs[edge.producer].append(i)
        self.merges = [
            node.any and sum(not edges[e].latch for e in self.ins[i]) > 1
            for i, node in enumerate(nodes)
        ]
        self.room = [_Wait(i, True, e.producer, e.consumer) for i, e in enumerate(edges)]
        self.items = [_Wait(i, False, e.consumer, e.producer) for i, e in enumerate(edges)]
        self.late = {
            e
            for i, node in enumerate(nodes)
            if not node.any
            for e in node.optional
            if not self._always_there(e, i)
        }
        self.after = self._waits()

    def run(self) -> FlowDeadlock | None:
        plain = {
            wait: [other for other in after if self._is_plain(wait, other)]
            for wait, after in self.after.items()
        }
        for group in _cycles(plain):
            if found := self._judge_group(sorted({wait.edge for wait in group})):
                return found
        for group in _cycles(self.after):
            if self._needs_rings(group) and (found := self._judge_rings(group)):
                return found
        return None

    def _waits(self) -> dict[_Wait, list[_Wait]]:
        """Return which wait can follow which, without those that cannot last."""
        fed: set[int] = set()
        while True:
            after = {
                wait: self._following(wait, fed)
                for wait in (*self.room, *self.items)
                if (self._can_fill(wait.edge) if wait.room else self._can_starve(wait.edge, fed))
            }
            _peel(after)
            # A merge starves only where every one of its inputs does.
            more = {
                i
                for i, merge in enumerate(self.merges)
                if merge
                and i not in fed
                and any(self.items[e] not in after for e in self.ins[i] if not self.edges[e].latch)
            }
            if not more:
                return after
            fed |= more

    def _can_fill(self, edge: int) -> bool:
        return self.edges[edge].blocks and not self.edges[edge].latch

    def _can_starve(self, edge: int, fed: set[int]) -> bool:
        consumer = self.edges[edge].consumer
        if self.nodes[consumer].any:
            return not self.edges[edge].latch and consumer not in fed
        return edge not in self.nodes[consumer].optional

    def _following(self, wait: _Wait, fed: set[int]) -> list[_Wait]:
        node, edge = wait.target, wait.edge
        full = [
            self.room[e] for e in self.outs[node] if self._can_fill(e) and (wait.room or e != edge)
        ]
        if wait.room and self.nodes[node].any:
            return full
        return full + [
            self.items[e]
            for e in self.ins[node]
            if self._can_starve(e, fed) and not (wait.room and e == edge)
        ]

    def _always_there(self, optional: int, node: int) -> bool:
        """Say whether a required input cannot arrive before the optional one: same origin."""
        origin, seen, todo = self.edges[optional].producer, {node}, [node]
        while todo:
            at = todo.pop()
            if self.merges[at]:
                continue
            for e in self.ins[at]:
                edge = self.edges[e]
                if edge.latch or edge.initial or e in self.nodes[at].optional:
                    continue
                if edge.producer == origin:
                    return True
                if edge.producer not in seen:
                    seen.add(edge.producer)
                    todo.append(edge.producer)
        return False

    def _is_plain(self, wait: _Wait, other: _Wait) -> bool:
        return (
            self._is_plain_wait(wait)
            and self._is_plain_wait(other)
            and not (self.merges[wait.target] and wait.room and other.room)
            and not self._loses_between(wait, other)
        )

    def _is_plain_wait(self, wait: _Wait) -> bool:
        edge = self.edges[wait.edge]
        if wait.room:
            return wait.edge not in self.late
        return edge.blocks and not edge.latch and not edge.refuses_when_empty

    def _loses_between(self, wait: _Wait, other: _Wait) -> bool:
        node = self.nodes[wait.target]
        through = not wait.room and not other.room
        return through and (self.merges[wait.target] or (node.closes and node.window))

    def _needs_rings(self, group: set[_Wait]) -> bool:
        """Say whether one-by-one passing fails to prove that no ring of the group stands still."""
        touched = {wait.target for wait in group}
        edges = [self.edges[wait.edge] for wait in group]
        return (
            any(self._withholds(i) for i in touched)
            or any(self.merges[i] for i in touched)
            or any(edge.initial or edge.refuses_when_empty for edge in edges)
            or any(wait.room and wait.edge in self.late for wait in group)
        )

    def _withholds(self, node: int) -> bool:
        it = self.nodes[node]
        return it.first > 1 or it.each > 1 or (it.batch > 1 and not it.closes)

    def _judge_group(self, chosen: list[int]) -> FlowDeadlock | None:
        edges = [self.edges[e] for e in chosen]
        end = _simulate(self.nodes, edges)
        if end is None:
            return None
        ring = self._standing_ring(edges, chosen, end)
        return self._report(ring, chosen, edges, end, balanced=_is_balanced(self.nodes, edges))

    def _judge_rings(self, group: set[_Wait]) -> FlowDeadlock | None:
        after = {
            wait: [other for other in self.after[wait] if other in group]
            for wait in sorted(group, key=lambda wait: (wait.edge, wait.room))
        }
        visits = 0
        for ring in _rings(after, self._is_plain):
            visits += 1
            if visits > _MOST_RINGS:
                wait = next(wait for wait in group)
                why = "the paths beside it are too many to prove that they always go on"
                return self._refusal([wait], why)
            if ring and (found := self._judge_ring(ring)):
                return found
        return None

    def _judge_ring(self, ring: list[_Wait]) -> FlowDeadlock | None:
        pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        if why := self._refused_outright(pairs):
            return self._refusal(ring, why)
        passing = [(a.target, a.room) for a, b in pairs if a.room == b.room]
        lossy = self._lossy(pairs)
        if not any(self._withholds(node) for node, _ in passing):
            if any(
                edge.initial < edge.capacity if wait.room else edge.initial > 0
                for wait in ring
                for edge in [self.edges[wait.edge]]
            ):
                return None
        chosen = [wait.edge for wait in ring]
        edges = [self.edges[e] for e in chosen]
        if lossy and not (len(lossy) == 1 and lossy[0][0] == lossy[0][1]):
            shorter = self._merged(ring, lossy)
            if shorter is None:
                first = ring[lossy[0][0]].edge
                return self._refusal(ring, f"{self.edges[first].name} may lose messages")
            chosen, edges = shorter
        end = _simulate(self.nodes, edges)
        if end is None:
            return None
        return self._report(ring, chosen, edges, end, balanced=True)

    def _refused_outright(self, pairs: list[tuple[_Wait, _Wait]]) -> str:
        for wait, other in pairs:
            edge = self.edges[wait.edge]
            if not wait.room and edge.refuses_when_empty:
                return f"{edge.name} may refuse every message"
            if wait.room and wait.edge in self.late:
                return f"{edge.name} is optional: {self._name(wait.target)} may not wait for it"
            if wait.room and other.room and self.merges[wait.target]:
                return f"{self._name(wait.target)} may take its other inputs first"
        return ""

    def _lossy(self, pairs: list[tuple[_Wait, _Wait]]) -> list[tuple[int, int]]:
        """Return first and last wait of each lossy part: an edge, or a node between two."""
        found: list[tuple[int, int]] = []
        for i, (wait, other) in enumerate(pairs):
            edge = self.edges[wait.edge]
            if not wait.room and not edge.blocks and not edge.latch:
                found.append((i, i))
            if self._loses_between(wait, other):
                found.append((i, i + 1))
        return found

    def _merged(
        self, ring: list[_Wait], lossy: list[tuple[int, int]]
    ) -> tuple[list[int], list[FlowEdge]] | None:
        """Return the ring with its lossy part as one edge that holds one; None if it is not one."""
        first, last = lossy[0][0], max(end for _, end in lossy)
        if last >= len(ring) or any(wait.room for wait in ring[first : last + 1]):
            return None
        part = [self.edges[wait.edge] for wait in ring[first : last + 1]]
        if any(edge.latch or edge.initial for edge in part):
            return None
        if any(self._withholds(wait.target) for wait in ring[first:last]):
            return None
        taker = self.nodes[part[0].consumer]
        if taker.batch > 1 and not taker.closes:
            return None
        one = replace(part[0], producer=part[-1].producer, capacity=1, blocks=False)
        chosen = [w.edge for w in (*ring[:first], ring[first], *ring[last + 1 :])]
        edges = [one if i == first else self.edges[e] for i, e in enumerate(chosen)]
        return chosen, edges

    def _standing_ring(
        self, edges: list[FlowEdge], chosen: list[int], end: _Standstill
    ) -> list[_Wait]:
        waits: dict[int, _Wait] = {}
        for edge, e, count in zip(edges, chosen, end.counts, strict=True):
            if edge.blocks and count >= edge.capacity:
                waits[edge.producer] = self.room[e]
        for edge, e, count in zip(edges, chosen, end.counts, strict=True):
            if edge.consumer not in waits and count < _need(
                self.nodes[edge.consumer], edge.capacity, end.begun[edge.consumer]
            ):
                waits[edge.consumer] = self.items[e]
        path = [next(iter(waits.values()))]
        while path[-1].target not in {wait.waiter for wait in path}:
            path.append(waits[path[-1].target])
        return path[[wait.waiter for wait in path].index(path[-1].target) :]

    def _report(
        self,
        ring: list[_Wait],
        chosen: list[int],
        edges: list[FlowEdge],
        end: _Standstill,
        *,
        balanced: bool,
    ) -> FlowDeadlock:
        ring = _from_the_blocked(ring)
        counts = dict(zip(chosen, end.counts, strict=True))
        chain: list[str] = []
        for i, wait in enumerate(ring):
            node = self.nodes[wait.waiter]
            held = ring[i - 1].room == wait.room
            chain.append(self._sentence(wait, node, counts, end, passes=held))
        edge = self._to_raise(ring)
        if edge is None:
            name = self.edges[ring[0].edge].name
            remedy = f"start the loop of {name} with more initial tokens, or take smaller batches"
            return FlowDeadlock("; ".join(chain), None, None, tuple(chain), remedy)
        enough = _smallest_capacity(self.nodes, edges, chosen.index(edge)) if balanced else None
        return self._deadlock(chain, edge, enough)

    def _deadlock(self, chain: list[str], edge: int, enough: int | None) -> FlowDeadlock:
        name = self.edges[edge].name
        remedy = (
            f"let {name} drop (drop_oldest, mailbox), or hold it with a latch: "
            "no capacity is enough"
            if enough is None
            else f"raise max_items of {name} to at least {enough}"
        )
        return FlowDeadlock("; ".join(chain), edge, enough, tuple(chain), remedy)

    def _refusal(self, ring: list[_Wait], why: str) -> FlowDeadlock:
        ring = _from_the_blocked(ring)
        chain = [
            f"{self._name(wait.waiter)} can wait for "
            + (f"room on {self.edges[wait.edge].name}" if wait.room else self._awaited(wait))
            for wait in ring
        ]
        chain.append(why)
        edge = self._to_raise(ring)
        if edge is not None:
            return self._deadlock(chain, edge, None)
        remedy = f"let {self.edges[ring[0].edge].name} block, without a deadline or QoS"
        return FlowDeadlock("; ".join(chain), None, None, tuple(chain), remedy)

    def _to_raise(self, ring: list[_Wait]) -> int | None:
        """Return the full edge into the node that waits for another input; else any full edge."""
        for wait, other in zip(ring, [*ring[1:], ring[0]], strict=True):
            if wait.room and not other.room:
                return wait.edge
        return ring[0].edge if ring[0].room else None

    def _sentence(
        self, wait: _Wait, node: FlowNode, counts: dict[int, int], end: _Standstill, *, passes: bool
    ) -> str:
        name, edge = self._name(wait.waiter), self.edges[wait.edge]
        if wait.room:
            filled = min(counts.get(wait.edge, edge.capacity), edge.capacity)
            return f"{name} waits for room on {edge.name} ({filled} of {edge.capacity})"
        if passes and wait.edge in counts:
            begun = end.begun[wait.waiter]
            wanted = node.each if begun else node.first
            need = _need(node, edge.capacity, begun)
            if need > 1:
                return f"{name} has {counts[wait.edge]} of the {need} messages of a batch"
            if wanted > 1:
                held = wanted - end.lacks[wait.waiter]
                return f"{name} holds {held} of the {wanted} messages it needs"
        return f"{name} waits for {self._awaited(wait)}"

    def _awaited(self, wait: _Wait) -> str:
        port = self.edges[wait.edge].name.rpartition(" -> ")[2]
        return f"{port} from {self._name(wait.target)}"

    def _name(self, node: int) -> str:
        for e in self.outs[node]:
            return self.edges[e].name.partition(" -> ")[0].partition(".")[0]
        for e in self.ins[node]:
            return self.edges[e].name.rpartition(" -> ")[2].partition(".")[0]
        return f"node {node}"


def _from_the_blocked(ring: list[_Wait]) -> list[_Wait]:
    """Begin the ring with the first node held up by a full edge, if there is one."""
    for i, wait in enumerate(ring):
        if wait.room and not ring[i - 1].room:
            return ring[i:] + ring[:i]
    return ring


def _peel(after: dict[_Wait, list[_Wait]]) -> None:
    """Remove, in place, every wait from which no cycle is reached."""
    before: dict[_Wait, list[_Wait]] = {wait: [] for wait in after}
    left: dict[_Wait, int] = {}
    for wait, others in after.items():
        others[:] = [other for other in others if other in before]
        left[wait] = len(others)
        for other in others:
            before[other].append(wait)
    gone = [wait for wait, count in left.items() if not count]
    while gone:
        wait = gone.pop()
        del after[wait]
        for other in before[wait]:
            left[other] -= 1
            if not left[other]:
                gone.append(other)
    for others in after.values():
        others[:] = [other for other in others if other in after]


def _cycles(after: dict[_Wait, list[_Wait]]) -> list[set[_Wait]]:
    """Return the strongly connected sets that hold a cycle (Kosaraju)."""
    order: list[_Wait] = []
    seen: set[_Wait] = set()
    for root in after:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(after[root]))]
        while stack:
            wait, others = stack[-1]
            step = next((other for other in others if other not in seen), None)
            if step is None:
                order.append(wait)
                stack.pop()
            else:
                seen.add(step)
                stack.append((step, iter(after[step])))
    before: dict[_Wait, list[_Wait]] = {wait: [] for wait in after}
    for wait, others in after.items():
        for other in others:
            before[other].append(wait)
    found: list[set[_Wait]] = []
    seen.clear()
    for root in reversed(order):
        if root in seen:
            continue
        group, todo = {root}, [root]
        seen.add(root)
        while todo:
            for other in before[todo.pop()]:
                if other not in seen:
                    seen.add(other)
                    group.add(other)
                    todo.append(other)
        if len(group) > 1 or root in after[root]:
            found.append(group)
    return found
