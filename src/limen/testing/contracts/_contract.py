"""What all contract suites share: clauses, capabilities, known failures."""

from __future__ import annotations

import abc
import inspect
import re
import unittest
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NoReturn, TypeVar

_CLAUSE = re.compile(r"- ([A-Z]+-\d+): (.*)")
_TEST = re.compile(r"test_([a-z]+)_(\d+)_\w+")
_NEEDS = "__limen_needs__"
_Test = TypeVar("_Test", bound=Callable[..., None])


class Inapplicable(unittest.SkipTest):
    """Raised by a clause that says nothing about the implementation at hand."""


@dataclass(frozen=True, slots=True)
class ClauseTest:
    """One clause of a suite and the test that holds an implementation to it.

    Attributes:
        clause: ``EDGE-1``.
        text: What the contract's docstring says of it; empty where docstrings are stripped.
        method: Name of the test.
        needs: The capability without which it does not apply; None where every implementation is
            held to it.
    """

    clause: str
    text: str
    method: str
    needs: str | None


class Contract(abc.ABC):  # noqa: B024 - each suite has a make of its own signature
    """Base of the suites: subclass one of them, write ``make``, and run it.

    pytest collects a subclass as it is; ``run_contract`` and ``limen conformance`` need no pytest.
    Each test stands for one numbered clause of the contract's docstring, makes what it tests anew,
    and uses plain asserts. A subclass may add tests of its own; it cannot replace one of the kit's.

    Attributes:
        subjects: The contracts whose docstrings number the clauses.
        capabilities: By name, what an implementation may do without. Set by the suites.
        lacks: By capability, why the implementation at hand does without: its clauses are skipped,
            with that reason.
        known_failures: By clause, why the implementation at hand fails it for now. A clause that is
            listed and passes is a failure: the list must be true.
    """

    subjects: ClassVar[tuple[type, ...]] = ()
    capabilities: ClassVar[Mapping[str, str]] = {}
    lacks: ClassVar[Mapping[str, str]] = {}
    known_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_suite(cls)

    def release(self) -> None:  # noqa: B027 - most implementations hold nothing
        """Give back what ``make`` took; called after every test, also after one that failed."""

    def teardown_method(self) -> None:
        """Let pytest call ``release``."""
        self.release()


def check_suite(suite: type[Contract]) -> None:
    """Refuse a suite that does without a test of a contract, or whose lists say what is not.

    Called where a suite is defined, and again before it is run: what it is may have changed since.

    Raises:
        TypeError: A test is replaced, also by a class beside the contract; a clause is tested
            twice; `lacks` or `known_failures` name what is not there, or give no reason.
    """
    owners: dict[str, type] = {}
    methods: dict[str, str] = {}
    for base in reversed(suite.__mro__):
        for name in vars(base):
            clause = clause_of(name)
            if clause is None:
                continue
            owner = owners.setdefault(name, base)
            if owner is not base:
                raise TypeError(
                    f"{base.__qualname__} replaces {owner.__qualname__}.{name}: a test of a "
                    "contract holds for every implementation; say in `lacks` or "
                    "`known_failures` what does not"
                )
            method = methods.setdefault(clause, name)
            if method != name:
                raise TypeError(
                    f"{base.__qualname__}.{name} is named as the test of {clause}, which "
                    f"{owners[method].__qualname__}.{method} is; give a test of your own another "
                    "name"
                )
    _require_known(suite, "lacks", suite.lacks, suite.capabilities)
    _require_known(suite, "known_failures", suite.known_failures, methods)


def asserts_hold() -> bool:
    """Return whether a plain assert of the kit can fail: ``python -O`` strips them.

    Asked before a suite is run. pytest writes them anew, so that there they can.
    """

    def fails(held: bool) -> bool:
        try:
            assert held, "this is what is asked"
        except AssertionError:
            return True
        return False

    return fails(False)


def needs(capability: str) -> Callable[[_Test], _Test]:
    """Mark a test that applies only to implementations with a capability.

    Used by whoever writes a suite; ``capability`` is one that the suite names.
    """

    def mark(test: _Test) -> _Test:
        setattr(test, _NEEDS, capability)
        return test

    return mark


def inapplicable(reason: str) -> NoReturn:
    """Skip the clause at hand: nothing of what it speaks of is there.

    Raises:
        Inapplicable: Always.
    """
    raise Inapplicable(reason)


def clauses_of(subject: type) -> dict[str, str]:
    """Return the numbered clauses of a contract's docstring, in their order."""
    found: dict[str, str] = {}
    last: str | None = None
    for line in (inspect.cleandoc(subject.__doc__ or "")).splitlines():
        match = _CLAUSE.match(line)
        if match is not None:
            last = match[1]
            found[last] = match[2]
        elif last is not None and line.startswith("  "):
            found[last] += f" {line.strip()}"
        else:
            last = None
    return found


def clause_tests(suite: type[Contract]) -> tuple[ClauseTest, ...]:
    """Return the clauses that a suite tests, by contract and number."""
    texts = {
        clause: text for subject in suite.subjects for clause, text in clauses_of(subject).items()
    }
    names = _test_names(suite)
    tests = (
        ClauseTest(clause, texts.get(clause, ""), name, getattr(getattr(suite, name), _NEEDS, None))
        for clause, name in names.items()
    )
    order = {clause: place for place, clause in enumerate(texts)}
    return tuple(sorted(tests, key=lambda test: order.get(test.clause, len(order))))


def clause_of(method: str) -> str | None:
    """Return the clause that a test's name states; None for a test of someone's own."""
    match = _TEST.fullmatch(method)
    return None if match is None else f"{match[1].upper()}-{match[2]}"


def reason_to_skip(suite: type[Contract], test: ClauseTest) -> str | None:
    """Return why a clause does not apply to an implementation; None where it does."""
    return None if test.needs is None else suite.lacks.get(test.needs)


def _test_names(suite: type[Contract]) -> dict[str, str]:
    return {clause: name for name, clause in _named(suite)}


def _named(suite: type[Contract]) -> Iterator[tuple[str, str]]:
    for name in dir(suite):
        clause = clause_of(name)
        if clause is not None and callable(getattr(suite, name)):
            yield name, clause


def _require_known(
    suite: type[Contract], what: str, given: object, known: Mapping[str, object]
) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{suite.__qualname__}.{what} is a {type(given).__name__}; write a dict that gives a "
            "reason for each"
        )
    for name, reason in given.items():
        if name not in known:
            raise TypeError(
                f"{suite.__qualname__}.{what} names {name!r}; known: {', '.join(sorted(known))}"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise TypeError(f"{suite.__qualname__}.{what}[{name!r}] gives no reason")
