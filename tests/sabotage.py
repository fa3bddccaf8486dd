"""Holds the kit itself to account: each clause has an implementation that breaks just that one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limen.testing import ClauseOutcome, Contract, clause_tests, clauses_of, run_contract

Make = Callable[..., Any]


def sabotaged(suite: type[Contract], make: Make) -> dict[str, str]:
    """Return what was seen of each clause that an implementation fails.

    Args:
        suite: A suite of an implementation of its kind; what that one lacks is skipped here, too.
        make: Makes the saboteur, as the suite's own ``make`` does.
    """

    def sabotaged_make(self: Contract, *args: object, **named: object) -> object:
        return make(*args, **named)

    broken = type(f"Sabotaged{suite.__name__}", (suite,), {"make": sabotaged_make})
    report = run_contract(broken, timeout_s=20)
    return {result.clause: result.detail for result in report.failed}


def assert_caught(suite: type[Contract], clause: str, make: Make, seen: str) -> None:
    """Assert that the kit catches a saboteur, for its clause alone, and says what it saw."""
    found = sabotaged(suite, make)
    assert list(found) == [clause], found
    assert seen in found[clause], f"{seen!r} is not in {found[clause]!r}"


def assert_all_have_saboteurs(suite: type[Contract], saboteurs: Mapping[str, object]) -> None:
    """Assert that each clause of a suite has one, and that there are no others."""
    assert sorted(saboteurs) == sorted(test.clause for test in clause_tests(suite))


def assert_matched(suite: type[Contract]) -> None:
    """Assert that the clauses of the docstrings and those of the tests are the same."""
    stated = [clause for subject in suite.subjects for clause in clauses_of(subject)]
    assert len(set(stated)) == len(stated), stated
    assert [test.clause for test in clause_tests(suite)] == stated


def assert_holds(suite: type[Contract]) -> None:
    """Assert that an implementation passes a suite outside of pytest as well."""
    report = run_contract(suite)
    assert report.passed, str(report)
    assert report.count(ClauseOutcome.PASSED) > 0
