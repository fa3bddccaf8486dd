"""The single-thread runtime under the kit, and the kit under runtimes that break a clause each."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import pytest

from limen.edge import EdgeProducer, HeapRing, PushResult
from limen.errors import LifecycleError, LimenError, OutputError
from limen.message import MessageHeader
from limen.node import Produced, Source, SourceNode, SourceSignal
from limen.platform import MonotonicClock, PlatformClock
from limen.policy import AdmissionPolicy, Item, QueueCaps
from limen.runtime import LimenRuntime, RuntimeStopHandle, SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import Decision, DecisionLog, RunStatistics
from limen.testing import RuntimeContract, run_table
from limen.types import MessageToken, PayloadSpec, Ticks
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched


class SingleThreadSuite(RuntimeContract):
    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)


class CheckedSuite(RuntimeContract):
    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        return SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log, checked=True)


class RealTimeSuite(SingleThreadSuite):
    """On the machine's own time, as executors need that have threads of their own."""

    lacks: ClassVar[Mapping[str, str]] = {"equal logs": "no two runs see the same instants"}

    def clock(self) -> PlatformClock:
        return MonotonicClock()


_SUITES = (SingleThreadSuite, CheckedSuite, RealTimeSuite)


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[RuntimeContract]) -> None:
    assert_holds(suite)


def test_what_a_suite_makes_is_an_executor_of_the_scenario_table() -> None:
    report = run_table(SingleThreadSuite().make, pattern="drop_*")
    assert report.passed
    assert report.executor == f"{__name__}:SingleThreadSuite.make"


class Saboteur(SingleThreadRuntime):
    """Made as an executor is."""

    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        super().__init__(plan, clock, drain_ns=drain_ns, log=log)


class Reporting(Saboteur):
    """States something else than what was."""

    def changed(self, said: RunStatistics) -> RunStatistics:
        raise NotImplementedError

    def statistics(self) -> RunStatistics:
        return self.changed(super().statistics())


def misnaming(outcome: str, other: str) -> type[Reporting]:
    """Return a runtime that calls an outcome of a run that has begun by another's name."""

    class Misnaming(Reporting):
        def changed(self, said: RunStatistics) -> RunStatistics:
            wrong = said.outcome == outcome and self._journal.steps > 0
            return replace(said, outcome=other) if wrong else said

    return Misnaming


def silent_on(words: str) -> type[Reporting]:
    """Return a runtime whose notes leave something out."""

    class Silent(Reporting):
        def changed(self, said: RunStatistics) -> RunStatistics:
            return replace(said, notes=tuple(n for n in said.notes if words not in n))

    return Silent


class StartsTwice(Saboteur):
    def start(self) -> None:
        super().start()
        self.plan.nodes[-1].node.start(Ticks(0))


class StartsAnyway(Saboteur):
    def start(self) -> None:
        try:
            super().start()
        except LimenError:
            if self._outcome != "failed":
                raise


class LeavesWhatItStarted(Saboteur):
    def _release(self) -> None:
        if self._outcome == "failed":
            self._started.clear()
        super()._release()


class NeverStarted(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        return replace(said, outcome="completed") if self._journal.samples == 1 else said


class RunsAgain(Saboteur):
    def run(self) -> RunStatistics:
        return self.statistics() if self._outcome == "completed" else super().run()


class TwoAtOnce(Saboteur):
    def step(self) -> bool:
        super().step()
        return super().step()


class Resurrected(Saboteur):
    over = 0

    def step(self) -> bool:
        going = super().step()
        self.over += not going
        return going or self.over == 3


class LetsThrough(Saboteur):
    """Raises what a sink raised."""

    def step(self) -> bool:
        going = super().step()
        if self.plan.name == "line" and self._contexts[1].counters.errors:
            raise OutputError("a sink failed")
        return going


class CountsNoErrors(Reporting):
    """Counts none of a run in which the source alone failed."""

    def changed(self, said: RunStatistics) -> RunStatistics:
        if [node.errors > 0 for node in said.nodes] != [True, False]:
            return said
        return replace(said, nodes=tuple(replace(node, errors=0) for node in said.nodes))


class CallsTheDead(Saboteur):
    """Asks its first source once more after a run that ended by itself."""

    def run(self) -> RunStatistics:
        end = super().run()
        if end.outcome == "completed" and self.plan.name == "two_lines":
            source_of(self).try_produce(Ticks(0))
        return end


class Overlapping(Source):
    """Calls a source from two threads at once."""

    pausable = True

    def __init__(self, inner: Source) -> None:
        self.inner = inner

    def spec(self) -> PayloadSpec:
        return self.inner.spec()

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self.inner.open(clock, now)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        made: list[Produced | SourceSignal] = []
        together = threading.Barrier(3)

        def call() -> None:
            together.wait(10)
            made.append(self.inner.try_produce(now))

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return made[0]


class Overlaps(Saboteur):
    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        if plan.name == "overlap":
            node = plan.nodes[0].node
            assert isinstance(node, SourceNode)
            first = replace(plan.nodes[0], node=SourceNode(Overlapping(node.source)))
            plan = replace(plan, nodes=(first, *plan.nodes[1:]))
        super().__init__(plan, clock, drain_ns, log)


class WaitsForNobody(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        return replace(said, waiting=())


class StopsOneTwice(Saboteur):
    """Stops its last node once more after a run that ended by itself."""

    def run(self) -> RunStatistics:
        end = super().run()
        if self._outcome == "completed" and self.plan.name == "two_lines":
            self.plan.nodes[-1].node.stop()
        return end


class GivesUpStopping(Saboteur):
    """Stops nobody behind a node that fails to stop."""

    def _release(self) -> None:
        if getattr(source_of(self), "_stop_fails", False):
            del self._started[1:]
        super()._release()


class StopsLate(Saboteur):
    """Notices a request that comes in mid-run some decisions later."""

    late = 0

    def _limits(self) -> bool:
        timed = source_of(self).next_due() is not None
        if self._stop_handle.is_stopping and self._points and self.late < 20 and not timed:
            self.late += 1
            return False
        return super()._limits()


class NeverDrains(Saboteur):
    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        super().__init__(plan, clock, 0, log)


class StoppedIsAnEnd(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        inputs = [
            replace(i, dropped={r.replace("stopped", "ended"): n for r, n in i.dropped.items()})
            for i in said.inputs
        ]
        return replace(said, inputs=tuple(inputs))


class ForgetsRequests(Saboteur):
    def start(self) -> None:
        super().start()
        self._stop_handle._requested = False


class Whispering(RuntimeStopHandle):
    def request_stop(self) -> None:
        self._requested = True


class LetsSleep(Saboteur):
    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        super().__init__(plan, clock, drain_ns, log)
        self._stop_handle = Whispering(clock)


class Toggling(RuntimeStopHandle):
    def request_stop(self) -> None:
        super().request_stop()
        self._times = getattr(self, "_times", 0) + 1
        self._requested = self._times % 2 == 1


class ChangesItsMind(Saboteur):
    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        super().__init__(plan, clock, drain_ns, log)
        self._stop_handle = Toggling(clock)


class StopsOnlyWhatStepped(Saboteur):
    def stop(self) -> None:
        if self._journal.steps:
            super().stop()


class StopsTwice(Saboteur):
    """Closes all again when it is asked to stop again."""

    def stop(self) -> None:
        before = self._state.value
        super().stop()
        if before == "stopped" and self._outcome != "failed":
            for node in self.plan.nodes:
                node.node.stop()


class StoppedForGood(Saboteur):
    def stop(self) -> None:
        if self._state.value == "new":
            self._state = type(self._state).STOPPED
        super().stop()


class MissesItsStart(Saboteur):
    def stop(self) -> None:
        if self._outcome == "failed":
            raise LifecycleError("it never ran")
        super().stop()


class JumblingEnd:
    """A producer's end that lets a message in ahead of the last one that waits."""

    def __init__(self, edge: HeapRing) -> None:
        self._edge = edge

    def __len__(self) -> int:
        return len(self._edge)

    @property
    def size_bytes(self) -> int:
        return self._edge.size_bytes

    def item(self, index: int) -> Item:
        return self._edge.item(index)

    def evict(self) -> MessageToken:
        return self._edge.evict()

    def close(self) -> None:
        self._edge.close()

    def try_push(self, token: MessageToken, header: MessageHeader, now: Ticks) -> PushResult:
        edge = self._edge
        waiting = [(edge.header_at(i), edge.push_tick_at(i)) for i in range(len(edge))]
        if len(waiting) < 2:
            return edge.try_push(token, header, now)
        tokens = [edge.try_pop() for _ in waiting]
        entries = [(t, h, at) for t, (h, at) in zip(tokens, waiting, strict=True)]
        entries.insert(-1, (token, header, now))
        return [edge.try_push(*entry) for entry in entries][-1]


class Jumbled(HeapRing):
    def producer(self) -> EdgeProducer:
        super().producer()
        return JumblingEnd(self)


class Jumbles(Saboteur):
    """Has messages overtake each other where three or more wait."""

    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        edges = tuple(replace(edge, make=Jumbled) for edge in plan.edges)
        super().__init__(replace(plan, edges=edges), clock, drain_ns, log)


class Loses(Saboteur):
    """Takes BLOCK edges for some that drop."""

    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        edges = [
            replace(e, policy=replace(e.policy, admission=AdmissionPolicy.DROP_NEWEST))
            if e.policy.admission is AdmissionPolicy.BLOCK and plan.name == "line"
            else e
            for e in plan.edges
        ]
        super().__init__(replace(plan, edges=tuple(edges)), clock, drain_ns, log)


class Stretches(Saboteur):
    """Gives each edge that drops room for one more."""

    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog | None
    ) -> None:
        edges = [
            replace(e, policy=replace(e.policy, caps=QueueCaps(e.policy.caps.max_items + 1)))
            if e.policy.admission is AdmissionPolicy.DROP_OLDEST
            else e
            for e in plan.edges
        ]
        nodes = [
            replace(n, outputs=tuple(replace(o, depth=o.depth + 1) for o in n.outputs))
            for n in plan.nodes
        ]
        super().__init__(
            replace(plan, edges=tuple(edges), nodes=tuple(nodes)), clock, drain_ns, log
        )


class KeepsASlot(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        outputs = [replace(o, available=o.available - 1, live=o.live + 1) for o in said.outputs]
        return replace(said, outputs=tuple(outputs))


class CountsOffersTwice(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        return replace(said, edges=tuple(replace(e, offered=e.offered * 2) for e in said.edges))


class RunsAhead(Reporting):
    """Counts a message that its source has yet to make."""

    def changed(self, said: RunStatistics) -> RunStatistics:
        nodes = [replace(n, processed=n.processed + (n.kind == "source")) for n in said.nodes]
        return replace(said, nodes=tuple(nodes))


class WrapsRound(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        return replace(said, nodes=tuple(replace(n, calls=n.calls % 8) for n in said.nodes))


class HandsOutItsOwn(Reporting):
    """Returns tables that it goes on writing to."""

    def changed(self, said: RunStatistics) -> RunStatistics:
        tables = self.__dict__.setdefault("tables", {})
        for edge in said.edges:
            tables.setdefault(edge.name, {}).update(edge.evicted)
        edges = tuple(replace(edge, evicted=tables[edge.name]) for edge in said.edges)
        return replace(said, edges=edges)


class ReturnsTooSoon(Saboteur):
    def run(self) -> RunStatistics:
        return replace(super().run(), duration_ns=-1)


def alternating() -> Callable[..., LimenRuntime]:
    """Make runtimes that begin with the first node and with the last, in turns."""
    made = itertools.count()

    def make(
        plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> SingleThreadRuntime:
        runtime = Saboteur(plan, clock, drain_ns, log)
        runtime._last = (len(plan.nodes) - 1 - next(made) % 2) % len(plan.nodes)
        return runtime

    return make


class LooksTwice(Saboteur):
    def step(self) -> bool:
        self._journal.sample()
        return super().step()


class Muffled(DecisionLog):
    """Passes all on but evictions."""

    def __init__(self, log: DecisionLog) -> None:
        super().__init__()
        self._log = log

    @property
    def sha256(self) -> str:
        return self._log.sha256

    def record(self, decision: Decision) -> None:
        if decision.action != "evict":
            self._log.record(decision)


class LogsNoEvictions(Saboteur):
    def __init__(self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> None:
        super().__init__(plan, clock, drain_ns, Muffled(log))


class HashesSomethingElse(Reporting):
    def changed(self, said: RunStatistics) -> RunStatistics:
        return replace(said, log_sha256="0" * 64)


class KeepsAll(Saboteur):
    def step(self) -> bool:
        self.__dict__.setdefault("kept", []).append(bytearray(16))
        return super().step()


def sharing() -> Callable[..., LimenRuntime]:
    """Make runtimes that share the stop handle of one that has not begun."""
    made: list[Saboteur] = []

    def make(plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog) -> LimenRuntime:
        runtime = Saboteur(plan, clock, drain_ns, log)
        if made and made[-1]._state.value == "new":
            runtime._stop_handle = made[-1]._stop_handle
        made.append(runtime)
        return runtime

    return make


def source_of(runtime: SingleThreadRuntime) -> Source:
    node = runtime.plan.nodes[0].node
    assert isinstance(node, SourceNode)
    return node.source


_SABOTEURS: dict[str, tuple[Callable[..., LimenRuntime], str]] = {
    "RUN-1": (StartsTwice, "start opened ['a_sink', 'a_source', 'b_sink', 'b_sink'"),
    "RUN-2": (StartsAnyway, "start raised None"),
    "RUN-3": (LeavesWhatItStarted, "the calls into the source were ['open']"),
    "RUN-4": (NeverStarted, "the outcome of a start that failed is 'completed'"),
    "RUN-5": (RunsAgain, "raised (<Code.WRONG_STATE: 902>, None)"),
    "RUN-6": (TwoAtOnce, "one step came to ['source call', 'sink call']"),
    "RUN-7": (Resurrected, "False, False, True, False"),
    "RUN-8": (LetsThrough, "and run raised 800"),
    "RUN-9": (CountsNoErrors, "a source failed once, and 0 errors were counted"),
    "RUN-10": (CallsTheDead, "'close', 'call']"),
    "RUN-11": (Overlaps, "calls into a source were under way at once"),
    "RUN-12": (misnaming("completed", "stopped"), "ended as 'stopped'"),
    "RUN-13": (misnaming("halted", "stopped"), "ended the run as 'stopped'"),
    "RUN-14": (silent_on("halted"), "'bomb' halted the run; notes: ()"),
    "RUN-15": (misnaming("deadlocked", "stopped"), "deadlocks ended as 'stopped'"),
    "RUN-16": (WaitsForNobody, "waiting is ()"),
    "RUN-17": (StopsOneTwice, "a run closed ['a_sink', 'a_source', 'b_sink', 'b_sink'"),
    "RUN-18": (GivesUpStopping, "closed were ['a_source']"),
    "RUN-19": (silent_on("failed to stop"), "a_source failed to close; notes: ()"),
    "RUN-20": (StopsLate, "times after a stop was asked for"),
    "RUN-21": (NeverDrains, "a stop left 2 of 6 messages"),
    "RUN-22": (StoppedIsAnEnd, "a stop left 2 messages, and counted 0 as stopped"),
    "RUN-23": (misnaming("stopped", "completed"), "asked to stop ended as 'completed'"),
    "RUN-24": (ForgetsRequests, "and then 100 messages were made"),
    "RUN-25": (LetsSleep, "after a stop was asked for, did not end: it did not"),
    "RUN-26": (ChangesItsMind, "[(False, False), (True, True), (False, False)"),
    "RUN-27": (StopsOnlyWhatStepped, "stop right after start closed []"),
    "RUN-28": (StopsTwice, "made the calls [('a_source', 'close')"),
    "RUN-29": (StoppedForGood, "and 0 of 3 messages arrived"),
    "RUN-30": (MissesItsStart, "stop after a failed start raised 902"),
    "RUN-31": (Jumbles, "0 to 39 arrived as [0, "),
    "RUN-32": (Loses, "of 0 to 39 on a BLOCK edge for 3, [3, 4, 5"),
    "RUN-33": (Stretches, "with max_items=3, max_bytes=None, an edge held 4 messages"),
    "RUN-34": (KeepsASlot, "after a run 5 of 6 slots of burst.out are free"),
    "RUN-35": (CountsOffersTwice, "after a run there is burst.out -> slow.in: offered 40"),
    "RUN-36": (RunsAhead, "after step 1 emitted and processed were (1, 2, 0)"),
    "RUN-37": (WrapsRound, "'burst calls': (7, 0)"),
    "RUN-38": (HandsOutItsOwn, "statistics after step 1 were"),
    "RUN-39": (ReturnsTooSoon, "duration_ns=-1"),
    "RUN-40": (alternating, "run 2 parted from the first:"),
    "RUN-41": (LooksTwice, "['x', 'sample', 'sample'"),
    "RUN-42": (LogsNoEvictions, "'evict': 0"),
    "RUN-43": (HashesSomethingElse, "log_sha256 is 0000"),
    "RUN-44": (KeepsAll, "500 messages kept"),
    "RUN-45": (sharing, "0 of 8 messages arrived in another"),
}


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    made = make() if make in (alternating, sharing) else make
    assert_caught(SingleThreadSuite, clause, made, seen)


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(RuntimeContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(RuntimeContract)
