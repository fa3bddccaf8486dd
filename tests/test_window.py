from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, GraphError, NodeError
from limen.message import Message, MessageHeader, payload_size_bytes
from limen.node import Output, StepResult
from limen.nodes import Window
from limen.platform import SimClock
from limen.types import (
    DataType,
    ObjectSpec,
    PayloadSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
)


class ContextDouble:
    """Feeds messages one at a time and keeps copies of what is emitted."""

    def __init__(self, slot: np.ndarray | None = None) -> None:
        self.clock = SimClock()
        self.slot = slot
        self.waiting: list[Message] = []
        self.emitted: list[np.ndarray] = []
        self.results: list[Output] = []

    def out_slot(self, port: str) -> np.ndarray | None:
        assert port == "out"
        return self.slot

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        assert port == "in"
        for message in self.waiting:
            result = process(message)
            if isinstance(result, Output):
                self.results.append(result)
                self.emitted.append(np.array(result.payload))
        self.waiting.clear()
        return StepResult.MADE_PROGRESS


def a_message(sample: object, number: int = 0, origin: int | None = None) -> Message:
    header = MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(number),
        origin_tick=Ticks(number if origin is None else origin),
        payload_size_bytes=payload_size_bytes(sample),
    )
    return Message(header, sample)


def ready(window: Window, spec: TensorSpec) -> Window:
    window.prepare()
    ports = window.resolve({"in": spec})
    window.initialize(SimClock(), ports)
    return window


SPEC = TensorSpec(DataType.F32, (3,))
SAMPLES = np.arange(60, dtype=np.float32).reshape(20, 3)


def feed(window: Window, context: ContextDouble, samples: np.ndarray) -> None:
    for number, sample in enumerate(samples):
        context.waiting.append(a_message(sample, number))
        window.step(context)


@pytest.mark.parametrize(
    ("size", "stride"), [(1, 1), (4, 1), (4, 2), (5, 3), (5, 5), (7, 6), (20, 20), (21, 1)]
)
def test_windows_are_those_of_numpy(size: int, stride: int) -> None:
    context = ContextDouble()
    feed(ready(Window(size, stride), SPEC), context, SAMPLES)
    expected = []
    if size <= len(SAMPLES):
        view = np.lib.stride_tricks.sliding_window_view(SAMPLES, size, axis=0)
        expected = list(view.transpose(0, 2, 1)[::stride])
    assert len(context.emitted) == len(expected)
    for found, wanted in zip(context.emitted, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_samples_that_wait_together_are_all_kept() -> None:
    context = ContextDouble()
    window = ready(Window(2), SPEC)
    context.waiting += [a_message(sample, n) for n, sample in enumerate(SAMPLES[:5])]
    window.step(context)
    assert len(context.emitted) == 2


def test_the_output_slot_itself_is_returned() -> None:
    slot = np.zeros((4, 3), np.float32)
    context = ContextDouble(slot)
    feed(ready(Window(4, 1), SPEC), context, SAMPLES[:6])
    assert all(result.payload is slot for result in context.results)
    np.testing.assert_array_equal(context.emitted[-1], SAMPLES[2:6])


def test_every_window_on_the_heap_is_an_array_of_its_own() -> None:
    context = ContextDouble()
    feed(ready(Window(2), SPEC), context, SAMPLES[:4])
    first, second = (result.payload for result in context.results)
    assert first is not second


def test_the_sample_is_copied_when_it_arrives() -> None:
    context = ContextDouble()
    window = ready(Window(2), SPEC)
    reused = np.zeros(3, np.float32)
    for value in (1, 2):
        reused[:] = value
        context.waiting.append(a_message(reused))
        window.step(context)
    np.testing.assert_array_equal(context.emitted[0], [[1, 1, 1], [2, 2, 2]])


def test_the_origin_is_the_earliest_of_the_window_only() -> None:
    context = ContextDouble()
    window = ready(Window(3, 2), SPEC)
    for number, origin in enumerate([5, 9, 7, 8, 6, 20, 21]):
        context.waiting.append(a_message(SAMPLES[number], number, origin))
        window.step(context)
    assert [result.origin_tick for result in context.results] == [5, 6, 6]


def test_scalars_and_matrices_are_samples_too() -> None:
    for shape in ((), (2, 5)):
        spec = TensorSpec(DataType.S16, shape)
        context = ContextDouble()
        samples = np.arange(3 * spec.size_bytes // 2, dtype=np.int16).reshape(3, *shape)
        feed(ready(Window(3), spec), context, samples)
        np.testing.assert_array_equal(context.emitted[0], samples)


def test_reset_forgets_what_was_kept() -> None:
    context = ContextDouble()
    window = ready(Window(3), SPEC)
    feed(window, context, SAMPLES[:2])
    window.reset()
    feed(window, context, SAMPLES[10:13])
    assert len(context.emitted) == 1
    np.testing.assert_array_equal(context.emitted[0], SAMPLES[10:13])


def test_state_bytes_are_those_of_the_ring() -> None:
    assert ready(Window(50, 10), SPEC).state_bytes == 50 * 3 * 4


def test_the_output_has_the_windows_axis_in_front() -> None:
    ports = Window(50).resolve({"in": TensorSpec(DataType.F32, (6,), tuple("abcdef"))})
    assert ports.outputs[0].spec == TensorSpec(DataType.F32, (50, 6))


@pytest.mark.parametrize(("size", "stride"), [(0, None), (-1, None), (4, 0), (4, 5)])
def test_a_window_that_cannot_be_is_refused(size: int, stride: int | None) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Window(size, stride)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "inputs",
    [{"in": ObjectSpec(dict)}, {"in": TensorSpec(DataType.F32, ("n",))}],
)
def test_what_has_no_fixed_shape_is_refused(inputs: Mapping[str, PayloadSpec]) -> None:
    with pytest.raises(GraphError) as caught:
        Window(4).resolve(inputs)
    assert caught.value.code is Code.INCOMPATIBLE_PORTS


def test_an_unconnected_window_has_no_shape() -> None:
    with pytest.raises(GraphError) as caught:
        Window(4).resolve({})
    assert caught.value.code is Code.UNCONNECTED_PORT


@pytest.mark.parametrize("sample", [np.zeros(1, np.float32), np.zeros(3), "walking"])
def test_a_sample_of_another_shape_or_type_is_refused_and_not_kept(sample: object) -> None:
    context = ContextDouble()
    window = ready(Window(2), SPEC)
    feed(window, context, SAMPLES[:1])
    context.waiting.append(a_message(sample))
    with pytest.raises(NodeError, match="does not fit"):
        window.step(context)
    context.waiting.clear()
    feed(window, context, SAMPLES[1:2])
    np.testing.assert_array_equal(context.emitted[0], SAMPLES[:2])


def test_a_step_before_initialize_is_refused() -> None:
    context = ContextDouble()
    context.waiting.append(a_message(SAMPLES[0]))
    with pytest.raises(NodeError) as caught:
        Window(2).step(context)
    assert caught.value.code is Code.WRONG_STATE
