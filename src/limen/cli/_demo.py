"""The standing example, scored against the labels of its recording."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from limen.app import Report, example_folder, load, set_speed
from limen.cli._execute import ExitCode, execute
from limen.io import TextLinesSink
from limen.message import Message
from limen.nodes import Window
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec, Ticks


class _ScoringSink(TextLinesSink):
    """Prints results, and keeps which label each window got."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: tuple[str, ...] = ()
        self.results: dict[int, str] = {}

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        super().open(clock, spec)
        self.labels = spec.labels if isinstance(spec, TensorSpec) else ()

    def consume(self, message: Message, now: Ticks) -> None:
        super().consume(message, now)
        best = int(np.argmax(np.asarray(message.payload)))
        self.results[message.header.sequence] = self.labels[best]


def run_demo(clock: PlatformClock, speed: float | None) -> tuple[Report, str, ExitCode]:
    """Run the activity example; the report, the accuracy in words, and the exit code."""
    folder = example_folder()
    graph = load(folder / "activity.toml")
    sink = _ScoringSink()
    graph.replace("print", sink)
    window = graph.node("window")
    size = window.size if isinstance(window, Window) else 1
    set_speed(graph, speed)
    report, code = execute(graph, clock)
    return report, score(folder / "test.csv", sink.results, size), code


def score(data: Path, results: dict[int, str], size: int) -> str:
    """Return ``"N % (…)"``: how many windows within one series got their recorded label.

    Args:
        data: The recording, with columns ``series`` and ``label``.
        results: Label by the sequence number of the window's newest sample.
        size: Samples in a window.
    """
    with data.open(newline="", encoding="utf-8") as file:
        rows = [(row["series"], row["label"]) for row in csv.DictReader(file)]
    right = total = 0
    for newest, label in results.items():
        window = rows[max(0, newest - size + 1) : newest + 1]
        if len(window) == size and len({series for series, _ in window}) == 1:
            total += 1
            right += label == window[-1][1]
    if total == 0:
        return "unknown (no window within one series)"
    return f"{100 * right / total:.1f} % ({right} of {total} windows within one series)"
