"""Native code of a machine that can build it, and of one that lacks what it takes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import limen
from limen.app import make_runtime
from limen.codegen import NativeTurns, ProgramRuntime, PythonTurns, available_targets, why_not
from limen.errors import ConfigurationError
from test_program import POLICIES, graph_of

WITH_NATIVE = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


def a_graph() -> limen.Graph:
    graph, _ = graph_of(("plus",), POLICIES["block"])
    return graph


def turns_of(graph: limen.Graph, target: str) -> object:
    runtime = make_runtime(graph, target=target)
    assert isinstance(runtime, ProgramRuntime)
    assert runtime.run().outcome == "completed"
    return runtime._turns


def without_cython(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setitem(sys.modules, "Cython", None)
    return "Cython is not installed: pip install 'limen[native]'"


def without_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("PATH", str(tmp_path))
    return "is not installed: apt-get install gcc"


def without_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    return "Python's C headers are not installed: apt-get install python3-dev"


def on_another_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(sys, "platform", "sunos5")
    return "native code is built on Linux, and this is sunos5"


LACKS = [without_cython, without_compiler, without_headers, on_another_system]


@pytest.mark.parametrize("lack", LACKS, ids=lambda lack: lack.__name__)
def test_what_is_missing_is_said_with_how_to_install_it(
    lack: Callable[[pytest.MonkeyPatch, Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = lack(monkeypatch, tmp_path)
    assert text in str(why_not())
    assert available_targets() == ("reference", "python")
    with pytest.raises(ConfigurationError, match="graph 'numbers' cannot be built") as refused:
        make_runtime(a_graph(), target="native")
    assert text in str(refused.value)
    assert "install what is missing, or choose the target python or auto" in str(refused.value)


@pytest.mark.parametrize("lack", LACKS, ids=lambda lack: lack.__name__)
def test_auto_takes_the_python_target_where_something_is_missing(
    lack: Callable[[pytest.MonkeyPatch, Path], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = lack(monkeypatch, tmp_path)
    with caplog.at_level(logging.INFO, "limen"):
        assert isinstance(turns_of(a_graph(), "auto"), PythonTurns)
    assert "graph numbers runs as generated Python" in caplog.text
    assert text in caplog.text


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache directory of the test's own; what this process has loaded before is set aside."""
    monkeypatch.setattr("limen.codegen._native._loaded", {})
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def open_to_all(cache: Path) -> str:
    (cache / "native").mkdir(parents=True, mode=0o755)
    return "its mode is 755"


def under_a_file(cache: Path) -> str:
    cache.write_text("")
    return "ot a directory"


@WITH_NATIVE
@pytest.mark.parametrize("spoil", [open_to_all, under_a_file], ids=lambda spoil: spoil.__name__)
def test_a_cache_that_cannot_be_used_is_an_error_of_the_target_native(
    spoil: Callable[[Path], str], own_cache: Path
) -> None:
    text = spoil(own_cache)
    with pytest.raises(ConfigurationError, match="native code cannot be kept in") as refused:
        make_runtime(a_graph(), target="native")
    assert text in str(refused.value)


@WITH_NATIVE
@pytest.mark.parametrize("spoil", [open_to_all, under_a_file], ids=lambda spoil: spoil.__name__)
def test_where_the_cache_cannot_be_used_auto_takes_the_python_target_and_warns(
    spoil: Callable[[Path], str], own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = spoil(own_cache)
    assert isinstance(turns_of(a_graph(), "auto"), PythonTurns)
    assert "graph numbers runs as generated Python: native code cannot be kept in" in caplog.text
    assert text in caplog.text


@pytest.fixture
def broken_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = tmp_path / "bin" / Path(name).name
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'fatal: the moon is in the way' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")


@WITH_NATIVE
@pytest.mark.usefixtures("broken_compiler")
def test_what_a_compiler_says_is_passed_on(own_cache: Path) -> None:
    with pytest.raises(ConfigurationError, match="native code was not built") as refused:
        make_runtime(a_graph(), target="native")
    assert "fatal: the moon is in the way" in str(refused.value)
    assert "choose the target python, or correct the compiler" in str(refused.value)
    assert entries(own_cache / "native") == []


@WITH_NATIVE
@pytest.mark.usefixtures("broken_compiler", "own_cache")
def test_where_the_compiler_fails_auto_takes_the_python_target_and_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert isinstance(turns_of(a_graph(), "auto"), PythonTurns)
    assert "graph numbers runs as generated Python: native code was not built" in caplog.text


@WITH_NATIVE
def test_a_program_is_built_once_and_loaded_once(own_cache: Path) -> None:
    assert isinstance(turns_of(a_graph(), "native"), NativeTurns)
    (entry,) = entries(own_cache / "native")
    built = (own_cache / "native" / entry).stat().st_ino
    assert isinstance(turns_of(a_graph(), "auto"), NativeTurns)
    assert entries(own_cache / "native") == [entry]
    assert (own_cache / "native" / entry).stat().st_ino == built


GRAPH = """
import sys
sys.path.insert(0, {tests!r})
from test_native import a_graph
from limen.app import make_runtime
print(make_runtime(a_graph(), target="native").run().outcome)
"""


def ran(cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", GRAPH.format(tests=str(Path(__file__).parent))],
        env={**os.environ, "LIMEN_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.mark.slow
@WITH_NATIVE
def test_processes_that_build_the_same_program_at_once_share_one_entry(tmp_path: Path) -> None:
    processes = [ran(tmp_path) for _ in range(4)]
    said = [process.communicate(timeout=300) for process in processes]
    assert said == [("completed\n", "")] * 4
    assert len(entries(tmp_path / "native")) == 1


@pytest.mark.slow
@WITH_NATIVE
@pytest.mark.parametrize("length", [0, 1_000, -1])
def test_a_shared_object_that_is_cut_off_is_built_anew_and_not_loaded(
    tmp_path: Path, length: int
) -> None:
    assert ran(tmp_path).communicate(timeout=300) == ("completed\n", "")
    (path,) = (tmp_path / "native").glob("*/*.so")
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    out, err = ran(tmp_path).communicate(timeout=300)
    assert out == "completed\n"
    assert "is damaged or not your own: it is built anew" in err
    assert len(path.read_bytes()) == len(whole)
    assert ran(tmp_path).communicate(timeout=300) == ("completed\n", "")
