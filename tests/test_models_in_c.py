"""Models of printed graphs: names of their own, variants and fixed batches, weights in files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from c_host import harness, run_reference
from c_models import (
    ACTIVITY,
    MODEL,
    STRICT,
    WITH_COMPILER,
    drawn,
    make,
    node,
    run_compiler,
    symbols,
    value,
)
from doubles import CollectingSink, ListSource
from limen.app import Model, check
from limen.backends.c import CBackend
from limen.codegen.c99 import PrintedC, print_c
from limen.compute import ModelArtifact
from limen.errors import Code, GraphError
from limen.graph import Graph
from limen.node import InferenceModel
from limen.onnx_c import with_weights
from limen.platform import SimClock
from limen.policy import Batching, Budget, Degrade, NodePolicy
from limen.testing.drawn import StoppingClock
from limen.testing.table import first_difference
from limen.types import DataType, TensorSpec
from models import make_model

F32 = np.float32
ITEM = TensorSpec(DataType.F32, (6,))
DENSE = make(
    [node("Gemm", "x w", "a"), node("Tanh", "a", "b"), node("Gemm", "b v", "y")],
    [value("x", ["N", 6])],
    [value("y", ["N", 3])],
    w=drawn(6, 9),
    v=drawn(9, 3),
)
CHEAP = make(
    [node("MatMul", "x w", "a"), node("Add", "a c", "b"), node("Relu", "b", "y")],
    [value("x", ["N", 6])],
    [value("y", ["N", 3])],
    w=drawn(6, 3),
    c=drawn(3),
)
FOUR = make(
    [node("Gemm", "x w", "a"), node("Softmax", "a", "y", axis=0)],
    [value("x", [4, 6])],
    [value("y", [4, 3])],
    w=drawn(6, 3),
)


def model_of(proto: onnx.ModelProto, *, first_axis_is_batch: bool = False) -> InferenceModel:
    artifact = ModelArtifact.from_bytes(proto.SerializeToString(), "m.onnx")
    return InferenceModel(CBackend(), artifact, first_axis_is_batch=first_axis_is_batch)


def items(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Numbers that C can say exactly as well."""
    return [np.array([(k * 7 + i * 5) % 13 / 8 for i in range(6)], F32) for k in range(count)]


def printed_graph(graph: str, name: str) -> PrintedC:
    built = Graph(graph).add("source", ListSource([], spec=ITEM)).add(name, model_of(DENSE))
    built.add("sink", CollectingSink()).chain("source", name, "sink")
    clock = SimClock()
    return print_c(check(built, clock), clock)


def compile_printed(printed: PrintedC, folder: Path, *flags: str) -> list[str]:
    """Compile each file with the flags that it is held to; the objects."""
    printed.write(folder)
    models = {f"{m.entry}.c" for n in printed.graph.nodes for m in (n.model, n.variant_model) if m}
    sources = [name for name in printed.files if name.endswith(".c")]
    assert models < set(sources)
    for name in sources:
        run_compiler(folder, *(MODEL if name in models else STRICT), *flags, "-c", name)
    return [name.removesuffix("c") + "o" for name in sources]


# Names


@WITH_COMPILER
@pytest.mark.parametrize(
    ("graph", "name"),
    [
        ("activity", "activity"),
        *(("g", name) for name in ("g", "g_init", "init", "call", "exp", "isnan", "memcpy")),
        *(("g", name) for name in ("limen", "limen_model", "weight1_w", "printf")),
        ("classify", "start"),
    ],
)
def test_a_model_may_have_any_name_that_a_node_may_have(
    graph: str, name: str, tmp_path: Path
) -> None:
    printed = printed_graph(graph, name)
    assert {f"{graph}.c", f"{graph}.h", f"{graph}_{name}_model.c", f"{graph}_{name}_model.h"} < set(
        printed.files
    )
    compile_printed(printed, tmp_path)


@WITH_COMPILER
def test_graphs_with_nodes_of_one_name_stand_in_one_binary(tmp_path: Path) -> None:
    objects = []
    for graph in ("one", "two"):
        folder = tmp_path / graph
        objects += [f"{graph}/{o}" for o in compile_printed(printed_graph(graph, "m"), folder)]
    run_compiler(tmp_path, "-r", "-nostdlib", "-o", "both.o", *objects)
    entries = {line[-1] for line in symbols(tmp_path / "both.o", "-g") if line[-2] == "T"}
    assert {"one_m_model", "two_m_model", "one_step", "two_step"} <= entries


# What they compute, and when

HOOKS = """
#include <string.h>

limen_read g_read_source(struct g *g, limen_tick now, float *payload, limen_stated *stated) {{
    static unsigned k;
    unsigned i;
    (void)g; (void)now; (void)stated;
    if (k == {count}u) {{
        return LIMEN_END;
    }}
    for (i = 0; i < 6; i++) {{
        payload[i] = (float)((k * 7 + i * 5) % 13) / 8;
    }}
    k++;
    return LIMEN_MESSAGE;
}}

limen_tick g_due_source(struct g *g) {{
    (void)g;
    return LIMEN_UNTIMED;
}}

void g_resume_source(struct g *g, limen_tick now);
void g_resume_source(struct g *g, limen_tick now) {{
    (void)g; (void)now;
}}

bool g_consume_sink(struct g *g, const float *payload, const limen_header *header, limen_tick now) {{
    uint32_t bits[3];
    (void)g; (void)header; (void)now;
    memcpy(bits, payload, sizeof bits);
    fprintf(stderr, "%08x%08x%08x\\n", bits[0], bits[1], bits[2]);
    return true;
}}
"""  # noqa: E501


def full_and_cheap(sink: CollectingSink) -> Graph:
    """The full form overruns every time; the cheap one is within budget."""
    graph = Graph("g").add("source", ListSource(items(40), spec=ITEM))
    budget = Budget("10ms", action=Degrade(degrade_after=2, recover_after=3, sim_cost="1ms"))
    policy = NodePolicy(budget=budget, sim_cost="15ms")
    graph.add("model", model_of(DENSE), policy, variant=model_of(CHEAP))
    return graph.add("sink", sink).chain("source", "model", "sink")


def four_at_a_time(sink: CollectingSink) -> Graph:
    """The model takes four items, no fewer; the last batch has two."""
    graph = Graph("g").add("source", ListSource(items(10), spec=ITEM))
    policy = NodePolicy(batching=Batching(4, 20_000_000), sim_cost="3ms")
    graph.add("model", model_of(FOUR, first_axis_is_batch=True), policy)
    return graph.add("sink", sink).chain("source", "model", "sink")


@WITH_COMPILER
@pytest.mark.parametrize("build", [full_and_cheap, four_at_a_time])
@pytest.mark.parametrize("flags", [("-O2",), ("-O2", "-DLIMEN_SPECIALISE=1"),
                                   ("-O1", "-fsanitize=address,undefined")])  # fmt: skip
def test_variants_and_fixed_batches_give_the_decisions_and_bits_of_the_reference(
    build: Callable[[CollectingSink], Graph], flags: tuple[str, ...], tmp_path: Path
) -> None:
    sink, clock = CollectingSink(), StoppingClock(None)
    wanted = run_reference(check(build(sink), clock), clock)
    clock = StoppingClock(None)
    plan = check(build(CollectingSink()), clock)
    printed = print_c(plan, clock)
    text = harness(printed, None, clock.nanos_to_ticks(10_000_000_000))
    count = 40 if build is full_and_cheap else 10
    flags = (*flags, "-DLIMEN_LOG=1", "-DLIMEN_SIM=1")
    objects = compile_printed(printed, tmp_path, *flags)
    (tmp_path / "main.c").write_text(text + HOOKS.format(count=count))
    run_compiler(tmp_path, "-std=c99", *flags, "-o", "run", "main.c", *objects, "-lm")
    ran = subprocess.run([str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    log = ran.stdout.rpartition("outcome ")[0]
    assert first_difference(wanted.log, log) is None
    assert "model" in log
    answers = [np.asarray(arrival.payload, F32) for arrival in sink.arrivals]
    assert len(answers) == count
    hexed = ["".join(f"{bits:08x}" for bits in a.view(np.uint32).reshape(-1)) for a in answers]
    assert ran.stderr.splitlines() == hexed


# Weights, formats and packages


def beside(folder: Path) -> Path:
    """Write a model whose weights lie in a file beside it."""
    path = folder / "m.onnx"
    model = onnx.ModelProto()
    model.CopyFrom(DENSE)
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=8)
    return path


def of_file(path: Path) -> Graph:
    graph = Graph("g").add("source", ListSource([], spec=ITEM))
    graph.add("m", Model(path, backend="c")).add("sink", CollectingSink())
    return graph.chain("source", "m", "sink")


@WITH_COMPILER
def test_weights_beside_a_model_are_printed_as_those_inside_it(tmp_path: Path) -> None:
    clock = SimClock()
    path = beside(tmp_path)
    plan = check(of_file(path), clock)
    printed = print_c(plan, clock).graph.nodes[1].model
    inside = printed_graph("g", "m").graph.nodes[1].model
    assert printed is not None
    assert inside is not None
    assert printed.weights_bytes == inside.weights_bytes == (6 * 9 + 9 * 3) * 4
    without_head = [m.source.partition("*/")[2] for m in (printed, inside)]
    assert without_head[0] == without_head[1]
    (tmp_path / "w.bin").unlink()
    with pytest.raises(GraphError, match="cannot be read") as caught:
        print_c(plan, clock)
    assert caught.value.code is Code.NOT_PORTABLE
    assert "put that file beside the model" in str(caught.value)


def test_a_model_with_its_weights_inside_is_handed_on_as_it_is() -> None:
    data = ACTIVITY.read_bytes()
    assert with_weights(data, ACTIVITY) is data
    assert with_weights(b"anything", None) == b"anything"


def test_a_model_of_another_format_is_refused_in_words(tmp_path: Path) -> None:
    data = make_model("line", "tflite").data
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(GraphError, match="no complete ONNX file") as caught:
        with_weights(data, tmp_path / "m.tflite")
    assert caught.value.code is Code.NOT_PORTABLE
    assert "other formats have no C form" in caught.value.remedy


def test_the_model_compiler_is_imported_on_first_use() -> None:
    code = (
        "import sys, limen.onnx_c, limen.codegen.c99, limen.backends.c\n"
        "print(sorted({'onnx', 'emx_onnx_cgen'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
