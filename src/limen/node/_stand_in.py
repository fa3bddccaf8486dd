"""A node that takes another's place in a Plan."""

from __future__ import annotations

from collections.abc import Mapping

from limen.node.contract import Node, NodePorts
from limen.types import PayloadSpec, SequenceNumber


class StandIn(Node):
    """Looks to an executor like the node whose place it takes; what a step does is its subclasses'.

    Args:
        node: The other one, prepared.
        ports: Its ports in the Plan.
    """

    def __init__(self, node: Node, ports: NodePorts) -> None:
        self._node = node
        self._ports = ports
        self.kind = node.kind
        self.max_emit = node.max_emit
        self.max_batch = node.max_batch
        self.fixed_batch = node.fixed_batch
        self.takes_windows = node.takes_windows
        self.activation = node.activation
        self.clock_domain = node.clock_domain

    @property
    def input_names(self) -> tuple[str, ...]:
        """The node's."""
        return self._node.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """The node's."""
        return self._node.output_names

    @property
    def artifact_sha256(self) -> str | None:
        """The node's."""
        return self._node.artifact_sha256

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Return the ports of the Plan, which was resolved before."""
        return self._ports

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Ask the node."""
        return self._node.locate(sequence)
