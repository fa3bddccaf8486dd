"""The LiteRT backend: what it loads, what it refuses, and how many interpreters it keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from limen.backends import litert as backend_module
from limen.backends._tflite import read_tflite
from limen.backends.litert import LiteRtBackend, LiteRtModel
from limen.compute import ModelArtifact
from limen.errors import Code, ConfigurationError, InferenceError
from limen.types import DataType, TensorSpec
from models import make_model, reference
from tflite_writer import Writer

F32 = np.float32
CODES, KINDS = schema.BuiltinOperator, schema.BuiltinOptions


def load(data: bytes, label: str = "m.tflite") -> LiteRtModel:
    return LiteRtBackend().load_model(ModelArtifact.from_bytes(data, label))


def refused(data: bytes) -> InferenceError:
    with pytest.raises(InferenceError) as caught:
        load(data)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return caught.value


def doubling(batch: str = "free", item: tuple[int, ...] = (3,), labels: str | None = None) -> bytes:
    writer = Writer(batch)
    made = writer.affine(
        writer.tensor("x", item),
        np.full([1] * len(item), 2, F32),
        np.zeros([1] * len(item), F32),
    )
    if labels is not None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(labels.encode(), np.uint8)
        writer.model.buffers.append(buffer)
        entry.name, entry.buffer = "labels", len(writer.model.buffers) - 1
        writer.model.metadata = [entry]
    return writer.finish(made)


def reshaping(dtype: str) -> bytes:
    """Hand a tensor of a type through an operator that computes nothing."""
    writer = Writer()
    entry, made = writer.tensor("x", (3,), dtype), writer.tensor("r", (3,), dtype)
    shape = writer.constant("shape", np.array([-1, 3], np.int32))
    options, kind = schema.ReshapeOptionsT(), KINDS.ReshapeOptions
    writer.add(CODES.RESHAPE, [entry, shape], [made], options, kind)
    return writer.finish(made)


def table(batch: str = "free") -> bytes:
    """Look numbers up in a table of three."""
    writer = Writer(batch)
    entry = writer.tensor("x", (), "int32")
    values = writer.constant("t", np.array([5, 6, 7], F32))
    made = writer.tensor("r", ())
    options, kind = schema.GatherOptionsT(), KINDS.GatherOptions
    writer.add(CODES.GATHER, [values, entry], [made], options, kind)
    return writer.finish(made)


def lying() -> bytes:
    """Give two rows for each, and declare one."""
    writer = Writer()
    entry, made = writer.tensor("x", (3,)), writer.tensor("r", (3,))
    options = schema.ConcatenationOptionsT()
    options.axis = 0
    writer.add(CODES.CONCATENATION, [entry, entry], [made], options, KINDS.ConcatenationOptions)
    return writer.finish(made)


def of_any_length() -> bytes:
    writer = Writer()
    entry, made = writer.tensor("x", (3,)), writer.tensor("r", (3,))
    for tensor in (entry, made):
        writer.graph.tensors[tensor].shapeSignature = [-1, -1]
    writer.add(CODES.RELU, [entry], [made], None, KINDS.NONE)
    return writer.finish(made)


# Loading


def test_metadata_leaves_the_batch_axis_out() -> None:
    metadata = load(doubling(item=(3, 2))).metadata
    assert metadata.inputs == (("x", TensorSpec(DataType.F32, (3, 2))),)
    assert metadata.outputs == (("y", TensorSpec(DataType.F32, (3, 2))),)
    assert metadata.max_batch is None


@pytest.mark.parametrize("item", [(4, 3), ()])
def test_without_a_batch_axis_the_whole_tensor_is_the_item(item: tuple[int, ...]) -> None:
    model = load(doubling("none", item))
    assert model.metadata.inputs[0][1].shape == item
    assert model.metadata.max_batch == 1
    inp, out = np.full(item, 4, F32), np.zeros(item, F32)
    model.infer_one(inp, out)
    assert (out == 8).all()


@pytest.mark.parametrize("dtype", sorted(DataType, key=lambda t: t.value), ids=lambda t: t.value)
def test_every_element_type_passes_through_or_is_refused_by_name(dtype: DataType) -> None:
    data = reshaping(dtype.numpy_dtype().name)
    if dtype not in LiteRtBackend().capabilities().dtypes:
        error = refused(data)
        assert error.code is Code.MODEL_PORT_MISMATCH
        assert f"'x' is {dtype.value}" in error.message
        return
    model = load(data)
    inp = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype.numpy_dtype())
    out = np.zeros_like(inp)
    model.infer_batch(inp, out)
    assert out.tobytes() == inp.tobytes()


@pytest.mark.parametrize("dtype", ["string", "complex64"])
def test_what_is_no_number_is_refused_by_name(dtype: str) -> None:
    error = refused(reshaping(dtype))
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert f"'x' is {dtype}" in error.message


def test_labels_come_from_the_models_metadata() -> None:
    model = load(doubling(labels=json.dumps(["a", "b", "c"])))
    assert model.metadata.outputs[0][1].labels == ("a", "b", "c")
    error = refused(doubling(labels='["a", "b"]'))
    assert error.code is Code.INVALID_ARTIFACT
    assert "2 labels do not fit the last axis" in error.message


def test_several_inputs_are_listed_and_refused_when_run() -> None:
    writer = Writer()
    entries = [writer.tensor("a", (3,)), writer.tensor("b", (3,))]
    made = writer.tensor("r", (3,))
    writer.add(CODES.ADD, entries, [made], schema.AddOptionsT(), KINDS.AddOptions)
    model = load(writer.finish(made, inputs=(0, 1)))
    assert [name for name, _ in model.metadata.inputs] == ["a", "b"]
    with pytest.raises(InferenceError, match="2 inputs and 1 outputs") as caught:
        model.infer_batch(np.ones((1, 3), F32), np.ones((1, 3), F32))
    assert caught.value.code is Code.MODEL_PORT_MISMATCH


def test_a_batch_axis_on_one_side_only_is_refused() -> None:
    writer = Writer()
    entry, made = writer.tensor("x", (3,)), writer.tensor("r", (3,))
    writer.graph.tensors[made].shapeSignature = None
    writer.add(CODES.RELU, [entry], [made], None, KINDS.NONE)
    error = refused(writer.finish(made))
    assert error.code is Code.MODEL_PORT_MISMATCH
    assert "'x' has a batch axis" in error.message


def test_an_unknown_operator_is_refused() -> None:
    writer = Writer()
    entry, made = writer.tensor("x", (3,)), writer.tensor("r", (3,))
    writer.add(CODES.CUSTOM, [entry], [made], None, KINDS.NONE)
    writer.model.operatorCodes[0].customCode = "Frob"
    error = refused(writer.finish(made))
    assert error.code is Code.INVALID_ARTIFACT
    assert "Frob" in error.message


# What would end the process


@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_input_that_must_be_there_is_refused(place: int) -> None:
    writer = Writer()
    made = writer.dense(writer.tensor("x", (3,)), np.eye(3, dtype=F32), np.ones(3, F32), relu=False)
    writer.graph.operators[0].inputs[place] = -1
    error = refused(writer.finish(made))
    assert error.code is Code.INVALID_ARTIFACT
    assert "operator 0 of graph 0 lacks an input" in error.message


def test_a_missing_bias_is_none() -> None:
    writer = Writer()
    made = writer.dense(writer.tensor("x", (3,)), np.eye(3, dtype=F32), np.ones(3, F32), relu=False)
    writer.graph.operators[0].inputs[2] = -1
    out = np.zeros((1, 3), F32)
    load(writer.finish(made)).infer_batch(np.full((1, 3), 7, F32), out)
    assert (out == 7).all()


def test_a_file_without_a_graph_is_refused() -> None:
    writer = Writer()
    writer.tensor("x", (3,))
    writer.model.subgraphs = []
    error = refused(writer.finish(0))
    assert error.code is Code.INVALID_ARTIFACT
    assert "it has no graph" in error.message


@pytest.mark.parametrize("number", [-2, 99, 2**31 - 1])
def test_a_tensor_that_there_is_not_is_refused(number: int) -> None:
    writer = Writer()
    made = writer.affine(writer.tensor("x", (3,)), np.ones(3, F32), np.ones(3, F32))
    writer.graph.operators[0].outputs = [number]
    assert f"names tensor {number}, which there is not" in refused(writer.finish(made)).message
    writer.graph.operators[0].outputs = [made - 2]
    for names in (writer.graph.inputs, writer.graph.outputs):
        assert len(names) == 1
    data = writer.finish(made, inputs=(max(number, -1) if number < 0 else number,))
    assert "has no tensor" in refused(data).message


def test_reading_a_damaged_file_only_ever_says_so() -> None:
    data = make_model("conv1d", "tflite").data
    for at in range(0, len(data) - 4, 4):
        for word in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"):
            try:
                read_tflite(data[:at] + word + data[at + 4 :])
            except ValueError as error:
                assert str(error)
    for length in range(len(data)):
        try:
            read_tflite(data[:length])
        except ValueError as error:
            assert str(error)


# Running


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        LiteRtBackend(threads=0)
    assert LiteRtBackend(threads=2).load_model(make_model("mlp", "tflite")).metadata


def test_a_failed_call_says_why_each_time_alike_and_the_model_works_again() -> None:
    model = load(table(), "table.tflite")
    inp, out = np.array([1, 2], np.int32), np.zeros(2, F32)
    said = set()
    for _ in range(3):
        inp[1] = 9
        with pytest.raises(InferenceError) as caught:
            model.infer_batch(inp, out)
        assert caught.value.code is Code.INFERENCE_FAILED
        said.add(str(caught.value))
        inp[1] = 2
        model.reset()
        model.infer_batch(inp, out)
        assert out.tolist() == [6, 7]
    (text,) = said
    assert text.startswith("model 'table.tflite' failed: gather index out of bounds")


def test_an_output_of_another_length_than_the_batch_is_a_failed_call() -> None:
    model = load(lying())
    kept = []
    for _ in range(3):
        with pytest.raises(InferenceError, match=r"the output has shape \[2, 3\]") as caught:
            model.infer_batch(np.ones((1, 3), F32), np.ones((1, 3), F32))
        kept.append(caught.value)
    assert {error.code for error in kept} == {Code.INFERENCE_FAILED}


def test_free_axes_take_any_length_and_results_that_do_not_fit_fail() -> None:
    model = load(of_any_length())
    assert model.metadata.inputs[0][1].shape == ("axis1",)
    for shape in ((2, 5), (3, 1), (2, 5)):
        out = np.zeros(shape, F32)
        model.infer_batch(np.full(shape, 2, F32), out)
        assert (out == 2).all()
    with pytest.raises(InferenceError, match=r"the output has shape \[2, 5\]"):
        model.infer_batch(np.ones((2, 5), F32), np.ones((2, 4), F32))


def test_a_model_that_hands_its_input_through_fills_the_output() -> None:
    writer = Writer()
    model = load(writer.finish(writer.tensor("x", (3,))))
    inp, out = np.arange(6, dtype=F32).reshape(2, 3), np.zeros((2, 3), F32)
    model.infer_batch(inp, out)
    assert (out == inp).all()


def test_an_interpreter_is_made_once_for_each_number_of_items_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend_module, "_MAX_INTERPRETERS", 3)
    model = load(doubling())
    made = model._make
    count = [1]

    def make() -> object:
        count[0] += 1
        return made()

    monkeypatch.setattr(model, "_make", make)

    def answer(items: int) -> None:
        inp: NDArray[np.float32] = np.full((items, 3), items, F32)
        out = np.zeros((items, 3), F32)
        model.infer_batch(inp, out)
        assert (out == 2 * items).all()

    for _ in range(3):
        for items in (1, 2, 3):
            answer(items)
    assert count == [3]
    for items in (*range(1, 9), *range(8, 0, -1)):
        answer(items)
    assert count == [3]
    assert len(model._calls) == 3


def test_misaligned_slots_are_read_and_written() -> None:
    raw = np.zeros(64, np.uint8)
    inp, out = raw[1:13].view(F32).reshape(1, 3), raw[25:37].view(F32).reshape(1, 3)
    inp[:] = 4
    load(doubling()).infer_batch(inp, out)
    assert out.tolist() == [[8, 8, 8]]


def test_two_threads_give_the_answers_of_one() -> None:
    model = LiteRtBackend(threads=2).load_model(make_model("conv2d", "tflite"))
    inp = np.random.default_rng(0).normal(size=(8, 7, 6, 2)).astype(F32)
    out = np.zeros((8, 5, 5, 3), F32)
    model.infer_batch(inp, out)
    np.testing.assert_allclose(out, reference("conv2d", inp), rtol=1e-5, atol=1e-5)


def test_a_length_that_the_model_cannot_take_fails_and_others_work() -> None:
    writer = Writer()
    made = writer.conv(writer.tensor("x", (7, 6, 2)), np.ones((3, 2, 2, 3), F32), np.zeros(3, F32))
    for tensor, channels in ((0, 2), (made, 3)):
        writer.graph.tensors[tensor].shapeSignature = [-1, -1, 6 if tensor == 0 else 5, channels]
    model = load(writer.finish(made))
    for _ in range(2):
        with pytest.raises(InferenceError) as caught:
            model.infer_batch(np.ones((1, 2, 6, 2), F32), np.zeros((1, 1, 5, 3), F32))
        assert caught.value.code is Code.INFERENCE_FAILED
        out = np.zeros((1, 2, 5, 3), F32)
        model.infer_batch(np.ones((1, 4, 6, 2), F32), out)
        assert (out == 12).all()
