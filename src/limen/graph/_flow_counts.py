"""Messages as counts: what edges and nodes are to them, and where an eager run of them ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

_MOST_VISITS: Final = 300_000
_MOST_VISITS_EACH: Final = 20_000
_MOST_CAPACITY: Final = 65_536
_ENDLESS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """One edge as counts see it.

    Attributes:
        name: As users read it, ``node.port -> node.port``.
        producer: Index of the node.
        consumer: Index of the node.
        capacity: Items it can hold.
        blocks: BLOCK admission; otherwise it drops at capacity, and the count stays.
        latch: Keeps the last value, and is never consumed.
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
        stride: Of these, the new ones in each later step, if ``window``.
        window: One result per batch; otherwise one per message.
        closes: Time closes a batch, so it never waits for more.
        first: Messages (batches, if ``window``) absorbed before the first result.
        each: The same for each further result.
        timed: Time makes it step, whether or not its inputs have something.
        varies: It may give other numbers of results than ``first`` and ``each`` say.
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
    timed: bool = False
    varies: bool = False

    @property
    def withholds(self) -> bool:
        """Whether it can keep messages without a result, and wait for more."""
        return self.first > 1 or self.each > 1 or (self.batch > 1 and not self.closes)

    @property
    def lump(self) -> int:
        """Most results of a step; those without room are staged."""
        return 1 if self.window else self.batch

    def wanted(self, capacity: int, *, begun: bool) -> int:
        """Return the messages a step waits for on an input of this capacity."""
        if self.closes:
            return 1
        return min(self.stride if begun and self.window else self.batch, capacity)


@dataclass(frozen=True, slots=True)
class Standstill:
    """Where nothing can fire any more.

    Attributes:
        counts: Items on each edge, staged ones included.
        lacks: By node, what it must still absorb before its next result.
        begun: By node, whether it has stepped.
        gave: By node, whether it has given a result.
    """

    counts: list[int]
    lacks: list[int]
    begun: list[bool]
    gave: list[bool]


class UndecidedError(Exception):
    """The counts did not repeat within the limit."""


def simulate(
    nodes: Sequence[FlowNode], edges: Sequence[FlowEdge], limit: int = _MOST_VISITS
) -> Standstill | None:
    """Fire whatever can fire, consumers of dropping edges last; None if that never ends.

    Only the given edges make their nodes wait. A latch that gets its value ends the question too:
    callers ask about latches only while they are empty.

    Raises:
        UndecidedError: Neither came about within so many visits of nodes.
    """
    return _Run(nodes, edges).end(limit)


class _Run:
    def __init__(self, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> None:
        self.nodes = nodes
        self.edges = edges
        self.counts = [edge.initial for edge in edges]
        self.lacks = [node.first for node in nodes]
        self.begun = [False] * len(nodes)
        self.gave = [False] * len(nodes)
        self.ins: list[list[int]] = [[] for _ in nodes]
        self.outs: list[list[int]] = [[] for _ in nodes]
        self.limits: list[list[int]] = [[] for _ in nodes]
        for i, edge in enumerate(edges):
            self.ins[edge.consumer].append(i)
            self.outs[edge.producer].append(i)
            if edge.blocks and not edge.latch:
                self.limits[edge.producer].append(i)
        touched = sorted({n for edge in edges for n in (edge.producer, edge.consumer)})
        lazy = {edge.consumer for edge in edges if not edge.blocks and not edge.latch}
        self.eager = [n for n in touched if n not in lazy]
        self.lazy = sorted(lazy)
        self.latches = [i for i, edge in enumerate(edges) if edge.latch]

    def end(self, limit: int) -> Standstill | None:
        seen = self._state()
        power, since, visits = 1, 0, 0
        while True:
            visits += len(self.eager) + len(self.lazy)
            fired = False
            for n in self.eager:
                fired |= self._fire(n, _ENDLESS)
            fired = fired or any(self._fire(n, 1) for n in self.lazy)
            if not fired:
                return self._state()
            if self.latches and any(self.counts[e] for e in self.latches):
                return None
            if self.counts == seen.counts and self._state() == seen:
                return None
            if visits > limit:
                raise UndecidedError
            since += 1
            if since == power:
                seen, power, since = self._state(), power * 2, 0

    def _state(self) -> Standstill:
        return Standstill([*self.counts], [*self.lacks], [*self.begun], [*self.gave])

    def _fire(self, n: int, most: int) -> bool:
        """Step a node as often as it can, at most so often; say whether it did."""
        counts, edges = self.counts, self.edges
        room = most
        for e in self.limits[n]:
            left = edges[e].capacity - counts[e]
            room = min(room, left)
        if room <= 0:
            return False
        ins = self.ins[n]
        if not ins:
            self._push(n, room)
            return True
        items = most
        for e in ins:
            items = min(items, counts[e])
        if items <= 0:
            return False
        batches = self.nodes[n].batch > 1 and not self.nodes[n].closes
        if batches and len(ins) == 1 and not edges[ins[0]].latch:
            return self._take_batch(n, ins[0])
        taken, results = self._absorb(n, items, room)
        for e in ins:
            if not edges[e].latch:
                counts[e] -= taken
        self._push(n, results)
        return True

    def _take_batch(self, n: int, e: int) -> bool:
        node = self.nodes[n]
        wanted = node.wanted(self.edges[e].capacity, begun=self.begun[n])
        if self.counts[e] < wanted:
            return False
        self.begun[n] = True
        self.counts[e] -= wanted
        self._push(n, self._absorb(n, 1 if node.window else wanted, _ENDLESS)[1])
        return True

    def _absorb(self, n: int, items: int, room: int) -> tuple[int, int]:
        """Return how many items are taken while there is room, and the results they give."""
        lacks = self.lacks[n]
        if items < lacks:
            self.lacks[n] = lacks - items
            return items, 0
        each = self.nodes[n].each
        results = 1 + (items - lacks) // each
        self.gave[n] = True
        if results >= room:
            self.lacks[n] = each
            return lacks + (room - 1) * each, room
        self.lacks[n] = each - (items - lacks) % each
        return items, results

    def _push(self, n: int, results: int) -> None:
        if not results:
            return
        for e in self.outs[n]:
            edge = self.edges[e]
            count = self.counts[e] + results
            self.counts[e] = count if edge.blocks else min(count, edge.capacity)


def is_balanced(nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> bool:
    """Say whether lossless edges carry as much in the long run as is taken from them."""
    near: dict[int, list[tuple[int, Fraction]]] = {}
    for edge in edges:
        node = nodes[edge.consumer]
        per_result = Fraction(node.each)
        if node.window:
            per_result *= node.wanted(edge.capacity, begun=True)
        near.setdefault(edge.producer, []).append((edge.consumer, 1 / per_result))
        near.setdefault(edge.consumer, []).append((edge.producer, per_result))
    rates: dict[int, Fraction] = {}
    for root in near:
        if root in rates:
            continue
        rates[root] = Fraction(1)
        todo = [root]
        while todo:
            at = todo.pop()
            for other, factor in near[at]:
                rate = rates[at] * factor
                if other not in rates:
                    rates[other] = rate
                    todo.append(other)
                elif rates[other] != rate:
                    return False
    return True


def smallest_capacity(
    nodes: Sequence[FlowNode], edges: Sequence[FlowEdge], index: int
) -> int | None:
    """Return the least capacity of one edge with which the counts go on; None if none is found."""

    def goes_on(capacity: int) -> bool:
        changed = list(edges)
        changed[index] = replace(edges[index], capacity=capacity)
        try:
            return simulate(nodes, changed, _MOST_VISITS_EACH) is None
        except UndecidedError:
            return False

    short = edges[index].capacity
    enough = min(2 * short, _MOST_CAPACITY)
    while not goes_on(enough):
        if enough >= _MOST_CAPACITY:
            return None
        short, enough = enough, min(2 * enough, _MOST_CAPACITY)
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if goes_on(middle) else (middle, enough)
    return enough
