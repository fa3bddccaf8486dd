"""Somebody else's package: installed beside, found by entry point, run, held to its contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]

_PYPROJECT = """
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "acme-limen"
version = "1.2"

[project.entry-points."limen.edges"]
acme = "acme_limen.edges:DequeEdge"

[project.entry-points."limen.backends"]
acme_affine = "acme_limen.engine:AffineBackend"
"""

_SUITES = '''
"""The suites that acme holds its parts to."""

import json

from acme_limen.edges import DequeEdge
from acme_limen.engine import AffineBackend
from limen.compute import ModelArtifact
from limen.testing import BackendContract, EdgeContract, ReferenceModel


class DequeEdgeSuite(EdgeContract):
    lacks = {"lanes": "one queue for all classes"}

    def make(self, caps, clock):
        return DequeEdge(caps, clock)


class AffineSuite(BackendContract):
    lacks = {"engine": "NumPy is always there"}

    def make(self):
        return AffineBackend()

    def artifact(self, model):
        most = None if model is ReferenceModel.ANY_BATCH else 1
        fields = {"scale": 2, "shift": 1, "width": 4, "most": most}
        return ModelArtifact.from_bytes(json.dumps(fields).encode(), model.value)
'''

_BUGS = '''
"""The same parts, each with a bug."""

import numpy as np

from acme_limen.edges import DequeEdge
from acme_limen.engine import AffineBackend, AffineModel
from acme_limen.suites import AffineSuite, DequeEdgeSuite


class Lifo(DequeEdge):
    def try_push(self, token, header, now):
        before = len(self._waiting)
        result = super().try_push(token, header, now)
        if len(self._waiting) > before and before == 3:
            self._waiting.rotate(1)
        return result


class Rounds(AffineModel):
    def infer_batch(self, inp, out):
        super().infer_batch(inp, out)
        np.round(out, 2, out=out)


class RoundingBackend(AffineBackend):
    def load_model(self, artifact):
        model = super().load_model(artifact)
        model.__class__ = Rounds
        return model


class BuggyEdgeSuite(DequeEdgeSuite):
    def make(self, caps, clock):
        return Lifo(caps, clock)


class BuggyBackendSuite(AffineSuite):
    def make(self):
        return RoundingBackend()
'''

_GRAPH = """
limen = 1
name = "outside"

[nodes.numbers]
type = "csv"
path = "numbers.csv"
columns = ["a", "b", "c", "d"]
rate_hz = 100

[nodes.gain]
type = "model"
path = "gain.affine"
backend = "acme_affine"

[nodes.print]
type = "json_lines"

[[edges]]
from = "numbers"
to = "gain"
policy = { ring = "acme", max_items = 4 }

[[edges]]
from = "gain"
to = "print"
policy = { ring = "acme" }
"""


def block_of(page: str, name: str) -> str:
    """Return a file that a page shows: what readers copy is what is tested."""
    text = (_ROOT / "docs" / "contracts" / page).read_text(encoding="utf-8")
    return text.partition(f"<!-- file: {name} -->\n```python\n")[2].partition("\n```\n")[0] + "\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the package into a folder of its own, as pip installs any other."""
    project = tmp_path_factory.mktemp("acme")
    package = project / "acme_limen"
    package.mkdir()
    (project / "pyproject.toml").write_text(_PYPROJECT, encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "edges.py").write_text(block_of("edge.md", "acme_edge.py"), encoding="utf-8")
    (package / "engine.py").write_text(block_of("backend.md", "acme_engine.py"), encoding="utf-8")
    (package / "suites.py").write_text(_SUITES, encoding="utf-8")
    (package / "bugs.py").write_text(_BUGS, encoding="utf-8")
    beside = tmp_path_factory.mktemp("beside")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--no-deps", "--target", str(beside), str(project)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield beside


def limen(*args: str, beside: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    # A path file would need a folder that is not ours: this is how --target folders are used.
    program = f"import sys; sys.path.insert(0, {str(beside)!r}); from limen.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_its_edge_and_its_backend_run_in_a_graph(installed: Path, tmp_path: Path) -> None:
    model = {"scale": 3, "shift": 1, "width": 4, "most": None}
    (tmp_path / "gain.affine").write_text(json.dumps(model), encoding="utf-8")
    (tmp_path / "graph.toml").write_text(_GRAPH, encoding="utf-8")
    (tmp_path / "numbers.csv").write_text("a,b,c,d\n" + "1,2,3,4\n" * 6, encoding="utf-8")
    checked = limen("check", "graph.toml", beside=installed, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "acme" in checked.stdout
    done = limen("run", "graph.toml", "--sim", beside=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["value"] for row in printed] == [[4.0, 7.0, 10.0, 13.0]] * 6


def test_its_graph_is_refused_where_it_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "gain.affine").write_text("{}", encoding="utf-8")
    (tmp_path / "graph.toml").write_text(_GRAPH, encoding="utf-8")
    (tmp_path / "numbers.csv").write_text("a,b,c,d\n1,2,3,4\n", encoding="utf-8")
    done = limen("check", "graph.toml", beside=tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown backend 'acme_affine'" in done.stderr
    assert "acme" in done.stderr.replace("acme_affine", "")


def test_it_passes_the_kit(installed: Path, tmp_path: Path) -> None:
    done = limen("conformance", "acme_limen.suites", beside=installed, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "acme_limen.suites:DequeEdgeSuite  EdgeContract" in done.stdout
    assert "acme_limen.suites:AffineSuite  BackendContract" in done.stdout
    assert " FAILED " not in done.stdout


@pytest.mark.parametrize(
    ("suite", "clause", "seen"),
    [
        ("BuggyEdgeSuite", "EDGE-1 ", "pushed 7, 3, 9, 5 and popped [5, 7, 3, 9]"),
        ("BuggyBackendSuite", "MODEL-3 ", "a value is off by 0.00"),
    ],
)
def test_a_planted_bug_is_named_by_its_clause_with_what_was_seen(
    installed: Path, tmp_path: Path, suite: str, clause: str, seen: str
) -> None:
    done = limen("conformance", f"acme_limen.bugs:{suite}", beside=installed, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    lines = done.stdout.splitlines()
    failed = [number for number, line in enumerate(lines) if " FAILED " in line]
    assert clause in lines[failed[0]]
    assert seen in lines[failed[0] + 1]
