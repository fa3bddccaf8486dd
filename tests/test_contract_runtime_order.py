"""The suite of executors asks no more of a concurrent one than that promises."""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from limen.platform import PlatformClock
from limen.runtime import LimenRuntime, SingleThreadRuntime
from limen.scheduling import Plan, Readiness
from limen.telemetry import DecisionLog
from limen.testing import RuntimeContract
from sabotage import assert_holds


class Scattered(SingleThreadRuntime):
    """Steps whoever can be stepped, in random order, each node on a thread of its own.

    It stands for concurrent executors, of which a suite may ask no more than they promise.
    """

    def __init__(
        self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog, seed: int
    ) -> None:
        super().__init__(plan, clock, drain_ns=drain_ns, log=log)
        self._random = random.Random(seed)
        self._workers = [ThreadPoolExecutor(1) for _ in plan.nodes]

    def _decide(self) -> bool:
        stopped = self._limits()
        self._points += 1
        if stopped:
            return False
        changed = False
        places = list(range(len(self._workers)))
        self._random.shuffle(places)
        for place in places:
            moved, stepped = self._workers[place].submit(self._try, place).result()
            if stepped:
                return True
            changed = changed or moved
        if self._judge.all_ended:
            self._outcome = "stopped" if self._stop_handle.is_stopping else "completed"
            return False
        return changed or self._wait()

    def _try(self, place: int) -> tuple[bool, bool]:
        context = self._contexts[place]
        timed = self._due_tick(context) is not None
        moved, readiness = self._judge.judge(context, timed=timed)
        if readiness is Readiness.NOT_READY:
            return moved, False
        self._step_one(context.plan.index)
        return True, True


@pytest.mark.parametrize("seed", range(3))
def test_an_executor_of_another_order_on_other_threads_passes(seed: int) -> None:
    class ScatteredSuite(RuntimeContract):
        lacks: ClassVar[Mapping[str, str]] = {
            "equal logs": "its order is random",
            "steps": "its threads step by themselves",
        }

        def make(
            self, plan: Plan, clock: PlatformClock, drain_ns: int, log: DecisionLog
        ) -> LimenRuntime:
            return Scattered(plan, clock, drain_ns, log, seed)

    assert_holds(ScatteredSuite)
