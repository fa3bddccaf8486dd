"""What ten minutes of overload do to the age of results: 25 items/s come in, 5/s can go out.

A camera makes a frame every 40 ms, a detector takes 200 ms a frame, both on simulated time. Each
case is one policy between them; all have the same frames, of mixed QoS, each with a deadline 1 s
after its creation. The baseline is the queue that is written without a library: a deque without a
limit, with the same arrivals and the same service. Everything is read at the end of the ten
minutes, with what waits still waiting: ``frames`` = results + lost + left.

Queues hold 32 frames, more than can be served within the deadline; the 4 of
``deadline_and_qos_aware_4`` can be, so that there the class decides and not the expiry.

A frame that comes while the detector works waits in the device's buffer of 8, which loses its
oldest; only a queue that blocks a live camera lets it run over. A pausable source, a file or a
database, makes fewer frames instead.

Resident memory is read at a tenth of the run and at its end, so that what imports and start take
is left out.
"""

from __future__ import annotations

import gc
import resource
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from limen.app import make_runtime
from limen.bench._overload_parts import (
    FRAME,
    FRAME_BYTES,
    MIX,
    MS,
    PERIOD,
    RELATIVE_DEADLINE,
    SECOND,
    Camera,
    Results,
)
from limen.graph import Graph
from limen.node import node
from limen.platform import SimClock
from limen.policy import Deadline, EdgePolicy, NodePolicy, OnMiss
from limen.telemetry import Histogram, HistogramSummary, RunStatistics
from limen.types import QoSClass

SERVICE = 200 * MS
CAPACITY = 32
BASELINE, BASELINE_TARGET = "unbounded", "deque"
ALL = NodePolicy(sim_cost="200ms")
FRESH = NodePolicy(sim_cost="200ms", freshness="500ms")
IN_TIME = NodePolicy(sim_cost="200ms", deadline=Deadline(on_miss=OnMiss.DROP), budget="200ms")

Frame = Annotated[NDArray[np.uint8], FRAME]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to stand between camera and detector."""

    edge: EdgePolicy
    node: NodePolicy = ALL
    pausable: bool = False


CASES = {
    "drop_oldest": Case(EdgePolicy.drop_oldest(CAPACITY)),
    "drop_newest": Case(EdgePolicy.drop_newest(CAPACITY)),
    "block_pausable": Case(EdgePolicy.block(CAPACITY), pausable=True),
    "block_live": Case(EdgePolicy.block(CAPACITY)),
    "deadline_and_qos_aware": Case(EdgePolicy.deadline_and_qos_aware(CAPACITY, CAPACITY // 2)),
    "mailbox": Case(EdgePolicy.mailbox_latest()),
    "drop_newest+max_age": Case(EdgePolicy.drop_newest(CAPACITY), FRESH),
    "drop_newest+on_miss_drop": Case(EdgePolicy.drop_newest(CAPACITY), IN_TIME),
    "deadline_and_qos_aware_4": Case(EdgePolicy.deadline_and_qos_aware(4, 2)),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What one case came to on one target; ages and times in ns."""

    case: str
    target: str
    frames: int
    results: int
    late: int
    age: HistogramSummary
    lost: dict[str, int]
    left: int
    peak: int
    growth_bytes: int
    offered_by_qos: Counter[QoSClass]
    results_by_qos: Counter[QoSClass]
    times: NDArray[np.int64]
    ages: NDArray[np.int64]


def detect(frame: Frame) -> int:
    """Stand for the work; ``sim_cost`` is its duration."""
    return int(frame[0])


def resident_bytes() -> int:
    """Return the resident memory of this process; the most so far where /proc is missing."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def growth_over(seconds: int, advance: Callable[[int], None]) -> int:
    """Advance a simulation to its end; the resident memory it took on behind its first tenth."""
    gc.collect()
    advance(seconds * SECOND // 10)
    before = resident_bytes()
    advance(seconds * SECOND)
    return resident_bytes() - before


def limen_case(name: str, case: Case, seconds: int, target: str) -> Seen:
    """Run camera -> detector -> results under one policy."""
    clock, camera = SimClock(), Camera(pausable=case.pausable)
    results = Results(seconds * SECOND // SERVICE + 1)
    graph = Graph(name.replace("+", "_"))
    graph.add("camera", camera).add("detect", node(detect), case.node)
    graph.add("results", results)
    graph.connect("camera", "detect", case.edge).connect("detect", "results")
    runtime = make_runtime(graph, clock, target=target)

    def advance(until: int) -> None:
        while clock.now_ticks() < until and runtime.step():
            pass

    runtime.start()
    try:
        growth = growth_over(seconds, advance)
        now, run = clock.now_ticks(), runtime.statistics()
    finally:
        runtime.stop()
    waiting = camera.waiting(now)
    edge, path = run.edges[0], run.paths[0]
    lost = dict(losses(run))
    if camera.lost:
        lost["at the device"] = camera.lost
    # A result that the detector has finished waits in the second edge.
    left = edge.ring + edge.staged + run.edges[1].ring + waiting
    seen = Seen(
        case=name,
        target=target,
        frames=camera.made.total(),
        results=results.count,
        late=path.misses,
        age=path.age,
        lost=lost,
        left=left,
        peak=edge.peak,
        growth_bytes=growth,
        offered_by_qos=camera.made,
        results_by_qos=results.by_qos,
        times=results.times[: results.count],
        ages=results.ages[: results.count],
    )
    return checked(seen, closes=run.closes)


def losses(run: RunStatistics) -> Iterator[tuple[str, int]]:
    """Yield what the edge and the detector lost, by reason."""
    for edge in run.edges:
        yield from ((f"refused: {reason}", count) for reason, count in edge.refused.items())
        yield from ((f"evicted: {reason}", count) for reason, count in edge.evicted.items())
    for port in run.inputs:
        yield from ((f"dropped: {reason}", count) for reason, count in port.dropped.items())


def unbounded_case(seconds: int) -> Seen:
    """Serve the same frames out of a deque that has no limit."""
    queue: deque[tuple[int, QoSClass, NDArray[np.uint8]]] = deque()
    results, age = Results(seconds * SECOND // SERVICE + 1), Histogram()
    frame, made = np.zeros(FRAME_BYTES, np.uint8), Counter[QoSClass]()
    now = late = peak = 0

    def advance(until: int) -> None:
        nonlocal now, late, peak
        while now < until:
            while (created := made.total() * PERIOD) <= now:
                qos = MIX[made.total() % len(MIX)]
                queue.append((created, qos, frame.copy()))
                made[qos] += 1
            peak = max(peak, len(queue))
            if not queue:
                now = created
                continue
            created, qos, _ = queue.popleft()
            now += SERVICE
            results.add(qos, created, now)
            age.record(now - created)
            late += now > created + RELATIVE_DEADLINE

    growth = growth_over(seconds, advance)
    came = now // PERIOD + 1
    for number in range(made.total(), came):
        made[MIX[number % len(MIX)]] += 1
    seen = Seen(
        case=BASELINE,
        target=BASELINE_TARGET,
        frames=came,
        results=results.count,
        late=late,
        age=age.summary(),
        lost={},
        left=came - results.count,
        peak=peak,
        growth_bytes=growth,
        offered_by_qos=made,
        results_by_qos=results.by_qos,
        times=results.times[: results.count],
        ages=results.ages[: results.count],
    )
    return checked(seen, closes=True)


def checked(seen: Seen, *, closes: bool) -> Seen:
    """Return a result whose account closes.

    Raises:
        RuntimeError: It does not.
    """
    accounted = seen.results + sum(seen.lost.values()) + seen.left
    if not closes or accounted != seen.frames or seen.results != seen.age.count:
        raise RuntimeError(f"{seen.case}: {accounted} of {seen.frames} frames accounted for")
    return seen


def all_cases(seconds: int, targets: Sequence[str]) -> list[Seen]:
    """Run every policy on every target; the queue without a limit stands first.

    It runs last: memory that it gave back could hide what the others take on.
    """
    found = [
        limen_case(name, case, seconds, target)
        for target in targets
        for name, case in CASES.items()
    ]
    return [unbounded_case(seconds), *found]
