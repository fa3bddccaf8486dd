"""A node from a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from limen.node._process import ProcessNode


class FunctionNode(ProcessNode):
    """A stateless node that calls one function; made by ``@node``.

    Calling it calls the function, so that a node stays testable as what it is.

    Args:
        function: What it calls.
        batch: Whether one call takes a whole batch.
    """

    def __init__(self, function: Callable[..., object], *, batch: bool = False) -> None:
        self.function = function
        self.takes_windows = batch
        self.__doc__ = function.__doc__

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def _processor(self) -> Callable[..., object]:
        return self.function

    def _place(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


@overload
def node(function: Callable[..., object]) -> FunctionNode: ...


@overload
def node(*, batch: bool) -> Callable[[Callable[..., object]], FunctionNode]: ...


def node(
    function: Callable[..., object] | None = None, *, batch: bool = False
) -> FunctionNode | Callable[[Callable[..., object]], FunctionNode]:
    """Make a node from a function of one payload an input; the annotations are its ports.

    One parameter is the input ``in``; several are inputs of their names, joined. A result is the
    output ``out``; a NamedTuple splits, its fields are the outputs. Returning None, or None in a
    field, emits nothing. A parameter named ``out`` receives the output's slot: write there and
    return it, and nothing is copied. Payload and slot are valid during the call: copy what is to
    be kept.

    Args:
        function: What the node does.
        batch: Whether one call takes a whole batch, ``Float32[np.ndarray, "n 6"]`` or ``list[T]``,
            and makes one result of it.
    """
    if function is None:
        return lambda wrapped: FunctionNode(wrapped, batch=batch)
    return FunctionNode(function, batch=batch)
