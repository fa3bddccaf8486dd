"""The memory that a Plan promises is the memory that is allocated, and it does not grow."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from doubles import SCALAR, Doing, TwiceInPlace, forward, runtime_of
from limen import Graph, Sink, Source
from limen.app import check
from limen.errors import GraphError
from limen.memory import StaticMemoryManager
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.testing.drawn import Kind, StoppingClock, draw_graph

GRAPHS = 50
WARM_UP, MESSAGES, MARK = 50_000, 1_000_000, 10_000
PAGE = os.sysconf("SC_PAGE_SIZE")
ALIGNMENT = 64


def static_plans() -> Iterator[tuple[int, Plan, StoppingClock]]:
    """Yield drawn graphs of the static profile, one kind after the other."""
    kinds = list(Kind)
    for seed in range(10_000):
        clock = StoppingClock(None)
        try:
            plan = check(draw_graph(seed, kinds[seed % len(kinds)]).graph(), clock)
        except GraphError:
            continue
        if plan.profile == "static":
            yield seed, plan, clock


def preallocated(runtime: SingleThreadRuntime) -> int:
    """Add up the arrays that a runtime and its nodes hold."""
    total = 0
    for context in runtime._contexts:
        for port in context.outputs:
            assert isinstance(port.manager, StaticMemoryManager)
            total += port.manager._array.nbytes
        for buffer in (context.gather, context._scatter):
            total += 0 if buffer is None else buffer.nbytes
        ring = getattr(context.plan.node, "_ring", None)
        total += 0 if ring is None else ring.nbytes
    return total


@pytest.mark.slow
def test_the_bound_of_fifty_random_graphs_is_what_is_allocated() -> None:
    """NumPy's own allocations, as tracemalloc sees them, are the bound and 64 B a port to align."""
    total = ports = 0
    plans = static_plans()
    for _ in range(GRAPHS):
        seed, plan, clock = next(plans)
        tracemalloc.start()
        try:
            runtime = SingleThreadRuntime(plan, clock)
            for context in runtime._contexts:
                for part in context.plan.parts:
                    part.initialize(clock, context.plan.ports)
            snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
        numpy_only = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = snapshot.filter_traces([numpy_only]).statistics("filename")
        allocated = sum(trace.size for trace in traces)
        outputs = sum(len(node.outputs) for node in plan.nodes)
        assert preallocated(runtime) == plan.memory_bound_bytes, seed
        assert allocated == plan.memory_bound_bytes + ALIGNMENT * outputs, seed
        total += plan.memory_bound_bytes
        ports += outputs
    print(f"{GRAPHS} graphs, {ports} ports: bound {total} B = allocated, and {ALIGNMENT} B a port")


class PacedSource(Source):
    """Counts up in one buffer and looks at the resident set at its marks."""

    pausable = True

    def __init__(self, count: int) -> None:
        self.count = count
        self.made = 0
        self.buffer = np.zeros(1, np.float32)
        self.resident = np.zeros(count // MARK + 1, np.int64)

    def spec(self) -> object:
        return SCALAR

    def try_produce(self, now: int) -> Produced | SourceSignal:
        if self.made % MARK == 0:
            self.resident[self.made // MARK] = resident_bytes()
        if self.made == self.count:
            return SourceSignal.END_OF_STREAM
        self.made += 1
        return Produced(self.buffer)


class Counting(Sink):
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def consume(self, message: Message, now: int) -> None:
        self.count += 1


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc")
def test_a_million_messages_through_a_static_chain_do_not_grow_the_resident_set() -> None:
    """After a warm-up the peak stays: 1 MiB is a byte a message, which any leak exceeds."""
    source, sink = PacedSource(WARM_UP + MESSAGES), Counting()
    graph = Graph("resident").add("source", source).add("copied", Doing(forward))
    graph.add("in_place", TwiceInPlace()).add("sink", sink)
    runtime = runtime_of(graph.chain("source", "copied", "in_place", "sink"))
    assert runtime.plan.profile == "static"
    assert runtime.run().closes
    assert sink.count == WARM_UP + MESSAGES
    after = source.resident[WARM_UP // MARK :]
    growth = int(after.max() - after[0])
    print(f"peak resident set over {MESSAGES} messages: {after.max()} B, grown by {growth} B")
    assert growth < MESSAGES
