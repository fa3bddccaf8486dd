"""Pairs of messages that were made at about the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from limen.errors import Code, GraphError
from limen.message import Message, MessageHeader, joined_header
from limen.node import CForm, Consumed, NodeKind, NodePorts, Port, ProcessResult
from limen.node.contract import StepContext, StepResult
from limen.nodes import _join_by_time_c
from limen.nodes._axes import concatenated, slices
from limen.nodes._base import Array, Arrays, LibraryNode, require_spec, require_tensor
from limen.nodes._checks import require_choice, require_duration_ns, require_index
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.types import ObjectSpec, PayloadSpec, TensorSpec, Ticks, parse_duration_ns, require_whole

_CONSUMED = Consumed()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message without its counterpart yet."""

    header: MessageHeader
    taken: Ticks
    row: int


class _Side:
    """What waits on one input, oldest first.

    There is a row more than messages may wait, and rows are used in turn: what has left in a call
    is still in its row when it is emitted after the call.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.rows: Array | None = None
        self.objects: list[object] = []
        self.waiting: list[_Waiting] = []
        self._free: deque[int] = deque()

    def clear(self) -> None:
        self.waiting.clear()
        self._free = deque(range(self.depth + 1))
        self.objects = [None] * (self.depth + 1)

    def keep(self, message: Message, now: Ticks) -> None:
        row = self._free.popleft()
        if self.rows is None:
            self.objects[row] = message.payload
        else:
            self.rows[row] = np.asarray(message.payload)
        self.waiting.append(_Waiting(message.header, now, row))

    def take(self, place: int) -> Message:
        """Return what waits at a place, and let it go."""
        found = self.waiting.pop(place)
        self._free.append(found.row)
        if self.rows is not None:
            return Message(found.header, self.rows[found.row, ...])
        payload, self.objects[found.row] = self.objects[found.row], None
        return Message(found.header, payload)

    def nearest(self, creation: Ticks, tolerance: int) -> int | None:
        """Return the place of what was made nearest to an instant, the oldest of equal ones."""
        best, least = None, tolerance + 1
        for place, one in enumerate(self.waiting):
            distance = abs(one.header.creation_tick - creation)
            if distance < least:
                best, least = place, distance
        return best


class JoinByTime(LibraryNode):
    """Pairs each message of ``left`` with the one of ``right`` made nearest to it, if near enough.

    A message that comes is paired at once with what waits on the other side and was made at most
    ``tolerance`` before or after it: the nearest, of equal ones that which has waited longest. If
    there is none it waits itself. A left that has waited ``timeout``, or makes room for a newer one
    where ``depth`` wait, goes out on ``missing``, with its own header; a right is given up. A
    step judges timeouts first, and those that it judges it judges at its instant: where both
    inputs may fall silent, give the node a period. What waits when the inputs end is given up.

    Args:
        tolerance: How far apart two may be made, as ``"5ms"``; ``"0ns"`` for equal instants.
        timeout: How long one waits for its counterpart, counted from the step that took it.
        depth: How many wait on each side.
        pair: What goes out: one tensor, left and right side by side; or a tuple, for what does not
            fit into one.
        axis: The axis along which they lie side by side.
    """

    kind = NodeKind.JOIN
    activation = Activation.ANY
    keeps = True

    def __init__(
        self,
        tolerance: str,
        timeout: str,
        depth: int = 8,
        pair: Literal["concat", "tuple"] = "concat",
        axis: int = 0,
    ) -> None:
        self.tolerance_ns = parse_duration_ns(tolerance, what="tolerance")
        self.timeout_ns = require_duration_ns("timeout", timeout)
        self.depth = require_whole("depth", depth)
        self.pair = require_choice("pair", pair, ("concat", "tuple"))
        self.axis = require_index("axis", axis)
        # All that wait may time out in one step; a periodic step may make two pairs.
        self.max_emit = max(self.depth, 2)
        self._left, self._right = _Side(self.depth), _Side(self.depth)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The two sides."""
        return ("left", "right")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The pairs, and the lefts that found no right."""
        return ("out", "missing")

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Say what a pair is, and how much waits."""
        left, right = require_spec(inputs, "left"), require_spec(inputs, "right")
        rows = {}
        for name, spec in (("left", left), ("right", right)):
            if isinstance(spec, TensorSpec):
                rows[name] = (spec.dtype.numpy_dtype(), (self.depth + 1, *spec.fixed_shape))
        self._arrays = Arrays(**rows)
        pair: PayloadSpec = ObjectSpec(tuple)
        if self.pair == "concat":
            pair = self._side_by_side(inputs)
        return NodePorts(
            (Port("left", left, optional=True), Port("right", right, optional=True)),
            (Port("out", pair), Port("missing", left)),
        )

    def _side_by_side(self, inputs: Mapping[str, PayloadSpec]) -> TensorSpec:
        try:
            specs = [require_tensor(inputs, name) for name in self.input_names]
            return concatenated(self.input_names, specs, self.axis)
        except GraphError as error:
            raise GraphError(
                error.message, code=error.code, remedy='make them fit, or set pair = "tuple"'
            ) from error

    def reset(self) -> None:
        """Forget what waits."""
        self._left.clear()
        self._right.clear()

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        self._tolerance = clock.duration_to_ticks(self.tolerance_ns)
        self._timeout = clock.duration_to_ticks(self.timeout_ns)
        self._left.rows = arrays.get("left")
        self._right.rows = arrays.get("right")
        out = ports.outputs[0].spec
        self._out = out if isinstance(out, TensorSpec) else None
        if self._out is not None:
            axis = self.axis % len(self._out.shape)
            specs = [port.spec for port in ports.inputs]
            lengths = [s.fixed_shape[axis] for s in specs if isinstance(s, TensorSpec)]
            self._slices = slices(lengths, axis)

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_joined_and_process(lambda messages: self._take(messages, ctx))

    def _take(self, messages: tuple[Message | None, ...], ctx: StepContext) -> ProcessResult:
        left, right = messages
        now = ctx.now_ticks
        while self._is_over(self._left, now):
            ctx.push_output("missing", self._left.take(0))
        while self._is_over(self._right, now):
            self._right.take(0)
        slot = ctx.out_slot("out")
        if left is not None:
            place = self._right.nearest(left.header.creation_tick, self._tolerance)
            if place is not None:
                self._emit(ctx, left, self._right.take(place), slot)
                slot = None
            else:
                if len(self._left.waiting) == self.depth:
                    ctx.push_output("missing", self._left.take(0))
                self._left.keep(left, now)
        if right is not None:
            place = self._left.nearest(right.header.creation_tick, self._tolerance)
            if place is not None:
                self._emit(ctx, self._left.take(place), right, slot)
            else:
                if len(self._right.waiting) == self.depth:
                    self._right.take(0)
                self._right.keep(right, now)
        return _CONSUMED

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return what pairs; a tuple of both has no form in C."""
        if self.pair == "tuple":
            raise GraphError(
                "join_by_time.out: a pair as a tuple has no form in C",
                code=Code.NOT_PORTABLE,
                remedy='send tensors: set pair = "concat", with a cast where they do not fit',
            )
        tolerance = clock.duration_to_ticks(self.tolerance_ns)
        timeout = clock.duration_to_ticks(self.timeout_ns)
        return _join_by_time_c.form(ports, tolerance, timeout, self.depth, self.axis)

    def _is_over(self, side: _Side, now: Ticks) -> bool:
        return bool(side.waiting) and now - side.waiting[0].taken >= self._timeout

    def _emit(self, ctx: StepContext, left: Message, right: Message, slot: Array | None) -> None:
        """Emit a pair; the first of a call lies in the slot."""
        header = joined_header((left.header, right.header))
        payload: object
        if self._out is None:
            payload = (_own(left.payload), _own(right.payload))
        else:
            out = self._out
            made = np.empty(out.fixed_shape, out.dtype.numpy_dtype()) if slot is None else slot
            made[self._slices[0]] = np.asarray(left.payload)
            made[self._slices[1]] = np.asarray(right.payload)
            payload = made
        ctx.push_output("out", Message(header, payload))


def _own(payload: object) -> object:
    """Copy a tensor, which lies in memory that is used again."""
    return payload.copy() if isinstance(payload, np.ndarray) else payload
