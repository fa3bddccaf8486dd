"""Backends are found by entry point, and one that is broken is named before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from limen.compute import find_backend
from limen.errors import ConfigurationError

_MODULE = """
from limen.compute import BackendCapabilities, ComputeBackend

class Good(ComputeBackend):
    name = "good"
    def __init__(self, threads=1):
        self.threads = threads
    def capabilities(self):
        return BackendCapabilities(False, None, frozenset())
    def load_model(self, artifact):
        raise NotImplementedError

class Threadless(Good):
    def __init__(self):
        pass

def none(threads):
    return "a backend"
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_backends.py").write_text(_MODULE, encoding="utf-8")
    info = tmp_path / "found-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: found\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[limen.backends]\n"
        "good = found_backends:Good\n"
        "threadless = found_backends:Threadless\n"
        "none = found_backends:none\n"
        "gone = found_backends:Gone\n"
        "lost = no_such_module:Backend\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_backend_of_another_package_is_made_with_its_threads(installed: None) -> None:
    backend = find_backend("good", threads=3)
    assert (backend.name, getattr(backend, "threads", None)) == ("good", 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("threadless", r"cannot be made by found_backends:Threadless: TypeError"),
        ("none", r"is a str, made by found_backends:none; have the entry point name a class"),
        ("gone", r"found_backends:Gone: AttributeError"),
        ("lost", r"no_such_module:Backend: ModuleNotFoundError"),
        ("god", r"unknown backend 'god'; did you mean 'good'"),
    ],
)
def test_a_broken_backend_is_named_with_its_entry_point(
    installed: None, name: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        find_backend(name)
