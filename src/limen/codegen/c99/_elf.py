"""Reads ELF files of 32 and 64 bits, little-endian: sections, symbols and bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limen.errors import InvalidArtifactError

_ALLOCATED: Final = 2
_WRITABLE: Final = 1
_CODE: Final = 4
_SYMBOLS: Final = 2
_NO_BITS: Final = 8
_LOCAL: Final = 0
_TYPES: Final = {0: "none", 1: "object", 2: "function", 3: "section", 4: "file"}


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        name: As ``.text``.
        address: Where it lies when it runs.
        offset: Where its bytes lie in the file.
        size: In bytes.
        allocated: Whether it takes memory when it runs.
        writable: Whether that memory is written.
        code: Whether it holds instructions.
        empty: Whether the file holds no bytes of it, as of ``.bss``.
    """

    name: str
    address: int
    offset: int
    size: int
    allocated: bool
    writable: bool
    code: bool
    empty: bool


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol that is defined in the file.

    Attributes:
        name: Its name.
        value: Its address, or in an object file its offset in the section.
        size: In bytes; 0 where it is not stated.
        type: ``function``, ``object`` or another.
        section: Index of its section.
        file: Of a symbol that only its file sees, the name of that file; else empty.
    """

    name: str
    value: int
    size: int
    type: str
    section: int
    file: str


@dataclass(frozen=True, slots=True)
class Elf:
    """What an ELF file holds.

    Attributes:
        data: All bytes.
        sections: In the order of their headers.
        symbols: In the order of their table, undefined ones left out.
    """

    data: bytes
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def bytes_of(self, section: Section) -> bytes:
        """Return the bytes of a section."""
        return b"" if section.empty else self.data[section.offset : section.offset + section.size]


def read_elf(path: Path) -> Elf:
    """Read a linked program or an object file.

    Raises:
        InvalidArtifactError: It is no ELF file, or is damaged.
    """
    try:
        data = path.read_bytes()
        if data[:4] != b"\x7fELF" or data[5] != 1:
            raise InvalidArtifactError(f"{path} is no little-endian ELF file")
        return _read(data, wide=data[4] == 2)
    except (OSError, IndexError, struct.error) as error:
        raise InvalidArtifactError(f"{path} cannot be read as an ELF file: {error}") from error


def _read(data: bytes, *, wide: bool) -> Elf:
    table = struct.unpack_from("<Q" if wide else "<I", data, 0x28 if wide else 0x20)[0]
    size, count, names = struct.unpack_from("<HHH", data, 0x3A if wide else 0x2E)
    form = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    headers = [struct.unpack_from(form, data, table + place * size) for place in range(count)]
    strings = headers[names][4]
    sections = tuple(
        Section(
            name=_text(data, strings + name),
            address=address,
            offset=offset,
            size=length,
            allocated=bool(flags & _ALLOCATED),
            writable=bool(flags & _WRITABLE),
            code=bool(flags & _CODE),
            empty=kind == _NO_BITS,
        )
        for name, kind, flags, address, offset, length, *_ in headers
    )
    symbols: list[Symbol] = []
    for _, kind, _, _, offset, length, linked, *_ in headers:
        if kind == _SYMBOLS:
            symbols += _symbols(data, offset, length, headers[linked][4], wide=wide)
    return Elf(data, sections, tuple(symbols))


def _symbols(
    data: bytes, offset: int, length: int, strings: int, *, wide: bool
) -> Iterator[Symbol]:
    form = struct.Struct("<IBBHQQ" if wide else "<IIIBBH")
    file = ""
    for at in range(offset, offset + length, form.size):
        fields = form.unpack_from(data, at)
        if wide:
            name, info, _, section, value, size = fields
        else:
            name, value, size, info, _, section = fields
        kind = _TYPES.get(info & 15, "other")
        text = _text(data, strings + name)
        if kind == "file":
            file = text
        elif section != 0:
            local = info >> 4 == _LOCAL
            yield Symbol(text, value, size, kind, section, file if local else "")


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("utf-8", "replace")
