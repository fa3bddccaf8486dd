"""Each message to one of several outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from limen.errors import Code, ConfigurationError, GraphError, PortMismatchError
from limen.message import Message
from limen.node import CForm, CTable, NodeKind, NodePorts, Outputs, Port, ProcessResult, Skip
from limen.node.contract import StepContext, StepResult
from limen.nodes import _c
from limen.nodes._base import (
    NUMBERS,
    REALS,
    WHOLES,
    Array,
    Arrays,
    LibraryNode,
    require_spec,
    require_tensor,
    spec_at,
)
from limen.nodes._checks import require_choice, require_flag, require_names, require_reals
from limen.nodes._threshold import comparable
from limen.platform import PlatformClock
from limen.types import (
    DataType,
    PayloadSpec,
    TensorSpec,
    describe_spec,
    require_type,
    require_whole,
)

_SKIP = Skip()
_BY: Final = ("index", "value", "class")


class Router(LibraryNode):
    """Passes each message on, unchanged, to the one output that a selector chooses.

    - by index: an element of the selector, whole or bool, is the output's number from 0.
    - by value: the number of ``bounds`` that are not above that element; one output more than
      there are bounds.
    - by class: the place of the selector's largest element, the first of equal ones; one element
      an output.

    An index that is no output's, and a NaN among what decides, choose ``otherwise``; where there is
    none the message counts as dropped{skipped}.

    Args:
        outputs: Names of the outputs.
        by: How the selector chooses.
        element: Which element of the selector decides, counted in C order.
        bounds: Rising values, where the choice is by value.
        otherwise: Name of an output more, for what no other is chosen for.
        by_selector: Whether the selector is the message of a second input, ``selector``, and not
            the message itself.
    """

    def __init__(
        self,
        outputs: list[str],
        by: Literal["index", "value", "class"] = "index",
        element: int = 0,
        bounds: list[float] | None = None,
        otherwise: str | None = None,
        by_selector: bool = False,
    ) -> None:
        self.by = require_choice("by", by, _BY)
        self.by_selector = require_flag("by_selector", by_selector)
        if otherwise is not None:
            require_type("otherwise", otherwise, str, "give the name of an output")
        self.outputs = require_names("outputs", outputs, 2)
        self.otherwise = otherwise
        if otherwise is not None:
            require_names("outputs with otherwise", [*self.outputs, otherwise], 3)
        self.element = require_whole("element", element, 0)
        if self.element and self.by == "class":
            raise ConfigurationError(
                f"element is {element}, where all elements decide", remedy="leave it out"
            )
        self.bounds = self._checked(bounds)
        self.kind = NodeKind.JOIN if self.by_selector else NodeKind.SPLIT

    def _checked(self, bounds: list[float] | None) -> tuple[float, ...]:
        wanted = len(self.outputs) - 1
        if self.by != "value":
            if bounds is not None:
                raise ConfigurationError(
                    f"bounds are given, and the choice is by {self.by}",
                    remedy='leave them out, or choose by "value"',
                )
            return ()
        found = () if bounds is None else require_reals("bounds", bounds)
        if len(found) != wanted:
            raise ConfigurationError(
                f"{len(found)} bounds for {wanted + 1} outputs", remedy=f"give {wanted}"
            )
        for low, high in pairwise(found):
            if low >= high:
                raise ConfigurationError(
                    f"bounds has {high} after {low}", remedy="give them in rising order"
                )
        return found

    @property
    def input_names(self) -> tuple[str, ...]:
        """What is passed on, and what chooses if that is something else."""
        return ("in", "selector") if self.by_selector else ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """As given; ``otherwise`` is the last."""
        return self.outputs if self.otherwise is None else (*self.outputs, self.otherwise)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check that the selector can choose; anything is passed on."""
        arriving = require_spec(inputs, "in")
        port = self.input_names[-1]
        dtypes = (DataType.BOOLEAN, *WHOLES) if self.by == "index" else NUMBERS
        selector = require_tensor(inputs, port, dtypes)
        count = math.prod(selector.fixed_shape)
        wrong, remedy = "", ""
        if self.by == "class" and count != len(self.outputs):
            wrong = f"{count} elements for {len(self.outputs)} outputs"
            remedy = "give one output an element"
        elif self.by != "class" and self.element >= count:
            wrong = f"element {self.element} of {count}"
            remedy = f"give an element of at most {count - 1}"
        if wrong:
            raise PortMismatchError(
                f"{port}: {describe_spec(selector)} has {wrong}",
                remedy=remedy,
            )
        self._compared(selector)
        if self.bounds:
            self._arrays = Arrays(bounds=(selector.dtype.numpy_dtype(), (len(self.bounds),)))
        into = {"in": arriving, port: selector}
        return NodePorts(
            tuple(Port(name, into[name]) for name in self.input_names),
            tuple(Port(name, arriving) for name in self.output_names),
        )

    def _compared(self, selector: TensorSpec) -> list[float | int]:
        bounds = [comparable("bound", bound, selector.dtype) for bound in self.bounds]
        for low, high in pairwise(bounds):
            if low >= high:
                raise GraphError(
                    f"bounds {low} and {high} leave no {selector.dtype.value} between them",
                    code=Code.INVALID_VALUE,
                    remedy="spread them, or leave out an output",
                )
        return bounds

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        if self.bounds:
            self._bounds = arrays["bounds"]
            self._bounds[:] = self._compared(spec_at(ports, into=len(ports.inputs) - 1))

    def _step(self, ctx: StepContext) -> StepResult:
        if self.by_selector:
            return ctx.pop_joined_and_process(self._take_joined)
        return ctx.pop_and_process("in", lambda message: self._pass_on(message, message))

    def _take_joined(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        message, selector = messages
        if message is None or selector is None:
            return _SKIP
        return self._pass_on(message, selector)

    def _pass_on(self, message: Message, selector: Message) -> ProcessResult:
        place = self._choose(np.asarray(selector.payload).reshape(-1))
        if place is not None:
            return Outputs(((self.outputs[place], message.payload),))
        if self.otherwise is not None:
            return Outputs(((self.otherwise, message.payload),))
        return _SKIP

    def _choose(self, x: Array) -> int | None:
        """Return the number of the output; None where there is none."""
        if self.by == "class":
            place = int(np.argmax(x))
            return None if x[place] != x[place] else place
        chosen = x[self.element]
        if self.by == "index":
            index = int(chosen)
            return index if 0 <= index < len(self.outputs) else None
        if chosen != chosen:
            return None
        return int(np.count_nonzero(self._bounds <= chosen))

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return what finds the output's number, and a copy."""
        arriving = _c.tensors("router", ports)
        payload, selector = arriving[0], arriving[len(ports.inputs) - 1]
        into, chosen_by = ("in_in", "in_selector") if self.by_selector else ("in", "in")
        number = "uint8_t" if len(ports.outputs) < 256 else "uint16_t"
        last = len(self.outputs)
        none = _c.SKIP if self.otherwise is None else f"port = {last};"
        kind, x = selector.dtype.c_type, f"{chosen_by}[{self.element}]"
        find: list[str]
        tables: tuple[CTable, ...] = ()
        if self.by == "index":
            valid = _below(selector.dtype, last)
            find = [f"const {kind} chosen = {x};", f"{number} port = ({number})chosen;"]
            find.append(_c.block(f"if (!({valid}))", none) if valid else "")
        elif self.by == "value":
            bounds = self._compared(selector)
            tables = (CTable(kind, "bounds", np.array(bounds, selector.dtype.numpy_dtype())),)
            find = [
                f"const {kind} chosen = {x};",
                f"{number} port = 0;",
                _c.block(f"while (port < {len(bounds)} && bounds[port] <= chosen)", "port++;"),
            ]
            if selector.dtype in REALS:
                find.append(_c.block("if (chosen != chosen)", none))
        else:
            find = [
                f"{number} port = 0;",
                "int unsure = 0;" if selector.dtype in REALS else "",
                _c.block(
                    f"for ({number} i = 0; i < {last}; i++)",
                    _c.block(f"if ({chosen_by}[i] > {chosen_by}[port])", "port = i;"),
                    _c.block(f"if ({chosen_by}[i] != {chosen_by}[i])", "unsure = 1;")
                    if selector.dtype in REALS
                    else "",
                ),
                _c.block("if (unsure)", none) if selector.dtype in REALS else "",
            ]
        call = _c.lines(
            _c.block("if (!in_in || !in_selector)", _c.SKIP) if self.by_selector else "",
            *find,
            _c.sent("port", into, payload),
            _c.DONE,
        )
        return CForm(call=call, tables=tables, headers=("string.h",))


def _below(dtype: DataType, count: int) -> str:
    """Return in C whether ``chosen`` is a number below a count; empty where it always is."""
    limits = (0, 1) if dtype is DataType.BOOLEAN else _limits(dtype)
    asked = ["chosen >= 0"] if limits[0] < 0 else []
    if limits[1] >= count:
        asked.append(f"chosen < {_c.literal(count, dtype)}")
    return " && ".join(asked)


def _limits(dtype: DataType) -> tuple[int, int]:
    limits = np.iinfo(dtype.numpy_dtype().name)
    return int(limits.min), int(limits.max)
