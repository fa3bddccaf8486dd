"""Who can wait for whom: the waits of a graph, which follows which, and their cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from limen.graph._flow_counts import FlowEdge, FlowNode


@dataclass(frozen=True, slots=True, eq=False)
class Wait:
    """``waiter`` waits for ``target``; compared by identity, for speed.

    Attributes:
        edge: Index of the edge between them.
        room: For room on it; otherwise for messages over it.
        waiter: Index of the node that waits.
        target: Index of the node it waits for.
    """

    edge: int
    room: bool
    waiter: int
    target: int


class Waits:
    """The waits of one graph.

    Args:
        nodes: Of the graph.
        edges: Of the graph.
    """

    def __init__(self, nodes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> None:
        self._nodes = nodes
        self._edges = edges
        self._ins: list[list[int]] = [[] for _ in nodes]
        self._outs: list[list[int]] = [[] for _ in nodes]
        for i, edge in enumerate(edges):
            self._ins[edge.consumer].append(i)
            self._outs[edge.producer].append(i)
        self._room = [Wait(i, True, e.producer, e.consumer) for i, e in enumerate(edges)]
        self._items = [Wait(i, False, e.consumer, e.producer) for i, e in enumerate(edges)]
        flow = [[e for e in ins if not edges[e].latch] for ins in self._ins]
        # Without a required input, any of the optional ones makes a node step.
        self._any = [
            node.any or (not node.timed and node.optional.issuperset(flow[i]))
            for i, node in enumerate(nodes)
        ]
        self.merges = [self._any[i] and len(flow[i]) > 1 for i in range(len(nodes))]
        self.late = {
            e
            for i, node in enumerate(nodes)
            if not self._any[i]
            for e in node.optional
            if node.timed or not self._always_there(e, i)
        }
        self.after = self._lasting()

    def of(self, edge: int, *, room: bool) -> Wait:
        """Return the wait for room on an edge, or for messages over it."""
        return self._room[edge] if room else self._items[edge]

    def is_plain(self, wait: Wait, other: Wait) -> bool:
        """Say whether two waits in a row lose nothing and depend on no choice."""
        return (
            self._keeps(wait)
            and self._keeps(other)
            and not self._nodes[wait.target].varies
            and not (self.merges[wait.target] and wait.room and other.room)
            and not self.loses_between(wait, other)
        )

    def loses_between(self, wait: Wait, other: Wait) -> bool:
        """Say whether the node between two waits gives anything from one result up."""
        if wait.room or other.room:
            return False
        node = self._nodes[wait.target]
        return self.merges[wait.target] or (node.closes and node.window and node.batch > 1)

    def _keeps(self, wait: Wait) -> bool:
        edge = self._edges[wait.edge]
        if wait.room:
            return wait.edge not in self.late
        return edge.blocks and not edge.latch and not edge.refuses_when_empty

    def _lasting(self) -> dict[Wait, list[Wait]]:
        """Return what can follow each wait, of those that can last for ever."""
        after = {
            wait: self._following(wait)
            for wait in (*self._room, *self._items)
            if (self._can_fill(wait.edge) if wait.room else self._can_starve(wait.edge))
        }
        _peel(after)
        return after

    def _can_fill(self, edge: int) -> bool:
        return self._edges[edge].blocks and not self._edges[edge].latch

    def _can_starve(self, edge: int) -> bool:
        consumer = self._edges[edge].consumer
        if self._edges[edge].latch:
            return not self._nodes[consumer].any and edge not in self._nodes[consumer].optional
        if self._any[consumer]:
            # A merge may be left with this input alone: its other sources may have ended.
            return True
        return edge not in self._nodes[consumer].optional

    def _following(self, wait: Wait) -> list[Wait]:
        node, edge = wait.target, wait.edge
        full = [
            self._room[e]
            for e in self._outs[node]
            if self._can_fill(e) and (wait.room or e != edge)
        ]
        starved = [
            self._items[e]
            for e in self._ins[node]
            if self._can_starve(e) and not (wait.room and e == edge)
        ]
        if wait.room and self._any[node]:
            # The full input makes it ready, but for a latch that is still empty.
            starved = [other for other in starved if self._edges[other.edge].latch]
        return full + starved

    def _always_there(self, optional: int, node: int) -> bool:
        """Say whether no required input can come before the optional one: they have one origin."""
        origin, seen, todo = self._edges[optional].producer, {node}, [node]
        while todo:
            at = todo.pop()
            if self.merges[at]:
                continue
            for e in self._ins[at]:
                edge = self._edges[e]
                if edge.latch or edge.initial or e in self._nodes[at].optional:
                    continue
                if edge.producer == origin:
                    return True
                if edge.producer not in seen:
                    seen.add(edge.producer)
                    todo.append(edge.producer)
        return False


def cycles(after: dict[Wait, list[Wait]]) -> list[list[Wait]]:
    """Return the strongly connected sets that hold a cycle (Kosaraju), each in given order."""
    order: list[Wait] = []
    seen: set[Wait] = set()
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
    before = _reversed(after)
    group: dict[Wait, int] = {}
    for number, root in enumerate(reversed(order)):
        todo = [] if root in group else [root]
        while todo:
            wait = todo.pop()
            group[wait] = number
            todo += [other for other in before[wait] if other not in group]
    found: dict[int, list[Wait]] = {}
    for wait in after:
        found.setdefault(group[wait], []).append(wait)
    return [waits for waits in found.values() if len(waits) > 1 or waits[0] in after[waits[0]]]


def rings(
    after: dict[Wait, list[Wait]], is_plain: Callable[[Wait, Wait], bool]
) -> Iterator[list[Wait]]:
    """Yield the cycles that visit no node twice and are not plain; an empty list per dead end."""
    done: set[tuple[Wait, Wait]] = set()
    for first, others in after.items():
        for second in others:
            if is_plain(first, second):
                continue
            if first is second:
                yield [first]
            elif first.waiter != second.waiter:
                yield from _through(after, first, second, done)
            done.add((first, second))


def _through(
    after: dict[Wait, list[Wait]], first: Wait, second: Wait, done: set[tuple[Wait, Wait]]
) -> Iterator[list[Wait]]:
    path, visited = [first, second], {first.waiter, second.waiter}
    stack = [iter(after[second])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            visited.discard(path.pop().waiter)
            yield []
        elif (path[-1], step) in done:
            continue
        elif step is first:
            yield list(path)
        elif step.waiter not in visited:
            path.append(step)
            visited.add(step.waiter)
            stack.append(iter(after[step]))


def _reversed(after: dict[Wait, list[Wait]]) -> dict[Wait, list[Wait]]:
    before: dict[Wait, list[Wait]] = {wait: [] for wait in after}
    for wait, others in after.items():
        for other in others:
            before[other].append(wait)
    return before


def _peel(after: dict[Wait, list[Wait]]) -> None:
    """Remove, in place, every wait that leads to no cycle."""
    for others in after.values():
        others[:] = [other for other in others if other in after]
    before = _reversed(after)
    left = {wait: len(others) for wait, others in after.items()}
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
