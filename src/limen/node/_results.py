"""What a call into a node can come to."""

from __future__ import annotations

import msgspec

from limen.types import Ticks


class Output(msgspec.Struct, frozen=True):
    """The input became this payload, on the only output or the first of several.

    Attributes:
        payload: What goes out; a slot that ``StepContext.out_slot`` gave is not copied.
        origin_tick: Oldest creation among all that went into it, where a node keeps state across
            steps; that of what it was given if not stated.
    """

    payload: object
    origin_tick: Ticks | None = None


class Outputs(msgspec.Struct, frozen=True):
    """The input became several messages, on one output or on several.

    Attributes:
        messages: Output port and payload of each. Ports go out in declared order, and what is on
            one port in the order given here.
        origin_tick: As in ``Output``.
    """

    messages: tuple[tuple[str, object], ...]
    origin_tick: Ticks | None = None


class Consumed(msgspec.Struct, frozen=True):
    """The input was used and nothing goes out now."""


class Skip(msgspec.Struct, frozen=True):
    """The input was passed over; it counts as dropped{skipped}."""


ProcessResult = Output | Outputs | Consumed | Skip
CONSUMED = Consumed()
