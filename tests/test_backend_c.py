"""The backend ``c``: what firmware computes, on every executor; compiled once, and kept."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from c_models import ACTIVITY, CASES, WITH_COMPILER, call, compiled, make, node, value
from limen.backends.c import CBackend, CModel
from limen.backends.onnxruntime import OnnxRuntimeBackend
from limen.codegen import why_not
from limen.compute import ModelArtifact
from limen.errors import Code, InferenceError
from limen.types import DataType
from models import make_model

F32 = np.float32
GRAPH = ACTIVITY.with_name("activity.toml")
pytestmark = WITH_COMPILER
TARGETS = [
    "reference",
    "python",
    pytest.param("native", marks=pytest.mark.skipif(why_not() is not None, reason=str(why_not()))),
]


def load_model(data: bytes, label: str = "m.onnx") -> CModel:
    return CBackend().load_model(ModelArtifact.from_bytes(data, label))


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LIMEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def entries(cache: Path) -> list[Path]:
    return sorted(p for p in cache.iterdir() if not p.name.startswith("."))


def windows() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The windows that the activity graph makes of its recording."""
    with ACTIVITY.with_name("test.csv").open(newline="") as file:
        rows = [[float(row[c]) for c in ("ax", "ay", "az", "gx", "gy", "gz")]
                for row in csv.DictReader(file)]  # fmt: skip
    samples = np.array(rows, F32)
    starts = range(0, len(samples) - 49, 25)
    return np.stack([samples[start : start + 50] for start in starts])


# The same answers


def test_the_whole_recording_gets_the_labels_that_onnx_runtime_gives() -> None:
    artifact = ModelArtifact.from_path(ACTIVITY)
    items = windows()
    answers = []
    for backend in (CBackend(), OnnxRuntimeBackend()):
        out = np.zeros((len(items), 4), F32)
        backend.load_model(artifact).infer_batch(items, out)
        answers.append(out)
    mine, theirs = answers
    assert len(items) > 100
    assert (mine.argmax(1) == theirs.argmax(1)).all()
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_metadata_is_that_of_onnx_runtime_with_its_labels() -> None:
    artifact = ModelArtifact.from_path(ACTIVITY)
    mine, theirs = (b.load_model(artifact).metadata for b in (CBackend(), OnnxRuntimeBackend()))
    assert mine == theirs
    assert mine.outputs[0][1].labels == ("badminton", "running", "standing", "walking")


@pytest.mark.parametrize("name", ["several inputs and outputs", "int64 and bool", "a scalar"])
def test_metadata_of_other_graphs_is_that_of_onnx_runtime(name: str) -> None:
    artifact = ModelArtifact.from_bytes(CASES[name].data, "m.onnx")
    mine, theirs = (b.load_model(artifact).metadata for b in (CBackend(), OnnxRuntimeBackend()))
    assert mine == theirs


def test_an_item_is_computed_as_the_firmware_does_whatever_its_batch(tmp_path: Path) -> None:
    data = CASES["conv 2d, opset 21"].data
    form, model = compiled("conv 2d, opset 21"), load_model(data)
    items = np.random.default_rng(1).normal(size=(5, 2, 8, 6)).astype(F32)
    out = np.zeros((5, 3), F32)
    model.infer_batch(items, out)
    for index in range(5):
        np.testing.assert_array_equal(
            call(tmp_path, form, [items[index : index + 1]])[0][0], out[index]
        )


@pytest.mark.parametrize("kind", sorted(CBackend().capabilities().dtypes, key=lambda d: d.value))
def test_every_element_type_that_it_says_it_takes_goes_through(kind: DataType) -> None:
    dtype = kind.numpy_dtype()
    onnx_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    sides = [value("x", ["N", 3], onnx_type)], [value("y", ["N", 3], onnx_type)]
    model = load_model(make([node("Identity", "x", "y")], *sides).SerializeToString())
    inp = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    out = np.zeros_like(inp)
    model.infer_batch(inp, out)
    assert out.tolist() == inp.tolist()


def test_without_a_batch_axis_the_whole_tensor_is_the_item() -> None:
    sides = [value("x", [4, 3])], [value("y", [4, 3])]
    model = load_model(make([node("Add", "x x", "y")], *sides).SerializeToString())
    assert model.metadata.inputs[0][1].shape == (4, 3)
    assert model.metadata.max_batch == 1
    inp, out = np.ones((1, 4, 3), F32), np.zeros((1, 4, 3), F32)
    model.infer_batch(inp, out)
    assert (out == 2).all()


def test_an_input_across_the_bounds_of_its_elements_is_read_and_such_an_output_is_refused() -> None:
    model = load_model(make_model("line", "onnx").data)
    crooked = np.zeros(2 * 4 * 4 + 1, np.uint8)[1:].view(F32).reshape(2, 4)
    assert not crooked.flags.aligned
    out = np.zeros((2, 4), F32)
    bound = model.bind(crooked, out)
    for turn in range(3):
        crooked[:] = turn
        model.infer_batch(crooked, out)
        assert (out == 2 * turn + 1).all()
        crooked[:] = turn + 1
        bound()
        assert (out == 2 * turn + 3).all()
    with pytest.raises(InferenceError, match="across the bounds") as caught:
        model.infer_batch(out, crooked)
    assert caught.value.code is Code.INFERENCE_FAILED


def test_weights_beside_the_file_are_found(tmp_path: Path) -> None:
    model = make(
        [node("Add", "x w", "y")],
        [value("x", ["N", 600])],
        [value("y", ["N", 600])],
        w=np.arange(600, dtype=F32),
    )
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=8)
    loaded = CBackend().load_model(ModelArtifact.from_path(path))
    out = np.zeros((1, 600), F32)
    loaded.infer_batch(np.ones((1, 600), F32), out)
    assert (out[0] == np.arange(600) + 1).all()
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InferenceError, match=r"'m\.onnx' is not a model that the C backend can"):
        CBackend().load_model(ModelArtifact.from_path(path))


# On every executor


@pytest.mark.parametrize("target", TARGETS)
def test_the_activity_graph_decides_as_it_does_over_onnx_runtime(
    target: str, tmp_path: Path
) -> None:
    answers = []
    for backend in ("c", "onnxruntime"):
        text = GRAPH.read_text().replace("test.csv", str(ACTIVITY.with_name("test.csv")))
        text = text.replace("activity.onnx", str(ACTIVITY))
        text = text.replace('type = "model"', f'type = "model"\nbackend = "{backend}"', 1)
        path = tmp_path / f"{backend}.toml"
        path.write_text(text)
        command = [sys.executable, "-m", "limen", "run", str(path), "--sim", "--target", target]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        answers.append(lines)
    mine, theirs = answers
    assert len(mine) == len(theirs) > 50
    for one, other in zip(mine, theirs, strict=True):
        assert one.keys() == other.keys()
        assert one["label"] == other["label"]


# Compiled once, and kept


def test_a_model_is_compiled_once_for_all_processes(own_cache: Path) -> None:
    data = make_model("mlp", "onnx").data
    load_model(data)
    (entry,) = entries(own_cache)
    assert sorted(p.name for p in entry.iterdir()) == ["manifest.json", "model.so"]
    built = (entry / "model.so").stat().st_ino
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from models import make_model\nfrom limen.compute import find_backend\n"
        "find_backend('c').load_model(make_model('mlp', 'onnx'))"
    )
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], check=True)
    assert entries(own_cache) == [entry]
    assert (entry / "model.so").stat().st_ino == built
    load_model(make_model("affine", "onnx").data)
    assert len(entries(own_cache)) == 2


def test_what_is_damaged_in_the_cache_is_built_anew(own_cache: Path) -> None:
    data = make_model("line", "onnx").data
    load_model(data)
    (entry,) = entries(own_cache)
    library = entry / "model.so"
    library.chmod(0o600)
    library.write_bytes(library.read_bytes()[:-8])
    out = np.zeros((1, 4), F32)
    load_model(data).infer_batch(np.ones((1, 4), F32), out)
    assert (out == 3).all()


def test_a_cache_of_somebody_else_is_refused(own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    own_cache.chmod(0o777)
    with pytest.raises(InferenceError, match="its mode is 777") as caught:
        load_model(make_model("line", "onnx").data)
    assert caught.value.code is Code.RESOURCE_UNAVAILABLE
    assert "LIMEN_CACHE_DIR" in caught.value.remedy


# Refusals


def test_without_a_compiler_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for refused in (lambda: load_model(make_model("line", "onnx").data), CBackend().engine):
        with pytest.raises(InferenceError, match="needs a C compiler") as caught:
            refused()
        assert caught.value.code is Code.RESOURCE_UNAVAILABLE
        assert "apt-get install gcc" in caught.value.remedy


def test_what_a_compiler_says_is_passed_on(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sysconfig

    name = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = tmp_path / "bin" / Path(name).name
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho 'fatal error: the moon is in the way' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    with pytest.raises(InferenceError, match="the moon is in the way") as caught:
        load_model(make_model("line", "onnx").data)
    assert caught.value.code is Code.RESOURCE_UNAVAILABLE
    assert "choose the backend onnxruntime" in caught.value.remedy
    assert entries(own_cache) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            make([node("NonZero", "x", "y")], [value("x", [1, 6])],
                 [value("y", [2, "n"], TensorProto.INT64)]),
            "node 'y' (NonZero)",
        ),
        (
            make([node("Relu", "x", "y")], [value("x", ["N", "t"])], [value("y", ["N", "t"])]),
            "axis 1 't' of input 'x' has no length",
        ),
        (
            make([node("Relu", "x", "y")], [value("x", ["N", 3], TensorProto.FLOAT16)],
                 [value("y", ["N", 3], TensorProto.FLOAT16)]),
            "input 'x' is of float16",
        ),
    ],
)  # fmt: skip
def test_what_has_no_c_form_is_refused_with_its_place(model: onnx.ModelProto, said: str) -> None:
    with pytest.raises(InferenceError) as caught:
        load_model(model.SerializeToString(), "odd.onnx")
    assert caught.value.code is Code.INVALID_ARTIFACT
    assert caught.value.message.startswith("model 'odd.onnx' is not a model that the C backend ")
    assert said in caught.value.message


def test_a_model_of_several_inputs_is_loaded_and_not_called() -> None:
    model = load_model(CASES["several inputs and outputs"].data)
    assert [name for name, _ in model.metadata.inputs] == ["x", "z", "unread"]
    with pytest.raises(InferenceError, match="has 3 inputs and 4 outputs"):
        model.infer_batch(np.zeros((1, 6), F32), np.zeros((1, 6), F32))
