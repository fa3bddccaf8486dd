"""Whether the rings that edges name are there, and fit them."""

from __future__ import annotations

from collections.abc import Sequence

from limen.edge import EdgeFactory, find_edge, open_edge
from limen.errors import LimenError
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec
from limen.platform import NoopClock


def resolve_rings(edges: Sequence[EdgeSpec]) -> tuple[dict[str, EdgeFactory], list[Problem]]:
    """Find the rings that edges name, and make one for each such edge, to see that it fits.

    Returns:
        What makes them, by name, and a problem for every name that is unknown and every edge that
        its ring does not fit.
    """
    named: dict[str, list[EdgeSpec]] = {}
    for edge in edges:
        if edge.policy.ring is not None:
            named.setdefault(edge.policy.ring, []).append(edge)
    makers: dict[str, EdgeFactory] = {}
    problems: list[Problem] = []
    for name, users in named.items():
        try:
            makers[name] = find_edge(name)
        except LimenError as error:
            place = ", ".join(str(edge) for edge in users)
            problems.append(Problem.from_error(place, error))
            continue
        for edge in users:
            try:
                open_edge(name, makers[name], edge.policy, NoopClock())
            except LimenError as error:
                problems.append(Problem.from_error(str(edge), error))
    return makers, problems
