"""What the nodes of this library share: ports of fixed tensors, and arrays counted beforehand.

The arithmetic of all nodes follows one set of rules, so that loops in C give the same bits:
docs/decisions/0020-arithmetic-of-nodes.md.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from limen.errors import Code, ConfigurationError, GraphError, NodeError, PortMismatchError
from limen.message import Message
from limen.node import CallForm, DirectCall, Node, NodePorts, Port, ProcessResult
from limen.node.contract import StepContext, StepResult
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, describe_spec

Array = NDArray[Any]

REALS: Final = (DataType.F32, DataType.F64)
WHOLES: Final = (
    *(DataType.U8, DataType.U16, DataType.U32, DataType.U64),
    *(DataType.S8, DataType.S16, DataType.S32, DataType.S64),
)
NUMBERS: Final = (*WHOLES, *REALS)
_EXACT_IN_F32: Final = (DataType.U8, DataType.U16, DataType.S8, DataType.S16, DataType.F32)

TICKS: Final = np.dtype(np.int64)
BOOL: Final = np.dtype(np.bool_)
F64: Final = np.dtype(np.float64)


def real_of(dtype: DataType) -> DataType:
    """Return the type that a number is computed in: f32 if that holds it exactly, else f64."""
    return DataType.F32 if dtype in _EXACT_IN_F32 else DataType.F64


def require_tensor(
    inputs: Mapping[str, PayloadSpec],
    port: str,
    dtypes: Iterable[DataType] = tuple(DataType),
) -> TensorSpec:
    """Return what arrives on an input, if it is a tensor of known shape and of such a type.

    Raises:
        GraphError: It is not, or nothing arrives.
    """
    arriving = require_spec(inputs, port)
    if not isinstance(arriving, TensorSpec):
        raise _unfixed(port, arriving)
    allowed = tuple(dtypes)
    if arriving.dtype not in allowed:
        names = ", ".join(dtype.value for dtype in allowed)
        raise PortMismatchError(
            f"{port}: {describe_spec(arriving)} is none of {names}",
            remedy=f'put a cast before this node, as to "{_near(arriving.dtype, allowed).value}"',
        )
    return arriving


def require_spec(inputs: Mapping[str, PayloadSpec], port: str) -> PayloadSpec:
    """Return what arrives on an input: an object, or a tensor of known shape.

    Raises:
        GraphError: A tensor of unknown shape does, or nothing.
    """
    arriving = inputs.get(port)
    if arriving is None:
        raise GraphError(
            f"{port}: nothing arrives, so its type is unknown",
            code=Code.UNCONNECTED_PORT,
            remedy="connect a producer",
        )
    if isinstance(arriving, TensorSpec) and not arriving.is_fixed:
        raise _unfixed(port, arriving)
    return arriving


def _unfixed(port: str, arriving: PayloadSpec) -> GraphError:
    return PortMismatchError(
        f"{port}: {describe_spec(arriving)} does not fit a tensor of known shape",
        remedy="connect a producer of fixed tensors, or convert before this node",
    )


def _near(dtype: DataType, allowed: tuple[DataType, ...]) -> DataType:
    """Return an allowed type that holds what arrives, if there is one."""
    small = (DataType.F16, DataType.BF16)
    wish = DataType.F32 if dtype in small else DataType.U8
    return wish if wish in allowed else allowed[0]


def require_axis(port: str, spec: TensorSpec, axis: int) -> int:
    """Return an axis counted from the front.

    Raises:
        GraphError: What arrives has no such axis.
    """
    count = len(spec.shape)
    if -count <= axis < count:
        return axis % count
    remedy = f"give an axis from {-count} to {count - 1}" if count else "connect a vector or more"
    raise PortMismatchError(
        f"{port}: {describe_spec(spec)} has no axis {axis}",
        remedy=remedy,
    )


def fitting_real(name: str, value: float, dtype: DataType) -> float:
    """Return a number as a type holds it, rounded to nearest, ties to even.

    Raises:
        GraphError: It becomes infinite there, or zero without being zero.
    """
    with np.errstate(all="ignore"):
        rounded = float(dtype.numpy_dtype().type(value))
    if math.isfinite(rounded) and (rounded != 0) == (value != 0):
        return rounded
    raise GraphError(
        f"{name} {value!r} becomes {rounded} as {dtype.value}",
        code=Code.INVALID_VALUE,
        remedy="scale it, or cast what arrives to f64",
    )


class Arrays:
    """Arrays that a node keeps: described when ports are known, allocated at ``initialize``.

    Args:
        arrays: Element type and shape of each.
    """

    def __init__(self, **arrays: tuple[np.dtype[np.generic], tuple[int, ...]]) -> None:
        self._wanted = arrays

    @property
    def size_bytes(self) -> int:
        """Bytes of all together."""
        return sum(dtype.itemsize * math.prod(shape) for dtype, shape in self._wanted.values())

    def allocate(self) -> dict[str, Array]:
        """Return them, zeroed."""
        return {name: np.zeros(shape, dtype) for name, (dtype, shape) in self._wanted.items()}


class LibraryNode(Node, abc.ABC):
    """A node that keeps arrays, and is stepped between ``initialize`` and ``stop`` only."""

    _arrays = Arrays()
    _ready = False

    @property
    def state_bytes(self) -> int:
        """Bytes of the arrays it keeps, scratch and constants included."""
        return self._arrays.size_bytes

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Allocate what these ports need."""
        self._describe(ports)
        self._allocated(self._arrays.allocate(), clock, ports)
        self._ready = True
        self.reset()

    def stop(self) -> None:
        """Give the arrays up."""
        self._ready = False

    def step(self, ctx: StepContext) -> StepResult:
        """Take what the policy grants, and process it.

        Raises:
            NodeError: The node is not initialised.
        """
        if not self._ready:
            raise NodeError(
                f"{type(self).__name__} is stepped before initialize", code=Code.WRONG_STATE
            )
        return self._step(ctx)

    def _describe(self, ports: NodePorts) -> None:
        """Describe the arrays anew: ``resolve`` may have been asked about other inputs since."""
        self.resolve({port.name: port.spec for port in ports.inputs})

    def _allocated(self, arrays: dict[str, Array], clock: PlatformClock, ports: NodePorts) -> None:
        """Keep the arrays, and what the ports and the clock say."""

    @abc.abstractmethod
    def _step(self, ctx: StepContext) -> StepResult:
        """Do one unit of work."""


class StreamNode(LibraryNode):
    """One input ``in``, one output ``out``, one message at a time."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """What is processed."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The results."""
        return ("out",)

    def _step(self, ctx: StepContext) -> StepResult:
        return ctx.pop_and_process("in", lambda message: self._take(message, ctx))

    def direct_call(self) -> DirectCall | None:
        """Return what handles one message, where that is all that a step calls."""
        own = type(self)
        if own.step is not LibraryNode.step or own._step is not StreamNode._step:
            return None
        return DirectCall(CallForm.MESSAGE, self._take)

    @abc.abstractmethod
    def _take(self, message: Message, ctx: StepContext) -> ProcessResult:
        """Handle one message."""


def in_and_out(arriving: PayloadSpec, leaving: PayloadSpec) -> NodePorts:
    """Return the ports of a node with one input and one output."""
    return NodePorts((Port("in", arriving),), (Port("out", leaving),))


def spec_at(ports: NodePorts, *, output: int | None = None, into: int = 0) -> TensorSpec:
    """Return the tensor of an input, or of an output, of resolved ports.

    Raises:
        ConfigurationError: The port carries objects: the ports are those of another node.
    """
    port = ports.inputs[into] if output is None else ports.outputs[output]
    if not isinstance(port.spec, TensorSpec):
        raise ConfigurationError(f"{port.name}: {describe_spec(port.spec)} is no tensor")
    return port.spec


def slot_for(ctx: StepContext, port: str, spec: TensorSpec) -> Array:
    """Return the slot of the next output, or an array where there is none."""
    slot = ctx.out_slot(port)
    return np.empty(spec.fixed_shape, spec.dtype.numpy_dtype()) if slot is None else slot
