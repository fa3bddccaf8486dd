"""Stands and copies of nodes: by themselves they change nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import BatchNode, CollectingSink, ListSource, numbers
from limen.platform import PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog
from limen.testing import drills, first_difference, load_scenario, run, scenarios
from limen.testing._copy import copied_parts
from limen.testing._stand import Listener, Stand, Tap, with_parts, with_stands

One = Float32[np.ndarray, "1"]
_SCENARIOS = [scenario.path for scenario in scenarios()]


def through_stands(
    plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
) -> SingleThreadRuntime:
    copied = with_parts(plan, copied_parts(part for node in plan.nodes for part in node.parts))
    stands = with_stands(copied, lambda node: Stand(node, Tap(), Listener()))
    return SingleThreadRuntime(stands, clock, drain_ns=drain_ns, log=log, checked=True)


@pytest.mark.parametrize("path", _SCENARIOS, ids=lambda path: path.stem)
def test_stands_on_copies_of_nodes_decide_as_the_nodes_do(path: Path) -> None:
    scenario = load_scenario(path)
    seen = run(scenario, through_stands)
    assert first_difference(scenario.log, seen.log) is None
    assert seen.statistics.outcome == scenario.outcome


class Keeping(limen.ProcessNode):
    """Has what a node may have: arrays over others, what it shares, what cannot be copied."""

    def __init__(self, shared: list[int] | None = None) -> None:
        self.buffer = np.arange(12, dtype=np.float32).reshape(3, 4)
        self.column = self.buffer[:, 1]
        self.tail = self.buffer.reshape(-1)[-2:]
        self.fortran = np.asfortranarray(self.buffer)
        self.turned = self.fortran.T[1:]
        self.over_bytes = np.frombuffer(b"abcd", np.uint8)
        self.over_bytes_too = self.over_bytes[1:]
        self.names = np.array(["a", {}], object)[:1]
        self.shared = shared

    def process(self, x: One) -> One:
        return x * np.float32(1)


def test_arrays_that_share_memory_share_it_in_a_copy_and_not_with_the_original() -> None:
    original = Keeping()
    original.tail.flags.writeable = False
    copied = copied_parts([original])(original)
    assert isinstance(copied, Keeping)
    copied.buffer[:] = -1
    copied.fortran[:] = -2
    assert np.all(copied.column == -1)
    assert np.all(copied.tail == -1)
    assert np.all(copied.turned == -2)
    assert copied.column.shape == (3,)
    assert not copied.tail.flags.writeable
    assert np.array_equal(original.buffer.reshape(-1), np.arange(12))
    assert original.turned[0, 0] == 1
    assert bytes(copied.over_bytes_too) == b"bcd"


def test_what_nodes_share_is_one_in_their_copies() -> None:
    shared: list[int] = []
    first, second = Keeping(shared), Keeping(shared)
    find = copied_parts([first, second, first])
    assert find(first).shared is find(second).shared
    assert find(first).shared is not shared


def test_what_cannot_be_copied_is_used_itself_and_others_are_copied() -> None:
    first, locked, over = Keeping(), Keeping(), Keeping()
    locked.lock = threading.Lock()
    over.memory = np.frombuffer(memoryview(bytearray(8)), np.uint8)
    last = Keeping()
    find = copied_parts([first, locked, over, last])
    assert find(locked) is locked
    assert find(over) is over
    assert find(first) is not first
    assert find(last) is not last


class Both(NamedTuple):
    low: float
    high: float


def parts(x: float) -> Both:
    return Both(x, x + 10)


def batches() -> limen.Graph:
    graph = limen.Graph("batches").add("source", ListSource(numbers(8)))
    graph.add("net", BatchNode(), limen.NodePolicy(batching=limen.Batching.fixed(4)))
    return graph.add("sink", CollectingSink()).chain("source", "net", "sink")


def test_the_calls_of_a_model_are_counted_by_batch() -> None:
    report = drills.failing_model(batches(), "net", at=1)
    assert report.sequences("sink") == [0, 1, 2, 3]
    assert report.lost(reason="error") == 4


def test_the_results_of_a_model_are_corrupted_item_by_item() -> None:
    report = drills.corrupt_message(batches(), "net", "nan", at=[1, 6])
    nan = [bool(np.isnan(payload).any()) for payload in report.payloads("sink")]
    assert nan == [False, True, False, False, False, False, True, False]
    with pytest.raises(AssertionError, match="sink: 1 of 8 results hold NaN"):
        drills.corrupt_message(batches(), "net -> sink", "nan", at=2, finite=True)


def test_a_window_and_its_messages_reach_a_sink_with_their_headers() -> None:
    @limen.node(batch=True)
    def total(xs: Float32[np.ndarray, "n 1"]) -> One:
        return xs.sum(axis=0)

    graph = limen.Graph("window").add("source", limen.io.Ramp(50, count=9))
    graph.add("total", total, limen.NodePolicy(batching=limen.Batching.fixed(3)))
    graph.add("sink", CollectingSink()).chain("source", "total", "sink")
    report = drills.slow_node(graph, "total", cost="5ms")
    assert [float(x[0]) for x in report.payloads("sink")] == [3, 12, 21]
    assert report.sequences("sink") == [2, 5, 8]


def test_one_output_of_several_is_corrupted_by_its_edge() -> None:
    graph = limen.Graph("parts")
    graph.add("source", ListSource([1.0, 2.0], spec=limen.ObjectSpec(float)))
    graph.add("parts", limen.node(parts)).add("a", CollectingSink()).add("b", CollectingSink())
    graph.connect("source", "parts").connect("parts.low", "a").connect("parts.high", "b")
    report = drills.corrupt_message(graph, "parts.high -> b", "nan", at=0)
    assert report.payloads("a") == [1.0, 2.0]
    assert np.isnan(report.payloads("b")[0])
    with pytest.raises(limen.LimenError, match="'parts' has 2 outputs; name one of their edges"):
        drills.corrupt_message(graph, "parts", "nan", at=0)
    with pytest.raises(limen.LimenError, match="float cannot be wrong by what='shape'"):
        drills.corrupt_message(graph, "source", "shape", at=0)
