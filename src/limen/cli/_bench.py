"""Measure what graphs cost, and print it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


def bench(
    names: Sequence[str],
    targets: Sequence[str],
    plot: Path | None,
    *,
    fast: bool,
    json: bool,
    tell: Callable[[str], None],
) -> str:
    """Run benches and return what is to be printed.

    Args:
        names: Which; all if empty.
        targets: What may run; everything if empty.
        plot: Where to draw them; None for nowhere.
        fast: Whether to do as little as runs all of it.
        json: Whether figures are returned as JSON, and all else is told.
        tell: Told how it goes.

    Raises:
        ConfigurationError: There is no such bench or target, or the plot cannot be drawn.
    """
    from limen.bench import Size, check_plot, run_bench

    if plot is not None:
        check_plot(plot, names)
    report = run_bench(names, Size.FAST if fast else Size.FULL, targets, tell)
    if plot is not None:
        report.draw(plot)
    if not json:
        return str(report)
    for line in (*report.left_out, report.machine):
        tell(line)
    return report.to_json()
