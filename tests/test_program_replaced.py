"""Nodes that assign their own functions while they run: the one that is there is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

import limen
from limen.app import make_runtime
from limen.codegen import available_targets
from limen.codegen._reads import reads
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import PlatformClock, SimClock
from limen.types import ObjectSpec, PayloadSpec, Ticks


class Numbers(limen.Source):
    pausable = True

    def __init__(self) -> None:
        self.numbers = iter(range(20))

    def spec(self) -> PayloadSpec:
        return ObjectSpec(int)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        number = next(self.numbers, None)
        return SourceSignal.END_OF_STREAM if number is None else Produced(number)


class Opened(Numbers):
    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self.try_produce = self.fast  # type: ignore[method-assign] # the point

    def fast(self, now: Ticks) -> Produced | SourceSignal:
        number = next(self.numbers, None)
        return SourceSignal.END_OF_STREAM if number is None else Produced(number + 100)


class Searching(limen.ProcessNode):
    def process(self, x: int) -> int:
        if x == 5:
            self.process = self.track  # type: ignore[method-assign] # the point
        return x

    def track(self, x: int) -> int:
        return -x


class Kept(limen.Sink):
    def __init__(self) -> None:
        self.got: list[object] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.got.append(message.payload)


class Tidying(Kept):
    def consume(self, message: Message, now: Ticks) -> None:
        super().consume(message, now)
        self.consume = self.rest  # type: ignore[method-assign] # the point

    def rest(self, message: Message, now: Ticks) -> None:
        self.got.append("rest")


CASES: dict[str, Callable[[], tuple[limen.Source, limen.ProcessNode | None, Kept]]] = {
    "source": lambda: (Opened(), None, Kept()),
    "node": lambda: (Numbers(), Searching(), Kept()),
    "sink": lambda: (Numbers(), None, Tidying()),
}


def arrived(case: str, target: str) -> list[object]:
    source, node, sink = CASES[case]()
    graph = limen.Graph("replaced")
    graph.add("source", source).add("sink", sink)
    if node is None:
        graph.chain("source", "sink")
    else:
        graph.add("node", node).chain("source", "node", "sink")
    make_runtime(graph, clock=SimClock(), target=target).run()
    return sink.got


@pytest.mark.parametrize("target", available_targets())
@pytest.mark.parametrize("case", CASES)
def test_the_function_that_is_there_is_called(case: str, target: str) -> None:
    wanted = arrived(case, "reference")
    assert wanted != list(range(20))
    assert arrived(case, target) == wanted


def test_a_function_that_looks_at_its_frame_reads_its_arguments() -> None:
    def looking(now: Ticks) -> object:
        return inspect.stack()[0].frame.f_locals

    def halting(now: Ticks) -> None:
        breakpoint()

    def blind(now: Ticks) -> int:
        return 1

    assert [reads(function, 0) for function in (looking, halting, blind)] == [True, True, False]
