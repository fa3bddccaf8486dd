"""The kit itself: what a suite may not do, what is skipped, known to fail, hanging, reported."""

from __future__ import annotations

import abc
import ast
import inspect
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

import limen.testing
from limen.cli import main
from limen.errors import ConfigurationError
from limen.testing import (
    CheckedMemoryContract,
    ClauseOutcome,
    Contract,
    ContractReport,
    EdgeContract,
    MemoryManagerContract,
    clause_tests,
    clauses_of,
    find_suites,
    inapplicable,
    needs,
    run_contract,
)


class Bowl:
    """Holds one thing.

    - BOWL-1: ``put`` then ``take`` returns
      the thing.
    - BOWL-2: An empty bowl gives None.
    - BOWL-3: With a lid, nothing falls out.

    Not a clause - BOWL-9: this.
    """

    def __init__(self) -> None:
        self.thing: object = None

    def put(self, thing: object) -> None:
        self.thing = thing

    def take(self) -> object:
        thing, self.thing = self.thing, None
        return thing


class BowlContract(Contract):
    subjects = (Bowl,)
    capabilities: ClassVar[Mapping[str, str]] = {"lid": "it can be shut"}

    @abc.abstractmethod
    def make(self) -> Bowl: ...

    def test_bowl_1_what_was_put_is_taken(self) -> None:
        bowl = self.make()
        bowl.put("soup")
        seen = bowl.take()
        assert seen == "soup", f"put soup and took {seen}"

    def test_bowl_2_an_empty_bowl_gives_none(self) -> None:
        seen = self.make().take()
        assert seen is None, f"an empty bowl gave {seen}"

    @needs("lid")
    def test_bowl_3_a_lid_holds(self) -> None:
        assert hasattr(self.make(), "shut"), "there is no lid"


class Lidless(BowlContract):
    lacks: ClassVar[Mapping[str, str]] = {"lid": "it is a bowl"}

    def make(self) -> Bowl:
        return Bowl()


def outcomes(report: ContractReport) -> dict[str, tuple[ClauseOutcome, str]]:
    return {result.clause: (result.outcome, result.detail) for result in report.results}


def test_clauses_are_read_over_their_lines() -> None:
    assert clauses_of(Bowl) == {
        "BOWL-1": "``put`` then ``take`` returns the thing.",
        "BOWL-2": "An empty bowl gives None.",
        "BOWL-3": "With a lid, nothing falls out.",
    }


def test_a_report_states_every_clause_and_why_one_was_skipped() -> None:
    report = run_contract(Lidless)
    assert report.passed
    assert outcomes(report) == {
        "BOWL-1": (ClauseOutcome.PASSED, ""),
        "BOWL-2": (ClauseOutcome.PASSED, ""),
        "BOWL-3": (ClauseOutcome.SKIPPED, "lid: it is a bowl"),
    }
    assert str(report) == textwrap.dedent(
        f"""\
        {__name__}:Lidless  BowlContract
          BOWL-1  ok       put then take returns the thing.
          BOWL-2  ok       An empty bowl gives None.
          BOWL-3  skipped  With a lid, nothing falls out.
                    lid: it is a bowl
          3 clauses: 2 ok, 1 skipped"""
    )


def test_a_failure_says_what_was_seen() -> None:
    class Leaking(Bowl):
        def put(self, thing: object) -> None:
            self.thing = "air"

    class LeakingSuite(Lidless):
        def make(self) -> Bowl:
            return Leaking()

    report = run_contract(LeakingSuite)
    assert not report.passed
    assert [result.clause for result in report.failed] == ["BOWL-1"]
    assert "put soup and took air" in report.failed[0].detail
    assert "1 failed" in str(report)
    stated = json.loads(report.to_json())
    assert stated["passed"] is False
    assert stated["results"][0]["outcome"] == "failed"


def test_an_implementation_that_raises_fails_with_the_place() -> None:
    class Cracked(Bowl):
        def take(self) -> object:
            raise KeyboardInterrupt("crack")

    class CrackedSuite(Lidless):
        def make(self) -> Bowl:
            return Cracked()

    details = [result.detail for result in run_contract(CrackedSuite).failed]
    assert len(details) == 2
    assert all(
        text.startswith("KeyboardInterrupt: crack (test_contract_kit.py:") for text in details
    )


def test_an_assert_without_a_text_is_reported_by_its_line() -> None:
    class TerseSuite(Lidless):
        def test_bowl_4_own(self) -> None:
            if self.make().take() is None:
                raise AssertionError

    seen = outcomes(run_contract(TerseSuite))["BOWL-4"]
    assert seen[0] is ClauseOutcome.FAILED
    assert seen[1].endswith("raise AssertionError")


def test_a_known_failure_is_no_failure_as_long_as_it_fails() -> None:
    class Known(BowlContract):
        known_failures: ClassVar[Mapping[str, str]] = {"BOWL-3": "the lid is being made"}

        def make(self) -> Bowl:
            return Bowl()

    report = run_contract(Known)
    assert report.passed
    assert outcomes(report)["BOWL-3"] == (ClauseOutcome.KNOWN_FAILURE, "the lid is being made")


def test_a_known_failure_that_passes_is_a_failure() -> None:
    class Outdated(Lidless):
        known_failures: ClassVar[Mapping[str, str]] = {"BOWL-2": "it gives air"}

    report = run_contract(Outdated)
    assert [result.clause for result in report.failed] == ["BOWL-2"]
    assert "it passes, and is listed as known to fail: it gives air" in report.failed[0].detail


def test_a_clause_that_hangs_is_a_failure_of_that_clause() -> None:
    released = threading.Event()

    class Sticky(Bowl):
        def take(self) -> object:
            if self.thing is not None:
                released.wait(30)
            return super().take()

    class StickySuite(Lidless):
        def make(self) -> Bowl:
            return Sticky()

    report = run_contract(StickySuite, timeout_s=0.2)
    released.set()
    assert [(r.clause, r.detail) for r in report.failed] == [
        ("BOWL-1", "it did not return within 0.2 s")
    ]


def test_what_make_took_is_released_after_each_clause_also_after_a_failure() -> None:
    calls: list[str] = []

    class Counting(Lidless):
        def make(self) -> Bowl:
            calls.append("make")
            raise OSError("no clay")

        def release(self) -> None:
            calls.append("release")

    report = run_contract(Counting)
    assert calls == ["make", "release", "make", "release"]
    assert all("OSError: no clay" in result.detail for result in report.failed)


def test_a_clause_that_says_nothing_of_an_implementation_is_skipped_with_the_reason() -> None:
    class Vacuous(Lidless):
        def test_bowl_4_handles(self) -> None:
            inapplicable("it has no handles")

    assert outcomes(run_contract(Vacuous))["BOWL-4"] == (
        ClauseOutcome.SKIPPED,
        "it has no handles",
    )


def test_a_report_in_which_all_clauses_are_skipped_has_not_passed() -> None:
    class Absent(Lidless):
        def make(self) -> Bowl:
            inapplicable("there is none")

    report = run_contract(Absent)
    assert report.failed == ()
    assert not report.passed


def test_a_test_of_the_kit_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match=r"Cheat replaces BowlContract\.test_bowl_1"):

        class Cheat(Lidless):
            def test_bowl_1_what_was_put_is_taken(self) -> None:
                pass


def test_a_test_of_the_kit_cannot_be_taken_away() -> None:
    with pytest.raises(TypeError, match="replaces"):
        type("Gone", (Lidless,), {"test_bowl_2_an_empty_bowl_gives_none": None})


def test_a_test_of_the_kit_cannot_be_replaced_from_beside() -> None:
    class Lenient:
        test_bowl_1_what_was_put_is_taken = None

    with pytest.raises(TypeError, match=r"replaces BowlContract\.test_bowl_1"):
        type("Mixed", (Lenient, Lidless), {})


def test_a_clause_is_tested_once_under_whatever_name() -> None:
    with pytest.raises(TypeError, match=r"Other\.test_bowl_1_zeal is named as the test of BOWL-1"):
        type("Other", (Lidless,), {"test_bowl_1_zeal": lambda self: None})


def test_what_became_of_a_suite_since_it_was_defined_is_seen_before_it_is_run() -> None:
    class Later(Lidless):
        pass

    method = clause_tests(Later)[0].method
    setattr(Later, method, lambda self: None)
    with pytest.raises(ConfigurationError, match=rf"Later replaces BowlContract\.{method}"):
        run_contract(Later)

    class Ashamed(Lidless):
        pass

    Ashamed.known_failures = {"BOWL-1": ""}
    with pytest.raises(ConfigurationError, match="gives no reason"):
        run_contract(Ashamed)


def test_an_error_that_cannot_be_printed_is_a_failure_like_others() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Mute(Lidless):
        def make(self) -> Bowl:
            raise MuteError

    report = run_contract(Mute)
    assert "MuteError: its __str__ raises ValueError" in outcomes(report)["BOWL-1"][1]


def test_a_clause_may_take_as_long_as_can_be_said() -> None:
    assert run_contract(Lidless, timeout_s=1e30).passed


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("lacks", ["lid"], "lacks is a list; write a dict"),
        ("known_failures", "BOWL-1", "known_failures is a str; write a dict"),
        ("lacks", {"lip": "worn"}, "names 'lip'; known: lid"),
        ("lacks", {"lid": " "}, "gives no reason"),
        ("known_failures", {"BOWL-7": "?"}, "known: BOWL-1, BOWL-2, BOWL-3"),
        ("known_failures", {"BOWL-1": ""}, "gives no reason"),
    ],
)
def test_what_is_lacked_or_known_to_fail_is_named_and_has_a_reason(
    attribute: str, value: object, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        type("Wrong", (BowlContract,), {attribute: value})


def test_a_suite_without_make_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match="subclass it and write make"):
        run_contract(BowlContract)


def test_a_suite_without_clauses_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no clauses"):
        run_contract(Contract)


def kit_suites() -> list[type[Contract]]:
    return [
        suite
        for name in limen.testing.__all__
        if isinstance(suite := getattr(limen.testing, name), type)
        and issubclass(suite, Contract)
        and suite.subjects
    ]


@pytest.mark.parametrize("suite", kit_suites(), ids=lambda suite: suite.__name__)
def test_every_assert_of_a_suite_says_what_was_seen(suite: type[Contract]) -> None:
    files = {inspect.getfile(part) for part in suite.__mro__ if issubclass(part, Contract)}
    trees = [ast.parse(Path(file).read_text(encoding="utf-8")) for file in sorted(files)]
    asserts = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    silent = [node.lineno for node in asserts if node.msg is None]
    assert asserts
    assert silent == []


@pytest.mark.parametrize("suite", kit_suites(), ids=lambda suite: suite.__name__)
def test_every_clause_has_one_test_and_a_text(suite: type[Contract]) -> None:
    tests = clause_tests(suite)
    names = [
        name for name in dir(suite) if name.startswith("test_") and callable(getattr(suite, name))
    ]
    assert sorted(test.method for test in tests) == sorted(names)
    assert all(test.text for test in tests)
    assert all(test.needs in (None, *suite.capabilities) for test in tests)
    used = {test.needs for test in tests} - {None}
    assert used == set(suite.capabilities)


def conformance(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "limen", "conformance", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


_MINE = """
from limen.edge import Edge, StaticRing
from limen.testing import EdgeContract

class Ring(StaticRing):
    pass

class Forgetful(StaticRing):
    def try_push(self, token, header, now):
        return super().try_push(token, header, 0)

def made(caps, clock) -> Edge:
    return Ring(caps, clock)

def unclear(caps, clock):
    return Ring(caps, clock)

class RingSuite(EdgeContract):
    lacks = {"lanes": "one queue"}

    def make(self, caps, clock):
        return Ring(caps, clock)

class ForgetfulSuite(RingSuite):
    def make(self, caps, clock):
        return Forgetful(caps, clock)


Alias = RingSuite
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my_rings.py").write_text(_MINE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("target", ["my_rings:Ring", "my_rings:made"])
def test_the_command_line_tests_what_makes_an_implementation(mine: Path, target: str) -> None:
    done = conformance(target, "--lacks", "lanes=one queue", cwd=mine)
    assert (done.returncode, done.stderr) == (0, "")
    assert "34 clauses: 32 ok, 2 skipped" in done.stdout
    assert "lanes: one queue" in done.stdout


def test_the_command_line_names_the_clause_and_what_was_seen(mine: Path) -> None:
    done = conformance("my_rings:ForgetfulSuite", cwd=mine)
    assert (done.returncode, done.stderr) == (1, "")
    assert "EDGE-16  FAILED   push_tick_at(i) is the instant of that item's push" in done.stdout
    assert "pushed at 22, 33 and 44, and push_tick_at says [0, 0, 0]" in done.stdout


def test_the_command_line_runs_all_suites_of_a_module_and_writes_json(mine: Path) -> None:
    done = conformance("my_rings", "--json", cwd=mine)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["suite"] for report in reports] == [
        "my_rings:RingSuite",
        "my_rings:ForgetfulSuite",
    ]
    assert [report["passed"] for report in reports] == [True, False]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["no_such_module:x"], "module 'no_such_module' cannot be imported"),
        (["limen.edge:StaticRin"], "did you mean 'StaticRing'?"),
        (["limen.edge"], "defines no suite"),
        (["limen.edge:Edge"], "is abstract: it lacks _as_consumer, _as_producer, occupancy"),
        (["limen.io:Sine"], "as make(): missing a required argument: 'frequencies_hz'"),
        (["limen.runtime:SingleThreadRuntime"], "as make(plan, clock, drain_ns, log): too many"),
        (["limen.policy:QueueCaps"], "is no implementation of a contract, and no suite"),
        (["limen.testing:EdgeContract"], "lacks make; subclass it and write make"),
        (["limen.edge:StaticRing", "--lacks", "lanes"], "gives no reason"),
        (["limen.edge:StaticRing", "--lacks", "lane=none"], "known: lanes, one lane, storage"),
        (["limen.edge:StaticRing", "--timeout", "5"], "--timeout"),
        (["limen.edge:StaticRing", "--timeout", "0s"], "give a time above 0"),
    ],
)
def test_a_wrong_command_line_says_what_would_be_right(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", ["limen", "conformance", *args])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err


_HASTY = """
import os
import sys

from limen.edge import StaticRing
from limen.testing import EdgeContract, RuntimeContract

print("imported")


class Loud(StaticRing):
    def __init__(self, caps, clock):
        super().__init__(caps, clock)
        print("loud")


class Closing(StaticRing):
    def __init__(self, caps, clock):
        super().__init__(caps, clock)
        sys.stdout.close()


class Blinking(StaticRing):
    def __init__(self, caps, clock):
        raise ValueError("\\x1b[31mred")


class Asking(RuntimeContract):
    def __init__(self, path):
        pass

    def make(self, plan, clock, drain_ns, log):
        pass


def garbled(caps, clock) -> "not an annotation(": ...
def absent(caps, clock) -> "os.Ring": ...
"""


@pytest.fixture
def hasty(tmp_path: Path) -> Path:
    (tmp_path / "hasty.py").write_text(_HASTY, encoding="utf-8")
    return tmp_path


def test_what_is_on_trial_prints_to_stderr(hasty: Path) -> None:
    done = conformance("hasty:Loud", "--lacks", "lanes=one queue", "--json", cwd=hasty)
    assert json.loads(done.stdout)["passed"]
    assert done.stderr.startswith("imported\nloud\n")


def test_what_is_on_trial_cannot_close_the_report(hasty: Path) -> None:
    done = conformance("hasty:Closing", "--lacks", "lanes=one queue", cwd=hasty)
    assert (done.returncode, done.stderr) == (0, "imported\n")
    assert "34 clauses: 32 ok, 2 skipped" in done.stdout


def test_what_is_on_trial_does_not_reach_the_terminal(hasty: Path) -> None:
    done = conformance("hasty:Blinking", "--lacks", "lanes=one queue", cwd=hasty)
    assert "ValueError: \\x1b[31mred" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["hasty:garbled"], "is no implementation of a contract, and no suite"),
        (["hasty:absent"], "is no implementation of a contract, and no suite"),
        (["hasty:Asking", "--scenarios"], "'hasty:Asking' cannot be made: TypeError"),
        (["leaving"], "module 'leaving' cannot be imported: SystemExit: 3"),
        (["skipping"], "module 'skipping' cannot be imported: Skipped: not today"),
        (["unfinished"], "Unfinished lacks make; write it there"),
        (["lazy:Ring"], "module 'lazy' cannot give 'Ring': ImportError: no such engine"),
    ],
)
def test_a_mistake_of_a_module_is_told_in_a_line(hasty: Path, args: list[str], said: str) -> None:
    for name, text in {
        "leaving": "raise SystemExit(3)",
        "skipping": "import pytest; pytest.skip('not today', allow_module_level=True)",
        "unfinished": "from limen import testing\nclass Unfinished(testing.EdgeContract): pass",
        "lazy": "def __getattr__(name): raise ImportError('no such engine')",
    }.items():
        (hasty / f"{name}.py").write_text(text, encoding="utf-8")
    done = conformance(*args, cwd=hasty)
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.removeprefix("imported\n")
    assert last.startswith("limen: ")
    assert last.count("\n") == 1
    assert said in last


def test_stripped_asserts_hold_nothing(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    done = conformance("my_rings:ForgetfulSuite", cwd=mine)
    assert (done.returncode, done.stdout) == (2, "")
    assert "clauses are plain asserts, and this Python strips them" in done.stderr


def test_a_function_must_say_what_it_returns(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(mine))
    with pytest.raises(ConfigurationError, match="whose annotation says that it returns one"):
        find_suites("my_rings:unclear")
    with pytest.raises(ConfigurationError, match="says itself what is lacked"):
        find_suites("my_rings:RingSuite", {"lanes": "?"})


@pytest.mark.parametrize(
    ("target", "suite"),
    [
        ("limen.memory:HeapMemoryManager", MemoryManagerContract),
        ("limen.memory:CheckedHeapMemoryManager", CheckedMemoryContract),
        ("limen.edge:StaticRing", EdgeContract),
    ],
)
def test_an_implementation_gets_the_suite_of_its_closest_contract(
    target: str, suite: type[Contract]
) -> None:
    (found,) = find_suites(target)
    assert found.__mro__[1] is suite


_PYTEST = """
import abc
from limen.testing import Contract, needs, inapplicable

class Cup:
    '''A cup.

    - CUP-1: It holds.
    - CUP-2: It has a handle.
    - CUP-3: It is blue.
    - CUP-4: It is round.
    - CUP-5: It rings.
    '''

class CupContract(Contract):
    subjects = (Cup,)
    capabilities = {"handle": "it has one"}

    @abc.abstractmethod
    def make(self): ...

    def test_cup_1_it_holds(self):
        assert self.make()

    @needs("handle")
    def test_cup_2_it_has_a_handle(self):
        assert not self.make()

    def test_cup_3_it_is_blue(self):
        assert self.make() == "blue", f"it is {self.make()}"

    def test_cup_4_it_is_round(self):
        inapplicable("nobody looked")

    def test_cup_5_it_rings(self):
        pass

class PlainSuite(CupContract):
    lacks = {"handle": "broken off"}
    known_failures = {"CUP-3": "paint is dear", "CUP-5": "glued"}

    def make(self):
        return "red"
"""


def under_pytest(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_pytest_collects_suites_by_what_they_are_and_marks_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "test_cup.py").write_text(_PYTEST, encoding="utf-8")
    report = tmp_path / "report.jsonl"
    done = under_pytest(tmp_path, "-rsxX", f"--limen-report={report}")
    said = done.stdout
    assert done.returncode == 1, said
    assert "1 failed, 1 passed, 2 skipped, 1 xfailed" in said
    assert "handle: broken off" in said
    assert "paint is dear" in said
    assert "nobody looked" in said
    assert "[XPASS(strict)] glued" in said
    assert "test_cup:PlainSuite: 1 held; broken: CUP-5" in said
    rows = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert {row["clause"]: row["outcome"] for row in rows} == {
        "CUP-1": "passed",
        "CUP-2": "skipped",
        "CUP-3": "xfailed",
        "CUP-4": "skipped",
        "CUP-5": "failed",
    }


def test_the_plugin_imports_nothing_of_limen_in_a_session_without_suites(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it(): assert 'limen' not in sys.modules\n", encoding="utf-8"
    )
    done = under_pytest(tmp_path)
    assert done.returncode == 0, done.stdout


_TWICE = """

import pytest

class TwiceSuite(PlainSuite):
    @pytest.fixture(autouse=True, params=["a", "b"])
    def either(self, request): pass
"""


def test_what_a_suite_says_holds_for_parametrised_tests_and_counts_once(tmp_path: Path) -> None:
    (tmp_path / "test_cup.py").write_text(_PYTEST + _TWICE, encoding="utf-8")
    report = tmp_path / "report.jsonl"
    under_pytest(tmp_path, f"--limen-report={report}", "-k", "Twice")
    rows = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert {row["suite"] for row in rows} == {"test_cup:TwiceSuite"}
    assert sorted((row["clause"], row["outcome"]) for row in rows) == [
        ("CUP-1", "passed"),
        ("CUP-2", "skipped"),
        ("CUP-3", "xfailed"),
        ("CUP-4", "skipped"),
        ("CUP-5", "failed"),
    ]


def test_a_clause_whose_release_fails_is_not_held(tmp_path: Path) -> None:
    failing = "\n    def release(self): raise RuntimeError\n"
    (tmp_path / "test_cup.py").write_text(_PYTEST + failing, encoding="utf-8")
    report = tmp_path / "report.jsonl"
    under_pytest(tmp_path, f"--limen-report={report}", "-k", "cup_1")
    (row,) = report.read_text(encoding="utf-8").splitlines()
    assert json.loads(row) == {
        "suite": "test_cup:PlainSuite",
        "clause": "CUP-1",
        "outcome": "error",
    }


def test_suites_of_one_name_in_two_modules_are_kept_apart(tmp_path: Path) -> None:
    for name in ("test_cup.py", "test_mug.py"):
        (tmp_path / name).write_text(_PYTEST, encoding="utf-8")
    said = under_pytest(tmp_path).stdout
    assert "test_cup:PlainSuite: 1 held; broken: CUP-5" in said
    assert "test_mug:PlainSuite: 1 held; broken: CUP-5" in said


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("class Armed(PlainSuite):\n    def __init__(self): pass", 2, "Armed has __init__"),
        ("class Bare(CupContract): pass", 1, "Bare is not run: it lacks make"),
        (
            "class Late(PlainSuite): pass\nLate.test_cup_1_it_holds = lambda self: None",
            2,
            "Late replaces CupContract.test_cup_1_it_holds",
        ),
    ],
)
def test_a_suite_that_pytest_would_pass_over_is_named(
    tmp_path: Path, body: str, code: int, said: str
) -> None:
    (tmp_path / "test_cup.py").write_text(f"{_PYTEST}\n{body}\n", encoding="utf-8")
    done = under_pytest(tmp_path)
    assert done.returncode == code, done.stdout
    assert said in done.stdout
    assert "CupContract is not run" not in done.stdout


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "nowhere" / "report.jsonl"):
        done = under_pytest(tmp_path, f"--limen-report={wrong}")
        assert done.returncode == 4
        assert "it is a folder, or lies in none" in done.stderr
