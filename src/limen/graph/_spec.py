"""The frozen description of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from limen.node import Node
from limen.policy import EdgePolicy, NodePolicy

TARGETS: Final = ("auto", "reference", "python", "native")
"""What a graph can run as; ``limen.codegen`` says what each of them is."""


class Endpoint(NamedTuple):
    """A node's port as a user names it; the port is None where the node has only one."""

    node: str
    port: str | None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read ``"node"`` or ``"node.port"``."""
        node, dot, port = text.partition(".")
        return cls(node, port if dot else None)

    def __str__(self) -> str:
        return self.node if self.port is None else f"{self.node}.{self.port}"


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A named node with its policy.

    Attributes:
        name: Of the node.
        node: What does the work.
        policy: What holds for it.
        variant: What does it more cheaply, where the policy degrades.
    """

    name: str
    node: Node
    policy: NodePolicy
    variant: Node | None = None


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """A connection with its policy.

    Attributes:
        producer: Output it begins at.
        consumer: Input it ends at.
        policy: Capacity, admission, retention.
        initial: Payloads that wait in it from the start; they allow it to close a cycle.
    """

    producer: Endpoint
    consumer: Endpoint
    policy: EdgePolicy
    initial: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.producer} -> {self.consumer}"


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A graph as a value: what the builder and the file loader both give.

    Attributes:
        name: What reports call it.
        nodes: In the order they were added; their indices.
        edges: In the order they were connected; their indices.
        scheduler: Name of the dequeue policy.
        clock_offsets_ns: By clock domain, what is added to its instants to give the graph's own.
        target: What it runs as, where it says so; None leaves it to whoever runs it.
    """

    name: str
    nodes: tuple[NodeSpec, ...]
    edges: tuple[EdgeSpec, ...]
    scheduler: str = "round_robin"
    clock_offsets_ns: Mapping[int, int] = field(default_factory=dict)
    target: str | None = None
