"""What bytecode tells of users' functions: which argument one reads, which one is replaced."""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import FunctionType, MethodType

_SEES_ALL = frozenset(
    {
        *("locals", "vars", "eval", "exec", "dir", "_getframe", "currentframe", "stack"),
        *("breakpoint", "set_trace"),
    }
)


def reads(function: Callable[..., object], place: int) -> bool:
    """Whether a call may look at its positional argument at a place; True where it is not known.

    Called by the lowering, for the instant that sources and sinks are given.

    Args:
        function: What is called.
        place: Of the argument as the caller counts, from 0.
    """
    if isinstance(function, MethodType):
        function, place = function.__func__, place + 1
    if not isinstance(function, FunctionType):
        return True
    code = function.__code__
    # What has the frame of a generator or coroutine, or takes the rest, is left alone.
    if place >= code.co_argcount or code.co_flags & _UNUSUAL:
        return True
    name = code.co_varnames[place]
    if name in code.co_cellvars or _SEES_ALL.intersection(code.co_names):
        return True
    return any(_names(instruction, name) for instruction in dis.get_instructions(code))


_UNUSUAL = 0x04 | 0x20 | 0x80 | 0x200
"""Flags of code with ``*args``, and of generators, coroutines and both."""


def _names(instruction: dis.Instruction, name: str) -> bool:
    if "FAST" not in instruction.opname:
        return False
    found = instruction.argval
    return name in found if isinstance(found, tuple) else name == found


def replaces(owner: object, names: frozenset[str]) -> bool:
    """Whether an object assigns one of its own functions while it runs.

    Called by the lowering: whoever is bound to a function once would go on calling the old one.
    What ``__init__`` assigns is there before anybody is bound.

    Args:
        owner: Whose functions they are.
        names: Of the functions.
    """
    return any(
        _assigns(member, names)
        for kind in type(owner).__mro__
        if kind.__module__.partition(".")[0] != "limen"
        for name, member in vars(kind).items()
        if name != "__init__"
    )


def _assigns(member: object, names: frozenset[str]) -> bool:
    if not isinstance(member, FunctionType) or names.isdisjoint(member.__code__.co_names):
        return False
    return any(
        instruction.opname == "STORE_ATTR" and instruction.argval in names
        for instruction in dis.get_instructions(member)
    )
