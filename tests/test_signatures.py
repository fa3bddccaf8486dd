"""Ports from annotations: of functions, of ``process`` and of ``process_batch``."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, Union

import numpy as np
import pytest
from jaxtyping import Float32, UInt8

import limen
from limen.errors import Code, ConfigurationError, GraphError
from limen.node import NodeKind, Port, ProcessNode
from limen.types import DataType, ObjectSpec, TensorSpec

if TYPE_CHECKING:
    from nowhere import Unknown

F3 = Float32[np.ndarray, "3"]
Rows = Float32[np.ndarray, "n 3"]
_F3 = TensorSpec(DataType.F32, (3,))


@dataclass
class Box:
    width: int


class Base:
    """A payload."""


class Derived(Base):
    """A more special payload."""


class Two(NamedTuple):
    first: F3
    second: Box


class Mixed(NamedTuple):
    always: F3
    sometimes: F3 | None


class Single(NamedTuple):
    only: F3


class Shapes(NamedTuple):
    same: Float32[np.ndarray, "n 3"]
    other: Float32[np.ndarray, " n"]


def ports(function: Callable[..., object], *, batch: bool = False) -> tuple[tuple[Port, ...], ...]:
    """Inputs and outputs of a node made of a function, as far as annotations say them."""
    made = limen.node(batch=batch)(function)
    made.prepare()
    resolved = made.resolve({})
    assert made.input_names == tuple(port.name for port in resolved.inputs)
    assert made.output_names == tuple(port.name for port in resolved.outputs)
    return resolved.inputs, resolved.outputs


def kind(function: Callable[..., object], *, batch: bool = False) -> NodeKind:
    made = limen.node(batch=batch)(function)
    made.prepare()
    return made.kind


# What functions may look like.


def one(x: F3) -> F3: ...
def one_into(x: F3, out: F3) -> F3: ...
def out_first(out: F3, x: F3) -> F3: ...
def with_default(x: F3, out: F3 | None = None) -> F3: ...
def objects(x: Box) -> str: ...
def maybe(x: F3) -> F3 | None: ...
def maybe_old(x: F3) -> Optional[F3]: ...  # noqa: UP045 - what users may write
def maybe_oldest(x: F3) -> Union[F3, None]: ...  # noqa: UP007 - what users may write
def annotated(x: Annotated[np.ndarray, _F3]) -> Annotated[Box, "a box"]: ...
def quoted(x: "F3") -> "Box": ...  # noqa: UP037 - what users may write
def generic(x: dict[str, int]) -> list[float]: ...


@pytest.mark.parametrize(
    ("function", "arriving", "leaving"),
    [
        (one, _F3, _F3),
        (one_into, _F3, _F3),
        (out_first, _F3, _F3),
        (with_default, _F3, _F3),
        (objects, ObjectSpec(Box), ObjectSpec(str)),
        (maybe, _F3, _F3),
        (maybe_old, _F3, _F3),
        (maybe_oldest, _F3, _F3),
        (annotated, _F3, ObjectSpec(Box)),
        (quoted, _F3, ObjectSpec(Box)),
        (generic, ObjectSpec(dict), ObjectSpec(list)),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_one_parameter_is_the_input_in_and_the_result_the_output_out(
    function: Callable[..., object], arriving: object, leaving: object
) -> None:
    assert ports(function) == ((Port("in", arriving),), (Port("out", leaving),))
    assert kind(function) is NodeKind.PROCESS


def pair(left: F3, right: Box) -> F3: ...
def pair_into(left: F3, out: F3, right: F3) -> F3: ...
def three(a: F3, b: Box | None, c: Optional[F3]) -> F3: ...  # noqa: UP045
def all_optional(a: F3 | None, b: F3 | None) -> F3: ...


def test_several_parameters_are_inputs_of_their_names_in_order() -> None:
    assert ports(pair)[0] == (Port("left", _F3), Port("right", ObjectSpec(Box)))
    assert ports(pair)[1] == (Port("out", _F3),)
    assert kind(pair) is NodeKind.JOIN


def test_the_parameter_out_is_no_input_wherever_it_stands() -> None:
    assert [port.name for port in ports(pair_into)[0]] == ["left", "right"]


def test_what_may_be_none_is_an_optional_input() -> None:
    inputs, _ = ports(three)
    assert [port.optional for port in inputs] == [False, True, True]
    assert [port.spec for port in inputs] == [_F3, ObjectSpec(Box), _F3]
    assert all(port.optional for port in ports(all_optional)[0])


def two(x: F3) -> Two: ...
def two_or_none(x: F3) -> Two | None: ...
def mixed(x: F3) -> Mixed: ...
def single(x: F3) -> Single: ...
def both(a: F3, b: F3) -> Two: ...


@pytest.mark.parametrize(
    ("function", "outputs"),
    [
        (two, (Port("first", _F3), Port("second", ObjectSpec(Box)))),
        (two_or_none, (Port("first", _F3), Port("second", ObjectSpec(Box)))),
        (mixed, (Port("always", _F3), Port("sometimes", _F3))),
        (single, (Port("only", _F3),)),
        (both, (Port("first", _F3), Port("second", ObjectSpec(Box)))),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_fields_of_a_named_tuple_are_the_outputs(
    function: Callable[..., object], outputs: tuple[Port, ...]
) -> None:
    assert ports(function)[1] == outputs


def test_a_node_with_several_outputs_splits_and_one_with_several_inputs_joins() -> None:
    assert kind(two) is NodeKind.SPLIT
    assert kind(single) is NodeKind.PROCESS
    assert kind(both) is NodeKind.JOIN


def rows(xs: Rows) -> F3: ...
def rows_into(xs: Rows, out: F3) -> F3: ...
def listed(xs: list[Box]) -> Box: ...
def tupled(xs: tuple[Box, ...]) -> Box: ...
def sequenced(xs: Sequence[F3]) -> F3: ...
def scalars(xs: Float32[np.ndarray, " n"]) -> F3: ...
def split_rows(xs: Rows) -> Two: ...


@pytest.mark.parametrize(
    ("function", "item"),
    [
        (rows, _F3),
        (rows_into, _F3),
        (listed, ObjectSpec(Box)),
        (tupled, ObjectSpec(Box)),
        (sequenced, _F3),
        (scalars, TensorSpec(DataType.F32, ())),
        (split_rows, _F3),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_batch_is_an_array_with_one_axis_more_or_a_sequence(
    function: Callable[..., object], item: object
) -> None:
    assert ports(function, batch=True)[0] == (Port("in", item),)


class Batched(ProcessNode):
    def process_batch(self, xs: Rows) -> F3: ...


class Plain(ProcessNode):
    def process(self, x: F3) -> F3: ...


def test_a_class_with_process_batch_takes_windows_and_one_with_process_does_not() -> None:
    for made, windows in ((Batched(), True), (Plain(), False)):
        made.prepare()
        assert made.takes_windows is windows
        assert made.resolve({}).inputs == (Port("in", _F3),)


# What is wrong, and what the text says would be right.


def no_inputs() -> F3: ...
def only_out(out: F3) -> F3: ...
def by_keyword(*, x: F3) -> F3: ...
def bare(x) -> F3: ...
def bare_second(a: F3, b) -> F3: ...
def no_result(x: F3): ...
def places(x: F3) -> tuple[F3, F3]: ...
def unshaped(x: np.ndarray) -> F3: ...
def anything(x: Any) -> F3: ...  # noqa: ANN401 - the mistake
def either(x: F3 | Box) -> F3: ...
def either_or_none(x: F3 | Box | None) -> F3: ...
def bad_result(x: F3) -> np.ndarray: ...
def open_type(x: limen.io.__class__) -> "Unknown": ...  # noqa: UP037 - the mistake
async def coroutine(x: F3) -> F3: ...
def generator(x: F3) -> Iterator[F3]:
    yield x


async def async_generator(x: F3) -> AsyncIterator[F3]:
    yield x


class BadField(NamedTuple):
    fine: F3
    wrong: np.ndarray


def bad_field(x: F3) -> BadField: ...


_MISTAKES: dict[str, tuple[Callable[..., object], str, str]] = {
    "no parameters": (no_inputs, "takes 0 inputs", "take one payload an input"),
    "only out": (only_out, "takes 0 inputs", "take one payload an input"),
    "by keyword only": (by_keyword, "by keyword only", "by position"),
    "no annotation": (bare, "bare does not annotate its input", "annotate it, as in Float32["),
    "second without": (bare_second, "does not annotate its input 'b'", "annotate it, as in"),
    "no result": (no_result, "does not annotate its result", "annotate it, as in"),
    "a tuple": (places, "returns a tuple", "NamedTuple"),
    "array without a shape": (unshaped, "its input: an array annotation", 'Float32[np.ndarray, "'),
    "a union": (either, "its input", "annotate with a class"),
    "a union with none": (either_or_none, "its input", "annotate with a class"),
    "result without a shape": (bad_result, "its result: an array annotation", "Float32["),
    "unknown name": (open_type, "cannot be read", "import the name at module level"),
    "coroutine": (coroutine, "is a coroutine or a generator", "write a plain function"),
    "generator": (generator, "is a coroutine or a generator", "write a plain function"),
    "a field": (bad_field, "its output 'wrong': an array annotation", "Float32["),
}


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_a_signature_that_says_too_little_is_refused_with_a_remedy(mistake: str) -> None:
    function, wrong, right = _MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as caught:
        limen.node(function).prepare()
    assert wrong in caught.value.message
    assert function.__qualname__ in caught.value.message
    assert right in caught.value.remedy


def no_batch(xs: Box) -> F3: ...
def fixed_first(xs: Float32[np.ndarray, "8 3"]) -> F3: ...
def no_axis(xs: Float32[np.ndarray, ""]) -> F3: ...
def two_batches(xs: Rows, ys: Rows) -> F3: ...
def bare_list(xs: list) -> F3: ...
def pair_tuple(xs: tuple[Box, str]) -> F3: ...


@pytest.mark.parametrize(
    ("function", "wrong", "right"),
    [
        (no_batch, "Box is no batch", "list[T]"),
        (fixed_first, "is no batch", "name its first axis"),
        (no_axis, "is no batch", "name its first axis"),
        (two_batches, "takes 2 inputs", "take one batch"),
        (no_inputs, "takes 0 inputs", "take one batch"),
        (bare_list, "is no batch", "list[T]"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_batch_that_is_none_is_refused_with_a_remedy(
    function: Callable[..., object], wrong: str, right: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        limen.node(batch=True)(function).prepare()
    assert wrong in caught.value.message
    assert right in caught.value.remedy


class CalledObject:
    def __call__(self, x: F3) -> F3: ...


def by_position(x: F3, out: F3, /) -> F3: ...
def and_more(x: F3, **more: F3) -> F3: ...


@pytest.mark.parametrize(
    ("function", "batch"),
    [
        pytest.param(async_generator, False, id="an async generator"),
        pytest.param(pair_tuple, True, id="a batch whose places have different types"),
        pytest.param(by_position, False, id="an out that cannot be given by name"),
        pytest.param(and_more, False, id="payloads that cannot be given by position"),
        pytest.param(functools.partial(one), False, id="a partial, whose hints cannot be read"),
        pytest.param(CalledObject(), False, id="an object, whose hints cannot be read"),
        pytest.param(int, False, id="a class without a signature"),
    ],
)
def test_what_could_only_fail_in_the_run_is_refused_by_prepare(
    function: Callable[..., object], batch: bool
) -> None:
    with pytest.raises(ConfigurationError):
        limen.node(batch=batch)(function).prepare()


class Nothing(ProcessNode):
    """Forgot to write it."""


class NotCallable(ProcessNode):
    process = 5


@pytest.mark.parametrize("kind_of", [Nothing, NotCallable])
def test_a_node_without_process_is_refused_by_its_name(kind_of: type[ProcessNode]) -> None:
    with pytest.raises(ConfigurationError, match="has no method process") as caught:
        kind_of().prepare()
    assert kind_of.__qualname__ in caught.value.message
    assert "process(self, x)" in caught.value.remedy


# What arrives.


def named(x: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "3 n"]: ...
def square(x: Float32[np.ndarray, "n n"]) -> Float32[np.ndarray, " n"]: ...
def alike(
    a: Float32[np.ndarray, " n"], b: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, "n 2"]: ...
def shapes(x: Float32[np.ndarray, "n 3"]) -> Shapes: ...
def into_object(x: F3, out: Box) -> Box: ...
def into_two(x: F3, out: F3) -> Two: ...
def any_object(x: object) -> str: ...
def base(x: Base) -> str: ...


def resolved(function: Callable[..., object], inputs: Mapping[str, object]) -> tuple[object, ...]:
    made = limen.node(function)
    made.prepare()
    return tuple(port.spec for port in made.resolve(inputs).outputs)


def f32(*shape: int) -> TensorSpec:
    return TensorSpec(DataType.F32, shape)


def test_lengths_of_named_axes_are_carried_over_to_every_output() -> None:
    assert resolved(named, {"in": f32(7, 3)}) == (f32(3, 7),)
    assert resolved(square, {"in": f32(5, 5)}) == (f32(5),)
    assert resolved(shapes, {"in": f32(4, 3)}) == (f32(4, 3), f32(4))
    assert resolved(alike, {"a": f32(6), "b": f32(6)}) == (f32(6, 2),)


def test_what_may_arrive_as_an_object() -> None:
    assert resolved(any_object, {"in": f32(2)}) == (ObjectSpec(str),)
    assert resolved(base, {"in": ObjectSpec(Derived)}) == (ObjectSpec(str),)


@pytest.mark.parametrize(
    ("function", "inputs", "wrong", "right"),
    [
        (named, {"in": f32(7, 4)}, "does not fit", "convert"),
        (named, {"in": f32(3)}, "does not fit", "convert"),
        (square, {"in": f32(5, 4)}, "does not fit", "convert"),
        (alike, {"a": f32(6), "b": f32(5)}, "axis 'n' is 5", "different names, or equal lengths"),
        (one, {"in": TensorSpec(DataType.U8, (3,))}, "does not fit", "casts u8 to f32"),
        (one, {"in": ObjectSpec(Box)}, "does not fit", "convert"),
        (objects, {"in": f32(3)}, "does not fit", "convert"),
        (objects, {"in": ObjectSpec(str)}, "str does not fit", "convert"),
        (base, {"in": ObjectSpec(object)}, "does not fit", "convert"),
        (into_object, {}, "has no slot", "leave the parameter out away"),
        (into_two, {}, "several outputs", "leave the parameter out away"),
    ],
)
def test_what_does_not_fit_is_refused_and_both_sides_are_named(
    function: Callable[..., object], inputs: Mapping[str, object], wrong: str, right: str
) -> None:
    with pytest.raises(GraphError) as caught:
        resolved(function, inputs)
    assert caught.value.code is Code.INCOMPATIBLE_PORTS
    assert wrong in caught.value.message
    assert right in caught.value.remedy


def test_resolving_twice_gives_equal_ports() -> None:
    made = limen.node(shapes)
    made.prepare()
    assert made.resolve({"in": f32(4, 3)}) == made.resolve({"in": f32(4, 3)})
    assert made.resolve({"in": f32(5, 3)}) != made.resolve({"in": f32(4, 3)})


def pixels(x: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]: ...


def test_a_node_made_of_a_function_can_still_be_called() -> None:
    double = limen.node(lambda x: 2 * x)
    assert double(3) == 6
    assert ports(pixels)[1] == (Port("out", TensorSpec(DataType.U8, ("h", "w"))),)


def test_any_is_an_object_of_any_type() -> None:
    made = limen.node(anything)
    made.prepare()
    assert made.resolve({"in": ObjectSpec(int)}).inputs[0].spec == ObjectSpec(int)
    assert made.resolve({}).inputs[0].spec == ObjectSpec(object)
