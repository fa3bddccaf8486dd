"""What of a Plan has no C form: all of it, named at once."""

from __future__ import annotations

from collections.abc import Callable

from limen.codegen.c99._forms import NodeC
from limen.errors import Code, GraphError, LimenError
from limen.platform import PlatformClock
from limen.scheduling import NodePlan, Plan
from limen.types import TensorSpec, describe_spec

_RINGS = ("static", "heap", "priority2")
_MOST_SLOTS, _MOST_SHARES, _MOST_INPUTS = 65_535, 250, 32


def require_portable(
    plan: Plan, clock: PlatformClock, form_of: Callable[[NodePlan, PlatformClock], NodeC]
) -> tuple[NodeC, ...]:
    """Return the nodes of a Plan in C.

    Raises:
        GraphError: NOT_PORTABLE, with every node, port and edge that has no C form, and remedies.
    """
    nodes: list[NodeC] = []
    problems: list[str] = []
    for node in plan.nodes:
        try:
            nodes.append(form_of(node, clock))
        except LimenError as error:
            remedy = f"; {error.remedy}" if error.remedy else ""
            problems.append(f"{node.name}: {error.message}{remedy}")
        for output in node.outputs:
            if not isinstance(output.spec, TensorSpec) or not output.spec.is_fixed:
                problems.append(
                    f"{node.name}.{output.name}: {describe_spec(output.spec)} is no tensor of "
                    f"fixed shape; in C every slot has a size that is known"
                )
            if len(output.edges) > _MOST_SHARES:
                problems.append(f"{node.name}.{output.name}: more than {_MOST_SHARES} edges")
        if len(node.inputs) > _MOST_INPUTS:
            problems.append(f"{node.name}: more than {_MOST_INPUTS} inputs")
    for edge in plan.edges:
        if edge.ring not in _RINGS:
            problems.append(
                f"{edge.name}: edges of kind {edge.ring} have no C form; leave the kind out"
            )
    if sum(o.depth for n in plan.nodes for o in n.outputs) > _MOST_SLOTS:
        problems.append(f"more than {_MOST_SLOTS} slots; lower max_items")
    if problems:
        noun = "1 part has" if len(problems) == 1 else f"{len(problems)} parts have"
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise GraphError(
            f"graph {plan.name!r}: {noun} no C form{listed}",
            code=Code.NOT_PORTABLE,
        )
    return tuple(nodes)
