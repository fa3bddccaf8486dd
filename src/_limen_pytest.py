"""The pytest plugin of Limen's contract kit.

It lies outside the package because pytest loads it in every session: importing ``limen`` there
would cost those who test something else, and hide its modules from coverage.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterable
from pathlib import Path

import pytest

if typing.TYPE_CHECKING:
    from limen.testing import Contract

# The tests of the kit show both sides of a comparison, like those of the suite at hand.
pytest.register_assert_rewrite("limen.testing")

# From the best to the worst.
_OUTCOMES = ("skipped", "passed", "xfailed", "failed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--limen-report``."""
    parser.getgroup("limen").addoption(
        "--limen-report",
        type=Path,
        metavar="FILE",
        help="write what became of every clause of a contract to FILE, as JSON lines",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a report that cannot be written before anything is run."""
    path: Path | None = config.getoption("--limen-report")
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise pytest.UsageError(f"--limen-report {path}: it is a folder, or lies in none")


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Collector | None:
    """Collect the suites that a module defines, whatever they are called."""
    suite = _suite(obj)
    if suite is None or not isinstance(collector, pytest.Module):
        return None
    if suite.__module__ != collector.obj.__name__:
        return None
    missing = ", ".join(sorted(getattr(suite, "__abstractmethods__", ())))
    if missing:
        # One that others derive from is theirs to complete.
        if not suite.__subclasses__():
            collector.warn(pytest.PytestCollectionWarning(f"{name} is not run: it lacks {missing}"))
        return None
    for constructor in ("__init__", "__new__"):
        if getattr(suite, constructor) is not getattr(object, constructor):
            raise collector.CollectError(
                f"{name} has {constructor}, and pytest collects no such class: make what it needs "
                "in make, or in a functools.cached_property"
            )
    try:
        sys.modules["limen.testing"].check_suite(suite)
    except TypeError as error:
        raise collector.CollectError(str(error)) from error
    made: pytest.Collector = pytest.Class.from_parent(collector, name=name, obj=obj)
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what an implementation does without, and what it is known to fail."""
    for item in items:
        suite, clause = _clause(item)
        if suite is None or clause is None:
            continue
        name = f"{suite.__module__}:{suite.__qualname__}"
        item.user_properties += [("limen_suite", name), ("limen_clause", clause)]
        needed = str(getattr(getattr(suite, _method(item)), "__limen_needs__", ""))
        if needed in suite.lacks:
            item.add_marker(pytest.mark.skip(reason=f"{needed}: {suite.lacks[needed]}"))
        elif clause in suite.known_failures:
            reason = suite.known_failures[clause]
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say in a line what became of each suite's clauses, and write the report."""
    rows = list(_rows(terminalreporter))
    path: Path | None = config.getoption("--limen-report")
    if path is not None:
        import json

        lines = (
            json.dumps(dict(zip(("suite", "clause", "outcome"), row, strict=True))) for row in rows
        )
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not any(outcome in ("failed", "error") for _, _, outcome in rows):
        return
    terminalreporter.section("limen contracts")
    for suite in dict.fromkeys(row[0] for row in rows):
        found = {
            outcome: [clause for name, clause, o in rows if name == suite and o == outcome]
            for outcome in _OUTCOMES
        }
        failed = found["failed"] + found["error"]
        passed = len(found["passed"])
        broken = f"; broken: {', '.join(failed)}" if failed else ""
        terminalreporter.write_line(f"{suite}: {passed} held{broken}")


def _rows(reporter: pytest.TerminalReporter) -> Iterable[tuple[str, str, str]]:
    """Yield each clause once, with the worst that became of it: it may run several times."""
    found: dict[tuple[str, str], str] = {}
    for outcome in _OUTCOMES:
        for report in reporter.stats.get(outcome, ()):
            said = dict(getattr(report, "user_properties", ()))
            if "limen_clause" in said:
                found[said["limen_suite"], said["limen_clause"]] = outcome
    for (suite, clause), outcome in found.items():
        yield suite, clause, outcome


def _clause(item: pytest.Item) -> tuple[type[Contract] | None, str | None]:
    suite = _suite(getattr(item, "cls", None))
    if suite is None:
        return None, None
    return suite, sys.modules["limen.testing"].clause_of(_method(item))


def _method(item: pytest.Item) -> str:
    """Return the name of a test without its parameters."""
    return str(getattr(item, "originalname", None) or item.name)


def _suite(obj: object) -> type[Contract] | None:
    """Return a contract suite as such; nothing is one before ``limen.testing`` is imported."""
    testing = sys.modules.get("limen.testing")
    base: type[Contract] | None = getattr(testing, "Contract", None)
    if base is None or not (isinstance(obj, type) and issubclass(obj, base)):
        return None
    return obj if obj.subjects else None
