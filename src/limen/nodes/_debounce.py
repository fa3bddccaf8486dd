"""A state that changes only once the change has lasted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from limen.errors import Code, ConfigurationError, GraphError
from limen.message import Message
from limen.node import CField, CForm, Consumed, NodePorts, Output, ProcessResult
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.nodes._base import (
    BOOL,
    TICKS,
    WHOLES,
    Array,
    Arrays,
    StreamNode,
    in_and_out,
    require_tensor,
    slot_for,
    spec_at,
)
from limen.nodes._checks import require_duration_ns, require_flag, require_index
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks, describe_spec, require_whole

_CONSUMED = Consumed()
_COUNTS = np.dtype(np.uint32)
_MOST = 2**32 - 1


class Debounce(StreamNode):
    """Follows what arrives once it has been the same, and different from before, for long enough.

    Of each element: a value that differs from the state begins a run; the same value again
    continues it, the state's own value ends it, a third value begins another. The run becomes the
    state when it has ``count`` messages and its last was made ``duration`` or more after its first.
    The result's origin is then the earliest of that run; else it is the message's own.

    Args:
        count: Messages of a run; 1 if only ``duration`` is given.
        duration: How long a run takes, by creation of its messages, as ``"50ms"``.
        initial: The state before anything has lasted.
        only_changes: Whether a message goes out only when some element has changed.
    """

    writes_in_place = True

    def __init__(
        self,
        count: int | None = None,
        duration: str | None = None,
        initial: int = 0,
        only_changes: bool = False,
    ) -> None:
        if count is None and duration is None:
            raise ConfigurationError(
                "neither count nor duration is given",
                remedy='give a count, a duration as "50ms", or both',
            )
        self.count = 1 if count is None else require_whole("count", count)
        if self.count > _MOST:
            raise ConfigurationError(f"count is {count}", remedy=f"give at most {_MOST}")
        self.duration_ns = 0 if duration is None else require_duration_ns("duration", duration)
        # Truth values are as good as 0 and 1 here: states often are.
        whole = int(initial) if isinstance(initial, bool) else initial
        self.initial = require_index("initial", whole)
        self.only_changes = require_flag("only_changes", only_changes)
        self.one_to_one = not self.only_changes

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check that the first state is one of the type that arrives."""
        arriving = require_tensor(inputs, "in", (DataType.BOOLEAN, *WHOLES))
        dtype, shape = arriving.dtype.numpy_dtype(), arriving.fixed_shape
        limits = (0, 1) if arriving.dtype is DataType.BOOLEAN else _limits(dtype)
        if not limits[0] <= self.initial <= limits[1]:
            raise GraphError(
                f"in: initial {self.initial} is no value of {describe_spec(arriving)}",
                code=Code.INVALID_VALUE,
                remedy=f"give one from {limits[0]} to {limits[1]}",
            )
        self._arrays = Arrays(
            state=(dtype, shape),
            candidate=(dtype, shape),
            run=(_COUNTS, shape),
            since=(TICKS, shape),
            origins=(TICKS, shape),
            scratch=(TICKS, shape),
            differs=(BOOL, shape),
            again=(BOOL, shape),
            other=(BOOL, shape),
        )
        return in_and_out(arriving, TensorSpec(arriving.dtype, arriving.shape, arriving.labels))

    def reset(self) -> None:
        """Return to the first state."""
        if self._ready:
            self._of["state"].fill(self.initial)
            self._of["run"].fill(0)

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._out = spec_at(ports, output=0)
        self._duration = clock.duration_to_ticks(self.duration_ns)
        self._of = arrays

    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        header = message.header
        x = np.asarray(message.payload)
        settled = self._follow(x, header.creation_tick, header.origin_tick)
        origin: Ticks | None = None
        if settled.any():
            origin = Ticks(int(self._of["origins"][settled].min()))
            np.copyto(self._of["state"], x, where=settled)
            np.copyto(self._of["run"], 0, where=settled)
        elif self.only_changes:
            return _CONSUMED
        out = slot_for(ctx, "out", self._out)
        out[...] = self._of["state"]
        return Output(out, origin_tick=origin)

    def _follow(self, x: Array, creation: int, origin: int) -> Array:
        """Count runs, and return where one has lasted long enough."""
        run, since, origins = self._of["run"], self._of["since"], self._of["origins"]
        differs, again, other = self._of["differs"], self._of["again"], self._of["other"]
        scratch = self._of["scratch"]
        np.not_equal(x, self._of["state"], out=differs)
        np.equal(x, self._of["candidate"], out=again)
        np.greater(run, 0, out=other)
        np.logical_and(again, other, out=again)
        np.logical_and(again, differs, out=again)
        # A run that is long enough but not old enough counts no further, so that it cannot wrap.
        np.less(run, self.count, out=other)
        np.logical_and(again, other, out=other)
        np.add(run, 1, out=run, where=other)
        np.minimum(origins, origin, out=origins, where=again)
        np.logical_xor(differs, again, out=other)
        np.copyto(run, 1, where=other)
        np.copyto(since, creation, where=other)
        np.copyto(origins, origin, where=other)
        np.copyto(self._of["candidate"], x, where=other)
        np.logical_not(differs, out=other)
        np.copyto(run, 0, where=other)
        np.greater_equal(run, self.count, out=again)
        np.subtract(creation, since, out=scratch)
        np.greater_equal(scratch, self._duration, out=other)
        np.logical_and(again, other, out=again)
        np.logical_and(again, differs, out=again)
        return again

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a loop in which each element has its run."""
        (arriving, _) = _c.tensors("debounce", ports)
        element, count = arriving.dtype.c_type, _c.count_of(arriving)
        at = _c.at("i", count)
        duration = clock.duration_to_ticks(self.duration_ns)
        again = _c.lines(
            _c.block(f"if (self->run[{at}] < {self.count})", f"self->run[{at}]++;"),
            _c.block(f"if (origin < self->origin[{at}])", f"self->origin[{at}] = origin;"),
        )
        begun = _c.lines(
            f"self->run[{at}] = 1;",
            f"self->candidate[{at}] = in[{at}];",
            f"self->since[{at}] = creation;",
            f"self->origin[{at}] = origin;",
        )
        lasted = f"creation - self->since[{at}] >= {_c.ticks('debounce', 'duration', duration)}"
        differing = _c.lines(
            _c.block(f"if (self->run[{at}] > 0 && in[{at}] == self->candidate[{at}])", again),
            _c.block("else", begun),
            _c.block(
                f"if (self->run[{at}] >= {self.count} && {lasted})",
                _c.block(
                    f"if (!settled || self->origin[{at}] < oldest)",
                    f"oldest = self->origin[{at}];",
                ),
                "settled = 1;",
                f"self->state[{at}] = in[{at}];",
                f"self->run[{at}] = 0;",
            ),
        )
        call = _c.lines(
            "const limen_tick creation = call->headers[0]->creation;",
            "const limen_tick origin = call->headers[0]->origin;",
            "limen_tick oldest = origin;",
            "int settled = 0;",
            _c.loop(
                "i",
                count,
                _c.block(f"if (in[{at}] == self->state[{at}])", f"self->run[{at}] = 0;"),
                _c.block("else", differing),
            ),
            _c.block("if (!settled)", _c.DONE) if self.only_changes else "",
            "call->header.origin = oldest;"
            if self.only_changes
            else _c.block("if (settled)", "call->header.origin = oldest;"),
            _c.sent(0, "self->state", arriving),
            _c.DONE,
        )
        return CForm(
            call=call,
            state=(
                CField("limen_tick", "since", (count,)),
                CField("limen_tick", "origin", (count,)),
                CField("uint32_t", "run", (count,)),
                CField(element, "state", (count,)),
                CField(element, "candidate", (count,)),
            ),
            start=_c.loop(
                "i",
                count,
                f"self->state[{at}] = {_c.literal(self.initial, arriving.dtype)};",
                f"self->run[{at}] = 0;",
            ),
            headers=("string.h",),
        )


def _limits(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    limits = np.iinfo(dtype.name)
    return int(limits.min), int(limits.max)
