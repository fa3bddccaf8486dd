"""Parts that note in a diary what an executor does with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from limen.errors import SensorError
from limen.message import Message
from limen.node import (
    Consumed,
    Node,
    NodeKind,
    NodePorts,
    Output,
    Port,
    ProcessResult,
    Produced,
    Source,
    SourceSignal,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks

SPEC = TensorSpec(DataType.U8, (4,))


class ProbeSource(Source):
    """Makes messages, all at once or every so many ticks, and notes when it is called.

    Args:
        count: Messages; None for no end.
        every: Ticks between two of them; None for whenever it is called.
        first: Tick of the first, where it is timed.
        fails_to: ``open`` or ``close`` where that is to fail.
        diary: Where to note ``open``, ``produce`` and ``close``; of its own if not given.
    """

    pausable = True

    def __init__(
        self,
        count: int | None = 3,
        *,
        every: int | None = None,
        first: int = 0,
        fails_to: str = "",
        diary: list[str] | None = None,
    ) -> None:
        self.count = count
        self.every = every
        self.first = first
        self.fails_to = fails_to
        self.diary = [] if diary is None else diary
        self.instants: list[int] = []
        self._made = 0

    def spec(self) -> PayloadSpec:
        """Return four bytes."""
        return SPEC

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin with number 0."""
        self._note("open")
        self._made = 0

    def next_due(self) -> Ticks | None:
        """Return the next instant of a timed one."""
        return None if self.every is None else Ticks(self.first + self._made * self.every)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return four bytes, until there are enough of them."""
        if self._made == self.count:
            return SourceSignal.END_OF_STREAM
        self.instants.append(now)
        self._made += 1
        return Produced(np.full(4, self._made % 256, np.uint8))

    def close(self) -> None:
        """Note it."""
        self._note("close")

    def _note(self, what: str) -> None:
        self.diary.append(f"{what} source")
        if self.fails_to == what:
            raise SensorError(f"source cannot {what}")


class ProbeNode(Node):
    """Hands on what it takes, and notes what is done with it.

    Args:
        name: What the diary calls it.
        diary: Where to note ``initialize``, ``start``, ``step``, ``stop`` and ``reset``.
        fails_on: Numbers of messages that it fails on.
        fails_to: ``initialize``, ``start`` or ``stop`` where that is to fail.
        is_sink: Whether it has no output.
        on_message: Called with each message.

    Attributes:
        sequences: Numbers of the messages that it was handed.
    """

    def __init__(
        self,
        name: str = "node",
        diary: list[str] | None = None,
        *,
        fails_on: tuple[int, ...] = (),
        fails_to: str = "",
        is_sink: bool = False,
        on_message: Callable[[Message], None] | None = None,
    ) -> None:
        self.name = name
        self.diary = [] if diary is None else diary
        self.fails_on = frozenset(fails_on)
        self.fails_to = fails_to
        self.on_message = on_message
        self.kind = NodeKind.SINK if is_sink else NodeKind.PROCESS
        self.sequences: list[int] = []
        self.keeps_diary = diary is not None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The one input."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The one output, unless it is a sink."""
        return () if self.kind is NodeKind.SINK else ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Take and give four bytes."""
        return NodePorts((Port("in", SPEC),), tuple(Port(name, SPEC) for name in self.output_names))

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Note it."""
        self._note("initialize")

    def start(self, now: Ticks) -> None:
        """Note it."""
        self._note("start")

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Take a message, note it, hand it on."""
        if self.keeps_diary:
            self._note("step")
        return ctx.pop_and_process("in", self._process)

    def stop(self) -> None:
        """Note it."""
        self._note("stop")

    def reset(self) -> None:
        """Note it."""
        self._note("reset")

    def _process(self, message: Message) -> ProcessResult:
        if self.keeps_diary:
            self.sequences.append(message.header.sequence)
        if self.on_message is not None:
            self.on_message(message)
        if message.header.sequence in self.fails_on:
            raise ValueError(f"{self.name} fails on {message.header.sequence}")
        return Consumed() if self.kind is NodeKind.SINK else Output(message.payload)

    def _note(self, what: str) -> None:
        if self.keeps_diary:
            self.diary.append(f"{what} {self.name}")
        if self.fails_to == what:
            raise ValueError(f"{self.name} cannot {what}")
