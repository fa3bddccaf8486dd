"""The latest value, when asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from limen.message import Message, MessageHeader
from limen.node import (
    CField,
    CForm,
    Consumed,
    NodeKind,
    NodePorts,
    Output,
    Port,
    ProcessResult,
)
from limen.node.contract import StepContext, StepResult
from limen.nodes import _c
from limen.nodes._base import Array, Arrays, LibraryNode, require_spec
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.types import PayloadSpec, TensorSpec, Ticks

_CONSUMED = Consumed()


class SampleAndHold(LibraryNode):
    """Keeps the latest value of ``in``, and emits it for each message on ``trigger``.

    Without anything connected to ``trigger`` it emits at each step: make it periodic. Before the
    first value nothing goes out. Of a value and a trigger pushed at the same instant the value
    comes first. The result has the trigger's header; its origin is the earlier of both.
    """

    kind = NodeKind.JOIN
    activation = Activation.ANY
    keeps = True

    def __init__(self) -> None:
        self._held: MessageHeader | None = None
        self._triggered = True
        self._value: Array | None = None
        self._object: object = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Values, and what asks for them."""
        return ("in", "trigger")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The values asked for."""
        return ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Let any value through; a trigger is anything."""
        arriving = require_spec(inputs, "in")
        trigger = inputs.get("trigger")
        self._triggered = trigger is not None
        self._arrays = _kept_of(arriving)
        return NodePorts(
            (
                Port("in", arriving, optional=True),
                Port("trigger", arriving if trigger is None else trigger, optional=True),
            ),
            (Port("out", arriving),),
        )

    def reset(self) -> None:
        """Forget the value."""
        self._held = None
        self._object = None

    def _describe(self, ports: NodePorts) -> None:
        # That nothing is connected to the trigger does not show in its port.
        self._arrays = _kept_of(ports.inputs[0].spec)

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._value = arrays.get("value")

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_joined_and_process(self._take)

    def _take(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        value, trigger = messages
        if value is not None:
            self._held = value.header
            if self._value is None:
                self._object = value.payload
            else:
                np.copyto(self._value, np.asarray(value.payload))
        if self._held is None or (self._triggered and trigger is None):
            return _CONSUMED
        origin = self._held.origin_tick
        if trigger is not None:
            origin = Ticks(min(origin, trigger.header.origin_tick))
        return Output(self._object if self._value is None else self._value, origin_tick=origin)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a copy in, and a copy out where something asks for it."""
        arriving = _c.tensors("sample_and_hold", ports)[0]
        call = [
            _c.block(
                "if (in_in)",
                _c.copied("self->value", "in_in", arriving),
                "self->origin = call->headers[0]->origin;",
                "self->held = 1;",
            ),
            _c.block(
                "if (!self->held || !in_trigger)" if self._triggered else "if (!self->held)",
                _c.DONE,
            ),
            "call->header.origin = self->origin;",
        ]
        if self._triggered:
            call.append(
                _c.block(
                    "if (call->headers[1]->origin < self->origin)",
                    "call->header.origin = call->headers[1]->origin;",
                )
            )
        return CForm(
            call=_c.lines(*call, _c.sent(0, "self->value", arriving), _c.DONE),
            state=(
                CField("limen_tick", "origin"),
                CField(arriving.dtype.c_type, "value", (_c.count_of(arriving),)),
                CField("uint8_t", "held"),
            ),
            start="self->held = 0;",
            headers=("string.h",),
        )


def _kept_of(spec: PayloadSpec) -> Arrays:
    """Describe what holds a value; an object is held by reference."""
    if not isinstance(spec, TensorSpec):
        return Arrays()
    return Arrays(value=(spec.dtype.numpy_dtype(), spec.fixed_shape))
