"""The reference executor under the kit, and the kit under runtimes that break one clause each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest

from limen.edge import StaticRing
from limen.edge._ring import Entry
from limen.errors import Code, LifecycleError
from limen.platform import PlatformClock
from limen.policy import AdmissionPolicy, QueueCaps
from limen.runtime import LimenRuntime, RuntimeStopHandle, SingleThreadRuntime
from limen.scheduling import EdgePlan, Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing import RuntimeContract
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched


class SingleThreadSuite(RuntimeContract):
    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)


class CheckedSuite(RuntimeContract):
    """With memory that finds out who misuses it."""

    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log, checked=True)


@pytest.mark.parametrize("suite", [SingleThreadSuite, CheckedSuite], ids=lambda s: s.__name__)
def test_it_passes_without_pytest_as_well(suite: type[RuntimeContract]) -> None:
    assert_holds(suite)


class Retold(SingleThreadRuntime):
    """Says of its run what is not so."""

    def statistics(self) -> RunStatistics:
        return self.retell(super().statistics())

    def retell(self, said: RunStatistics) -> RunStatistics:
        return said


class InitialisesTwice(SingleThreadRuntime):
    def start(self) -> None:
        super().start()
        plan = self.plan.nodes[1]
        plan.node.initialize(self._clock, plan.ports)


class LeavesStarted(SingleThreadRuntime):
    def _release(self) -> None:
        if self._outcome == "failed" and self._journal.steps == 0:
            self._started.clear()
        super()._release()


class StartsAgain(SingleThreadRuntime):
    def start(self) -> None:
        if not self.plan.nodes or self._outcome == "running":
            super().start()


class AnyRate(SingleThreadRuntime):
    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        super().__init__(replace(plan, tick_rate_hz=clock.tick_rate_hz), clock, **named)


class TwoAtATime(SingleThreadRuntime):
    def step(self) -> bool:
        return super().step() and super().step()


class LetsFailuresOut(SingleThreadRuntime):
    def step(self) -> bool:
        going = super().step()
        for context in self._contexts:
            failed = context.counters.errors and not context.failures.halted
            if failed and context.plan.name == "two":
                raise ValueError("two failed")
        return going


class SaysOf(Retold):
    """Gives an outcome another name."""

    outcome = ""
    name = ""

    def retell(self, said: RunStatistics) -> RunStatistics:
        return replace(said, outcome=self.name) if said.outcome == self.outcome else said


class HaltsQuietly(SaysOf):
    outcome, name = "halted", "completed"


class IsNeverDone(SaysOf):
    outcome, name = "completed", "running"


class StarvesQuietly(SaysOf):
    outcome, name = "deadlocked", "completed"


class GoesOn(SingleThreadRuntime):
    ends = 0

    def step(self) -> bool:
        going = super().step()
        self.ends += not going
        return going or self.ends == 2


class Swapping(StaticRing):
    """The second comes first where three wait."""

    def _pop(self) -> Entry:
        first = super()._pop()
        if len(self) != 2:
            return first
        second, third = super()._pop(), super()._pop()
        self._append(first)
        self._append(third)
        return second


class Replanned(SingleThreadRuntime):
    """Runs another plan than it is given."""

    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        edges = tuple(self.edge(edge) for edge in plan.edges)
        super().__init__(replace(plan, edges=edges), clock, **named)

    def edge(self, edge: EdgePlan) -> EdgePlan:
        return edge


class Swaps(Replanned):
    def edge(self, edge: EdgePlan) -> EdgePlan:
        return replace(edge, make=Swapping)


class DropsForBlock(Replanned):
    def edge(self, edge: EdgePlan) -> EdgePlan:
        if edge.policy.admission is AdmissionPolicy.BLOCK and edge.policy.caps.max_items <= 2:
            policy = replace(edge.policy, admission=AdmissionPolicy.DROP_NEWEST)
            return replace(edge, policy=policy)
        return edge


class OneMore(Replanned):
    def edge(self, edge: EdgePlan) -> EdgePlan:
        if edge.policy.caps.max_items == 3:
            return replace(edge, policy=replace(edge.policy, caps=QueueCaps(4)))
        return edge


class ForgetsEvictions(Retold):
    def retell(self, said: RunStatistics) -> RunStatistics:
        return replace(said, edges=tuple(replace(edge, evicted={}) for edge in said.edges))


class DoesNotClose(Retold):
    """Its books are wrong at the end, or before it."""

    at_the_end = True

    def retell(self, said: RunStatistics) -> RunStatistics:
        if (said.outcome != "running") is not self.at_the_end:
            return said
        wrong = replace(said.identities[0], closes=False)
        return replace(said, identities=(wrong, *said.identities[1:]))


class DoesNotCloseMeanwhile(DoesNotClose):
    at_the_end = False


class CountsAhead(Retold):
    def retell(self, said: RunStatistics) -> RunStatistics:
        if said.outcome != "running":
            return said
        return replace(said, nodes=tuple(replace(n, steps=n.steps + 1) for n in said.nodes))


class CallsEarly(SingleThreadRuntime):
    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        super().__init__(plan, clock, **named)
        source = getattr(plan.nodes[0].node, "source", None)
        if getattr(source, "first", 0) == 10:
            source.first = 5


class LooksAtTheClock(SingleThreadRuntime):
    def step(self) -> bool:
        self._clock.now_ticks()
        return super().step()


class BreaksOff(SingleThreadRuntime):
    """Gives up what is under way as soon as a stop is requested."""

    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        super().__init__(plan, clock, **named)
        self._drain_ticks = 0


class GivesAnotherReason(Retold):
    def retell(self, said: RunStatistics) -> RunStatistics:
        inputs = tuple(
            replace(p, dropped={{"stopped": "ended"}.get(r, r): n for r, n in p.dropped.items()})
            for p in said.inputs
        )
        return replace(said, inputs=inputs)


class _Sleepy(RuntimeStopHandle):
    def request_stop(self) -> None:
        self._requested = True


class DoesNotWake(SingleThreadRuntime):
    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        super().__init__(plan, clock, **named)
        self._stop_handle = _Sleepy(clock)


class StopsOnce(SingleThreadRuntime):
    stops = 0

    def stop(self) -> None:
        self.stops += 1
        if self.stops == 2:
            raise LifecycleError("stopped already", code=Code.WRONG_STATE)
        super().stop()


class ForgetsResets(SingleThreadRuntime):
    """Stops nodes behind a halt, and leaves their state."""

    def _release(self) -> None:
        if self._outcome == "halted":
            for context in self._started:
                context.plan.node.stop()
            self._started.clear()
        super()._release()


class StopsAtTheFirst(SingleThreadRuntime):
    """Gives up stopping with the first node that cannot."""

    def _release(self) -> None:
        for number, context in enumerate(self._started):
            if getattr(context.plan.node, "fails_to", "") == "stop":
                del self._started[number + 1 :]
                break
        super()._release()


class LosesASlot(Retold):
    def retell(self, said: RunStatistics) -> RunStatistics:
        outputs = tuple(replace(p, available=p.available - 1) for p in said.outputs)
        return replace(said, outputs=outputs)


class TossesUp(SingleThreadRuntime):
    """Every other run has a decision more."""

    made: ClassVar[list[int]] = [0]

    def stop(self) -> None:
        self.made[0] += 1
        if self.made[0] % 2:
            self._journal.note("graph", "toss")
        super().stop()


class AnotherDigest(Retold):
    def retell(self, said: RunStatistics) -> RunStatistics:
        return replace(said, log_sha256="0" * 64)


class Remembers(SingleThreadRuntime):
    def __init__(self, plan: Plan, clock: PlatformClock, **named: object) -> None:
        super().__init__(plan, clock, **named)
        self.past: list[bytes] = []

    def step(self) -> bool:
        self.past.append(bytes(len(self.past) % 100))
        return super().step()


class CountsForAll(Retold):
    """Counts copies for all of its kind."""

    runs: ClassVar[list[int]] = [0]

    def start(self) -> None:
        super().start()
        self.runs[0] += 1

    def retell(self, said: RunStatistics) -> RunStatistics:
        outputs = tuple(replace(p, copies=p.copies + self.runs[0]) for p in said.outputs)
        return replace(said, outputs=outputs)


_SABOTEURS: dict[str, tuple[Callable[..., LimenRuntime], str]] = {
    "RUN-1": (InitialisesTwice, "'start sink', 'initialize one']"),
    "RUN-2": (LeavesStarted, "of those before it were stopped: []"),
    "RUN-3": (StartsAgain, "a start behind a run: None"),
    "RUN-4": (AnyRate, "ran on a clock of 2000"),
    "RUN-5": (TwoAtATime, "one step stepped ["),
    "RUN-6": (LetsFailuresOut, "ended the run: ValueError('two failed')"),
    "RUN-7": (HaltsQuietly, "a safety-critical node failed: completed"),
    "RUN-8": (IsNeverDone, "the run ended as running"),
    "RUN-9": (GoesOn, "step was False, and then [True, False, False]"),
    "RUN-10": (Swaps, "was handed ["),
    "RUN-11": (DropsForBlock, "of 30 messages did not arrive"),
    "RUN-12": (OneMore, "may hold 3 messages, and held 4"),
    "RUN-13": (ForgetsEvictions, "lost are {'evicted': {}"),
    "RUN-14": (DoesNotClose, "at the end the accounting does not close"),
    "RUN-15": (DoesNotCloseMeanwhile, "behind step 0 the accounting does not close"),
    "RUN-16": (CountsAhead, "a counter fell: ['source steps from"),
    "RUN-17": (StarvesQuietly, "a loop that starves ended as completed"),
    "RUN-18": (CallsEarly, "it was called at [5, 30, 55, 80]"),
    "RUN-19": (LooksAtTheClock, "samples more of the clock"),
    "RUN-20": (BreaksOff, "messages were made, and handled were"),
    "RUN-21": (GivesAnotherReason, "0 counted as stopped"),
    "RUN-22": (DoesNotWake, "after 5 s it runs"),
    "RUN-23": (StopsOnce, "a stop behind the end: 902"),
    "RUN-24": (ForgetsResets, "a run that was halted ended with"),
    "RUN-25": (StopsAtTheFirst, "node one cannot stop, and stopped were ['stop one']"),
    "RUN-26": (LosesASlot, "behind the run slots are in use: {'source.out': 1"),
    "RUN-27": (TossesUp, "equal runs decided otherwise:"),
    "RUN-28": (AnotherDigest, "log_sha256 is 000"),
    "RUN-29": (Remembers, "messages went through"),
    "RUN-30": (CountsForAll, "beside another, a run counts otherwise"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    runtime, seen = _SABOTEURS[clause]

    def make(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
        return runtime(plan, clock, drain_ns=drain_ns, log=log)

    assert_caught(SingleThreadSuite, clause, make, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(RuntimeContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(RuntimeContract)
