"""Nodes whose work is one method: payloads in, payloads out."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping

from limen.errors import ConfigurationError, PortMismatchError
from limen.message import BatchView, Message
from limen.node._results import CONSUMED, Output, Outputs, ProcessResult
from limen.node._signature import Signature, check_out, check_stackable, match_spec, read_signature
from limen.node.contract import (
    CallForm,
    DirectCall,
    Node,
    NodeKind,
    NodePorts,
    Port,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.platform import PlatformClock
from limen.types import ObjectSpec, PayloadSpec, UpTo


class ProcessNode(Node):
    """A node with a method ``process``, whose annotations are its ports; subclass and write it.

    ``process(self, x)`` has one input ``in``; with several parameters, each is an input of that
    name, None where ``X | None`` is annotated and nothing is there (of a node's only input, at a
    period that finds nothing). It returns the payload of the
    output ``out``, or a NamedTuple whose fields are the outputs; None emits nothing. With a
    parameter ``out`` it is given the output's slot, writes there and returns it: nothing is copied.

    With ``process_batch(self, xs)`` instead, one call takes a whole batch, as an array with one
    axis more or a tuple of objects, and makes one result of it.

    What is handed over is valid during the call: copy what is to be kept. Where headers matter,
    override ``process_message`` (one input) or ``process_joined`` (several) as well; it is called
    then, and the annotations of ``process`` remain the ports.
    """

    # Class attributes, so that a subclass need not call __init__.
    _signature: Signature | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs; ``in`` where there is one."""
        return tuple(port.name for port in self._read().inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs; ``out`` where there is one."""
        return tuple(port.name for port in self._read().outputs)

    def prepare(self) -> None:
        """Read the ports from the annotations."""
        signature = self._read()
        own = type(self)
        answers_itself = (
            own.process_message is not ProcessNode.process_message
            or own.process_joined is not ProcessNode.process_joined
        )
        if signature.always and not answers_itself:
            self.one_to_one = True
        self.writes_in_place = self.writes_in_place or (signature.with_out and not answers_itself)
        if self.kind is NodeKind.PROCESS:
            self.kind = _kind_of(signature)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check what arrives, and carry the lengths of named axes over to the outputs."""
        signature = self._read()
        axes: dict[str, int | UpTo] = {}
        arrived = []
        for port in signature.inputs:
            spec = inputs.get(port.name, port.spec)
            for axis, length in match_spec(port.name, port.spec, spec).items():
                varies = axis in axes and isinstance(length, UpTo)
                if axes.setdefault(axis, length) != length or varies:
                    raise PortMismatchError(
                        f"{port.name}: axis {axis!r} is {length} here and {axes[axis]} before",
                        remedy="give the axes different names, or equal lengths",
                    )
            if signature.stacked:
                check_stackable(port.name, spec)
            arrived.append(Port(port.name, spec, port.optional))
        outputs = tuple(Port(port.name, _bound(port.spec, axes)) for port in signature.outputs)
        check_out(signature, outputs)
        return NodePorts(tuple(arrived), outputs)

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Take what the policy grants, and process it."""
        if self.takes_windows:
            return ctx.pop_window_and_process("in", lambda batch: self._process_window(batch, ctx))
        if len(self._read().inputs) > 1:
            return ctx.pop_joined_and_process(lambda got: self._joined(got, ctx))
        own = type(self).process_message is not ProcessNode.process_message
        if self._read().with_out and not own:
            return ctx.pop_and_process("in", lambda message: self._process_into(message, ctx))
        return ctx.pop_and_process("in", lambda message: self.process_message(message, ctx.clock))

    def direct_call(self) -> DirectCall | None:
        """Return the function of one payload, where that is all that a step calls."""
        own = type(self)
        if own.step is not ProcessNode.step or own._result is not ProcessNode._result:
            return None
        signature = self._read()
        one_by_one = len(signature.inputs) == 1 and not self.takes_windows
        if one_by_one and own.process_message is not ProcessNode.process_message:
            return DirectCall(CallForm.MESSAGE, self._handle)
        if len(signature.inputs) != 1 or signature.fields:
            return None
        if self.takes_windows:
            window = DirectCall(CallForm.WINDOW, self._processor(), self._result)
            return None if signature.with_out else window
        form = CallForm.FILL if signature.with_out else CallForm.PAYLOAD
        return DirectCall(form, self._processor(), self._result)

    def _handle(self, message: Message, ctx: StepContext) -> ProcessResult:
        return self.process_message(message, ctx.clock)

    def process_message(self, message: Message, clock: PlatformClock) -> ProcessResult:
        """Handle one message; the default hands its payload to ``process``."""
        return self._result(self._processor()(message.payload))

    def process_joined(
        self, messages: tuple[Message | None, ...], clock: PlatformClock
    ) -> ProcessResult:
        """Handle one message an input; the default hands their payloads to ``process``."""
        return self._result(self._processor()(*_payloads(messages)))

    def _joined(self, messages: tuple[Message | None, ...], ctx: StepContext) -> ProcessResult:
        own = type(self).process_joined is not ProcessNode.process_joined
        if self._read().with_out and not own:
            slot = ctx.out_slot("out")
            return self._result(self._processor()(*_payloads(messages), out=slot))
        return self.process_joined(messages, ctx.clock)

    def _process_into(self, message: Message, ctx: StepContext) -> ProcessResult:
        return self._result(self._processor()(message.payload, out=ctx.out_slot("out")))

    def _process_window(self, batch: BatchView, ctx: StepContext) -> ProcessResult:
        if self._read().with_out:
            slot = ctx.out_slot("out")
            return self._result(self._processor()(batch.payloads, out=slot))
        return self._result(self._processor()(batch.payloads))

    def _result(self, result: object) -> ProcessResult:
        if result is None:
            return CONSUMED
        fields = self._read().fields
        if not fields:
            return Output(result)
        if not (isinstance(result, tuple) and len(result) == len(fields)):
            raise ConfigurationError(
                f"{self._place()} returned a {type(result).__qualname__}",
                remedy=f"return the NamedTuple with {', '.join(fields)}",
            )
        pairs = zip(fields, result, strict=True)
        return Outputs(tuple((name, value) for name, value in pairs if value is not None))

    def _read(self) -> Signature:
        if self._signature is None:
            processor = self._processor()
            window = self.takes_windows
            self._signature = read_signature(processor, self._place(), window=window)
        return self._signature

    def _processor(self) -> Callable[..., object]:
        windows = getattr(self, "process_batch", None)
        process = windows if callable(windows) else getattr(self, "process", None)
        if not callable(process):
            raise ConfigurationError(
                f"{self._place()} has no method process", remedy="write process(self, x)"
            )
        self.takes_windows = callable(windows)
        return typing.cast("Callable[..., object]", process)

    def _place(self) -> str:
        return type(self).__qualname__


def _payloads(messages: tuple[Message | None, ...]) -> list[object]:
    return [None if message is None else message.payload for message in messages]


def _bound(spec: PayloadSpec, axes: Mapping[str, int | UpTo]) -> PayloadSpec:
    return spec if isinstance(spec, ObjectSpec) else spec.bind(axes)


def _kind_of(signature: Signature) -> NodeKind:
    if len(signature.inputs) > 1:
        return NodeKind.JOIN
    return NodeKind.SPLIT if len(signature.outputs) > 1 else NodeKind.PROCESS
