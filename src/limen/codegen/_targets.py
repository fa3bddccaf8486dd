"""Targets by name, and the executor that each of them makes of a Plan."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from pathlib import Path

from limen.codegen._cython import print_cython
from limen.codegen._executor import ProgramRuntime
from limen.codegen._lower import lower_program
from limen.codegen._native import build, load_built
from limen.codegen._native import why_not as why_no_native
from limen.codegen._native_turns import NativeTurns
from limen.codegen._program import Program
from limen.codegen._python_turns import PythonTurns
from limen.codegen._turns import Turns, World
from limen.errors import ConfigurationError
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, PolicyEvent, Telemetry

_log = logging.getLogger("limen")


class Target(enum.StrEnum):
    """What a graph runs as; the value is its name in graph files and on the command line."""

    AUTO = "auto"
    """``native`` where it can be built, else ``python``."""
    REFERENCE = "reference"
    """The executor that all others are compared with."""
    PYTHON = "python"
    """A generated Python function."""
    NATIVE = "native"
    """The same, compiled."""


def available_targets() -> tuple[str, ...]:
    """Return the names of the targets that this machine can run, the slowest first."""
    names = (Target.REFERENCE.value, Target.PYTHON.value)
    return names if why_no_native() is not None else (*names, Target.NATIVE.value)


def find_target(name: str) -> Target:
    """Return a target by its name.

    Raises:
        ConfigurationError: There is none of that name.
    """
    try:
        return Target(name)
    except ValueError:
        raise ConfigurationError(
            f"there is no target {name!r}",
            remedy=f"choose one of {', '.join(t.value for t in Target)}",
        ) from None


def make_executor(
    plan: Plan,
    clock: PlatformClock,
    target: Target = Target.AUTO,
    *,
    drain_ns: int = 10_000_000_000,
    log: DecisionLog | None = None,
    on_event: Callable[[PolicyEvent], None] | None = None,
    telemetry: Telemetry | None = None,
    checked: bool = False,
    built: Path | None = None,
) -> SingleThreadRuntime:
    """Return what runs a Plan as a target, for one run; nothing has started yet.

    Memory that is checked, and a graph of which a Program holds no node, are run by the reference
    executor whatever the target: there is nothing to specialise.

    Args:
        plan: What to run; lowered for a clock of the same tick rate.
        clock: The graph's clock.
        target: What it runs as.
        drain_ns: How long a stop may drain before the rest is given up.
        log: Where its decisions are recorded.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting.
        checked: Whether memory finds out who misuses it.
        built: Where native code lies that was built ahead of time; None to build it here.

    Raises:
        ConfigurationError: ``native`` is asked for and cannot be built here, or what was built
            ahead of time is of another graph or machine.
    """
    if built is not None and target in (Target.REFERENCE, Target.PYTHON):
        raise ConfigurationError(
            f"{built} holds native code, and the target is {target}",
            remedy="choose the target native or auto, or name no built code",
        )
    if target is Target.REFERENCE or checked:
        return SingleThreadRuntime(
            plan,
            clock,
            drain_ns=drain_ns,
            log=log,
            on_event=on_event,
            telemetry=telemetry,
            checked=checked,
        )
    machine = type(clock) is MonotonicClock
    program = lower_program(plan, clock="monotonic" if machine else "any", logs=log is not None)
    return ProgramRuntime(
        plan,
        clock,
        program,
        _binder(program, target, built),
        drain_ns=drain_ns,
        log=log,
        on_event=on_event,
        telemetry=telemetry,
    )


def _binder(program: Program, target: Target, built: Path | None) -> Callable[[World], Turns]:
    """Return what binds a Program to its world on a target."""
    if target is Target.PYTHON or not program.holds_any:
        return lambda world: PythonTurns(program, world)
    if built is not None:
        module = load_built(built, program.digest)
        return lambda world: NativeTurns(program, world, module)
    missing = why_no_native()
    if missing is None:
        try:
            module = build(print_cython(program), program.digest)
        except ConfigurationError as error:
            if target is Target.NATIVE:
                raise
            _log.warning("graph %s runs as generated Python: %s", program.name, error)
            return lambda world: PythonTurns(program, world)
        return lambda world: NativeTurns(program, world, module)
    if target is Target.NATIVE:
        raise ConfigurationError(
            f"graph {program.name!r} cannot be built as native code: {missing}",
            remedy="install what is missing, or choose the target python or auto",
        )
    _log.info("graph %s runs as generated Python: %s", program.name, missing)
    return lambda world: PythonTurns(program, world)
