"""What makes a graph valid: all problems at once, each with place and remedy."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from limen.edge import EdgeFactory
from limen.errors import Code, LimenError
from limen.graph._blocking import blocking_problems
from limen.graph._capacity import edge_problems, edge_warnings
from limen.graph._constraints import (
    Fallback,
    constraint_warnings,
    flow_problems,
    node_problems,
    read_fallbacks,
)
from limen.graph._declared import declared_payload
from limen.graph._feedback import check_feedback, initial_spec
from limen.graph._inputs import arity_problem, input_problems
from limen.graph._names import name_problem
from limen.graph._order import order_nodes
from limen.graph._placement import output_problem, placement_problem
from limen.graph._problems import Problem, refuse
from limen.graph._rings import resolve_rings
from limen.graph._spec import TARGETS, EdgeSpec, Endpoint, GraphSpec, NodeSpec
from limen.node import FunctionNode, Node, NodePorts, SinkNode, SourceNode
from limen.types import NodeIndex, PayloadSpec, PortId, PortIndex, TensorSpec, nearest

SCHEDULERS: Final = ("criticality", "edf", "round_robin", "throughput")


@dataclass(frozen=True, slots=True)
class VerifiedGraph:
    """A graph with every port resolved; the only thing a Plan is lowered from.

    Attributes:
        spec: The graph.
        ports: Typed ports of each node, by node index.
        links: Producer and consumer port of each edge, by edge index.
        initial: Payloads of the initial tokens of each edge, as its output emits them.
        defaults: What each node emits in place of a result over its budget, by node index.
        failsafes: What it emits in place of a result that failed.
        warnings: What is legal and probably not meant.
        rings: What makes the rings that edges name, by name.
    """

    spec: GraphSpec
    ports: tuple[NodePorts, ...]
    links: tuple[tuple[PortId, PortId], ...]
    initial: tuple[tuple[object, ...], ...]
    defaults: tuple[Fallback | None, ...]
    failsafes: tuple[Fallback | None, ...]
    warnings: tuple[str, ...]
    rings: Mapping[str, EdgeFactory] = field(default_factory=dict)


def verify(
    spec: GraphSpec,
    *,
    found: tuple[Problem, ...] = (),
    broken: frozenset[str] = frozenset(),
    unread: frozenset[str] = frozenset(),
) -> VerifiedGraph:
    """Check a graph and resolve its ports.

    Args:
        spec: The graph.
        found: Problems that reading its file found already; reported together with these.
        broken: Nodes that could not be made; what follows from their absence is not reported.
        unread: ``"nodes"`` or ``"edges"``, where some could not be read at all; likewise.

    Raises:
        GraphError: ``problems`` lists all that is wrong.
    """
    check = _Check(spec, broken, unread)
    check.run()
    problems = [*found, *check.problems]
    if problems:
        raise refuse(spec.name, problems)
    links = tuple((a, b) for a, b in check.links if a is not None and b is not None)
    ports = tuple(check.ports[NodeIndex(i)] for i in range(len(spec.nodes)))
    return VerifiedGraph(
        spec=spec,
        ports=ports,
        links=links,
        initial=tuple(check.initial),
        defaults=tuple(check.defaults),
        failsafes=tuple(check.failsafes),
        warnings=tuple(check.warnings),
        rings=check.rings,
    )


class _Check:
    def __init__(self, spec: GraphSpec, broken: frozenset[str], unread: frozenset[str]) -> None:
        self.spec = spec
        self.broken = broken
        self.unread = unread
        self.unknown: dict[str, list[EdgeSpec]] = {}
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.index = {node.name: NodeIndex(i) for i, node in enumerate(spec.nodes)}
        self.ready: set[NodeIndex] = set()
        self.links: list[tuple[PortId | None, PortId | None]] = []
        self.ports: dict[NodeIndex, NodePorts] = {}
        self.initial: list[tuple[object, ...]] = []
        self.defaults: list[Fallback | None] = []
        self.failsafes: list[Fallback | None] = []
        self.rings: dict[str, EdgeFactory] = {}

    def run(self) -> None:
        self._names()
        self._twice()
        self._prepare()
        self._link()
        self._resolve(self._order())
        self._connections()
        self._inputs()
        self._capacities()
        self._rings()
        self._placements()
        self._feedback()
        self._constraints()
        if not self.problems and not self.broken and not self.unread:
            self.problems += blocking_problems(self.spec, self.ports, self._complete_links())

    def _report(self, code: Code, place: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code, place, message, remedy))

    def _names(self) -> None:
        if not self.spec.nodes and not self.broken and "nodes" not in self.unread:
            self._report(Code.ARITY, "graph", "it has no nodes", "add a source and a sink")
        if self.spec.scheduler not in SCHEDULERS:
            self._report(
                Code.INVALID_VALUE,
                "scheduler",
                f"unknown scheduler {self.spec.scheduler!r}",
                nearest(self.spec.scheduler, SCHEDULERS),
            )
        if self.spec.target is not None and self.spec.target not in TARGETS:
            self._report(
                Code.INVALID_VALUE,
                "target",
                f"unknown target {self.spec.target!r}",
                nearest(self.spec.target, TARGETS),
            )
        for name, count in Counter(node.name for node in self.spec.nodes).items():
            if count > 1:
                self._report(
                    Code.DUPLICATE_NAME, name, f"{count} nodes have this name", "rename one"
                )
            wrong = name_problem(name, "node")
            if wrong is not None:
                place = repr(name) if "reserved" not in wrong[0] else name
                self._report(Code.INVALID_NAME, place, *wrong)

    def _prepare(self) -> None:
        for i, node in enumerate(self.spec.nodes):
            try:
                node.node.prepare()
            except LimenError as error:
                self.problems.append(Problem.from_error(node.name, error))
            except Exception as error:
                self._report(
                    Code.BAD_COMPONENT,
                    node.name,
                    f"cannot be prepared: {type(error).__name__}: {error}",
                    "correct its parameters, or its method prepare",
                )
            else:
                self._arity(NodeIndex(i), node)

    def _arity(self, index: NodeIndex, node: NodeSpec) -> None:
        try:
            names = (*node.node.input_names, *node.node.output_names)
        except LimenError as error:
            self.problems.append(Problem.from_error(node.name, error))
            return
        problem = arity_problem(node)
        if problem is not None:
            self.problems.append(problem)
            return
        self.ready.add(index)
        for name in names:
            wrong = name_problem(name, "port")
            if wrong is not None:
                place = f"{node.name}.{name}"
                self._report(Code.INVALID_NAME, place, *wrong)

    def _twice(self) -> None:
        """Report components that stand in two places: their state would be shared."""
        places: dict[int, list[str]] = {}
        for spec, node in self._parts():
            part: object = node
            match node:
                case FunctionNode():
                    continue
                case SourceNode(source=part) | SinkNode(sink=part):
                    pass
            places.setdefault(id(part), []).append(spec.name)
        for names in places.values():
            if len(names) > 1:
                self._report(
                    Code.BAD_COMPONENT,
                    ", ".join(names),
                    "one component stands in several places, and would mix their state",
                    "make one for each",
                )

    def _parts(self) -> list[tuple[NodeSpec, Node]]:
        """Return all that stands in the graph, variants included."""
        return [
            (spec, node)
            for spec in self.spec.nodes
            for node in (spec.node, spec.variant)
            if node is not None
        ]

    def _link(self) -> None:
        for edge in self.spec.edges:
            producer = self._endpoint(edge, edge.producer, outgoing=True)
            consumer = self._endpoint(edge, edge.consumer, outgoing=False)
            self.links.append((producer, consumer))
        if "nodes" in self.unread:
            return
        known = [node.name for node in self.spec.nodes] + list(self.broken)
        for name, edges in self.unknown.items():
            self._report(
                Code.UNKNOWN_NAME,
                ", ".join(str(edge) for edge in edges),
                f"no node {name!r}",
                nearest(name, known) or "add the node",
            )

    def _endpoint(self, edge: EdgeSpec, end: Endpoint, *, outgoing: bool) -> PortId | None:
        if end.node in self.broken:
            return None
        if end.node not in self.index:
            self.unknown.setdefault(end.node, []).append(edge)
            return None
        index = self.index[end.node]
        if index not in self.ready:
            return None
        node = self.spec.nodes[index].node
        names = node.output_names if outgoing else node.input_names
        side = "output" if outgoing else "input"
        if end.port is None and len(names) == 1:
            return PortId(index, PortIndex(0))
        if end.port is None:
            count = f"{len(names)} {side}s" if names else f"no {side}"
            self._report(
                Code.ARITY,
                str(edge),
                f"{end.node!r} has {count}",
                f"name one of {', '.join(names)}"
                if names
                else f"connect a node that has an {side}",
            )
            return None
        if end.port not in names:
            self._report(
                Code.UNKNOWN_NAME,
                str(edge),
                f"{end.node!r} has no {side} {end.port!r}",
                nearest(end.port or "", names),
            )
            return None
        return PortId(index, PortIndex(names.index(end.port)))

    def _connections(self) -> None:
        producers = Counter(producer for producer, _ in self.links if producer is not None)
        consumers = Counter(consumer for _, consumer in self.links if consumer is not None)
        loose = self._loose()
        for i, node in enumerate(self.spec.nodes):
            if NodeIndex(i) not in self.ready:
                continue
            known = self.ports.get(NodeIndex(i))
            fed = any(consumer.node == i for consumer in consumers)
            # With nothing connected at all there is nothing to step for.
            optional = {p.name for p in known.inputs if p.optional} if known and fed else set()
            for p, name in enumerate(node.node.input_names):
                count = consumers[PortId(NodeIndex(i), PortIndex(p))]
                place = f"{node.name}.{name}"
                if count == 0 and node.name not in loose and name not in optional:
                    self._report(
                        Code.UNCONNECTED_PORT,
                        place,
                        "input is not connected",
                        f"connect an output to {node.name!r}, or remove the node",
                    )
                elif count > 1:
                    self._report(
                        Code.DUPLICATE_PRODUCER,
                        place,
                        f"{count} edges end here",
                        "an input has one producer: remove the others",
                    )
            for p, name in enumerate(node.node.output_names):
                count = producers[PortId(NodeIndex(i), PortIndex(p))]
                place = f"{node.name}.{name}"
                if count == 0 and node.name not in loose:
                    self._report(
                        Code.UNCONNECTED_PORT,
                        place,
                        "output is not connected",
                        f"connect {node.name!r} to an input, or to a sink of type discard",
                    )

    def _loose(self) -> set[str]:
        """Return the nodes that an edge with an unknown end may have been meant for."""
        everything = {node.name for node in self.spec.nodes}
        if "edges" in self.unread:
            return everything
        loose = {
            end.node
            for edge, link in zip(self.spec.edges, self.links, strict=True)
            for end, port in zip((edge.producer, edge.consumer), link, strict=True)
            if port is None
        }
        for name in self.unknown:
            meant = difflib.get_close_matches(name, everything | self.broken, n=1, cutoff=0.5)
            loose |= set(meant) or everything
        return loose

    def _order(self) -> list[NodeIndex]:
        """Producers before consumers; nodes of a cycle are left out, and reported."""
        forward = [
            (producer.node, consumer.node)
            for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True)
            if producer is not None and consumer is not None and not edge.initial
        ]
        order, cycles = order_nodes(len(self.spec.nodes), forward)
        for cycle in cycles:
            self._report(
                Code.GRAPH_CYCLIC,
                " -> ".join(self.spec.nodes[i].name for i in (*cycle, cycle[0])),
                "the edges form a cycle",
                "remove one of them, or give one an initial token",
            )
        return order

    def _resolve(self, order: list[NodeIndex]) -> None:
        arriving: dict[PortId, PayloadSpec] = {}
        for index in order:
            node = self.spec.nodes[index]
            inputs = self._arriving(index, arriving)
            # What a broken producer would have sent is unknown: nothing true can be said here.
            if index not in self.ready or inputs is None:
                continue
            try:
                ports = node.node.resolve(inputs)
            except LimenError as error:
                place = self._incoming(index, error.message)
                self.problems.append(Problem.from_error(place, error))
                continue
            except Exception as error:
                self._report(
                    Code.BAD_COMPONENT,
                    node.name,
                    f"its ports cannot be read: {type(error).__name__}: {error}",
                    "correct its annotations, or its method resolve",
                )
                continue
            self.ports[index] = ports
            for p, port in enumerate(ports.outputs):
                if isinstance(port.spec, TensorSpec) and not port.spec.is_bounded:
                    named = [a for a in port.spec.shape if isinstance(a, str)]
                    self._report(
                        Code.UNBOUNDED_AXIS,
                        f"{node.name}.{port.name}",
                        f"axis {named[0]!r} has no length",
                        "declare a length or a bound (UpTo): memory is reserved before start",
                    )
                    continue
                if isinstance(port.spec, TensorSpec):
                    self._require_dtype(f"{node.name}.{port.name}", port.spec)
                arriving[PortId(index, PortIndex(p))] = port.spec

    def _require_dtype(self, place: str, spec: TensorSpec) -> None:
        try:
            spec.dtype.numpy_dtype()
        except LimenError as error:
            self.problems.append(Problem.from_error(place, error))

    def _arriving(
        self, index: NodeIndex, arriving: dict[PortId, PayloadSpec]
    ) -> dict[str, PayloadSpec] | None:
        """Return what arrives on each connected input, None where that is not known."""
        if index not in self.ready:
            return None
        node = self.spec.nodes[index].node
        found: dict[str, PayloadSpec] = {}
        for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True):
            if consumer is None or consumer.node != index:
                continue
            name = node.input_names[consumer.port]
            if edge.initial:
                # Its producer comes later: the initial token says what arrives, or the node does.
                spec = initial_spec(edge)
                if spec is not None:
                    found[name] = spec
            elif producer is None or producer not in arriving:
                return None
            else:
                found[name] = arriving[producer]
        if len(node.input_names) == 1 and not found and not self._is_fed(index):
            return None
        return found

    def _is_fed(self, index: NodeIndex) -> bool:
        return any(link[1] is not None and link[1].node == index for link in self.links)

    def _incoming(self, index: NodeIndex, message: str) -> str:
        """Return the edge that a node's complaint is about: it begins with the input's name."""
        found = [
            (self.spec.nodes[index].node.input_names[consumer.port], str(edge))
            for edge, (_, consumer) in zip(self.spec.edges, self.links, strict=True)
            if consumer is not None and consumer.node == index
        ]
        named = [edge for name, edge in found if message.startswith(f"{name}:")]
        return (named or [edge for _, edge in found] or [self.spec.nodes[index].name])[0]

    def _inputs(self) -> None:
        """Check joins, latches and batching against the edges that end at each node."""
        for i, node in enumerate(self.spec.nodes):
            index = NodeIndex(i)
            if index not in self.ready:
                continue
            edges = {
                consumer.port: edge
                for edge, (_, consumer) in zip(self.spec.edges, self.links, strict=True)
                if consumer is not None and consumer.node == index
            }
            self.problems += input_problems(node, self.ports.get(index), edges)

    def _rings(self) -> None:
        self.rings, problems = resolve_rings(self.spec.edges)
        self.problems += problems

    def _feedback(self) -> None:
        """Check feedback edges, whose two ends were resolved apart, and make their tokens."""
        for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True):
            tokens: list[object] = []
            if edge.initial and producer is not None and consumer is not None:
                ports, into = self.ports.get(producer.node), self.ports.get(consumer.node)
                if ports is not None and into is not None:
                    emitted = ports.outputs[producer.port].spec
                    try:
                        check_feedback(edge, emitted, into.inputs[consumer.port].spec)
                    except LimenError as error:
                        self.problems.append(Problem.from_error(str(edge), error))
                    else:
                        tokens = self._tokens(edge, emitted)
            self.initial.append(tuple(tokens))

    def _tokens(self, edge: EdgeSpec, emitted: PayloadSpec) -> list[object]:
        tokens: list[object] = []
        for number, value in enumerate(edge.initial):
            try:
                tokens.append(declared_payload(f"initial token {number}", value, emitted))
            except LimenError as error:
                self.problems.append(Problem.from_error(str(edge), error))
        return tokens

    def _constraints(self) -> None:
        """Check deadlines, budgets, criticality and the rest against nodes and edges."""
        for i, node in enumerate(self.spec.nodes):
            ports = self.ports.get(NodeIndex(i))
            default, failsafe, problems = read_fallbacks(node, ports)
            self.defaults.append(default)
            self.failsafes.append(failsafe)
            self.problems += problems
            if NodeIndex(i) in self.ready:
                self.problems += node_problems(node, ports, self.spec.clock_offsets_ns)
        self.problems += flow_problems(self.spec, self.ports, self.links)
        self.warnings += constraint_warnings(self.spec)

    def _placements(self) -> None:
        """Check that what is emitted, and what inputs accept, is memory that there is."""
        found = [
            output_problem(self.spec.nodes[index], port)
            for index, ports in self.ports.items()
            for port in ports.outputs
        ]
        for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True):
            if producer is None or consumer is None:
                continue
            ports, into = self.ports.get(producer.node), self.ports.get(consumer.node)
            if ports is not None and into is not None:
                out, port = ports.outputs[producer.port], into.inputs[consumer.port]
                node = self.spec.nodes[consumer.node]
                found.append(placement_problem(str(edge), out, node, port))
        self.problems += [problem for problem in found if problem is not None]

    def _complete_links(self) -> list[tuple[PortId, PortId]]:
        return [(a, b) for a, b in self.links if a is not None and b is not None]

    def _capacities(self) -> None:
        for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True):
            payload: PayloadSpec | None = None
            if producer is not None:
                ports = self.ports.get(producer.node)
                payload = None if ports is None else ports.outputs[producer.port].spec
            out = None if producer is None else self.spec.nodes[producer.node]
            into = None if consumer is None else self.spec.nodes[consumer.node]
            self.problems += edge_problems(edge, payload, into)
            self.warnings += edge_warnings(edge, payload, out, into)
