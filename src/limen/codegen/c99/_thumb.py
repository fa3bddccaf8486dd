"""What Thumb-2 code does to the stack and whom it calls, read from a linked firmware."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from limen.codegen.c99._elf import Elf, Section

_SP: Final = 13
_LR: Final = 14


@dataclass(frozen=True, slots=True)
class Code:
    """What one function does.

    Attributes:
        name: Its symbol.
        frame: An upper bound of the stack that it takes: all that its instructions take, added up.
        calls: The addresses it calls or jumps to, outside of itself.
        indirect: Whether it calls through a pointer.
        dynamic: Whether it takes an amount of stack that only a register knows.
    """

    name: str
    frame: int
    calls: tuple[int, ...]
    indirect: bool
    dynamic: bool


def read_code(elf: Elf) -> dict[int, Code]:
    """Return the functions of a firmware by address.

    Data between instructions is known by the mapping symbols ``$t`` and ``$d``, which compilers
    and assemblers write.
    """
    found: dict[int, Code] = {}
    for index, section in enumerate(elf.sections):
        if section.code and section.allocated:
            found.update(_of_section(elf, index, section))
    return found


def _of_section(elf: Elf, index: int, section: Section) -> Iterator[tuple[int, Code]]:
    names: dict[int, str] = {}
    sizes: dict[int, int] = {}
    marks: dict[int, bool] = {}
    for symbol in elf.symbols:
        if symbol.section != index:
            continue
        if symbol.type == "function":
            at = symbol.value & ~1
            names.setdefault(at, symbol.name)
            sizes[at] = max(sizes.get(at, 0), symbol.size)
        elif symbol.name[:2] in ("$t", "$d"):
            marks[symbol.value] = symbol.name.startswith("$t")
    data = elf.bytes_of(section)
    starts = [*sorted(names), section.address + section.size]
    for start, following in itertools.pairwise(starts):
        end = min(start + sizes[start], following) if sizes[start] else following
        yield start, _read(names[start], data, section.address, start, end, marks)


def _read(name: str, data: bytes, base: int, start: int, end: int, marks: dict[int, bool]) -> Code:
    frame, calls, indirect, dynamic = 0, [], False, False
    at, code = start, True
    while at < end:
        code = marks.get(at, code)
        if not code:
            at += 1
            continue
        (first,) = struct.unpack_from("<H", data, at - base)
        if first >> 11 < 0b11101:
            frame += _taken_narrow(first)
            dynamic = dynamic or first & 0xFF87 == 0x4685  # mov sp, register
            target = _target_narrow(first, at)
            indirect = indirect or _through_register(first)
            length = 2
        else:
            (second,) = struct.unpack_from("<H", data, at - base + 2)
            frame += _taken_wide(first, second)
            dynamic = dynamic or (first & 0xFFEF, second & 0x0F00) == (0xEBAD, 0x0D00)
            target = _target_wide(first, second, at)
            length = 4
        if target is not None and (not start <= target < end or target == start):
            calls.append(target)
        at += length
    return Code(name, frame, tuple(dict.fromkeys(calls)), indirect, dynamic)


def _taken_narrow(word: int) -> int:
    if word & 0xFE00 == 0xB400:  # push {registers, lr}
        return 4 * (word & 0x1FF).bit_count()
    if word & 0xFF80 == 0xB080:  # sub sp, #
        return 4 * (word & 0x7F)
    return 0


def _taken_wide(first: int, second: int) -> int:
    if first == 0xE92D:  # push {registers}
        return 4 * second.bit_count()
    if first & 0xFFBF == 0xED2D and second & 0x0E00 == 0x0A00:  # vpush
        return 4 * (second & 0xFF)
    if first & 0xFBEF in (0xF1AD, 0xF2AD) and second & 0x8F00 == 0x0D00:  # sub sp, sp, #
        constant = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
        return constant if first & 0x0200 else _expanded(constant)
    if first & 0xFFFF == 0xF84D and second & 0x0F00 == 0x0D00:  # str register, [sp, #-n]!
        return second & 0xFF
    if first & 0xFFFF == 0xE96D:  # strd registers, [sp, #-n]!
        return 4 * (second & 0xFF)
    return 0


def _expanded(constant: int) -> int:
    """Return what the twelve bits of a modified immediate stand for."""
    low = constant & 0xFF
    if constant >> 10 == 0:
        return (low, low | low << 16, low << 8 | low << 24, low * 0x01010101)[constant >> 8]
    turned, by = 0x80 | constant & 0x7F, constant >> 7
    return (turned >> by | turned << (32 - by)) & 0xFFFFFFFF


def _through_register(word: int) -> bool:
    register = word >> 3 & 15
    return word & 0xFF87 == 0x4780 or (word & 0xFF87 == 0x4700 and register != _LR)


def _target_narrow(word: int, at: int) -> int | None:
    if word & 0xF800 == 0xE000:  # b
        return at + 4 + 2 * _signed(word & 0x7FF, 11)
    if word & 0xF000 == 0xD000 and word & 0x0F00 < 0x0E00:  # b with a condition
        return at + 4 + 2 * _signed(word & 0xFF, 8)
    return None


def _target_wide(first: int, second: int, at: int) -> int | None:
    if first & 0xF800 != 0xF000 or not second & 0x8000:
        return None
    sign = first >> 10 & 1
    j1, j2 = second >> 13 & 1, second >> 11 & 1
    if second & 0x5000 in (0x5000, 0x1000):  # bl, b
        top = sign << 23 | (1 ^ j1 ^ sign) << 22 | (1 ^ j2 ^ sign) << 21
        return at + 4 + 2 * _signed(top | (first & 0x3FF) << 11 | second & 0x7FF, 24)
    if second & 0x5000 == 0 and first >> 6 & 0xF < 0xE:  # b with a condition
        top = sign << 19 | j2 << 18 | j1 << 17
        return at + 4 + 2 * _signed(top | (first & 0x3F) << 11 | second & 0x7FF, 20)
    return None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
