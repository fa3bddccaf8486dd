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
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

import limen
from figures import Row, aligned, as_json, machine, new_figure, parser_of, quiet, row_of, save
from limen import Deadline, EdgePolicy, NodePolicy, OnMiss, QoSClass
from limen.app import make_runtime
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.telemetry import Histogram, HistogramSummary, RunStatistics
from limen.types import PayloadSpec, Ticks

MS = 1_000_000
SECOND = 1_000 * MS
PERIOD = 40 * MS
SERVICE = 200 * MS
RELATIVE_DEADLINE = 1_000 * MS
CAPACITY = 32
DEVICE = 8
FRAME_BYTES = 4096
FRAME = limen.TensorSpec(limen.DataType.U8, (FRAME_BYTES,))
FULL_SECONDS = 600
FAST_SECONDS = 20
BASELINE = "unbounded"
# One frame in ten is LATENCY_CRITICAL: 2.5 a second, half of what can be served. Drawn rather than
# in a cycle, which would beat with the five frames that come during a call.
MIX = random.Random(1).choices(
    (QoSClass.LATENCY_CRITICAL, QoSClass.BEST_EFFORT, QoSClass.BACKGROUND),
    (1, 5, 4),
    k=FULL_SECONDS * SECOND // PERIOD,
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
    """What one case came to; ages and times in ns."""

    case: str
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


class Camera(limen.Source):
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


class Results(limen.Sink):
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


def limen_case(name: str, case: Case, seconds: int) -> Seen:
    """Run camera -> detector -> results under one policy."""
    clock, camera = limen.SimClock(), Camera(pausable=case.pausable)
    results = Results(seconds * SECOND // SERVICE + 1)
    graph = limen.Graph(name.replace("+", "_"))
    graph.add("camera", camera).add("detect", limen.node(detect), case.node)
    graph.add("results", results)
    graph.connect("camera", "detect", case.edge).connect("detect", "results")
    runtime = make_runtime(graph, clock)

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


def all_cases(seconds: int) -> list[Seen]:
    """Run every policy; the queue without a limit stands first.

    It runs last: memory that it gave back could hide what the others take on.
    """
    cases = [limen_case(name, case, seconds) for name, case in CASES.items()]
    return [unbounded_case(seconds), *cases]


def rows_of(cases: Sequence[Seen]) -> list[Row]:
    """Return a row per case and measure; the baseline is the queue without a limit."""
    reasons = sorted({reason for seen in cases for reason in seen.lost})
    base, rows = cases[0], []
    for seen in cases:
        target = "deque" if seen is base else "reference"
        measures = [*zip(_measures(seen, reasons), _measures(base, reasons), strict=True)]
        for (measure, unit, value), (_, _, baseline) in measures:
            name = f"overload_{measure}"
            rows.append(row_of(name, seen.case, target, unit, [value], [baseline]))
    return rows


def _measures(seen: Seen, reasons: Sequence[str]) -> list[tuple[str, str, float]]:
    return [
        ("age_p50", "ms", seen.age.p50_ns / MS),
        ("age_p99", "ms", seen.age.p99_ns / MS),
        ("age_max", "ms", seen.age.max_ns / MS),
        ("frames", "1", seen.frames),
        ("results", "1", seen.results),
        ("late", "1", seen.late),
        *(
            (f"lost_{reason.replace(': ', '_').replace(' ', '_')}", "1", seen.lost.get(reason, 0))
            for reason in reasons
        ),
        ("left", "1", seen.left),
        ("peak_queue", "1", seen.peak),
        ("rss_growth", "KiB", seen.growth_bytes / 1024),
        *(
            (f"results_{qos.name.lower()}", "1", seen.results_by_qos[qos])
            for qos in sorted(QoSClass, reverse=True)
        ),
    ]


def table(cases: Sequence[Seen]) -> str:
    """Lay the cases out for people: ages in seconds, what became of the frames, memory."""
    head = ("policy", "age p50", "p99", "max", "frames", "results", "late", "left", "peak", "RSS")
    classes = sorted(QoSClass, reverse=True)
    shares = tuple(qos.name.lower().replace("_", " ") for qos in classes)
    cells = [(*head, *shares, "lost")]
    for seen in cases:
        ages = [f"{ns / SECOND:.2f}" for ns in (seen.age.p50_ns, seen.age.p99_ns, seen.age.max_ns)]
        counts = (seen.frames, seen.results, seen.late, seen.left, seen.peak)
        served = [
            f"{100 * seen.results_by_qos[qos] / seen.offered_by_qos[qos]:.0f} %" for qos in classes
        ]
        lost = ", ".join(f"{reason} {count}" for reason, count in sorted(seen.lost.items()))
        memory = f"{seen.growth_bytes / 1024:+.0f}"
        cells.append(
            (seen.case, *ages, *(str(count) for count in counts), memory, *served, lost or "none")
        )
    return aligned(cells, left=(0, len(cells[0]) - 1))


def draw(cases: Sequence[Seen], path: Path) -> None:
    """Draw the age of results over the run, and what became of the frames."""
    figure = new_figure(13, 6)
    over_time, fates = figure.subplots(1, 2)
    for number, seen in enumerate(cases):
        plain = seen is cases[0]
        over_time.plot(
            seen.times / (60 * SECOND),
            seen.ages / SECOND,
            label=seen.case,
            color="black" if plain else f"C{number - 1}",
            linewidth=3.5 - 0.3 * number,  # those that lie on each other all show
        )
    over_time.set(
        xlabel="simulated time (min)",
        ylabel="age of results (s), logarithmic",
        yscale="log",
        title="25 items/s in, 5/s out: age of results",
    )
    over_time.grid(alpha=0.3)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "fontsize": 8}
    over_time.legend(**below, ncols=3)
    names = [seen.case for seen in cases]
    parts: dict[str, list[int]] = {
        "results in time": [seen.results - seen.late for seen in cases],
        "results late": [seen.late for seen in cases],
        "refused": [_lost(seen, "refused") for seen in cases],
        "evicted": [_lost(seen, "evicted") for seen in cases],
        "dropped": [_lost(seen, "dropped") for seen in cases],
        "lost at the device": [_lost(seen, "at the device") for seen in cases],
        "still waiting": [seen.left for seen in cases],
    }
    colours = ("#2a7f3f", "#a6d96a", "#fdae61", "#f46d43", "#a50026", "#762a83", "#888888")
    start = np.zeros(len(cases))
    for (label, counts), colour in zip(parts.items(), colours, strict=True):
        fates.barh(names, counts, left=start, label=label, color=colour)
        start += np.asarray(counts)
    fates.invert_yaxis()
    fates.set(xlabel="frames", title="what became of the frames")
    fates.legend(**below, ncols=4)
    save(figure, path)


def _lost(seen: Seen, kind: str) -> int:
    return sum(count for reason, count in seen.lost.items() if reason.startswith(kind))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    chosen = parser_of("Measure what overload does to results.", plots=True).parse_args(arguments)
    if chosen.plot is not None:
        new_figure(1, 1)
    with quiet():
        cases = all_cases(FAST_SECONDS if chosen.fast else FULL_SECONDS)
    if chosen.plot is not None:
        draw(cases, chosen.plot)
    if chosen.json:
        print(as_json(rows_of(cases)))
    else:
        print(table(cases))
        print("\nage: seconds from creation to result; late: results past their deadline of 1 s")
        print("left: waiting at the end; peak: most in the queue; RSS: growth in KiB")
        print("by class: share of its frames that became results")
        print(machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
