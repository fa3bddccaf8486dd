"""Where temporaries lie: in one arena, in turn where their lives do not touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 8
_CHARACTERS = frozenset({"int8_t", "uint8_t"})


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


Lives = Mapping[str, tuple[int, int]]


def lives(
    temporaries: Sequence[Temporary], calls: Sequence[Sequence[str]]
) -> dict[str, tuple[int, int]]:
    """Return the first and the last of the calls that name each temporary.

    Args:
        temporaries: All of them.
        calls: The arguments of each call, in the order of the calls.
    """
    names = {one.name for one in temporaries}
    found: dict[str, tuple[int, int]] = {}
    for index, arguments in enumerate(calls):
        for name in names.intersection(arguments):
            found[name] = (found.get(name, (index, index))[0], index)
    return found


def place(temporaries: Sequence[Temporary], lived: Lives) -> tuple[dict[str, int], int]:
    """Return the offset of each temporary, and the bytes of the arena.

    Each is placed as low as what lives beside it allows. What is placed first decides, so two
    orders are tried: the largest first, and the first to be written first. One that no call names
    has no place.
    """
    used = [one for one in temporaries if one.name in lived]
    orders: tuple[Callable[[Temporary], tuple[int, int, str]], ...] = (
        lambda one: (-one.size_bytes, lived[one.name][0], one.name),
        lambda one: (lived[one.name][0], -one.size_bytes, one.name),
    )
    tried = [_place(sorted(used, key=order), lived) for order in orders]
    return min(tried, key=lambda found: found[1])


def _place(ordered: Sequence[Temporary], lived: Lives) -> tuple[dict[str, int], int]:
    placed: list[tuple[int, int, Temporary]] = []
    size = 0
    for one in ordered:
        beside = sorted((b, e) for b, e, other in placed if not _may_share(one, other, lived))
        offset = 0
        for begin, end in beside:
            if offset + one.size_bytes <= begin:
                break
            offset = max(offset, _aligned(end))
        placed.append((offset, offset + one.size_bytes, one))
        size = max(size, offset + one.size_bytes)
    return {one.name: offset for offset, _, one in placed}, _aligned(size)


def _may_share(one: Temporary, other: Temporary, lived: Lives) -> bool:
    """Whether two temporaries may lie in the same bytes.

    Compilers take a store of one type and a load of another for different places and may swap them,
    so bytes keep their type; only characters may take the place of anything.
    """
    (first, last), (begin, end) = lived[one.name], lived[other.name]
    same = one.type == other.type or bool(_CHARACTERS & {one.type, other.type})
    return same and (last < begin or end < first)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
