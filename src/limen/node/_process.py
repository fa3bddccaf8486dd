"""One message in, at most one out."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping

import msgspec

from limen.errors import Code, ConfigurationError, GraphError
from limen.message import Message
from limen.node.contract import Node, NodePorts, Port, StepContext, StepResult
from limen.platform import PlatformClock
from limen.types import (
    ObjectSpec,
    PayloadSpec,
    TensorSpec,
    Ticks,
    describe_spec,
    spec_from_annotation,
)


class Output(msgspec.Struct, frozen=True):
    """The input became this payload.

    Attributes:
        payload: What goes out; a slot that ``StepContext.out_slot`` gave is not copied.
        origin_tick: Oldest creation among all that went into it, where a node keeps state across
            steps; the input's own if not given.
    """

    payload: object
    origin_tick: Ticks | None = None


class Consumed(msgspec.Struct, frozen=True):
    """The input was used and nothing goes out now."""


class Skip(msgspec.Struct, frozen=True):
    """The input was passed over; it counts as dropped{skipped}."""


ProcessResult = Output | Consumed | Skip
_CONSUMED = Consumed()


class ProcessNode(Node):
    """A node with one input ``in`` and one output ``out``; subclass and write ``process``.

    ``process(self, x)`` returns the output's payload, or None where nothing goes out. Its
    annotations are the ports. With a parameter ``out`` it is given the output's slot, writes there
    and returns it: nothing is copied. ``x`` and ``out`` are valid during the call: copy what is to
    be kept. Where the header matters, override ``process_message`` as well; it is called then, and
    the annotations of ``process`` remain the ports.
    """

    # Class attributes, so that a subclass need not call __init__.
    _with_out: bool = False
    _declared: tuple[PayloadSpec, PayloadSpec] | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The one input."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The one output."""
        return ("out",)

    def prepare(self) -> None:
        """Read the ports from the annotations of ``process``."""
        if self._declared is None:
            self._declared, self._with_out = _read_signature(self._processor(), self._place())

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check what arrives, and carry the lengths of named axes over to the output."""
        self.prepare()
        if self._declared is None:
            raise ConfigurationError(f"{self._place()} declares no ports")
        declared, output = self._declared
        arriving = inputs.get("in", declared)
        axes = match_spec("in", declared, arriving)
        if isinstance(output, TensorSpec):
            output = output.bind(axes)
        elif self._with_out:
            raise GraphError(
                f"out: {describe_spec(output)} has no slot to write into",
                code=Code.INCOMPATIBLE_PORTS,
                remedy="leave the parameter out away, or return a tensor",
            )
        return NodePorts((Port("in", arriving),), (Port("out", output),))

    def step(self, ctx: StepContext) -> StepResult:
        """Take the batch prefix and process each message."""
        own = type(self).process_message is not ProcessNode.process_message
        if self._with_out and not own:
            return ctx.pop_and_process("in", lambda message: self._process_into(message, ctx))
        return ctx.pop_and_process("in", lambda message: self.process_message(message, ctx.clock))

    def process_message(self, message: Message, clock: PlatformClock) -> ProcessResult:
        """Handle one message; the default hands its payload to ``process``."""
        result = self._processor()(message.payload)
        return _CONSUMED if result is None else Output(result)

    def _process_into(self, message: Message, ctx: StepContext) -> ProcessResult:
        result = self._processor()(message.payload, out=ctx.out_slot("out"))
        return _CONSUMED if result is None else Output(result)

    def _processor(self) -> Callable[..., object]:
        process = getattr(self, "process", None)
        if not callable(process):
            raise ConfigurationError(
                f"{self._place()} has no method process", remedy="write process(self, x)"
            )
        return typing.cast("Callable[..., object]", process)

    def _place(self) -> str:
        return type(self).__qualname__


def _read_signature(
    process: Callable[..., object], place: str
) -> tuple[tuple[PayloadSpec, PayloadSpec], bool]:
    if inspect.iscoroutinefunction(process) or inspect.isgeneratorfunction(process):
        raise ConfigurationError(
            f"{place} is a coroutine or a generator", remedy="write a plain function that returns"
        )
    parameters = inspect.signature(process).parameters
    names = [name for name in parameters if name != "out"]
    if any(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names):
        raise ConfigurationError(
            f"{place} takes its payload by keyword only", remedy="take it by position"
        )
    if len(names) != 1:
        raise ConfigurationError(
            f"{place} takes {len(names)} inputs", remedy="take one payload (and, at most, out)"
        )
    try:
        hints = typing.get_type_hints(process, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"an annotation of {place} cannot be read: {error}",
            remedy="import the name at module level",
        ) from error
    specs = []
    for what, key in (("its input", names[0]), ("its result", "return")):
        if key not in hints:
            raise ConfigurationError(
                f"{place} does not annotate {what}",
                remedy='annotate it, as in Float32[np.ndarray, "6"]',
            )
        try:
            specs.append(spec_from_annotation(_without_none(hints[key])))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{place}, {what}: {error.message}", remedy=error.remedy
            ) from error
    return (specs[0], specs[1]), "out" in parameters


def _without_none(hint: object) -> object:
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    if type(None) in typing.get_args(hint) and len(arguments) == 1:
        return arguments[0]
    return hint


def match_spec(port: str, wanted: PayloadSpec, arriving: PayloadSpec) -> dict[str, int]:
    """Check that what arrives fits a port and return the lengths of the port's named axes.

    Raises:
        GraphError: INCOMPATIBLE_PORTS, saying both sides.
    """
    axes: dict[str, int] = {}
    fits = False
    remedy = "connect a producer of that type, or convert between them"
    match wanted, arriving:
        case TensorSpec(), TensorSpec():
            fits = len(wanted.shape) == len(arriving.shape)
            for want, have in zip(wanted.shape, arriving.shape, strict=False):
                length = (
                    axes.setdefault(want, have)
                    if isinstance(want, str) and isinstance(have, int)
                    else want
                )
                fits = fits and length == have
            if fits and wanted.dtype is not arriving.dtype:
                fits = False
                remedy = f"add a node that casts {arriving.dtype.value} to {wanted.dtype.value}"
        case ObjectSpec(), ObjectSpec():
            fits = issubclass(arriving.type, wanted.type)
        case ObjectSpec(), TensorSpec():
            fits = wanted.type is object
        case _:
            fits = False
    if not fits:
        raise GraphError(
            f"{port}: {describe_spec(arriving)} does not fit {describe_spec(wanted)}",
            code=Code.INCOMPATIBLE_PORTS,
            remedy=remedy,
        )
    return axes
