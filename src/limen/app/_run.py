"""Check and run graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limen.app._report import Report
from limen.codegen import Target, find_target, make_executor
from limen.errors import Code, ConfigurationError
from limen.graph import Graph, Problem, load_graph, refuse, verify
from limen.node import SourceNode
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan, bounds, lower
from limen.telemetry import DecisionLog, PolicyEvent, Telemetry, TelemetrySwitches


def load(path: str | Path, *, allow_import: bool = False) -> Graph:
    """Read a graph file and check it.

    Args:
        path: The TOML file.
        allow_import: Whether node types may name modules; graph files are code.

    Raises:
        GraphError: ``problems`` lists all that is wrong with it.
    """
    loaded = load_graph(Path(path), allow_import=allow_import)
    verify(
        loaded.graph.spec(),
        found=tuple(loaded.problems),
        broken=frozenset(loaded.broken),
        unread=frozenset(loaded.unread),
    )
    return loaded.graph


def check(
    graph: Graph,
    clock: PlatformClock | None = None,
    *,
    strict: bool = False,
    switches: TelemetrySwitches | None = None,
) -> Plan:
    """Verify a graph and lower it to a Plan, without starting anything.

    ``limen.scheduling.bounds`` says of a Plan what it will take.

    Args:
        graph: What to check.
        clock: Whose ticks times are converted to; real time if not given.
        strict: Whether a graph that declares more work than one thread can do is refused.
        switches: Which parts of the telemetry there are.

    Raises:
        GraphError: ``problems`` lists all that is wrong with it.
    """
    used = MonotonicClock() if clock is None else clock
    plan = lower(verify(graph.spec()), used, switches)
    if strict:
        share = bounds(plan).utilisation
        if share is not None and share > 1:
            text = f"utilisation {share:.3g}: more work comes than one thread can do"
            remedy = "lower rates or costs, or drop --strict: what the queues cannot hold is lost"
            raise refuse(graph.name, [Problem(Code.OVERLOADED, "graph", text, remedy)])
    return plan


def make_runtime(
    graph: Graph,
    clock: PlatformClock | None = None,
    log: DecisionLog | None = None,
    on_event: Callable[[PolicyEvent], None] | None = None,
    telemetry: Telemetry | None = None,
    switches: TelemetrySwitches | None = None,
    *,
    checked: bool = False,
    target: str | None = None,
    built: Path | None = None,
) -> SingleThreadRuntime:
    """Verify a graph and return a runtime for one run of it; nothing has started yet.

    Args:
        graph: What to run.
        clock: Its clock; real time if not given.
        log: Where decisions are recorded.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting.
        switches: Which parts of the telemetry there are.
        checked: Whether memory finds out which node misuses it, at a cost in time.
        target: What it runs as: ``reference``, ``python``, ``native`` or ``auto``. If not given,
            what the graph says, else ``python``.
        built: Where native code lies that ``limen build`` made of this graph; it needs no compiler.

    Raises:
        GraphError: ``problems`` lists all that is wrong with it.
        ConfigurationError: There is no such target, or it cannot be built here.
    """
    used = MonotonicClock() if clock is None else clock
    plan = check(graph, used, switches=switches)
    chosen = find_target(target or graph.target or Target.PYTHON)
    return make_executor(
        plan,
        used,
        chosen,
        log=log,
        on_event=on_event,
        telemetry=telemetry,
        checked=checked,
        built=built,
    )


def run(
    graph: Graph,
    *,
    clock: PlatformClock | None = None,
    log: DecisionLog | None = None,
    on_event: Callable[[PolicyEvent], None] | None = None,
    telemetry: Telemetry | None = None,
    switches: TelemetrySwitches | None = None,
    checked: bool = False,
    target: str | None = None,
) -> Report:
    """Verify a graph, run it until all its sources have ended, and return the accounting.

    Args:
        graph: What to run.
        clock: ``SimClock()`` to simulate; real time if not given.
        log: Where decisions are recorded; their digest is in the report.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting; ``GraphTelemetry`` sends them to sinks.
        switches: Which parts of the telemetry there are; what is off costs nothing.
        checked: Whether memory finds out which node misuses it, at a cost in time.
        target: What it runs as, as in ``make_runtime``.

    Raises:
        GraphError: The graph is not valid; nothing has started.
        ConfigurationError: There is no such target, or it cannot be built here.
        LimenError: A node could not start.
    """
    runtime = make_runtime(
        graph, clock, log, on_event, telemetry, switches, checked=checked, target=target
    )
    return Report(runtime.run())


def set_speed(graph: Graph, speed: float | None) -> None:
    """Set the replay speed of every source that replays a recording.

    Args:
        graph: The graph.
        speed: Multiple of the recorded rate; None for as fast as it goes.

    Raises:
        ConfigurationError: No source of the graph is a replay.
    """
    sources = [spec.node for spec in graph.spec().nodes if isinstance(spec.node, SourceNode)]
    replays = [node for node in sources if node.source.set_speed(speed)]
    if not replays:
        raise ConfigurationError(
            f"no source of graph {graph.name!r} replays a recording",
            remedy="leave the speed out",
        )
