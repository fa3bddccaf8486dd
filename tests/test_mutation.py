"""What ``make mutation`` names, accepts and refuses; mutmut itself does not run here."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

pytest.importorskip("mutmut")

import libcst as cst

import mutation
from mutation import Mutant

_LINE = "limen.edge._ring.Ring.item: return 1 => return 2"


def mutants(killed: int, *left: str) -> list[Mutant]:
    dead = [Mutant(f"k{n}", "edge", f"limen.edge.f: {n} => x", "killed") for n in range(killed)]
    return dead + [Mutant(f"s{name}", "edge", name, "survived") for name in left]


@pytest.fixture
def survivors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "survivors.txt"
    path.write_text("")
    monkeypatch.setattr(mutation, "SURVIVORS", path)
    return path


def test_a_package_whose_mutants_are_killed_or_excused_passes(
    survivors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    survivors.write_text(f"# Why.\n\nIt makes no difference.\n    {_LINE}\n")
    assert mutation.report(mutants(9, _LINE), ["edge"])
    assert "90.0%" in capsys.readouterr().out


def test_a_score_below_the_least_fails_even_if_all_is_excused(survivors: Path) -> None:
    survivors.write_text(f"It makes no difference.\n    {_LINE}\n")
    assert not mutation.report(mutants(8, _LINE), ["edge"])


def test_a_survivor_without_an_excuse_fails_and_is_shown(
    survivors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not mutation.report(mutants(99, _LINE), ["edge"])
    assert _LINE in capsys.readouterr().out


def test_an_excuse_for_what_is_killed_or_gone_fails_and_is_shown(
    survivors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    survivors.write_text(f"It makes no difference.\n    {_LINE}\n")
    assert not mutation.report(mutants(99), ["edge"])
    assert _LINE in capsys.readouterr().out


def test_excuses_for_packages_that_were_not_run_are_left_alone(survivors: Path) -> None:
    survivors.write_text("It makes no difference.\n    limen.memory.f: 1 => 2\n")
    assert mutation.report(mutants(99), ["edge"])


@pytest.mark.parametrize("status", ["suspicious", "not checked", "skipped"])
def test_a_mutant_without_a_verdict_fails(survivors: Path, status: str) -> None:
    survivors.write_text(f"It makes no difference.\n    {_LINE}\n")
    strange = Mutant("x", "edge", _LINE, status)
    assert not mutation.report([*mutants(99), strange], ["edge"])


@pytest.mark.parametrize("status", ["timeout", "segfault"])
def test_a_mutant_that_hangs_or_crashes_is_killed(survivors: Path, status: str) -> None:
    assert mutation.report([*mutants(1), Mutant("x", "edge", _LINE, status)], ["edge"])


def test_no_mutants_at_all_fail(survivors: Path) -> None:
    assert not mutation.report([], ["edge"])


@pytest.mark.parametrize(
    "text", [f"    {_LINE}\n", f"A reason.\n    {_LINE}\n    {_LINE}\n"], ids=["bare", "twice"]
)
def test_a_list_with_a_mutant_without_a_reason_or_twice_is_refused(
    survivors: Path, text: str
) -> None:
    survivors.write_text(text)
    with pytest.raises(SystemExit, match="without a reason, or named twice"):
        mutation.report(mutants(99), ["edge"])


def test_the_list_of_survivors_can_be_read_and_names_these_packages_alone() -> None:
    named = mutation.read_survivors(mutation.PACKAGES)
    lines = mutation.SURVIVORS.read_text().splitlines()
    assert len(named) == sum(line.startswith("    ") for line in lines)
    assert all(" => " in name and reason for name, reason in named.items())


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("limen.edge._ring.xǁRingǁitem__mutmut_3", "limen.edge._ring.Ring.item"),
        ("limen.edge._ring.xǁRingǁ_at__mutmut_12", "limen.edge._ring.Ring._at"),
        ("limen.edge._priority.x__nth__mutmut_1", "limen.edge._priority._nth"),
        ("limen.policy._batching.x_measure__mutmut_1", "limen.policy._batching.measure"),
    ],
)
def test_a_mutant_is_named_by_its_function_without_a_number(key: str, place: str) -> None:
    assert mutation._place(key) == place


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (["-    return 1", "+    return 2"], "return 1 => return 2"),
        (["-    code=1,"], "code=1, => nothing"),
        (["-    f(", "-        1,", "-    )", "+    f(None)"], "f( 1, ) => f(None)"),
    ],
)
def test_a_mutant_is_named_by_what_its_line_was_and_became(changed: list[str], text: str) -> None:
    around = ["--- a", "+++ b", "@@ -1 +1 @@", " def f():"]
    assert mutation._change("\n".join(itertools.chain(around, changed, [" "]))) == text


def test_properties_can_be_mutated_and_mean_the_same() -> None:
    source = (
        "class A:\n"
        "    @property\n"
        "    def x(self):\n"
        "        'Doc.'\n"
        "        return 1\n"
        "    @property\n"
        "    @abc.abstractmethod\n"
        "    def y(self): ...\n"
        "    @classmethod\n"
        "    def z(cls): return 2\n"
    )
    made = cst.parse_module(source).visit(mutation._Properties()).code
    assert "    def x(self):\n        'Doc.'\n        return 1\n    x = property(x)\n" in made
    assert made.count("property") == 2
    assert "    @property\n    @abc.abstractmethod\n" in made
