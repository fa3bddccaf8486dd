"""A node from a function."""

from __future__ import annotations

from collections.abc import Callable

from limen.node._process import ProcessNode


class FunctionNode(ProcessNode):
    """A stateless node that calls one function; made by ``@node``.

    Calling it calls the function, so that a node stays testable as what it is.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def _processor(self) -> Callable[..., object]:
        return self.function

    def _place(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


def node(function: Callable[..., object]) -> FunctionNode:
    """Make a node from a function of one payload; the annotations are its ports.

    Returning None emits nothing. A parameter named ``out`` receives the output's slot: write there
    and return it, and nothing is copied. Payload and slot are valid during the call: copy what is
    to be kept.
    """
    return FunctionNode(function)
