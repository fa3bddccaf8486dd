"""Measures what graphs cost, beside what does without them; ``limen bench`` prints it."""

from limen.bench._measure import Size
from limen.bench._report import NAMES, BenchReport, check_plot, run_bench
from limen.bench._rows import Row

__all__ = ["NAMES", "BenchReport", "Row", "Size", "check_plot", "run_bench"]
