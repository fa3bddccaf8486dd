"""What ``import limen`` loads is counted; names that come on first use behave like the others."""

from __future__ import annotations

import ast
import importlib
import json
import pickle
import subprocess
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

import limen
from limen._lazy import lazily
from limen.edge import EdgeOccupancy
from limen.node import LookingContext, StepContext
from limen.telemetry import NodeTelemetry

_ROOT = Path(__file__).parents[1]
_SOURCES = _ROOT / "src" / "limen"
_RATCHET = Path(__file__).parent / "ratchets" / "import.json"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# Loaded by name or as the package of what is loaded. NumPy loads inspect itself.
_LEFT_OUT = frozenset(
    {
        *("asyncio", "csv", "difflib", "email", "hashlib", "heapq", "http", "importlib.metadata"),
        *("importlib.resources", "json", "logging", "pathlib", "random", "select", "shutil"),
        *("socket", "ssl", "subprocess", "sysconfig", "tempfile", "tomllib", "traceback"),
        *("unicodedata", "urllib", "zipfile"),
        *("ai_edge_litert", "hypothesis", "jaxtyping", "matplotlib", "ml_dtypes", "onnx"),
        *("onnxruntime", "openvino", "pytest", "rich", "scipy", "typer", "yaml"),
        *("limen.app", "limen.backends", "limen.cli", "limen.compute", "limen.contracts"),
        *("limen.edge.contract", "limen.io", "limen.memory.contract", "limen.memory._checked"),
        *("limen.graph._draw", "limen.graph._flow", "limen.graph._load", "limen.graph._verify"),
        *("limen.message._dlpack", "limen.message._layouts", "limen.node._model", "limen.nodes"),
        *("limen.policy._admission", "limen.runtime", "limen.scheduling", "limen.telemetry._hooks"),
        *("limen.telemetry._records", "limen.testing", "limen.types._halves"),
    }
)
# It imports nothing for its own sake: that would count as NumPy's.
_ASK = """
import sys
import numpy
before = set(sys.modules)
import limen
{more}
print(*sorted(set(sys.modules) - before))
"""


def loaded(more: str = "") -> list[str]:
    """Name what a new interpreter has loaded beyond NumPy after ``import limen`` and some more."""
    code = [sys.executable, "-c", _ASK.format(more=more)]
    ran = subprocess.run(code, capture_output=True, text=True, check=True, timeout=120)
    return ran.stdout.split()


def is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def problems(modules: Iterable[str], most: Mapping[str, int]) -> list[str]:
    """Report what is loaded and should not be, and counts that are not the ratchet's."""
    there = list(modules)
    ours = sum(is_of(name, "limen") for name in there)
    found = [f"{x} is loaded" for x in there if any(is_of(x, out) for out in _LEFT_OUT)]
    if ours > most["limen"]:
        found.append(f"{ours} modules of limen, at most {most['limen']}: import it on first use")
    if ours < most["limen"]:
        found.append(f"{ours} modules of limen: lower the {most['limen']} in {_RATCHET.name}")
    if len(there) > most["all"]:
        found.append(f"{len(there)} modules in all, at most {most['all']}")
    return found


def figures() -> dict[str, dict[str, int]]:
    return cast("dict[str, dict[str, int]]", json.loads(_RATCHET.read_text(encoding="utf-8")))


def test_importing_limen_loads_no_more_than_the_ratchet_allows() -> None:
    assert _VERSION in figures(), f"measure Python {_VERSION} and write it into {_RATCHET.name}"
    modules = loaded()
    assert problems(modules, figures()[_VERSION]) == [], modules


@pytest.mark.parametrize("package", ["tomllib", "importlib.metadata", "json"])
def test_a_module_that_is_loaded_all_the_same_is_found(package: str) -> None:
    found = problems(loaded(f"import {package}"), {"limen": 50, "all": 1_000})
    assert f"{package} is loaded" in found


@pytest.mark.parametrize(
    ("modules", "most", "found"),
    [
        (["limen", "limen.graph"], {"limen": 2, "all": 2}, []),
        (["limen", "uuid"], {"limen": 1, "all": 2}, []),
        (["limen"], {"limen": 1, "all": 9}, []),
        (["limen", "limenade"], {"limen": 1, "all": 2}, []),
        (
            ["limen", "limen.graph"],
            {"limen": 1, "all": 2},
            ["2 modules of limen, at most 1: import it on first use"],
        ),
        (["limen"], {"limen": 2, "all": 2}, ["1 modules of limen: lower the 2 in import.json"]),
        (["limen", "uuid"], {"limen": 1, "all": 1}, ["2 modules in all, at most 1"]),
        (["limen", "asyncio.events"], {"limen": 1, "all": 2}, ["asyncio.events is loaded"]),
        (["limen", "limen.app._run"], {"limen": 2, "all": 2}, ["limen.app._run is loaded"]),
    ],
)
def test_a_planted_module_or_figure_is_found(
    modules: list[str], most: dict[str, int], found: list[str]
) -> None:
    assert problems(modules, most) == found


def test_every_module_of_ours_that_is_left_out_exists() -> None:
    for name in _LEFT_OUT:
        if is_of(name, "limen"):
            place = _ROOT.joinpath("src", *name.split("."))
            assert place.is_dir() or place.with_suffix(".py").is_file(), name


def lazy_packages() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(_SOURCES.rglob("__init__.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(x, ast.Name) and x.id == "lazily" for x in ast.walk(tree)):
            yield ".".join(path.parent.relative_to(_ROOT / "src").parts), tree


_LAZY = dict(lazy_packages())


def checked_and_run(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return what type checkers see of a package's lazy names, and what runs instead."""
    branches = [
        statement
        for statement in tree.body
        if isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
    ]
    assert len(branches) == 1
    return branches[0].body, branches[0].orelse


def seen_by_checkers(tree: ast.Module) -> set[tuple[str, str]]:
    found = set()
    for statement in checked_and_run(tree)[0]:
        assert isinstance(statement, ast.ImportFrom)
        assert statement.module is not None
        found |= {(statement.module, alias.name) for alias in statement.names}
    return found


def given_on_first_use(tree: ast.Module) -> tuple[set[tuple[str, str]], tuple[str, ...]]:
    (statement,) = checked_and_run(tree)[1]
    assert isinstance(statement, ast.Assign)
    assert ast.unparse(statement.targets[0]) == "(__getattr__, __dir__)"
    assert isinstance(statement.value, ast.Call)
    arguments = statement.value.args
    assert ast.unparse(arguments[0]) == "__name__"
    places = ast.literal_eval(arguments[1])
    modules = ast.literal_eval(arguments[2]) if len(arguments) > 2 else ()
    return {(module, name) for module, names in places.items() for name in names}, modules


def test_packages_that_give_names_on_first_use_are_looked_at() -> None:
    assert {"limen", "limen.app", "limen.graph", "limen.memory", "limen.telemetry"} <= set(_LAZY)


@pytest.mark.parametrize("package", _LAZY)
def test_a_package_gives_on_first_use_what_type_checkers_see(package: str) -> None:
    names, modules = given_on_first_use(_LAZY[package])
    seen = seen_by_checkers(_LAZY[package])
    assert names == {(module, name) for module, name in seen if module != package}
    assert {name for module, name in seen if module == package} <= set(modules)


@pytest.mark.parametrize("package", _LAZY)
def test_type_checkers_see_no_getattr_that_lets_misspelt_names_through(package: str) -> None:
    tree = _LAZY[package]
    hidden = {id(node) for part in checked_and_run(tree)[1] for node in ast.walk(part)}
    for node in ast.walk(tree):
        name = getattr(node, "id", getattr(node, "name", ""))
        assert name != "__getattr__" or id(node) in hidden


@pytest.mark.parametrize("package", _LAZY)
def test_each_name_of_a_package_is_that_of_its_module(package: str) -> None:
    there = importlib.import_module(package)
    names, modules = given_on_first_use(_LAZY[package])
    for module, name in names:
        assert getattr(there, name) is getattr(importlib.import_module(module), name)
        assert name in vars(there), "it is looked up once"
    for name in modules:
        assert getattr(there, name) is importlib.import_module(f"{package}.{name}")
    assert set(there.__all__) <= set(dir(there))


@pytest.mark.parametrize("package", _LAZY)
def test_what_a_package_lacks_is_an_attribute_error_that_names_both(package: str) -> None:
    there = importlib.import_module(package)
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'nobody'") as e:
        _ = there.nobody
    assert (e.value.name, e.value.obj) == ("nobody", there)
    with pytest.raises(ImportError, match="cannot import name 'nobody'"):
        exec(f"from {package} import nobody", {})


@pytest.mark.parametrize(
    "code",
    [
        "from limen import io; assert io.CsvSource is limen.io.CsvSource",
        "assert limen.nodes.Window.__module__ == 'limen.nodes._window'",
        "from limen import *; assert run is limen.run and Model is limen.Model and io is limen.io",
        "assert callable(limen.node) and limen.node.__module__ == 'limen.node._function'",
        "limen.run; assert callable(limen.node), 'the function, not the package of that name'",
        "import limen.io as io; assert io.Ramp(10) is not None",
        "assert set(limen.__all__) <= set(dir(limen))",
        "limen.telemetry.DecisionLog, limen.runtime.SingleThreadRuntime, limen.scheduling.lower",
        "limen.compute.find_backend, limen.edge.HeapRing, limen.memory.HeapMemoryManager",
        "from limen.graph import verify, load_graph; from limen.app import diagnose, Recorder",
        "from limen import cli; assert cli.main",
        "assert not hasattr(limen, 'nobody')",
    ],
)
def test_a_new_interpreter_finds_names_however_it_asks(code: str) -> None:
    script = f"import limen\n{code}\n"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "import limen; limen.cheok"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stderr.endswith("has no attribute 'cheok'. Did you mean: 'check'?\n")


def test_every_module_can_be_the_first_that_is_imported() -> None:
    # In one process, each time without any of ours: a cycle shows where another one comes first.
    names = sorted(
        ".".join(path.relative_to(_ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in _SOURCES.rglob("*.py")
        if path.name != "__main__.py" and "testing" not in path.parts and "cli" not in path.parts
    )
    script = (
        "import importlib, sys, numpy\n"
        f"for name in {names!r}:\n"
        "    for old in [m for m in sys.modules if m == 'limen' or m.startswith('limen.')]:\n"
        "        del sys.modules[old]\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        print(name, error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=600
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("kind", [limen.Report, limen.Model, limen.run, limen.io.Ramp, limen.Graph])
def test_what_comes_on_first_use_can_be_pickled(kind: object) -> None:
    assert pickle.loads(pickle.dumps(kind)) is kind


@pytest.mark.parametrize("kind", [StepContext, LookingContext])
def test_the_hints_of_a_step_context_resolve(kind: type) -> None:
    def returned(name: str) -> object:
        member = getattr(kind, name)
        function = member.fget if isinstance(member, property) else member
        return typing.get_type_hints(function)["return"]

    assert returned("telemetry") is NodeTelemetry
    assert returned("in_occupancy") is EdgeOccupancy
    assert returned("out_occupancy") is EdgeOccupancy


def test_threads_that_ask_at_once_get_the_same_object() -> None:
    script = (
        "import threading, limen\n"
        "start, got = threading.Barrier(8), []\n"
        "def ask():\n"
        "    start.wait(60)\n"
        "    got.append((limen.run, limen.io, limen.graph.verify, limen.memory.FREED))\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join(60)\n"
        "assert len(got) == 8 and all(x is y for one in got for x, y in zip(one, got[0]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=200
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_name_is_looked_for_in_its_module_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package, module = types.ModuleType("acme"), types.ModuleType("acme.parts")
    vars(module).update(wheel=object(), door=object())
    monkeypatch.setitem(sys.modules, "acme", package)
    monkeypatch.setitem(sys.modules, "acme.parts", module)
    find, names = lazily("acme", {"acme.parts": ("wheel", "gone")}, ("parts",))
    assert {"gone", "parts", "wheel"} <= set(names())
    assert names() == sorted(names())
    assert "wheel" not in vars(package)
    assert find("wheel") is vars(module)["wheel"] is vars(package)["wheel"]
    assert find("parts") is module
    for missing in ("door", "gone"):
        with pytest.raises(AttributeError, match=missing):
            find(missing)
