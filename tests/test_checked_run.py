"""Runs with checked memory: who misuses it is named, and its error action says what follows."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import (
    BatchNode,
    Cell,
    CollectingSink,
    ListSource,
    Twice,
    TwiceInPlace,
    node_of,
    numbers,
)
from limen import EdgePolicy, Graph, NodePolicy, ProcessNode, SimClock, Sink
from limen.app import check
from limen.cli import main
from limen.cli._execute import ExitCode
from limen.errors import GraphError
from limen.message import BatchView, Message
from limen.node import Node, NodeKind, NodePorts, Port, StepResult
from limen.policy import Batching, ErrorAction
from limen.runtime import SingleThreadRuntime
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing.drawn import StoppingClock, draw_graph


def run(graph: Graph, *, checked: bool = True) -> RunStatistics:
    return limen.run(graph, clock=SimClock(), checked=checked).statistics


def chain(
    *nodes: object, count: int = 4, policy: NodePolicy | None = None, items: int = 16
) -> Graph:
    """A source of numbers, the nodes, and a sink where the last node is none."""
    graph = Graph("checked").add("source", ListSource(numbers(count)))
    names = ["source"]
    for number, node in enumerate(nodes):
        names.append(f"n{number}")
        graph.add(names[-1], node, policy=policy)
    if not isinstance(nodes[-1], Sink):
        graph.add("sink", CollectingSink())
        names.append("sink")
    return graph.chain(*names, policy=EdgePolicy.block(items))


class KeepingSink(Sink):
    """Keeps views: the oldest mistake there is."""

    def __init__(self, what: Callable[[np.ndarray], object]) -> None:
        self.what = what
        self.kept: list[object] = []

    def consume(self, message: Message, now: int) -> None:
        assert isinstance(message.payload, np.ndarray)
        self.kept.append(self.what(message.payload))


class LastOne(ProcessNode):
    """Compares with the last payload, of which it keeps a slice."""

    def __init__(self) -> None:
        self.last: np.ndarray | None = None

    def process(self, x: Cell) -> Cell:
        before = x if self.last is None else self.last
        self.last = x[:]
        return x - before


class KeepsItsSlot(ProcessNode):
    """Keeps the slot it writes to, and goes on writing there."""

    def __init__(self, writes: bool = True) -> None:
        self.slots: list[np.ndarray] = []
        self.writes = writes

    def process(self, x: Cell, out: Cell) -> Cell:
        for slot in self.slots if self.writes else ():
            slot[...] = -1
        self.slots.append(out)
        np.copyto(out, x)
        return out


class KeepsBatches(ProcessNode):
    """Keeps the whole batch."""

    def __init__(self) -> None:
        self.batches: list[object] = []

    def process_batch(self, xs: Float32[np.ndarray, "n 1"]) -> Cell:
        self.batches.append(xs[1:])
        return xs.sum(axis=0)


class WritesToItsInput(ProcessNode):
    """Goes round what NumPy forbids."""

    def process(self, x: Cell) -> Cell:
        ctypes.memset(x.ctypes.data, 0x40, x.nbytes)
        return np.zeros(1, np.float32)


class Meddler(Node):
    """Does with the runtime's own managers what no node may."""

    kind = NodeKind.SINK
    input_names = ("in",)
    output_names = ()

    def __init__(self, meddle: Callable[[object], object]) -> None:
        self.meddle = meddle

    def resolve(self, inputs: object) -> NodePorts:
        return NodePorts((Port("in", limen.TensorSpec(limen.DataType.F32, (1,))),))

    def step(self, ctx: object) -> StepResult:
        self.meddle(ctx)
        return ctx.pop_and_process("in", lambda message: limen.Consumed())


def test_a_sink_that_keeps_views_fails_once_for_each_message() -> None:
    found = run(chain(KeepingSink(lambda view: view)))
    sink = node_of(found, "n0")
    assert (found.outcome, sink.errors, sink.processed) == ("completed", 4, 4)
    assert "slot 0 of source.out) was kept past the call, by node 'n0'" in sink.messages[0]
    assert "message 0 of source, item 0" in sink.messages[0]
    assert "memory was checked: 4 misuses found" in found.notes
    assert found.closes


def test_a_sink_that_copies_is_left_alone() -> None:
    found = run(chain(KeepingSink(np.copy)))
    assert node_of(found, "n0").errors == 0
    assert "memory was checked: no misuse found" in found.notes


def test_a_slice_kept_for_the_next_call_is_found_and_only_its_node_is_blamed() -> None:
    found = run(chain(Twice(), LastOne(), TwiceInPlace()))
    assert [node.errors for node in found.nodes] == [0, 0, 4, 0, 0]
    assert "of n0.out) was kept past the call, by node 'n1'" in node_of(found, "n1").messages[0]


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (ErrorAction.CONTINUE, "completed"),
        (ErrorAction.QUIESCE, "completed"),
        (ErrorAction.HALT_GRAPH, "halted"),
    ],
)
def test_the_error_action_says_what_a_misuse_leads_to(action: ErrorAction, outcome: str) -> None:
    policy = NodePolicy(error_action=action)
    found = run(chain(LastOne(), policy=policy))
    errors = 4 if action is ErrorAction.CONTINUE else 1
    assert (found.outcome, node_of(found, "n0").errors) == (outcome, errors)
    assert found.closes


def test_a_slot_kept_and_written_later_is_the_keepers_doing() -> None:
    found = run(chain(KeepsItsSlot(), Twice(), count=8, items=1))
    keeper = node_of(found, "n0")
    assert [node.errors for node in found.nodes if node.name != "n0"] == [0, 0, 0]
    assert "of n0.out) was kept past the call" in keeper.messages[0]
    assert any("a freed slot was written" in text for text in keeper.messages)
    assert all("by node 'n0'" in text for text in keeper.messages)


def test_a_batch_that_is_kept_is_found_over_slots_and_over_the_gather_buffer() -> None:
    policy = NodePolicy(batching=Batching(max_items=3))
    found = run(chain(KeepsBatches(), count=24, policy=policy, items=5))
    node = node_of(found, "n0")
    assert node.errors == node.calls == 8
    assert 0 < node.gathers < node.calls
    assert any("a view of a batch of n0 was kept" in text for text in node.messages)
    assert any("(slot 0 of source.out) to token" in text for text in node.messages)


def test_bytes_written_round_numpy_are_found() -> None:
    found = run(chain(WritesToItsInput(), count=1))
    (text,) = node_of(found, "n0").messages
    assert "written while others may read it" in text
    assert "slot 0 of source.out), by node 'n0'" in text


def _token(ctx: object) -> tuple[object, int]:
    link = ctx.inputs[0]
    return link.manager, link.consumer.try_peek_at(0)


def _free(ctx: object) -> None:
    manager, token = _token(ctx)
    manager.free(token)


def _free_twice(ctx: object) -> None:
    manager, token = _token(ctx)
    manager.free(token)
    manager.free(token)


def _foreign(ctx: object) -> None:
    manager, token = _token(ctx)
    manager.begin_read(token ^ (3 << 32))


def _write_while_reading(ctx: object) -> None:
    manager, token = _token(ctx)
    with manager.read(token), manager.read_mut(token):
        pass


@pytest.mark.parametrize(
    ("meddle", "said"),
    [
        (_free, "a read of a freed slot: token"),
        (_free_twice, "a free of a freed slot: token"),
        (_foreign, "a read of a foreign token at source.out: token"),
        (_write_while_reading, "a write under a read guard to token"),
    ],
)
def test_what_a_node_does_to_managers_is_its_failure_and_never_a_traceback(
    meddle: Callable[[object], None], said: str
) -> None:
    found = run(_ends_in(meddle))
    node = node_of(found, "meddler")
    assert node.errors >= 1
    assert said in node.messages[0]
    assert "(slot 0 of " in node.messages[0]
    assert "by node 'meddler'" in node.messages[0]


def _ends_in(meddle: Callable[[object], None]) -> Graph:
    graph = Graph("meddled").add("source", ListSource(numbers(2)))
    return graph.add("meddler", Meddler(meddle)).connect("source", "meddler")


def test_a_misuse_that_no_node_can_be_blamed_for_halts_the_run_with_a_message() -> None:
    found = run(_ends_in(_free))
    assert found.outcome == "halted"
    (note,) = [note for note in found.notes if note.startswith("halted by a misuse of memory: ")]
    assert "a free of a freed slot: token" in note
    assert "(slot 0 of source.out), by node 'meddler', freed by node 'meddler'" in note


def test_a_model_may_keep_the_arrays_it_is_bound_to() -> None:
    class Bound(BatchNode):
        def step(self, ctx: object) -> StepResult:
            def infer(batch: BatchView, out: np.ndarray) -> None:
                self.batches.append((batch.payloads, out))
                np.copyto(out, batch.payloads)

            return ctx.pop_batch_and_process("in", infer)

    found = run(chain(Bound(), count=9, policy=NodePolicy(batching=Batching(max_items=2))))
    assert node_of(found, "n0").errors == 0


def decide(seed: int, *, checked: bool) -> tuple[list[str], RunStatistics] | None:
    drawn = draw_graph(seed)
    clock = StoppingClock(drawn.stop_at_tick)
    lines: list[str] = []
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    try:
        plan = check(drawn.graph(), clock)
    except GraphError:
        return None
    runtime = SingleThreadRuntime(plan, clock, log=log, checked=checked)
    clock.handle = runtime.stop_handle
    runtime.start()
    for _ in range(1000):
        if not runtime.step():
            break
    runtime.stop()
    return lines, runtime.statistics()


def test_checking_changes_no_decision_and_accuses_nobody() -> None:
    compared = 0
    for seed in range(70):
        plain = decide(seed, checked=False)
        if plain is None:
            continue
        lines, found = decide(seed, checked=True)
        assert lines == plain[0], seed
        assert found.edges == plain[1].edges
        assert found.inputs == plain[1].inputs
        assert found.closes == plain[1].closes
        assert "memory was checked: no misuse found" in found.notes, (seed, found.notes)
        compared += 1
    print(f"{compared} graphs decide alike, checked and not")
    assert compared > 30


_MODULE = """
import limen, numpy as np
from jaxtyping import Float32
from limen.message import Message

class Hoard(limen.Sink):
    def __init__(self): self.kept = []
    def consume(self, message: Message, now: int): self.kept.append(message.payload[1:])
"""
_GRAPH = """
limen = 1
name = "hoarding"
[nodes.imu]
type = "csv"
path = "walk.csv"
columns = ["x", "y"]
rate_hz = 10
[nodes.keep]
type = "{module}:Hoard"
{policy}
[[edges]]
chain = ["imu", "keep"]
"""


@pytest.mark.parametrize(
    ("policy", "code"),
    [("", ExitCode.DONE), ('policy = { error_action = "halt_graph" }', ExitCode.FAILED)],
)
def test_limen_run_checked_names_who_keeps_a_view(
    policy: str,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    module = f"hoard_{code.name.lower()}"
    Path(f"{module}.py").write_text(_MODULE)
    Path("walk.csv").write_text("x,y\n1,2\n3,4\n")
    Path("graph.toml").write_text(_GRAPH.format(policy=policy, module=module))
    words = ["limen", "run", "graph.toml", "--sim", "--allow-import"]
    for more, said in ([], False), (["--checked"], True):
        monkeypatch.setattr("sys.argv", words + more)
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr().err
        assert ("was kept past the call, by node 'keep'" in told) is said
        assert ("memory was checked: " in told) is said
        assert "Traceback" not in told
        assert left.value.code == (code if said else ExitCode.DONE)
