"""Which stops a short run is given, and what they must leave as it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from limen.errors import ConfigurationError
from limen.testing.drills._judge import Outcome
from limen.testing.table._scenario import first_difference
from limen.types import require_whole

_MOST: Final = 1000


def stops_of(at_step: int | Iterable[int] | None, points: int) -> list[int]:
    """Return the decisions ahead of which a run of so many is stopped.

    Raises:
        ConfigurationError: The run is shorter, or too long to be stopped everywhere.
    """
    if at_step is None:
        if points > _MOST:
            raise ConfigurationError(
                f"stop_in_flight: a run of {points} decisions is too long to be stopped at each",
                remedy='shorten it with duration="100ms" or shorter feeds, or choose with '
                f"at_step=range(0, {points}, {-(-points // 100)})",
            )
        return list(range(points + 1))
    several = isinstance(at_step, Iterable) and not isinstance(at_step, str)
    stops = [require_whole("at_step", n, 0) for n in (at_step if several else [at_step])]  # type: ignore[union-attr]
    beyond = [stop for stop in stops if stop > points]
    if beyond or not stops:
        raise ConfigurationError(
            f"stop_in_flight: at_step is {beyond[0] if beyond else 'empty'}, and the run has "
            f"{points} decisions",
            remedy=f"give whole numbers up to {points}, or a longer duration=…",
        )
    return stops


def check_prefix(run: Outcome, undisturbed: Outcome) -> list[str]:
    """Return what differs ahead of the stop: until then, both are the same run."""
    lines = run.log.splitlines()
    marks = (i for i, line in enumerate(lines) if line.endswith("|stopped"))
    end = next(marks, len(lines))
    before = undisturbed.log.splitlines()
    # Where nothing ends by the stop, it came behind the end of the sources.
    wanted = before[: min(end, len(before))]
    difference = first_difference("\n".join(wanted), "\n".join(lines[: len(wanted)]))
    if difference is None:
        return []
    place = difference.splitlines()[-1].split("|")[2]
    return [
        f"{place}: the run decided differently ahead of its stop than without one; nodes must not "
        f"look at other clocks, at chance, or at what an earlier run left:\n{difference}"
    ]


def most_under_way(runs: Sequence[Outcome]) -> int:
    """Return which run had most to do behind its stop: in time, then in decisions."""

    def left(place: int) -> tuple[int, int]:
        run = runs[place]
        if run.stop_ns is None or run.stop_point is None:
            return 0, 0
        return run.statistics.duration_ns - run.stop_ns, run.points - run.stop_point

    return max(range(len(runs)), key=left)
