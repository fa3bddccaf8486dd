"""Every file in graphs/bad is refused with the words in the ``.expected`` file beside it.

``python tests/test_bad_graphs.py --write`` writes those files anew; review them like code.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from limen.app import load
from limen.cli import main
from limen.errors import GraphError

BAD = Path(__file__).parent / "graphs" / "bad"
FILES = sorted(BAD.glob("*.toml"))
WITHOUT_EXTRA = "model_extra_missing"
_PROBLEM = re.compile(r"  LIMEN-\d+  (\S.*?): (\S.*)")
_REMEDY = re.compile(r"             → (\S.*)")


def check(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """Run ``limen check`` here; its exit code and all it printed, free of this machine's paths."""
    asks = path.is_file() and path.read_bytes().startswith(b"# allow-import")
    allowed = ["--allow-import"] if asks else []
    monkeypatch.setattr(sys, "argv", ["limen", "check", path.as_posix(), *allowed])
    monkeypatch.setattr(sys, "path", list(sys.path))
    if path.stem == WITHOUT_EXTRA:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        pytest.raises(SystemExit) as left,
    ):
        main()
    return left.value.code, normalised(out.getvalue())


def normalised(text: str) -> str:
    return text.replace(f"{BAD.as_posix()}/", "").replace(BAD.as_posix(), ".")


def expected(path: Path) -> str:
    return path.with_suffix(".expected").read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_graph_is_refused_in_the_expected_words(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = check(path, monkeypatch)
    assert text == expected(path)
    assert code == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_expected_words_give_place_and_remedy_for_every_problem(path: Path) -> None:
    first, *lines = expected(path).splitlines()
    assert "Traceback" not in "".join(lines)
    count = re.fullmatch(r"limen: graph '.+': (\d+) problems?", first)
    assert count is not None
    assert len(lines) == 2 * int(count[1]), "a problem and its remedy each"
    for problem, remedy in zip(lines[::2], lines[1::2], strict=True):
        assert _PROBLEM.fullmatch(problem), problem
        assert _REMEDY.fullmatch(remedy), remedy


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_a_terminal_would_act_on_is_printed(path: Path) -> None:
    text = expected(path).replace("\n", "")
    assert text.isprintable()


@pytest.mark.parametrize("name", ["five_mistakes", "name_with_terminal_escapes"])
def test_the_installed_command_says_the_same(name: str) -> None:
    path = BAD / f"{name}.toml"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "limen", "check", path.as_posix()],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert normalised(done.stderr) == expected(path)


def test_five_mistakes_are_five_problems_with_codes_and_places() -> None:
    with pytest.raises(GraphError) as caught:
        load(BAD / "five_mistakes.toml")
    assert [problem.place for problem in caught.value.problems] == [  # type: ignore[attr-defined]
        "nodes.imu.type",
        "nodes.window.strid",
        "nodes.classify.policy.deadline",
        "edges[0].policy",
        "classify",
    ]


def test_checking_a_file_imports_nothing_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "trace"
    module = tmp_path / "limen_test_side_effect.py"
    module.write_text(
        f"import limen\nopen({str(trace)!r}, 'w').close()\nx = limen.io.JsonLinesSink()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = BAD / "type_with_side_effects.toml"
    assert module.stem in path.read_text("utf-8")
    code, _ = check(path, monkeypatch)
    assert code == 2
    assert module.stem not in sys.modules
    assert not trace.exists()
    # The module would have been found: with permission it is imported, and the graph is valid.
    load(path, allow_import=True)
    assert trace.exists()
    monkeypatch.delitem(sys.modules, module.stem)


@pytest.mark.parametrize("name", ["gone.toml", ""])
def test_a_graph_file_that_cannot_be_read_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = check(tmp_path / name, monkeypatch)
    assert code == 2
    assert "LIMEN-515" in text
    assert "→ give the path of a graph file" in text


def test_every_graph_file_has_its_expected_words_and_the_reverse() -> None:
    assert {path.stem for path in FILES} == {path.stem for path in BAD.glob("*.expected")}
    assert len(FILES) >= 25


_SOURCE = """
import limen
from limen import Sink

class Broken(Sink):
    def __init__(self, how: str, **more: object) -> None:
        self.how = how
        if how == "make":
            raise RuntimeError("no such device")
    def prepare(self) -> None:
        if self.how == "prepare":
            raise RuntimeError("no such device")
    def spec(self) -> object:
        if self.how == "spec":
            raise RuntimeError("no such device")
        return super().spec()
    def consume(self, message, now):
        pass

class Unreadable(Sink):
    def __init__(self, how: "Nowhere") -> None:
        pass
    def consume(self, message, now):
        pass

def __getattr__(name: str) -> object:
    raise SystemExit(0) if name == "leave" else AttributeError(name)

number = 7
def three(how: str) -> int:
    return 3
"""


@pytest.mark.parametrize(
    ("kind", "how", "said"),
    [
        ("Broken", "make", "nodes.out: 'broken_parts:Broken' cannot be made: RuntimeError"),
        ("Broken", "prepare", "out: cannot be prepared: RuntimeError: no such device"),
        ("Broken", "spec", "out: its ports cannot be read: RuntimeError: no such device"),
        ("Unreadable", "", "nodes.out.type: the parameters of 'broken_parts:Unreadable' cannot"),
        ("Nothing", "", "nodes.out.type: type 'broken_parts:Nothing' cannot be imported"),
        ("leave", "", "nodes.out.type: type 'broken_parts:leave' cannot be imported: SystemExit"),
        ("number", "", "nodes.out.type: type 'broken_parts:number' is a int"),
        ("three", "", "nodes.out: type 'broken_parts:three' makes a int"),
    ],
)
def test_an_imported_component_that_fails_is_a_problem_not_a_traceback(
    kind: str, how: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_parts.py").write_text(_SOURCE)
    (tmp_path / "data.csv").write_text("a\n1\n")
    path = tmp_path / "graph.toml"
    path.write_text(
        "limen = 1\n[nodes.in_]\n"
        'type = "csv"\npath = "data.csv"\ncolumns = ["a"]\nrate_hz = 1\n'
        f'[nodes.out]\ntype = "broken_parts:{kind}"\nhow = "{how}"\n'
        '[[edges]]\nfrom = "in_"\nto = "out"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GraphError) as caught:
        load(path, allow_import=True)
    sys.modules.pop("broken_parts")
    text = str(caught.value)
    assert len(caught.value.problems) == 1, text
    assert said in text
    assert "→" in text


def write() -> None:
    for path in FILES:
        with pytest.MonkeyPatch.context() as monkeypatch:
            _, text = check(path, monkeypatch)
        path.with_suffix(".expected").write_text(text, "utf-8")
        print(f"== {path.name}\n{text}")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
