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
        for name in vars(cls):
            if name.startswith("test_"):
                owner = next((base for base in cls.__mro__[1:] if name in vars(base)), None)
                if owner is not None:
                    raise TypeError(
                        f"{cls.__qualname__} replaces {owner.__qualname__}.{name}: a test of a "
                        "contract holds for every implementation; say in `lacks` or "
                        "`known_failures` what does not"
                    )
        _require_known(cls, "lacks", cls.lacks, cls.capabilities)
        if cls.known_failures:
            _require_known(cls, "known_failures", cls.known_failures, _test_names(cls))

    def release(self) -> None:  # noqa: B027 - most implementations hold nothing
        """Give back what ``make`` took; called after every test, also after one that failed."""

    def teardown_method(self) -> None:
        """Let pytest call ``release``."""
        self.release()


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
    suite: type[Contract], what: str, given: Mapping[str, str], known: Mapping[str, object]
) -> None:
    for name, reason in given.items():
        if name not in known:
            raise TypeError(
                f"{suite.__qualname__}.{what} names {name!r}; known: {', '.join(sorted(known))}"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise TypeError(f"{suite.__qualname__}.{what}[{name!r}] gives no reason")
