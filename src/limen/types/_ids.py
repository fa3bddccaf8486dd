"""Identifiers: distinct to the type checker, plain ``int`` at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, NewType

TraceId = NewType("TraceId", int)
SequenceNumber = NewType("SequenceNumber", int)
Ticks = NewType("Ticks", int)
DeadlineNs = NewType("DeadlineNs", int)
NodeIndex = NewType("NodeIndex", int)
EdgeIndex = NewType("EdgeIndex", int)
PortIndex = NewType("PortIndex", int)
if TYPE_CHECKING:

    class MessageToken(int):
        """Names a slot; ``INVALID`` names none."""

        INVALID: ClassVar[MessageToken]

else:
    MessageToken = NewType("MessageToken", int)
    MessageToken.INVALID = MessageToken(-1)

INVALID_TOKEN: Final = MessageToken.INVALID

_SEQUENCE_BITS: Final = 48
_PORT_BITS: Final = 8


class PortId(NamedTuple):
    """A port's address in a graph: node, then the port's index among that node's ports."""

    node: NodeIndex
    port: PortIndex


def make_trace_id(node: NodeIndex, port: PortIndex, sequence: SequenceNumber) -> TraceId:
    """Name one source message: the same inputs give the same trace id on every executor.

    The sequence takes the low 48 bits and wraps there; port (of at most 256) and node lie above.
    """
    low = sequence & ((1 << _SEQUENCE_BITS) - 1)
    return TraceId((((node << _PORT_BITS) | port) << _SEQUENCE_BITS) | low)


def split_trace_id(trace_id: TraceId) -> tuple[NodeIndex, PortIndex, SequenceNumber]:
    """Return the source node, its port and the sequence number that a trace id was made from."""
    high = trace_id >> _SEQUENCE_BITS
    return (
        NodeIndex(high >> _PORT_BITS),
        PortIndex(high & ((1 << _PORT_BITS) - 1)),
        SequenceNumber(trace_id & ((1 << _SEQUENCE_BITS) - 1)),
    )
