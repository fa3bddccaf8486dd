"""An interrupt between any two lines of generated Python: what it leaves is accounted for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

import limen
from limen.app import make_runtime
from limen.codegen import PythonTurns
from limen.platform import SimClock
from limen.policy import EdgePolicy
from limen.runtime import SingleThreadRuntime
from limen.types import ObjectSpec
from test_program_slots import POLICIES, SPEC, Kept, Made, added, four, text

Trace = Callable[[FrameType, str, object], object]


def turns_of(runtime: SingleThreadRuntime) -> PythonTurns:
    turns = vars(runtime)["_turns"]
    assert isinstance(turns, PythonTurns)
    return turns


def interrupted_at(line: int, graph: limen.Graph) -> SingleThreadRuntime:
    """Run a graph as generated Python, and raise an interrupt ahead of one of its lines."""
    runtime = make_runtime(graph, clock=SimClock(), target="python")
    lines = turns_of(runtime).text.splitlines()
    behind = 1 + lines.index("        finally:")
    left = line

    def trace(frame: FrameType, event: str, given: object) -> Trace | None:
        nonlocal left
        if not frame.f_code.co_filename.startswith("<limen "):
            return None
        # What is done behind the turns is short, and not looked into.
        # An inner try is no place at which CPython looks for signals, nor within the outer one.
        there = frame.f_lineno < behind and lines[frame.f_lineno - 1].strip() != "try:"
        left -= event == "line" and there
        if left == 0:
            left -= 1
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            runtime.run()
    finally:
        sys.settrace(None)
    return runtime


def shared(policy: EdgePolicy) -> limen.Graph:
    graph = limen.Graph("shared")
    graph.add("source", Made(SPEC, four, 1000))
    graph.add("node", limen.node(added)).add("one", Kept()).add("other", Kept())
    graph.connect("source", "node", policy=EdgePolicy.block(3))
    graph.connect("node", "one", policy=policy)
    graph.connect("node", "other", policy=EdgePolicy.block(2))
    return graph


def whole(policy: EdgePolicy) -> limen.Graph:
    graph = limen.Graph("whole")
    graph.add("source", Made(ObjectSpec(int), int, 1000))
    graph.add("node", limen.node(text)).add("end", Kept())
    graph.chain("source", "node", "end", policy=policy)
    return graph


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("make", [shared, whole])
def test_an_interrupt_ahead_of_any_line_leaves_slots_and_one_edge_in_order(
    make: Callable[[EdgePolicy], limen.Graph], policy: str
) -> None:
    # Two rounds of turns, once the queues have filled.
    for line in range(600, 780):
        statistics = interrupted_at(line, make(POLICIES[policy])).statistics()
        for output in statistics.outputs:
            assert output.available == output.capacity, f"line {line}: {output}"
        open_places = [i.place for i in statistics.identities if not i.closes]
        # Broken off between two edges, a message is offered to one of them alone.
        assert all(make is shared and "node.out" in place for place in open_places), line
