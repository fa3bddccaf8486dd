"""What has no C form is refused in words: what, where in the model, and what to do."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from c_models import ACTIVITY, CASES, make, node, value
from limen.errors import Code, ConfigurationError, GraphError, MissingExtraError
from limen.onnx_c import compile_model
from limen.onnx_c._arena import Temporary, place

X, Y = value("x", ["N", 6]), value("y", ["N", 6])
F16, STRING, S64 = TensorProto.FLOAT16, TensorProto.STRING, TensorProto.INT64


def classifier() -> onnx.ModelProto:
    """As scikit-learn's classifiers are exported: a label beside the probabilities."""
    nodes = [
        node("Softmax", "x", "probabilities", axis=1),
        node("ArgMax", "probabilities", "best", axis=1, keepdims=0),
        helper.make_node(
            "ArrayFeatureExtractor", ["names", "best"], ["row"], "pick", domain="ai.onnx.ml"
        ),
        node("Reshape", "row flat", "label"),
    ]
    outputs = [value("label", ["N"], STRING), value("probabilities", ["N", 2])]
    names = np.array(["a", "b"], object)
    flat = np.array([-1], np.int64)
    extra = ["ai.onnx.ml"]
    return make(nodes, [value("x", ["N", 2])], outputs, 17, extra, names=names, flat=flat)


def foreign() -> onnx.ModelProto:
    added = helper.make_node("Relu", ["x"], ["y"], "mine", domain="my.ops")
    return make([added], [X], [Y], extra=["my.ops"])


def in_files() -> onnx.ModelProto:
    model = make([node("Add", "x w", "y")], [X], [Y], w=np.ones(6, np.float32))
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.ClearField("raw_data")
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return model


REFUSED = {
    "an operator of somebody's own": (foreign(), "'mine' (Relu)", "'my.ops'", "ONNX alone"),
    "a label path": (classifier(), "'label'", "string", "its probabilities"),
    "an open axis": (
        make([node("Relu", "x", "y")], [value("x", ["N", "t"])], [value("y", ["N", "t"])]),
        "axis 1 't' of input 'x'",
        "no length",
        "give its length in axes",
    ),
    "a shape that hangs on values": (
        make([node("NonZero", "x", "y")], [value("x", [1, 6])], [value("y", [2, "n"], S64)]),
        "'y' (NonZero)",
        "shape",
        "other operators",
    ),
    "an operator that it does not know": (
        make(
            [node("Optional", "x", "o"), node("OptionalGetElement", "o", "y")],
            [value("x", [1, 6])],
            [value("y", [1, 6])],
        ),
        "(Optional",
        "",
        "other operators",
    ),
    "random numbers": (
        make([node("RandomNormalLike", "x", "r"), node("Add", "x r", "y")], [X], [Y]),
        "'r' (RandomNormalLike)",
        "random",
        "leave it out",
    ),
    "a half inside": (
        make(
            [node("Cast", "x", "h", to=F16), node("Cast", "h", "y", to=TensorProto.FLOAT)],
            [X],
            [Y],
        ),
        "'tmp0_h'",
        "_Float16",
        "float, int or bool",
    ),
    "a half as input": (
        make([node("Relu", "x", "y")], [value("x", ["N", 6], F16)], [value("y", ["N", 6], F16)]),
        "input 'x'",
        "float16",
        "float, double, int or bool",
    ),
    "a batch axis of some inputs only": (
        make([node("Add", "x z", "y")], [X, value("z", [1, 6])], [Y]),
        "'x' has an open batch axis",
        "'z' has none",
        "every input",
    ),
    "a batch axis of no output": (
        make([node("ReduceSum", "x", "y", keepdims=0)], [X], [value("y", [])]),
        "output 'y'",
        "batch axis",
        "every input and output",
    ),
    "weights in files of their own": (in_files(), "'w'", "files of their own", "onnx.load"),
    "a name that ends a comment": (
        make([node("Relu", "x", "a*/b"), node("Relu", "a*/b", "y")], [X], [Y]),
        "'a*/b'",
        "comment",
        "name it otherwise",
    ),
    "an output twice": (
        make([node("Relu", "x", "y")], [X], [Y, Y]),
        "'y' is named twice",
        "",
        "once",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_c_form_is_named_with_its_place_and_a_remedy(name: str) -> None:
    model, where, what, remedy = REFUSED[name]
    with pytest.raises(GraphError) as caught:
        compile_model(model.SerializeToString(), "m")
    error = caught.value
    assert error.code is Code.NOT_PORTABLE
    assert error.message.startswith("the model has no C form: ")
    assert where in error.message
    assert what in error.message
    assert remedy in error.remedy
    assert "\n" not in str(error)


@pytest.mark.parametrize("data", [b"", b"hello", ACTIVITY.read_bytes()[:4000]])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(GraphError, match="no complete ONNX file") as caught:
        compile_model(data, "m")
    assert caught.value.code is Code.NOT_PORTABLE


def test_a_classifier_is_compiled_once_it_is_cut_at_its_probabilities() -> None:
    model = compile_model(classifier(), "m", outputs=("probabilities",))
    assert [name for name, _ in model.outputs] == ["probabilities"]


def test_a_value_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(GraphError, match="no value 'z'; its outputs are probabilities"):
        compile_model(ACTIVITY.read_bytes(), "m", outputs=("z",))


@pytest.mark.parametrize("name", ["", "2m", "a-b", "int", "müde", "a b", "_m"])
def test_a_name_that_is_none_in_c_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a C function"):
        compile_model(CASES["conv 1d"].data, name)


@pytest.mark.parametrize("name", ["limen_model", "weight1_k", "node0_c", "ref_scalar_f32_tanh"])
def test_a_name_of_the_file_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="uses itself; choose another name"):
        compile_model(CASES["conv 1d"].data, name)


@pytest.mark.parametrize("lengths", [{"batch": 0}, {"axes": {"t": -1}}])
def test_a_length_below_one_is_refused(lengths: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="lengths from 1 upwards"):
        compile_model(CASES["conv 1d"].data, "m", **lengths)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("module", ["onnx", "emx_onnx_cgen", "emx_onnx_cgen.compiler"])
def test_a_missing_package_names_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'limen\[mcu\]'"):
        compile_model(CASES["conv 1d"].data, "m")


# Where temporaries lie


@st.composite
def lived(draw: st.DrawFn) -> tuple[list[Temporary], dict[str, tuple[int, int]]]:
    kinds = {"float": 4, "int64_t": 8, "int32_t": 4, "uint8_t": 1, "bool": 1}
    temporaries, lives = [], {}
    for index in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(sorted(kinds)))
        count = draw(st.integers(1, 40))
        begin = draw(st.integers(0, 10))
        name = f"t{index}"
        temporaries.append(Temporary(name, kind, (count,), count * kinds[kind]))
        lives[name] = (begin, begin + draw(st.integers(0, 4)))
    return temporaries, lives


@given(lived())
def test_no_two_that_live_at_a_time_or_differ_in_type_share_a_byte(
    drawn: tuple[list[Temporary], dict[str, tuple[int, int]]],
) -> None:
    temporaries, lives = drawn
    offsets, size = place(temporaries, lives)
    assert set(offsets) == set(lives)
    assert size % 8 == 0
    assert size <= sum(-(-one.size_bytes // 8) * 8 for one in temporaries)
    for index, one in enumerate(temporaries):
        assert offsets[one.name] % 8 == 0
        assert offsets[one.name] + one.size_bytes <= size
        for other in temporaries[:index]:
            (first, last), (begin, end) = lives[one.name], lives[other.name]
            beside = not (last < begin or end < first)
            characters = "uint8_t" in (one.type, other.type)
            if beside or not (one.type == other.type or characters):
                below = offsets[one.name] + one.size_bytes <= offsets[other.name]
                above = offsets[other.name] + other.size_bytes <= offsets[one.name]
                assert below or above


def test_what_lives_in_turn_lies_in_one_place() -> None:
    turns = [Temporary(f"t{i}", "float", (10,), 40) for i in range(5)]
    offsets, size = place(turns, {f"t{i}": (2 * i, 2 * i + 1) for i in range(5)})
    assert size == 40
    assert set(offsets.values()) == {0}
    chained, size = place(turns, {f"t{i}": (i, i + 1) for i in range(5)})
    assert size == 80
    assert set(chained.values()) == {0, 40}
