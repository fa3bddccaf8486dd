"""A CNode is its Python twin wherever Python runs, and its C function where a graph is C."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float32, Int16

import limen
from c_forms import CROSS, Case, Compiled, Twins, cross_compile, form_of
from c_host import NEEDS_COMPILER
from doubles import CollectingSink, ListSource, runtime_of
from library import spec
from limen.codegen.c99 import print_c
from limen.errors import Code, ConfigurationError
from limen.node import Node, ProcessNode
from limen.nodes import CNode
from limen.platform import SimClock

Three = Float32[np.ndarray, "3"]
One = Int16[np.ndarray, "1"]

SMOOTH = """
#include <math.h>

/* Half of what came last: static void smooth(const float *in). */
static void smooth(const float *in, float *out, float *last, uint32_t *count)
{
    for (int i = 0; i < 3; i++) {
        const float half = last[i] * 0.5f;
        out[i] = *count == 0 ? in[i] : fabsf(in[i]) + half;
        last[i] = in[i];
    }
    *count += 1;
}
"""


class Smooth(ProcessNode):
    """The twin of SMOOTH."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.last, self.count = np.zeros(3, np.float32), 0

    def process(self, x: Three) -> Three:
        made = x if self.count == 0 else np.abs(x) + self.last * np.float32(0.5)
        self.last, self.count = np.array(x), self.count + 1
        return np.array(made)


LARGE = "static bool large(const float *in, float *out) {\n" + (
    "    for (int i = 0; i < 3; i++) {\n        out[i] = in[i] * 2.0f;\n    }\n"
    "    return in[0] > 1.0f;\n}\n"
)


@limen.node
def large(x: Three) -> Three | None:
    return x * np.float32(2) if x[0] > 1 else None


PLUS = "static void plus(const float *a, const int16_t *b, float *out) {\n" + (
    "    for (int i = 0; i < 3; i++) {\n        out[i] = b ? a[i] + (float)b[0] : a[i];\n    }\n}\n"
)


@limen.node
def plus(a: Three, b: One | None) -> Three:
    return a if b is None else a + np.float32(b[0])


def smooth() -> CNode:
    return CNode(Smooth(), SMOOTH, "smooth", {"last": "f32[3]", "count": "u32"})


def cases() -> list[Case]:
    joined = {"a": spec("f32", 3), "b": spec("s16", 1)}
    return [
        Case(smooth(), {"in": spec("f32", 3)}),
        Case(CNode(large, LARGE, "large"), {"in": spec("f32", 3)}),
        Case(CNode(plus, PLUS, "plus"), joined),
    ]


XS = [x.astype(np.float32) for x in np.random.default_rng(8).normal(size=(20, 3)) * 3]


@NEEDS_COMPILER
def test_both_twins_give_the_same_bits_also_after_a_restart(tmp_path: Path) -> None:
    compiled = Compiled(cases(), tmp_path)
    for number in (0, 1):
        twins = Twins(compiled, number)
        assert len(twins.feed(XS)) == (20 if number == 0 else sum(x[0] > 1 for x in XS))
        twins.restart()
        twins.feed(XS)
    twins = Twins(compiled, 2)
    for place, x in enumerate(XS):
        b = None if place % 3 == 0 else twins.message(np.int16([place]))
        twins.give(twins.message(x), b)
    assert len(twins.emitted) == 20
    assert compiled.close() == ""


@pytest.mark.skipif(CROSS is None, reason="no arm-none-eabi-gcc")
def test_it_compiles_for_a_microcontroller(tmp_path: Path) -> None:
    cross_compile(cases(), tmp_path)


def graph_of(*nodes: Node) -> limen.Graph:
    graph = limen.Graph("twins").add("source", ListSource(XS, spec=spec("f32", 3)))
    for place, node in enumerate(nodes):
        graph.add(f"node_{place}", node)
        graph.connect("source" if place == 0 else f"node_{place - 1}", f"node_{place}")
    return graph.add("sink", CollectingSink()).connect(f"node_{len(nodes) - 1}", "sink")


def test_in_python_it_runs_as_its_twin() -> None:
    def outcome(*nodes: Node) -> str:
        graph = graph_of(*nodes)
        sink = CollectingSink()
        graph = graph.add("other", sink).connect(f"node_{len(nodes) - 1}", "other")
        runtime_of(graph).run()
        return repr(sink.arrivals)

    assert outcome(smooth(), CNode(large, LARGE, "large")) == outcome(Smooth(), large)


def test_a_text_that_two_nodes_share_is_printed_once() -> None:
    plan = limen.app.check(graph_of(smooth(), smooth()), SimClock())
    text = "".join(print_c(plan, SimClock()).files.values())
    assert text.count("static void smooth(const float *in, float *out") == 1
    assert text.count("    smooth(in, out, self->last, &self->count);") == 2


def test_it_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "large.h"
    path.write_text(LARGE)
    for source in (path, str(path)):
        _, form = form_of(Case(CNode(large, source, "large"), {"in": spec("f32", 3)}))
        assert form.code == LARGE


def test_it_states_of_itself_what_its_twin_does() -> None:
    node, twin = smooth(), Smooth()
    node.prepare()
    twin.prepare()
    assert node.one_to_one and twin.one_to_one
    assert node.kind is twin.kind
    assert node.input_names == ("in",)


# What is wrong is said in words.


@limen.node(batch=True)
def batched(xs: Float32[np.ndarray, "n 3"]) -> Three:
    return xs[0]


class Parts(NamedTuple):
    a: Three
    b: Three


@limen.node
def parted(x: Three) -> Parts:
    return Parts(x, x)


class Twice(ProcessNode):
    max_emit = 2

    def process(self, x: Three) -> Three:
        return x


STATIC = "large is not a static function that returns bool or void"
WRONG: dict[str, tuple[Node, str, dict[str, str], str]] = {
    "no such function": (
        large,
        "static int a = 1; /* large( */ {",
        {},
        "large is not defined there",
    ),
    "not static": (large, LARGE.replace("static ", ""), {}, STATIC),
    "another result": (large, LARGE.replace("bool", "int"), {}, STATIC),
    "only declared": (large, "static bool large(const float *in, float *out); {", {}, STATIC),
    "state missing": (large, LARGE, {"sum": "f64"}, "2 parameters for 3 things it is given"),
    "state like a port": (large, LARGE, {"in": "f64"}, "state 'in' is the name of a port"),
    "no file of C": (large, "large.txt", {}, "neither a .c or .h file nor the text"),
    "batches": (batched, LARGE, {}, "its twin takes batches"),
    "several a call": (Twice(), LARGE, {}, "emits several messages a call"),
    "several outputs": (parted, LARGE, {}, "none with inputs and one output"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_before_the_start(name: str) -> None:
    twin, source, state, words = WRONG[name]
    with pytest.raises(ConfigurationError) as caught:
        CNode(twin, source, "large", state).prepare()
    assert words in caught.value.message
    assert caught.value.message.startswith("CNode large: ")
    assert caught.value.remedy


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.c cannot be read") as caught:
        CNode(large, tmp_path / "nowhere.c", "large").prepare()
    assert caught.value.code is Code.UNREADABLE_FILE


@pytest.mark.parametrize(
    ("twin", "function", "state", "words"),
    [
        (len, "large", {}, "twin is"),
        (large, "large()", {}, "function is"),
        (large, "large", {"a b": "u8"}, "state has"),
        (large, "large", {"a": "u8["}, "state 'a' is"),
        (large, "large", {"a": 3}, "state 'a' is"),
        (large, "large", {"a": "float8"}, "unknown dtype"),
        (large, "large", {"a": "u8[0]"}, "axis 0"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    twin: object, function: str, state: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
        CNode(twin, LARGE, function, state)


def test_objects_are_refused_where_c_is_asked_for() -> None:
    @limen.node
    def named(x: dict) -> dict:
        return x

    node = CNode(named, "static void named(const void *in, void *out) {}", "named")
    node.prepare()
    ports = node.resolve({"in": limen.ObjectSpec(dict)})
    with pytest.raises(limen.LimenError, match=r"named\.in: .*send tensors"):
        node.c_form(ports, SimClock())
