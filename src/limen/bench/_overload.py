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
import random
import resource
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from limen.app import make_runtime
from limen.graph import Graph
from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal, node
from limen.platform import SimClock
from limen.policy import Deadline, EdgePolicy, NodePolicy, OnMiss
from limen.telemetry import Histogram, HistogramSummary, RunStatistics
from limen.types import DataType, PayloadSpec, QoSClass, TensorSpec, Ticks

MS = 1_000_000
SECOND = 1_000 * MS
PERIOD = 40 * MS
SERVICE = 200 * MS
RELATIVE_DEADLINE = 1_000 * MS
CAPACITY = 32
DEVICE = 8
FRAME_BYTES = 4096
FRAME = TensorSpec(DataType.U8, (FRAME_BYTES,))
LONGEST_SECONDS = 600
BASELINE, BASELINE_TARGET = "unbounded", "deque"
# One frame in ten is LATENCY_CRITICAL: 2.5 a second, half of what can be served. Drawn rather than
# in a cycle, which would beat with the five frames that come during a call.
MIX = random.Random(1).choices(
    (QoSClass.LATENCY_CRITICAL, QoSClass.BEST_EFFORT, QoSClass.BACKGROUND),
    (1, 5, 4),
    k=LONGEST_SECONDS * SECOND // PERIOD,
)

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


class Camera(Source):
    """Makes a frame on a grid; what is not fetched waits in the device, a pausable one does not."""

    def __init__(self, *, pausable: bool) -> None:
        self.pausable = pausable
        self.lost = 0
        self.made: Counter[QoSClass] = Counter()
        self._next = 0
        self._shift = 0
        self._frame = np.zeros(FRAME_BYTES, np.uint8)

    def spec(self) -> PayloadSpec:
        return FRAME

    def next_due(self) -> Ticks:
        return Ticks(self._next * PERIOD + self._shift)

    def resumed(self, now: Ticks) -> None:
        self._shift += max(0, now - self.next_due())

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        self.run_over(now)
        created, qos = self.next_due(), MIX[self._next % len(MIX)]
        self._next += 1
        self.made[qos] += 1
        return Produced(
            self._frame,
            creation_tick=created,
            deadline_ns=created + RELATIVE_DEADLINE,
            qos=qos,
        )

    def run_over(self, now: int) -> None:
        """Lose what the device's buffer cannot hold at an instant."""
        if self.pausable:
            return
        oldest = now // PERIOD - DEVICE + 1
        while self._next < oldest:
            self.made[MIX[self._next % len(MIX)]] += 1
            self.lost += 1
            self._next += 1

    def waiting(self, now: int) -> int:
        """Frames in the device's buffer at an instant."""
        self.run_over(now)
        for place in range(self._next, now // PERIOD + 1):
            self.made[MIX[place % len(MIX)]] += not self.pausable
        return 0 if self.pausable else now // PERIOD + 1 - self._next


class Results(Sink):
    """Remembers when results came, how old, of which class, in memory taken beforehand."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self.by_qos: Counter[QoSClass] = Counter()
        self.times = np.full(most, -1, np.int64)
        self.ages = np.full(most, -1, np.int64)

    def consume(self, message: Message, now: Ticks) -> None:
        self.add(message.header.qos, message.header.creation_tick, now)

    def add(self, qos: QoSClass, created: int, now: int) -> None:
        """Remember one result."""
        self.times[self.count] = now
        self.ages[self.count] = now - created
        self.by_qos[qos] += 1
        self.count += 1


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
