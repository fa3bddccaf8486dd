"""Models whose calls are bound to the memory of their arrays, and bindings kept by address."""

from __future__ import annotations

import abc
import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from limen.backends._engine import Array, EngineModel
from limen.backends._ports import EnginePort
from limen.types import DataType

_MAX_BINDINGS = 1024
_MAX_BOUND_BYTES = 256 << 20

B = TypeVar("B")


class BoundModel(EngineModel, Generic[B]):
    """A model whose engine is told once where to read and write, for each pair of arrays.

    With slots, which come round again, nothing is made in a call. Kept bindings hold on to their
    arrays, so that no other array can come to lie at a kept address.

    Args:
        inputs: Its inputs, in the model's order.
        outputs: Its outputs, likewise.
        label: What errors call it.
        labels_text: Class names of the first output; None where the file has none.
        run: Runs the engine on a binding.
        takes: Element types that the engine keeps as they are.
    """

    def __init__(
        self,
        inputs: Sequence[EnginePort],
        outputs: Sequence[EnginePort],
        label: str,
        labels_text: str | None,
        run: Callable[[B], None],
        takes: frozenset[DataType] = frozenset(DataType),
    ) -> None:
        super().__init__(inputs, outputs, label, labels_text, takes)
        self._run = run
        self._bindings: dict[tuple[int, int, int], tuple[B, Array, Array]] = {}
        self._bound_bytes = 0
        # False once the engine has been seen to leave `out` alone and answer elsewhere.
        self._writes_in_place = True

    def infer_batch(self, inp: Array, out: Array) -> None:
        """Run the model on neighbouring items and write its output in place."""
        entry = self._bindings.get((pointer(inp), pointer(out), len(inp)))
        if entry is None:
            binding = self._infer_first(inp, out)
        else:
            binding = entry[0]
            try:
                self._run(binding)
            except Exception as error:
                raise self._failed(error) from error
        if not self._writes_in_place:
            self._copy_result(binding, inp, out)

    def _infer_first(self, inp: Array, out: Array) -> B:
        """Check the arrays, bind them, run, and keep the binding if all went well."""
        self._check_call(inp, out)
        try:
            binding = self._bind(inp, out)
            self._run(binding)
            if not self._wrote_in_place(binding, out):
                self._writes_in_place = False
        except Exception as error:
            raise self._failed(error) from error
        size = inp.nbytes + out.nbytes
        if len(self._bindings) >= _MAX_BINDINGS or self._bound_bytes + size > _MAX_BOUND_BYTES:
            self._bindings.clear()
            self._bound_bytes = 0
        self._bindings[pointer(inp), pointer(out), len(inp)] = (binding, inp, out)
        self._bound_bytes += size
        return binding

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
