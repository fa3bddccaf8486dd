"""What an interrupt leaves behind, on every target."""

from __future__ import annotations

import numpy as np
import pytest

import limen
from limen.app import make_runtime
from limen.codegen import available_targets
from limen.errors import LifecycleError, NodeError
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.policy import EdgePolicy
from limen.telemetry import Decision, DecisionLog
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks


class Lists(limen.Source):
    pausable = True

    def __init__(self) -> None:
        self._numbers = iter(range(30))

    def spec(self) -> PayloadSpec:
        return ObjectSpec(list)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        number = next(self._numbers, None)
        return SourceSignal.END_OF_STREAM if number is None else Produced([number])


def interrupted_at(target: str, decision: int) -> tuple[bool, list[str]]:
    """Interrupt the writer of a log at a decision; whether all is accounted for, and the log."""
    graph, lines = limen.Graph("line"), list[str]()
    graph.add("source", Lists(), limen.NodePolicy(sim_cost="1ms"))
    graph.add("sink", limen.io.Discard())
    graph.chain("source", "sink", policy=EdgePolicy.block(3))

    def write(made: Decision) -> None:
        lines.append(made.canonical())
        if len(lines) == decision:
            raise KeyboardInterrupt

    runtime = make_runtime(graph, clock=SimClock(), target=target, log=DecisionLog(write))
    with pytest.raises(KeyboardInterrupt):
        runtime.run()
    return all(identity.closes for identity in runtime.statistics().identities), lines


@pytest.mark.parametrize("target", available_targets())
def test_an_interrupted_note_loses_no_message(target: str) -> None:
    wanted = interrupted_at("reference", 20)
    assert "|take|" in wanted[1][19]
    assert interrupted_at(target, 20) == wanted


class Ticking(Lists):
    """Is asked at its instants, ahead of turns, and breaks off at one of them."""

    def __init__(self, breaks: BaseException | None, late: BaseException | None = None) -> None:
        super().__init__()
        self._breaks, self._late = breaks, late
        self._due = Ticks(0)

    def next_due(self) -> Ticks:
        if self._late is not None and self._due > 12_000_000:
            raise self._late
        return self._due

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        self._due = Ticks(self._due + 5_000_000)
        if self._breaks is not None and self._due > 15_000_000:
            raise self._breaks
        return super().try_produce(now)


FOUR = TensorSpec(DataType.F32, (4,))


class Tensors(Lists):
    def spec(self) -> TensorSpec:
        return FOUR

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        super().try_produce(now)
        return Produced(np.zeros(4, np.float32))


def beside(
    target: str, source: limen.Source, error: type[BaseException]
) -> tuple[bool, list[str], list[tuple[int, int, int]]]:
    """Run a source with a schedule beside another one; whether the slots are all there."""
    graph, lines = limen.Graph("beside"), list[str]()
    graph.add("ticking", source, limen.NodePolicy(sim_cost="1ms"))
    graph.add("end", limen.io.Discard(), limen.NodePolicy(sim_cost="1ms"))
    graph.add("tensors", Tensors(), limen.NodePolicy(sim_cost="2ms"))
    graph.add("sink", limen.io.Discard(), limen.NodePolicy(sim_cost="1ms"))
    graph.chain("ticking", "end", policy=EdgePolicy.block(3))
    graph.chain("tensors", "sink", policy=EdgePolicy.block(2))
    log = DecisionLog(lambda made: lines.append(made.canonical()))
    runtime = make_runtime(graph, clock=SimClock(), target=target, log=log)
    with pytest.raises(error):
        runtime.run()
    run = runtime.statistics()
    slots = [(output.capacity, output.available, output.live) for output in run.outputs]
    return all(identity.closes for identity in run.identities), lines, slots


@pytest.mark.parametrize("target", available_targets())
def test_a_source_that_breaks_off_ahead_of_turns_leaves_others_what_they_did(target: str) -> None:
    def broken() -> Ticking:
        return Ticking(KeyboardInterrupt())

    wanted = beside("reference", broken(), KeyboardInterrupt)
    assert wanted[0]
    assert beside(target, broken(), KeyboardInterrupt) == wanted


@pytest.mark.parametrize("target", available_targets())
def test_a_schedule_that_fails_leaves_others_what_they_did(target: str) -> None:
    def failing() -> Ticking:
        return Ticking(None, ValueError("no schedule"))

    wanted = beside("reference", failing(), NodeError)
    assert wanted[0]
    assert beside(target, failing(), NodeError) == wanted


@pytest.mark.parametrize("target", available_targets())
def test_nothing_is_stepped_before_the_start(target: str) -> None:
    graph = limen.Graph("line")
    graph.add("source", Lists()).add("sink", limen.io.Discard()).chain("source", "sink")
    runtime = make_runtime(graph, clock=SimClock(), target=target)
    for go in (runtime.step, runtime.advance):
        with pytest.raises(LifecycleError, match="new"):
            go()
    assert runtime.statistics().nodes[0].steps == 0
