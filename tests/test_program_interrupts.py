"""What an interrupt leaves behind, on every target."""

from __future__ import annotations

import pytest

import limen
from limen.app import make_runtime
from limen.codegen import available_targets
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.policy import EdgePolicy
from limen.telemetry import Decision, DecisionLog
from limen.types import ObjectSpec, PayloadSpec, Ticks


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
