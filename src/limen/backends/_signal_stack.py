"""Keeps an engine from leaving a thread with a stack for signals that is no more."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """``stack_t`` of Linux, on all its processors."""

    _fields_ = (
        ("ss_sp", ctypes.c_void_p),
        ("ss_flags", ctypes.c_int),
        ("ss_size", ctypes.c_size_t),
    )


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give a thread back the alternate stack for signals that it had, or none, behind a call.

    OpenVINO's CPU device sets one of its own when it is made, in the thread that makes it, and
    gives the memory back when it goes, in whatever thread that is. With several of them the stack
    stays set and is no more; the next signal, a Ctrl-C for example, then ends the process without a
    word. It is meant for threads whose stack is too small for the registers of matrix units, not
    for those that have none: signals come on the thread's own stack there, which has room.
    """
    if sys.platform != "linux":
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before, after = _Stack(), _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(None, ctypes.byref(after))
        if after.ss_sp != before.ss_sp:
            sigaltstack(ctypes.byref(before), None)
