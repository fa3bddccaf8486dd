"""Build a graph in Python."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from limen.errors import ConfigurationError
from limen.graph._spec import EdgeSpec, Endpoint, GraphSpec, NodeSpec
from limen.node import Node, Sink, SinkNode, Source, SourceNode
from limen.policy import EdgePolicy, NodePolicy
from limen.types import nearest, parse_offset_ns, require_type, require_whole


class Graph:
    """Collects nodes and edges; nothing is checked before ``verify`` or ``run``.

    Args:
        name: What reports call it.
        scheduler: ``"round_robin"``; ``"edf"`` for earliest deadline first, ``"criticality"`` for
            the most critical first, ``"throughput"`` for whoever has most to do.
        target: What it runs as: ``"auto"``, ``"reference"``, ``"python"`` or ``"native"``; None
            leaves it to whoever runs it.
        clock_offsets: By clock domain of a source, what is to be added to its instants to give
            those of the graph's clock: text with a unit, ``"-3ms"`` as well.
    """

    def __init__(
        self,
        name: str,
        *,
        scheduler: str = "round_robin",
        target: str | None = None,
        clock_offsets: Mapping[int, str] | None = None,
    ) -> None:
        require_type("the graph's name", name, str, "give it as text")
        require_type("scheduler", scheduler, str, 'write "round_robin", "edf" or a sibling')
        self.name = name
        if target is not None:
            require_type("target", target, str, 'write "auto", "python" or a sibling')
        self.scheduler = scheduler
        self.target = target
        self._clock_offsets_ns: dict[int, int] = {}
        if clock_offsets is not None:
            require_type("clock_offsets", clock_offsets, Mapping, 'write {1: "5ms"}')
            for domain, offset in clock_offsets.items():
                self.set_clock_offset(domain, offset)
        self._nodes: list[NodeSpec] = []
        self._edges: list[EdgeSpec] = []

    def add(
        self,
        name: str,
        component: Node | Source | Sink,
        policy: NodePolicy | None = None,
        *,
        variant: Node | None = None,
    ) -> Graph:
        """Add a node, a source or a sink under a name.

        Args:
            name: ``[a-z][a-z0-9_]*``, unique in the graph.
            component: What does the work.
            policy: Batching, deadline and the rest; the default waits for nothing.
            variant: The cheaper form, with the same ports, that a ``Degrade`` in the policy calls.

        Raises:
            ConfigurationError: ``component`` is none of these.
        """
        require_type("a node's name", name, str, "give it as text")
        node = _as_node(name, component)
        if policy is not None:
            require_type(f"policy of {name!r}", policy, NodePolicy, "give a NodePolicy")
        if variant is not None:
            require_type(
                f"variant of {name!r}", variant, Node, "make a function a node with @limen.node"
            )
        used = NodePolicy() if policy is None else policy
        self._nodes.append(NodeSpec(name, node, used, variant))
        return self

    def set_clock_offset(self, domain: int, offset: str) -> Graph:
        """Declare what is added to the instants of a clock domain to give the graph's own.

        Args:
            domain: That a source states.
            offset: Text with a unit; may be negative.
        """
        number = require_whole("a clock domain", domain, 0)
        what = f"the offset of clock domain {number}"
        self._clock_offsets_ns[number] = parse_offset_ns(offset, what=what)
        return self

    def replace(self, name: str, component: Node | Source | Sink) -> Graph:
        """Put another component in a node's place; policy and edges stay.

        Serves to run a graph on recorded instead of live data, or into another sink.

        Raises:
            ConfigurationError: No node has that name.
        """
        index = self._index_of(name)
        self._nodes[index] = replace(self._nodes[index], node=_as_node(name, component))
        return self

    def connect(
        self,
        producer: str,
        consumer: str,
        policy: EdgePolicy | None = None,
        *,
        initial: Sequence[object] = (),
    ) -> Graph:
        """Connect an output to an input; an output may feed several.

        Args:
            producer: ``"node.port"``, or ``"node"`` where it has one output.
            consumer: ``"node.port"``, or ``"node"`` where it has one input.
            policy: Capacity and admission; 64 items and BLOCK if not given.
            initial: Payloads that wait in the edge from the start. An edge that closes a cycle
                needs one at least: it is a feedback edge then.
        """
        for end in (producer, consumer):
            require_type(
                "an end of an edge", end, str, 'give the node by name: "node" or "node.port"'
            )
        if policy is not None:
            require_type(
                "an edge's policy", policy, EdgePolicy, "write policy=EdgePolicy.block(64)"
            )
        if not isinstance(initial, (list, tuple)):
            raise ConfigurationError(
                f"initial is a {type(initial).__qualname__}",
                remedy="give a list of payloads, one for each initial token",
            )
        edge_policy = EdgePolicy() if policy is None else policy
        ends = Endpoint.parse(producer), Endpoint.parse(consumer)
        self._edges.append(EdgeSpec(*ends, edge_policy, tuple(initial)))
        return self

    def chain(self, *nodes: str, policy: EdgePolicy | None = None) -> Graph:
        """Connect nodes one after the other, all edges with the same policy."""
        for name in nodes:
            require_type(
                "a node of the chain", name, str, "name nodes; the policy goes in policy=…"
            )
        if len(nodes) < 2:
            raise ConfigurationError(
                f"a chain of {len(nodes)} nodes", remedy="name at least two nodes"
            )
        for producer, consumer in itertools.pairwise(nodes):
            self.connect(producer, consumer, policy)
        return self

    def node(self, name: str) -> Node:
        """Return a node by name.

        Raises:
            ConfigurationError: No node has that name.
        """
        return self._nodes[self._index_of(name)].node

    def _index_of(self, name: str) -> int:
        require_type("a node's name", name, str, "give it as text")
        for index, spec in enumerate(self._nodes):
            if spec.name == name:
                return index
        raise ConfigurationError(
            f"no node {name!r} in graph {self.name!r}",
            remedy=nearest(name, [spec.name for spec in self._nodes]) or "add it first",
        )

    def spec(self) -> GraphSpec:
        """Return the graph as a frozen value."""
        return GraphSpec(
            self.name,
            tuple(self._nodes),
            tuple(self._edges),
            self.scheduler,
            dict(self._clock_offsets_ns),
            self.target,
        )


def _as_node(name: str, component: Node | Source | Sink) -> Node:
    match component:
        case Node():
            return component
        case Source():
            return SourceNode(component)
        case Sink():
            return SinkNode(component)
        case _:
            raise ConfigurationError(
                f"node {name!r} is a {type(component).__qualname__}",
                remedy="give a Node, Source or Sink; make a function a node with @limen.node",
            )
