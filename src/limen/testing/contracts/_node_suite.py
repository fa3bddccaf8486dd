"""What the clauses of nodes share: what a node is given, and runs of it."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from limen.errors import LimenError
from limen.node import Node, NodeKind
from limen.platform import SimClock
from limen.testing._example import example_payload
from limen.testing.contracts._contract import Contract, inapplicable
from limen.testing.contracts._node_bench import NodeBench
from limen.testing.contracts._node_records import Sent
from limen.testing.contracts._payload_checks import same, shown
from limen.types import DataType, PayloadSpec, TensorSpec

_EXAMPLES = 24
_ROUNDS = 9
_AXIS = 3
_FALLBACK = TensorSpec(DataType.F32, (4,))

STATED = (
    *("kind", "max_emit", "max_batch", "fixed_batch", "takes_windows", "activation"),
    *("first_needs", "then_needs", "one_to_one", "keeps", "writes_in_place", "accepts"),
    "clock_domain",
)
"""What a node states of itself."""


class NodeSuite(Contract):
    """Hooks of the suite of nodes, and what its clauses do with them.

    Attributes:
        batch: Most messages that a step is given of an input; the last batch of a run is shorter.
        patience_s: Seconds after which a step counts as blocked.
    """

    batch: ClassVar[int] = 3
    patience_s: ClassVar[float] = 5.0

    @abc.abstractmethod
    def make(self) -> Node:
        """Return a new node; called for every test, also several times."""

    def inputs(self) -> Mapping[str, PayloadSpec]:
        """Return what arrives on the inputs.

        If not overridden, what the node says it takes, with 3 for each axis that has a name only;
        or four f32, where it takes whatever arrives.
        """
        node = self._prepared()
        try:
            ports = node.resolve({}).inputs
        except LimenError:
            return dict.fromkeys(node.input_names, _FALLBACK)
        return {port.name: _bound(port.spec) for port in ports}

    def payloads(self, port: str) -> Sequence[object]:
        """Return what comes on an input, to be given in turn; made from its spec by default.

        They are the same for equal ports, whenever this is called.
        """
        spec = self.inputs()[port]
        return [example_payload(spec, seed) for seed in range(_EXAMPLES)]

    def _prepared(self) -> Node:
        node = self.make()
        node.prepare()
        return node

    def _bench(
        self,
        node: Node | None = None,
        *,
        slots: bool = True,
        fill: int = 0,
        ruins: bool = False,
        without: Sequence[str] = (),
        group: int | None = None,
        clock: SimClock | None = None,
    ) -> NodeBench:
        """Return a bench with a node that is prepared, and knows its ports."""
        arriving = self.inputs()
        payloads = {port: self.payloads(port) for port in arriving if port not in without}
        return NodeBench(
            self._prepared() if node is None else node,
            arriving,
            payloads,
            group=self.batch if group is None else group,
            slots=slots,
            fill=fill,
            ruins=ruins,
            clock=clock,
        )

    def _run(
        self, node: Node | None = None, *, slots: bool = True, fill: int = 0, ruins: bool = False
    ) -> NodeBench:
        """Return the bench of a run from beginning to end."""
        bench = self._bench(node, slots=slots, fill=fill, ruins=ruins)
        bench.run(rounds_of(bench.node))
        return bench

    def _lifetime(self, node: Node) -> Iterator[str]:
        """Lead a node through its life, and say where it is."""
        bench = self._bench(node)
        yield "after resolve"
        bench.begin()
        yield "after start"
        for number in range(rounds_of(node)):
            bench.round(number)
        bench.drain()
        yield "after some steps"
        bench.end()
        yield "after stop"
        node.reset()
        yield "after reset"

    def _half_way(self) -> Iterator[tuple[str, Node]]:
        """Lead new nodes up to each point at which a run may end, and say where that is."""
        yield "after prepare", self._prepared()
        bench = self._bench()
        bench.node.initialize(bench.clock, bench.ports)
        yield "after initialize", bench.node
        bench = self._bench()
        bench.begin()
        yield "after start", bench.node
        bench = self._bench()
        bench.begin()
        bench.round(0)
        bench.drain()
        yield "after a message", bench.node

    def _reference(self) -> NodeBench:
        """Return the bench of a plain run, which another one repeats."""
        if "repeats" in self.lacks:
            inapplicable(f"no two runs are the same: {self.lacks['repeats']}")
        first, again = self._run(), self._run()
        if difference(first.sent, again.sent):
            inapplicable("no two runs are the same: see NODE-34")
        return first


def rounds_of(node: Node) -> int:
    """Return how many messages make a node emit several times."""
    needs = (node.first_needs, node.then_needs)
    first, then = (n if isinstance(n, int) and n > 0 else 1 for n in needs)
    return first + 3 * then + _ROUNDS


def with_inputs(node: Node) -> Node:
    """Return the node; the clause at hand is skipped where it has no inputs."""
    if node.kind is NodeKind.SOURCE:
        inapplicable("a source takes nothing")
    return node


def stated_of(node: Node) -> dict[str, object]:
    """Return what a node states of itself."""
    return {name: getattr(node, name) for name in STATED}


def names_of(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of inputs and outputs."""
    return tuple(node.input_names), tuple(node.output_names)


def difference(one: Sequence[Sent], other: Sequence[Sent]) -> str | None:
    """Say where what was emitted differs; None if it does not."""
    for number, (a, b) in enumerate(zip(one, other, strict=False)):
        if a.port != b.port:
            return f"message {number} is on {a.port!r} and on {b.port!r}"
        if not same(a.payload, b.payload):
            values = f"{shown([a.payload])} and {shown([b.payload])}"
            return f"message {number}, on {a.port!r}, is {values}"
    if len(one) != len(other):
        return f"there are {len(one)} messages and {len(other)}"
    return None


def is_whole(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _bound(spec: PayloadSpec) -> PayloadSpec:
    if not isinstance(spec, TensorSpec):
        return spec
    return spec.bind({axis: _AXIS for axis in spec.shape if isinstance(axis, str)})
