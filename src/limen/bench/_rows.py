"""Figures as rows, and how they are printed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ``value`` and ``baseline`` are medians, ``min`` and ``max`` the value's.

    Attributes:
        bench: What was measured: ``hop``, ``inference`` and so on.
        case: Of that bench.
        target: What ran: a target of Limen, or what else does the same.
        metrics: Whether it counted durations meanwhile; False for what is not Limen.
        value: The figure.
        unit: Of ``value``, ``baseline``, ``min`` and ``max``.
        baseline: What it is compared with, measured beside it.
        ratio: The median of the rounds' ratios; None where a baseline is 0.
        runs: Rounds.
        min: The least of them.
        max: The most of them.
    """

    bench: str
    case: str
    target: str
    metrics: bool
    value: float
    unit: str
    baseline: float
    ratio: float | None
    runs: int
    min: float
    max: float


def row_of(
    bench: str,
    case: str,
    target: str,
    unit: str,
    values: Sequence[float],
    baseline: Sequence[float],
    *,
    metrics: bool,
) -> Row:
    """Sum up the rounds of a figure; the ratio is the median of the rounds' ratios."""
    ratios = [value / base for value, base in zip(values, baseline, strict=True) if base]
    return Row(
        bench=bench,
        case=case,
        target=target,
        metrics=metrics,
        value=statistics.median(values),
        unit=unit,
        baseline=statistics.median(baseline),
        ratio=statistics.median(ratios) if len(ratios) == len(values) else None,
        runs=len(values),
        min=min(values),
        max=max(values),
    )


def as_json(rows: Sequence[Row]) -> str:
    """Write rows as a list of objects."""
    return json.dumps([asdict(row) for row in rows], indent=1, allow_nan=False)


def table(rows: Sequence[Row]) -> str:
    """Lay rows out for people."""
    cells: list[tuple[str, ...]] = [
        (
            *("bench", "case", "target", "metrics", "value", "unit"),
            *("baseline", "ratio", "runs", "min", "max"),
        )
    ]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.{2 if row.ratio < 10 else 0}f}"
        figures = [figure(value) for value in (row.value, row.baseline, row.min, row.max)]
        value, baseline, least, most = figures
        names = (row.bench, row.case, row.target, "on" if row.metrics else "off")
        cells.append((*names, value, row.unit, baseline, ratio, str(row.runs), least, most))
    return aligned(cells, left=(0, 1, 2, 3, 5))


def figure(value: float) -> str:
    """Write a figure to three digits, and to the unit where it is large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def aligned(cells: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Lay cells out in columns, to the right but for the columns in ``left``."""
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for line in cells:
        padded = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
