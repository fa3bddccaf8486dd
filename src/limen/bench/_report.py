"""Runs benches, and lays out and draws what they found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limen.bench._alloc import alloc
from limen.bench._deadlines import deadlines
from limen.bench._hop import hop
from limen.bench._idle import idle
from limen.bench._imports import imports
from limen.bench._inference import inference
from limen.bench._machine import machine
from limen.bench._measure import LIMEN_TARGETS, Result, Setting, Size
from limen.bench._others import other_targets
from limen.bench._overload_view import overload
from limen.bench._rows import Row, as_json, table
from limen.errors import ConfigurationError
from limen.types import nearest

_BENCHES: Final[Mapping[str, Callable[[Setting], Result]]] = {
    "hop": hop,
    "inference": inference,
    "overload": overload,
    "deadlines": deadlines,
    "alloc": alloc,
    "idle": idle,
    "import": imports,
}
NAMES: Final = tuple(_BENCHES)
"""What can be measured, in the order in which it is."""

DRAWN: Final = ("hop", "inference", "overload", "deadlines")
"""What of it can be drawn."""

_ENDINGS: Final = (".svg", ".png")


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a run of benches found; its text is for people.

    Attributes:
        results: By name of the bench.
        left_out: What was not measured, and why, a line each.
        machine: What the figures belong to.
    """

    results: Mapping[str, Result]
    left_out: tuple[str, ...]
    machine: str

    @property
    def rows(self) -> tuple[Row, ...]:
        """All figures."""
        return tuple(row for result in self.results.values() for row in result.rows)

    def to_json(self) -> str:
        """Return the figures as a list of objects."""
        return as_json(self.rows)

    def draw(self, path: Path) -> None:
        """Draw into a file what can be drawn, one below the other; its folder is made.

        Raises:
            ConfigurationError: As ``check_plot`` raises it.
        """
        drawn = {name: r.draw for name, r in self.results.items() if r.draw is not None}
        check_plot(path, tuple(self.results))
        from matplotlib.figure import Figure

        figure = Figure(figsize=(13, 6 * max(len(drawn), 1)), layout="constrained")
        parts = figure.subfigures(max(len(drawn), 1), 1, squeeze=False)
        for part, draw in zip(parts[:, 0], drawn.values(), strict=False):
            draw(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)

    def __str__(self) -> str:
        parts: list[str] = []
        plain: list[Row] = []
        for result in self.results.values():
            if result.table is None:
                plain += result.rows
        if plain:
            parts.append(table(plain))
        parts += [r.table for r in self.results.values() if r.table is not None]
        legend = [line for result in self.results.values() for line in result.legend]
        parts += ["\n".join(lines) for lines in (legend, self.left_out) if lines]
        return "\n\n".join([*parts, self.machine])


def run_bench(
    names: Sequence[str] = (),
    size: Size = Size.FULL,
    targets: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> BenchReport:
    """Measure; takes minutes in full.

    Args:
        names: What to measure, of ``NAMES``; all if none is named.
        size: How much work.
        targets: What may run, targets of Limen and what they are compared with; all of it if none
            is named, but overload and deadlines on the reference alone, which decides as all do.
        say: Told a line when a bench begins.

    Raises:
        ConfigurationError: There is no such bench or target.
        RuntimeError: A graph lost a message, or its account does not close: no figure of it counts.
    """
    _require("bench", names, NAMES)
    known = (*LIMEN_TARGETS, *other_targets())
    _require("target", targets, known)
    left_out: list[str] = []
    setting = Setting(size, frozenset(targets) or None, left_out.append)
    results = {}
    for name, bench in _BENCHES.items():
        if not names or name in names:
            say(f"{name} …")
            results[name] = bench(setting)
    return BenchReport(results, tuple(left_out), machine())


def check_plot(path: Path, names: Sequence[str] = ()) -> None:
    """Refuse a plot that could not be drawn; called before anything is measured.

    Args:
        path: Where it goes.
        names: What is measured.

    Raises:
        ConfigurationError: Its format is unknown, nothing can be drawn, or matplotlib is missing.
    """
    if path.suffix not in _ENDINGS:
        raise ConfigurationError(
            f"{str(path)!r} is neither {' nor '.join(_ENDINGS)}", remedy="name a file of these"
        )
    if names and not set(names) & set(DRAWN):
        raise ConfigurationError(
            f"nothing of {', '.join(names)} can be drawn", remedy=f"measure one of {DRAWN}"
        )
    try:
        import matplotlib  # noqa: F401 - asks whether it is there
    except ImportError as error:
        raise ConfigurationError(
            "a plot needs matplotlib", remedy="pip install 'limen[bench]'"
        ) from error


def _require(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"no {what} {name!r}",
                remedy=nearest(name, known) or f"choose among {', '.join(known)}",
            )
