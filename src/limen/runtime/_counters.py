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
from limen.telemetry import Histogram, NodeStatistics, PathStatistics
from limen.types import NodeIndex, split_trace_id

_log = logging.getLogger("limen")
_KEPT_MESSAGES: Final = 8
_LONGEST_TEXT: Final = 300
_LIBRARIES: Final = (
    "<",
    str(Path(__file__).resolve().parents[1]),
    *(sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")),
)


class PathCounters:
    """Counts and times of what one source sent to one sink."""

    def __init__(self) -> None:
        self.count = 0
        self.misses = 0
        self.age = Histogram()
        self.lateness = Histogram()


class NodeCounters:
    """Counts and times of one node; its context is the only writer.

    Args:
        plan: The node.
    """

    def __init__(self, plan: NodePlan) -> None:
        self._plan = plan
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
        self.latency = Histogram()
        self.wait = Histogram()
        self.age = Histogram()
        self.lateness = Histogram()
        self.paths: dict[NodeIndex, PathCounters] = {}
        self._messages: list[str] = []

    def fail(self, error: Exception, where: str) -> None:
        """Count a failed call; the first ones are kept in words and logged."""
        self.errors += 1
        if len(self._messages) < _KEPT_MESSAGES:
            text = describe_error(error) + (f" ({where})" if where else "")
            self._messages.append(text)
            _log.warning("node %s: %s", self._plan.name, text)

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
        path = self.paths.setdefault(source, PathCounters())
        path.count += 1
        path.misses += missed
        path.age.record(now_ns - clock.ticks_to_nanos(header.creation_tick))
        if lateness_ns is not None:
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
                path.age.summary(),
                path.lateness.summary(),
            )
            for source, path in sorted(self.paths.items())
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
            latency=self.latency.summary(),
            wait=self.wait.summary(),
            age=self.age.summary(),
            lateness=self.lateness.summary(),
            sha256=plan.node.artifact_sha256,
            memory_bytes=plan.memory_bytes,
        )


def describe_error(error: Exception) -> str:
    """Say in a bounded line what failed, and for a user's exception in which line of which file."""
    text = _text_of(error)
    if isinstance(error, LimenError):
        return text
    trace = traceback.extract_tb(error.__traceback__)
    # Where a library raised, the user's own line that called it says more.
    frames = [frame for frame in trace if not frame.filename.startswith(_LIBRARIES)] or trace
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


def _text_of(error: Exception) -> str:
    name = type(error).__qualname__
    try:
        text = str(error)
    except Exception:
        return f"{name}, which cannot be printed"
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
    return line if isinstance(error, LimenError) else f"{name}: {line}"
