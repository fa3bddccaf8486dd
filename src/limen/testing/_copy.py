"""Copies of nodes, so that a run leaves the originals as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from limen.node import Node


def copied_parts(parts: Iterable[Node]) -> Callable[[Node], Node]:
    """Copy nodes deeply, with what they share still shared; return what finds each one's copy.

    The originals must live as long as what is returned.

    What cannot be copied (a loaded model, an open file) is used as it is: its contract is to begin
    anew with every run.
    """
    memo: dict[int, object] = {}
    copies: dict[int, Node] = {}
    for part in parts:
        if id(part) in copies:
            continue
        attempt = dict(memo)
        try:
            copies[id(part)] = copy.deepcopy(part, attempt)
            memo = attempt
        except Exception:
            copies[id(part)] = part
            memo[id(part)] = part
    return lambda part: copies[id(part)]
