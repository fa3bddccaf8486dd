"""The doctor says what works, what is missing, and what is broken."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import pytest

from limen.app import State, diagnose
from limen.cli import main
from limen.compute import BackendCapabilities, ComputeBackend, ComputeModel, ModelArtifact
from limen.errors import InferenceError


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["limen", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_a_machine_that_runs_these_tests_is_well() -> None:
    findings = {finding.subject: finding for finding in diagnose()}
    for subject in ("python", "numpy", "msgspec", "typer", "rich", "component csv"):
        assert findings[subject].state is State.OK, findings[subject]
    assert not [f for f in findings.values() if f.state is State.PROBLEM]


def test_the_command_prints_a_line_a_finding_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "note") for line in lines)
    assert command(monkeypatch, "doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == len(lines)
    assert set(found[0]) == {"subject", "state", "detail", "remedy"}


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        ("onnxruntime", "onnxruntime", "onnx"),
        ("litert", "ai_edge_litert.interpreter", "litert"),
        ("openvino", "openvino", "openvino"),
        ("c", "emx_onnx_cgen", "mcu"),
    ],
)
def test_a_missing_extra_is_a_note_with_what_to_install(
    backend: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    finding = next(f for f in diagnose() if f.subject == f"backend {backend}")
    assert finding.state is State.NOTE
    assert finding.remedy == f"pip install limen[{extra}]"


def test_an_engine_that_is_there_shows_its_version() -> None:
    findings = {finding.subject: finding.detail for finding in diagnose()}
    for backend, package in (
        ("onnxruntime", "onnxruntime"),
        ("litert", "ai-edge-litert"),
        ("openvino", "openvino"),
        ("c", "emx-onnx-cgen"),
    ):
        version = importlib.metadata.version(package)
        assert findings[f"backend {backend}"].startswith(f"{package} {version}")


class Plain(ComputeBackend):
    """A backend of somebody else's, which names no engine."""

    name = "plain"

    def capabilities(self) -> BackendCapabilities:
        return BackendCapabilities(False, None, frozenset())

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        raise NotImplementedError


class Broken(Plain):
    def engine(self) -> str:
        raise RuntimeError("no device")


class Halved(Plain):
    def engine(self) -> str:
        raise InferenceError("engine fails: half of it is gone") from ImportError("half")


@pytest.mark.parametrize(
    ("offered", "state", "detail"),
    [
        (Plain, State.OK, "test_doctor:Plain"),
        (Broken, State.PROBLEM, "test_doctor:Broken cannot name its engine: RuntimeError: no dev"),
        (Halved, State.PROBLEM, "engine fails: half of it is gone"),
    ],
)
def test_backends_of_others_are_asked_for_their_engine_too(
    offered: type[Plain], state: State, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{__name__}:{offered.__name__}"
    entry = importlib.metadata.EntryPoint("theirs", place, "limen.backends")
    found = importlib.metadata.entry_points

    def with_theirs(group: str) -> object:
        return [*found(group=group), *([entry] if group == "limen.backends" else [])]

    monkeypatch.setattr(importlib.metadata, "entry_points", with_theirs)
    finding = next(f for f in diagnose() if f.subject == "backend theirs")
    assert finding.state is state
    assert finding.detail.startswith(detail)


def test_a_broken_component_is_a_problem_and_hostile_text_is_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = importlib.metadata.EntryPoint("bad\x1b[2J", "no_such_module:x", "limen.components")
    found = importlib.metadata.entry_points

    def with_broken(group: str) -> object:
        return [*found(group=group), *([broken] if group == "limen.components" else [])]

    monkeypatch.setattr(importlib.metadata, "entry_points", with_broken)
    assert command(monkeypatch, "doctor") == 1
    out = capsys.readouterr().out
    assert "no_such_module:x cannot be loaded: ModuleNotFoundError" in out
    assert "\x1b" not in out
