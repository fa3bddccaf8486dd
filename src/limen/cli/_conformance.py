"""Hold implementations to their contracts, and print what came of it."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

from limen.errors import ConfigurationError
from limen.types import error_text, parse_duration_ns

if typing.TYPE_CHECKING:
    from limen.testing import Contract, ContractReport, Executor, TableReport


def check_conformance(
    target: str,
    lacks: Sequence[str],
    timeout: str,
    *,
    scenarios: bool,
    json: bool,
    say: Callable[[str], None],
) -> bool:
    """Run the suites that a target stands for; whether all their clauses hold.

    Args:
        target: ``module:name`` or ``module``; looked for in the working folder, too.
        lacks: ``capability=reason`` of an implementation.
        timeout: With a unit.
        scenarios: Whether to compare a runtime with the scenario table instead.
        json: Whether to say a JSON line a suite instead of text.
        say: Prints.

    Raises:
        ConfigurationError: There is nothing to run, or an option is malformed.
    """
    from limen.testing import find_suites, run_contract, run_table

    timeout_s = parse_duration_ns(timeout, what="--timeout") / 1e9
    if timeout_s <= 0:
        raise ConfigurationError(f"--timeout is {timeout}", remedy="give a time above 0")
    sys.path.insert(0, str(Path.cwd()))
    passed = True
    with _output_aside():
        suites = find_suites(target, _reasons(lacks))
    for suite in suites:
        report: ContractReport | TableReport
        with _output_aside():
            if scenarios:
                report = run_table(_executor(target, suite), timeout_s=timeout_s, name=target)
            else:
                report = run_contract(suite, timeout_s=timeout_s)
        say(report.to_json() if json else str(report))
        passed = passed and report.passed
    return passed


def _executor(target: str, suite: type[Contract]) -> Executor:
    from limen.testing import RuntimeContract

    if not issubclass(suite, RuntimeContract) or inspect.isabstract(suite):
        raise ConfigurationError(
            f"{target!r} is no runtime", remedy="leave --scenarios out, or name what makes one"
        )
    try:
        return suite().make
    except Exception as error:
        raise ConfigurationError(
            f"{target!r} cannot be made: {error_text(error)}", remedy="let it do without arguments"
        ) from error


@contextmanager
def _output_aside() -> Iterator[None]:
    """Let what is on trial print to stderr, and keep its warnings from there.

    Stdout is the report's, and nobody else closes it. What graphs of a trial lose and how they fail
    is in the report, if it matters.
    """
    logger, quiet = logging.getLogger("limen"), logging.NullHandler()
    try:
        descriptor = os.dup(2)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    aside = os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace")
    logger.addHandler(quiet)
    try:
        with redirect_stdout(aside):
            yield
    finally:
        logger.removeHandler(quiet)
        # It may have been closed underneath.
        with suppress(OSError):
            aside.close()


def _reasons(lacks: Sequence[str]) -> dict[str, str]:
    reasons = {}
    for text in lacks:
        capability, _, reason = text.partition("=")
        if not (capability.strip() and reason.strip()):
            raise ConfigurationError(
                f"--lacks {text!r} gives no reason", remedy='write "lanes=one queue for all"'
            )
        reasons[capability.strip()] = reason.strip()
    return reasons
