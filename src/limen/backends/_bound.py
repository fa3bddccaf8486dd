"""Models whose calls are bound to the memory of their arrays, and how bindings are kept."""

from __future__ import annotations

import abc
import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from limen.backends._engine import Array, EngineModel
from limen.backends._ports import EnginePort
from limen.types import DataType

_MAX_BINDINGS = 1024
_MAX_BOUND_BYTES = 256 << 20

B = TypeVar("B")
_Place = tuple[int, int, tuple[int, ...], tuple[int, ...]]


class _Bound(NamedTuple, Generic[B]):
    """A binding that is kept, with the arrays that lie at its addresses."""

    call: Callable[[], None]
    binding: B
    inp: Array
    out: Array


class BoundModel(EngineModel, Generic[B]):
    """A model whose engine is told once where to read and write, for each pair of arrays.

    With slots, which come round again, nothing is made in a call. Arrays are known by the objects
    that they are, so that nobody may resize, reshape or retype one that has been handed over; views
    that are made anew, by where they lie and what they are. Kept bindings hold on to their arrays:
    no other array can come to lie at a kept address, no other object to have a kept identity.

    Args:
        inputs: Its inputs, in the model's order.
        outputs: Its outputs, likewise.
        label: What errors call it.
        labels_text: Class names of the first output; None where the file has none.
        make_call: Makes a binding into a call of the engine; refers to no part of this model.
        takes: Element types that the engine keeps as they are.
    """

    def __init__(
        self,
        inputs: Sequence[EnginePort],
        outputs: Sequence[EnginePort],
        label: str,
        labels_text: str | None,
        make_call: Callable[[B], Callable[[], None]],
        takes: frozenset[DataType] = frozenset(DataType),
    ) -> None:
        super().__init__(inputs, outputs, label, labels_text, takes)
        self._make_call = make_call
        self._bindings: dict[_Place, _Bound[B]] = {}
        # Calls of those bindings by their very arrays, where nothing is to be done behind them.
        self._known: dict[tuple[int, int], Callable[[], None]] = {}
        self._bound_bytes = 0
        # False once the engine has been seen to leave `out` alone and answer elsewhere.
        self._writes_in_place = True

    def infer_batch(self, inp: Array, out: Array) -> None:
        """Run the model on neighbouring items and write its output in place."""
        call = self._known.get((id(inp), id(out)))
        if call is None:
            self._infer_there(inp, out)
            return
        try:
            call()
        except Exception as error:
            raise self._failed(error) from error

    def bind(self, inp: Array, out: Array) -> Callable[[], None]:
        """Return a call of the engine on two arrays, which it holds on to; it looks nothing up."""
        self._check_call(inp, out)
        try:
            binding = self._bind(inp, out)
            run = self._make_call(binding)
        except Exception as error:
            raise self._failed(error) from error
        look = True

        def call() -> None:
            nonlocal look
            try:
                run()
                if look:
                    look = not self._wrote_in_place(binding, out)
                    if look:
                        self._copy_result(binding, inp, out)
            except Exception as error:
                raise self._failed(error) from error

        return call

    def _infer_there(self, inp: Array, out: Array) -> None:
        """Run the model on arrays that may be other views of memory that is bound already."""
        bound = self._bindings.get((pointer(inp), pointer(out), inp.shape, out.shape))
        if bound is None:
            bound = self._infer_first(inp, out)
        else:
            takes, gives = self._dtypes
            plain = inp.flags.c_contiguous and out.flags.carray
            if not plain or inp.dtype != takes or out.dtype != gives:
                self._check_call(inp, out)
            try:
                bound.call()
            except Exception as error:
                raise self._failed(error) from error
        if not self._writes_in_place:
            self._copy_result(bound.binding, inp, out)

    def _infer_first(self, inp: Array, out: Array) -> _Bound[B]:
        """Check the arrays, bind them, run, and keep the binding if all went well."""
        self._check_call(inp, out)
        try:
            binding = self._bind(inp, out)
            call = self._make_call(binding)
            call()
            if not self._wrote_in_place(binding, out):
                self._writes_in_place = False
                self._known.clear()
        except Exception as error:
            raise self._failed(error) from error
        size = inp.nbytes + out.nbytes
        if len(self._bindings) >= _MAX_BINDINGS or self._bound_bytes + size > _MAX_BOUND_BYTES:
            self._known.clear()
            self._bindings.clear()
            self._bound_bytes = 0
        bound = _Bound(call, binding, inp, out)
        self._bindings[pointer(inp), pointer(out), inp.shape, out.shape] = bound
        if self._writes_in_place:
            self._known[id(inp), id(out)] = call
        self._bound_bytes += size
        return bound

    @abc.abstractmethod
    def _bind(self, inp: Array, out: Array) -> B:
        """Tell the engine where to read and write; the arrays have been checked."""

    @abc.abstractmethod
    def _wrote_in_place(self, binding: B, out: Array) -> bool:
        """Return whether the result of the first run lies in ``out``; raise if it does not fit."""

    @abc.abstractmethod
    def _copy_result(self, binding: B, inp: Array, out: Array) -> None:
        """Bring a result that lies elsewhere into ``out``."""


def _documented_pointer(array: Array) -> int:
    return array.ctypes.data


def _direct_pointer(array: Array) -> int:
    """Read the address where NumPy's C ABI puts it, right behind the object header."""
    return _read(id(array) + _HEADER).value


_read, _HEADER = ctypes.c_size_t.from_address, object.__basicsize__
_probe = np.zeros(8)[3:]
# ``ctypes.data`` builds objects and takes as long as a small layer, so it is the second choice.
pointer = _documented_pointer
if sys.implementation.name == "cpython" and _direct_pointer(_probe) == _probe.ctypes.data:
    pointer = _direct_pointer
