"""Whether payloads lie where their consumers can use them."""

from __future__ import annotations

from limen.errors import Code
from limen.graph._problems import Problem
from limen.graph._spec import NodeSpec
from limen.memory import PROVIDED, Placement, PlacementAcceptance, decide_placement
from limen.node import Port


def acceptance_of(node: NodeSpec, port: Port) -> PlacementAcceptance:
    """Return the memory that an input can use, of the node or of its cheaper variant as well."""
    accepted = node.node.accepts if port.accepts is None else port.accepts
    return accepted if node.variant is None else accepted.intersect(node.variant.accepts)


def output_problem(node: NodeSpec, port: Port) -> Problem | None:
    """Report an output in memory that nothing manages."""
    if PROVIDED.accepts(port.memory):
        return None
    return Problem(
        Code.MEMORY_NOT_PROVIDED,
        f"{node.name}.{port.name}",
        f"its payloads lie in {port.memory.label} memory, which no manager provides",
        f"emit them from memory that one does: {PROVIDED}",
    )


def placement_problem(edge: str, out: Port, node: NodeSpec, into: Port) -> Problem | None:
    """Report a consumer that can be given nothing it accepts, as it is or copied.

    Args:
        edge: Its name.
        out: The output it begins at.
        node: The consumer.
        into: The input it ends at.
    """
    accepted = acceptance_of(node, into)
    if decide_placement(accepted, out.memory) is Placement.ZERO_COPY:
        return None
    if not accepted.intersect(PROVIDED).is_empty:
        return None
    return Problem(
        Code.MEMORY_NOT_PROVIDED,
        edge,
        f"{node.name}.{into.name} accepts {accepted} memory only, which no manager provides",
        f"let it accept memory that one does: {PROVIDED}",
    )
