"""Axes whose length each message decides: specs, matching, memory, and whole graphs."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float32

import limen
from limen.errors import (
    Code,
    ConfigurationError,
    GraphError,
    ManagerError,
    PortMismatchError,
)
from limen.memory import BorrowLedger, BoundedMemoryManager, CheckedBoundedMemoryManager
from limen.message import Message, MessageHeader
from limen.node import match_spec
from limen.types import (
    DataType,
    ObjectSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    UpTo,
    describe_spec,
    spec_from_annotation,
)

_F32 = DataType.F32
_BOXES = TensorSpec(_F32, (UpTo(5), 4))
Rows = Float32[np.ndarray, "n 4"]
Boxes = Annotated[Rows, UpTo(5, axis="n")]
Line = Float32[np.ndarray, " n"]
Four = Float32[np.ndarray, "4"]
Two = Float32[np.ndarray, "2"]
Stack = Float32[np.ndarray, "b n 4"]
Array = np.ndarray[Any, Any]


def rows(count: int, value: float = 1) -> Array:
    return np.full((count, 4), value, np.float32)


# Specs.


def test_a_bounded_spec_says_its_bound_and_reserves_for_it() -> None:
    assert describe_spec(_BOXES) == "f32[<=5,4]"
    assert (_BOXES.is_fixed, _BOXES.is_bounded) == (False, True)
    assert _BOXES.max_shape == (5, 4)
    assert _BOXES.size_bytes == 5 * 4 * 4
    with pytest.raises(ConfigurationError, match=r"f32\[<=5,4\] has no fixed shape"):
        _ = _BOXES.fixed_shape
    with pytest.raises(ConfigurationError, match=r"f32\[n\] has no largest shape"):
        _ = TensorSpec(_F32, ("n",)).size_bytes


@pytest.mark.parametrize(
    ("shape", "admitted"),
    [((0, 4), True), ((5, 4), True), ((6, 4), False), ((5, 3), False), ((4,), False), ((), False)],
)
def test_a_shape_is_admitted_up_to_the_bound(shape: tuple[int, ...], admitted: bool) -> None:
    assert _BOXES.admits(shape) is admitted
    assert TensorSpec(_F32, ("n", 4)).admits(shape) is (len(shape) == 2 and shape[1] == 4)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "5", None])
def test_a_bound_that_is_no_length_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="a bound is"):
        UpTo(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("annotation", "spec"),
    [
        (Boxes, _BOXES),
        (Annotated[Rows, UpTo(5)], _BOXES),
        (
            Annotated[Float32[np.ndarray, "n m"], UpTo(5, axis="n"), UpTo(6, axis="m")],
            TensorSpec(_F32, (UpTo(5), UpTo(6))),
        ),
        (
            Annotated[Float32[np.ndarray, "n m"], UpTo(5, axis="m")],
            TensorSpec(_F32, ("n", UpTo(5))),
        ),
        (Annotated[np.ndarray, _BOXES], _BOXES),
    ],
)
def test_a_bound_is_read_beside_an_annotation(annotation: object, spec: TensorSpec) -> None:
    assert spec_from_annotation(annotation) == spec


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[Rows, UpTo(5, axis="m")],
        Annotated[Float32[np.ndarray, "n m"], UpTo(5)],
        Annotated[Float32[np.ndarray, "n n"], UpTo(5)],
        Annotated[Float32[np.ndarray, "3 4"], UpTo(5)],
        Annotated[bytes, UpTo(5)],
    ],
)
def test_a_bound_without_its_axis_is_refused(annotation: object) -> None:
    with pytest.raises(ConfigurationError, match="name one axis once"):
        spec_from_annotation(annotation)


# What fits what.


@pytest.mark.parametrize(
    ("wanted", "arriving", "axes"),
    [
        (("n", 4), (UpTo(5), 4), {"n": UpTo(5)}),
        ((UpTo(5), 4), (UpTo(5), 4), {}),
        ((UpTo(5), 4), (UpTo(3), 4), {}),
        ((UpTo(5), 4), (5, 4), {}),
        (("n", "m"), (UpTo(5), 4), {"n": UpTo(5), "m": 4}),
    ],
)
def test_a_name_takes_a_bound_and_a_bound_what_is_within_it(
    wanted: tuple[Any, ...], arriving: tuple[Any, ...], axes: dict[str, object]
) -> None:
    assert match_spec("in", TensorSpec(_F32, wanted), TensorSpec(_F32, arriving)) == axes


@pytest.mark.parametrize(
    ("wanted", "arriving"),
    [
        ((5, 4), (UpTo(5), 4)),
        ((UpTo(5), 4), (UpTo(6), 4)),
        ((UpTo(5), 4), (6, 4)),
        ((UpTo(5), 4), ("n", 4)),
        (("n", "n"), (UpTo(5), UpTo(5))),
        (("n", "n"), (5, UpTo(5))),
        (("n", "n"), (UpTo(5), 5)),
        ((UpTo(5),), (UpTo(5), 4)),
    ],
)
def test_what_could_be_longer_or_of_another_length_does_not_fit(
    wanted: tuple[Any, ...], arriving: tuple[Any, ...]
) -> None:
    with pytest.raises(PortMismatchError, match="does not fit"):
        match_spec("in", TensorSpec(_F32, wanted), TensorSpec(_F32, arriving))


def keep(x: Rows) -> Rows: ...
def pair(a: Line, b: Line) -> Rows: ...
def into(x: Rows, out: Rows) -> Rows: ...
def stacked(xs: Stack) -> Four: ...
def stacked_bound(
    xs: Annotated[Stack, UpTo(5, axis="n")],
) -> Four: ...
def listed(xs: list[Boxes]) -> Four: ...


def test_a_bound_is_carried_over_to_the_output() -> None:
    node = limen.node(keep)
    node.prepare()
    assert node.resolve({"in": _BOXES}).outputs[0].spec == _BOXES


def test_equal_names_do_not_take_bounds_whose_lengths_may_differ() -> None:
    node = limen.node(pair)
    node.prepare()
    bound = TensorSpec(_F32, (UpTo(5),))
    with pytest.raises(PortMismatchError, match="give the axes different names"):
        node.resolve({"a": bound, "b": bound})


@pytest.mark.parametrize(
    ("function", "batch", "said"),
    [
        (into, False, r"out: f32\[<=5,4\] has no slot to write into"),
        (stacked, True, r"no array side by side; take each by itself, or a batch .* list\[T\]"),
    ],
)
def test_a_slot_or_an_array_of_one_shape_is_not_made_of_many(
    function: Any,  # noqa: ANN401 - any function
    batch: bool,
    said: str,
) -> None:
    node = limen.node(batch=batch)(function)
    node.prepare()
    with pytest.raises(PortMismatchError, match=said):
        node.resolve({"in": _BOXES})


def test_a_batch_that_is_annotated_so_is_refused_before_anything_arrives() -> None:
    with pytest.raises(PortMismatchError, match="no array side by side"):
        limen.node(batch=True)(stacked_bound).prepare()
    limen.node(batch=True)(listed).prepare()


# Memory.


def message(payload: object, number: int = 0) -> Message:
    header = MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=0,
    )
    return Message(header, payload)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_each_slot_gives_back_what_was_stored_in_its_own_shape(lengths: list[int]) -> None:
    manager = BoundedMemoryManager(_BOXES, len(lengths))
    tokens = [manager.store(message(rows(n, i))) for i, n in enumerate(lengths)]
    for i, (token, length) in enumerate(zip(tokens, lengths, strict=True)):
        with manager.read(token) as found:
            assert isinstance(found.payload, np.ndarray)
            assert found.payload.shape == (length, 4)
            assert (found.payload == i).all()
            assert found.payload.flags.c_contiguous
    assert manager.payload_bytes == len(lengths) * 80, "reserved, whatever the messages take"


def test_a_view_is_read_only_and_the_slot_is_used_again() -> None:
    manager = BoundedMemoryManager(_BOXES, 1)
    token = manager.store(message(rows(5, 1)))
    with manager.read(token) as found:
        view: Any = found.payload
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 9
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
    manager.free(token)
    token = manager.store(message(rows(2, 3)))
    with manager.read(token) as found:
        assert np.shares_memory(np.asarray(found.payload), view)
        assert np.asarray(found.payload).tolist() == [[3] * 4] * 2


def test_a_spec_without_a_bound_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="every axis needs a length or a bound"):
        BoundedMemoryManager(TensorSpec(_F32, ("n",)), 1)


def test_a_write_guard_gives_the_message_s_own_shape_to_write() -> None:
    for manager in (BoundedMemoryManager(_BOXES, 2), CheckedBoundedMemoryManager(_BOXES, 2)):
        token = manager.store(message(rows(2)))
        with manager.read_mut(token) as found:
            np.asarray(found.payload)[...] = 7
        with manager.read(token) as found:
            assert np.asarray(found.payload).tolist() == [[7] * 4] * 2


def test_checked_slots_find_what_is_written_after_they_were_freed_or_while_they_are_read() -> None:
    ledger = BorrowLedger()
    manager = CheckedBoundedMemoryManager(_BOXES, 1, "camera.out", ledger)
    token = manager.store(message(rows(2)))
    with manager.read_mut(token) as found:
        kept = np.asarray(found.payload)
    kept[0, 0] = 9
    manager.begin_read(token)
    manager.end_read(token)
    manager.free(token)
    kept[0, 0] = 9
    second = manager.store(message(rows(1)))
    codes = [misuse.error.code for misuse in ledger.settle()]
    assert codes == [Code.BORROW_ACTIVE, Code.MANAGER_POISONED, Code.VIEW_KEPT]
    with pytest.raises(ManagerError, match=r"a freed slot: token .*slot 0 of camera\.out"):
        manager.read(token).__enter__()
    with manager.read(second) as found:
        assert np.asarray(found.payload).tolist() == [[1] * 4]


# Whole graphs.


class Detections(limen.Source):
    def __init__(self, payloads: list[Any], spec: TensorSpec = _BOXES) -> None:
        self.payloads, self.declared = payloads, spec

    def spec(self) -> TensorSpec:
        return self.declared

    def open(self, clock: object, now: int) -> None:
        self.left = list(self.payloads)

    def try_produce(self, now: int) -> limen.Produced | limen.SourceSignal:
        return limen.Produced(self.left.pop(0)) if self.left else limen.SourceSignal.END_OF_STREAM


class Keep(limen.Sink):
    def __init__(self) -> None:
        self.found: list[tuple[tuple[int, ...], int]] = []
        self.payloads: list[Array] = []

    def consume(self, message: Message, now: int) -> None:
        payload = np.asarray(message.payload)
        self.found.append((payload.shape, message.header.payload_size_bytes))
        self.payloads.append(payload.copy())


@limen.node
def confident(boxes: Rows) -> Rows:
    return boxes[boxes[:, 0] > 0.5]


@limen.node(batch=True)
def count(batch: list[Boxes]) -> Two:
    return np.array([len(batch), sum(len(boxes) for boxes in batch)], np.float32)


@limen.node
def doubled(boxes: Boxes) -> Annotated[Rows, UpTo(5, axis="n")]:
    return np.concatenate([boxes, boxes])


@limen.node
def as_object(boxes: Rows) -> dict[str, Any]:
    return {"boxes": boxes}


def run(*nodes: Any, source: Detections, caps: Any = None) -> tuple[Keep, limen.Report]:  # noqa: ANN401
    graph, sink = limen.Graph("boxes"), Keep()
    graph.add("camera", source)
    names = ["camera"]
    for number, node in enumerate(nodes):
        names.append(f"node{number}")
        graph.add(names[-1], node)
    graph.add("sink", sink)
    policy = limen.EdgePolicy(caps or limen.QueueCaps(8), limen.AdmissionPolicy.DROP_NEWEST)
    graph.chain(*names, "sink", policy=policy)
    plan = limen.check(graph)
    report = limen.run(graph, clock=limen.SimClock())
    seen, sink.found, sink.payloads = sink.found, [], []
    limen.run(graph, clock=limen.SimClock(), checked=True)
    assert sink.found == seen, "checked memory changes nothing"
    reserved = {
        f"{node.name}.{port.name}": port.memory_bytes
        for node in plan.nodes
        for port in node.outputs
    }
    assert {port.name: port.memory_bytes for port in report.statistics.outputs} == reserved
    return sink, report


def test_detections_of_any_number_up_to_the_bound_go_through_a_graph() -> None:
    given_rows = [np.array([[0.9, 0, 0, 0], [0.1, 0, 0, 0]], np.float32), rows(0), rows(5)]
    sink, _ = run(confident, source=Detections(given_rows))
    assert sink.found == [((1, 4), 16), ((0, 4), 0), ((5, 4), 80)]
    assert sink.payloads[0].tolist() == [[np.float32(0.9), 0, 0, 0]]


def test_a_batch_of_them_is_a_tuple_of_their_own_shapes() -> None:
    sink, _ = run(count, source=Detections([rows(2), rows(0), rows(5)]))
    assert sum(payload[0] for payload in sink.payloads) == 3
    assert sum(payload[1] for payload in sink.payloads) == 7


def test_byte_caps_count_what_each_message_has_not_what_is_reserved() -> None:
    caps = limen.QueueCaps(8, max_bytes=48)
    sink, report = run(source=Detections([rows(3), rows(4), rows(1)]), caps=caps)
    assert [size for _, size in sink.found] == [48, 16]
    assert report.statistics.edges[0].refused["too_large"] == 1


def test_the_check_warns_where_only_the_longest_are_refused() -> None:
    graph = limen.Graph("boxes")
    graph.add("camera", Detections([]))
    graph.add("sink", Keep())
    caps = limen.QueueCaps(8, max_bytes=48)
    graph.connect(
        "camera", "sink", policy=limen.EdgePolicy(caps, limen.AdmissionPolicy.DROP_NEWEST)
    )
    (warning,) = limen.check(graph).warnings
    assert "the longest messages are refused" in warning


def test_a_result_past_the_bound_fails_its_node_and_the_next_goes_on() -> None:
    sink, report = run(doubled, source=Detections([rows(2), rows(3), rows(1)]))
    assert [shape for shape, _ in sink.found] == [(4, 4), (2, 4)]
    assert report.statistics.nodes[1].errors == 1


def test_an_object_made_of_one_keeps_a_copy_of_its_own() -> None:
    graph, kept = limen.Graph("boxes"), []

    class Late(limen.Sink):
        def consume(self, message: Message, now: int) -> None:
            kept.append(message.payload)

    graph.add("camera", Detections([rows(2, n) for n in range(20)]))
    graph.add("convert", as_object)
    graph.add("late", Late())
    graph.chain("camera", "convert", "late", policy=limen.EdgePolicy.block(2))
    limen.run(graph, clock=limen.SimClock())
    assert [payload["boxes"][0, 0] for payload in kept] == list(range(20))


def test_a_named_axis_that_nothing_bounds_is_refused_with_both_ways_out() -> None:
    graph = limen.Graph("boxes")
    graph.add("camera", Detections([], TensorSpec(_F32, ("n", 4))))
    graph.add("sink", Keep())
    graph.connect("camera", "sink", policy=limen.EdgePolicy.block(2))
    with pytest.raises(GraphError, match=r"declare a length or a bound \(UpTo\)") as caught:
        limen.check(graph)
    assert caught.value.code is Code.UNBOUNDED_AXIS


def test_a_window_of_messages_of_different_lengths_is_refused() -> None:
    graph = limen.Graph("boxes")
    graph.add("camera", Detections([]))
    graph.add("window", limen.nodes.Window(size=3))
    graph.add("sink", Keep())
    graph.chain("camera", "window", "sink", policy=limen.EdgePolicy.block(2))
    with pytest.raises(GraphError, match="tensor of known shape"):
        limen.check(graph)


def test_an_object_port_takes_them_where_it_takes_everything() -> None:
    assert match_spec("in", ObjectSpec(object), _BOXES) == {}
    with pytest.raises(PortMismatchError):
        match_spec("in", ObjectSpec(dict), _BOXES)
