"""Producers before consumers, and the cycles that make it impossible."""

from __future__ import annotations

from collections.abc import Iterable

from limen.types import NodeIndex


def order_nodes(
    count: int, edges: Iterable[tuple[NodeIndex, NodeIndex]]
) -> tuple[list[NodeIndex], list[list[NodeIndex]]]:
    """Return nodes with producers before consumers, and the cycles, which are left out of it.

    Args:
        count: Number of nodes.
        edges: Producer and consumer of each edge that is no feedback.
    """
    waits: dict[NodeIndex, set[NodeIndex]] = {NodeIndex(i): set() for i in range(count)}
    for producer, consumer in edges:
        waits[consumer].add(producer)
    order: list[NodeIndex] = []
    cycles: list[list[NodeIndex]] = []
    while waits:
        free = [i for i, before in waits.items() if not before]
        if not free:
            # Without these, what is left may hold another cycle.
            free = _find_cycle(waits)
            cycles.append(free)
        else:
            order += free
        for i in free:
            del waits[i]
        for before in waits.values():
            before.difference_update(free)
    return order, cycles


def _find_cycle(waits: dict[NodeIndex, set[NodeIndex]]) -> list[NodeIndex]:
    """Return one cycle, in the direction of its edges; every node waits for another of them."""
    path = [next(iter(waits))]
    while True:
        before = min(waits[path[-1]])
        if before in path:
            cycle = path[path.index(before) :][::-1]
            first = cycle.index(min(cycle))
            return cycle[first:] + cycle[:first]
        path.append(before)
