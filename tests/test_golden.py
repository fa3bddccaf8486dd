"""Generated texts change when somebody means it, and not by the way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import golden

NEEDS = {"activity": "onnxruntime"}


@pytest.mark.parametrize("graph", golden.programs())
def test_texts_are_generated_as_they_are_kept(graph: str) -> None:
    if graph in NEEDS:
        pytest.importorskip(NEEDS[graph])
    found = list(golden.drift(golden.texts(graph)))
    assert not found, "\n".join(found)


def test_every_file_is_that_of_a_graph() -> None:
    graphs, printers = golden.programs(), golden.printers()
    names = {f"{graph}.{printer}.txt" for graph in graphs for printer in printers}
    assert {path.name for path in golden.FILES.iterdir()} == names


@pytest.mark.parametrize("graph", golden.programs())
def test_a_kept_text_is_python(graph: str) -> None:
    ast.parse((golden.FILES / f"{graph}.python.txt").read_text(encoding="utf-8"))


def test_the_graphs_show_what_there_is() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in golden.FILES.iterdir())
    for part in ("the reference executor steps it", "note(", "lost(", "_rooms[", "_shares["):
        assert part in text, part


def test_a_text_that_has_drifted_is_shown_with_how_to_refresh_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (found,) = golden.drift({"a.txt": "one\nthree\n"}, tmp_path)
    assert found.startswith(
        "a.txt is not what is generated now; if that is meant: python tests/golden.py --write\n"
    )
    assert found.splitlines()[-2:] == ["-two", "+three"]
    (found,) = golden.drift({"b.txt": "one\n" * 100}, tmp_path)
    assert found.endswith("lines more")
    assert list(golden.drift({"a.txt": "one\ntwo\n"}, tmp_path)) == []


def test_writing_leaves_the_files_as_they_are_generated(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "old.txt").write_text("")
    changed = golden.write(tmp_path)
    assert sorted(changed) == sorted([*(p.name for p in tmp_path.iterdir()), "old.txt"])
    assert golden.write(tmp_path) == []
    assert all(not list(golden.drift(golden.texts(graph), tmp_path)) for graph in golden.programs())


def test_the_script_says_how_it_is_called() -> None:
    script = Path(golden.__file__)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (1, "usage: python tests/golden.py --write\n")
