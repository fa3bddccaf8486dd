"""What the inputs of a node must satisfy: arity by kind, activation, latches, batching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from limen.errors import Code
from limen.graph._constraints import activation_of, is_left_out
from limen.graph._problems import Problem
from limen.graph._spec import EdgeSpec, NodeSpec
from limen.node import NodeKind, NodePorts, ProcessNode
from limen.policy import Activation, ActivationRule, Periodic, Trigger
from limen.types import PortIndex

_MANY: Final = 1 << 16
# Fewest and most inputs, fewest and most outputs.
_ARITY: Final = {
    NodeKind.SOURCE: (0, 0, 1, _MANY),
    NodeKind.PROCESS: (1, 1, 1, 1),
    NodeKind.MODEL: (1, 1, 1, 1),
    NodeKind.SPLIT: (1, 1, 2, _MANY),
    NodeKind.JOIN: (2, _MANY, 1, _MANY),
    NodeKind.SINK: (1, _MANY, 0, 0),
}


def arity_problem(node: NodeSpec) -> Problem | None:
    """Return what is wrong with the number of a node's ports."""
    inputs, outputs = len(node.node.input_names), len(node.node.output_names)
    least_in, most_in, least_out, most_out = _ARITY[node.node.kind]
    if least_in <= inputs <= most_in and least_out <= outputs <= most_out:
        return None
    wanted = f"{_range(least_in, most_in)} in and {_range(least_out, most_out)} out"
    return Problem(
        Code.ARITY,
        node.name,
        f"a {node.node.kind.value} with {inputs} inputs and {outputs} outputs",
        f"a {node.node.kind.value} has {wanted}",
    )


def input_problems(
    node: NodeSpec, ports: NodePorts | None, edges: Mapping[PortIndex, EdgeSpec]
) -> list[Problem]:
    """Return what is wrong with how a node is fed.

    Args:
        node: The node.
        ports: Its ports; None where they are unknown.
        edges: The edge at each connected input.
    """
    problems = _batching_problems(node)
    names = node.node.input_names
    latches = [names[port] for port, edge in edges.items() if edge.policy.is_latch]
    flows = [port for port, edge in edges.items() if not edge.policy.is_latch]
    activation = activation_of(node)
    steps_without_flow = isinstance(activation, Periodic) or (
        isinstance(activation, Trigger) and activation.port in latches
    )
    if latches and not flows and not steps_without_flow:
        problems.append(
            Problem(
                Code.LATCH_ONLY,
                node.name,
                f"only latches feed it ({', '.join(latches)}), and none of them makes it step",
                "give it an input that is no latch, a periodic activation, or one as its trigger",
            )
        )
    only_loops = flows and all(edges[port].initial for port in flows)
    if isinstance(activation, Trigger):
        only_loops = False
        problems += _trigger_problems(node, activation.port, edges)
    if only_loops and not (isinstance(activation, Periodic) and latches):
        problems.append(
            Problem(
                Code.GRAPH_CYCLIC,
                node.name,
                "only feedback feeds it, so that it would never end",
                "give it an input from outside the loop",
            )
        )
    if ports is None:
        return problems
    problems += _extra_problems(node, ports, activation, latches)
    required = [port.name for port in ports.inputs if not port.optional]
    several = len(names) > 1
    if activation is Activation.ANY and several and required and isinstance(node.node, ProcessNode):
        problems.append(
            Problem(
                Code.INCOMPATIBLE_PORTS,
                node.name,
                f"activation any hands over one input a step, and {required[0]!r} takes no None",
                "annotate each input as X | None, or use activation all",
            )
        )
    forward = [port for port in flows if not edges[port].initial]
    needed = [port for port in forward if not is_left_out(node, ports, port)]
    if activation is Activation.ALL and forward and not needed:
        problems.append(
            Problem(
                Code.ARITY,
                node.name,
                "all its inputs from outside are optional or latches, so that it waits for none",
                "require one of them, or use activation any",
            )
        )
    return problems


def _trigger_problems(
    node: NodeSpec, trigger: str, edges: Mapping[PortIndex, EdgeSpec]
) -> list[Problem]:
    names = node.node.input_names
    return [
        Problem(
            Code.GRAPH_CYCLIC,
            f"{node.name}.{trigger}",
            "a trigger that only feedback feeds, so that it would never end",
            "trigger it by an input from outside the loop",
        )
        for port, edge in edges.items()
        if edge.initial and names[port] == trigger
    ]


def _extra_problems(
    node: NodeSpec, ports: NodePorts, activation: ActivationRule, latches: list[str]
) -> list[Problem]:
    """Return the inputs that may have nothing to give, and whose node takes no None."""
    if isinstance(activation, Activation) or len(ports.inputs) < 2:
        return []
    trigger = activation.port if isinstance(activation, Trigger) else None
    if trigger is not None and trigger not in node.node.input_names:
        return []
    return [
        Problem(
            Code.INCOMPATIBLE_PORTS,
            f"{node.name}.{port.name}",
            f"a step by {'its trigger' if trigger else 'period'} may find nothing here, and the "
            f"input takes no None",
            "annotate it X | None",
        )
        for port in ports.inputs
        if not port.optional
        and port.name != trigger
        and (port.name not in latches or (trigger and isinstance(node.node, ProcessNode)))
    ]


def _batching_problems(node: NodeSpec) -> list[Problem]:
    batching = node.policy.batching
    if batching.is_none:
        return []
    place = f"{node.name}.policy.batching"
    if node.node.kind is NodeKind.SOURCE:
        text = "a source has no input to batch"
        return [Problem(Code.INVALID_VALUE, place, text, "move the batching to the consumer")]
    problems = []
    several = len(node.node.input_names) > 1
    if several and (activation_of(node) is not Activation.ANY or node.node.takes_windows):
        problems.append(
            Problem(
                Code.INVALID_VALUE,
                place,
                "a join takes one message of each input, so it has no batches",
                "batch before the join, or use activation any",
            )
        )
    if batching.slides and not node.node.takes_windows:
        problems.append(
            Problem(
                Code.INVALID_VALUE,
                place,
                "a sliding window for a node that takes messages one by one",
                "write process_batch, which takes the whole window; or use a Window node",
            )
        )
    return problems


def _range(least: int, most: int) -> str:
    if most == _MANY:
        return f"{least} or more"
    return str(least)
