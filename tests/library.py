"""Steps nodes of the library without a runtime, and compares bits; used by ``test_nodes_*``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limen.message import Message, MessageHeader
from limen.node import Node, Output, Outputs, Skip, StepResult
from limen.platform import SimClock
from limen.types import DataType, PayloadSpec, SequenceNumber, TensorSpec, Ticks, TraceId

NUMBERS = ("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64")
WHOLES = NUMBERS[:8]
REALS = ("f32", "f64")


class Bench:
    """A context that is told what comes: keeps copies of what goes out, and how it went."""

    def __init__(self, node: Node, **inputs: PayloadSpec) -> None:
        self.node = node
        self.clock = SimClock()
        self.now_ticks = Ticks(0)
        node.prepare()
        self.ports = node.resolve(inputs)
        node.initialize(self.clock, self.ports)
        self.slots = {
            port.name: np.zeros(port.spec.fixed_shape, port.spec.dtype.numpy_dtype())
            for port in self.ports.outputs
            if isinstance(port.spec, TensorSpec)
        }
        self.emitted: list[tuple[str, MessageHeader, object]] = []
        self.skipped = 0
        self.made = 0
        self._coming: object = None
        self._pushed: list[tuple[str, Message]] = []

    def message(self, payload: object, at: int = 0, origin: int | None = None) -> Message:
        number = self.made
        self.made += 1
        return Message(
            MessageHeader(
                trace_id=TraceId(number),
                sequence=SequenceNumber(number),
                creation_tick=Ticks(at),
                origin_tick=Ticks(at if origin is None else origin),
                payload_size_bytes=0,
            ),
            payload,
        )

    def feed(self, payloads: Iterable[object]) -> list[np.ndarray]:
        """Give messages to a node with one input, a tick apart; what ``out`` made of them."""
        before = len(self.emitted)
        for payload in payloads:
            self.give(self.message(payload, at=self.made))
        return [payload for _, _, payload in self.emitted[before:]]

    def give(self, *messages: Message | None, now: int | None = None) -> None:
        """Step the node once with a message an input."""
        self.now_ticks = Ticks(self.now_ticks if now is None else now)
        self._coming = messages
        assert self.node.step(self) is StepResult.MADE_PROGRESS

    # What a node asks of its context.

    def out_slot(self, port: str) -> np.ndarray | None:
        return self.slots.get(port)

    def push_output(self, port: str, message: Message) -> None:
        self._pushed.append((port, message))

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        assert port == self.node.input_names[0]
        (message,) = self._coming
        return self._settle(message.header, process(message))

    def pop_joined_and_process(self, process: Callable[..., object]) -> StepResult:
        first = next((m for m in self._coming if m is not None), None)
        header = self.message(None).header if first is None else first.header
        return self._settle(header, process(self._coming))

    def _settle(self, header: MessageHeader, result: object) -> StepResult:
        made = [(port, m.header, m.payload) for port, m in self._pushed]
        self._pushed.clear()
        match result:
            case Output(payload=payload, origin_tick=origin):
                made.append((self.node.output_names[0], _aged(header, origin), payload))
            case Outputs(messages=messages, origin_tick=origin):
                made += [(port, _aged(header, origin), payload) for port, payload in messages]
            case Skip():
                self.skipped += 1
        for port, own, payload in made:
            spec = next(p.spec for p in self.ports.outputs if p.name == port)
            if isinstance(spec, TensorSpec):
                kept = np.array(payload)
                assert kept.dtype == spec.dtype.numpy_dtype(), port
                assert kept.shape == spec.fixed_shape, port
                payload = kept
            self.emitted.append((port, own, payload))
        return StepResult.MADE_PROGRESS


def _aged(header: MessageHeader, origin: Ticks | None) -> MessageHeader:
    return header if origin is None else header.with_origin(origin)


def spec(dtype: str, *shape: int, labels: Sequence[str] = ()) -> TensorSpec:
    return TensorSpec(DataType.from_name(dtype), shape, tuple(labels))


def array_of(dtype: str) -> np.dtype:
    return DataType.from_name(dtype).numpy_dtype()


def assert_same_bits(found: object, wanted: object) -> None:
    """Compare type, shape and bits; any NaN is as good as another, as in C."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if found.dtype.kind == "f":
        found, wanted = found.copy(), wanted.copy()
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        found[np.isnan(found)] = 0
        wanted[np.isnan(wanted)] = 0
    if found.tobytes() != wanted.tobytes():
        np.testing.assert_array_equal(found, wanted)
        raise AssertionError(f"zeros of different sign: {found} {wanted}")


def samples(dtype: str, shape: tuple[int, ...], count: st.SearchStrategy[int]) -> object:
    """Draw arrays of (count, …): NaN, infinities, extremes and repeated values included."""
    kind = array_of(dtype)
    edges: list[object] = [0, 1, 2]
    if kind.kind == "f":
        big = float(np.finfo(kind).max)
        edges += [-0.0, float("nan"), float("inf"), -float("inf"), big, -big, -1.5]
        edges += [float(np.finfo(kind).smallest_subnormal)]
    elif kind.kind in "iu":
        limits = np.iinfo(kind)
        edges += [int(limits.min), int(limits.max), int(limits.max) - 1]
    elements = st.one_of(hnp.from_dtype(kind), st.sampled_from(edges))
    if kind.kind == "b":
        elements = st.booleans()
    return count.flatmap(lambda n: hnp.arrays(kind, (n, *shape), elements=elements))


SHAPES = [(), (1,), (4,), (2, 3)]
