"""Copies of nodes, so that a run leaves the originals as they were."""

from __future__ import annotations

import copy
import gc
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from limen.node import Node

_SHARED: Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    str,
    bytes,
    int,
    float,
)


def copied_parts(parts: Iterable[Node]) -> Callable[[Node], Node]:
    """Copy nodes deeply, with what they share still shared; return what finds each one's copy.

    Arrays that are views of one another stay so. What cannot be copied (a loaded model, an open
    file) is used as it is: its contract is to begin anew with every run. The originals must live
    as long as what is returned.
    """
    memo: dict[int, object] = {}
    copies: dict[int, Node] = {}
    for part in parts:
        if id(part) in copies:
            continue
        before = dict(memo)
        try:
            _copy_views(part, memo)
            copies[id(part)] = copy.deepcopy(part, memo)
        except Exception:
            # The same dictionary: what it keeps alive is found by its number.
            memo.clear()
            memo.update(before)
            memo[id(part)] = copies[id(part)] = part
    return lambda part: copies[id(part)]


def _copy_views(part: Node, memo: dict[int, object]) -> None:
    """Copy the arrays that lie in others' memory: ``deepcopy`` would give each its own.

    Raises:
        TypeError: The memory is of a kind that is not known here.
    """
    for array in _arrays(part):
        if array.base is None or id(array) in memo or array.dtype.hasobject:
            continue
        owner: object = array.base
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        if isinstance(owner, bytes):
            memo[id(array)] = array
            continue
        if not isinstance(owner, np.ndarray):
            raise TypeError(f"an array over a {type(owner).__qualname__}")
        if id(owner) not in memo:
            memo[id(owner)] = owner.copy(order="K")
        own = memo[id(owner)]
        if not isinstance(own, np.ndarray):
            raise TypeError("an array that was not copied as one")
        memo[id(array)] = _same_view(array, owner, own)


def _same_view(
    array: NDArray[np.generic], owner: NDArray[np.generic], own: NDArray[np.generic]
) -> NDArray[np.generic]:
    """Return the view of the copy that the array is of the original."""
    offset = _address(array) - _address(owner)
    view: NDArray[np.generic] = np.ndarray(
        array.shape, array.dtype, own.ravel(order="K"), offset, array.strides
    )
    view.flags.writeable = array.flags.writeable
    return view


def _address(array: NDArray[np.generic]) -> int:
    return int(array.__array_interface__["data"][0])


def _arrays(part: Node) -> Iterator[NDArray[np.generic]]:
    """Yield the arrays that a node refers to, near or far."""
    seen: set[int] = set()
    left: list[object] = [part]
    while left:
        item = left.pop()
        if id(item) in seen or isinstance(item, _SHARED):
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            yield item
        left.extend(gc.get_referents(item))
