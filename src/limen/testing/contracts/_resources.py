"""What an implementation leaves behind: memory, threads, open files."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator

# What an interpreter may allocate by itself meanwhile; an object kept per call is far more.
SLACK_BYTES = 8 * 1024
_DESCRIPTORS = "/dev/fd"
_POLL_S = 0.001


def bytes_kept(calls: Callable[[], object]) -> int:
    """Return the bytes that a round of calls allocated and that are still there.

    Used by suites. The first round fills what is kept for good; of two others the lesser counts:
    caches that NumPy and the interpreter keep for themselves grow in one of them at most.
    """
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        # Traced as well: what later rounds put in the place of this counts as nothing.
        calls()
        found = []
        for _ in range(2):
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            calls()
            gc.collect()
            found.append(tracemalloc.get_traced_memory()[0] - before)
        return min(found)
    finally:
        if not tracing:
            tracemalloc.stop()


class Held:
    """The threads and open files of the process, to see which ones are new later on.

    Called by suites before and after an implementation is used. Where the system does not list
    open files, only threads are looked at.
    """

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._files = _open_files()

    def left(self, patience_s: float) -> list[str]:
        """Return what is there now and was not then; threads have some time to come to an end."""
        left = [f"descriptor {number}" for number in sorted(_open_files() - self._files)]
        new = [thread for thread in threading.enumerate() if thread not in self._threads]
        for thread in new:
            thread.join(patience_s)
        return left + [f"thread {thread.name}" for thread in new if thread.is_alive()]


def returns_within(call: Callable[[], object], patience_s: float) -> tuple[bool, object]:
    """Call on a thread of its own; return whether it came back, and what with.

    An exception is returned, not raised. A call that does not come back is left to itself.
    """
    seen: list[object] = []

    def run() -> None:
        try:
            seen.append(call())
        except Exception as error:
            seen.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(patience_s)
    return bool(seen), seen[0] if seen else None


def asked_again(patience_s: float) -> Iterator[None]:
    """Yield once a millisecond, for as long as patience lasts."""
    pause = threading.Event()
    for _ in range(max(1, round(patience_s / _POLL_S))):
        yield
        pause.wait(_POLL_S)


def _open_files() -> set[int]:
    with contextlib.suppress(OSError):
        found = {int(name) for name in os.listdir(_DESCRIPTORS) if name.isdecimal()}  # noqa: PTH208
        # Listing takes a descriptor itself, which is gone by now.
        return {number for number in found if _is_open(number)}
    return set()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
