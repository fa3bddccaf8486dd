"""Whether this machine can run Limen, and what is missing."""

from __future__ import annotations

import enum
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from limen.compute import ComputeBackend
from limen.errors import InferenceError
from limen.platform import MonotonicClock
from limen.types import Ticks, format_ns

_LEAST_PYTHON: Final = (3, 11)
_NAP_NS: Final = 1_000_000


class State(enum.StrEnum):
    """What was found; only a problem keeps graphs from running."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is.
        state: Whether it will do.
        detail: What was found.
        remedy: What would help; empty where nothing is needed.
    """

    subject: str
    state: State
    detail: str
    remedy: str = ""


def diagnose() -> tuple[Finding, ...]:
    """Look at interpreter, machine, packages, components and clock; starts and changes nothing."""
    return (
        *_interpreter(),
        *_machine(),
        *_packages(),
        *_entry_points("limen.backends", "backend"),
        *_entry_points("limen.components", "component"),
        *_entry_points("limen.edges", "edge"),
        *_surroundings(),
    )


def _interpreter() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= _LEAST_PYTHON
    detail = f"{platform.python_implementation()} {version}"
    remedy = "" if good else "install Python 3.11 or newer"
    yield Finding("python", State.OK if good else State.PROBLEM, detail, remedy)


def _machine() -> Iterator[Finding]:
    known = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    detail = f"{platform.system()} on {platform.machine()}"
    yield Finding(
        "platform",
        State.OK if known else State.NOTE,
        detail if known else f"{detail}, which is untested",
    )
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processors", State.OK, f"{usable} usable of {os.cpu_count()}")


def _packages() -> Iterator[Finding]:
    for name in ("numpy", "msgspec", "typer", "rich"):
        try:
            yield Finding(name, State.OK, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, State.PROBLEM, "not installed", f"pip install {name}")


def _entry_points(group: str, what: str) -> Iterator[Finding]:
    """Load what is offered under a group: a package that is broken shows here, not in a run."""
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda e: e.name):
        subject = f"{what} {entry.name}"
        try:
            offered = entry.load()
        except Exception as error:
            text = f"{entry.value} cannot be loaded: {type(error).__name__}: {error}"
            remedy = "repair the package that offers it, or install it again"
            yield Finding(subject, State.PROBLEM, text, remedy)
            continue
        if what == "backend":
            yield _engine(subject, entry.value, offered)
        else:
            yield Finding(subject, State.OK, entry.value)


def _engine(subject: str, place: str, make: Callable[[], ComputeBackend]) -> Finding:
    """Import a backend's engine; one that is not there is no problem until a graph wants it."""
    try:
        return Finding(subject, State.OK, make().engine() or place)
    except InferenceError as error:
        missing = isinstance(error.__cause__, ModuleNotFoundError)
        state = State.NOTE if missing else State.PROBLEM
        return Finding(subject, state, error.message, error.remedy)
    except Exception as error:
        text = f"{place} cannot name its engine: {type(error).__name__}: {error}"
        return Finding(subject, State.PROBLEM, text, "repair the package that offers it")


def _surroundings() -> Iterator[Finding]:
    clock = MonotonicClock()
    begun = clock.now_ticks()
    clock.wait_until(Ticks(begun + _NAP_NS))
    late = clock.now_ticks() - begun - _NAP_NS
    yield Finding("timer", State.OK, f"a sleep of 1 ms took {format_ns(max(late, 0))} more")
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    good = encoding.lower().replace("-", "") == "utf8"
    yield Finding(
        "output",
        State.OK if good else State.NOTE,
        f"stdout is {encoding}",
        "" if good else "run python -X utf8, or set the locale to UTF-8",
    )
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    yield Finding("compiler", State.OK if compiler else State.NOTE, compiler or "none found")
