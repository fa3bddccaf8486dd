"""The suite that every runtime passes."""

from __future__ import annotations

import abc
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import ClassVar

from limen.app import check
from limen.errors import Code, LimenError
from limen.graph import Graph
from limen.platform import MonotonicClock, PlatformClock, SimClock
from limen.policy import EdgePolicy, NodePolicy
from limen.runtime import LimenRuntime
from limen.scheduling import Plan
from limen.telemetry import Decision, DecisionLog, RunStatistics
from limen.testing._contract import Contract, needs
from limen.testing._errors import code_raised
from limen.testing._probes import ProbeNode, ProbeSource
from limen.testing._resources import SLACK_BYTES, bytes_kept
from limen.testing._scenario import first_difference
from limen.testing._scripted import ScriptedNode, ScriptedSink, ScriptedSource
from limen.types import CriticalityClass, Ticks

_DRAIN_NS = 10_000_000_000
_HANG_S = 5.0
# More decisions than any graph here takes: a run that goes on behind it does not end.
_MOST_STEPS = 5_000
_MANY = 100


class RuntimeContract(Contract):
    """Holds a runtime to RUN-1 … RUN-30; write ``make``."""

    subjects = (LimenRuntime,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "single steps": "its decisions can be made one by one, in the caller's thread",
        "equal logs": "equal inputs and instants give equal decisions",
    }

    @abc.abstractmethod
    def make(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> LimenRuntime:
        """Return a new runtime; called for every run of every test."""

    def test_run_1_every_node_is_begun_once(self) -> None:
        diary: list[str] = []
        self._run(_chain(diary))
        begun = [entry for entry in diary if not entry.startswith(("stop", "reset", "close"))]
        first_step = next((n for n, e in enumerate(begun) if e.startswith("step")), len(begun))
        wanted = ["open source"] + [
            f"{what} {name}" for name in ("one", "two", "sink") for what in ("initialize", "start")
        ]
        assert begun[:first_step] == wanted, f"before the first step there was {begun[:first_step]}"
        later = [entry for entry in begun[first_step:] if not entry.startswith("step")]
        assert not later, f"behind the first step there was {later}"

    def test_run_2_a_failed_start_stops_what_was_started(self) -> None:
        diary: list[str] = []
        runtime = self._make(_chain(diary, two=ProbeNode("two", diary, fails_to="start")))
        text = _raised(runtime.start)
        ended = {entry for entry in diary if entry.startswith(("stop", "close"))}
        assert "two" in text, f"node two cannot start, and start raised: {text}"
        assert {"close source", "stop one"} <= ended, (
            f"node two cannot start; of those before it were stopped: {sorted(ended)}"
        )

    def test_run_3_it_runs_once(self) -> None:
        runtime = self._make(_chain([]))
        runtime.run()
        seen = code_raised(runtime.start)
        assert seen is Code.WRONG_STATE, f"a start behind a run: {seen}"

    def test_run_4_a_plan_for_another_tick_rate_is_refused(self) -> None:
        diary: list[str] = []
        plan = check(_chain(diary), SimClock(1000))

        def run() -> None:
            self.make(plan, SimClock(2000), _DRAIN_NS, DecisionLog()).run()

        text = _raised(run)
        assert text, "a plan for 1000 ticks/s ran on a clock of 2000"
        assert not diary, f"a plan for another clock was refused behind {diary}"

    @needs("single steps")
    def test_run_5_a_step_steps_one_node_at_most(self) -> None:
        diary: list[str] = []
        runtime = self._make(_chain(diary, count=6))
        runtime.start()
        for _ in range(_MOST_STEPS):
            before = len(diary)
            if not runtime.step():
                break
            made = diary[before:]
            assert len(made) <= 1, f"one step stepped {made}"
        runtime.stop()

    def test_run_6_a_failing_call_is_counted(self) -> None:
        diary: list[str] = []
        graph = _chain(diary, count=5, two=ProbeNode("two", diary, fails_on=(1, 3)))
        try:
            found = self._run(graph)
        except Exception as error:
            raise AssertionError(f"the failure of a node ended the run: {error!r}") from error
        errors = {node.name: node.errors for node in found.nodes}
        wanted = {"source": 0, "one": 0, "two": 2, "sink": 0}
        assert errors == wanted, f"node two failed twice, and errors are {errors}"

    def test_run_7_a_safety_critical_failure_halts(self) -> None:
        diary: list[str] = []
        node = ProbeNode("two", diary, fails_on=(1,))
        critical = NodePolicy(criticality=CriticalityClass.SAFETY_CRITICAL)
        graph = Graph("critical")
        graph.add("source", ProbeSource(9), critical).add("two", node, critical)
        graph.add("sink", ProbeNode("sink", diary, is_sink=True), critical)
        found = self._run(graph.chain("source", "two", "sink"))
        assert found.outcome == "halted", f"a safety-critical node failed: {found.outcome}"
        assert any("two" in note for note in found.notes), f"the notes say {found.notes}"

    def test_run_8_a_run_ends_by_itself(self) -> None:
        sink = ProbeNode("sink", [], is_sink=True)
        found = self._run(_chain([], count=7, sink=sink))
        assert found.outcome == "completed", f"the run ended as {found.outcome}"
        arrived = sorted(sink.sequences)
        assert arrived == list(range(7)), f"messages 0 to 6 were made, and {arrived} arrived"

    @needs("single steps")
    def test_run_9_step_is_false_from_the_end_on(self) -> None:
        runtime = self._make(_chain([]))
        runtime.start()
        going = next((n for n in range(_MOST_STEPS) if not runtime.step()), None)
        assert going is not None, f"after {_MOST_STEPS} steps of three messages it goes on"
        again = [runtime.step() for _ in range(3)]
        runtime.stop()
        assert again == [False] * 3, f"step was False, and then {again}"

    def test_run_10_order_is_kept_along_an_edge(self) -> None:
        diary: list[str] = []
        nodes = [ProbeNode(name, diary, is_sink=name == "sink") for name in ("one", "two", "sink")]
        graph = Graph("ordered").add("source", ProbeSource(40, every=1))
        graph.add("one", nodes[0], NodePolicy(sim_cost="3ms"))
        graph.add("two", nodes[1]).add("sink", nodes[2])
        self._run(graph.chain("source", "one", "two", "sink"))
        for node in nodes:
            falls = [n for n, m in itertools.pairwise(node.sequences) if n >= m]
            assert not falls, f"{node.name} was handed {node.sequences}"

    def test_run_11_block_loses_nothing(self) -> None:
        sink = ProbeNode("sink", [], is_sink=True)
        graph = Graph("slow").add("source", ProbeSource(30, every=1))
        graph.add("node", ScriptedNode(), NodePolicy(sim_cost="10ms")).add("sink", sink)
        graph.connect("source", "node", EdgePolicy.block(2))
        graph.connect("node", "sink", EdgePolicy.block(1))
        self._run(graph)
        lost = sorted(set(range(30)) - set(sink.sequences))
        assert not lost, f"behind BLOCK edges {lost} of 30 messages did not arrive"

    def test_run_12_queues_keep_their_caps(self) -> None:
        found = self._run(_overload(EdgePolicy.drop_oldest(3)))
        edge = found.edges[0]
        assert edge.peak <= 3, f"{edge.name} may hold 3 messages, and held {edge.peak}"

    def test_run_13_losses_are_counted_with_their_reason(self) -> None:
        for policy, which in (
            (EdgePolicy.drop_oldest(2), "evicted"),
            (EdgePolicy.drop_newest(2), "refused"),
        ):
            found = self._run(_overload(policy))
            edge = found.edges[0]
            lost = {"evicted": edge.evicted, "refused": edge.refused}
            missing = edge.offered - edge.taken
            assert missing > 0, f"with {which} nothing was lost: offered {edge.offered}"
            assert sum(lost[which].values()) == missing, (
                f"{edge.offered} were offered, {edge.taken} taken, and lost are {lost}"
            )

    def test_run_14_the_accounting_closes_at_the_end(self) -> None:
        for graph in (_overload(), _failing()):
            self._closes(self._run(graph), "at the end")

    @needs("single steps")
    def test_run_15_the_accounting_closes_between_steps(self) -> None:
        for graph in (_overload(EdgePolicy.drop_newest(2)), _failing()):
            runtime = self._make(graph)
            runtime.start()
            for number in range(_MOST_STEPS):
                if not runtime.step():
                    break
                self._closes(runtime.statistics(), f"behind step {number}")
            runtime.stop()

    @needs("single steps")
    def test_run_16_counters_never_fall(self) -> None:
        runtime = self._make(_overload())
        runtime.start()
        before = counters(runtime.statistics())
        going = True
        while going:
            going = runtime.step()
            if not going:
                runtime.stop()
            after = counters(runtime.statistics())
            fallen = [f"{k} from {n} to {after[k]}" for k, n in before.items() if after[k] < n]
            assert not fallen, f"a counter fell: {fallen}"
            before = after

    def test_run_17_a_deadlock_is_reported(self) -> None:
        found = self._run(_starving())
        assert found.outcome == "deadlocked", f"a loop that starves ended as {found.outcome}"
        waiting = {wait.node for wait in found.waiting}
        assert "join" in waiting, f"the join waits for its own result, and waiting are {waiting}"

    @needs("equal logs")
    def test_run_18_timed_sources_are_called_at_their_instants(self) -> None:
        source = ProbeSource(4, every=25, first=10)
        graph = Graph("timed").add("source", source)
        graph.add("sink", ProbeNode("sink", is_sink=True)).connect("source", "sink")
        self._run(graph)
        wanted = [10, 35, 60, 85]
        assert source.instants == wanted, f"due at {wanted} it was called at {source.instants}"

    @needs("equal logs")
    def test_run_19_the_clock_is_sampled_once_a_call(self) -> None:
        samples, calls = [], []
        for count in (10, 30):
            clock = _CountingClock()
            found = self._run(_chain(None, count=count), clock)
            samples.append(clock.samples)
            calls.append(sum(node.calls for node in found.nodes))
        more = samples[1] - samples[0], calls[1] - calls[0]
        assert more[0] == more[1], f"{more[1]} calls more took {more[0]} samples more of the clock"

    def test_run_20_a_stop_drains(self) -> None:
        sink = ProbeNode("sink", [], is_sink=True)
        holder: list[LimenRuntime] = []

        def stop_at_five(message: object) -> None:
            if len(sink.sequences) == 5:
                holder[0].stop_handle.request_stop()

        sink.on_message = stop_at_five
        graph = Graph("endless").add("source", ProbeSource(None, every=1))
        graph.add("node", ProbeNode("node"), NodePolicy(sim_cost="3ms")).add("sink", sink)
        graph.chain("source", "node", "sink", policy=EdgePolicy.block(4))
        holder.append(self._make(graph))
        found = holder[0].run()
        made = next(port.emitted for port in found.outputs if port.name == "source.out")
        arrived = sink.sequences
        assert found.outcome == "stopped", f"a run that was stopped ended as {found.outcome}"
        assert len(arrived) == made, f"{made} messages were made, and handled were {arrived}"

    def test_run_21_what_the_timeout_leaves_is_counted(self) -> None:
        holder: list[LimenRuntime] = []
        slow = ProbeNode("slow", [])

        def stop_at_three(message: object) -> None:
            if len(slow.sequences) == 3:
                holder[0].stop_handle.request_stop()

        slow.on_message = stop_at_three
        graph = Graph("undrained").add("source", ProbeSource(None, every=5))
        graph.add("slow", slow, NodePolicy(sim_cost="50ms")).add("sink", ScriptedSink())
        graph.connect("source", "slow", EdgePolicy.block(8)).connect("slow", "sink")
        holder.append(self._make(graph, drain_ns=60_000_000))
        found = holder[0].run()
        edge, port = found.edges[0], found.inputs[0]
        left = port.dropped.get("stopped", 0) + edge.refused.get("stopped", 0)
        handled = len(slow.sequences)
        assert edge.offered > handled, f"all {handled} messages were handled within the timeout"
        assert left == edge.offered - handled, (
            f"{edge.offered} messages were made, {handled} handled, {left} counted as stopped"
        )

    def test_run_22_the_stop_handle_ends_an_idle_graph(self) -> None:
        diary: list[str] = []
        hour = 3_600 * 10**9
        graph = Graph("idle").add("source", ProbeSource(2, every=hour, first=hour))
        graph.add("sink", ProbeNode("sink", diary, is_sink=True)).connect("source", "sink")
        runtime = self._make(graph, MonotonicClock())
        outcomes: list[str] = []
        thread = threading.Thread(target=lambda: outcomes.append(runtime.run().outcome))
        thread.daemon = True
        thread.start()
        began = threading.Event()
        for _ in range(int(_HANG_S / 0.01)):
            if "start sink" in diary:
                break
            began.wait(0.01)
        runtime.stop_handle.request_stop()
        thread.join(_HANG_S)
        assert not thread.is_alive(), f"a stop was requested, and after {_HANG_S:g} s it runs"
        assert outcomes == ["stopped"], f"the run ended as {outcomes}"

    def test_run_23_stop_may_come_twice_and_early(self) -> None:
        diary: list[str] = []
        early = self._make(_chain(diary))
        seen = code_raised(early.stop)
        assert seen is None, f"a stop before the start: {seen}"
        runtime = self._make(_chain(diary))
        runtime.run()
        before = list(diary)
        again = code_raised(runtime.stop)
        assert again is None, f"a stop behind the end: {again}"
        assert diary == before, f"a stop behind the end did {diary[len(before) :]}"

    def test_run_24_every_node_is_stopped_once(self) -> None:
        for what, policy in (
            ("completed", NodePolicy()),
            ("halted", NodePolicy(criticality=CriticalityClass.SAFETY_CRITICAL)),
        ):
            diary: list[str] = []
            graph = Graph("ends").add("source", ProbeSource(4, diary=diary), policy)
            graph.add("one", ProbeNode("one", diary, fails_on=(2,)), policy)
            graph.add("sink", ProbeNode("sink", diary, is_sink=True), policy)
            self._run(graph.chain("source", "one", "sink"))
            ended = sorted(e for e in diary if e.startswith(("close", "stop", "reset")))
            wanted = ["close source", "reset one", "reset sink", "stop one", "stop sink"]
            assert ended == wanted, f"a run that was {what} ended with {ended}"

    def test_run_25_a_node_that_cannot_stop_is_reported(self) -> None:
        diary: list[str] = []
        found = self._run(_chain(diary, one=ProbeNode("one", diary, fails_to="stop")))
        stopped = {e for e in diary if e.startswith("stop")}
        assert stopped >= {"stop two", "stop sink"}, (
            f"node one cannot stop, and stopped were {sorted(stopped)}"
        )
        assert any("one" in note for note in found.notes), f"the notes say {found.notes}"

    def test_run_26_every_slot_comes_back(self) -> None:
        for graph in (_overload(), _failing()):
            found = self._run(graph)
            missing = {p.name: p.capacity - p.available for p in found.outputs}
            left = {name: count for name, count in missing.items() if count}
            assert not left, f"behind the run slots are in use: {left}"

    @needs("equal logs")
    def test_run_27_equal_runs_give_equal_logs(self) -> None:
        for make in (_failing, _overload, _starving):
            logs: list[list[str]] = []
            for _ in range(3):
                found: list[Decision] = []
                self._run(make(), log=DecisionLog(found.append))
                logs.append([decision.canonical() for decision in found])
            assert logs[0], "a run recorded no decision"
            for log in logs[1:]:
                difference = first_difference("".join(logs[0]), "".join(log))
                assert difference is None, f"equal runs decided otherwise:\n{difference}"

    def test_run_28_the_digest_is_that_of_the_log(self) -> None:
        decisions: list[Decision] = []
        found = self._run(_failing(), log=DecisionLog(decisions.append))
        again = DecisionLog()
        for decision in decisions:
            again.record(decision)
        assert found.log_sha256 == again.sha256, (
            f"log_sha256 is {found.log_sha256}, and that of its {len(decisions)} decisions "
            f"{again.sha256}"
        )

    @needs("single steps")
    def test_run_29_nothing_is_kept_of_a_message(self) -> None:
        source = ProbeSource(None, every=5)
        graph = Graph("steady").add("source", source)
        graph.add("node", ProbeNode("node")).add("sink", ProbeNode("sink", is_sink=True))
        runtime = self._make(graph.chain("source", "node", "sink"))
        runtime.start()

        def steps() -> None:
            for _ in range(_MANY * 4):
                runtime.step()
            source.instants.clear()

        kept = bytes_kept(steps)
        runtime.stop()
        assert kept < 2 * SLACK_BYTES, f"about {_MANY} messages went through, and {kept} B stayed"

    def test_run_30_runtimes_share_no_state(self) -> None:
        alone = counters(self._run(_failing()))
        first = self._make(_overload())
        first.start()
        beside = counters(self._run(_failing()))
        first.stop()
        other = [
            f"{name}: {n}, not {alone[name]}" for name, n in beside.items() if n != alone[name]
        ]
        assert not other, f"beside another, a run counts otherwise: {other}"

    def _make(
        self,
        graph: Graph,
        clock: PlatformClock | None = None,
        *,
        drain_ns: int = _DRAIN_NS,
        log: DecisionLog | None = None,
    ) -> LimenRuntime:
        used = SimClock(1000) if clock is None else clock
        return self.make(check(graph, used), used, drain_ns, DecisionLog() if log is None else log)

    def _run(
        self, graph: Graph, clock: PlatformClock | None = None, *, log: DecisionLog | None = None
    ) -> RunStatistics:
        return self._make(graph, clock, log=log).run()

    def _closes(self, statistics: RunStatistics, when: str) -> None:
        wrong = [i.text for i in statistics.identities if not i.closes]
        assert not wrong, f"{when} the accounting does not close: {wrong}"


class _CountingClock(SimClock):
    """Counts how often it is asked for the present."""

    def __init__(self) -> None:
        super().__init__(1000)
        self.samples = 0

    def now_ticks(self) -> Ticks:
        self.samples += 1
        return super().now_ticks()


def _chain(
    diary: list[str] | None,
    *,
    count: int = 3,
    one: ProbeNode | None = None,
    two: ProbeNode | None = None,
    sink: ProbeNode | None = None,
) -> Graph:
    """Return a source, two nodes and a sink that write into one diary."""
    graph = Graph("chain").add("source", ProbeSource(count, diary=diary))
    graph.add("one", ProbeNode("one", diary) if one is None else one)
    graph.add("two", ProbeNode("two", diary) if two is None else two)
    graph.add("sink", ProbeNode("sink", diary, is_sink=True) if sink is None else sink)
    return graph.chain("source", "one", "two", "sink")


def _overload(policy: EdgePolicy | None = None) -> Graph:
    """Return a graph that is brought twice what it can handle, for a second."""
    graph = Graph("overload")
    graph.add("source", ScriptedSource(count=100, every="10ms", pausable=False))
    graph.add("node", ScriptedNode(), NodePolicy(sim_cost="20ms")).add("sink", ScriptedSink())
    graph.connect("source", "node", EdgePolicy.drop_oldest(2) if policy is None else policy)
    return graph.connect("node", "sink")


def _failing() -> Graph:
    """Return a graph whose nodes do all that a script can say."""
    graph = Graph("failing").add("source", ScriptedSource(count=12, every="3ms"))
    script: list[str | dict[str, object]] = ["output", "error", "skip", "consume", "output"]
    graph.add("node", ScriptedNode(script=script)).add("sink", ScriptedSink(script=["error"]))
    return graph.chain("source", "node", "sink")


def _starving() -> Graph:
    """Return a loop whose node consumes the token that it would wait for."""
    graph = Graph("starving").add("source", ScriptedSource(count=2))
    graph.add("join", ScriptedNode(inputs=["in", "state"], script=["consume"]))
    graph.add("sink", ScriptedSink())
    graph.connect("source", "join.in").connect("join", "sink")
    return graph.connect("join", "join.state", initial=[[0, 0, 0, 0]])


def counters(statistics: RunStatistics) -> dict[str, int]:
    """Return all that only grows, by place and name."""
    found: dict[str, int] = {}
    for edge in statistics.edges:
        found |= {f"{edge.name} {n}": getattr(edge, n) for n in ("offered", "pushed", "taken")}
        found[f"{edge.name} refused"] = sum(edge.refused.values())
        found[f"{edge.name} evicted"] = sum(edge.evicted.values())
    for port in statistics.inputs:
        found |= {f"{port.name} {n}": getattr(port, n) for n in ("taken", "consumed")}
        found[f"{port.name} dropped"] = sum(port.dropped.values())
    for out in statistics.outputs:
        found |= {f"{out.name} {n}": getattr(out, n) for n in ("emitted", "offered", "copies")}
    for node in statistics.nodes:
        found |= {f"{node.name} {n}": getattr(node, n) for n in ("steps", "calls", "errors")}
    return found


def _raised(call: Callable[[], object]) -> str:
    """Return what a call that should fail says; empty where it does not."""
    try:
        call()
    except LimenError as error:
        return str(error) or type(error).__name__
    return ""
