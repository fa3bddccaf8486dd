"""What deadlines, budgets, freshness, liveness, criticality and error actions must satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limen.errors import Code, LimenError
from limen.graph._declared import declared_payload
from limen.graph._problems import Problem
from limen.graph._spec import GraphSpec, NodeSpec
from limen.node import Node, NodeKind, NodePorts
from limen.policy import (
    Activation,
    ActivationRule,
    DefaultOnTimeout,
    Degrade,
    EmitFailsafe,
    OverBudgetAction,
    Periodic,
    Restart,
    Trigger,
)
from limen.types import NodeIndex, PortId, PortIndex, format_ns, nearest


class Fallback(NamedTuple):
    """A declared message that takes a result's place.

    Attributes:
        port: The output it goes to.
        payload: As that output emits it.
    """

    port: PortIndex
    payload: object


def activation_of(node: NodeSpec) -> ActivationRule:
    """Return the activation that holds: the policy's, else the node's own."""
    return node.node.activation if node.policy.activation is None else node.policy.activation


def is_left_out(node: NodeSpec, ports: NodePorts, port: PortIndex) -> bool:
    """Whether a step may do without an input: of a node's only one, if time makes it step."""
    if len(ports.inputs) == 1 and not isinstance(activation_of(node), Periodic):
        return False
    return ports.inputs[port].optional


def read_fallbacks(
    node: NodeSpec, ports: NodePorts | None
) -> tuple[Fallback | None, Fallback | None, list[Problem]]:
    """Return the default and the failsafe message of a node, and what is wrong with them."""
    problems: list[Problem] = []
    action, on_error = node.policy.budget_rule.action, node.policy.on_error
    default = failsafe = None
    if isinstance(action, DefaultOnTimeout):
        place = f"{node.name}.policy.budget.action"
        default = _fallback(place, "the default", action.port, action.payload, ports, problems)
    if isinstance(on_error, EmitFailsafe):
        place, what = f"{node.name}.policy.error_action", "the failsafe message"
        failsafe = _fallback(place, what, on_error.port, on_error.payload, ports, problems)
    return default, failsafe, problems


def _fallback(
    place: str,
    what: str,
    port: str | None,
    payload: object,
    ports: NodePorts | None,
    problems: list[Problem],
) -> Fallback | None:
    if ports is None:
        return None
    names = [output.name for output in ports.outputs]
    if not names:
        text = f"{what} has no output to go to"
        problems.append(Problem(Code.ARITY, place, text, "choose another action for a sink"))
        return None
    if port is None and len(names) > 1:
        text = f"{what} may go to several outputs"
        remedy = f"name one of {', '.join(names)} as its port"
        problems.append(Problem(Code.ARITY, place, text, remedy))
        return None
    if port is not None and port not in names:
        text = f"{what} goes to an output {port!r} that is not there"
        problems.append(Problem(Code.UNKNOWN_NAME, place, text, nearest(port, names)))
        return None
    index = PortIndex(0 if port is None else names.index(port))
    try:
        return Fallback(index, declared_payload(what, payload, ports.outputs[index].spec))
    except LimenError as error:
        problems.append(Problem.from_error(place, error))
        return None


def node_problems(
    node: NodeSpec, ports: NodePorts | None, clock_offsets_ns: Mapping[int, int]
) -> list[Problem]:
    """Return what is wrong with a node's constraints, apart from its neighbours."""
    problems = [*_name_problems(node), *_variant_problems(node, ports)]
    if node.node.kind is NodeKind.SOURCE:
        problems += _source_problems(node, clock_offsets_ns)
    if node.policy.budget_rule.action is OverBudgetAction.SKIP_STAGE:
        problems += _skip_problems(node, ports)
    return problems


def _name_problems(node: NodeSpec) -> list[Problem]:
    names = node.node.input_names
    place = f"{node.name}.policy"
    problems = [
        Problem(
            Code.UNKNOWN_NAME,
            f"{place}.inputs.{name}",
            f"{node.name!r} has no input {name!r}",
            nearest(name, names) or "a source has no inputs: remove it",
        )
        for name in node.policy.inputs
        if name not in names
    ]
    rule = node.policy.activation
    if node.node.kind is NodeKind.SOURCE and isinstance(rule, (Trigger, Periodic)):
        text = "a source is stepped when it is due"
        problems.append(
            Problem(Code.INVALID_VALUE, f"{place}.activation", text, "leave the activation out")
        )
    elif isinstance(rule, Trigger) and rule.port not in names:
        problems.append(
            Problem(
                Code.UNKNOWN_NAME,
                f"{place}.activation",
                f"{node.name!r} has no input {rule.port!r} to be its trigger",
                nearest(rule.port, names),
            )
        )
    return problems


def _source_problems(node: NodeSpec, clock_offsets_ns: Mapping[int, int]) -> list[Problem]:
    problems: list[Problem] = []
    domain = node.node.clock_domain
    if domain is not None and domain not in clock_offsets_ns:
        problems.append(
            Problem(
                Code.CLOCK_DOMAIN,
                node.name,
                f"its instants are those of clock domain {domain}, whose offset is not declared",
                f'declare what is to be added: runtime.clock_offsets = {{ {domain} = "0ns" }}',
            )
        )
    if node.policy.budget_rule.action is not None:
        problems.append(
            Problem(
                Code.INVALID_VALUE,
                f"{node.name}.policy.budget.action",
                "a source has no input that something could be done with instead",
                "leave the action out; overruns are counted",
            )
        )
    return problems


def _skip_problems(node: NodeSpec, ports: NodePorts | None) -> list[Problem]:
    place = f"{node.name}.policy.budget.action"
    if node.node.takes_windows:
        text = "skip_stage forwards one message, and a window is several"
        return [Problem(Code.INCOMPATIBLE_PORTS, place, text, "use drop, or a default")]
    if ports is None:
        return []
    if len(ports.inputs) != 1 or len(ports.outputs) != 1:
        text = f"skip_stage with {len(ports.inputs)} inputs and {len(ports.outputs)} outputs"
        remedy = "it forwards the one input to the one output: use drop, or a default"
        return [Problem(Code.INCOMPATIBLE_PORTS, place, text, remedy)]
    if ports.inputs[0].spec != ports.outputs[0].spec:
        return [
            Problem(
                Code.INCOMPATIBLE_PORTS,
                place,
                f"skip_stage forwards {ports.inputs[0].name!r} unchanged, and the output is of "
                f"another type",
                "use drop, a default, or a variant that emits the right type",
            )
        ]
    return []


def _variant_problems(node: NodeSpec, ports: NodePorts | None) -> list[Problem]:
    degrades = isinstance(node.policy.budget_rule.action, Degrade)
    place, variant = f"{node.name}.variant", node.variant
    if variant is None:
        if not degrades:
            return []
        text = "the budget's action degrades, and there is no cheaper variant"
        remedy = f"give one: [nodes.{node.name}.variant], or add(…, variant=…)"
        return [Problem(Code.VARIANT_MISMATCH, node.name, text, remedy)]
    if not degrades:
        text = "nothing calls the variant"
        remedy = "give the budget an action that degrades: { degrade_after = 1 }"
        return [Problem(Code.VARIANT_MISMATCH, place, text, remedy)]
    try:
        variant.prepare()
        different = _difference(node.node, variant, ports)
    except LimenError as error:
        return [Problem.from_error(place, error)]
    except Exception as error:
        text = f"cannot be prepared: {type(error).__name__}: {error}"
        return [Problem(Code.BAD_COMPONENT, place, text, "correct its parameters")]
    if not different:
        return []
    remedy = "a variant takes and gives what the full form does, in the same way"
    return [Problem(Code.VARIANT_MISMATCH, place, different, remedy)]


def _difference(full: Node, variant: Node, ports: NodePorts | None) -> str:
    """Say in what a variant differs from the full form where it must not; empty if in nothing."""
    kinds = (NodeKind.MODEL, NodeKind.SINK, NodeKind.SOURCE)
    if full.kind is not variant.kind and (full.kind in kinds or variant.kind in kinds):
        return f"it is a {variant.kind.value}, the full form a {full.kind.value}"
    if full.kind is NodeKind.SOURCE:
        return "a source has no cheaper variant"
    for side in ("input_names", "output_names"):
        mine, its = getattr(full, side), getattr(variant, side)
        if mine != its:
            return f"its ports are {', '.join(its)}, those of the full form {', '.join(mine)}"
    if full.takes_windows is not variant.takes_windows or full.fixed_batch != variant.fixed_batch:
        return "it takes its batches in another way than the full form"
    if variant.max_emit > full.max_emit:
        return f"it emits up to {variant.max_emit} messages, the full form {full.max_emit}"
    if variant.max_batch is not None and (
        full.max_batch is None or variant.max_batch < full.max_batch
    ):
        return f"it takes batches of at most {variant.max_batch}"
    if ports is None:
        return ""
    resolved = variant.resolve({port.name: port.spec for port in ports.inputs})
    takes_none = {port.name for port in resolved.inputs if port.optional}
    for port in ports.inputs:
        if port.optional and port.name not in takes_none:
            return f"its input {port.name!r} takes no None, that of the full form does"
    given = {port.name: port.spec for port in resolved.outputs}
    for port in ports.outputs:
        if given[port.name] != port.spec:
            return f"its output {port.name!r} is of another type"
    return ""


def flow_problems(
    spec: GraphSpec,
    ports: Mapping[NodeIndex, NodePorts],
    links: Sequence[tuple[PortId | None, PortId | None]],
) -> list[Problem]:
    """Return the edges over which a lower class feeds what a higher one needs."""
    problems = []
    for edge, (producer, consumer) in zip(spec.edges, links, strict=True):
        if producer is None or consumer is None or edge.initial:
            continue
        into = ports.get(consumer.node)
        lower, higher = spec.nodes[producer.node], spec.nodes[consumer.node]
        if into is None or lower.policy.criticality >= higher.policy.criticality:
            continue
        if not _is_needed(higher, into, consumer.port):
            continue
        names = [node.policy.criticality.name.lower() for node in (lower, higher)]
        problems.append(
            Problem(
                Code.CRITICALITY_FLOW,
                str(edge),
                f"{lower.name!r} is {names[0]} and feeds what {higher.name!r}, which is "
                f"{names[1]}, cannot do without",
                f"raise {lower.name!r}, lower {higher.name!r}, or let the input be missing: "
                f"annotate it X | None",
            )
        )
    return problems


def _is_needed(node: NodeSpec, ports: NodePorts, port: PortIndex) -> bool:
    rule = activation_of(node)
    if rule is Activation.ANY:
        return len(ports.inputs) == 1
    if isinstance(rule, Trigger):
        return ports.inputs[port].name == rule.port
    return not is_left_out(node, ports, port)


def constraint_warnings(spec: GraphSpec) -> list[str]:
    """Return what is legal and probably not meant."""
    warnings = []
    classes = {node.policy.criticality for node in spec.nodes}
    if len(classes) > 1 and spec.scheduler != "criticality":
        warnings.append(
            f"nodes differ in criticality, and scheduler {spec.scheduler!r} does not look at it; "
            f"'criticality' does"
        )
    for node in spec.nodes:
        rule = node.policy.on_error
        if isinstance(rule, Restart) and rule.rest_ns > rule.per_ns:
            warnings.append(
                f"{node.name}: {rule.max} restarts rest {format_ns(rule.rest_ns)} in all, longer "
                f"than per ({rule.per}): it is restarted for ever, and never halts the graph"
            )
    domains = {node.node.clock_domain for node in spec.nodes}
    warnings += [
        f"an offset is declared for clock domain {domain}, which no source states"
        for domain in spec.clock_offsets_ns
        if domain not in domains
    ]
    return warnings
