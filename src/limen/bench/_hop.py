"""What a hop costs.

``chain8`` runs source -> 8 pass-through nodes -> sink. Its figure is the time of a whole run, start
and stop left out, divided by messages and by the 8 nodes: source and sink are paid for by the
nodes. The baseline is a direct Python call of the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from limen.bench._measure import (
    Count,
    Items,
    Measure,
    Result,
    Setting,
    Size,
    interleaved,
    now_ns,
    repeated,
    timed_run,
)
from limen.bench._others import CAPACITY, HOPS, other_kinds
from limen.bench._rows import Row
from limen.graph import Graph
from limen.node import Produced, node
from limen.policy import Batching, EdgePolicy, NodePolicy
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, error_text

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

SAMPLE = TensorSpec(DataType.F32, (6,))
BATCH = 8
BRANCHES = 4

_LEGEND = (
    f"hop: ns per message and node: a whole run / messages / {HOPS} nodes ({BRANCHES} in fanout);",
    "  source and sink are paid for by the nodes; baseline: a direct call of the same function",
)

Floats = NDArray[np.float32]
Sample = Annotated[Floats, SAMPLE]


@dataclass(frozen=True, slots=True)
class _Work:
    """How much is done; a round runs as many messages as take ``span_ns``, if that is not 0."""

    rounds: int
    calls: int
    messages: int
    span_ns: int


_WORK = {
    Size.FULL: _Work(rounds=7, calls=300_000, messages=64, span_ns=60_000_000),
    Size.FAST: _Work(rounds=5, calls=200, messages=8, span_ns=0),
}
_MOST_MESSAGES = 200_000


@dataclass(frozen=True, slots=True)
class Case:
    """One shape of graph around one function.

    Attributes:
        name: Of the case.
        function: What each node does.
        spec: Of the payloads.
        payload: What is passed on.
        edge: Policy of every edge.
        policy: Of every node.
        scheduler: Of the graph.
        branches: Nodes beside each other; 0 for a chain.
    """

    name: str
    function: Callable[..., object]
    spec: PayloadSpec
    payload: object
    edge: EdgePolicy
    policy: NodePolicy
    scheduler: str = "round_robin"
    branches: int = 0

    @property
    def nodes(self) -> int:
        """Nodes that a message passes."""
        return self.branches or HOPS


def same(x: int) -> int:
    """Pass an object on."""
    return x


def same_sample(x: Sample) -> Sample:
    """Pass a sample on; it is copied into the next slot."""
    return x


def cases() -> list[Case]:
    """Return the shapes that are measured; the first is the standard one."""
    block = EdgePolicy.block(CAPACITY)
    chain = Case("chain8", same, ObjectSpec(int), 7, block, NodePolicy())
    batches = NodePolicy(batching=Batching.fixed(BATCH))
    sample = np.arange(6, dtype=np.float32)
    return [
        chain,
        replace(chain, name="chain8_drop_oldest", edge=EdgePolicy.drop_oldest(CAPACITY)),
        replace(chain, name="chain8_tensor", function=same_sample, spec=SAMPLE, payload=sample),
        replace(chain, name="chain8_batched", policy=batches),
        replace(chain, name="chain8_edf", scheduler="edf"),
        replace(chain, name="fanout", branches=BRANCHES),
    ]


def chain_of(case: Case, messages: Iterable[Produced]) -> tuple[Graph, list[Count]]:
    """Return a case's graph with what it is given, and its sinks."""
    graph = Graph(case.name, scheduler=case.scheduler)
    graph.add("source", Items(case.spec, messages))
    for number in range(case.nodes):
        graph.add(f"pass{number}", node(case.function), case.policy)
    names = [f"pass{number}" for number in range(case.nodes)]
    ways = [[name] for name in names] if case.branches else [names]
    sinks = [Count() for _ in ways]
    for number, (sink, way) in enumerate(zip(sinks, ways, strict=True)):
        graph.add(f"sink{number}", sink)
        graph.chain("source", *way, f"sink{number}", policy=case.edge)
    return graph, sinks


def hop_cost(case: Case, target: str, messages: int, *, metrics: bool) -> float:
    """Return nanoseconds per message and node."""
    graph, sinks = chain_of(case, repeated([case.payload], messages))
    took = timed_run(graph, sinks, messages, target, metrics=metrics)
    return took / (messages * case.nodes)


def direct(function: Callable[..., object], payload: object, calls: int) -> float:
    """Return nanoseconds per call of the function itself, the loop around it included."""
    begun = now_ns()
    for _ in range(calls):
        function(payload)
    return (now_ns() - begun) / calls


def hop(setting: Setting) -> Result:
    """Measure every shape on every target, and what else passes messages on."""
    work = _WORK[setting.size]
    measures: list[Measure] = []

    def measure(case: Case, target: str, metrics: bool, cost: Callable[[int], float]) -> None:
        count = _count(cost, case.nodes, work)
        measures.append(
            Measure(
                case.name,
                target,
                metrics,
                lambda: cost(count),
                lambda: direct(case.function, case.payload, work.calls),
            )
        )

    for case in cases():
        for target in setting.executors():
            for metrics in (True, False):
                measure(case, target, metrics, partial(hop_cost, case, target, metrics=metrics))
    for case in cases():
        for name, run in other_kinds(case.name, setting):
            try:
                measure(case, name, False, partial(run, case.function, case.payload))
            except Exception as error:  # it is not ours, and says what it likes
                setting.say(f"hop {case.name} {name}: left out: {error_text(error)}")
    rows = interleaved("hop", "ns", measures, work.rounds, setting.size)
    return Result(tuple(rows), _LEGEND, draw=lambda figure: draw(rows, figure))


def _count(cost: Callable[[int], float], nodes: int, work: _Work) -> int:
    """Return how many messages take about as long as a round should, once some have passed."""
    count = work.messages
    while True:
        took = cost(count) * count * nodes
        if not work.span_ns:
            return count
        if took * 4 >= work.span_ns or count * 4 > _MOST_MESSAGES:
            return min(max(int(count * work.span_ns / took), 1), _MOST_MESSAGES)
        count *= 4


def draw(rows: Sequence[Row], figure: SubFigure) -> None:
    """Draw what a hop costs in direct calls, a bar a row."""
    axes = figure.subplots()
    shown = [row for row in rows if row.ratio is not None]
    names = [f"{row.case} {row.target}{' + metrics' if row.metrics else ''}" for row in shown]
    ratios = [row.ratio or 0.0 for row in shown]
    colours = {"reference": "C0", "python": "C1", "native": "C2"}
    axes.barh(names, ratios, color=[colours.get(row.target, "0.6") for row in shown])
    axes.invert_yaxis()
    axes.set(
        xlabel="cost per message and node (direct Python calls), logarithmic",
        xscale="log",
        title="What a hop costs",
    )
    axes.tick_params(axis="y", labelsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
