"""What a graph takes of the processor while it waits.

The figure is processor time over real time of a whole run: its start, its wait, and its stop on
request. ``timed_1hz`` wakes once a second for a message; ``live`` waits for a source that never has
one. The baseline is a thread that sleeps a third as long, before and behind.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from limen.app import make_runtime
from limen.bench._measure import Count, Measure, Result, Setting, Size, interleaved, now_ns
from limen.graph import Graph
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.types import ObjectSpec, PayloadSpec, Ticks

_LEGEND = (
    "idle: processor time over real time of a graph that waits; baseline: a thread that sleeps",
)


@dataclass(frozen=True, slots=True)
class _Work:
    rounds: int
    seconds: float


_WORK = {Size.FULL: _Work(rounds=5, seconds=3.0), Size.FAST: _Work(rounds=5, seconds=0.05)}


class Timed(Source):
    """Has a number every second."""

    def __init__(self) -> None:
        self._due = Ticks(0)
        self._period = 0

    def spec(self) -> PayloadSpec:
        """Return whole numbers."""
        return ObjectSpec(int)

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin now."""
        self._period = clock.duration_to_ticks(1_000_000_000)
        self._due = now

    def next_due(self) -> Ticks:
        """Return the next full second."""
        return self._due

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Give a number, if it is time."""
        if now < self._due:
            return SourceSignal.NOTHING_NOW
        self._due = Ticks(self._due + self._period)
        return Produced(0)


class Silent(Source):
    """A live source that never has anything."""

    def spec(self) -> PayloadSpec:
        """Return whole numbers."""
        return ObjectSpec(int)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Have nothing."""
        return SourceSignal.NOTHING_NOW


def idle(setting: Setting) -> Result:
    """Measure both sources on every target."""
    work = _WORK[setting.size]
    sources: dict[str, Callable[[], Source]] = {"timed_1hz": Timed, "live": Silent}
    measures = [
        Measure(
            case,
            target,
            True,
            partial(waiting_share, make, target, work.seconds),
            partial(sleeping_share, work.seconds / 3),
        )
        for case, make in sources.items()
        for target in setting.executors()
    ]
    return Result(tuple(interleaved("idle", "%", measures, work.rounds, setting.size)), _LEGEND)


def waiting_share(make: Callable[[], Source], target: str, seconds: float) -> float:
    """Return the percentage of a processor that source -> sink takes for some seconds.

    Raises:
        RuntimeError: The run did not end as asked, or its account does not close.
    """
    graph = Graph("waiting").add("source", make()).add("sink", Count())
    graph.connect("source", "sink")
    runtime = make_runtime(graph, target=target)
    timer = threading.Timer(seconds, runtime.stop_handle.request_stop)
    timer.start()
    begun, taken = now_ns(), _processor_ns()
    run = runtime.run()
    share = 100 * (_processor_ns() - taken) / (now_ns() - begun)
    timer.join()
    if run.outcome != "stopped" or not run.closes:
        raise RuntimeError(f"{graph.name} on {target}: {run.outcome}")
    return share


def sleeping_share(seconds: float) -> float:
    """Return the same of this thread asleep, a timer beside it as well."""
    woken = threading.Event()
    timer = threading.Timer(seconds, woken.set)
    timer.start()
    begun, taken = now_ns(), _processor_ns()
    woken.wait()
    share = 100 * (_processor_ns() - taken) / (now_ns() - begun)
    timer.join()
    return share


def _processor_ns() -> int:
    """Return the processor time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)
