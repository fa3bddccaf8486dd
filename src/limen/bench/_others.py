"""What else passes messages on: what is written without a library, and other libraries.

Each function passes ``count`` messages through 8 stages that call a function, and returns
nanoseconds per message and stage. Starting and stopping is left out where it can be told apart.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from limen.bench import _libraries as libraries
from limen.bench._measure import LIMEN_TARGETS, Setting, now_ns
from limen.codegen import why_not

HOPS: Final = libraries.HOPS
CAPACITY: Final = libraries.CAPACITY

Passes = Callable[[Callable[..., object], object, int], float]

_LIBRARIES: dict[str, tuple[str, Passes]] = {
    "gstreamer": ("gi", libraries.gstreamer),
    "lmflow": ("lmflow", libraries.lmflow),
    "pyzmq": ("zmq", libraries.pyzmq),
    "bytewax": ("bytewax", libraries.bytewax),
}


def other_targets() -> tuple[str, ...]:
    """Return the names of all that is compared, installed or not."""
    return ("deque", "asyncio", "threads", *_LIBRARIES)


def other_kinds(case: str, setting: Setting) -> Iterator[tuple[str, Passes]]:
    """Yield what is compared in a case and asked for; what is not installed is said.

    Args:
        case: All of it in ``chain8``, the loop over deques with tensors as well.
        setting: Whom to tell.
    """
    if case in ("chain8", "chain8_tensor") and setting.wants("deque"):
        yield "deque", deques
    if case != "chain8":
        return
    missing = why_not()
    if missing is not None and setting.wants(LIMEN_TARGETS[-1]):
        setting.say(f"hop native: skipped: {missing}")
    if setting.wants("asyncio"):
        yield "asyncio", tasks
    if setting.wants("threads"):
        yield "threads", threads
    for name, (module, run) in _LIBRARIES.items():
        if not setting.wants(name):
            continue
        if importlib.util.find_spec(module) is None:
            setting.say(f"hop {name}: skipped: the module {module} is not installed")
        else:
            yield name, run


def deques(function: Callable[..., object], payload: object, count: int) -> float:
    """Loop over queues, as it is written by hand."""
    queues: list[deque[object]] = [deque(maxlen=CAPACITY) for _ in range(HOPS + 1)]
    stages = list(itertools.pairwise(queues))
    begun = now_ns()
    for _ in range(count):
        queues[0].append(payload)
        for source, target in stages:
            target.append(function(source.popleft()))
        queues[-1].popleft()
    return (now_ns() - begun) / (count * HOPS)


def tasks(function: Callable[..., object], payload: object, count: int) -> float:
    """Run a task a stage, with an ``asyncio.Queue`` between them."""
    return asyncio.run(_tasks(function, payload, count)) / (count * HOPS)


async def _tasks(function: Callable[..., object], payload: object, count: int) -> int:
    queues: list[asyncio.Queue[object]] = [asyncio.Queue(CAPACITY) for _ in range(HOPS + 1)]

    async def stage(source: asyncio.Queue[object], target: asyncio.Queue[object]) -> None:
        for _ in range(count):
            await target.put(function(await source.get()))

    async def feed() -> None:
        for _ in range(count):
            await queues[0].put(payload)

    async def drain() -> None:
        for _ in range(count):
            await queues[-1].get()

    stages = [stage(source, target) for source, target in itertools.pairwise(queues)]
    begun = now_ns()
    await asyncio.gather(feed(), *stages, drain())
    return now_ns() - begun


def threads(function: Callable[..., object], payload: object, count: int) -> float:
    """Run a thread a stage, with a ``queue.Queue`` between them."""
    queues: list[queue.Queue[object]] = [queue.Queue(CAPACITY) for _ in range(HOPS + 1)]

    def stage(source: queue.Queue[object], target: queue.Queue[object]) -> None:
        for _ in range(count):
            target.put(function(source.get()))

    def feed() -> None:
        for _ in range(count):
            queues[0].put(payload)

    workers = [threading.Thread(target=feed, daemon=True)]
    for ends in itertools.pairwise(queues):
        workers.append(threading.Thread(target=stage, args=ends, daemon=True))
    begun = now_ns()
    for worker in workers:
        worker.start()
    for _ in range(count):
        queues[-1].get()
    took = now_ns() - begun
    for worker in workers:
        worker.join()
    return took / (count * HOPS)
