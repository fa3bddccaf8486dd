"""What overload comes to as rows, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from limen.bench._measure import Result, Setting, Size, quiet
from limen.bench._overload import BASELINE_TARGET, Seen, all_cases
from limen.bench._overload_parts import MS, SECOND
from limen.bench._rows import Row, aligned, row_of
from limen.types import QoSClass

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

_SECONDS = {Size.FULL: 600, Size.FAST: 20}
_LEGEND = (
    "overload: 25 items/s in, 5/s out, on simulated time, beside a deque without a limit",
    "  age: seconds from creation to result; late: results past their deadline of 1 s",
    "  left: waiting at the end; peak: most in the queue; RSS: growth in KiB",
    "  by class: share of its frames that became results",
)


def overload(setting: Setting) -> Result:
    """Run every policy, on the reference alone unless targets are named: all decide alike."""
    targets = setting.executors(default=("reference",))
    if not targets:
        return Result((), ())
    with quiet():
        cases = all_cases(_SECONDS[setting.size], targets)
    rows = [row for row in rows_of(cases) if setting.wants(row.target)]
    return Result(tuple(rows), _LEGEND, table(cases), lambda figure: draw(cases, figure))


def rows_of(cases: Sequence[Seen]) -> list[Row]:
    """Return a row per case and measure; the baseline is the queue without a limit."""
    reasons = sorted({reason for seen in cases for reason in seen.lost})
    base, rows = cases[0], []
    for seen in cases:
        measures = [*zip(_measures(seen, reasons), _measures(base, reasons), strict=True)]
        for (measure, unit, value), (_, _, baseline) in measures:
            case, metrics = f"{seen.case}.{measure}", seen.target != BASELINE_TARGET
            rows.append(
                row_of("overload", case, seen.target, unit, [value], [baseline], metrics=metrics)
            )
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
    head = (
        "overload",
        "target",
        "age p50",
        "p99",
        "max",
        "frames",
        "results",
        "late",
        "left",
        "peak",
        "RSS",
    )
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
            (
                *(seen.case, seen.target, *ages, *(str(count) for count in counts)),
                *(memory, *served, lost or "none"),
            )
        )
    return aligned(cells, left=(0, 1, len(cells[0]) - 1))


def draw(cases: Sequence[Seen], figure: SubFigure) -> None:
    """Draw the age of results over the run, and what became of the frames, on one target."""
    shown = {cases[0].target, cases[1].target}
    cases = [seen for seen in cases if seen.target in shown]
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
    under = (0.5, -0.12)
    over_time.legend(loc="upper center", bbox_to_anchor=under, fontsize=8, ncols=3)
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
    fates.legend(loc="upper center", bbox_to_anchor=under, fontsize=8, ncols=4)


def _lost(seen: Seen, kind: str) -> int:
    return sum(count for reason, count in seen.lost.items() if reason.startswith(kind))
