"""The OpenVINO backend: what it loads, what it refuses, and that it keeps to itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from limen.backends import _bound as bound_module
from limen.backends.openvino import OpenVinoBackend, OpenVinoModel
from limen.compute import ModelArtifact
from limen.errors import Code, ConfigurationError, InferenceError
from limen.types import DataType
from models import make_model, reference, write_model

F32 = np.float32


def value(
    name: str, shape: list[object] | None, dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: tuple[onnx.TensorProto, ...] = (),
    **metadata: str,
) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    helper.set_model_props(model, metadata)
    data: bytes = model.SerializeToString()
    return data


def doubling(
    shape: list[object] | None = None, dtype: int = TensorProto.FLOAT, **metadata: str
) -> bytes:
    shape = ["N", 3] if shape is None else shape
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return model_of(nodes, [value("x", shape, dtype)], [value("y", shape, dtype)], **metadata)


def load(data: bytes, label: str = "m.onnx") -> OpenVinoModel:
    return OpenVinoBackend().load_model(ModelArtifact.from_bytes(data, label))


def refused(data: bytes) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return caught.value


# Loading


def test_free_axes_and_scalars_are_as_onnx_runtime_has_them() -> None:
    assert load(doubling(["N", "length", None])).metadata.inputs[0][1].shape == ("axis1", "axis2")
    model = load(doubling([]))
    assert model.metadata.inputs[0][1].shape == ()
    inp, out = np.array([4], F32), np.zeros(1, F32)
    model.infer_batch(inp, out)
    assert out.tolist() == [8]


def test_without_a_batch_axis_the_whole_tensor_is_the_item() -> None:
    model = load(doubling([4, 3]))
    assert model.metadata.inputs[0][1].shape == (4, 3)
    assert model.metadata.max_batch == 1
    inp, out = np.ones((4, 3), F32), np.zeros((4, 3), F32)
    model.infer_one(inp, out)
    assert (out == 2).all()


@pytest.mark.parametrize("dtype", sorted(DataType, key=lambda t: t.value), ids=lambda t: t.value)
def test_every_element_type_passes_through_or_is_refused_by_name(dtype: DataType) -> None:
    kind = getattr(TensorProto, dtype.onnx_type.upper())
    identity = [helper.make_node("Identity", ["x"], ["y"])]
    data = model_of(identity, [value("x", ["N", 3], kind)], [value("y", ["N", 3], kind)])
    if dtype not in OpenVinoBackend().capabilities().dtypes:
        error = refused(data)
        assert error.code is Code.MODEL_PORT_MISMATCH
        assert f"'x' is {dtype.value}" in error.message
        return
    model = load(data)
    inp = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.numpy_dtype())
    out = np.zeros_like(inp)
    model.infer_batch(inp, out)
    assert out.tobytes() == inp.tobytes()


def test_strings_and_sequences_are_refused() -> None:
    node = [helper.make_node("Identity", ["x"], ["y"])]
    kind = TensorProto.STRING
    error = refused(model_of(node, [value("x", ["N", 3], kind)], [value("y", ["N", 3], kind)]))
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'x' is string" in error.message


def test_an_axis_of_no_length_is_refused() -> None:
    assert refused(doubling(["N", 0])).code is Code.MODEL_PORT_MISMATCH


def test_a_batch_axis_on_one_side_only_is_refused() -> None:
    node = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    error = refused(model_of(node, [value("x", ["N", 3])], [value("y", [])]))
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'x' has a batch axis" in error.message


def test_an_unknown_operator_is_refused_by_name() -> None:
    error = refused(
        model_of([helper.make_node("Frob", ["x"], ["y"])], [value("x", [1])], [value("y", [1])])
    )
    assert error.code is Code.INVALID_ARTIFACT
    assert "Frob" in error.message


def test_labels_come_from_the_model_file(tmp_path: Path) -> None:
    model = load(doubling(labels=json.dumps(["a", "b", "c"])))
    assert model.metadata.outputs[0][1].labels == ("a", "b", "c")
    assert refused(doubling(labels="a")).code is Code.INVALID_ARTIFACT
    path = write_model(tmp_path, "mlp", "ir")
    info = '<rt_info><model_info><labels value="a b c d"/></model_info></rt_info></net>'
    path.write_text(path.read_text().replace("<rt_info />", "").replace("</net>", info))
    model = OpenVinoBackend().load_model(ModelArtifact.from_path(path))
    assert model.metadata.outputs[0][1].labels == ("a", "b", "c", "d")


def test_a_tflite_file_is_sent_to_the_backend_that_takes_it() -> None:
    error = refused(make_model("mlp", "tflite").data)
    assert error.code is Code.INVALID_ARTIFACT
    assert "which the backend 'litert' takes" in error.message


# Files beside the model


def external(folder: Path, location: str) -> Path:
    weight = numpy_helper.from_array(np.arange(400, dtype=F32), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    data = model_of(nodes, [value("x", ["N", 400])], [value("y", ["N", 400])], (weight,))
    model = onnx.load_from_string(data)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    (folder / "models").mkdir(exist_ok=True)
    path = folder / "models" / "m.onnx"
    weights = model.graph.initializer[0].raw_data
    model.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    (path.parent / location).write_bytes(weights)
    return path


def test_weights_beside_the_file_are_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = external(tmp_path, "m.weights")
    monkeypatch.chdir(tmp_path)
    model = OpenVinoBackend().load_model(ModelArtifact.from_path(path))
    (path.parent / "m.weights").write_bytes(bytes(1600))
    inp, out = np.ones((1, 400), F32), np.zeros((1, 400), F32)
    model.infer_batch(inp, out)
    assert out[0, -1] == 400
    (path.parent / "m.weights").unlink()
    with pytest.raises(InferenceError) as caught:
        OpenVinoBackend().load_model(ModelArtifact.from_path(path))
    assert caught.value.code is Code.INVALID_ARTIFACT


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_weights_outside_the_files_folder_are_refused(
    tmp_path: Path, absolute: bool, as_bytes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = external(tmp_path, str(tmp_path / "out.weights") if absolute else "../out.weights")
    assert (tmp_path / "out.weights").stat().st_size == 1600
    monkeypatch.chdir(path.parent)
    artifact = ModelArtifact.from_path(path)
    if as_bytes:
        artifact = ModelArtifact.from_bytes(artifact.data)
    with pytest.raises(InferenceError, match="outside") as caught:
        OpenVinoBackend().load_model(artifact)
    assert caught.value.code is Code.INVALID_ARTIFACT


def test_a_file_that_has_changed_since_it_was_read_is_refused(tmp_path: Path) -> None:
    path = external(tmp_path, "m.weights")
    artifact = ModelArtifact.from_path(path)
    model = onnx.load(str(path), load_external_data=False)
    model.producer_name = "another"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InferenceError, match="has changed since it was read") as caught:
        OpenVinoBackend().load_model(artifact)
    assert caught.value.code is Code.INVALID_ARTIFACT


def test_bytes_that_only_speak_of_a_location_are_loaded() -> None:
    model = load(doubling(note="location"))
    inp, out = np.ones((1, 3), F32), np.zeros((1, 3), F32)
    model.infer_batch(inp, out)
    assert out.tolist() == [[2, 2, 2]]


def test_weights_of_an_ir_lie_beside_it_and_inside_its_folder(tmp_path: Path) -> None:
    path = write_model(tmp_path, "mlp", "ir")
    weights = path.with_suffix(".bin")
    model = OpenVinoBackend().load_model(ModelArtifact.from_path(path))
    content = weights.read_bytes()
    weights.write_bytes(bytes(len(content)))
    inp, out = np.ones((1, 8), F32), np.zeros((1, 4), F32)
    model.infer_batch(inp, out)
    np.testing.assert_allclose(out, reference("mlp", inp), rtol=1e-5, atol=1e-5)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "w.bin").write_bytes(content)
    for spoil in (
        lambda: weights.write_bytes(content[:-1]),
        lambda: weights.write_bytes(b""),
        lambda: weights.unlink(),
        lambda: weights.symlink_to(elsewhere / "w.bin"),
    ):
        spoil()
        with pytest.raises(InferenceError) as caught:
            OpenVinoBackend().load_model(ModelArtifact.from_path(path))
        assert caught.value.code is Code.INVALID_ARTIFACT
    assert "lie outside its folder" in str(caught.value)
    with pytest.raises(InferenceError):
        load(path.read_bytes())


# Keeping to itself


def test_nothing_is_sent_and_nothing_is_written_into_the_users_home(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    code = """
import sys
seen = []
def hook(event, arguments):
    if event.split(".")[0] in ("socket", "subprocess") or event in ("os.fork", "os.posix_spawn"):
        seen.append((event, arguments))
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & 3:
        seen.append((event, arguments))
sys.addaudithook(hook)
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from limen.backends.openvino import OpenVinoBackend
from limen.compute import ModelArtifact
import numpy as np
with open(sys.argv[2], "rb") as file:
    data = file.read()
model = OpenVinoBackend().load_model(ModelArtifact.from_bytes(data))
out = np.zeros((1, 4), np.float32)
model.infer_batch(np.ones((1, 8), np.float32), out)
assert out.any()
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert not seen, seen
import openvino
assert openvino.convert_model
"""
    model = write_model(tmp_path, "mlp", "onnx")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    environment = {**kept, "HOME": str(home), "TMPDIR": str(work)}
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(model)]
    done = subprocess.run(arguments, env=environment, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    assert list(home.iterdir()) == list(work.iterdir()) == []


def test_a_telemetry_that_was_imported_before_is_still_there() -> None:
    code = (
        "import sys, types; there = sys.modules['openvino_telemetry'] = types.ModuleType('t'); "
        "from limen.backends.openvino import OpenVinoBackend; OpenVinoBackend().engine(); "
        "assert sys.modules['openvino_telemetry'] is there"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Running


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        OpenVinoBackend(threads=0)


def test_the_output_is_written_in_place_and_the_input_is_not_copied() -> None:
    model = load(doubling())
    slots, results = np.zeros((4, 3), F32), np.full((4, 3), -1, F32)
    view = slots[1:3]
    view.flags.writeable = False
    model.infer_batch(view, results[1:3])
    (bound,) = model._bindings.values()
    # Running the binding again, with no array handed over, reads and writes the same memory.
    slots[1:3] = 7
    bound.call()
    assert results.tolist() == [[-1] * 3, [14] * 3, [14] * 3, [-1] * 3]
    assert slots.tolist() == [[0] * 3, [7] * 3, [7] * 3, [0] * 3]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_module, "_MAX_BINDINGS", 8)
    model = load(doubling())
    for turn in range(50):
        out = np.zeros((1, 3), F32)
        model.infer_batch(np.full((1, 3), turn, F32), out)
        assert (out == 2 * turn).all()
        assert 1 <= len(model._bindings) <= 8


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.BFLOAT16])
def test_a_model_that_hands_its_input_through_fills_the_output_all_the_same(dtype: int) -> None:
    port = value("x", ["N", 2], dtype)
    model = load(model_of([], [port], [port]))
    inp = np.ones((2, 2)).astype(model.metadata.inputs[0][1].dtype.numpy_dtype())
    out = np.zeros_like(inp)
    for turn in range(3):
        inp[:] = turn + 1
        model.infer_batch(inp, out)
        assert out.tobytes() == inp.tobytes()


def test_an_output_of_another_length_than_the_batch_is_a_failed_call() -> None:
    nodes = [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)]
    model = load(model_of(nodes, [value("x", ["N", 3])], [value("y", ["M", 3])]))
    for _ in range(2):
        with pytest.raises(InferenceError, match=r"the output has shape \[2, 3\]") as caught:
            model.infer_batch(np.ones((1, 3), F32), np.ones((1, 3), F32))
        assert caught.value.code is Code.INFERENCE_FAILED


def test_results_of_free_axes_that_do_not_fit_fail_and_the_model_works_again() -> None:
    model = load(doubling(["N", "length"]))
    inp, out = np.ones((2, 5), F32), np.zeros((2, 5), F32)
    for _ in range(2):
        model.infer_batch(inp, out)
        assert (out == 2).all()
        with pytest.raises(InferenceError, match=r"the output has shape \[2, 5\]"):
            model.infer_batch(inp, np.zeros((2, 4), F32))
        inp += 0


def test_a_failed_call_says_why_in_one_line_and_the_model_works_again() -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"])]
    shape = numpy_helper.from_array(np.array([-1, 4]), "s")
    model = load(model_of(nodes, [value("x", ["N", "M"])], [value("y", ["N", 4])], (shape,)))
    out = np.zeros((2, 4), F32)
    for turn in range(2):
        with pytest.raises(InferenceError) as caught:
            model.infer_batch(np.ones((1, 3), F32), np.zeros((1, 4), F32))
        assert caught.value.code is Code.INFERENCE_FAILED
        assert str(caught.value).startswith("model 'm.onnx' failed: ")
        assert "\n" not in str(caught.value)
        model.reset()
        model.infer_batch(np.full((2, 4), turn + 1, F32), out)
        assert (out == turn + 1).all()


def test_it_computes_in_f32_whatever_the_processor_prefers() -> None:
    model = OpenVinoBackend(threads=2).load_model(make_model("mlp", "onnx"))
    inp = np.random.default_rng(0).normal(size=(64, 8)).astype(F32)
    out = np.zeros((64, 4), F32)
    model.infer_batch(inp, out)
    np.testing.assert_allclose(out, reference("mlp", inp), rtol=1e-5, atol=1e-5)


def test_an_engine_that_fails_in_a_call_like_others_before_works_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing:
        def infer(self, *, share_outputs: bool) -> None:
            raise RuntimeError("Exception from src/inference/infer.cpp:66:\nCheck 'x' failed\nboom")

    model = load(doubling())
    inp, out = np.ones((1, 3), F32), np.zeros((1, 3), F32)
    model.infer_batch(inp, out)
    monkeypatch.setattr(model._runner, "_request", Failing())
    with pytest.raises(InferenceError) as caught:
        model.infer_batch(inp, out)
    assert str(caught.value) == "model 'm.onnx' failed: boom"
    inp += 1
    model.infer_batch(inp, out)
    assert out.tolist() == [[4, 4, 4]]


_SIGNALLED = """
import gc, os, signal, threading
from models import make_model
from limen.backends.openvino import OpenVinoBackend

def load():
    return OpenVinoBackend().load_model(make_model("line", "onnx"))

first, other, third = load(), load(), [load()]
del first, other
thread = threading.Thread(target=third.clear)
thread.start()
thread.join()
gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_behind_models_that_have_come_and_gone_is_handled() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SIGNALLED],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
