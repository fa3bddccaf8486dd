"""Instructions a message and hop, on a ratchet: counted where valgrind is, compared where kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import instructions
from instructions import problems


@pytest.mark.slow
@pytest.mark.skipif(instructions.lacking() is not None, reason=str(instructions.lacking()))
def test_a_hop_takes_no_more_instructions_than_the_ratchet_allows() -> None:
    found = {
        name: instructions.measure(t, metrics=m) for name, (t, m) in instructions.cases().items()
    }
    kept = instructions.read().get(instructions.key())
    if kept is None:
        pytest.skip(f"nothing is kept for {instructions.key()}: {found}; {instructions.WRITE}")
    assert not list(problems(found, kept)), "\n".join(problems(found, kept))


@pytest.mark.slow
@pytest.mark.skipif(instructions.lacking() is not None, reason=str(instructions.lacking()))
def test_what_is_counted_is_what_messages_cost() -> None:
    on, off = (instructions.measure("python", metrics=metrics) for metrics in (True, False))
    assert 100 < off < on < 100_000
    again = instructions.measure("python", metrics=False)
    assert abs(again - off) < instructions.TOLERANCE * off, "it is counted twice alike"


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (100.0, []),
        (101.0, []),
        (101.1, ["hop: 101.1 instructions a message and hop, at most 100.0"]),
        (95.0, []),
        (94.9, [f"hop: 94.9 instructions, lower the 100.0: {instructions.WRITE}"]),
    ],
)
def test_a_figure_that_is_not_the_ratchets_is_found(figure: float, said: list[str]) -> None:
    assert list(problems({"hop": figure}, {"hop": 100.0})) == said


def test_a_figure_that_nobody_kept_is_found() -> None:
    assert list(problems({"hop": 5.0}, {})) == [
        f"hop: 5.0 instructions, and none kept: {instructions.WRITE}"
    ]
    assert list(problems({}, {"hop": 5.0})) == [], "native code that this machine cannot build"


def test_figures_are_lowered_and_never_raised(tmp_path: Path) -> None:
    path = tmp_path / "instructions.json"
    path.write_text(json.dumps({"another": {"a": 1.0}}))
    instructions.write({"a": 100.0, "b": 10.0}, path)
    instructions.write({"a": 90.0}, path)
    instructions.write({"a": 90.5, "c": 1.0}, path)
    with pytest.raises(ValueError, match=r"a: 91\.0 is more than the 90\.0 that is kept"):
        instructions.write({"a": 91.0}, path)
    assert instructions.read(path) == {
        "another": {"a": 1.0},
        instructions.key(): {"a": 90.0, "b": 10.0, "c": 1.0},
    }


def test_figures_hold_for_one_python_and_one_compiler() -> None:
    python, _, compiler = instructions.key().partition("; ")
    assert python[0].isdigit()
    assert compiler


def test_every_kept_figure_is_one_that_can_be_counted() -> None:
    names = {
        f"{target}, metrics {state}" for target in ("python", "native") for state in ("on", "off")
    }
    assert all(set(figures) <= names for figures in instructions.read().values())
    assert instructions.read(), "figures are kept for one build at least"
