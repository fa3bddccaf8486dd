"""Instants that 64 bits do not hold, or hardly."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

import limen
from limen.app import make_runtime
from limen.codegen import available_targets
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.policy import EdgePolicy
from limen.telemetry import DecisionLog, RunStatistics
from limen.types import ObjectSpec, PayloadSpec, Ticks


class Numbers(limen.Source):
    """Makes what a function says of 0, 1, 2 …"""

    pausable = True

    def __init__(self, make: Callable[[int], Produced], count: int) -> None:
        self._make = make
        self._count = count
        self.made = 0

    def spec(self) -> PayloadSpec:
        return ObjectSpec(int)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self.made == self._count:
            return SourceSignal.END_OF_STREAM
        self.made += 1
        return self._make(self.made - 1)


class Waiting(Numbers):
    """Is due every 5 ms, but for one instant that lies as good as never ahead."""

    def __init__(self, far: int) -> None:
        super().__init__(Produced, 8)
        self._far = far

    def next_due(self) -> Ticks:
        return Ticks(self._far if self.made == 5 else self.made * 5_000_000)


class Kept(limen.Sink):
    def __init__(self) -> None:
        self.got: list[tuple[object, ...]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.got.append((message.payload, message.header, now))


def outcome(
    target: str, source: limen.Source
) -> tuple[list[str], RunStatistics, list[tuple[object, ...]]]:
    graph, sink, lines = limen.Graph("instants"), Kept(), list[str]()
    graph.add("source", source, limen.NodePolicy(sim_cost="1ms"))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="1ms"))
    graph.add("beside", Numbers(Produced, 100), limen.NodePolicy(sim_cost="1ms"))
    graph.add("end", limen.io.Discard())
    graph.chain("source", "sink", policy=EdgePolicy.block(3))
    graph.chain("beside", "end", policy=EdgePolicy.block(2))
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    runtime = make_runtime(graph, clock=SimClock(), target=target, log=log)
    statistics = runtime.run()
    return lines, statistics, sink.got


@pytest.mark.parametrize("far", [sys.maxsize, 1 << 63, 10**30])
@pytest.mark.parametrize("target", available_targets())
def test_a_source_may_be_due_as_good_as_never(target: str, far: int) -> None:
    wanted = outcome("reference", Waiting(far))
    assert len(wanted[2]) == 8
    assert outcome(target, Waiting(far)) == wanted


@pytest.mark.parametrize("stated", [sys.maxsize, 10**30])
@pytest.mark.parametrize("target", available_targets())
def test_messages_may_be_made_in_a_far_future(target: str, stated: int) -> None:
    def far(number: int) -> Produced:
        return Produced(number, creation_tick=Ticks(stated) if number % 3 == 2 else None)

    wanted = outcome("reference", Numbers(far, 30))
    assert len(wanted[2]) == 30
    assert outcome(target, Numbers(far, 30)) == wanted
