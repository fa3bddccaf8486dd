"""What a bench notes of a node, and what it does with payloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limen.message import BatchView, Message, MessageHeader
from limen.testing.contracts._payload_checks import kept
from limen.types import (
    Ticks,
)


@dataclass(slots=True)
class Sent:
    """One message that a node emitted.

    Attributes:
        port: As the node named it.
        header: Its own, where the node pushed it; else that of what it was made of.
        payload: A copy.
        origin: The origin that the node stated; None if it stated none.
        in_slot: Whether it lies in the slot that was to be written; None where there was none.
        pushed: Whether the node pushed it itself.
        lent: The payload itself, where it is held by reference; else None.
    """

    port: str
    header: MessageHeader
    payload: object
    origin: Ticks | None = None
    in_slot: bool | None = None
    pushed: bool = False
    lent: object = None


@dataclass(slots=True)
class Call:
    """One call of a function that a node handed over.

    Attributes:
        taken: Port and header of each message that it was given and that was not given before.
        answer: What it returned.
        sent: What went out with it.
        error: What it raised, in words; None if it returned.
        changed: The inputs that are not what they were before.
    """

    taken: list[tuple[str, MessageHeader]]
    answer: object = None
    sent: list[Sent] = field(default_factory=list)
    error: str | None = None
    changed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Step:
    """One step.

    Attributes:
        waiting: Messages that waited before it.
        result: What it returned.
        takes: The taking methods of the context that it called, in order.
        taken: How many messages it took.
        error: What it raised itself, in words; None if it returned.
    """

    waiting: int
    result: object = None
    takes: list[str] = field(default_factory=list)
    taken: int = 0
    error: str | None = None


def ruin(array: NDArray[np.generic]) -> None:
    """Turn every bit of an array around; of truth values, every one."""
    flat = array.reshape(-1)
    if array.dtype.kind == "b":
        np.logical_not(flat, out=flat)
    else:
        raw = flat.view(np.uint8)
        np.invert(raw, out=raw)


def own(payload: object) -> object:
    """Copy a payload, in an order in which its bytes are one after the other."""
    if isinstance(payload, np.ndarray):
        return np.array(payload, order="C")
    return kept(payload)


def lent(given: object, taken: Sequence[tuple[str, Message]]) -> list[tuple[str, object]]:
    """Return what a call is given, by port: the payloads of messages, or of a batch at once."""
    if isinstance(given, BatchView):
        return [(taken[0][0], given.payloads)]
    return [(port, message.payload) for port, message in taken]


def side_by_side(messages: Sequence[Message]) -> NDArray[np.generic] | tuple[object, ...]:
    payloads = tuple(message.payload for message in messages)
    arrays = [payload for payload in payloads if isinstance(payload, np.ndarray)]
    if len(arrays) < len(payloads) or len({(a.dtype, a.shape) for a in arrays}) > 1:
        return payloads
    return np.stack(arrays)
