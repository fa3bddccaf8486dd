"""What a C compiler makes of the state of a graph: sizes and places, by the rules of its ABI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERS = {
    "bool": 1,
    "uint8_t": 1,
    "int8_t": 1,
    "uint16_t": 2,
    "int16_t": 2,
    "uint32_t": 4,
    "int32_t": 4,
    "uint64_t": 8,
    "int64_t": 8,
    "limen_tick": 8,
    "float": 4,
    "double": 8,
}


@dataclass(frozen=True, slots=True)
class Abi:
    """What the size of a struct depends on.

    Attributes:
        pointer_bytes: Size and alignment of a pointer.
        most_aligned: Alignment of 8-byte numbers.
    """

    pointer_bytes: int
    most_aligned: int = 8


ARM32 = Abi(4)
HOST64 = Abi(8)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct.

    Attributes:
        name: Its name.
        type: A number, ``void *``, or another struct.
        count: Elements of an array; None for a single value.
    """

    name: str
    type: str | Struct
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct, member by member.

    Attributes:
        name: As C names it.
        members: In order.
    """

    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member lies.

    Attributes:
        member: The member.
        offset: Bytes from the struct's begin.
        size_bytes: Bytes of it.
    """

    member: Member
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A struct in memory.

    Attributes:
        size_bytes: All of it, with what is lost to alignment.
        alignment: Of the whole.
        places: Its members.
    """

    size_bytes: int
    alignment: int
    places: tuple[Place, ...]


def lay_out(members: Sequence[Member], abi: Abi) -> Layout:
    """Return where a compiler puts each member, and the size of the whole."""
    offset, most = 0, 1
    places = []
    for member in members:
        size, alignment = _measure(member.type, abi)
        offset = _aligned(offset, alignment)
        total = size * (1 if member.count is None else member.count)
        places.append(Place(member, offset, total))
        offset += total
        most = max(most, alignment)
    return Layout(_aligned(offset, most), most, tuple(places))


def _measure(kind: str | Struct, abi: Abi) -> tuple[int, int]:
    if isinstance(kind, Struct):
        layout = lay_out(kind.members, abi)
        return layout.size_bytes, layout.alignment
    if kind.endswith("*"):
        return abi.pointer_bytes, abi.pointer_bytes
    size = _NUMBERS[kind]
    return size, min(size, abi.most_aligned)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
