"""Where temporaries lie: in one arena, in turn where their lives do not touch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Temporary:
    """A temporary of an entry.

    Attributes:
        name: Its name.
        type: C type of an element.
        shape: Extents.
        size_bytes: Bytes of it.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    size_bytes: int


def lives(temporaries: Sequence[Temporary], calls: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the first and the last of the calls that name each temporary.

    Where a line is more than a call, what it does to whom is not known: all live throughout.
    """
    plain = all(re.fullmatch(r"\s*\w+\([^;{}]*\);", call) for call in calls)
    found: dict[str, tuple[int, int]] = {}
    for one in temporaries:
        uses = [i for i, call in enumerate(calls) if re.search(rf"\b{one.name}\b", call)]
        found[one.name] = (uses[0], uses[-1]) if plain and uses else (0, len(calls))
    return found


def place(
    temporaries: Sequence[Temporary], lived: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, int], int]:
    """Return the offset of each temporary, and the bytes of the arena.

    The largest are placed first, each as low as what lives beside it allows.
    """
    placed: list[tuple[int, int, tuple[int, int]]] = []
    offsets: dict[str, int] = {}
    size = 0
    for one in sorted(temporaries, key=lambda t: (-t.size_bytes, t.name)):
        first, last = lived[one.name]
        beside = sorted(
            (begin, end) for begin, end, (a, b) in placed if not (b < first or last < a)
        )
        offset = 0
        for begin, end in beside:
            if offset + one.size_bytes <= begin:
                break
            offset = max(offset, -(-end // ALIGNMENT) * ALIGNMENT)
        offsets[one.name] = offset
        placed.append((offset, offset + one.size_bytes, (first, last)))
        size = max(size, offset + one.size_bytes)
    return offsets, -(-size // ALIGNMENT) * ALIGNMENT
