"""The pages of the contracts list the clauses that the docstrings state, one page a suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import limen.testing
from limen.testing import Contract, clauses_of

_PAGES = Path(__file__).parents[1] / "docs" / "contracts"
_LISTED = re.compile(r"^- ([A-Z]+-\d+): (.*(?:\n  .*)*)", re.MULTILINE)
_SUITES = {
    name: suite
    for name in limen.testing.__all__
    if isinstance(suite := getattr(limen.testing, name), type)
    and issubclass(suite, Contract)
    and suite.subjects
}


def clauses_on(text: str) -> dict[str, str]:
    """Return the clauses that a page lists, as a docstring would write them."""
    return {
        clause: re.sub(r"\s+", " ", said).replace("`", "``")
        for clause, said in _LISTED.findall(text)
    }


def stated(suite: type[Contract]) -> dict[str, str]:
    return {clause: t for subject in suite.subjects for clause, t in clauses_of(subject).items()}


def page_of(suite: str) -> Path:
    """Return the page that the index names for a suite."""
    index = (_PAGES / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"\| `{suite}` \| \[[^]]+\]\((\S+)\) \|", index)
    assert found is not None, f"the index of the contracts has a row for {suite}"
    return _PAGES / found[1]


@pytest.mark.parametrize("name", _SUITES)
def test_the_page_of_a_suite_lists_its_clauses(name: str) -> None:
    listed = clauses_on(page_of(name).read_text(encoding="utf-8"))
    wanted = stated(_SUITES[name])
    prefixes = {clause.partition("-")[0] for clause in wanted}
    assert {c: t for c, t in listed.items() if c.partition("-")[0] in prefixes} == wanted


def test_no_page_lists_a_clause_that_is_not_stated() -> None:
    known = {clause for suite in _SUITES.values() for clause in stated(suite)}
    listed = {
        clause
        for page in _PAGES.glob("*.md")
        for clause in clauses_on(page.read_text(encoding="utf-8"))
    }
    assert listed == known


def test_a_clause_over_two_lines_is_read_as_one() -> None:
    assert clauses_on("- EDGE-1: `x` of\n  two.\n- EDGE-2: Y.\n\n- no clause\n") == {
        "EDGE-1": "``x`` of two.",
        "EDGE-2": "Y.",
    }
