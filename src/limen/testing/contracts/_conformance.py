"""Runs contract suites without pytest, and reports clause by clause."""

from __future__ import annotations

import enum
import inspect
import json
import traceback
import unittest
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from limen.errors import ConfigurationError
from limen.testing.contracts._bounded import OverdueError, bounded
from limen.testing.contracts._contract import (
    ClauseTest,
    Contract,
    asserts_hold,
    check_suite,
    clause_tests,
    reason_to_skip,
)
from limen.testing.contracts._errors import text_of

_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "known": "known to fail"}


class ClauseOutcome(enum.StrEnum):
    """What became of one clause."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    KNOWN_FAILURE = "known"


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """What became of one clause, and why.

    Attributes:
        clause: ``EDGE-1``.
        text: What it asks.
        outcome: What became of it.
        detail: What was seen where it failed, or the reason where it was skipped or is known to
            fail; empty where it passed.
    """

    clause: str
    text: str
    outcome: ClauseOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What an implementation made of a suite.

    Attributes:
        suite: Name of the suite, ``my_package.conformance:MyRingSuite``.
        contract: Name of the contract, ``EdgeContract``.
        results: One for each clause.
    """

    suite: str
    contract: str
    results: tuple[ClauseResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no clause failed, and not all were skipped."""
        return not self.failed and self.count(ClauseOutcome.SKIPPED) < len(self.results)

    @property
    def failed(self) -> tuple[ClauseResult, ...]:
        """The clauses that failed."""
        return tuple(r for r in self.results if r.outcome is ClauseOutcome.FAILED)

    def count(self, outcome: ClauseOutcome) -> int:
        """Return how many clauses came to an outcome."""
        return sum(result.outcome is outcome for result in self.results)

    def to_json(self) -> str:
        """Return the report as one JSON line."""
        return json.dumps({**asdict(self), "passed": self.passed})

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.suite}  {self.contract}"
        width = max((len(result.clause) for result in self.results), default=0)
        for result in self.results:
            yield f"  {result.clause:<{width}}  {_MARKS[result.outcome]:<7}  {_plain(result.text)}"
            yield from (f"  {'':<{width}}    {line}" for line in result.detail.splitlines())
        counts = [
            f"{self.count(outcome)} {_MARKS[outcome].lower()}"
            for outcome in ClauseOutcome
            if self.count(outcome)
        ]
        yield f"  {len(self.results)} clauses: {', '.join(counts)}"


def run_contract(suite: type[Contract], *, timeout_s: float = 60.0) -> ContractReport:
    """Hold an implementation to every clause of its contract.

    Called by ``limen conformance`` and by tests of the kit. Each clause runs on a thread of its
    own, so that one that hangs is a failure of that clause and not the end of the report.

    Args:
        suite: A suite with ``make``.
        timeout_s: Seconds after which a clause counts as hanging.

    Raises:
        ConfigurationError: The suite has no ``make``, or no clauses, or takes one away; or asserts
            are stripped, so that nothing could fail.
    """
    if not asserts_hold():
        raise ConfigurationError(
            "clauses are plain asserts, and this Python strips them",
            remedy="run it without -O and PYTHONOPTIMIZE",
        )
    if inspect.isabstract(suite):
        missing = ", ".join(sorted(suite.__abstractmethods__))
        raise ConfigurationError(
            f"{suite.__qualname__} lacks {missing}", remedy=f"subclass it and write {missing}"
        )
    try:
        check_suite(suite)
    except TypeError as error:
        raise ConfigurationError(str(error)) from error
    tests = clause_tests(suite)
    if not tests:
        raise ConfigurationError(
            f"{suite.__qualname__} has no clauses", remedy="subclass a suite of limen.testing"
        )
    contract = next(base.__qualname__ for base in suite.__mro__ if "subjects" in vars(base))
    results = tuple(_run(suite, test, timeout_s) for test in tests)
    return ContractReport(f"{suite.__module__}:{suite.__qualname__}", contract, results)


def _plain(text: str) -> str:
    return text.replace("``", "")


def _run(suite: type[Contract], test: ClauseTest, timeout_s: float) -> ClauseResult:
    reason = reason_to_skip(suite, test)
    if reason is not None:
        return ClauseResult(
            test.clause, test.text, ClauseOutcome.SKIPPED, f"{test.needs}: {reason}"
        )
    outcome, detail = _outcome(suite, test.method, timeout_s)
    known = suite.known_failures.get(test.clause)
    if known is not None:
        if outcome is ClauseOutcome.FAILED:
            outcome, detail = ClauseOutcome.KNOWN_FAILURE, known
        elif outcome is ClauseOutcome.PASSED:
            outcome = ClauseOutcome.FAILED
            detail = f"it passes, and is listed as known to fail: {known}"
    return ClauseResult(test.clause, test.text, outcome, detail)


def _outcome(suite: type[Contract], method: str, timeout_s: float) -> tuple[ClauseOutcome, str]:
    try:
        return bounded(lambda: _call(suite, method), timeout_s)
    except OverdueError as overdue:
        return ClauseOutcome.FAILED, str(overdue)


def _call(suite: type[Contract], method: str) -> tuple[ClauseOutcome, str]:
    try:
        instance = suite()
        try:
            getattr(instance, method)()
        finally:
            instance.release()
    except unittest.SkipTest as skip:
        return ClauseOutcome.SKIPPED, text_of(skip)
    except AssertionError as failure:
        return ClauseOutcome.FAILED, text_of(failure) or _place(failure)
    # An implementation may raise anything, and pytest's own outcomes are BaseExceptions.
    except BaseException as failure:
        return (
            ClauseOutcome.FAILED,
            f"{type(failure).__name__}: {text_of(failure)} ({_place(failure)})",
        )
    return ClauseOutcome.PASSED, ""


def _place(failure: BaseException) -> str:
    last = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}: {last.line}"
