"""What the C forms of this library share: literals, loops, copies; called when a graph is printed.

A body holds the constants of its graph as numbers, so that it can be read beside the graph file.
Operations on reals have a statement each: nothing is left for a compiler to contract.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from limen.errors import Code, GraphError
from limen.node import NodePorts, Port
from limen.types import DataType, TensorSpec, describe_spec

DONE: Final = "return LIMEN_DONE;"
SKIP: Final = "return LIMEN_SKIP;"

_WIDE: Final = {
    DataType.U32: "UINT32_C({})",
    DataType.U64: "UINT64_C({})",
    DataType.S64: "INT64_C({})",
}
# The least whole numbers are no literals: C reads a minus and then a number that is too large.
_LEAST: Final = {
    (DataType.S32, -(2**31)): "INT32_MIN",
    (DataType.S64, -(2**63)): "INT64_MIN",
}
_MOST_TICKS: Final = 2**62
_MOST_COUNT: Final = 2**32 - 1


def tensors(node: str, ports: NodePorts) -> list[TensorSpec]:
    """Return what the inputs carry, then the outputs.

    Args:
        node: How errors name the node.
        ports: As resolved.

    Raises:
        GraphError: A port carries objects, or tensors whose shape varies.
    """
    return [_tensor(node, port) for port in (*ports.inputs, *ports.outputs)]


def _tensor(node: str, port: Port) -> TensorSpec:
    if isinstance(port.spec, TensorSpec) and port.spec.is_fixed:
        return port.spec
    raise GraphError(
        f"{node}.{port.name}: {describe_spec(port.spec)} has no form in C",
        code=Code.NOT_PORTABLE,
        remedy="send tensors of known shape",
    )


def count_of(spec: TensorSpec) -> int:
    """Return how many elements a tensor has."""
    return math.prod(spec.fixed_shape)


def literal(value: float, dtype: DataType) -> str:
    """Return a number as C reads it back exactly; reals as short as that allows.

    Args:
        value: A value of the type.
        dtype: Bool, whole or real; f16 and bf16 have no literals.
    """
    if dtype is DataType.F32:
        return _real(str(np.float32(value))) + "f"
    if dtype is DataType.F64:
        return _real(repr(float(value)))
    whole = int(value)
    return _LEAST.get((dtype, whole)) or _WIDE.get(dtype, "{}").format(whole)


def _real(text: str) -> str:
    return text if set(text) & set(".en") else text + ".0"


def ticks(node: str, name: str, value: int) -> str:
    """Return a distance in ticks as C reads it.

    Raises:
        GraphError: Sums with it could leave 64 bits.
    """
    if value > _MOST_TICKS:
        raise GraphError(
            f"{node}: {name} is {value} ticks, more than C can count on from any instant",
            code=Code.NOT_PORTABLE,
            remedy=f"give at most {_MOST_TICKS} ticks",
        )
    return literal(value, DataType.S64)


def require_count(node: str, name: str, value: int) -> int:
    """Return a count, if 32 bits hold it.

    Raises:
        GraphError: They do not.
    """
    if value > _MOST_COUNT:
        raise GraphError(
            f"{node}: {name} is {value}, more than C counts in 32 bits",
            code=Code.NOT_PORTABLE,
            remedy=f"give at most {_MOST_COUNT}",
        )
    return value


def lines(*parts: str) -> str:
    """Put statements below each other; empty ones are left out."""
    return "\n".join(part for part in parts if part).replace("}\nelse ", "} else ")


def block(head: str, *parts: str) -> str:
    """Put statements in braces behind a head, as of ``if`` and ``for``."""
    inside = lines(*parts).split("\n")
    return "\n".join((f"{head} {{", *(f"    {line}" if line else "" for line in inside), "}"))


def loop(name: str, count: int, *parts: str) -> str:
    """Repeat statements for each index below a count; those of a single one stand alone.

    The statements write ``at(name, count)`` for the index.
    """
    if count == 1:
        return lines(*parts)
    return block(f"for (uint32_t {name} = 0; {name} < {count}; {name}++)", *parts)


def at(name: str, count: int) -> str:
    """Return the index of a loop in its statements."""
    return name if count > 1 else "0"


def copied(to: str, source: str, spec: TensorSpec, count: int | None = None) -> str:
    """Copy elements of a tensor; all of them, if not said how many."""
    many = count_of(spec) if count is None else count
    return f"memcpy({to}, {source}, {_bytes(many, spec)});"


def _bytes(count: int, spec: TensorSpec) -> str:
    size = f"sizeof({spec.dtype.c_type})"
    return size if count == 1 else f"{count} * {size}"


def opened(port: int, spec: TensorSpec, name: str = "out") -> str:
    """Begin a message of an output, whose payload is written through a pointer of that name."""
    return f"{spec.dtype.c_type} *{name} = limen_emit(call, {port}, &call->header);"


def sent(port: int | str, source: str, spec: TensorSpec, header: str = "&call->header") -> str:
    """Emit a tensor that lies somewhere."""
    return copied(f"limen_emit(call, {port}, {header})", source, spec)


def plus(pointer: str, offset: int | str) -> str:
    """Return a pointer so many elements on."""
    return pointer if offset in (0, "0") else f"{pointer} + {offset}"


def times(index: str, factor: int) -> str:
    """Return an index times a stride."""
    if index == "0":
        return "0"
    return index if factor == 1 else f"{index} * {factor}"
