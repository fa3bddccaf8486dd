"""The ONNX Runtime backend: what it loads, what it refuses, and whose memory it uses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from limen.backends import _bound as bound_module
from limen.backends.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeModel
from limen.compute import ModelArtifact
from limen.errors import Code, ConfigurationError, InferenceError
from limen.node import InferenceModel
from limen.types import DataType, TensorSpec

F32 = TensorProto.FLOAT
ACTIVITY = Path(__file__).parent.parent / "examples" / "activity" / "activity.onnx"


def model_bytes(nodes, inputs, outputs, initializers=(), metadata=None):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model.SerializeToString()


def value(name, shape, dtype=F32):
    return helper.make_tensor_value_info(name, dtype, shape)


def doubling(in_shape=("N", 3), out_shape=None, dtype=F32, metadata=None):
    out_shape = in_shape if out_shape is None else out_shape
    return model_bytes(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [value("x", in_shape, dtype)],
        [value("y", out_shape, dtype)],
        metadata=metadata,
    )


def identity(dtype, op="Identity"):
    return model_bytes(
        [helper.make_node(op, ["x"], ["y"])],
        [value("x", ["N", 3], dtype)],
        [value("y", ["N", 3], dtype)],
    )


def gather():
    table = helper.make_tensor("t", F32, [3], [5, 6, 7])
    return model_bytes(
        [helper.make_node("Gather", ["t", "x"], ["y"])],
        [value("x", ["N"], TensorProto.INT64)],
        [value("y", ["N"])],
        [table],
    )


def load(data, label="m.onnx") -> OnnxRuntimeModel:
    return OnnxRuntimeBackend().load_model(ModelArtifact.from_bytes(data, label))


def refused(data) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return caught.value


# Loading


def test_metadata_leaves_the_batch_axis_out():
    metadata = load(doubling(("N", 3, 2))).metadata
    assert metadata.inputs == (("x", TensorSpec(DataType.F32, (3, 2))),)
    assert metadata.outputs == (("y", TensorSpec(DataType.F32, (3, 2))),)
    assert metadata.max_batch is None


def test_an_axis_without_a_name_is_a_batch_axis_too():
    assert load(doubling((None, 3))).metadata.max_batch is None


def test_other_free_axes_keep_their_names():
    metadata = load(doubling(("N", "sequence length", None, "2k"))).metadata
    assert metadata.inputs[0][1].shape == ("sequence_length", "axis2", "axis3_2k")


def test_a_first_axis_of_one_is_a_batch_axis_for_one_item():
    model = load(doubling((1, 3)))
    assert model.metadata.inputs[0][1].shape == (3,)
    assert model.metadata.max_batch == 1
    inp, out = np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)
    model.infer_batch(inp, out)
    assert out.tolist() == [[2, 2, 2]]


def test_without_a_batch_axis_the_whole_tensor_is_the_item():
    model = load(doubling((4, 3)))
    assert model.metadata.inputs[0][1].shape == (4, 3)
    assert model.metadata.max_batch == 1
    inp, out = np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)
    model.infer_one(inp, out)
    assert (out == 2).all()


def test_a_scalar_is_an_item_of_no_axes():
    model = load(doubling(()))
    assert model.metadata.inputs[0][1].shape == ()
    inp, out = np.array([4], np.float32), np.zeros(1, np.float32)
    model.infer_batch(inp, out)
    assert out.tolist() == [8]


@pytest.mark.parametrize(
    "dtype",
    [t.onnx_type.upper() for t in DataType],
)
def test_every_element_type_passes_through(dtype):
    model = load(identity(getattr(TensorProto, dtype)))
    spec = model.metadata.inputs[0][1]
    assert spec.dtype in OnnxRuntimeBackend().capabilities().dtypes
    inp = np.array([[0, 1, 2], [3, 4, 5]]).astype(spec.dtype.numpy_dtype())
    out = np.zeros_like(inp)
    model.infer_batch(inp, out)
    assert out.tobytes() == inp.tobytes()


def test_all_inputs_and_outputs_are_listed_and_several_inputs_are_refused_when_run():
    model = load(
        model_bytes(
            [helper.make_node("Add", ["a", "b"], ["y"]), helper.make_node("Neg", ["a"], ["z"])],
            [value("a", ["N", 3]), value("b", ["N", 3])],
            [value("y", ["N", 3]), value("z", ["N", 3])],
        )
    )
    assert [name for name, _ in model.metadata.inputs] == ["a", "b"]
    assert [name for name, _ in model.metadata.outputs] == ["y", "z"]
    with pytest.raises(InferenceError, match="2 inputs and 2 outputs") as caught:
        model.infer_batch(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


def test_labels_come_from_the_model_file():
    model = load(doubling(metadata={"labels": json.dumps(["a", "b", "c"])}))
    assert model.metadata.outputs[0][1].labels == ("a", "b", "c")
    assert model.metadata.inputs[0][1].labels == ()


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("a,b,c", "not JSON"),
        ('{"0": "a"}', "not a list of strings"),
        ('["a", 1, "c"]', "not a list of strings"),
        ("[]", "not a list of strings"),
        ('["a", "b"]', "2 labels do not fit the last axis"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, reason):
    error = refused(doubling(metadata={"labels": labels}))
    assert error.code is Code.INVALID_ARTIFACT
    assert reason in error.message
    assert "f32[3]" in error.remedy


@pytest.mark.parametrize(
    "data", [b"", b"hello world", doubling()[:40], ACTIVITY.read_bytes()[:500]]
)
@pytest.mark.parametrize("as_file", [False, True])
def test_what_is_no_model_is_refused_in_one_line_and_in_silence(data, as_file, tmp_path, capfd):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    artifact = (
        ModelArtifact.from_path(path) if as_file else ModelArtifact.from_bytes(data, "bad.onnx")
    )
    with pytest.raises(InferenceError) as caught:
        OnnxRuntimeBackend().load_model(artifact)
    error = caught.value
    assert error.code is Code.INVALID_ARTIFACT
    assert error.message.startswith("model 'bad.onnx' is not a model that ONNX Runtime can load: ")
    assert error.remedy
    assert "\n" not in str(error)
    assert "ONNXRuntimeError" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_an_unknown_operator_is_refused():
    data = model_bytes(
        [helper.make_node("Frob", ["x"], ["y"])], [value("x", [1])], [value("y", [1])]
    )
    error = refused(data)
    assert error.code is Code.INVALID_ARTIFACT
    assert "Frob" in error.message


def test_strings_are_refused_by_name():
    error = refused(identity(TensorProto.STRING))
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'x' is tensor(string)" in error.message


def test_sequences_are_refused_by_name():
    error = refused(
        model_bytes(
            [helper.make_node("SequenceConstruct", ["x"], ["y"])],
            [value("x", [1, 2])],
            [helper.make_tensor_sequence_value_info("y", F32, None)],
        )
    )
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'y' is seq(tensor(float))" in error.message


def test_an_axis_of_no_length_is_refused():
    error = refused(doubling(("N", 0)))
    assert error.code is Code.MODEL_PORT_MISMATCH


def test_a_batch_axis_on_one_side_only_is_refused():
    data = model_bytes(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [value("x", ["N", 3])],
        [value("y", [])],
    )
    error = refused(data)
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'x' has a batch axis" in error.message
    assert "'y' has none" in error.message


def test_weights_beside_the_file_are_found_from_elsewhere(tmp_path, monkeypatch):
    weight = numpy_helper.from_array(np.arange(400, dtype=np.float32), "w")
    data = model_bytes(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [value("x", ["N", 400])],
        [value("y", ["N", 400])],
        [weight],
    )
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "m.onnx"
    onnx.save_model(
        onnx.load_from_string(data),
        str(path),
        save_as_external_data=True,
        location="m.weights",
        size_threshold=0,
        convert_attribute=False,
    )
    monkeypatch.chdir(tmp_path)
    model = OnnxRuntimeBackend().load_model(ModelArtifact.from_path(path))
    inp, out = np.ones((1, 400), np.float32), np.zeros((1, 400), np.float32)
    model.infer_batch(inp, out)
    assert out[0, -1] == 400
    (tmp_path / "models" / "m.weights").unlink()
    with pytest.raises(InferenceError) as caught:
        OnnxRuntimeBackend().load_model(ModelArtifact.from_path(path))
    assert caught.value.code is Code.INVALID_ARTIFACT


def test_the_digest_is_of_the_files_bytes():
    artifact = ModelArtifact.from_path(ACTIVITY)
    assert artifact.sha256 == hashlib.sha256(ACTIVITY.read_bytes()).hexdigest()
    assert artifact.label == "activity.onnx"


def test_a_missing_engine_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = refused(doubling())
    assert error.code is Code.RESOURCE_UNAVAILABLE
    assert str(error) == "onnxruntime is not installed; pip install limen[onnx]"


def test_importing_the_backend_and_asking_what_it_can_do_does_not_import_the_engine():
    code = (
        "import sys; from limen.backends.onnxruntime import OnnxRuntimeBackend as B; "
        "B().capabilities(); assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fewer_than_one_thread_is_refused():
    with pytest.raises(ConfigurationError):
        OnnxRuntimeBackend(threads=0)


# Running


@pytest.mark.parametrize("items", [1, 4])
def test_results_equal_those_of_a_plain_session(items):
    model = OnnxRuntimeBackend(threads=2).load_model(ModelArtifact.from_path(ACTIVITY))
    session = onnxruntime.InferenceSession(str(ACTIVITY), providers=["CPUExecutionProvider"])
    inp = np.random.default_rng(0).normal(size=(items, 50, 6)).astype(np.float32)
    out = np.zeros((items, 4), np.float32)
    for _ in range(3):
        model.infer_batch(inp, out)
        np.testing.assert_allclose(out, session.run(None, {"window": inp})[0], rtol=1e-5)
        inp *= 0.5
    assert model.metadata.outputs[0][1].labels == ("badminton", "running", "standing", "walking")


def test_the_output_is_written_in_place_and_the_input_is_not_copied():
    model = load(doubling())
    slots = np.zeros((4, 3), np.float32)
    results = np.full((4, 3), -1, np.float32)
    view = slots[1:3]
    view.flags.writeable = False
    model.infer_batch(view, results[1:3])
    binding = next(iter(model._bindings.values())).binding
    assert binding.get_outputs()[0].data_ptr() == results[1:3].ctypes.data
    # Running the binding again, with no array handed over, reads and writes the same memory.
    slots[1:3] = 7
    model._session.run_with_iobinding(binding)
    assert results.tolist() == [[-1] * 3, [14] * 3, [14] * 3, [-1] * 3]
    assert slots.tolist() == [[0] * 3, [7] * 3, [7] * 3, [0] * 3]


def test_slots_that_come_round_are_bound_once():
    model = load(doubling())
    slots, results = np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)
    for turn in range(20):
        at = turn % 4
        slots[at] = turn
        model.infer_batch(slots[at : at + 1], results[at : at + 1])
        assert (results[at] == 2 * turn).all()
    assert len(model._bindings) == 4


def test_the_same_memory_with_another_number_of_items_is_another_binding():
    model = load(doubling())
    slots, results = np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)
    for items in (1, 3, 1, 4):
        results[:] = 0
        model.infer_batch(slots[:items], results[:items])
        assert (results[:items] == 2).all()
        assert (results[items:] == 0).all()


def test_temporaries_are_never_confused_and_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(bound_module, "_MAX_BINDINGS", 8)
    model = load(doubling())
    for turn in range(100):
        out = np.zeros((1, 3), np.float32)
        model.infer_batch(np.full((1, 3), turn, np.float32), out)
        assert (out == 2 * turn).all()
        assert len(model._bindings) <= 8


def test_the_bytes_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(bound_module, "_MAX_BOUND_BYTES", 100)
    model = load(doubling())
    for _ in range(20):
        model.infer_batch(np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32))
        assert 1 <= len(model._bindings) <= 4


@pytest.mark.parametrize("dtype", [F32, TensorProto.BFLOAT16])
def test_a_model_that_hands_its_input_through_fills_the_output_all_the_same(dtype):
    model = load(model_bytes([], [value("x", ["N", 2], dtype)], [value("x", ["N", 2], dtype)]))
    inp = np.ones((2, 2)).astype(model.metadata.inputs[0][1].dtype.numpy_dtype())
    out = np.zeros_like(inp)
    for turn in range(3):
        inp[:] = turn + 1
        model.infer_batch(inp, out)
        assert out.tobytes() == inp.tobytes()


def test_both_ways_of_reading_an_address_agree():
    array = np.zeros((4, 3), np.float32)
    read_only = array[2:]
    read_only.flags.writeable = False
    for each in (array, array[1:], read_only, array[1:1]):
        assert bound_module.pointer(each) == bound_module._documented_pointer(each)
        assert bound_module.pointer(each) == each.__array_interface__["data"][0]


def test_a_failed_call_says_why_and_the_model_works_again(capfd):
    model = load(gather(), "table.onnx")
    inp, out = np.array([1, 2]), np.zeros(2, np.float32)
    for _ in range(2):
        inp[1] = 9
        with pytest.raises(InferenceError) as caught:
            model.infer_batch(inp, out)
        assert caught.value.code is Code.INFERENCE_FAILED
        assert str(caught.value) == (
            "model 'table.onnx' failed: indices element out of data bounds, idx=9 must be within "
            "the inclusive range [-3,2]"
        )
        inp[1] = 2
        model.reset()
        model.infer_batch(inp, out)
        assert out.tolist() == [6, 7]
    assert capfd.readouterr() == ("", "")


def test_a_bound_call_that_fails_says_why_and_can_be_made_again(capfd):
    model = load(gather(), "table.onnx")
    inp, out = np.array([1, 9]), np.zeros(2, np.float32)
    call = model.bind(inp, out)
    for _ in range(2):
        inp[1] = 9
        with pytest.raises(InferenceError, match=r"'table.onnx' failed: .*idx=9") as caught:
            call()
        assert caught.value.code is Code.INFERENCE_FAILED
        inp[1] = 2
        call()
        assert out.tolist() == [6, 7]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [F32, TensorProto.BFLOAT16])
def test_a_bound_call_of_a_model_that_hands_its_input_through_fills_the_output(dtype):
    model = load(model_bytes([], [value("x", ["N", 2], dtype)], [value("x", ["N", 2], dtype)]))
    inp = np.ones((2, 2)).astype(model.metadata.inputs[0][1].dtype.numpy_dtype())
    out = np.zeros_like(inp)
    call = model.bind(inp, out)
    assert not out.astype(np.float32).any()
    for turn in range(3):
        inp[:] = turn + 1
        call()
        assert out.tobytes() == inp.tobytes()


def test_a_bound_call_whose_output_has_another_length_is_a_failed_call():
    data = model_bytes(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        [value("x", ["N", 3])],
        [value("y", ["M", 3])],
    )
    call = load(data).bind(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
    for _ in range(2):
        with pytest.raises(InferenceError) as caught:
            call()
        assert caught.value.code is Code.INFERENCE_FAILED


def test_a_node_with_a_fixed_batch_is_bound_to_all_of_it():
    artifact = ModelArtifact.from_bytes(doubling((4, 3)), "m.onnx")
    node = InferenceModel(OnnxRuntimeBackend(), artifact, first_axis_is_batch=True)
    node.prepare()
    inp, out = np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)
    call = node.bind(inp, out)
    for turn in range(3):
        inp[:] = turn
        call()
        assert (out == 2 * turn).all()
    with pytest.raises(InferenceError) as caught:
        node.bind(inp[:3], out[:3])
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


def test_an_output_of_another_length_than_the_batch_is_a_failed_call():
    data = model_bytes(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        [value("x", ["N", 3])],
        [value("y", ["M", 3])],
    )
    with pytest.raises(InferenceError) as caught:
        load(data).infer_batch(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))
    assert caught.value.code is Code.INFERENCE_FAILED
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inp", "out"),
    [
        (np.ones((1, 3), np.float64), np.ones((1, 3), np.float32)),
        (np.ones((1, 3), np.float32), np.ones((1, 3), np.float64)),
        (np.ones((1, 4), np.float32), np.ones((1, 3), np.float32)),
        (np.ones(3, np.float32), np.ones((1, 3), np.float32)),
        (np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)),
        (np.ones((0, 3), np.float32), np.ones((0, 3), np.float32)),
        (np.ones((4, 3), np.float32)[::2], np.ones((2, 3), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(inp, out):
    with pytest.raises(InferenceError, match="does not fit") as caught:
        load(doubling()).infer_batch(inp, out)
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


def test_more_items_than_the_model_takes_are_refused():
    with pytest.raises(InferenceError, match="at most 1") as caught:
        load(doubling((1, 3))).infer_batch(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


def test_a_read_only_output_is_refused():
    out = np.zeros((1, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(InferenceError, match="read-only"):
        load(doubling()).infer_batch(np.ones((1, 3), np.float32), out)
    assert (out == 0).all()
