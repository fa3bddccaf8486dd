"""Show or ship what a graph is specialised to."""

from __future__ import annotations

from pathlib import Path

from limen.app import check
from limen.codegen import Program, build_into, lower_program, print_cython, print_python
from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.platform import MonotonicClock
from limen.telemetry import TelemetrySwitches


def build(graph: Graph, target: str, output: Path | None, *, metrics: bool) -> str | None:
    """Print a graph's text, or build it ahead of time.

    Args:
        graph: What to specialise.
        target: ``python`` or ``native``.
        output: Where built code goes; None to return the text.
        metrics: Whether durations are counted.

    Returns:
        The text, where nothing is built.

    Raises:
        GraphError: The graph is not valid.
        ConfigurationError: There is nothing of that kind to print or to build.
    """
    switches = TelemetrySwitches() if metrics else TelemetrySwitches.none()
    program = lower_program(check(graph, MonotonicClock(), switches=switches))
    text = _printed(program, target)
    if output is None:
        return text
    if target != "native":
        raise ConfigurationError(
            f"target {target!r} is not built ahead of time: its text is made when a graph starts",
            remedy="leave -o out, or write --target native",
        )
    if not program.holds_any:
        reasons = "; ".join(f"{name} {why}" for name, why in program.cold)
        raise ConfigurationError(
            f"graph {graph.name!r} has nothing to compile: {reasons}",
            remedy="run it as it is: the reference executor steps all of it",
        )
    build_into(text, program.digest, output)
    return None


def _printed(program: Program, target: str) -> str:
    match target:
        case "python":
            return print_python(program)
        case "native":
            return print_cython(program)
        case _:
            raise ConfigurationError(
                f"--target {target!r} has no text", remedy="write python, native or c"
            )
