"""The drills."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Unpack

from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.policy import RetentionMode
from limen.scheduling import Plan
from limen.testing.drills._data_faults import CorruptMessages, FailingCalls, Place
from limen.testing.drills._fault import Fault
from limen.testing.drills._options import DrillOptions, positive_ns, read_options
from limen.testing.drills._places import edge_of, node_index
from limen.testing.drills._report import DrillReport
from limen.testing.drills._rig import Rig
from limen.testing.drills._source_faults import Burst, FrozenSource
from limen.testing.drills._stops import check_prefix, most_under_way, stops_of
from limen.testing.drills._time_faults import (
    ClockJump,
    FullQueue,
    SlowNode,
    SourceClockJump,
)
from limen.testing.drills._which import Numbers, read_which
from limen.types import error_text, format_ns, nearest, parse_offset_ns, require_whole


def slow_node(
    graph: Graph | str | Path, node: str, cost: str = "300ms", **options: Unpack[DrillOptions]
) -> DrillReport:
    """Let every call of a node take so long, whatever cost its policy declares.

    Args:
        graph: A graph, which stays as it is, or the path of a graph file.
        node: A node with inputs.
        cost: What each call takes: text with a unit.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph.
        GraphError: The graph is not valid.
    """
    rig = Rig("slow_node", graph, read_options("slow_node", options))
    cost_ns = positive_ns(cost, "cost")
    node_index(rig.plan, node, "slow_node", source=False)
    rig.called(node, cost=cost)
    return rig.perform(SlowNode(node, cost_ns))


def frozen_source(
    graph: Graph | str | Path,
    source: str,
    after: int = 10,
    thaw: str | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Let a source give nothing any more, while the others go on.

    Behind a thaw, what became due meanwhile comes at once, as from a line that was stalled; a
    source that can be held back goes on where it was.

    Args:
        graph: As in ``slow_node``.
        source: Which.
        after: How many messages it gives before.
        thaw: How long it is frozen; for ever if not given.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or the source never froze.
        GraphError: The graph is not valid.
    """
    rig = Rig("frozen_source", graph, read_options("frozen_source", options))
    node_index(rig.plan, source, "frozen_source", source=True)
    count = require_whole("after", after, 0)
    thaw_ns = None if thaw is None else positive_ns(thaw, "thaw")
    rig.called(source, after=after, thaw=thaw)
    return rig.perform(FrozenSource(source, count, thaw_ns))


def burst(
    graph: Graph | str | Path,
    source: str,
    count: int = 100,
    at: str | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Let a source give many messages more at one instant: copies of its last, created then.

    A source that can be held back gives them as there is room.

    Args:
        graph: As in ``slow_node``.
        source: Which.
        count: How many messages.
        at: The instant, from the start; the middle of the undisturbed run if not given.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or the burst never came.
        GraphError: The graph is not valid.
    """
    rig = Rig("burst", graph, read_options("burst", options))
    node_index(rig.plan, source, "burst", source=True)
    number = require_whole("count", count)
    rig.called(source, count=count, at=at)
    return rig.perform(Burst(source, number, rig.instant(at)))


def clock_jump(
    graph: Graph | str | Path,
    by: str = "1h",
    at: str | None = None,
    source: str | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Let the clock leap: the graph's ahead, or that of a source either way.

    The graph's clock leaps as it does behind a suspend or where a clock is set: sources that are
    recordings or stand-ins go on where they were, those of the user find themselves so much later.
    It never goes back, by its contract (CLOCK-1); an executor counts such an instant as the one
    before. What may jump back is the clock that a source states its instants by: name the source.

    Args:
        graph: As in ``slow_node``.
        by: How far: text with a unit, with a sign where a source is named.
        at: When, from the start; the middle of the undisturbed run if not given.
        source: Whose stated instants (``creation_tick``, ``deadline_ns``) jump instead.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or the clock never leapt.
        GraphError: The graph is not valid.
    """
    rig = Rig("clock_jump", graph, read_options("clock_jump", options))
    by_ns = parse_offset_ns(by, what="by")
    if by_ns == 0:
        raise ConfigurationError(f"clock_jump: by is {by!r}", remedy='give a leap, as in "1h"')
    if source is not None:
        node_index(rig.plan, source, "clock_jump", source=True)
        rig.called(by=by, at=at, source=source)
        return rig.perform(SourceClockJump(source, by_ns, rig.instant(at)))
    if by_ns < 0:
        raise ConfigurationError(
            f"clock_jump: by is {by!r}, and the clock of a graph never goes back (CLOCK-1)",
            remedy="leap ahead, or name the source=… whose own instants jump back",
        )
    rig.called(by=by, at=at)
    return rig.perform(ClockJump(by_ns, rig.instant(at), rig.plan))


def full_queue(
    graph: Graph | str | Path, edge: str, **options: Unpack[DrillOptions]
) -> DrillReport:
    """Let the consumer of an edge take nothing until the queue has been full, and then go on.

    Args:
        graph: As in ``slow_node``.
        edge: ``"a -> b"``, with ports where several edges fit: ``"a.left -> b.in"``.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or the queue never filled.
        GraphError: The graph is not valid.
    """
    rig = Rig("full_queue", graph, read_options("full_queue", options))
    plan = edge_of(rig.plan, edge, "full_queue")
    if plan.policy.retention is not RetentionMode.FIFO:
        raise ConfigurationError(
            f"full_queue: {plan.name} is a {plan.policy.retention.value}, which is never full: a "
            f"newer value takes the place of the older",
            remedy="name an edge with a queue",
        )
    rig.called(edge)
    return rig.perform(FullQueue(plan, rig.plan))


def failing_model(
    graph: Graph | str | Path,
    node: str,
    at: Numbers | None = None,
    every: int | None = None,
    error: Exception | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Let some calls of a model, or of any node with inputs, raise; its policy says what follows.

    That the graph halts is no failure of this drill, for the policy may say so: expect what it
    shall do with ``ends``.

    Args:
        graph: As in ``slow_node``.
        node: A node with inputs.
        at: Number of the call that fails, from 0, or several.
        every: Or: the last of each so many calls fails.
        error: What is raised; a RuntimeError if not given.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or no such call was made.
        GraphError: The graph is not valid.
    """
    rig = Rig("failing_model", graph, read_options("failing_model", options))
    node_index(rig.plan, node, "failing_model", source=False)
    which = read_which("failing_model", at, every, "calls")
    if error is not None and not isinstance(error, Exception):
        raise ConfigurationError(f"error is {error!r}", remedy="give an exception, made")
    try:
        copy.copy(error)
    except Exception as why:
        raise ConfigurationError(
            f"error is {error!r}, which cannot be copied for each call: {error_text(why)}",
            remedy="give an exception that its arguments make",
        ) from why
    rig.called(node, at=at, every=every, error=error)
    return rig.perform(FailingCalls(node, which, error))


def corrupt_message(
    graph: Graph | str | Path,
    place: str,
    what: str = "garbage",
    at: Numbers | None = None,
    every: int | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Let some messages of a source, or of the producer of an edge, be wrong as they are emitted.

    ``garbage`` is bytes in place of the payload; ``shape`` and ``dtype`` are tensors of another
    type, ``nan`` is one of NaN. Of sources, also ``unreadable`` (a SensorError), ``past_deadline``,
    ``negative_deadline`` and ``future_creation`` (in an hour).

    Args:
        graph: As in ``slow_node``.
        place: A source, a node with one output, or an edge ``"a -> b"``. All edges of an output
            carry the same messages.
        what: What is wrong with them.
        at: Number of the message, from 0, or several.
        every: Or: the last of each so many messages.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or no such message was emitted.
        GraphError: The graph is not valid.
    """
    rig = Rig("corrupt_message", graph, read_options("corrupt_message", options))
    which = read_which("corrupt_message", at, every, "messages")
    fault = CorruptMessages(_output(rig.plan, place), what, which)
    rig.called(place, what, at=at, every=every)
    return rig.perform(fault)


def stop_in_flight(
    graph: Graph | str | Path,
    at_step: int | Iterable[int] | None = None,
    after: str | None = None,
    **options: Unpack[DrillOptions],
) -> DrillReport:
    """Stop a short run at every decision in turn, or at given ones: each time all must drain.

    The report is that of the stop that left most to do, and ``runs`` has all. ``duration`` is
    half a second, unless given.

    Args:
        graph: As in ``slow_node``.
        at_step: Ahead of which decision, counted from 0, or several; all of them if not given.
        after: Or: at which instant, from the start.
        options: See ``DrillOptions``.

    Raises:
        AssertionError: Something does not hold.
        ConfigurationError: An argument does not fit the graph, or the run is too long for all.
        GraphError: The graph is not valid.
    """
    settings = read_options("stop_in_flight", options, duration="500ms")
    if after is not None:
        after_ns = positive_ns(after, "after")
        settings = dataclasses.replace(
            settings, duration_ns=max(settings.duration_ns, after_ns + 1)
        )
    rig = Rig("stop_in_flight", graph, settings)
    fault = Fault()
    undisturbed = rig.undisturbed
    if after is not None:
        if at_step is not None:
            raise ConfigurationError(
                "stop_in_flight was given both at_step and after", remedy="leave one of them out"
            )
        rig.called(after=after)
        runs = [(f"stopped at {format_ns(after_ns)}, ", rig.run(fault, stop_at_ns=after_ns))]
    else:
        points = stops_of(at_step, undisturbed.points)
        rig.called(at_step=at_step if isinstance(at_step, int) else None)
        runs = [
            (f"stopped ahead of decision {point}, ", rig.run(fault, stop_at_point=point))
            for point in points
        ]
    for where, run in runs:
        rig.judge(run, fault, where)
        rig.refuse(check_prefix(run, undisturbed), where)
    reports = [rig.report(run, undisturbed) for _, run in runs]
    worst = most_under_way([run for _, run in runs])
    return dataclasses.replace(reports[worst], runs=tuple(reports))


def _output(plan: Plan, place: object) -> Place:
    """Return the output that a source, a node or an edge names."""
    if "->" in str(place):
        producer = edge_of(plan, place, "corrupt_message").producer
        return Place(plan.nodes[producer.node], producer.port)
    emitting = {node.name: node for node in plan.nodes if node.outputs}
    if place not in emitting:
        raise ConfigurationError(
            f"corrupt_message: no source, node with outputs or edge {place!r} in graph "
            f"{plan.name!r}",
            remedy=nearest(str(place), emitting),
        )
    node = emitting[str(place)]
    if len(node.outputs) > 1:
        names = ", ".join(f'"{node.name}.{out.name} -> …"' for out in node.outputs)
        raise ConfigurationError(
            f"corrupt_message: {place!r} has {len(node.outputs)} outputs",
            remedy=f"name one of their edges: {names}",
        )
    return Place(node, 0)
