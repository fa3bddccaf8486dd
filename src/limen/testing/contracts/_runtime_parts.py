"""The sources, sinks and graphs that the suite of runtimes lets its subjects run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import numpy as np

from limen.errors import OutputError, SensorError
from limen.graph import Graph
from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.policy import Activation, EdgePolicy, ErrorAction, NodePolicy
from limen.telemetry import RunStatistics
from limen.testing._scripted import ScriptedNode, ScriptedSink, ScriptedSource
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks

MS = 1_000_000

_NUMBER = TensorSpec(DataType.S64, (1,))
_NEVER: Mapping[int, Callable[[], object]] = MappingProxyType({})

Calls = list[tuple[str, str]]
"""Who was called, in order: a name with ``open``, ``call`` or ``close``."""


class Numbers(Source):
    """Produces 0, 1, 2, … and ends.

    Args:
        count: How many.
        name: As the calls have it.
        calls: Where they are noted.
        due_ns: How long after the start all of them are due; None for a source without a schedule.
        every_ns: The distance at which they are due then.
        fails: Calls that raise in place of a number, counted from 0.
        hooks: What is done first in a call, counted from 0.
        start_fails: Whether it cannot be opened.
        stop_fails: Whether it cannot be closed.

    Attributes:
        asked: Calls so far.
        made: Numbers so far.
    """

    pausable = True

    def __init__(
        self,
        count: int,
        *,
        name: str = "source",
        calls: Calls | None = None,
        due_ns: int | None = None,
        every_ns: int = 0,
        fails: Collection[int] = (),
        hooks: Mapping[int, Callable[[], object]] = _NEVER,
        start_fails: bool = False,
        stop_fails: bool = False,
    ) -> None:
        self._count = count
        self.name = name
        self._calls = calls
        self._due_ns = due_ns
        self._every_ns = every_ns
        self._fails = fails
        self._hooks = hooks
        self._start_fails = start_fails
        self._stop_fails = stop_fails
        self._payload = np.zeros(1, np.int64)
        self._clock: PlatformClock | None = None
        self._opened = Ticks(0)
        self.asked = 0
        self.made = 0

    def spec(self) -> PayloadSpec:
        """Return one whole number."""
        return _NUMBER

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin, or fail to."""
        self._note("open")
        self._clock, self._opened = clock, now
        if self._start_fails:
            raise SensorError(f"{self.name} is not there")

    def next_due(self) -> Ticks | None:
        """Return the instant of the next call."""
        if self._due_ns is None or self._clock is None:
            return None
        after_ns = self._due_ns + self.asked * self._every_ns
        return Ticks(self._opened + self._clock.nanos_to_ticks(after_ns))

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next number."""
        call = self.asked
        self.asked += 1
        self._note("call")
        if call in self._hooks:
            self._hooks[call]()
        if call in self._fails:
            raise SensorError(f"{self.name} failed in call {call}")
        if self.made == self._count:
            return SourceSignal.END_OF_STREAM
        self._payload[0] = self.made
        self.made += 1
        return Produced(self._payload)

    def close(self) -> None:
        """End, or fail to."""
        self._note("close")
        if self._stop_fails:
            raise SensorError(f"{self.name} does not close")

    def _note(self, what: str) -> None:
        if self._calls is not None:
            self._calls.append((self.name, what))


class Keeping(Sink):
    """Keeps the numbers that arrive.

    Args:
        name: As the calls have it.
        calls: Where they are noted.
        fails: Calls that raise, counted from 0.
        hooks: What is done first in a call, counted from 0.
        start_fails: Whether it cannot be opened.
        keeps: Whether it keeps them; it counts them all the same.

    Attributes:
        numbers: What has arrived.
        got: How many.
    """

    def __init__(
        self,
        *,
        name: str = "sink",
        calls: Calls | None = None,
        fails: Collection[int] = (),
        hooks: Mapping[int, Callable[[], object]] = _NEVER,
        start_fails: bool = False,
        keeps: bool = True,
    ) -> None:
        self.name = name
        self._calls = calls
        self._fails = fails
        self._hooks = dict(hooks)
        self._start_fails = start_fails
        self._keeps = keeps
        self.numbers: list[int] = []
        self.got = 0

    def hook(self, call: int, what: Callable[[], object]) -> None:
        """Do something in a call, behind what is done there already."""
        first = self._hooks.get(call)
        self._hooks[call] = what if first is None else lambda: (first(), what())

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Begin, or fail to."""
        self._note("open")
        if self._start_fails:
            raise OutputError(f"{self.name} is not there")

    def consume(self, message: Message, now: Ticks) -> None:
        """Take one number."""
        call = self.got
        self.got += 1
        self._note("call")
        if call in self._hooks:
            self._hooks[call]()
        if call in self._fails:
            raise OutputError(f"{self.name} failed in call {call}")
        if self._keeps:
            payload = message.payload
            self.numbers.append(int(payload[0]) if isinstance(payload, np.ndarray) else -1)

    def close(self) -> None:
        """End."""
        self._note("close")

    def _note(self, what: str) -> None:
        if self._calls is not None:
            self._calls.append((self.name, what))


class Busy:
    """Takes a while in each call, and counts how many are under way at once.

    Attributes:
        most: The most there were.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0

    def __call__(self) -> None:
        """Be busy."""
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        threading.Event().wait(0.005)
        with self._lock:
            self._inside -= 1


class WatchedClock(SimClock):
    """Simulated time that notes when it is read and when somebody waits.

    Args:
        tick_rate_hz: Ticks per second.
        calls: Where it notes it, as ``clock``.
    """

    def __init__(self, tick_rate_hz: int, calls: Calls) -> None:
        super().__init__(tick_rate_hz)
        self._calls = calls

    def now_ticks(self) -> Ticks:
        """Return the simulated instant."""
        self._calls.append(("clock", "sample"))
        return super().now_ticks()

    def wait_until(self, tick: Ticks) -> None:
        """Move to the instant."""
        self._calls.append(("clock", "wait"))
        super().wait_until(tick)


def line(source: Source, sink: Sink, name: str = "line", policy: EdgePolicy | None = None) -> Graph:
    """Return a source and a sink, with an edge that holds whatever is under way."""
    graph = Graph(name).add("source", source).add("sink", sink)
    return graph.connect("source", "sink", EdgePolicy.block(16) if policy is None else policy)


def two_lines(calls: Calls, *, stop_fails: bool = False) -> Graph:
    """Return two sources with a sink each; the first source may fail to close."""
    graph = Graph("two_lines")
    for letter in "ab":
        source, sink = f"{letter}_source", f"{letter}_sink"
        fails = stop_fails and letter == "a"
        graph.add(source, Numbers(4, name=source, calls=calls, stop_fails=fails))
        graph.add(sink, Keeping(name=sink, calls=calls)).connect(source, sink)
    return graph


def lossy() -> Graph:
    """Return a graph whose queues overflow and whose parts fail."""
    graph = Graph("lossy").add("burst", Numbers(20, due_ns=0, fails={3, 7}))
    graph.add("steady", Numbers(9, due_ns=0, every_ns=2 * MS))
    graph.add("slow", Keeping(fails={1}), NodePolicy(sim_cost="3ms"))
    graph.add("quick", Keeping())
    graph.connect("burst", "slow", EdgePolicy.drop_oldest(3))
    return graph.connect("steady", "quick", EdgePolicy.drop_newest(1))


def halting() -> Graph:
    """Return a graph that a source halts."""
    graph = Graph("halting").add(
        "bomb", Numbers(100, fails={2}), NodePolicy(error_action=ErrorAction.HALT_GRAPH)
    )
    return graph.add("sink", Keeping()).connect("bomb", "sink")


def deadlock() -> Graph:
    """Return a join that waits for a branch which emits nothing, while the other fills up."""
    graph = Graph("deadlock").add("source", ScriptedSource(count=5))
    graph.add("mute", ScriptedNode(script=["consume"] * 5))
    graph.add("join", ScriptedSink(inputs=["left", "right"]), NodePolicy(activation=Activation.ALL))
    graph.connect("source", "mute").connect("source", "join.right", EdgePolicy.block(2))
    return graph.connect("mute", "join.left")


def counters(statistics: RunStatistics) -> dict[str, int]:
    """Return all that only grows."""
    found: dict[str, int] = {}
    for node in statistics.nodes:
        for field in ("steps", "calls", "processed", "errors"):
            found[f"{node.name} {field}"] = int(getattr(node, field))
    for edge in statistics.edges:
        for field in ("offered", "pushed", "taken"):
            found[f"{edge.name} {field}"] = int(getattr(edge, field))
        found[f"{edge.name} refused"] = sum(edge.refused.values())
        found[f"{edge.name} evicted"] = sum(edge.evicted.values())
    for port in statistics.inputs:
        found[f"{port.name} consumed"] = port.consumed
        found[f"{port.name} dropped"] = sum(port.dropped.values())
    for out in statistics.outputs:
        found[f"{out.name} emitted"] = out.emitted
    return found
