"""What is built ahead of time: printed for people, or compiled and shipped with a graph."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from limen.app import load, make_runtime
from limen.codegen import NativeTurns, ProgramRuntime, why_not
from target_graphs import GRAPH, assert_refused, command, run_file, write_graph


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, native_cache: Path) -> None:
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(native_cache))


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    return write_graph(tmp_path)


@pytest.mark.parametrize("target", ["python", "native"])
def test_what_is_printed_is_the_same_in_every_process(graph_file: Path, target: str) -> None:
    build = ("build", graph_file, "--allow-import", "--target", target, "--print")
    done = [command(*build, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert [one.returncode for one in done] == [0, 0]
    assert [one.stderr for one in done] == ["", ""]
    assert done[0].stdout == done[1].stdout
    head = done[0].stdout.splitlines()[:2]
    assert any(line.startswith(f"# Graph numbers, target {target}: generated") for line in head)
    assert str(graph_file.parent) not in done[0].stdout
    if target == "python":
        compile(done[0].stdout, "printed", "exec")


def test_metrics_that_are_left_out_are_not_in_the_text(graph_file: Path) -> None:
    build = ("build", graph_file, "--allow-import", "--target", "python", "--print")
    full, bare = command(*build).stdout, command(*build, "--no-metrics").stdout
    assert len(bare.splitlines()) < len(full.splitlines())
    assert "_latency" in full
    assert "_latency" not in bare


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ((), ("needs one of --print and -o", "write --print for the text")),
        (("--print", "-o", "there"), ("needs one of --print and -o",)),
        (("--target", "reference", "--print"), ("--target 'reference' has no text", "native or c")),
        (("--target", "auto", "--print"), ("--target 'auto' has no text",)),
        (("--target", "python", "-o", "there"), ("is not built ahead of time", "leave -o out")),
    ],
)
def test_what_cannot_be_built_is_refused(
    graph_file: Path, arguments: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    assert_refused(command("build", graph_file, "--allow-import", *arguments), *texts)


def test_a_graph_of_which_nothing_can_be_compiled_says_why(tmp_path: Path) -> None:
    path = tmp_path / "timed.toml"
    path.write_text(
        'limen = 1\nname = "timed"\n[nodes.ramp]\ntype = "ramp"\nrate_hz = 10\ncount = 3\n'
        '[nodes.ramp.policy]\nbudget = { tick_budget = "1ms" }\n'
        '[nodes.end]\ntype = "discard"\n[nodes.end.policy]\nbatching = { fixed = 2 }\n'
        '[[edges]]\nchain = ["ramp", "end"]\n'
    )
    done = command("build", path, "-o", tmp_path / "built")
    assert_refused(done, "graph 'timed' has nothing to compile", "ramp has a budget")
    assert "run it as it is" in done.stderr
    assert not (tmp_path / "built").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A graph file, and what was built of it."""
    if why_not() is not None:
        pytest.skip(str(why_not()))
    place = tmp_path_factory.mktemp("built")
    file = write_graph(place)
    done = command("build", file, "--allow-import", "-o", place / "code")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"limen: built {file} into {place / 'code'}\n"
    return file, place / "code"


def copied(code: Path, place: Path) -> Path:
    place.mkdir()
    for path in code.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return place


def test_two_files_are_shipped(built: tuple[Path, Path]) -> None:
    names = sorted(path.name for path in built[1].iterdir())
    assert names[1:] == ["manifest.json"]
    assert names[0].startswith("limen_native_")
    assert names[0].endswith(".so")


def test_what_was_built_runs_where_nothing_can_be_built(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    file, code = built
    nowhere = {"PATH": "", "LIMEN_CACHE_DIR": str(tmp_path / "unused")}
    refused = run_file(file, "--target", "native", **nowhere)
    assert_refused(refused, "cannot be built as native code", "apt-get install")
    for number, arguments in enumerate([("--target", "native"), ("--target", "auto"), ()]):
        shipped = copied(code, tmp_path / str(number))
        done = run_file(file, "--built", shipped, *arguments, **nowhere)
        assert done.returncode == 0
        assert done.stdout.splitlines()[0] == "1"
        assert "accounting: all 10 identities close" in done.stderr
    assert not (tmp_path / "unused").exists()


def test_a_runtime_is_made_of_what_was_built(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(built[0].parent))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setenv("PATH", "")
    graph = load(built[0], allow_import=True)
    runtime = make_runtime(graph, target="native", built=built[1])
    assert isinstance(runtime, ProgramRuntime)
    assert isinstance(runtime._turns, NativeTurns)
    assert runtime.run().outcome == "completed"


@pytest.mark.parametrize("target", ["python", "reference"])
def test_built_code_and_another_target_contradict_each_other(
    built: tuple[Path, Path], target: str
) -> None:
    done = run_file(built[0], "--built", built[1], "--target", target)
    assert_refused(done, f"holds native code, and the target is {target}", "native or auto")


def test_what_was_built_of_another_graph_is_refused(
    built: tuple[Path, Path], tmp_path: Path, graph_file: Path
) -> None:
    graph_file.write_text(GRAPH.replace("max_items = 3", "max_items = 4"))
    done = run_file(graph_file, "--built", built[1])
    assert_refused(done, str(built[1]), "built of another graph", "build it anew with limen build")


@pytest.mark.parametrize("arguments", [("--sim",), ("--log", "/dev/null")])
def test_what_was_built_for_another_kind_of_run_is_refused(
    built: tuple[Path, Path], arguments: tuple[str, ...]
) -> None:
    done = run_file(built[0], "--built", built[1], *arguments)
    assert_refused(done, "or for another clock, log or metrics than this run's")


@pytest.mark.parametrize("fact", ["limen", "abi", "machine"])
def test_what_was_built_for_another_machine_is_refused(
    built: tuple[Path, Path], tmp_path: Path, fact: str
) -> None:
    code = copied(built[1], tmp_path / "code")
    manifest = code / "manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**facts, fact: "other"}))
    done = run_file(built[0], "--built", code)
    assert_refused(done, f"its {fact} is other, and not {facts[fact]}", "a machine like this one")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        ("cut off", "is missing or damaged"),
        ("gone", "is missing or damaged"),
        ("no manifest", "no manifest.json that can be read"),
        ("manifest cut off", "no manifest.json that can be read"),
        ("not native", "file too short"),
    ],
)
def test_what_is_damaged_is_refused_and_not_loaded(
    built: tuple[Path, Path], tmp_path: Path, damage: str, text: str
) -> None:
    code = copied(built[1], tmp_path / "code")
    (extension,) = code.glob("*.so")
    manifest = code / "manifest.json"
    match damage:
        case "cut off":
            extension.write_bytes(extension.read_bytes()[:2_000])
        case "gone":
            extension.unlink()
        case "no manifest":
            manifest.unlink()
        case "manifest cut off":
            manifest.write_bytes(manifest.read_bytes()[:-20])
        case "not native":
            extension.write_bytes(b"no shared object")
            digest = hashlib.sha256(b"no shared object").hexdigest()
            facts = json.loads(manifest.read_text())
            manifest.write_text(json.dumps({**facts, "sha256": digest}))
    done = run_file(built[0], "--built", code)
    assert_refused(done, f"native code in {code} cannot be used", text)


@pytest.mark.parametrize("place", ["nowhere", "graph.toml"])
def test_what_is_no_directory_of_built_code_is_refused(
    built: tuple[Path, Path], place: str
) -> None:
    path = built[0].parent / place
    assert_refused(run_file(built[0], "--built", path), f"native code in {path} cannot be used")


def test_a_directory_that_cannot_be_written_is_refused(built: tuple[Path, Path]) -> None:
    done = command("build", built[0], "--allow-import", "-o", built[0])
    assert_refused(done, f"native code cannot be written to {built[0]}", "that you may write to")
