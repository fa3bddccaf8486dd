"""The chain that is measured, and graphs whose generated texts are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import limen
from limen.app import load
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks

HOPS = 8
CAPACITY = 64
SAMPLE = TensorSpec(DataType.F32, (6,))
Sample = Annotated[NDArray[np.float32], SAMPLE]
ACTIVITY = Path(__file__).parents[1] / "examples" / "activity" / "activity.toml"


class Repeated(limen.Source):
    """Makes one payload again and again, as fast as there is room; it is told of some."""

    pausable = True

    def __init__(
        self,
        spec: PayloadSpec,
        payload: object,
        count: int,
        marks: tuple[int, ...] = (),
        at_mark: Callable[[int], None] = lambda made: None,
    ) -> None:
        self._spec = spec
        self._payload = payload
        self._count = count
        self._marks = marks
        self._at_mark = at_mark
        self._made = 0

    def spec(self) -> PayloadSpec:
        return self._spec

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self._made in self._marks:
            self._at_mark(self._made)
        if self._made == self._count:
            return SourceSignal.END_OF_STREAM
        self._made += 1
        return Produced(self._payload)


class Counted(limen.Sink):
    """Counts what arrives."""

    def __init__(self) -> None:
        self.count = 0

    def consume(self, message: Message, now: Ticks) -> None:
        self.count += 1


def same(x: int) -> int:
    """Pass an object on."""
    return x


def same_sample(x: Sample) -> Sample:
    """Pass a sample on, to be copied."""
    return x


def half(x: Sample, out: Sample) -> Sample:
    """Write where the next node reads."""
    return np.multiply(x, np.float32(0.5), out=out)


def mean(x: Sample) -> float:
    """Give one number of a sample."""
    return float(x.mean())


def positive(x: float) -> str | None:
    """Give text, or nothing."""
    return f"{x}" if x > 0 else None


def chain_of(
    source: limen.Source, function: Callable[..., object], sink: Counted | None = None
) -> tuple[limen.Graph, Counted]:
    """Return source -> 8 nodes -> sink."""
    graph, sink = limen.Graph("chain8"), Counted() if sink is None else sink
    names = [f"pass{number}" for number in range(HOPS)]
    graph.add("source", source)
    for name in names:
        graph.add(name, limen.node(function))
    graph.add("sink", sink)
    graph.chain("source", *names, "sink", policy=limen.EdgePolicy.block(CAPACITY))
    return graph, sink


def chain8(messages: int = 0) -> tuple[limen.Graph, Counted]:
    """Return the chain of functions that pass a number on."""
    return chain_of(Repeated(ObjectSpec(int), 7, messages), same)


def chain8_tensor(messages: int = 0) -> tuple[limen.Graph, Counted]:
    """Return the chain of functions that pass a tensor on."""
    return chain_of(Repeated(SAMPLE, np.zeros(6, np.float32), messages), same_sample)


def mixed() -> limen.Graph:
    """Return a graph of every admission, of tensors, numbers and text, with what is left out."""
    graph = limen.Graph("mixed")
    graph.add("camera", Repeated(SAMPLE, np.zeros(6, np.float32), 0))
    graph.add("half", limen.node(half), limen.NodePolicy(sim_cost="2ms"))
    graph.add("mean", limen.node(mean))
    graph.add("positive", limen.node(positive))
    graph.add("words", Counted())
    graph.add("newest", Counted())
    graph.add("late", limen.io.Discard(), limen.NodePolicy(batching=limen.Batching.delta_t("1ms")))
    graph.connect("camera", "half", policy=limen.EdgePolicy.block(3))
    graph.connect("camera", "newest", policy=limen.EdgePolicy.mailbox_latest())
    graph.connect("half", "mean", policy=limen.EdgePolicy.drop_oldest(4))
    graph.connect("half", "late", policy=limen.EdgePolicy.drop_newest(5))
    graph.connect("mean", "positive", policy=limen.EdgePolicy.drop_newest(2))
    graph.connect("positive", "words")
    return graph


def activity() -> limen.Graph:
    """Return the example graph."""
    return load(ACTIVITY)
