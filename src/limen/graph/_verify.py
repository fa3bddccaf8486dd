"""What makes a graph valid: all problems at once, each with place and remedy."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from limen.errors import Code, LimenError
from limen.graph._problems import Problem, refuse
from limen.graph._spec import EdgeSpec, Endpoint, GraphSpec, NodeSpec
from limen.node import NodeKind, NodePorts, SourceNode
from limen.policy import AdmissionPolicy
from limen.types import NodeIndex, PayloadSpec, PortId, PortIndex, TensorSpec, nearest

SCHEDULERS: Final = ("edf", "round_robin")
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
    spec: GraphSpec, *, found: tuple[Problem, ...] = (), broken: frozenset[str] = frozenset()
) -> VerifiedGraph:
    """Check a graph and resolve its ports.

    Args:
        spec: The graph.
        found: Problems that reading its file found already; reported together with these.
        broken: Nodes that could not be made; what follows from their absence is not reported.

    Raises:
        GraphError: ``problems`` lists all that is wrong.
    """
    check = _Check(spec, broken)
    check.run()
    problems = [*found, *check.problems]
    if problems:
        raise refuse(spec.name, problems)
    links = tuple((a, b) for a, b in check.links if a is not None and b is not None)
    ports = tuple(check.ports[NodeIndex(i)] for i in range(len(spec.nodes)))
    return VerifiedGraph(spec, ports, links, tuple(check.warnings))


class _Check:
    def __init__(self, spec: GraphSpec, broken: frozenset[str]) -> None:
        self.spec = spec
        self.broken = broken
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.index = {node.name: NodeIndex(i) for i, node in enumerate(spec.nodes)}
        self.ready: set[NodeIndex] = set()
        self.links: list[tuple[PortId | None, PortId | None]] = []
        self.ports: dict[NodeIndex, NodePorts] = {}

    def run(self) -> None:
        self._names()
        self._prepare()
        self._link()
        self._connections()
        order = self._order()
        if order is not None:
            self._resolve(order)
        self._capacities()

    def _report(self, code: Code, place: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(code, place, message, remedy))

    def _names(self) -> None:
        if not self.spec.nodes and not self.broken:
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
            if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in _C_KEYWORDS:
                self._report(
                    Code.INVALID_NAME,
                    name,
                    "not a valid node name",
                    "use a-z, 0-9 and _, beginning with a letter, and no keyword of Python or C",
                )

    def _prepare(self) -> None:
        for i, node in enumerate(self.spec.nodes):
            try:
                node.node.prepare()
            except LimenError as error:
                self.problems.append(Problem.from_error(node.name, error))
            else:
                self.ready.add(NodeIndex(i))

    def _link(self) -> None:
        for edge in self.spec.edges:
            producer = self._endpoint(edge, edge.producer, outgoing=True)
            consumer = self._endpoint(edge, edge.consumer, outgoing=False)
            self.links.append((producer, consumer))

    def _endpoint(self, edge: EdgeSpec, end: Endpoint, *, outgoing: bool) -> PortId | None:
        if end.node in self.broken:
            return None
        if end.node not in self.index:
            known = [node.name for node in self.spec.nodes]
            self._report(
                Code.UNKNOWN_NAME, str(edge), f"no node {end.node!r}", nearest(end.node, known)
            )
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
        # An edge with one unknown end may have been meant for any port: say nothing of those.
        loose = {
            end.node
            for edge, link in zip(self.spec.edges, self.links, strict=True)
            for end, port in zip((edge.producer, edge.consumer), link, strict=True)
            if port is None
        }
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

    def _order(self) -> list[NodeIndex] | None:
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
                names = " -> ".join(self.spec.nodes[i].name for i in waits)
                self._report(
                    Code.GRAPH_CYCLIC,
                    names,
                    "these nodes feed, or are fed by, a cycle",
                    "remove an edge of it",
                )
                return None
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
            if len(upstream) < wanted:
                continue
            try:
                ports = node.node.resolve(self._inputs(index, arriving))
            except LimenError as error:
                self.problems.append(Problem.from_error(self._incoming(index), error))
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
            if consumer is not None:
                self._batch_fits(edge, self.spec.nodes[consumer.node])
            if producer is not None:
                self._payload_fits(edge, producer)

    def _batch_fits(self, edge: EdgeSpec, node: NodeSpec) -> None:
        batch = effective_batch(node)
        if batch > edge.policy.caps.max_items:
            self._report(
                Code.BATCH_EXCEEDS_QUEUE,
                str(edge),
                f"capacity {edge.policy.caps.max_items} can never hold a batch of {batch}",
                f"raise max_items to at least {batch}, or lower the batch of {node.name!r}",
            )

    def _payload_fits(self, edge: EdgeSpec, producer: PortId) -> None:
        node = self.spec.nodes[producer.node]
        caps = edge.policy.caps
        blocks = edge.policy.admission is AdmissionPolicy.BLOCK
        ports = self.ports.get(producer.node)
        if ports is not None and blocks and caps.max_bytes is not None:
            payload = ports.outputs[producer.port].spec
            if isinstance(payload, TensorSpec) and not caps.can_ever_fit(payload.size_bytes):
                self._report(
                    Code.INVALID_CAPACITY,
                    str(edge),
                    f"max_bytes {caps.byte_limit} is below the payload's {payload.size_bytes}",
                    f"raise max_bytes to at least {payload.size_bytes}",
                )
        live = isinstance(node.node, SourceNode) and not node.node.source.pausable
        if blocks and live:
            self.warnings.append(
                f"edge {edge}: BLOCK behind the live source {node.name!r} moves the loss into the "
                f"device; use drop_oldest to keep it here and counted"
            )


def effective_batch(node: NodeSpec) -> int:
    """Return the most items that a step of the node takes: min(policy, node)."""
    most = node.node.max_batch
    wanted = node.policy.batching.max_items
    return wanted if most is None else min(wanted, most)
