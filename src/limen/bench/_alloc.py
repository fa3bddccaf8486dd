"""What a graph keeps for the messages that have passed.

One run is cut into six equal stretches. The first warms up; live bytes are read at the ends of the
others, garbage collected first, with ``tracemalloc`` tracing from before the graph is made, and
nothing is left out. Readings go into an array that is there beforehand. The figure is growth per
message, the median of five stretches: 0 where nothing is kept. A stretch may show some bytes all
the same: counters outgrow the small whole numbers that Python keeps ready, a histogram meets a
duration that it has not had. What is buffered is given up every so many messages; a stretch is a
multiple of that, so that its ends see the buffers alike.
"""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limen.bench._hop import Case, cases, chain_of
from limen.bench._measure import Result, Setting, Size, now_ns, timed_run
from limen.bench._others import CAPACITY, HOPS
from limen.bench._rows import Row, row_of
from limen.node import Produced

STRETCHES = 5
_CASES = ("chain8", "chain8_tensor")


@dataclass(frozen=True, slots=True)
class _Work:
    """How much is done: stretches of ``least``, times what fits into ``span_ns`` if that is set."""

    least: int
    most: int
    span_ns: int


_WORK = {
    Size.FULL: _Work(least=2_048, most=98 * 2_048, span_ns=60_000_000_000),
    Size.FAST: _Work(least=64, most=64, span_ns=0),
}


def alloc(setting: Setting) -> Result:
    """Measure chains of objects and of tensors on every target, and the loop over deques."""
    work = _WORK[setting.size]
    rows: list[Row] = []
    counts: list[str] = []
    for case in (case for case in cases() if case.name in _CASES):
        for target in setting.executors():
            stretch = _stretch(case, target, work)
            grown = graph_growth(case, target, stretch)
            rows.append(
                row_of(
                    *("alloc", case.name, target, "B"),
                    grown,
                    loop_growth(case, stretch),
                    metrics=True,
                )
            )
            counts.append(f"{case.name} {target} {STRETCHES * stretch}")
    legend = (
        f"alloc: bytes kept per message, in {STRETCHES} stretches of one run; baseline: the loop "
        "over deques",
        f"  messages: {', '.join(counts)}",
    )
    return Result(tuple(rows), legend)


def graph_growth(case: Case, target: str, stretch: int) -> list[float]:
    """Return the bytes kept per message in each stretch of a run."""
    live = array("q", [0] * (STRETCHES + 1))
    with _traced():
        messages = _read_between(Produced(case.payload), stretch, live)
        graph, sinks = chain_of(case, messages)
        timed_run(graph, sinks, (STRETCHES + 1) * stretch, target, metrics=True)
    return _growth(live, stretch)


def loop_growth(case: Case, stretch: int) -> list[float]:
    """Return the same of a hand-written loop over deques."""
    live = array("q", [0] * (STRETCHES + 1))
    queues: list[deque[object]] = [deque(maxlen=CAPACITY) for _ in range(HOPS + 1)]
    stages = list(itertools.pairwise(queues))
    with _traced():
        for made in _read_between(Produced(case.payload), stretch, live):
            queues[0].append(made.payload)
            for source, target in stages:
                target.append(case.function(source.popleft()))
            queues[-1].popleft()
    return _growth(live, stretch)


def _read_between(made: Produced, stretch: int, live: array[int]) -> Iterator[Produced]:
    """Give a message over and over, and read what is live around each stretch."""
    yield from itertools.repeat(made, stretch)
    for number in range(STRETCHES + 1):
        gc.collect()
        live[number] = tracemalloc.get_traced_memory()[0]
        if number < STRETCHES:
            yield from itertools.repeat(made, stretch)


def _growth(live: array[int], stretch: int) -> list[float]:
    return [(after - before) / stretch for before, after in itertools.pairwise(live)]


def _stretch(case: Case, target: str, work: _Work) -> int:
    """Return how many messages a stretch can have, judged by a short run."""
    if not work.span_ns:
        return work.least
    begun = now_ns()
    graph_growth(case, target, work.least)
    times = int(work.span_ns / (now_ns() - begun))
    return min(work.least * max(times, 1), work.most)


@contextmanager
def _traced() -> Iterator[None]:
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        yield
    finally:
        if not was_tracing:
            tracemalloc.stop()
