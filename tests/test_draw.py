"""Drawings show the graph, and hostile text stays text in every dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limen.graph import EdgeSpec, Endpoint, GraphSpec, NodeSpec, VerifiedGraph
from limen.node import Node, NodeKind, NodePorts, Port, StepContext, StepResult
from limen.policy import EdgePolicy, NodePolicy
from limen.types import (
    DataType,
    NodeIndex,
    PayloadSpec,
    PortId,
    PortIndex,
    TensorSpec,
)

SAMPLE = TensorSpec(DataType.F32, (6,))


class DrawnNode(Node):
    """Only has a kind and names of ports; it is never stepped."""

    def __init__(self, kind: str, ports: NodePorts) -> None:
        self.kind = NodeKind(kind)
        self.ports = ports

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.ports.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.ports.outputs)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return self.ports

    def step(self, ctx: StepContext) -> StepResult:
        raise NotImplementedError


class DrawnGraph:
    """Builds a VerifiedGraph by hand; nothing is verified."""

    def __init__(self, name: str = "drawn") -> None:
        self.name = name
        self.nodes: list[NodeSpec] = []
        self.ports: list[NodePorts] = []
        self.edges: list[EdgeSpec] = []
        self.links: list[tuple[PortId, PortId]] = []

    def add(
        self,
        name: str,
        kind: str = "process",
        inputs: Sequence[str] = ("in",),
        outputs: Sequence[str] = ("out",),
        *,
        spec: PayloadSpec = SAMPLE,
        policy: NodePolicy | None = None,
    ) -> DrawnGraph:
        inputs = () if kind == "source" else inputs
        outputs = () if kind == "sink" else outputs
        ports = NodePorts(
            tuple(Port(port, spec) for port in inputs), tuple(Port(port, spec) for port in outputs)
        )
        self.nodes.append(NodeSpec(name, DrawnNode(kind, ports), policy or NodePolicy()))
        self.ports.append(ports)
        return self

    def connect(
        self,
        start: str,
        end: str,
        policy: EdgePolicy | None = None,
        initial: tuple[object, ...] = (),
    ) -> DrawnGraph:
        producer, consumer = Endpoint.parse(start), Endpoint.parse(end)
        self.edges.append(EdgeSpec(producer, consumer, policy or EdgePolicy(), initial))
        self.links.append((self._port(producer, "outputs"), self._port(consumer, "inputs")))
        return self

    def chain(self, *names: str) -> DrawnGraph:
        for start, end in zip(names, names[1:], strict=False):
            self.connect(start, end)
        return self

    def _port(self, end: Endpoint, side: str) -> PortId:
        index = [node.name for node in self.nodes].index(end.node)
        ports = self.ports[index].outputs if side == "outputs" else self.ports[index].inputs
        names = [port.name for port in ports]
        place = 0 if end.port is None else names.index(end.port)
        return PortId(NodeIndex(index), PortIndex(place))

    def verified(self) -> VerifiedGraph:
        return VerifiedGraph(
            GraphSpec(self.name, tuple(self.nodes), tuple(self.edges)),
            tuple(self.ports),
            tuple(self.links),
            initial=tuple(edge.initial for edge in self.edges),
            warnings=(),
        )
