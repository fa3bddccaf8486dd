"""What a firmware takes of a microcontroller's memory, by what it takes it for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from limen.codegen.c99._elf import Elf, Section, Symbol, read_elf
from limen.codegen.c99._stack import Stack
from limen.errors import Code, ConfigurationError, LimenError

KINDS: Final = (
    *("node", "edge", "model", "framework"),
    *("application", "start-up", "libc", "rest"),
)
"""What memory is taken for: parts of the graph, then what stands around it."""
_MOST_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom memory is charged to: a kind of KINDS, and of a node, an edge or a model its name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the state struct, or a share of one, and whom it belongs to."""

    member: str
    kind: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Whose the parts of a firmware are.

    Attributes:
        objects: By object file, whom its code and data are charged to.
        symbols: By the beginning of a symbol's name, whom it is charged to instead; the longest
            that fits decides.
        state: The symbol that holds the graph's state; empty where there is none.
        members: What the state is made of; what they leave of it is the framework's.
        tables: By symbol, whose the rows of a table are; all are of one size.
        inlined: By the address of an instruction, whose code it is, where the function that it lies
            in is another's.
        code_unit: Of how many bytes each of these addresses speaks.
    """

    objects: Mapping[Path, Owner]
    symbols: Mapping[str, tuple[str, str]]
    state: str
    members: Sequence[Member]
    tables: Mapping[str, Sequence[Owner]] = field(default_factory=dict)
    inlined: Mapping[int, Owner] = field(default_factory=dict)
    code_unit: int = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the bill.

    Attributes:
        owner: Whom it is charged to.
        flash_bytes: Code and constants, and what RAM is filled with at the start.
        ram_bytes: Static RAM.
        constant_bytes: Of flash, constants: of a model, its weights.
    """

    owner: Owner
    flash_bytes: int
    ram_bytes: int
    constant_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bill:
    """RAM and flash of a firmware.

    The entries add up to what ``size`` says: flash is ``text`` and ``data``, RAM is ``data`` and
    ``bss``. What no symbol covers, as strings and gaps, is the entry ``rest``.

    Attributes:
        entries: In the order of KINDS, then of names.
        stack: The worst stack of a step; None where it was not asked for.
    """

    entries: tuple[Entry, ...]
    stack: Stack | None = None

    @property
    def flash_bytes(self) -> int:
        """Flash of the whole firmware."""
        return sum(entry.flash_bytes for entry in self.entries)

    @property
    def ram_bytes(self) -> int:
        """Static RAM of the whole firmware, without the stack."""
        return sum(entry.ram_bytes for entry in self.entries)

    @property
    def needed_flash_bytes(self) -> int:
        """Flash that the graph needs: without application and start-up code."""
        return sum(entry.flash_bytes for entry in self._needed())

    @property
    def needed_ram_bytes(self) -> int:
        """RAM that the graph needs, the worst stack included."""
        stack = 0 if self.stack is None else self.stack.size_bytes
        return stack + sum(entry.ram_bytes for entry in self._needed())

    def of_kind(self, kind: str) -> tuple[int, int]:
        """Return flash and RAM of all entries of a kind."""
        entries = [entry for entry in self.entries if entry.owner.kind == kind]
        return sum(e.flash_bytes for e in entries), sum(e.ram_bytes for e in entries)

    def check(self, max_ram: int | None, max_flash: int | None) -> None:
        """Compare what the graph needs with limits.

        Args:
            max_ram: In bytes; for state, data and the worst stack.
            max_flash: In bytes; for code, weights and constants.

        Raises:
            LimenError: A limit is exceeded; with by how much, and the largest entries.
        """
        complaints = []
        if max_ram is not None and self.needed_ram_bytes > max_ram:
            lines = [(str(e.owner), e.ram_bytes) for e in self._needed()]
            if self.stack is not None:
                lines.append(("stack", self.stack.size_bytes))
            complaints.append(_over("RAM", self.needed_ram_bytes, max_ram, lines))
        if max_flash is not None and self.needed_flash_bytes > max_flash:
            lines = [(str(e.owner), e.flash_bytes) for e in self._needed()]
            complaints.append(_over("flash", self.needed_flash_bytes, max_flash, lines))
        if complaints:
            raise LimenError(
                "\n".join(complaints),
                code=Code.RESOURCE_UNAVAILABLE,
                remedy="raise the limit, or make the largest smaller",
            )

    def to_dict(self) -> dict[str, object]:
        """Return what is written as JSON."""
        return {
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "needed_flash_bytes": self.needed_flash_bytes,
            "needed_ram_bytes": self.needed_ram_bytes,
            "stack_bytes": None if self.stack is None else self.stack.size_bytes,
            "stack": []
            if self.stack is None
            else [[frame.function, frame.size_bytes] for frame in self.stack.chain],
            "entries": [
                {
                    "kind": entry.owner.kind,
                    "name": entry.owner.name,
                    "flash_bytes": entry.flash_bytes,
                    "ram_bytes": entry.ram_bytes,
                    "constant_bytes": entry.constant_bytes,
                }
                for entry in self.entries
            ],
        }

    def _needed(self) -> list[Entry]:
        return [e for e in self.entries if e.owner.kind not in ("application", "start-up")]


def make_bill(elf: Path, layout: Layout, stack: Stack | None = None) -> Bill:
    """Charge each byte of a linked firmware to somebody.

    Args:
        elf: The firmware.
        layout: Whose its parts are.
        stack: Its worst stack, where it is known.

    Raises:
        InvalidArtifactError: A file cannot be read.
        ConfigurationError: The members are larger than the state that holds them.
    """
    program = read_elf(elf)
    whose = _Ownership(layout)
    flash: dict[Owner, int] = defaultdict(int)
    ram: dict[Owner, int] = defaultdict(int)
    constant: dict[Owner, int] = defaultdict(int)
    for index, section in enumerate(program.sections):
        if not section.allocated or not section.size:
            continue
        for owner, size, is_object in _charges(program, index, section, whose):
            if not section.empty:
                flash[owner] += size
            if section.writable:
                ram[owner] += size
            elif is_object:
                constant[owner] += size
    owners = sorted({*flash, *ram}, key=lambda owner: (KINDS.index(owner.kind), owner.name))
    entries = (Entry(owner, flash[owner], ram[owner], constant[owner]) for owner in owners)
    return Bill(tuple(entries), stack)


def _charges(
    program: Elf, index: int, section: Section, whose: _Ownership
) -> list[tuple[Owner, int, bool]]:
    """Charge each byte of a section once, and say whether it is data of a symbol.

    Of symbols that overlap, the first has it.
    """
    charges: list[tuple[Owner, int, bool]] = []
    at, end = section.address, section.address + section.size
    for start, symbol in _spans(program, index):
        stop = min(start + symbol.size, end)
        if stop <= at:
            continue
        if start > at:
            charges.append((Owner("rest"), start - at, False))
        parts = whose.split(symbol, max(start, at), stop)
        charges += [(owner, size, symbol.type == "object") for owner, size in parts]
        at = stop
    if end > at:
        charges.append((Owner("rest"), end - at, False))
    return charges


def _spans(program: Elf, index: int) -> list[tuple[int, Symbol]]:
    """Return the symbols of a section with where they begin, in order."""
    spans = [
        # The lowest bit of a function's address says that it is Thumb code.
        (symbol.value & ~1 if symbol.type == "function" else symbol.value, symbol)
        for symbol in program.symbols
        if symbol.section == index and symbol.size and symbol.type in ("function", "object")
    ]
    return sorted(spans, key=lambda span: (span[0], -span[1].size, span[1].name))


class _Ownership:
    """Knows whose a symbol is: first by its name, then by the object file that defines it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._prefixes = sorted(layout.symbols, key=len, reverse=True)
        self._shared: dict[str, Owner] = {}
        self._files: dict[str, Owner] = {}
        for path, owner in layout.objects.items():
            for symbol in read_elf(path).symbols:
                if symbol.file:
                    self._files[symbol.file] = owner
                else:
                    self._shared[symbol.name] = owner

    def split(self, symbol: Symbol, start: int, stop: int) -> list[tuple[Owner, int]]:
        """Charge the bytes of a symbol; those of state, tables and code part by part."""
        size, owner = stop - start, self._owner(symbol)
        rows = self._layout.tables.get(symbol.name, ())
        if self._layout.state and symbol.name == self._layout.state:
            parts = [(Owner(m.kind, m.name), m.size_bytes) for m in self._layout.members]
            owner = Owner("framework")
        elif rows and size % len(rows) == 0:
            parts = [(row, size // len(rows)) for row in rows]
        else:
            unit = self._layout.code_unit
            inlined = (self._layout.inlined.get(at) for at in range(start, stop, unit))
            parts = [(whose, unit) for whose in inlined if whose is not None]
        left = size - sum(part for _, part in parts)
        if left < 0:
            raise ConfigurationError(
                f"the parts of {symbol.name} take {size - left} bytes, and it has {size}"
            )
        return [*parts, (owner, left)]

    def _owner(self, symbol: Symbol) -> Owner:
        owner = self._files.get(symbol.file) if symbol.file else self._shared.get(symbol.name)
        if owner is None:
            return Owner("libc")
        if owner.kind in ("application", "start-up", "model"):
            return owner
        for prefix in self._prefixes:
            if symbol.name.startswith(prefix):
                return Owner(*self._layout.symbols[prefix])
        return owner


def _over(what: str, needed: int, limit: int, lines: list[tuple[str, int]]) -> str:
    largest = sorted(lines, key=lambda line: (-line[1], line[0]))[:_MOST_SHOWN]
    shown = ", ".join(f"{name} {size}" for name, size in largest)
    return (
        f"{what}: the graph needs {needed} bytes, {needed - limit} more than the {limit} allowed; "
        f"the largest are {shown}"
    )
