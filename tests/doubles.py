"""Sources, nodes and sinks that tests write down by hand; each is named for what it pretends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from limen import DataType, Graph, ObjectSpec, ProcessNode, SimClock, Sink, Source, TensorSpec
from limen.app import check
from limen.message import Message
from limen.node import Node, NodeKind, NodePorts, Output, Port, Produced, SourceSignal, StepResult
from limen.platform import PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.telemetry import EdgeStatistics, InputStatistics, NodeStatistics, RunStatistics

MS = 1_000_000
SCALAR = TensorSpec(DataType.F32, (1,))
Cell = Float32[np.ndarray, "1"]


def numbers(count: int) -> list[np.ndarray]:
    """Return payloads 0, 1, 2, … of one float each."""
    return [np.array([i], dtype=np.float32) for i in range(count)]


class ListSource(Source):
    """Plays a list: payloads, Produced values, signals, exceptions to raise, functions of now.

    With ``every_ns`` or ``at_ns`` it is timed; a ``pausable`` one moves its schedule if held back.
    """

    def __init__(
        self,
        items: Iterable[object],
        *,
        every_ns: int | None = None,
        at_ns: Sequence[int] | None = None,
        pausable: bool = True,
        states_creation: bool = False,
        spec: TensorSpec | ObjectSpec = SCALAR,
        log: list[str] | None = None,
        name: str = "source",
    ) -> None:
        self.items = list(items)
        if every_ns is not None:
            at_ns = [i * every_ns for i in range(len(self.items) + 1)]
        self.at_ns = None if at_ns is None else list(at_ns)
        self.pausable = pausable
        self.states_creation = states_creation
        self._spec = spec
        self.log = [] if log is None else log
        self.name = name
        self.place = 0
        self.shift = 0
        self.resumes: list[int] = []
        self.calls: list[int] = []

    def spec(self) -> TensorSpec | ObjectSpec:
        return self._spec

    def open(self, clock: PlatformClock, now: int) -> None:
        self.log.append(f"open {self.name}")

    def close(self) -> None:
        self.log.append(f"close {self.name}")

    def next_due(self) -> int | None:
        if self.at_ns is None:
            return None
        return self.at_ns[min(self.place, len(self.at_ns) - 1)] + self.shift

    def resumed(self, now: int) -> None:
        self.resumes.append(now)
        due = self.next_due()
        if due is not None and now > due:
            self.shift += now - due

    def locate(self, sequence: int) -> str | None:
        return f"item {sequence}"

    def try_produce(self, now: int) -> object:
        self.calls.append(now)
        due = self.next_due()
        if self.place == len(self.items):
            return SourceSignal.END_OF_STREAM
        item = self.items[self.place]
        self.place += 1
        if callable(item):
            item = item(now)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, (Produced, SourceSignal)):
            return item
        return Produced(item, creation_tick=due if self.states_creation else None)


class StuckSource(ListSource):
    """A source that raises again and again on the same item without moving on, ``times`` times."""

    def __init__(self, error: Exception, times: int, **options: object) -> None:
        super().__init__(numbers(1), **options)
        self.error = error
        self.times = times

    def try_produce(self, now: int) -> object:
        if self.times:
            self.times -= 1
            self.calls.append(now)
            raise self.error
        return super().try_produce(now)


class Arrival(NamedTuple):
    """One message as a CollectingSink saw it."""

    sequence: int
    now: int
    creation: int
    payload: object
    qos: int


class CollectingSink(Sink):
    """Keeps what arrives."""

    def __init__(self, log: list[str] | None = None, name: str = "sink") -> None:
        self.arrivals: list[Arrival] = []
        self.log = [] if log is None else log
        self.name = name

    def open(self, clock: PlatformClock, spec: object) -> None:
        self.log.append(f"open {self.name}")

    def close(self) -> None:
        self.log.append(f"close {self.name}")

    def consume(self, message: Message, now: int) -> None:
        payload = message.payload
        kept = payload.tolist() if isinstance(payload, np.ndarray) else payload
        header = message.header
        self.arrivals.append(
            Arrival(header.sequence, now, header.creation_tick, kept, int(header.qos))
        )

    @property
    def sequences(self) -> list[int]:
        return [arrival.sequence for arrival in self.arrivals]

    @property
    def payloads(self) -> list[object]:
        return [arrival.payload for arrival in self.arrivals]


class Twice(ProcessNode):
    """Doubles one float; keeps the instants of its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def process(self, x: Cell) -> Cell:
        return x * np.float32(2)

    def process_message(self, message: Message, clock: PlatformClock) -> object:
        self.calls.append((clock.now_ticks(), message.header.sequence))
        return super().process_message(message, clock)


class TwiceInPlace(ProcessNode):
    """Doubles one float in the output's slot."""

    def process(self, x: Cell, out: Cell) -> Cell:
        np.multiply(x, np.float32(2), out=out)
        return out


class Doing(ProcessNode):
    """Calls a function of the message and returns its result as the ProcessResult."""

    def __init__(self, function: Callable[[Message], object]) -> None:
        self.function = function

    def process(self, x: Cell) -> Cell:
        return x

    def process_message(self, message: Message, clock: PlatformClock) -> object:
        return self.function(message)


class BatchNode(Node):
    """A model-like node: doubles a batch in one call and keeps (instant, sequences)."""

    kind = NodeKind.MODEL

    def __init__(self, max_batch: int | None = None, fail_on: frozenset[int] = frozenset()) -> None:
        self.max_batch = max_batch
        self.fail_on = fail_on
        self.batches: list[tuple[int, list[int]]] = []

    input_names = ("in",)
    output_names = ("out",)

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", SCALAR),), (Port("out", SCALAR),))

    def step(self, ctx: object) -> StepResult:
        def infer(batch: object, out: np.ndarray) -> None:
            sequences = [header.sequence for header in batch.headers]
            self.batches.append((ctx.now_ticks, sequences))
            if self.fail_on & set(sequences):
                raise RuntimeError("the engine gave up")
            np.multiply(batch.payloads, np.float32(2), out=out)

        return ctx.pop_batch_and_process("in", infer)


def forward(message: Message) -> Output:
    """Emit the payload unchanged."""
    return Output(message.payload)


def runtime_of(
    graph: Graph, clock: PlatformClock | None = None, drain_ns: int = 10_000_000_000
) -> SingleThreadRuntime:
    """Make a runtime on simulated time."""
    used = SimClock() if clock is None else clock
    return SingleThreadRuntime(check(graph, used), used, drain_ns=drain_ns)


def node_of(statistics: RunStatistics, name: str) -> NodeStatistics:
    """Find a node's record."""
    return next(node for node in statistics.nodes if node.name == name)


def input_of(statistics: RunStatistics, name: str) -> InputStatistics:
    """Find the record of a node's first input."""
    return next(port for port in statistics.inputs if port.name.split(".")[0] == name)


def edge_into(statistics: RunStatistics, name: str) -> EdgeStatistics:
    """Find the record of the edge into a node."""
    return next(e for e in statistics.edges if e.name.split(" -> ")[1].split(".")[0] == name)


def assert_settled(statistics: RunStatistics) -> None:
    """Every identity closes, no queue exceeded its bound, every slot is back."""
    open_ones = [identity for identity in statistics.identities if not identity.closes]
    assert not open_ones, open_ones
    for edge in statistics.edges:
        assert edge.peak <= edge.capacity
        assert edge.ring == edge.staged == 0
    for port in statistics.inputs:
        assert port.held == 0
    for out in statistics.outputs:
        assert out.peak_used <= out.capacity
        assert out.available == out.capacity, "every slot is back"
