"""What the benchmarks share: rows, how they are printed, and where plots go."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ``value`` and ``baseline`` are medians, ``min`` and ``max`` the value's.

    ``ratio`` is None where the baseline is 0.
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
    bench: str, case: str, target: str, unit: str, values: list[float], baseline: list[float]
) -> Row:
    """Sum up the runs of a figure; the ratio is the median of the runs' ratios."""
    ratios = [value / base for value, base in zip(values, baseline, strict=True) if base]
    return Row(
        bench=bench,
        case=case,
        target=target,
        metrics=target == "reference",
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


def machine() -> str:
    """Name the Python and the processor that the figures belong to."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{platform.python_implementation()} {platform.python_version()} on {model}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the library's warnings: losses and misses are what is measured."""
    log = logging.getLogger("limen")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


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


def parser_of(description: str, *, plots: bool) -> argparse.ArgumentParser:
    """Make the command line that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--fast", action="store_true", help="little work: for tests, not figures")
    if plots:
        parser.add_argument("--plot", type=_plot_path, help="draw into this .svg or .png file")
    return parser


def _plot_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".svg", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither .svg nor .png")
    return path


def new_figure(width: float, height: float) -> Figure:
    """Return an empty drawing; ends the program in words where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib: pip install 'limen[bench]'")
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a drawing, in the format that the name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
