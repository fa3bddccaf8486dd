"""Hypothesis strategies for what Limen is made of: specs, policies, messages, whole graphs.

For property tests of nodes, edges and executors. Everything drawn is valid: what Limen refuses is
not drawn. Needs the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limen.errors import MissingExtraError
from limen.message import Message, MessageFlags, MessageHeader
from limen.policy import (
    AdmissionPolicy,
    Batching,
    Budget,
    Deadline,
    EdgePolicy,
    ErrorAction,
    Freshness,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    QueueCaps,
    Restart,
    RetentionMode,
)
from limen.testing.drawn import Drawn, Kind, draw_graph
from limen.types import (
    CriticalityClass,
    DataType,
    DeadlineNs,
    ObjectSpec,
    PayloadSpec,
    QoSClass,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    UpTo,
)

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as arrays
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "limen.testing.strategies needs the package hypothesis",
        remedy="pip install limen[testing]",
    ) from error

__all__ = [
    "batchings",
    "budgets",
    "deadlines",
    "drawn_graphs",
    "dtypes",
    "durations",
    "edge_policies",
    "error_actions",
    "freshness",
    "headers",
    "livenesses",
    "message_streams",
    "messages",
    "node_policies",
    "object_specs",
    "payloads",
    "queue_caps",
    "specs",
    "tensor_specs",
]

_NATIVE = tuple(dtype for dtype in DataType if dtype is not DataType.BF16)
_OBJECTS = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
}


def durations(least: str = "0ns", most_ms: int = 1000) -> st.SearchStrategy[str]:
    """Draw durations as text with a unit.

    Args:
        least: ``"0ns"``, or ``"1ns"`` where nothing is too short.
        most_ms: The longest, in milliseconds.
    """
    units = st.sampled_from((("ns", 1_000_000), ("us", 1000), ("ms", 1)))
    first = 0 if least == "0ns" else 1
    return units.flatmap(
        lambda unit: st.integers(first, most_ms * unit[1]).map(lambda n: f"{n}{unit[0]}")
    )


def dtypes() -> st.SearchStrategy[DataType]:
    """Draw element types that NumPy has by itself: all but bf16."""
    return st.sampled_from(_NATIVE)


@st.composite
def tensor_specs(
    draw: st.DrawFn, *, max_axes: int = 3, max_length: int = 5, bounded: bool = True
) -> TensorSpec:
    """Draw specs of tensors whose size is known or bounded.

    Args:
        draw: Given by Hypothesis.
        max_axes: Most axes.
        max_length: Longest axis.
        bounded: Whether axes may be of a length that each message decides.
    """
    lengths = st.integers(1, max_length)
    axis = lengths | lengths.map(UpTo) if bounded else lengths
    return TensorSpec(draw(dtypes()), tuple(draw(st.lists(axis, max_size=max_axes))))


def object_specs() -> st.SearchStrategy[ObjectSpec]:
    """Draw specs of Python objects: truth values, numbers, texts, bytes."""
    return st.sampled_from([ObjectSpec(kind) for kind in _OBJECTS])


def specs() -> st.SearchStrategy[PayloadSpec]:
    """Draw what a port may carry."""
    return tensor_specs() | object_specs()


def payloads(spec: PayloadSpec) -> st.SearchStrategy[object]:
    """Draw payloads that fit a spec, every value that its type has.

    Raises:
        ConfigurationError: An axis has no bound, or the spec is of objects of another type.
    """
    if isinstance(spec, ObjectSpec):
        return _objects(spec)
    bounds = [axis if isinstance(axis, UpTo) else None for axis in spec.shape]
    lengths = [
        st.just(length) if bound is None else st.integers(0, length)
        for bound, length in zip(bounds, spec.max_shape, strict=True)
    ]
    shapes = st.tuples(*lengths)
    if spec.dtype is DataType.BF16:
        dtype = spec.dtype.numpy_dtype()
        return shapes.flatmap(lambda shape: arrays.arrays(np.uint16, shape)).map(
            lambda bits: bits.view(dtype)
        )
    return shapes.flatmap(lambda shape: arrays.arrays(spec.dtype.numpy_dtype(), shape))


def _objects(spec: ObjectSpec) -> st.SearchStrategy[object]:
    if spec.type is object:
        return st.one_of(*_OBJECTS.values())
    found = _OBJECTS.get(spec.type)
    return st.from_type(spec.type) if found is None else found


@st.composite
def queue_caps(draw: st.DrawFn, *, max_items: int = 8, max_bytes: int = 64) -> QueueCaps:
    """Draw limits of a queue, with and without bytes and soft marks."""
    items = draw(st.integers(1, max_items))
    soft = draw(st.none() | st.integers(1, items))
    size = draw(st.none() | st.integers(1, max_bytes))
    soft_bytes = None if size is None else draw(st.none() | st.integers(1, size))
    return QueueCaps(items, soft, size, soft_bytes)


@st.composite
def edge_policies(draw: st.DrawFn, *, max_items: int = 8, max_bytes: int = 64) -> EdgePolicy:
    """Draw what may hold for an edge: queues of all admissions, mailboxes, latches."""
    retention = draw(st.sampled_from(RetentionMode))
    if retention is not RetentionMode.FIFO:
        return EdgePolicy(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, retention)
    caps = draw(queue_caps(max_items=max_items, max_bytes=max_bytes))
    return EdgePolicy(
        caps, draw(st.sampled_from(AdmissionPolicy)), lanes=draw(st.sampled_from((1, 2)))
    )


@st.composite
def batchings(draw: st.DrawFn, *, max_items: int = 6, slides: bool = True) -> Batching:
    """Draw how an input is grouped.

    Args:
        draw: Given by Hypothesis.
        max_items: Most items of a batch.
        slides: Whether windows may slide; only nodes that take whole windows can do that.
    """
    items = draw(st.none() | st.integers(1, max_items))
    span = draw(st.integers(1, 10**8) if items is None else st.none() | st.integers(1, 10**8))
    stride = None
    if slides and items is not None:
        stride = draw(st.none() | st.integers(1, items))
    return Batching(items, span, stride)


def deadlines() -> st.SearchStrategy[Deadline]:
    """Draw when results are late, and what becomes of them."""
    return st.builds(
        Deadline,
        default=st.none() | durations(),
        slack=durations(),
        require=st.booleans(),
        on_miss=st.sampled_from(OnMiss),
    )


def budgets() -> st.SearchStrategy[Budget]:
    """Draw how long a call may take, with the actions that need nothing but the node itself."""
    within = st.builds(
        Budget,
        tick_budget=durations("1ns", 50),
        watchdog=st.none() | st.integers(50, 500).map(lambda n: f"{n}ms"),
        action=st.none() | st.just(OverBudgetAction.DROP),
    )
    return st.just(Budget()) | within


def freshness() -> st.SearchStrategy[Freshness]:
    """Draw how old messages may be."""
    return st.builds(
        Freshness,
        max_age=st.none() | durations("1ns"),
        max_span_age=st.none() | durations("1ns"),
        on_stale=st.sampled_from(OnStale),
    )


def livenesses() -> st.SearchStrategy[Liveness]:
    """Draw how long inputs and nodes may be silent."""
    gaps = st.none() | durations("1ns")
    return st.builds(Liveness, max_gap=gaps, max_step_gap=gaps)


def error_actions() -> st.SearchStrategy[ErrorAction | Restart]:
    """Draw what a failed call does; failsafe messages are left out: they need a payload."""
    restarts = st.builds(
        Restart, max=st.integers(1, 4), per=durations("1ns"), backoff=durations(most_ms=20)
    )
    return st.sampled_from(ErrorAction) | restarts


def node_policies(*, slides: bool = False) -> st.SearchStrategy[NodePolicy]:
    """Draw what may hold for a node of any kind with one input.

    Args:
        slides: Whether windows may slide.
    """
    return st.builds(
        NodePolicy,
        batching=st.just(Batching.none()) | batchings(slides=slides),
        deadline=deadlines(),
        criticality=st.sampled_from(CriticalityClass),
        error_action=st.none() | error_actions(),
        sim_cost=durations(most_ms=50),
        budget=budgets(),
        freshness=freshness(),
        liveness=livenesses(),
    )


@st.composite
def headers(draw: st.DrawFn, *, most_tick: int = 10**9) -> MessageHeader:
    """Draw headers as a source or a join may make them.

    Args:
        draw: Given by Hypothesis.
        most_tick: Latest creation.
    """
    creation = draw(st.integers(0, most_tick))
    deadline = draw(st.none() | st.integers(0, 10**18))
    return MessageHeader(
        trace_id=TraceId(draw(st.integers(0, 2**32))),
        sequence=SequenceNumber(draw(st.integers(0, 2**32))),
        creation_tick=Ticks(creation),
        origin_tick=Ticks(draw(st.integers(0, creation))),
        payload_size_bytes=draw(st.integers(0, 64)),
        deadline_ns=None if deadline is None else DeadlineNs(deadline),
        qos=draw(st.sampled_from(QoSClass)),
        flags=MessageFlags(draw(st.integers(0, 63))),
        max_age_ns=draw(st.none() | st.integers(1, 10**12)),
    )


@st.composite
def messages(draw: st.DrawFn, spec: PayloadSpec) -> Message:
    """Draw messages whose payloads fit a spec, their headers saying how many bytes they are."""
    payload = draw(payloads(spec))
    return Message(draw(headers()), payload).with_payload(payload)


@st.composite
def message_streams(
    draw: st.DrawFn, spec: PayloadSpec, *, max_size: int = 12, most_gap: int = 100
) -> Sequence[tuple[Ticks, Message]]:
    """Draw what arrives at an input: messages in the order of their instants, numbered from 0.

    Args:
        draw: Given by Hypothesis.
        spec: What they carry.
        max_size: Most messages.
        most_gap: Most ticks between two of them; 0 brings several at one instant.
    """
    now = 0
    stream = []
    for number in range(draw(st.integers(0, max_size))):
        now += draw(st.integers(0, most_gap))
        payload = draw(payloads(spec))
        created = Ticks(max(0, now - draw(st.integers(0, most_gap))))
        header = MessageHeader(
            trace_id=TraceId(number),
            sequence=SequenceNumber(number),
            creation_tick=created,
            origin_tick=created,
            payload_size_bytes=0,
            qos=draw(st.sampled_from(QoSClass)),
        )
        stream.append((Ticks(now), Message(header, payload).with_payload(payload)))
    return stream


def drawn_graphs(kind: Kind = Kind.ANYTHING, *, plain: bool = False) -> st.SearchStrategy[Drawn]:
    """Draw graphs of scripted parts by their seeds.

    Args:
        kind: What to draw.
        plain: Leave deadlines, budgets and other constraints out.
    """
    return st.integers(0, 2**32 - 1).map(lambda seed: draw_graph(seed, kind, plain=plain))
