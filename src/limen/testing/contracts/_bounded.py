"""Calls that may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class OverdueError(Exception):
    """Raised for a call that did not return in time."""


def bounded(call: Callable[[], _T], timeout_s: float) -> _T:
    """Return what a call returns, or raise what it raises; it runs on a thread of its own.

    Used wherever code of somebody else is tried. What hangs is left behind on its thread, which
    does not keep the process alive.

    Raises:
        OverdueError: It did not return in time.
    """
    returned: list[_T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(call())
        # It is raised again where it belongs.
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(min(timeout_s, threading.TIMEOUT_MAX))
    if raised:
        raise raised[0]
    if not returned:
        raise OverdueError(f"it did not return within {timeout_s:g} s")
    return returned[0]
