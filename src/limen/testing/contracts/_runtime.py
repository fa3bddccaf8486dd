"""The suite that every executor passes."""

from __future__ import annotations

import abc
import gc
import hashlib
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, TypeVar

from limen.app import check
from limen.errors import Code
from limen.graph import Graph
from limen.platform import MonotonicClock, PlatformClock, SimClock
from limen.policy import AdmissionPolicy, EdgePolicy, QueueCaps
from limen.runtime import LimenRuntime, RuntimeStopHandle
from limen.scheduling import Plan
from limen.telemetry import Decision, DecisionLog, RunStatistics, account
from limen.testing.contracts._bounded import OverdueError, bounded
from limen.testing.contracts._contract import Contract, inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._resources import SLACK_BYTES
from limen.testing.contracts._runtime_parts import (
    MS,
    Busy,
    Calls,
    Keeping,
    Numbers,
    WatchedClock,
    counters,
    deadlock,
    halting,
    line,
    lossy,
    two_lines,
)
from limen.testing.table._scenario import first_difference

_T = TypeVar("_T")
_HOUR_NS = 3600 * 10**9
_LONG_NS = 10 * 10**9
_MOST_STEPS = 10_000
_PATIENCE_S = 10.0
_WARM_UP, _MEASURED = 250, 500


class RuntimeContract(Contract):
    """Holds an executor to RUN-1 … RUN-45; write ``make``.

    Nearly all of it is asked with sources and sinks alone, so that an executor which runs no other
    nodes written in Python can be asked as well.
    """

    subjects = (LimenRuntime,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "steps": "`step` can be called one at a time, with anything asked in between",
        "equal logs": "its decisions are a function of its inputs: it is not concurrent",
        "python nodes": "it steps nodes written in Python that are no sources or sinks",
    }

    @abc.abstractmethod
    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        """Return a new runtime; called for every test, as an ``Executor`` is.

        Args:
            plan: What to run; lowered for this clock.
            clock: The graph's clock.
            drain_ns: How long a stop may drain.
            log: Where decisions are written.
        """

    def clock(self) -> PlatformClock:
        """Return the clock of a run: simulated time, unless the executor needs another."""
        return SimClock(1000)

    # Starting

    def test_run_1_every_node_is_started_once(self) -> None:
        calls: Calls = []
        runtime = self._runtime(two_lines(calls))
        runtime.start()
        opened = sorted(name for name, what in calls if what == "open")
        runtime.stop()
        assert opened == _FOUR, f"of {_FOUR} start opened {opened}"

    def test_run_2_a_node_that_cannot_start_is_raised(self) -> None:
        runtime = self._runtime(line(Numbers(3), Keeping(start_fails=True)))
        seen = code_raised(runtime.start)
        assert isinstance(seen, Code), f"a sink could not be opened, and start raised {seen}"

    def test_run_3_a_start_that_fails_stops_what_it_started(self) -> None:
        calls: Calls = []
        runtime = self._runtime(line(Numbers(3, calls=calls), Keeping(start_fails=True)))
        code_raised(runtime.start)
        seen = [what for _, what in calls]
        assert seen in ([], ["open", "close"]), (
            f"the sink could not be opened; the calls into the source were {seen}"
        )

    def test_run_4_a_start_that_fails_is_the_outcome(self) -> None:
        runtime = self._runtime(line(Numbers(3), Keeping(start_fails=True)))
        code_raised(runtime.start)
        outcome = runtime.statistics().outcome
        assert outcome == "failed", f"the outcome of a start that failed is {outcome!r}"

    def test_run_5_a_runtime_runs_once(self) -> None:
        runtime = self._runtime(line(Numbers(3), Keeping()))
        runtime.run()
        seen = code_raised(runtime.start), code_raised(runtime.run)
        wanted = (Code.WRONG_STATE, Code.WRONG_STATE)
        assert seen == wanted, f"start and run after a run raised {seen}, not WRONG_STATE"

    # Stepping

    @needs("steps")
    def test_run_6_a_step_makes_one_decision_at_most(self) -> None:
        calls: Calls = []
        source = Numbers(5, calls=calls, due_ns=0, every_ns=3 * MS)
        clock = WatchedClock(1000, calls)
        runtime = self._runtime(line(source, Keeping(calls=calls)), clock=clock)
        runtime.start()
        before = len(calls)
        for _ in _steps(runtime):
            made = [f"{name} {what}" for name, what in calls[before:] if what in ("call", "wait")]
            assert len(made) <= 1, f"one step came to {made}"
            before = len(calls)

    @needs("steps")
    def test_run_7_a_run_that_is_over_stays_over(self) -> None:
        runtime = self._runtime(line(Numbers(3), Keeping()))
        runtime.start()
        answers = [runtime.step() for _ in range(30)]
        runtime.stop()
        last = answers.index(False) if False in answers else len(answers)
        assert not any(answers[last:]), f"30 steps of a run of 3 messages returned {answers}"

    def test_run_8_what_nodes_raise_stays_inside(self) -> None:
        runtime = self._runtime(line(Numbers(4, fails={1}), Keeping(fails={0, 2})))
        seen = code_raised(runtime.run)
        assert seen is None, f"a source and a sink failed now and then, and run raised {seen}"

    def test_run_9_what_nodes_raise_is_counted_and_said(self) -> None:
        runtime = self._runtime(line(Numbers(4, fails={1}), Keeping()))
        code_raised(runtime.run)
        node = runtime.statistics().nodes[0]
        assert node.errors == 1, f"a source failed once, and {node.errors} errors were counted"
        assert any("failed in call 1" in text for text in node.messages), (
            f"a source said 'source failed in call 1', and the messages are {node.messages}"
        )

    def test_run_10_nobody_is_called_outside_of_its_run(self) -> None:
        calls: Calls = []
        self._runtime(two_lines(calls)).run()
        for node in _FOUR:
            whole = [what for name, what in calls if name == node]
            opened = whole.index("open") if "open" in whole else len(whole)
            closed = whole.index("close") if "close" in whole else len(whole)
            outside = whole[:opened].count("call") + whole[closed:].count("call")
            assert outside == 0, f"calls into {node} were {whole}"

    def test_run_11_calls_into_a_node_do_not_overlap(self) -> None:
        inside = {"source": Busy(), "sink": Busy()}
        source, sink = (dict.fromkeys(range(5), busy) for busy in inside.values())
        self._runtime(line(Numbers(5, hooks=source), Keeping(hooks=sink), "overlap")).run()
        for node, busy in inside.items():
            assert busy.most <= 1, f"{busy.most} calls into a {node} were under way at once"

    # Ends

    def test_run_12_a_run_ends_with_its_sources(self) -> None:
        outcome = self._bounded_run(line(Numbers(5), Keeping())).outcome
        assert outcome == "completed", f"a run of 5 messages ended as {outcome!r}"

    def test_run_13_a_failure_can_halt_the_run(self) -> None:
        outcome = self._bounded_run(halting()).outcome
        assert outcome == "halted", f"an error with HALT_GRAPH ended the run as {outcome!r}"

    def test_run_14_who_halts_the_run_is_named(self) -> None:
        notes = self._bounded_run(halting()).notes
        assert any("bomb" in note for note in notes), f"'bomb' halted the run; notes: {notes}"

    @needs("python nodes")
    def test_run_15_a_deadlock_ends_the_run(self) -> None:
        outcome = self._bounded_run(deadlock()).outcome
        assert outcome == "deadlocked", f"a graph that deadlocks ended as {outcome!r}"

    @needs("python nodes")
    def test_run_16_who_waits_is_told(self) -> None:
        waiting = self._bounded_run(deadlock()).waiting
        seen = {(who.node, who.on) for who in waiting}
        assert ("source", "join") in seen, (
            f"source waits for room before join, and waiting is {waiting}"
        )

    def test_run_17_a_run_stops_every_node_once(self) -> None:
        calls: Calls = []
        self._runtime(two_lines(calls)).run()
        closed = _closed(calls)
        assert closed == _FOUR, f"of {_FOUR} a run closed {closed}"

    def test_run_18_a_failing_stop_keeps_nobody_from_being_stopped(self) -> None:
        calls: Calls = []
        runtime = self._runtime(two_lines(calls, stop_fails=True))
        code_raised(runtime.run)
        closed = set(_closed(calls))
        assert closed == set(_FOUR), f"a_source did not close; closed were {sorted(closed)}"

    def test_run_19_a_failing_stop_is_told(self) -> None:
        runtime = self._runtime(two_lines([], stop_fails=True))
        code_raised(runtime.run)
        end = runtime.statistics()
        assert end.outcome == "failed", f"a source failed to close; the outcome is {end.outcome!r}"
        assert any("a_source" in note for note in end.notes), (
            f"a_source failed to close; notes: {end.notes}"
        )

    # Stopping

    def test_run_20_a_request_ends_the_sources(self) -> None:
        seen: list[int] = []
        source = Numbers(100_000)
        sink = Keeping(hooks={3: lambda: seen.append(source.asked)})
        self._stopping_run(line(source, sink), sink)
        more = source.asked - seen[0]
        assert more <= 1, f"a source was called {more} times after a stop was asked for"

    def test_run_21_a_stop_drains(self) -> None:
        source, sink = Numbers(6, due_ns=0), Keeping()
        self._stopping_run(line(source, sink), sink)
        assert sink.got == source.made, (
            f"a stop left {source.made - sink.got} of {source.made} messages"
        )

    def test_run_22_what_a_stop_leaves_is_counted(self) -> None:
        source, sink = Numbers(6, due_ns=0), Keeping()
        end = self._stopping_run(line(source, sink), sink, drain_ns=0)
        left = source.made - sink.got
        if left == 0:
            inapplicable("nothing was left")
        counted = sum(port.dropped.get("stopped", 0) for port in end.inputs)
        counted += sum(edge.refused.get("stopped", 0) for edge in end.edges)
        assert counted == left, f"a stop left {left} messages, and counted {counted} as stopped"

    def test_run_23_a_stop_is_the_outcome(self) -> None:
        source, sink = Numbers(100_000), Keeping()
        outcome = self._stopping_run(line(source, sink), sink).outcome
        assert outcome == "stopped", f"a run that was asked to stop ended as {outcome!r}"

    def test_run_24_a_request_may_come_ahead_of_the_start(self) -> None:
        source = Numbers(100)
        runtime = self._runtime(line(source, Keeping()))
        runtime.stop_handle.request_stop()
        runtime.run()
        assert source.made == 0, f"a stop was asked for, and then {source.made} messages were made"

    def test_run_25_a_request_wakes_an_idle_run(self) -> None:
        calls: Calls = []
        clock = MonotonicClock()
        idle = threading.Event()
        made: list[LimenRuntime] = []

        def run() -> str:
            source = Numbers(2, due_ns=0, every_ns=_HOUR_NS)
            sink = Keeping(calls=calls, hooks={0: idle.set})
            made.append(self._runtime(line(source, sink), clock=clock))
            return made[0].run().outcome

        def ask() -> None:
            idle.wait(_PATIENCE_S)
            if made:
                made[0].stop_handle.request_stop()

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        try:
            _bounded("a run that waits for an hour, after a stop was asked for,", run)
        finally:
            clock.wake()

    def test_run_26_a_request_stands(self) -> None:
        runtime = self._runtime(line(Numbers(3), Keeping()))
        handle = runtime.stop_handle
        seen = [(handle.is_stopping, runtime.stop_handle.is_stopping)]
        for _ in range(3):
            handle.request_stop()
            seen.append((handle.is_stopping, runtime.stop_handle.is_stopping))
        wanted = [(False, False), *[(True, True)] * 3]
        assert seen == wanted, f"is_stopping before and after three requests was {seen}"

    def test_run_27_a_stop_without_a_step_stops_every_node(self) -> None:
        calls: Calls = []
        runtime = self._runtime(two_lines(calls))
        runtime.start()
        runtime.stop()
        closed = _closed(calls)
        assert set(closed) == set(_FOUR), f"of {_FOUR} stop right after start closed {closed}"

    def test_run_28_a_second_stop_changes_nothing(self) -> None:
        calls: Calls = []
        runtime = self._runtime(two_lines(calls))
        runtime.start()
        runtime.stop()
        before = list(calls)
        seen = code_raised(runtime.stop)
        assert (seen, calls) == (None, before), (
            f"a second stop raised {seen} and made the calls {calls[len(before) :]}"
        )

    def test_run_29_a_stop_before_the_start_changes_nothing(self) -> None:
        sink = Keeping()
        runtime = self._runtime(line(Numbers(3), sink))
        seen = code_raised(runtime.stop), code_raised(runtime.run)
        assert (seen, sink.got) == ((None, None), 3), (
            f"stop and then run raised {seen}, and {sink.got} of 3 messages arrived"
        )

    def test_run_30_a_stop_after_a_failed_start_changes_nothing(self) -> None:
        calls: Calls = []
        source = Numbers(3, calls=calls)
        runtime = self._runtime(line(source, Keeping(calls=calls, start_fails=True)))
        code_raised(runtime.start)
        before = list(calls)
        seen = code_raised(runtime.stop)
        assert (seen, calls) == (None, before), (
            f"stop after a failed start raised {seen} and made the calls {calls[len(before) :]}"
        )

    # Edges

    def test_run_31_the_order_of_an_edge_is_kept(self) -> None:
        for policy in (EdgePolicy.block(4), EdgePolicy.drop_oldest(4), EdgePolicy.drop_newest(4)):
            sink = Keeping()
            self._runtime(line(Numbers(40, due_ns=0), sink, policy=policy)).run()
            assert sink.numbers == sorted(sink.numbers), (
                f"{policy.admission.value}: 0 to 39 arrived as {sink.numbers}"
            )

    def test_run_32_a_block_edge_loses_nothing(self) -> None:
        sink = Keeping()
        self._runtime(line(Numbers(40, due_ns=0), sink, policy=EdgePolicy.block(3))).run()
        lost = sorted(set(range(40)) - set(sink.numbers))
        assert not lost, f"of 0 to 39 on a BLOCK edge for 3, {lost} did not arrive"

    def test_run_33_caps_hold(self) -> None:
        for caps in (QueueCaps(3), QueueCaps(9, max_bytes=24)):
            policy = EdgePolicy(caps, AdmissionPolicy.DROP_OLDEST)
            end = self._runtime(line(Numbers(40, due_ns=0), Keeping(), policy=policy)).run()
            peak = end.edges[0].peak
            assert peak <= 3, (
                f"with max_items={caps.max_items}, max_bytes={caps.max_bytes}, "
                f"an edge held {peak} messages of 8 B"
            )

    # Accounting

    def test_run_34_a_run_gives_every_slot_back(self) -> None:
        for port in self._runtime(lossy()).run().outputs:
            assert port.available == port.capacity, (
                f"after a run {port.available} of {port.capacity} slots of {port.name} are free"
            )

    def test_run_35_the_accounts_close(self) -> None:
        end = self._runtime(lossy()).run()
        stated = account(end.edges, end.inputs, end.outputs)
        wrong = [f"{i.place}: {i.text}" for i in (*stated, *end.identities) if not i.closes]
        assert not wrong, f"after a run there is {'; '.join(wrong)}"

    @needs("steps")
    def test_run_36_statistics_are_exact_between_steps(self) -> None:
        source, sink = Numbers(9), Keeping()
        runtime = self._runtime(line(source, sink))
        runtime.start()
        for step in _steps(runtime):
            now = runtime.statistics()
            counted = now.outputs[0].emitted, now.nodes[0].processed, now.nodes[1].processed
            wanted = source.made, source.made, sink.got
            assert counted == wanted, (
                f"after step {step} emitted and processed were {counted}, and should be {wanted}"
            )

    @needs("steps")
    def test_run_37_counters_never_fall(self) -> None:
        runtime = self._runtime(lossy())
        runtime.start()
        last = counters(runtime.statistics())
        for step in _steps(runtime):
            now = counters(runtime.statistics())
            fallen = {name: (last[name], now[name]) for name in last if now[name] < last[name]}
            assert not fallen, f"step {step} made counters fall: {fallen}"
            last = now

    @needs("steps")
    def test_run_38_statistics_are_snapshots(self) -> None:
        runtime = self._runtime(lossy())
        runtime.start()
        taken = [(now := runtime.statistics(), repr(now)) for _ in _steps(runtime)]
        runtime.statistics()
        for step, (statistics, text) in enumerate(taken, 1):
            assert repr(statistics) == text, (
                f"statistics after step {step} were {text} and became {statistics}"
            )

    def test_run_39_run_returns_the_statistics(self) -> None:
        runtime = self._runtime(lossy())
        returned = runtime.run()
        after = runtime.statistics()
        assert returned == after, f"run returned {returned}, and statistics {after}"

    # Decisions

    @needs("equal logs")
    def test_run_40_equal_inputs_give_equal_decisions(self) -> None:
        first, *others = [self._decisions(lossy())[0] for _ in range(4)]
        for number, other in enumerate(others, 2):
            parted = first_difference("".join(first), "".join(other))
            assert parted is None, f"run {number} parted from the first:\n{parted}"

    @needs("equal logs")
    def test_run_41_the_clock_is_sampled_after_waits_and_calls(self) -> None:
        calls: Calls = []
        graph = Graph("watched").add("source", Numbers(5, calls=calls, due_ns=0, every_ns=3 * MS))
        graph.add("sink", Keeping(calls=calls)).connect("source", "sink")
        self._runtime(graph, clock=WatchedClock(1000, calls)).run()
        seen = ["x" if what == "call" else what for _, what in calls if what not in _EDGES_OF_RUNS]
        begun = seen[seen.index("x") :] if "x" in seen else []
        pairs = list(zip(begun[::2], begun[1::2], strict=False))
        wrong = [pair for pair in pairs if pair[1] != "sample" or pair[0] == "sample"]
        assert not wrong, f"from the first call (x) on, calls, waits and samples were {begun}"

    def test_run_42_log_and_counters_say_the_same(self) -> None:
        lines, end = self._decisions(lossy())
        logged: Counter[str] = Counter(Decision.parse(line).action for line in lines)
        counted = {
            "push": sum(edge.pushed for edge in end.edges),
            "take": sum(edge.taken for edge in end.edges),
            "evict": sum(sum(edge.evicted.values()) for edge in end.edges),
            "refuse": sum(sum(edge.refused.values()) for edge in end.edges),
            "drop": sum(sum(port.dropped.values()) for port in end.inputs),
            "step": sum(node.steps for node in end.nodes),
            "error": sum(node.errors for node in end.nodes),
        }
        seen = {action: logged[action] for action in counted}
        assert seen == counted, f"the log has {seen}, the counters have {counted}"

    def test_run_43_the_digest_is_that_of_the_lines(self) -> None:
        lines, end = self._decisions(lossy())
        wanted = hashlib.sha256("".join(lines).encode()).hexdigest()
        assert end.log_sha256 == wanted, f"log_sha256 is {end.log_sha256}, of the lines {wanted}"

    # Resources

    def test_run_44_many_messages_take_no_more_memory(self) -> None:
        kept: list[int] = []

        def weigh() -> None:
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])

        source = Numbers(10**9, hooks={_WARM_UP: weigh, _WARM_UP + _MEASURED: weigh})
        sink = Keeping(keeps=False)
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        try:
            self._stopping_run(line(source, sink), sink, at=_WARM_UP + _MEASURED)
        finally:
            if not tracing:
                tracemalloc.stop()
        grown = kept[1] - kept[0] if len(kept) == 2 else 0
        assert grown < SLACK_BYTES, f"{_MEASURED} messages kept {grown} B"

    def test_run_45_runtimes_share_no_state(self) -> None:
        sink = Keeping()
        one = self._runtime(line(Numbers(8), Keeping()))
        other = self._runtime(line(Numbers(8), sink))
        one.stop_handle.request_stop()
        one.run()
        other.run()
        assert sink.got == 8, (
            f"one runtime was stopped, and {sink.got} of 8 messages arrived in another"
        )

    def _runtime(
        self,
        graph: Graph,
        *,
        clock: PlatformClock | None = None,
        drain_ns: int = _LONG_NS,
        listener: Callable[[Decision], None] | None = None,
    ) -> LimenRuntime:
        used = self.clock() if clock is None else clock
        return self.make(check(graph, used), used, drain_ns, DecisionLog(listener))

    def _bounded_run(self, graph: Graph) -> RunStatistics:
        return _bounded("a run", lambda: self._runtime(graph).run())

    def _stopping_run(
        self, graph: Graph, sink: Keeping, *, at: int = 3, drain_ns: int = _LONG_NS
    ) -> RunStatistics:
        """Run a graph, and ask for a stop in a call of its sink."""
        handles: list[RuntimeStopHandle] = []
        sink.hook(at, lambda: handles[0].request_stop())
        runtime = self._runtime(graph, drain_ns=drain_ns)
        handles.append(runtime.stop_handle)
        return runtime.run()

    def _decisions(self, graph: Graph) -> tuple[list[str], RunStatistics]:
        lines: list[str] = []
        runtime = self._runtime(graph, listener=lambda made: lines.append(made.canonical()))
        return lines, runtime.run()


_FOUR = ["a_sink", "a_source", "b_sink", "b_source"]
_EDGES_OF_RUNS = ("open", "close")


def _closed(calls: Calls) -> list[str]:
    return sorted(name for name, what in calls if what == "close")


def _steps(runtime: LimenRuntime) -> Iterator[int]:
    """Step a runtime to its end and stop it; yield the number of the step after each."""
    for number in range(1, _MOST_STEPS + 1):
        going = runtime.step()
        yield number
        if not going:
            break
    runtime.stop()


def _bounded(what: str, call: Callable[[], _T]) -> _T:
    try:
        return bounded(call, _PATIENCE_S)
    except OverdueError as overdue:
        raise AssertionError(f"{what} did not end: {overdue}") from overdue
