"""What one node counts during a run, and its failures in words."""

from __future__ import annotations

import logging
import sysconfig
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from limen.errors import LimenError
from limen.message import MessageHeader
from limen.platform import PlatformClock
from limen.scheduling import NodePlan
from limen.telemetry import (
    POWERS_OF_TEN,
    Histogram,
    HistogramSummary,
    NodeStatistics,
    PathStatistics,
)
from limen.types import NodeIndex, error_text, split_trace_id

_log = logging.getLogger("limen")
_KEPT_MESSAGES: Final = 8
_LIBRARIES: Final = (
    "<",
    str(Path(__file__).resolve().parents[1]),
    *(sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")),
)


class PathCounters:
    """Counts and times of what one source sent to one sink.

    Args:
        histograms: Whether times are kept.
    """

    def __init__(self, *, histograms: bool) -> None:
        self.count = 0
        self.misses = 0
        self.age = Histogram() if histograms else None
        self.lateness = Histogram() if histograms else None


class NodeCounters:
    """Counts and times of one node; its context is the only writer.

    Args:
        plan: The node.
        histograms: Whether times are kept.
    """

    def __init__(self, plan: NodePlan, *, histograms: bool) -> None:
        self._plan = plan
        self._histograms = histograms
        self.steps = 0
        self.calls = 0
        self.errors = 0
        self.misses = 0
        self.overruns = 0
        self.watchdogs = 0
        self.replaced: Counter[str] = Counter()
        self.degraded = 0
        self.missed_periods = 0
        self.restarts = 0
        self.swaps = 0
        self.gathers = 0
        self.padded = 0
        self.input_copies = 0
        self.latency = Histogram() if histograms else None
        self.wait = Histogram() if histograms else None
        self.age = Histogram() if histograms else None
        self.lateness = Histogram() if histograms else None
        self.paths: dict[NodeIndex, PathCounters] = {}
        self._messages: list[str] = []

    def fail(self, error: Exception, where: str) -> None:
        """Count a failed call; the first are kept in words, the 1st, 10th, 100th … is logged."""
        self.errors += 1
        kept, logged = len(self._messages) < _KEPT_MESSAGES, self.errors in POWERS_OF_TEN
        if not (kept or logged):
            return
        text = describe_error(error) + (f" ({where})" if where else "")
        if kept:
            self._messages.append(text)
        if logged and self.errors == 1:
            _log.warning("node %s: %s", self._plan.name, text)
        elif logged:
            _log.warning("node %s: %d errors so far: %s", self._plan.name, self.errors, text)

    def gathered(self) -> None:
        """Count a batch that was copied together."""
        self.gathers += 1

    def note_path(
        self,
        header: MessageHeader,
        now_ns: int,
        clock: PlatformClock,
        lateness_ns: int | None,
        *,
        missed: bool,
    ) -> None:
        """Count a result of a node without outputs for the source that it stems from."""
        source = split_trace_id(header.trace_id)[0]
        path = self.paths.get(source)
        if path is None:
            path = self.paths[source] = PathCounters(histograms=self._histograms)
        path.count += 1
        path.misses += missed
        if path.age is not None:
            path.age.record(now_ns - clock.ticks_to_nanos(header.creation_tick))
        if lateness_ns is not None and path.lateness is not None:
            path.lateness.record(lateness_ns)

    def path_statistics(self, names: Sequence[str]) -> tuple[PathStatistics, ...]:
        """Return the counts by source.

        Args:
            names: Of all nodes, by index.
        """
        return tuple(
            PathStatistics(
                names[source],
                self._plan.name,
                path.count,
                path.misses,
                _summary(path.age),
                _summary(path.lateness),
            )
            for source, path in sorted(self.paths.items())
            if path.count
        )

    def statistics(self, processed: int) -> NodeStatistics:
        """Return the counts so far."""
        plan = self._plan
        return NodeStatistics(
            name=plan.name,
            kind=plan.kind.value,
            steps=self.steps,
            calls=self.calls,
            processed=processed,
            errors=self.errors,
            messages=tuple(self._messages),
            deadline_misses=self.misses,
            overruns=self.overruns,
            watchdogs=self.watchdogs,
            replaced=dict(sorted(self.replaced.items())),
            degraded=self.degraded,
            missed_periods=self.missed_periods,
            restarts=self.restarts,
            swaps=self.swaps,
            gathers=self.gathers,
            padded=self.padded,
            input_copies=self.input_copies,
            latency=_summary(self.latency),
            wait=_summary(self.wait),
            age=_summary(self.age),
            lateness=_summary(self.lateness),
            sha256=plan.node.artifact_sha256,
            memory_bytes=plan.memory_bytes,
        )


def _summary(histogram: Histogram | None) -> HistogramSummary:
    return HistogramSummary(0, 0, 0, 0, 0, 0) if histogram is None else histogram.summary()


def describe_error(error: Exception) -> str:
    """Say in a bounded line what failed, and for a user's exception in which line of which file."""
    text = error_text(error, named=not isinstance(error, LimenError))
    if isinstance(error, LimenError):
        return text
    trace = traceback.extract_tb(error.__traceback__)
    # Where a library raised, the user's own line that called it says more.
    frames = [frame for frame in trace if not frame.filename.startswith(_LIBRARIES)] or trace
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
