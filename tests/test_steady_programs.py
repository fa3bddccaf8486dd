"""Generated Python and native code keep nothing of the messages that went through, metrics on."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from array import array
from collections.abc import Callable

import numpy as np
import pytest

import chains
import limen
from limen.app import make_runtime
from limen.codegen import ProgramRuntime, why_not
from limen.message import Message
from limen.types import ObjectSpec, Ticks

ROUNDS = 512
"""Rounds after which generated Python sorts durations: marks lie in the same place of that."""
WARM_UP = 20 * ROUNDS
NATIVE = pytest.param(
    "native", marks=pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
)


MOST_B = 64
"""Numbers that gain a digit on their way, instants above all, grow by 4 bytes once."""


class Keeper:
    """A source that looks, at its marks, at how much memory is in use; it keeps nothing itself."""

    def __init__(self, *marks: int) -> None:
        self.marks = marks
        self.in_use = array("q", [0] * len(marks))

    def look(self, made: int) -> None:
        # Ended here, so that the frames of this run have been seen by a profiler: on Python 3.11
        # tracemalloc would search the whole of a long function for every line else.
        sys.setprofile(None)
        gc.collect()
        self.in_use[self.marks.index(made)] = tracemalloc.get_traced_memory()[0]


def numbers(keeper: Keeper) -> tuple[limen.Graph, chains.Counted]:
    source = chains.Repeated(ObjectSpec(int), 7, keeper.marks[-1] + 1, keeper.marks, keeper.look)
    return chains.chain_of(source, chains.same)


def tensors(keeper: Keeper) -> tuple[limen.Graph, chains.Counted]:
    payload = np.ones(6, np.float32)
    source = chains.Repeated(
        chains.SAMPLE, payload, keeper.marks[-1] + 1, keeper.marks, keeper.look
    )
    return chains.chain_of(source, chains.same_sample)


CHAINS = {"numbers": numbers, "tensors": tensors}


def kept(
    chain: Callable[[Keeper], tuple[limen.Graph, chains.Counted]], target: str, messages: int
) -> int:
    """Return the bytes that are kept of so many messages, once a run has settled."""
    keeper = Keeper(WARM_UP, WARM_UP + messages)
    graph, sink = chain(keeper)
    runtime = make_runtime(graph, target=target)
    tracemalloc.start()
    sys.setprofile(lambda frame, event, given: None)
    try:
        statistics = runtime.run()
    finally:
        sys.setprofile(None)
        tracemalloc.stop()
    assert isinstance(runtime, ProgramRuntime)
    assert runtime.turns_taken > messages * chains.HOPS
    assert statistics.closes
    assert statistics.nodes[1].latency.count == sink.count == keeper.marks[-1] + 1
    before, after = keeper.in_use
    print(f"{target}: {after - before} B kept of {messages} messages")
    return after - before


@pytest.mark.parametrize("target", ["python", NATIVE])
@pytest.mark.parametrize("chain", CHAINS)
def test_twenty_thousand_messages_leave_nothing_behind(chain: str, target: str) -> None:
    assert kept(CHAINS[chain], target, 40 * ROUNDS) <= MOST_B


@pytest.mark.slow
@pytest.mark.parametrize("target", ["python", NATIVE])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_million_messages_leave_nothing_behind(chain: str, target: str) -> None:
    assert kept(CHAINS[chain], target, 1_954 * ROUNDS) <= MOST_B


class Hoarding(chains.Counted):
    """Keeps one number of every thousand messages."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[int] = []

    def consume(self, message: Message, now: Ticks) -> None:
        super().consume(message, now)
        if self.count % 1_000 == 0:
            self.kept.append(self.count + 1_000_000_000)


def test_what_is_kept_of_one_message_in_a_thousand_is_found() -> None:
    def hoarding(keeper: Keeper) -> tuple[limen.Graph, chains.Counted]:
        sink = Hoarding()
        source = chains.Repeated(
            ObjectSpec(int), 7, keeper.marks[-1] + 1, keeper.marks, keeper.look
        )
        return chains.chain_of(source, chains.same, sink=sink)

    assert kept(hoarding, "python", 40 * ROUNDS) > 4 * MOST_B
