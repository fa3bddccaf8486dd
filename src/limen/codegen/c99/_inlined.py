"""Whose code the instructions of a function are, where a compiler has put functions into others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from limen.codegen.c99._bill import Owner
from limen.codegen.c99._elf import Elf, read_elf

_TOOLS: Final = {False: "arm-none-eabi-addr2line", True: "addr2line"}


def inlined_code(
    program: Path, symbols: Mapping[str, tuple[str, str]], *, is_host: bool
) -> dict[int, Owner]:
    """Return, by address, whose an instruction is that lies in a function of somebody else.

    Read from the debug information of a firmware. Without the tool that reads it the answer is
    empty, and such code counts as that of the function around it.

    Args:
        program: The firmware, of objects that were compiled with debug information.
        symbols: By the beginning of a function's name, kind and name of whom it is charged to.
        is_host: Whether it is for this machine, whose instructions may begin anywhere; those of a
            Cortex-M4 begin at even addresses.
    """
    tool = shutil.which(_TOOLS[is_host])
    if tool is None:
        return {}
    asked = "".join(f"{at:#x}\n" for at in _addresses(read_elf(program), 1 if is_host else 2))
    done = subprocess.run(
        [tool, "-a", "-f", "-i", "-e", str(program)],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    return {} if done.returncode else dict(_read(done.stdout, symbols))


def _addresses(elf: Elf, step: int) -> Iterator[int]:
    for section in elf.sections:
        if section.code and section.allocated:
            yield from range(section.address, section.address + section.size, step)


def _read(text: str, symbols: Mapping[str, tuple[str, str]]) -> Iterator[tuple[int, Owner]]:
    """Read answers: an address, then for each function, from within, a line and its place."""
    prefixes = sorted(symbols, key=len, reverse=True)
    known: dict[str, Owner | None] = {}
    address, is_name, is_found = 0, False, True
    for line in text.splitlines():
        if line.startswith("0x"):
            address, is_name, is_found = int(line, 16), True, False
            continue
        if is_name and not is_found:
            if line not in known:
                prefix = next((text for text in prefixes if line.startswith(text)), None)
                known[line] = None if prefix is None else Owner(*symbols[prefix])
            owner = known[line]
            if owner is not None:
                yield address, owner
                is_found = True
        is_name = not is_name
