"""ONNX models as C: right, private, small, without a heap, and the same bytes each time."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from c_models import (
    ACTIVITY,
    ARM,
    CASES,
    CORTEX_M4,
    MODEL,
    STRICT,
    WITH_ARM,
    WITH_COMPILER,
    Array,
    call,
    compiled,
    empty_results,
    expected,
    feeds,
    make,
    node,
    run_compiler,
    symbols,
    value,
    write,
)
from limen.onnx_c import ModelC, compile_model

each = pytest.mark.parametrize("name", CASES)


@functools.cache
def activity(name: str = "activity") -> ModelC:
    return compile_model(ACTIVITY.read_bytes(), name)


def unpooled(model: onnx.ModelProto) -> str:
    """What the model compiler writes, with every temporary in a place of its own."""
    from emx_onnx_cgen import Compiler
    from emx_onnx_cgen.compiler import CompilerOptions

    pinned = onnx.ModelProto()
    pinned.CopyFrom(model)
    for tensor in (*pinned.graph.input, *pinned.graph.output):
        for dim in tensor.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = 1
    options = CompilerOptions(
        model_name="plain", large_temp_threshold_bytes=0, large_weight_threshold=0
    )
    text: str = Compiler(options).compile(pinned)
    return text


def call_unpooled(
    folder: Path, model: onnx.ModelProto, inputs: list[Array], like: list[Array]
) -> list[Array]:
    (folder / "plain.c").write_text(unpooled(model), encoding="utf-8")
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-w", "-fPIC", "-shared"]
    run_compiler(folder, *flags, "-o", "plain.so", "plain.c", "-lm")
    results = [np.zeros_like(array) for array in like]
    places = [array.ctypes.data_as(ctypes.c_void_p) for array in (*inputs, *results)]
    ctypes.CDLL(str(folder / "plain.so")).plain(*places)
    return results


# Right


@WITH_COMPILER
@each
def test_a_graph_answers_as_onnx_runtime_does(name: str, tmp_path: Path) -> None:
    case, model = CASES[name], compiled(name)
    inputs = feeds(model)
    for mine, theirs in zip(
        call(tmp_path, model, inputs), expected(case.data, inputs), strict=True
    ):
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(mine, theirs, rtol=case.near, atol=case.near)


@WITH_COMPILER
@pytest.mark.parametrize("name", ["conv 2d, opset 9", "int8", "int64 and bool", "conv 1d"])
def test_sharing_places_changes_no_bit(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    inputs = feeds(compiled(name))
    mine = call(tmp_path, compiled(name), inputs)
    for one, other in zip(mine, call_unpooled(tmp_path, case.model, inputs, mine), strict=True):
        assert one.tobytes() == other.tobytes()


@WITH_COMPILER
def test_a_batch_of_several_answers_as_its_items_do(tmp_path: Path) -> None:
    case = CASES["conv 2d, opset 21"]
    three, one = compile_model(case.data, "three", batch=3), compile_model(case.data, "one")
    assert (three.batch, one.batch) == (3, 1)
    assert three.inputs[0][1].shape == (3, 2, 8, 6)
    (items,) = feeds(three)
    (together,) = call(tmp_path, three, [items])
    for index in range(3):
        (alone,) = call(tmp_path, one, [items[index : index + 1]])
        np.testing.assert_array_equal(together[index], alone[0])


@WITH_COMPILER
def test_an_output_is_asked_for_by_name_and_the_graph_is_cut_there(tmp_path: Path) -> None:
    case = CASES["conv 2d, opset 9"]
    model = compile_model(case.data, "m", outputs=("l", "g"))
    assert [(name, spec.shape) for name, spec in model.outputs] == [
        ("l", (1, 3)),
        ("g", (1, 5, 1, 1)),
    ]
    assert "expf" not in model.source
    inputs = feeds(model)
    logits, _ = call(tmp_path, model, inputs)
    powers = np.exp(logits - logits.max())
    (probabilities,) = expected(case.data, inputs)
    np.testing.assert_allclose(powers / powers.sum(), probabilities, rtol=1e-5)


@WITH_COMPILER
@pytest.mark.parametrize("axes", [{"time": 7}, {"x[1]": 7}])
def test_other_open_axes_take_the_length_that_is_given(
    axes: dict[str, int], tmp_path: Path
) -> None:
    nodes = [node("CumSum", "x one", "y")]
    data = make(
        nodes, [value("x", ["N", "time"])], [value("y", ["N", "time"])], one=np.array([1], np.int64)
    ).SerializeToString()
    model = compile_model(data, "m", axes=axes)
    assert model.inputs[0][1].shape == model.outputs[0][1].shape == (1, 7)
    inputs = feeds(model)
    np.testing.assert_allclose(call(tmp_path, model, inputs)[0], expected(data, inputs)[0])


def test_a_model_says_what_it_takes_and_gives() -> None:
    model = activity()
    assert [(n, s.dtype.value, s.shape) for n, s in model.inputs] == [("window", "f32", (1, 50, 6))]
    assert [(n, s.shape) for n, s in model.outputs] == [("probabilities", (1, 4))]
    assert model.is_free
    assert model.labels_text is not None
    assert "badminton" in model.labels_text
    assert "void activity(uint64_t *arena, const float *in0, float *out0);" in model.header
    several = compiled("int64 and bool")
    assert "void m(uint64_t *arena, const float *in0, uint8_t *out0, float *out1);" in (
        several.header
    )
    assert compiled("only the input").arena_bytes == 0


# Small


def test_temporaries_share_places() -> None:
    model = activity()
    # Two neighbours are there at a time: the largest is 16 x 50 floats, and reads one as large.
    assert model.temporaries_bytes > 2 * model.arena_bytes
    assert model.arena_bytes >= 2 * 16 * 50 * 4
    assert model.arena_bytes % 8 == 0


@WITH_COMPILER
@each
def test_the_weights_are_what_the_object_file_holds(name: str, tmp_path: Path) -> None:
    model = compiled(name)
    source = write(tmp_path, model)
    run_compiler(tmp_path, "-std=c99", "-O0", "-w", "-c", source.name)
    sizes = [int(line[1], 16) for line in symbols(tmp_path / "m.o", "-S") if line[2:3] == ["r"]]
    assert sum(sizes) == model.weights_bytes
    assert f"#define M_WEIGHTS_BYTES {model.weights_bytes}\n" in model.header


def test_weights_that_are_used_count_and_others_do_not() -> None:
    held = onnx.load(ACTIVITY).graph.initializer
    assert activity().weights_bytes == sum(len(weight.raw_data) for weight in held)
    model = compiled("shared weights, constants, dead nodes")
    assert model.weights_bytes == 6 * 6 * 4 + 6 * 4
    assert compiled("reshape and concat").weights_bytes == 0


@WITH_COMPILER
def test_sums_that_are_wrong_do_not_compile(tmp_path: Path) -> None:
    model = activity()
    for what, figure in (("ARENA", model.arena_bytes), ("WEIGHTS", model.weights_bytes)):
        source = write(tmp_path, model)
        right = f"#define ACTIVITY_{what}_BYTES {figure}\n"
        assert right in model.header
        wrong = model.header.replace(right, f"#define ACTIVITY_{what}_BYTES {figure - 8}\n")
        (tmp_path / "activity.h").write_text(wrong)
        with pytest.raises(AssertionError, match=f"activity_{what.lower()}_fit"):
            run_compiler(tmp_path, "-std=c99", "-c", source.name)


# Private, without a heap, on little stack


@WITH_COMPILER
@each
def test_only_the_entry_is_anybody_elses_and_nothing_is_allocated(
    name: str, tmp_path: Path
) -> None:
    source = write(tmp_path, compiled(name))
    run_compiler(tmp_path, *MODEL, "-Os", "-c", source.name)
    lines = [line[-2:] for line in symbols(tmp_path / "m.o", "-g")]
    assert [symbol for kind, symbol in lines if kind != "U"] == ["m"]
    outside = {symbol for kind, symbol in lines if kind == "U"}
    assert not outside & {"malloc", "calloc", "realloc", "free", "alloca", "fopen", "printf"}
    # Nothing that could be written to.
    assert not [line for line in symbols(tmp_path / "m.o") if line[-2] in "bBdDcC"]


@WITH_COMPILER
@pytest.mark.parametrize("level", ["-O0", "-Os", "-O2"])
def test_the_stack_is_of_known_size_and_holds_no_temporary(level: str, tmp_path: Path) -> None:
    model = activity()
    source = write(tmp_path, model)
    run_compiler(tmp_path, "-std=c99", level, "-fstack-usage", "-c", source.name)
    rows = [line.split("\t") for line in (tmp_path / "activity.su").read_text().splitlines()]
    assert {row[2] for row in rows} == {"static"}
    # Two float arrays of the largest temporary's size would be 6400 B.
    assert max(int(row[1]) for row in rows) < 800


CALLER = """
#include "one.h"
#include "two.h"

int both(uint64_t *arena, const float *in, float *out);

static uint64_t own[ONE_ARENA_BYTES / 8];

int both(uint64_t *arena, const float *in, float *out) {
    one(own, in, out);
    two(arena, in, out + ONE_OUT0_ELEMENTS);
    return ONE_IN0_ELEMENTS + TWO_OUT0_ELEMENTS;
}
"""


@WITH_COMPILER
def test_two_models_stand_in_one_binary_and_callers_are_strict(tmp_path: Path) -> None:
    first, second = activity("one"), activity("two")
    for model in (first, second):
        run_compiler(tmp_path, *MODEL, "-O2", "-fPIC", "-c", write(tmp_path, model).name)
    (tmp_path / "caller.c").write_text(CALLER)
    run_compiler(tmp_path, *STRICT, "-ffreestanding", "-O2", "-fPIC", "-c", "caller.c")
    run_compiler(tmp_path, "-shared", "-o", "m.so", "caller.o", "one.o", "two.o", "-lm")
    inputs = feeds(first)
    (alone,) = expected(ACTIVITY.read_bytes(), inputs)
    arena, out = np.zeros(second.arena_bytes // 8, np.uint64), np.zeros((2, 4), np.float32)
    places = [array.ctypes.data_as(ctypes.c_void_p) for array in (arena, inputs[0], out)]
    assert ctypes.CDLL(str(tmp_path / "m.so")).both(*places) == 304
    np.testing.assert_allclose(out[0], alone[0], atol=1e-6)
    np.testing.assert_array_equal(out[0], out[1])


@WITH_ARM
@each
def test_a_graph_compiles_for_a_cortex_m4(name: str, tmp_path: Path) -> None:
    source = write(tmp_path, compiled(name))
    run_compiler(tmp_path, *MODEL, *CORTEX_M4, "-Os", "-c", source.name, compiler=ARM)
    assert (tmp_path / "m.o").stat().st_size > 0


MAIN = """
#include <stdio.h>
#include <string.h>
#include "m.h"
{arrays}
int main(void) {{
    int turn;
    for (turn = 0; turn < 2; turn++) {{
        memset(arena, 0xA5, sizeof arena);
        m({arguments});
    }}
    fwrite(out0, sizeof out0, 1, stdout);
    return 0;
}}
"""


@WITH_COMPILER
@each
def test_sanitizers_find_nothing(name: str, tmp_path: Path) -> None:
    model = compiled(name)
    inputs = feeds(model)
    arrays = [f"static uint64_t arena[{max(model.arena_bytes // 8, 1)}];"]
    for index, (array, (_, spec)) in enumerate(zip(inputs, model.inputs, strict=True)):
        numbers = ", ".join(repr(number.item()) for number in array.reshape(-1))
        arrays.append(f"static const {spec.dtype.c_type} in{index}[{array.size}] = {{{numbers}}};")
    for index, (array, (_, spec)) in enumerate(
        zip(empty_results(model), model.outputs, strict=True)
    ):
        arrays.append(f"static {spec.dtype.c_type} out{index}[{array.size}];")
    arguments = [
        "arena",
        *(f"in{index}" for index in range(len(model.inputs))),
        *(f"out{index}" for index in range(len(model.outputs))),
    ]
    main = MAIN.format(arrays="\n".join(arrays), arguments=", ".join(arguments))
    (tmp_path / "main.c").write_text(main)
    source = write(tmp_path, model)
    checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    flags = ("-std=c99", "-g", "-O1", "-ffp-contract=off", "-w")
    run_compiler(tmp_path, *flags, *checks, "-o", "t", "main.c", source.name, "-lm")
    ran = subprocess.run([str(tmp_path / "t")], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    wanted = expected(CASES[name].data, inputs)[0]
    answer = np.frombuffer(ran.stdout, wanted.dtype).reshape(wanted.shape)
    np.testing.assert_allclose(answer, wanted, rtol=CASES[name].near, atol=CASES[name].near)


# The same bytes each time


def test_equal_models_give_equal_bytes_in_every_process() -> None:
    code = (
        "import sys, hashlib; from pathlib import Path; from limen.onnx_c import compile_model\n"
        "m = compile_model(Path(sys.argv[1]).read_bytes(), 'activity')\n"
        "print(hashlib.sha256((m.source + m.header).encode()).hexdigest())"
    )
    seen = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(ACTIVITY)]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        seen.add(ran.stdout)
    assert len(seen) == 1


def test_the_head_names_tool_and_model_and_nothing_of_where_it_came_from() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(onnx.load(ACTIVITY))
    model.producer_name = model.doc_string = "/home/somebody */ 2026-01-01"
    model.graph.name = model.graph.doc_string = "/home/somebody */"
    model.graph.node[0].doc_string = "/home/somebody */"
    helper.set_model_props(model, {"path": "/home/somebody", "labels": "[]"})
    made = compile_model(model, "m")
    assert "somebody" not in made.source + made.header
    assert made.digest in made.source.splitlines()[0]
    assert re.match(r"/\* Model m: generated by limen \S+ of [0-9a-f]{64}$", made.source, re.M)
    assert made.labels_text == "[]"
    assert onnx.load(ACTIVITY).graph.node[0].name in made.source


def test_a_model_and_its_bytes_are_the_same_model() -> None:
    data = CASES["conv 1d"].model.SerializeToString(deterministic=True)
    assert compile_model(onnx.load_model_from_string(data), "m") == compile_model(data, "m")
