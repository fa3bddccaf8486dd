"""What makes a graph valid: all problems at once, each with place and remedy."""

from __future__ import annotations

import difflib
import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from limen.errors import Code, LimenError
from limen.graph._capacity import edge_problems, edge_warnings
from limen.graph._problems import Problem, refuse
from limen.graph._spec import EdgeSpec, Endpoint, GraphSpec, NodeSpec
from limen.node import FunctionNode, NodeKind, NodePorts, SinkNode, SourceNode
from limen.types import NodeIndex, PayloadSpec, PortId, PortIndex, TensorSpec, nearest

SCHEDULERS: Final = ("edf", "round_robin")
_ARITY: Final = {
    NodeKind.SOURCE: (0, 1),
    NodeKind.PROCESS: (1, 1),
    NodeKind.MODEL: (1, 1),
    NodeKind.SINK: (1, 0),
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_C_KEYWORDS: Final = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "main",
    ]
)


@dataclass(frozen=True, slots=True)
class VerifiedGraph:
    """A graph with every port resolved; the only thing a Plan is lowered from.

    Attributes:
        spec: The graph.
        ports: Typed ports of each node, by node index.
        links: Producer and consumer port of each edge, by edge index.
        warnings: What is legal and probably not meant.
    """

    spec: GraphSpec
    ports: tuple[NodePorts, ...]
    links: tuple[tuple[PortId, PortId], ...]
    warnings: tuple[str, ...]


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
    return VerifiedGraph(spec, ports, links, tuple(check.warnings))


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

    def run(self) -> None:
        self._names()
        self._twice()
        self._prepare()
        self._link()
        self._connections()
        self._resolve(self._order())
        self._capacities()

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
        for name, count in Counter(node.name for node in self.spec.nodes).items():
            if count > 1:
                self._report(
                    Code.DUPLICATE_NAME, name, f"{count} nodes have this name", "rename one"
                )
            if not _NAME.fullmatch(name):
                self._report(
                    Code.INVALID_NAME,
                    repr(name),
                    "not a valid node name",
                    "use a-z, 0-9 and _, beginning with a letter",
                )
            elif keyword.iskeyword(name) or name in _C_KEYWORDS:
                language = "Python" if keyword.iskeyword(name) else "C"
                self._report(
                    Code.INVALID_NAME,
                    name,
                    f"not a valid node name: a reserved word of {language}",
                    f"use another, as in {name}_1",
                )

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
        wanted = _ARITY[node.node.kind]
        if (len(node.node.input_names), len(node.node.output_names)) == wanted:
            self.ready.add(index)
            return
        self._report(
            Code.ARITY,
            node.name,
            f"a {node.node.kind.value} with {len(node.node.input_names)} inputs and "
            f"{len(node.node.output_names)} outputs",
            f"it has {wanted[0]} and {wanted[1]}: joins and splits cannot be run yet",
        )

    def _twice(self) -> None:
        """Report components that stand in two places: their state would be shared."""
        places: dict[int, list[str]] = {}
        for spec in self.spec.nodes:
            part: object = spec.node
            match spec.node:
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
            for p, name in enumerate(node.node.input_names):
                count = consumers[PortId(NodeIndex(i), PortIndex(p))]
                place = f"{node.name}.{name}"
                if count == 0 and node.name not in loose:
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
                        f"connect {node.name!r} to an input, or remove the node",
                    )
                elif count > 1:
                    self._report(
                        Code.ARITY,
                        place,
                        f"{count} edges begin here",
                        "an output feeds one input: remove the others",
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
        """Producers before consumers; nodes that a cycle feeds are left out."""
        waits: dict[NodeIndex, set[NodeIndex]] = {
            NodeIndex(i): set() for i in range(len(self.spec.nodes))
        }
        for producer, consumer in self.links:
            if producer is not None and consumer is not None:
                waits[consumer.node].add(producer.node)
        order: list[NodeIndex] = []
        while waits:
            free = [i for i, before in waits.items() if not before]
            if not free:
                cycle = _find_cycle(waits)
                self._report(
                    Code.GRAPH_CYCLIC,
                    " -> ".join(self.spec.nodes[i].name for i in (*cycle, cycle[0])),
                    "the edges form a cycle",
                    "remove one of them",
                )
                # Without these, what is left may hold another cycle.
                for i in cycle:
                    del waits[i]
                for before in waits.values():
                    before.difference_update(cycle)
                continue
            for i in free:
                del waits[i]
            for before in waits.values():
                before.difference_update(free)
            order += free
        return order

    def _resolve(self, order: list[NodeIndex]) -> None:
        arriving: dict[PortId, PayloadSpec] = {}
        feeds: dict[NodeIndex, list[PortId]] = {}
        for producer, consumer in self.links:
            if consumer is not None and producer is not None:
                feeds.setdefault(consumer.node, []).append(producer)
        for index in order:
            node = self.spec.nodes[index]
            upstream = feeds.get(index, [])
            wanted = len(node.node.input_names) if index in self.ready else 0
            # What a broken producer would have sent is unknown: nothing true can be said here.
            if index not in self.ready or any(p not in arriving for p in upstream):
                continue
            if len(upstream) != wanted:
                continue
            try:
                ports = node.node.resolve(self._inputs(index, arriving))
            except LimenError as error:
                self.problems.append(Problem.from_error(self._incoming(index), error))
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
                if isinstance(port.spec, TensorSpec) and not port.spec.is_fixed:
                    named = [a for a in port.spec.shape if isinstance(a, str)]
                    self._report(
                        Code.UNBOUNDED_AXIS,
                        f"{node.name}.{port.name}",
                        f"axis {named[0]!r} has no length",
                        "declare a length: memory is reserved before start",
                    )
                    continue
                arriving[PortId(index, PortIndex(p))] = port.spec

    def _inputs(
        self, index: NodeIndex, arriving: dict[PortId, PayloadSpec]
    ) -> dict[str, PayloadSpec]:
        names = self.spec.nodes[index].node.input_names
        return {
            names[consumer.port]: arriving[producer]
            for producer, consumer in self.links
            if producer is not None and consumer is not None and consumer.node == index
        }

    def _incoming(self, index: NodeIndex) -> str:
        for edge, (_, consumer) in zip(self.spec.edges, self.links, strict=True):
            if consumer is not None and consumer.node == index:
                return str(edge)
        return self.spec.nodes[index].name

    def _capacities(self) -> None:
        for node in self.spec.nodes:
            if node.node.kind is NodeKind.SOURCE and not node.policy.batching.is_none:
                self._report(
                    Code.INVALID_VALUE,
                    f"{node.name}.policy.batching",
                    "a source has no input to batch",
                    "move the batching to the consumer",
                )
        for edge, (producer, consumer) in zip(self.spec.edges, self.links, strict=True):
            payload: PayloadSpec | None = None
            if producer is not None:
                ports = self.ports.get(producer.node)
                payload = None if ports is None else ports.outputs[producer.port].spec
            out = None if producer is None else self.spec.nodes[producer.node]
            into = None if consumer is None else self.spec.nodes[consumer.node]
            self.problems += edge_problems(edge, payload, into)
            self.warnings += edge_warnings(edge, payload, out, into)


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
