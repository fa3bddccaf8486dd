"""Programs: what they hold, how they print, and that they decide as the reference does."""

from __future__ import annotations

import bdb
import dataclasses
from collections.abc import Callable
from types import FrameType

import pytest

import limen
from limen.app import check
from limen.codegen import ProgramRuntime, PythonTurns, lower_program, print_python
from limen.codegen._turns import World
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.policy import EdgePolicy
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing import run_table
from limen.types import ObjectSpec, PayloadSpec, Ticks

POLICIES = {
    "block": EdgePolicy.block(3),
    "drop_oldest": EdgePolicy.drop_oldest(2),
    "drop_newest": EdgePolicy.drop_newest(2),
    "mailbox": EdgePolicy.mailbox_latest(),
}


class Numbers(limen.Source):
    """Counts upwards as fast as there is room."""

    pausable = True

    def __init__(self, count: int, bad: int | None = None) -> None:
        self._count = count
        self._bad = bad
        self._numbers = iter(range(count))

    def spec(self) -> PayloadSpec:
        return ObjectSpec(int)

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self._numbers = iter(range(self._count))

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        number = next(self._numbers, None)
        if number is None:
            return SourceSignal.END_OF_STREAM
        if number == self._bad:
            raise RuntimeError("unreadable")
        return Produced(number)


class Kept(limen.Sink):
    """Keeps what arrives, with its header and the instant."""

    def __init__(self) -> None:
        self.got: list[tuple[object, int, int]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.got.append((message.payload, message.header.sequence, now))


def plus(x: int) -> int:
    return x + 1


def odd(x: int) -> int | None:
    return x if x % 2 else None


def picky(x: int) -> int:
    if x % 7 == 3:
        raise ValueError(f"{x} is not to my taste")
    return x


def wrong(x: int) -> int:
    return f"{x}" if x % 5 == 4 else x  # type: ignore[return-value] # what the test is about


FUNCTIONS: dict[str, Callable[..., object]] = {
    "plus": plus,
    "odd": odd,
    "picky": picky,
    "wrong": wrong,
}


def graph_of(
    names: tuple[str, ...], policy: EdgePolicy, *, cost: str = "3ms", bad: int | None = None
) -> tuple[limen.Graph, Kept]:
    graph, sink = limen.Graph("numbers"), Kept()
    graph.add("source", Numbers(40, bad), limen.NodePolicy(sim_cost="1ms"))
    for place, name in enumerate(names):
        graph.add(f"n{place}", limen.node(FUNCTIONS[name]), limen.NodePolicy(sim_cost=cost))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="2ms"))
    places = [f"n{place}" for place in range(len(names))]
    graph.chain("source", *places, "sink", policy=policy)
    return graph, sink


def on_reference(plan: Plan, clock: PlatformClock, log: DecisionLog) -> SingleThreadRuntime:
    return SingleThreadRuntime(plan, clock, log=log)


def on_python(plan: Plan, clock: PlatformClock, log: DecisionLog) -> ProgramRuntime:
    program = lower_program(plan, clock="any", logs=True)
    return ProgramRuntime(plan, clock, program, lambda w: PythonTurns(program, w), log=log)


def outcome(
    make: Callable[..., SingleThreadRuntime], graph: limen.Graph, *, stepwise: bool = False
) -> tuple[list[str], RunStatistics, SingleThreadRuntime]:
    clock, lines = SimClock(), list[str]()
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    runtime = make(check(graph, clock), clock, log)
    if stepwise:
        runtime.start()
        while runtime.step():
            pass
        runtime.stop()
        return lines, runtime.statistics(), runtime
    return lines, runtime.run(), runtime


CHAINS = [(), *((name,) for name in FUNCTIONS), ("plus", "odd", "picky"), ("odd", "wrong", "plus")]


@pytest.mark.parametrize("stepwise", [False, True], ids=["run", "step"])
@pytest.mark.parametrize("bad", [None, 11], ids=["readable", "unreadable"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("names", CHAINS, ids=lambda names: "_".join(names) or "none")
def test_a_program_decides_and_counts_as_the_reference_does(
    names: tuple[str, ...], policy: str, bad: int | None, stepwise: bool
) -> None:
    graph, kept = graph_of(names, POLICIES[policy], bad=bad)
    lines, wanted, _ = outcome(on_reference, graph)
    other, found = graph_of(names, POLICIES[policy], bad=bad)
    logged, statistics, runtime = outcome(on_python, other, stepwise=stepwise)
    assert logged == lines
    assert statistics == wanted
    assert found.got == kept.got
    assert isinstance(runtime, ProgramRuntime)
    assert runtime.turns_taken > 20, "the Program itself decided most of it"


def test_the_scenario_table_holds_with_programs() -> None:
    def execute(
        plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
    ) -> ProgramRuntime:
        program = lower_program(plan, clock="any", logs=True)
        turns = lambda world: PythonTurns(program, world)  # noqa: E731 - bound to this program
        return ProgramRuntime(plan, clock, program, turns, drain_ns=drain_ns, log=log)

    report = run_table(execute)
    assert report.passed, str(report)


def test_equal_plans_print_equal_bytes() -> None:
    texts = {
        print_python(lower_program(check(graph_of(("plus",), POLICIES["block"])[0], SimClock())))
        for _ in range(2)
    }
    assert len(texts) == 1


def test_what_the_program_leaves_to_the_reference_stands_in_its_head() -> None:
    graph, _ = graph_of(("plus",), POLICIES["block"])
    late = limen.NodePolicy(budget=limen.Budget("1ms"))
    graph.add("late", limen.io.Ramp(rate_hz=10, count=2), late)
    graph.add("end", limen.io.Discard())
    graph.chain("late", "end")
    text = print_python(lower_program(check(graph, SimClock())))
    assert "# late has a budget: the reference executor steps it." in text


def test_tracebacks_of_a_node_show_the_users_line_and_name() -> None:
    graph, _ = graph_of(("picky",), POLICIES["block"])
    _, statistics, _ = outcome(on_python, graph)
    node = next(node for node in statistics.nodes if node.name == "n0")
    assert "ValueError: 3 is not to my taste (test_program.py:" in node.messages[0]


def test_every_block_begins_at_any_turn() -> None:
    graph, _ = graph_of(("plus", "odd"), POLICIES["block"])
    text = print_python(lower_program(check(graph, SimClock())))
    guards = [line.strip() for line in text.splitlines() if line.strip().startswith("if turn <=")]
    assert guards == [f"if turn <= {i}:" for i in range(4)]


@pytest.mark.parametrize("name", ["two\nlines", "\ud800", "ü → ∂", "quo'te"])
def test_a_text_says_any_name_in_a_comment_of_one_line(name: str) -> None:
    graph, _ = graph_of(("plus",), POLICIES["block"])
    program = dataclasses.replace(lower_program(check(graph, SimClock())), name=name)
    text = print_python(program)
    assert text.splitlines()[0].startswith("# Graph ")
    assert text.splitlines()[1].startswith("# Program ")
    compile(text, "text", "exec")


class Stopping(bdb.Bdb):
    """Notes where it stops, and what it sees there."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, object]] = []

    def user_line(self, frame: FrameType) -> None:
        self.seen.append((frame.f_lineno, frame.f_locals.get("payload")))
        self.set_continue()


def test_a_breakpoint_works_in_the_text() -> None:
    graph, _ = graph_of(("plus",), POLICIES["block"])
    clock = SimClock()
    plan = check(graph, clock)
    program = lower_program(plan, clock="any")
    turns: list[PythonTurns] = []

    def bind(world: World) -> PythonTurns:
        turns.append(PythonTurns(program, world))
        return turns[0]

    runtime = ProgramRuntime(plan, clock, program, bind)
    lines = turns[0].text.splitlines()
    place = 1 + next(n for n, line in enumerate(lines) if "result = call_1(payload)" in line)
    debugger = Stopping()
    assert debugger.set_break(turns[0].file, place) is None
    # A debugger stops where it begins, once.
    debugger.runcall(runtime.run)
    stopped = [payload for line, payload in debugger.seen if line == place]
    assert stopped == list(range(40))
