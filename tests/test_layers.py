"""Imports point one way, only the platform reads time, modules are small, exports sorted."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from layers import BESIDE, ORDER, imported, violations

_ROOT = Path(__file__).parents[1] / "src"
_FILES = sorted((_ROOT / "limen").rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(_ROOT).with_suffix("").parts)


_SOURCES = {dotted(path): path.read_text(encoding="utf-8") for path in _FILES}
_PACKAGES = sorted(
    name.removesuffix(".__init__") for name in _SOURCES if name.endswith(".__init__")
)


def imports_of(package: str) -> list[str]:
    tree = ast.parse(_SOURCES[f"{package}.__init__"])
    return [target for _, target in imported(tree, package, is_package=True)]


def sort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions: the order that ruff keeps in ``__all__``."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name


def problems_of_all(names: list[str], there: set[str]) -> list[str]:
    found = [f"{name} does not exist" for name in names if name not in there]
    if names != sorted(names, key=sort_key):
        found.append("not sorted")
    if len(set(names)) != len(names):
        found.append("a name twice")
    return found


def test_the_sources_keep_the_order() -> None:
    assert violations(_SOURCES) == []


def test_the_lower_layers_are_all_looked_at() -> None:
    looked_at = {name.split(".")[1] for name in _SOURCES if "." in name}
    assert set(ORDER[: ORDER.index("graph") + 1]) <= looked_at


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_package_exports_sorted_names_that_exist(package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None)
    if names is None:
        assert imports_of(package) == [], "what a package imports, it exports"
        return
    assert problems_of_all(list(names), set(dir(module))) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("limen.edge._a", "from limen.runtime import Runtime"),
        ("limen.edge._a", "import limen.runtime._single as r"),
        ("limen.edge._a", "from limen import runtime"),
        ("limen.edge._a", "from ..runtime import Runtime"),
        ("limen.edge.__init__", "from ..runtime import Runtime"),
        ("limen.edge._a", "def f():\n    from limen.graph import Graph"),
        ("limen.edge._a", "if TYPE_CHECKING:\n    from limen.node import Node"),
        ("limen.edge._a", "import importlib\nimportlib.import_module('limen.node')"),
        ("limen.errors", "from limen.types import Ticks"),
        ("limen.types._a", "import limen"),
        ("limen.runtime._a", "from limen.nodes import Window"),
        ("limen.nodes._a", "from limen.io import CsvSource"),
        ("limen.io._a", "from limen.app import Model"),
        ("limen.app._a", "from limen.cli import main"),
        ("limen._lazy", "from limen.errors import LimenError"),
        ("limen._lazy", "from limen.graph import Graph"),
    ],
)
def test_a_planted_upward_import_is_found(module: str, text: str) -> None:
    assert any("which lies above" in line for line in violations({module: text})), text


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("limen.edge._a", "from limen.policy import decide\nfrom limen.edge.contract import Edge"),
        ("limen.edge._a", "from . import contract\nfrom .contract import Edge"),
        ("limen.edge.__init__", "from .contract import Edge\nfrom ..types import Ticks"),
        ("limen.app._a", "from limen.nodes import Window\nfrom limen.runtime import Runtime"),
        ("limen.cli._a", "from limen.app import load\nimport limen"),
        ("limen.__init__", "from limen.cli import main"),
        ("limen.types.__init__", "from limen._lazy import lazily"),
        ("limen.cli.__init__", "from limen._lazy import lazily"),
        ("limen.__main__", "from limen.cli import main"),
        ("limen.platform._a", "import time\nfrom time import monotonic_ns"),
        ("limen.edge._a", "import timeit\nimport limentools.runtime"),
    ],
)
def test_an_import_that_keeps_the_order_is_let_through(module: str, text: str) -> None:
    assert violations({module: text}) == []


@pytest.mark.parametrize("text", ["import time", "from time import sleep", "import time as t"])
@pytest.mark.parametrize("layer", ["edge", "cli", *BESIDE])
def test_a_planted_look_at_the_time_is_found(layer: str, text: str) -> None:
    assert violations({f"limen.{layer}._a": text}) == [f"limen.{layer}._a:1: imports time"]


@pytest.mark.parametrize(
    "text",
    ["import os\nx = os.environ['A']", "import os\nx = os.getenv('A')", "\nfrom os import environ"],
)
def test_a_planted_look_at_the_environment_is_found(text: str) -> None:
    assert violations({"limen.cli._a": text}) == ["limen.cli._a:2: reads the environment"]


def test_a_planted_module_that_is_too_long_or_has_no_layer_is_found() -> None:
    assert violations({"limen.edge._a": "x = 1\n" * 601}) == [
        "limen.edge._a: 601 lines, at most 600"
    ]
    assert violations({"limen.edge._a": "x = 1\n" * 600}) == []
    assert violations({"limen.attic._a": ""}) == [
        "limen.attic._a: a layer without a place in the order"
    ]


def test_a_planted_export_that_is_missing_unsorted_or_double_is_found() -> None:
    there = {"LIMIT", "Edge", "push", "pop"}
    assert problems_of_all(["LIMIT", "Edge", "pop", "push"], there) == []
    assert problems_of_all(["Edge", "gone"], there) == ["gone does not exist"]
    assert problems_of_all(["push", "Edge"], there) == ["not sorted"]
    assert problems_of_all(["Edge", "Edge"], there) == ["a name twice"]
