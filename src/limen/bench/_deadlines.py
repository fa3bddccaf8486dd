"""How many deadlines are missed as the load grows past what can be served.

Four streams with random arrivals (exponential gaps, the same for every policy) and relative
deadlines of 30, 60, 120 and 240 ms share one thread; each message takes 10 ms on simulated time.
Utilisation is the arrival rate times 10 ms. A miss is a message whose result comes after its
deadline, or never; the ratio is over all messages offered. Figures are medians of several seeds.

- ``fifo``: one node takes from all streams, whichever message was pushed first. What arrives
  during a call is pushed behind it, at one instant, and then goes by the order of the streams.
- ``edf``: a node a stream, scheduled earliest deadline first.
- ``edf_drop_expired``: and what is late already is dropped before the call.
- ``edf_drop_infeasible``: and so is what could not be done within its deadline, by the node's
  budget of 10 ms.

Queues hold all messages of a run, so that admission decides nothing: what differs is the order
and what is dropped. A run drains its queues at its end, so that its ratio may lie a little below
1 - 1/utilisation, what no policy could serve of an endless stream.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limen.app import make_runtime
from limen.bench._measure import Result, Setting, Size, quiet
from limen.bench._rows import Row, aligned, row_of
from limen.graph import Graph
from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal
from limen.platform import SimClock
from limen.policy import Deadline, EdgePolicy, NodePolicy, OnMiss
from limen.types import ObjectSpec, PayloadSpec, Ticks

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

MS = 1_000_000
SERVICE = 10 * MS
RELATIVE_DEADLINES = (30 * MS, 60 * MS, 120 * MS, 240 * MS)
UTILISATIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.25, 1.3, 1.4, 1.5)
DROP = Deadline(on_miss=OnMiss.DROP)
POLICIES = {
    "fifo": NodePolicy(sim_cost="10ms"),
    "edf": NodePolicy(sim_cost="10ms"),
    "edf_drop_expired": NodePolicy(sim_cost="10ms", deadline=DROP),
    "edf_drop_infeasible": NodePolicy(sim_cost="10ms", deadline=DROP, budget="10ms"),
}
LABELS = {
    "fifo": "FIFO",
    "edf": "EDF",
    "edf_drop_expired": "EDF, expired dropped",
    "edf_drop_infeasible": "EDF, infeasible dropped",
}


@dataclass(frozen=True, slots=True)
class _Work:
    """How much is done; ``messages`` is for each stream."""

    seeds: int
    messages: int
    utilisations: tuple[float, ...]


_WORK = {
    Size.FULL: _Work(seeds=5, messages=250, utilisations=UTILISATIONS),
    Size.FAST: _Work(seeds=2, messages=25, utilisations=(0.5, 1.25)),
}

Ratios = dict[tuple[str, float, str], list[float]]
"""Of every seed, by target, utilisation and policy."""


class Arrivals(Source):
    """Makes a message at each instant of a list, due a fixed time later, and ends."""

    def __init__(self, instants: Sequence[int], relative_ns: int) -> None:
        self._instants = instants
        self._relative_ns = relative_ns
        self._place = 0

    def spec(self) -> PayloadSpec:
        return ObjectSpec(int)

    def next_due(self) -> Ticks:
        return Ticks(self._instants[min(self._place, len(self._instants) - 1)])

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self._place == len(self._instants):
            return SourceSignal.END_OF_STREAM
        instant = self._instants[self._place]
        self._place += 1
        return Produced(
            self._place, creation_tick=Ticks(instant), deadline_ns=instant + self._relative_ns
        )


class Work(Sink):
    """Stands for the work; ``sim_cost`` is its duration."""

    def __init__(self, inputs: Sequence[str] = ("in",)) -> None:
        self.inputs = tuple(inputs)

    def consume(self, message: Message, now: Ticks) -> None:
        pass


def arrivals(utilisation: float, messages: int, seed: int) -> list[list[int]]:
    """Draw the instants of each stream; another utilisation stretches the same gaps."""
    draw = random.Random(seed)
    mean_gap = SERVICE * len(RELATIVE_DEADLINES) / utilisation
    streams = []
    for _ in RELATIVE_DEADLINES:
        instant, instants = 0.0, []
        for _ in range(messages):
            instant += draw.expovariate(1.0) * mean_gap
            instants.append(int(instant))
        streams.append(instants)
    return streams


def miss_ratio(policy: str, streams: Sequence[Sequence[int]], target: str = "reference") -> float:
    """Run one policy over the arrivals; the share of messages late or never delivered.

    Raises:
        RuntimeError: Admission lost messages, or the account does not close.
    """
    shared = policy == "fifo"
    graph = Graph(policy, scheduler="round_robin" if shared else "edf")
    names = [f"stream{number}" for number in range(len(streams))]
    for name, instants, relative_ns in zip(names, streams, RELATIVE_DEADLINES, strict=True):
        graph.add(name, Arrivals(instants, relative_ns))
    if shared:
        graph.add("work", Work(names), POLICIES[policy])
    for name, instants in zip(names, streams, strict=True):
        if not shared:
            graph.add(f"work_{name}", Work(), POLICIES[policy])
        consumer = f"work.{name}" if shared else f"work_{name}"
        graph.connect(name, consumer, EdgePolicy.drop_newest(len(instants)))
    run = make_runtime(graph, SimClock(), target=target).run()
    offered = sum(edge.offered for edge in run.edges)
    taken = sum(edge.taken for edge in run.edges)
    if run.outcome != "completed" or not run.closes or not offered == taken == _count(streams):
        raise RuntimeError(f"{policy}: {taken} of {offered} messages taken, {run.outcome}")
    return 1 - sum(path.count - path.misses for path in run.paths) / offered


def _count(streams: Sequence[Sequence[int]]) -> int:
    return sum(len(instants) for instants in streams)


def deadlines(setting: Setting) -> Result:
    """Run every policy, on the reference alone unless targets are named: all decide alike."""
    work, targets = _WORK[setting.size], setting.executors(default=("reference",))
    if not targets:
        return Result((), ())
    with quiet():
        ratios = all_ratios(work, targets)
    legend = (
        "deadlines: share of messages late or never delivered, of all offered; no queue is full",
        f"  median (least … most) of {work.seeds} seeds, "
        f"{work.messages * len(RELATIVE_DEADLINES)} messages each",
    )
    rows = tuple(rows_of(ratios))
    return Result(rows, legend, table(ratios), lambda figure: draw(ratios, figure))


def all_ratios(work: _Work, targets: Sequence[str]) -> Ratios:
    """Return the miss ratio of every seed."""
    found: Ratios = {}
    for utilisation in work.utilisations:
        for seed in range(work.seeds):
            streams = arrivals(utilisation, work.messages, seed)
            for target in targets:
                for policy in POLICIES:
                    ratio = miss_ratio(policy, streams, target)
                    found.setdefault((target, utilisation, policy), []).append(ratio)
    return found


def rows_of(ratios: Ratios) -> list[Row]:
    """Return a row per target, utilisation and policy; the baseline is FIFO."""
    return [
        row_of(
            *("deadlines", f"{policy}@{utilisation}", target, "1"),
            values,
            ratios[target, utilisation, "fifo"],
            metrics=True,
        )
        for (target, utilisation, policy), values in ratios.items()
    ]


def table(ratios: Ratios) -> str:
    """Lay medians out for people, with the least and the most of the seeds."""
    cells = [["deadlines", "utilisation", *(LABELS[policy] for policy in POLICIES)]]
    for target, utilisation in dict.fromkeys(key[:2] for key in ratios):
        line = [target, f"{utilisation:.2f}"]
        for policy in POLICIES:
            values = ratios[target, utilisation, policy]
            middle = statistics.median(values)
            line.append(f"{middle:.3f} ({min(values):.3f} … {max(values):.3f})")
        cells.append(line)
    return aligned(cells)


def draw(ratios: Ratios, figure: SubFigure) -> None:
    """Draw the miss ratio over the utilisation, a curve a policy, on one target."""
    axes = figure.subplots()
    target = next(iter(ratios))[0]
    utilisations = sorted({utilisation for _, utilisation, _ in ratios})
    for policy, label in LABELS.items():
        values = [ratios[target, utilisation, policy] for utilisation in utilisations]
        (line,) = axes.plot(
            utilisations, [statistics.median(each) for each in values], marker="o", label=label
        )
        low, high = [min(each) for each in values], [max(each) for each in values]
        axes.fill_between(utilisations, low, high, color=line.get_color(), alpha=0.15)
    unserved = [max(0.0, 1 - 1 / utilisation) for utilisation in utilisations]
    axes.plot(utilisations, unserved, "k:", label="beyond capacity: 1 − 1/utilisation")
    axes.set(
        xlabel="utilisation (arrival rate × service time)",
        ylabel="miss ratio (late or never, of all offered)",
        title="Deadlines missed under load; median and range of the seeds",
        ylim=(-0.02, 1.02),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
