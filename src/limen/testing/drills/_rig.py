"""Runs a graph under a fault, twice, and finds out whether all is as it must be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.node import NodeKind
from limen.platform import SimClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import NodePlan, lower
from limen.telemetry import Decision, DecisionLog, TelemetrySwitches
from limen.testing._clock import DrillClock
from limen.testing._copy import copied_parts
from limen.testing._stand import Listener, Stand, Tap, with_parts, with_stands
from limen.testing.drills._fault import Fault
from limen.testing.drills._judge import Outcome, what_is_not_as_expected, what_never_holds
from limen.testing.drills._options import Settings
from limen.testing.drills._places import prepare
from limen.testing.drills._report import DrillReport, losses_of
from limen.testing.drills._watch import ByteWatch, SinkListener
from limen.testing.table._scenario import first_difference
from limen.types import nearest, parse_duration_ns, require_type


@dataclasses.dataclass(slots=True)
class _Steps:
    """How far a run went.

    Attributes:
        points: Decision points.
        ended: Whether it ended by itself, or within the steps behind a stop.
        stop_ns: Instant of the stop, where there was one.
        stop_point: Decision point ahead of which it was.
        last: Line of the log with the last step.
    """

    points: int = 0
    ended: bool = False
    stop_ns: int | None = None
    stop_point: int | None = None
    last: str = "0|0|graph|step|-1|"


class Rig:
    """A graph made ready for a drill.

    Args:
        drill: Name of the drill.
        graph: The user's graph, which stays as it is, or its file.
        settings: The drill's keyword arguments.

    Raises:
        GraphError: The graph is not valid.
        ConfigurationError: An argument does not fit it.
    """

    def __init__(self, drill: str, graph: Graph | str | Path, settings: Settings) -> None:
        self.drill = drill
        self.settings = settings
        prepared = prepare(graph, settings)
        self.feeds = prepared.feeds
        plan = lower(prepared.verified, SimClock())
        capped = any(edge.policy.caps.max_bytes is not None for edge in plan.edges)
        self.plan = dataclasses.replace(plan, switches=TelemetrySwitches(edge_snapshots=capped))
        self._undisturbed: Outcome | None = None
        sinks = [node.name for node in plan.nodes if _is_sink(node)]
        for sink in settings.max_age_ns:
            if sink and sink not in sinks:
                raise ConfigurationError(
                    f"max_age names {sink!r}, which is no sink", remedy=nearest(sink, sinks)
                )

    def called(self, *given: object, **named: object) -> str:
        """Return the drill as text, with what it was given; keep it for the report."""
        words = [repr(value) for value in given]
        words += [f"{name}={value!r}" for name, value in named.items() if value is not None]
        self.drill = f"{self.drill.partition('(')[0]}({', '.join(words)})"
        return self.drill

    @property
    def undisturbed(self) -> Outcome:
        """The run without the fault, in which all must hold as well.

        Raises:
            AssertionError: It does not.
        """
        if self._undisturbed is None:
            run = self.run(Fault())
            wrong = what_never_holds(run, self.settings, may_halt=False)
            self.refuse(wrong, "without the fault already, ")
            self._undisturbed = run
        return self._undisturbed

    def instant(self, at: str | None) -> int:
        """Return an instant in ns; the middle of the undisturbed run if none is given."""
        if at is None:
            return self.undisturbed.statistics.duration_ns // 2
        require_type("at", at, str, 'write it as in "2s"')
        if at.strip().startswith("-"):
            raise ConfigurationError(f"at is {at!r}", remedy="give an instant after the start")
        return parse_duration_ns(at, what="at")

    def perform(self, fault: Fault) -> DrillReport:
        """Run under the fault, and once more, and judge.

        Raises:
            AssertionError: Something does not hold; the text says what, where and what would.
            ConfigurationError: The fault never struck.
        """
        undisturbed = self.undisturbed
        run = self.run(fault)
        self.judge(run, fault)
        again = self.run(fault)
        difference = first_difference(run.log, again.log)
        if difference is not None:
            parted = next(line for line in difference.splitlines()[-2:] if "|" in line)
            place = parted.split("|")[2]
            self.refuse(
                [
                    f"{place}: two equal runs decided differently; nodes must not look at other "
                    f"clocks, at chance, or at what an earlier run left:\n{difference}"
                ]
            )
        return self.report(run, undisturbed)

    def judge(self, run: Outcome, fault: Fault, where: str = "") -> None:
        """Find out whether a run is as it must be and as it is expected.

        Args:
            run: What was run.
            fault: What was done to it.
            where: Which of several runs it is, for the text.

        Raises:
            AssertionError: It is not.
            ConfigurationError: The fault never struck.
        """
        wrong = what_never_holds(run, self.settings, may_halt=fault.may_halt)
        missed = "" if wrong else fault.missed(run)
        if missed:
            raise ConfigurationError(f"{self.drill}: {missed}")
        wrong += what_is_not_as_expected(run, self.settings)
        self.refuse(wrong, where)

    def report(self, run: Outcome, undisturbed: Outcome) -> DrillReport:
        """Return what a run came to."""
        return DrillReport(
            drill=self.drill,
            statistics=run.statistics,
            log=run.log,
            arrivals=run.arrivals,
            losses=losses_of(run.statistics),
            happened_ns=run.happened_ns,
            feeds=dict(self.feeds),
            undisturbed=undisturbed.statistics,
        )

    def run(
        self, fault: Fault, *, stop_at_ns: int | None = None, stop_at_point: int | None = None
    ) -> Outcome:
        """Run once, on copies of the nodes; bounded by simulated time and by steps.

        Args:
            fault: What is done to it.
            stop_at_ns: When a stop is requested; at the end of the duration if not given.
            stop_at_point: Ahead of which decision a stop is requested.
        """
        settings = self.settings
        clock = fault.clock(settings.duration_ns if stop_at_ns is None else stop_at_ns)
        happened: list[int] = []
        taps = fault.taps(clock, lambda: happened.append(clock.now_ticks()))
        listeners = {node.name: SinkListener(clock) for node in self.plan.nodes if _is_sink(node)}
        silent = Listener()
        own = with_parts(
            fault.plan(self.plan), copied_parts(p for n in self.plan.nodes for p in n.parts)
        )
        plan = with_stands(
            own,
            lambda node: Stand(node, taps.get(node.name, Tap()), listeners.get(node.name, silent)),
        )
        lines: list[str] = []

        def listen(decision: Decision) -> None:
            lines.append(decision.canonical())

        watch = ByteWatch(plan)
        runtime = SingleThreadRuntime(
            plan,
            clock,
            drain_ns=settings.drain_ns,
            log=DecisionLog(listen),
            telemetry=watch,
            checked=True,
        )
        clock.handle = runtime.stop_handle
        steps = self._step_on(runtime, clock, stop_at_point, lines)
        if clock.leapt_at is not None:
            happened.append(clock.leapt_at)
        return Outcome(
            statistics=runtime.statistics(),
            log="".join(lines),
            arrivals={name: tuple(who.arrivals) for name, who in listeners.items()},
            happened_ns=tuple(happened),
            points=steps.points,
            ended=steps.ended,
            stop_ns=steps.stop_ns,
            stop_point=steps.stop_point,
            last_step=steps.last,
            misuses=runtime.misuses,
            too_large=tuple(watch.found.values()),
        )

    def _step_on(
        self,
        runtime: SingleThreadRuntime,
        clock: DrillClock,
        stop_at_point: int | None,
        lines: list[str],
    ) -> _Steps:
        """Step to the end, or as far as is allowed, while the log grows; then stop."""
        most, steps = self.settings.max_steps, _Steps()
        runtime.start()
        try:
            while steps.stop_point is None or steps.points < steps.stop_point + most:
                if steps.points in (stop_at_point, most):
                    runtime.stop_handle.request_stop()
                if steps.stop_point is None and runtime.stop_handle.is_stopping:
                    steps.stop_ns, steps.stop_point = int(clock.now_ticks()), steps.points
                if not runtime.step() or runtime.misuses:
                    steps.ended = True
                    break
                steps.points += 1
        finally:
            stepped = (line for line in reversed(lines) if line.split("|")[3] == "step")
            steps.last = next(stepped, steps.last)
            runtime.stop()
        return steps

    def refuse(self, wrong: list[str], where: str = "") -> None:
        """Raise what is wrong as one error; nothing where nothing is.

        Args:
            wrong: A line each.
            where: Which of several runs it is.

        Raises:
            AssertionError: Something is wrong.
        """
        if not wrong:
            return
        count = "1 thing is wrong" if len(wrong) == 1 else f"{len(wrong)} things are wrong"
        lines = "".join(f"\n  {line}" for line in wrong)
        raise AssertionError(f"{self.drill} on graph {self.plan.name!r}: {where}{count}{lines}")


def _is_sink(node: NodePlan) -> bool:
    return node.kind is NodeKind.SINK or not node.outputs
