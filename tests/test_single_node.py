"""One node by itself in a test: what comes out, what it counts, and what a mistake is told."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import pytest
from jaxtyping import Float32

import limen
from doubles import CollectingSink, ListSource
from limen.errors import ConfigurationError, GraphError, NodeError, OutputError, SensorError
from limen.message import Message
from limen.node import SourceSignal, StepResult
from limen.testing import (
    Payloads,
    ScriptedModel,
    ScriptedNode,
    example_payload,
    run_node,
    run_sink,
    run_source,
)
from limen.types import DataType, ObjectSpec, TensorSpec, UpTo

Row = Float32[np.ndarray, "n"]
Three = Float32[np.ndarray, "3"]
X = np.arange(3, dtype=np.float32)
MS = 1_000_000


@limen.node
def scale(x: Row) -> Row:
    return x * np.float32(2)


def add(a: Three, b: Three) -> Three:
    return a + b


class Halves(NamedTuple):
    low: float | None
    high: float | None


def split(x: float) -> Halves:
    return Halves(x, None) if x < 0.5 else Halves(None, x)


def fails(x: float) -> float:
    raise ValueError(f"no room for {x}")


# What comes out.


def test_the_outputs_of_a_node_compare_with_a_list() -> None:
    run = run_node(scale, [X, X + 1])
    assert run.outputs == [X * 2, [2, 4, 6]]
    assert run.output == run.outputs["out"]
    assert run.outputs != [X * 2]
    assert run.outputs != [X * 2, X]
    assert run.results == (StepResult.MADE_PROGRESS,) * 2
    assert (run.node.calls, run.node.processed) == (2, 2)
    assert [header.sequence for header in run.headers["out"]] == [0, 1]
    assert [header.payload_size_bytes for header in run.headers["out"]] == [12, 12]


def test_payloads_of_different_lengths_are_bounded_by_the_longest() -> None:
    assert run_node(scale, [X, X[:1], X[:0]]).outputs == [X * 2, [0], []]


def test_a_function_is_made_a_node_and_several_inputs_have_names() -> None:
    assert run_node(add, {"a": [X, X], "b": [X, X * 3]}).outputs == [X * 2, X * 4]


def test_the_outputs_of_a_split_compare_with_a_mapping() -> None:
    run = run_node(split, [0.25, 0.75, 0.5])
    assert run.outputs == {"low": [0.25], "high": [0.75, 0.5]}
    assert run.outputs != {"low": [0.25]}
    assert run.outputs != [0.25]


def test_a_policy_groups_as_it_does_in_a_graph() -> None:
    @limen.node(batch=True)
    def mean(xs: Float32[np.ndarray, "k 3"]) -> Three:
        return xs.mean(axis=0)

    policy = limen.NodePolicy(batching=limen.Batching.fixed(2))
    assert run_node(mean, [X, X + 2, X], policy=policy).outputs == [X + 1, X]


def test_a_model_is_run_and_what_it_takes_in_one_call_is_the_policys() -> None:
    policy = limen.NodePolicy(batching=limen.Batching.fixed(4))
    run = run_node(ScriptedModel(), [X] * 8, policy=policy)
    assert run.outputs == [X] * 8
    assert run.node.calls == 2


def test_payloads_come_at_a_rate_where_one_is_given() -> None:
    policy = limen.NodePolicy(sim_cost="50ms", deadline="20ms")
    run = run_node(scale, [X, X], every="30ms", policy=policy)
    assert [one.at_ns for one in run.messages["out"]] == [50 * MS, 100 * MS]
    assert [header.creation_tick for header in run.headers["out"]] == [0, 30 * MS]
    assert run.node.deadline_misses == 2


def test_an_entry_may_say_what_its_header_holds() -> None:
    entry = limen.Produced(X, deadline_ns=7, qos=limen.QoSClass.LATENCY_CRITICAL)
    (header,) = run_node(scale, [entry]).headers["out"]
    assert (header.deadline_ns, header.qos) == (7, limen.QoSClass.LATENCY_CRITICAL)


def test_a_node_that_passes_over_its_input_shows_it() -> None:
    class Picky(limen.ProcessNode):
        def process(self, x: float) -> float:
            return x

        def process_message(self, message: Message, clock: object) -> object:
            return limen.Skip()

    run = run_node(Picky(), [1.0, 2.0])
    assert run.outputs == []
    assert run.dropped == {"skipped": 2}


def test_outputs_are_copies_of_slots_that_are_used_again() -> None:
    class InPlace(limen.ProcessNode):
        def process(self, x: Three, out: Three) -> Three:
            np.multiply(x, np.float32(2), out=out)
            return out

    assert run_node(InPlace(), [X + n for n in range(200)]).outputs == [
        (X + n) * 2 for n in range(200)
    ]


def test_a_clock_of_the_tests_own_is_used() -> None:
    run = run_node(scale, [X], clock=limen.SimClock(1000, start=5))
    assert run.headers["out"][0].creation_tick == 5


# Failures.


def test_what_a_node_raises_is_raised_with_its_own_lines() -> None:
    with pytest.raises(ValueError, match=r"no room for 1\.0") as caught:
        run_node(fails, [1.0, 2.0])
    assert caught.traceback[-1].name == "fails"


def test_where_a_policy_states_an_error_action_the_run_goes_on_as_that_says() -> None:
    policy = limen.NodePolicy(error_action=limen.ErrorAction.CONTINUE)
    run = run_node(fails, [1.0, 2.0], policy=policy)
    assert run.errors == ("ValueError: no room for 1.0", "ValueError: no room for 2.0")
    assert run.dropped == {"error": 2}
    assert repr(run.outputs) == "[] (2 failed: ValueError: no room for 1.0)"
    policy = limen.NodePolicy(error_action=limen.EmitFailsafe(0.5))
    assert run_node(fails, [1.0], policy=policy).outputs == [0.5]


def test_a_failure_that_only_the_executor_sees_is_raised_as_well() -> None:
    def wrong(x: Three) -> Three:
        return x[:2]

    with pytest.raises(NodeError, match=r"payload float32\[2\] does not fit f32\[3\]"):
        run_node(wrong, [X])


def test_a_node_that_keeps_a_view_of_its_input_fails() -> None:
    kept = []

    def keeps(x: Three) -> Three:
        kept.append(x)
        return x * np.float32(2)

    with pytest.raises(NodeError, match=r"a view of token .* was kept past the call"):
        run_node(keeps, [X])


def test_a_node_that_cannot_start_fails_as_it_says() -> None:
    with pytest.raises(NodeError, match="node cannot start: RuntimeError: scripted start"):
        run_node(ScriptedNode(starts=["error"]), [np.zeros(4, np.uint8)])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: run_node(scale, X), r"the payloads of 'in' are an array; give a list"),
        (lambda: run_node(scale, 3), r"the payloads of 'in' are 3; give a list"),
        (lambda: run_node(add, [X]), r"has 2 inputs, and one list was given; give \{'a': \[…\]"),
        (lambda: run_node(add, {"a": [X]}), "no payloads for input 'b'"),
        (lambda: run_node(add, {"a": [X], "bb": [X]}), "no input 'bb'; did you mean 'b'|known"),
        (lambda: run_node(ScriptedNode, [X]), r"ScriptedNode is a class; make one"),
        (lambda: run_node(lambda x: x, [X]), "does not annotate its input"),
        (lambda: run_node("scale", [X]), "the node is a str; give a node, or a function"),
        (lambda: run_node(limen.io.Ramp(10), [X]), "Ramp is a source; use run_source"),
        (lambda: run_node(CollectingSink(), [X]), "CollectingSink is a sink; use run_sink"),
        (lambda: run_node(scale, [X], every="0ms"), "every is 0"),
        (lambda: run_node(scale, [X], policy="250ms"), "policy.* is '250ms'"),
        (lambda: run_node(scale, [X, X.astype(np.int8)]), "arrays of different types"),
        (lambda: run_node(scale, [X], specs={"x": ObjectSpec(int)}), "specs names 'x'"),
        (
            lambda: run_node(scale, [X.astype(np.int8)], specs=TensorSpec(DataType.F32, (3,))),
            r"the list for 'in': payload 0 is int8\[3\]; specs says f32\[3\]",
        ),
        (lambda: run_node(split, ["a"], specs=ObjectSpec(float)), "payload 0 is str"),
        (lambda: run_node(split, [0.25]).output, "the node has 2 outputs; use outputs"),
        (lambda: run_sink(scale, [X]), "the sink is a FunctionNode"),
        (lambda: run_sink(CollectingSink, [X]), "CollectingSink is a class"),
        (lambda: run_source(scale), "the source is a FunctionNode"),
        (lambda: run_source(limen.io.Ramp(10), -1), "count is -1"),
    ],
)
def test_a_mistake_is_answered_with_what_would_be_right(
    call: Callable[[], object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        call()


def test_payloads_that_do_not_fit_are_refused_as_by_check() -> None:
    with pytest.raises(GraphError, match=r"from_in -> node\.in: in: f64\[3\] does not fit f32\[n"):
        run_node(scale, [X.astype(np.float64)])
    with pytest.raises(GraphError, match="int does not fit float"):
        run_node(fails, [1])


def test_no_payloads_need_a_type_that_the_node_or_the_test_says() -> None:
    assert run_node(fails, []).outputs == []
    assert run_node(scale, [], specs=TensorSpec(DataType.F32, (3,))).outputs == []
    with pytest.raises(GraphError, match="axis 'n' has no length"):
        run_node(scale, [])


# Sources and sinks.


def test_a_source_is_run_up_to_a_count_or_to_its_end() -> None:
    assert run_source(limen.io.Ramp(10), 3).outputs == [[0], [1], [2]]
    run = run_source(limen.io.Ramp(10, count=2), 3)
    assert run.outputs == [[0], [1]]
    assert [header.creation_tick for header in run.headers["out"]] == [0, 100 * MS]


def test_a_source_that_has_nothing_is_not_waited_for() -> None:
    class Silent(ListSource):
        def try_produce(self, now: int) -> object:
            return SourceSignal.NOTHING_NOW

    assert run_source(Silent([]), 3, duration="1s").outputs == []


def test_what_a_source_raises_is_raised() -> None:
    with pytest.raises(SensorError, match="row 3 is torn"):
        run_source(ListSource([SensorError("row 3 is torn")]))


def test_a_sink_is_opened_given_each_and_closed() -> None:
    sink = CollectingSink()
    run = run_sink(sink, [X, X * 2])
    assert sink.payloads == [[0, 1, 2], [0, 2, 4]]
    assert sink.log == ["open sink", "close sink"]
    assert run.node.processed == 2


def test_a_sink_with_several_inputs_is_given_each_by_name() -> None:
    class Two(limen.Sink):
        inputs = ("left", "right")

        def __init__(self) -> None:
            self.came: list[object] = []

        def consume_from(self, port: str, message: Message, now: int) -> None:
            self.came.append((port, message.payload))

        def consume(self, message: Message, now: int) -> None:
            raise AssertionError

    sink = Two()
    run_sink(sink, {"left": [1, 2], "right": [3]})
    assert sorted(sink.came) == [("left", 1), ("left", 2), ("right", 3)]


def test_a_sink_that_cannot_write_says_so(tmp_path: Path) -> None:
    class Full(CollectingSink):
        def consume(self, message: Message, now: int) -> None:
            raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        run_sink(Full(), [1])


# Comparing.


@dataclasses.dataclass
class Box:
    corners: np.ndarray
    label: str


class Pose(msgspec.Struct):
    x: float
    at: np.ndarray


@pytest.mark.parametrize(
    ("seen", "wanted", "same"),
    [
        (X, X.copy(), True),
        (X, X.astype(np.float64), True),
        (X, [0, 1, 2], True),
        (X, [[0, 1, 2]], False),
        (X, [0, 1, 3], False),
        (np.array([np.nan, 1]), np.array([np.nan, 1]), True),
        (np.array([True]), np.array([True]), True),
        (np.array(["a"]), np.array(["b"]), False),
        (X, [[1], [2, 3]], False),
        (float("nan"), float("nan"), True),
        ({"x": X}, {"x": X.copy()}, True),
        ({"x": X}, {"y": X}, False),
        ((X, 1), [X.copy(), 1], True),
        (Box(X, "a"), Box(X.copy(), "a"), True),
        (Box(X, "a"), Box(X, "b"), False),
        (Pose(1.0, X), Pose(1.0, X.copy()), True),
        (Pose(1.0, X), Pose(1.0, X + 1), False),
        ("a", "a", True),
        (1, "a", False),
    ],
)
def test_payloads_compare_by_value(seen: object, wanted: object, same: bool) -> None:
    assert (Payloads([seen]) == [wanted]) is same
    assert (Payloads([seen]) != [wanted]) is not same


def test_payloads_may_be_close() -> None:
    payloads = Payloads([X, X / 3])
    assert payloads.close_to([X + 1e-9, X * np.float32(0.333333333)])
    assert not payloads.close_to([X])
    assert not payloads.close_to([X, X])
    assert not payloads.close_to([X, [1]])
    assert payloads[1:].close_to([X / 3], rtol=1e-3)


# Examples.


@pytest.mark.parametrize("dtype", list(DataType))
def test_a_tensor_of_every_element_type_has_an_example(dtype: DataType) -> None:
    if dtype is DataType.BF16:
        pytest.importorskip("ml_dtypes")
    spec = TensorSpec(dtype, (UpTo(5), 3))
    examples = [example_payload(spec, seed) for seed in range(20)]
    assert all(x.dtype == dtype.numpy_dtype() and spec.admits(x.shape) for x in examples)
    assert len({x.shape for x in examples}) == 5
    assert len({x.tobytes() for x in examples}) > 15


def test_an_example_is_a_function_of_its_seed() -> None:
    spec = TensorSpec(DataType.F32, (4,))
    assert Payloads([example_payload(spec, 7)]) == [example_payload(spec, 7)]
    assert Payloads([example_payload(spec, 7)]) != [example_payload(spec, 8)]
    many = example_payload(TensorSpec(DataType.F64, (10_000,)))
    assert -1 <= many.min() < -0.99 < 0.99 < many.max() < 1


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@dataclasses.dataclass
class Tree:
    name: str
    left: Tree | None
    sizes: list[int]
    pair: tuple[int, str]
    rest: tuple[float, ...]
    by_name: dict[str, bytes]
    colour: Colour
    mode: Literal["a", "b"]
    row: Three
    grid: Annotated[np.ndarray, TensorSpec(DataType.U8, (2, 2))]


class Event(msgspec.Struct):
    box: Tree
    count: int = 3


@pytest.mark.parametrize(
    "kind",
    [
        float,
        int,
        str,
        bytes,
        bool,
        complex,
        object,
        dict,
        list,
        tuple,
        Colour,
        Halves,
        Event,
        Tree,
        np.float32,
        bytearray,
    ],
)
def test_objects_of_common_types_have_an_example(kind: type) -> None:
    examples = [example_payload(ObjectSpec(kind), seed) for seed in range(10)]
    assert all(isinstance(example, kind) for example in examples)
    assert len({repr(example) for example in examples}) > 1


def test_the_fields_of_a_record_are_of_their_types() -> None:
    tree = example_payload(ObjectSpec(Event), 3).box
    assert tree.row.dtype == np.float32
    assert tree.grid.shape == (2, 2)
    assert isinstance(tree.left, Tree)
    assert tree.mode in ("a", "b")
    assert [type(part) for part in tree.pair] == [int, str]


@dataclasses.dataclass
class Odd:
    frame: np.ndarray


@dataclasses.dataclass
class Endless:
    again: Endless


@dataclasses.dataclass
class Strict:
    x: float

    def __post_init__(self) -> None:
        raise ValueError("never")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (TensorSpec(DataType.F32, ("n",)), r"f32\[n\] has an axis without a length"),
        (ObjectSpec(Path), "no example of PosixPath|no example of Path"),
        (ObjectSpec(Odd), r"no example of Odd\.frame can be made: it is an array of unknown"),
        (ObjectSpec(Endless), "holds itself without an end"),
        (ObjectSpec(Strict), r"refuses .*ValueError: never.*give payloads of your own"),
        (float, "give a TensorSpec or an ObjectSpec"),
    ],
)
def test_what_has_no_example_says_so(spec: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        example_payload(spec)
