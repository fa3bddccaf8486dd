"""What holds for every backend: equal answers, equal refusals, and the choice by file ending."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import limen
from limen.compute import ComputeModel, ModelArtifact, find_backend
from limen.errors import Code, InferenceError
from models import FORMATS, KINDS, Batch, Format, Kind, make_model, network, reference, write_model

F32 = np.float32
BACKENDS = (
    ("onnxruntime", "onnx"),
    ("litert", "tflite"),
    ("openvino", "onnx"),
    ("openvino", "ir"),
    ("c", "onnx"),
)
MODULES = {
    "c": ("emx_onnx_cgen", "emx-onnx-cgen", "mcu"),
    "onnxruntime": ("onnxruntime", "onnxruntime", "onnx"),
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    "openvino": ("openvino", "openvino", "openvino"),
}
each = pytest.mark.parametrize(("backend", "form"), BACKENDS)


def load(backend: str, kind: Kind, form: Format, batch: Batch = "free") -> ComputeModel:
    return find_backend(backend).load_model(make_model(kind, form, batch))


def draw(kind: Kind, items: int, seed: int) -> NDArray[np.float32]:
    shape = (items, *network(kind).takes)
    return np.random.default_rng(seed).normal(size=shape).astype(F32)


# Equal answers


@each
@pytest.mark.parametrize("kind", KINDS)
def test_equal_models_give_equal_answers_for_every_batch(
    backend: str, form: Format, kind: Kind
) -> None:
    model = load(backend, kind, form)
    assert model.metadata.max_batch is None
    for seed, items in enumerate((1, 3, 8, 3, 1)):
        inp = draw(kind, items, seed)
        out = np.full((items, *network(kind).gives), np.nan, F32)
        kept = inp.copy()
        model.infer_batch(inp, out)
        np.testing.assert_allclose(out, reference(kind, inp), rtol=1e-5, atol=1e-5)
        assert (inp == kept).all()


@each
@pytest.mark.parametrize("kind", KINDS)
def test_a_first_axis_of_one_takes_one_item(backend: str, form: Format, kind: Kind) -> None:
    model = load(backend, kind, form, "one")
    assert model.metadata.max_batch == 1
    inp, out = draw(kind, 1, 0), np.full((1, *network(kind).gives), np.nan, F32)
    model.infer_batch(inp, out)
    np.testing.assert_allclose(out, reference(kind, inp), rtol=1e-5, atol=1e-5)
    two = np.zeros((2, *network(kind).gives), F32)
    with pytest.raises(InferenceError, match="at most 1") as caught:
        model.infer_batch(draw(kind, 2, 0), two)
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


@each
def test_names_and_specs_are_the_same(backend: str, form: Format) -> None:
    for kind in KINDS:
        wanted = load("onnxruntime", kind, "onnx").metadata
        assert load(backend, kind, form).metadata == wanted


@each
def test_slots_that_come_round_are_read_and_written_where_they_lie(
    backend: str, form: Format
) -> None:
    model = load(backend, "mlp", form)
    slots, results = draw("mlp", 6, 1), np.full((6, 4), -1, F32)
    for turn in range(12):
        at = turn % 4
        slots[at : at + 2] = draw("mlp", 2, turn)
        view = slots[at : at + 2]
        view.flags.writeable = False
        kept = results.copy()
        model.infer_batch(view, results[at : at + 2])
        slots.flags.writeable = True
        kept[at : at + 2] = reference("mlp", slots[at : at + 2])
        np.testing.assert_allclose(results, kept, rtol=1e-5, atol=1e-5)


@each
def test_temporaries_are_never_confused(backend: str, form: Format) -> None:
    model = load(backend, "affine", form)
    for turn in range(50):
        inp, out = np.full((1, 5, 3), turn, F32), np.zeros((1, 5, 3), F32)
        model.infer_batch(inp, out)
        np.testing.assert_allclose(out, reference("affine", inp), rtol=1e-5, atol=1e-5)


# Equal refusals


@each
@pytest.mark.parametrize(
    ("inp", "out"),
    [
        (np.ones((1, 8), np.float64), np.ones((1, 4), F32)),
        (np.ones((1, 8), F32), np.ones((1, 4), np.float64)),
        (np.ones((1, 8), F32), np.ones((1, 4), np.int32)),
        (np.ones((1, 9), F32), np.ones((1, 4), F32)),
        (np.ones((1, 8), F32), np.ones((1, 5), F32)),
        (np.ones(8, F32), np.ones((1, 4), F32)),
        (np.ones((2, 8), F32), np.ones((1, 4), F32)),
        (np.ones((0, 8), F32), np.ones((0, 4), F32)),
        (np.ones((4, 8), F32)[::2], np.ones((2, 4), F32)),
        (np.ones((2, 8), F32), np.ones((4, 4), F32)[::2]),
        (np.ones((2, 8), ">f4"), np.ones((2, 4), F32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_the_model_works_again(
    backend: str, form: Format, inp: NDArray[np.generic], out: NDArray[np.generic]
) -> None:
    model = load(backend, "mlp", form)
    good, result = draw("mlp", 2, 3), np.zeros((2, 4), F32)
    model.infer_batch(good, result)
    for _ in range(2):
        with pytest.raises(InferenceError, match="does not fit") as caught:
            model.infer_batch(inp, out)
        assert caught.value.code is Code.MODEL_PORT_MISMATCH
    assert (out == 1).all()
    result[:] = 0
    model.infer_batch(good, result)
    np.testing.assert_allclose(result, reference("mlp", good), rtol=1e-5, atol=1e-5)


@each
def test_a_read_only_output_is_refused(backend: str, form: Format) -> None:
    out = np.zeros((1, 4), F32)
    out.flags.writeable = False
    with pytest.raises(InferenceError, match="read-only") as caught:
        load(backend, "mlp", form).infer_batch(draw("mlp", 1, 0), out)
    assert caught.value.code is Code.INFERENCE_FAILED
    assert (out == 0).all()


def other_format(form: Format) -> bytes:
    """A good file that none of the backends under test takes for its own."""
    return b"".join((b"PK\x03\x04", bytes(26), make_model("mlp", form).data))


def flipped(data: bytes, count: int) -> bytes:
    return bytes(b ^ 0xFF for b in data[:count]) + data[count:]


def with_huge_sizes(form: Format, data: bytes) -> bytes:
    """Declare more than there is, where each format says how much there is."""
    if form == "ir":
        return re.sub(rb'(offset="\d+" size=)"\d+"', rb'\1"51200000000"', data)
    if form == "onnx":
        # The first field of the graph, number 7, is of 2**35 bytes.
        at = data.index(b"\x3a", 2)
        return data[: at + 1] + b"\x80\x80\x80\x80\x80\x01" + data[at + 2 :]
    return struct.pack("<I", 0x7FFFFFF0) + data[4:]


MALFORMED = {
    "empty": lambda form, data: b"",
    "one byte": lambda form, data: data[:1],
    "text": lambda form, data: b"hello world\n" * 40,
    "a PNG's head": lambda form, data: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(60),
    "zeros": lambda form, data: bytes(4096),
    "ones": lambda form, data: b"\xff" * 4096,
    "cut off after 8 bytes": lambda form, data: data[:8],
    "cut off after 40 bytes": lambda form, data: data[:40],
    "cut off after a quarter": lambda form, data: data[: len(data) // 4],
    "cut off in the middle": lambda form, data: data[: len(data) // 2],
    "cut off near the end": lambda form, data: data[: -len(data) // 10],
    "an archive": lambda form, data: other_format(form),
    "a flipped head": lambda form, data: flipped(data, 16),
    "huge sizes": with_huge_sizes,
    "only its mark": lambda form, data: b"\x18\0\0\0TFL3",
    "an empty graph": lambda form, data: b"<net name='g'><layers/></net>",
    "shuffled": lambda form, data: data[::-1],
}


@each
@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("kind", ["mlp", "conv2d"])
def test_malformed_files_are_refused_in_one_line_with_one_code(
    backend: str,
    form: Format,
    name: str,
    kind: Kind,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = write_model(tmp_path, kind, form)
    path.write_bytes(MALFORMED[name](form, path.read_bytes()))
    with pytest.raises(InferenceError) as caught:
        find_backend(backend).load_model(ModelArtifact.from_path(path))
    error = caught.value
    assert error.code is Code.INVALID_ARTIFACT
    assert type(error).__name__ == "InvalidArtifactError"
    assert error.message.startswith(f"model {path.name!r} is not a model that ")
    assert error.remedy
    assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("backend", "form"),
    [
        ("onnxruntime", "tflite"),
        ("onnxruntime", "ir"),
        ("litert", "onnx"),
        ("litert", "ir"),
        ("openvino", "tflite"),
        ("c", "tflite"),
        ("c", "ir"),
    ],
)
def test_a_good_file_of_another_format_is_refused(
    backend: str, form: Format, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InferenceError) as caught:
        find_backend(backend).load_model(make_model("mlp", form))
    assert caught.value.code is Code.INVALID_ARTIFACT
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "c"])
@pytest.mark.parametrize("name", [b"x", b"y"])
def test_a_name_that_is_not_text_is_refused(backend: str, name: bytes) -> None:
    data = make_model("affine", "onnx").data
    assert data.count(b"\x01" + name) >= 2
    spoiled = ModelArtifact.from_bytes(data.replace(b"\x01" + name, b"\x01\xff"))
    with pytest.raises(InferenceError) as caught:
        find_backend(backend).load_model(spoiled)
    assert caught.value.code is Code.INVALID_ARTIFACT
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", MODULES)
def test_a_missing_engine_names_the_extra(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, package, extra = MODULES[backend]
    monkeypatch.setitem(sys.modules, module, None)
    form: Format = "tflite" if backend == "litert" else "onnx"
    for call in (lambda b: b.load_model(make_model("mlp", form)), lambda b: b.engine()):
        with pytest.raises(InferenceError) as caught:
            call(find_backend(backend))
        assert caught.value.code is Code.RESOURCE_UNAVAILABLE
        assert str(caught.value) == f"{package} is not installed; pip install limen[{extra}]"


@pytest.mark.parametrize("backend", MODULES)
def test_an_engine_names_itself_and_its_version(backend: str) -> None:
    name, version, *_ = find_backend(backend).engine().split()
    assert name == MODULES[backend][1]
    assert version[0].isdigit()


@pytest.mark.parametrize("backend", MODULES)
def test_finding_a_backend_and_asking_what_it_can_do_does_not_import_its_engine(
    backend: str,
) -> None:
    code = (
        "import sys; from limen.compute import find_backend; "
        f"find_backend({backend!r}).capabilities(); "
        "assert not {'onnxruntime', 'ai_edge_litert', 'openvino', 'onnx', 'emx_onnx_cgen'}"
        " & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# The choice by the file's ending


@pytest.mark.parametrize("form", FORMATS)
def test_a_graph_with_a_model_named_only_by_its_file_runs_end_to_end(
    form: Format, tmp_path: Path
) -> None:
    path = write_model(tmp_path, "mlp", form)
    inp = draw("mlp", 6, 9)
    np.savez(tmp_path / "in.npz", x=inp)
    graph = limen.Graph("g")
    graph.add("source", limen.io.NpzSource(tmp_path / "in.npz", "x", speed="max"))
    graph.add("model", limen.Model(path))
    graph.add("sink", limen.io.NpzSink(tmp_path / "out.npz", 6))
    graph.connect("source", "model")
    graph.connect("model", "sink")
    limen.run(graph)
    with np.load(tmp_path / "out.npz") as saved:
        out = saved["value"]
    np.testing.assert_allclose(out, reference("mlp", inp), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("m.tflite", "litert"),
        ("m.TFLITE", "litert"),
        ("m.xml", "openvino"),
        ("m.onnx", "onnxruntime"),
        ("m", "onnxruntime"),
    ],
)
def test_the_files_ending_chooses_the_backend(name: str, backend: str) -> None:
    assert limen.Model(name).backend.name == backend
    assert limen.Model(name, backend="openvino", threads=2).backend.name == "openvino"


@pytest.mark.parametrize("form", FORMATS)
def test_a_graph_whose_engine_is_missing_says_which_extra_brings_it(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = {"onnx": "onnxruntime", "tflite": "litert", "ir": "openvino"}[form]
    path = write_model(tmp_path, "mlp", form)
    module, _, extra = MODULES[backend]
    monkeypatch.setitem(sys.modules, module, None)
    graph = limen.Graph("g").add("model", limen.Model(path))
    with pytest.raises(limen.LimenError) as caught:
        limen.check(graph)
    assert f"pip install limen[{extra}]" in str(caught.value)
