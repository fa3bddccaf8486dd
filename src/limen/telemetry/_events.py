"""What happens in a run: a frozen record each, with a line and a JSON object for it."""

from __future__ import annotations

import enum
import json
from typing import Final, NamedTuple, Self, assert_never

from limen.errors import ConfigurationError
from limen.telemetry._violations import PolicyEvent
from limen.types import format_ns, printable

_MOST_BYTES: Final = 128


class EventMessage(str):
    """A short text for machines to pass on: one line of at most 128 bytes of UTF-8.

    It is checked when it is made, so that a constant is checked when its module is imported.

    Raises:
        ConfigurationError: It is no text, too long, more than a line, or not Unicode.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check a text."""
        if not isinstance(text, str):
            raise ConfigurationError(f"event message {text!r}"[:200], remedy="give a text")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"event message {text!a}: not Unicode"[:200], remedy="leave lone surrogates out"
            ) from error
        if size > _MOST_BYTES:
            raise ConfigurationError(
                f"event message {text[:32]!a}… has {size} bytes",
                remedy=f"give at most {_MOST_BYTES}",
            )
        # All that some reader of lines takes for an end of line, beyond \n and \r.
        if text.splitlines() not in ([], [text]):
            raise ConfigurationError(
                f"event message {text!a} is more than a line"[:300], remedy="leave newlines out"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, text: object) -> Self:
        """Make one of any text: what is not printable is escaped, what is too long cut off."""
        line = printable(str(text))
        data = line.encode()
        if len(data) > _MOST_BYTES:
            mark = "…"
            line = data[: _MOST_BYTES - len(mark.encode())].decode(errors="ignore") + mark
        return cls(line)


class RuntimeEventKind(enum.StrEnum):
    """What happened to a run or to what it is connected to; the values stand in records."""

    GRAPH_STARTED = "graph_started"
    GRAPH_STOPPED = "graph_stopped"
    GRAPH_PANICKED = "graph_panicked"
    SENSOR_DISCONNECTED = "sensor_disconnected"
    SENSOR_RECOVERED = "sensor_recovered"
    MODEL_LOAD_FAILED = "model_load_failed"
    MODEL_RECOVERED = "model_recovered"
    BROKER_DISCONNECTED = "broker_disconnected"
    BROKER_RECOVERED = "broker_recovered"
    DATA_GAP = "data_gap"
    INVALID_DATA = "invalid_data"


class RuntimeEvent(NamedTuple):
    """Something happened to a run, a source, a model or a broker.

    Attributes:
        instant_ns: When, by the graph's clock.
        kind: What.
        place: Graph, node or edge.
        message: More about it; may be empty.
    """

    instant_ns: int
    kind: RuntimeEventKind
    place: str
    message: EventMessage


class Loss(enum.StrEnum):
    """Who lost a message, as the accounting has it."""

    REFUSED = "refused"
    EVICTED = "evicted"
    DROPPED = "dropped"


class StructuralDrop(NamedTuple):
    """One message was lost: every one that the accounting counts as refused, evicted or dropped.

    Attributes:
        instant_ns: When, by the graph's clock.
        loss: Who lost it.
        place: The edge, ``producer.port -> consumer.port``; of what was dropped the input,
            ``node.port``.
        reason: Why.
        sequence: Of the message.
    """

    instant_ns: int
    loss: Loss
    place: str
    reason: str
    sequence: int


class NodeStep(NamedTuple):
    """One step of a node is over.

    Attributes:
        instant_ns: When it was, by the graph's clock.
        node: Which.
        step: Steps begun so far in the graph, this one included.
        result: What it came to: a ``StepResult`` in lower case, ``yield_until`` or ``failed``.
        taken: Messages it took.
        emitted: Messages it emitted.
        duration_ns: From its first instant to its last.
    """

    instant_ns: int
    node: str
    step: int
    result: str
    taken: int
    emitted: int
    duration_ns: int


class EdgeSnapshot(NamedTuple):
    """How full an edge is behind a step.

    Attributes:
        instant_ns: When, by the graph's clock.
        edge: Which.
        items: Messages in the ring.
        size_bytes: Their payloads.
        staged: Messages that wait for room outside it.
        held: Messages that its consumer holds.
        watermark: ``below_soft``, ``between_soft_and_hard`` or ``at_or_above_hard``.
    """

    instant_ns: int
    edge: str
    items: int
    size_bytes: int
    staged: int
    held: int
    watermark: str


Event = RuntimeEvent | PolicyEvent | StructuralDrop | NodeStep | EdgeSnapshot
"""All that a telemetry is told of."""

_NAMES: Final[dict[type, str]] = {
    RuntimeEvent: "runtime",
    PolicyEvent: "policy",
    StructuralDrop: "structural_drop",
    NodeStep: "node_step",
    EdgeSnapshot: "edge_snapshot",
}


def event_json(event: Event) -> str:
    """Return an event as one JSON object in ASCII: ``event`` names its kind, then its fields."""
    record = {"event": _NAMES[type(event)], **event._asdict()}
    return json.dumps(record, separators=(",", ":"))


def describe_event(event: Event) -> str:
    """Return an event as one line for people."""
    match event:
        case RuntimeEvent(kind=kind, place=place, message=message):
            text = f"{place}: {kind.value.replace('_', ' ')}"
            text += f": {message}" if message else ""
        case PolicyEvent(kind=kind, place=place):
            text = f"{place}: {kind.value.replace('_', ' ')}"
            text += f" #{event.sequence}" if event.sequence >= 0 else ""
            text += f", {event.times} times" if event.times > 1 else ""
            text += f", {format_ns(event.amount_ns)}" if event.amount_ns else ""
        case StructuralDrop(loss=loss, place=place, reason=reason):
            text = f"{place}: {loss.value} #{event.sequence} ({reason})"
        case NodeStep(node=node, step=step, result=result):
            text = (
                f"{node}: step {step} {result}, {event.taken} in, {event.emitted} out, "
                f"{format_ns(event.duration_ns)}"
            )
        case EdgeSnapshot(edge=edge, items=items, size_bytes=size_bytes):
            text = (
                f"{edge}: {items} waiting ({size_bytes} B, {event.watermark}), "
                f"{event.staged} staged, {event.held} held"
            )
        case unreachable:
            assert_never(unreachable)
    return printable(f"{format_ns(event.instant_ns):>12}  {text}")
