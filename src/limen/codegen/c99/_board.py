"""Runs firmware on the emulated board, and says in words what went wrong there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from limen.codegen.c99._elf import Elf, read_elf
from limen.errors import Code, ConfigurationError, NodeError

_QEMU: Final = "qemu-system-arm"
_INPUTS_AT: Final = 0x21000000
# 128 ns an instruction: counter.c tells instructions from ticks by it.
_MACHINE: Final = (
    *("-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"),
    *("-chardev", "stdio,id=console"),
    *("-semihosting-config", "enable=on,target=native,chardev=console"),
    *("-icount", "shift=7"),
)
_LETTERS: Final = "LOSMKEFRCGN"
_NO_ROOM: Final = "the stack has no room left"
# All that is protected is what lies below the stack.
_CAUSES: Final = {
    0x0001: "an instruction was fetched from memory that holds none",
    0x0002: _NO_ROOM,
    0x0010: _NO_ROOM,
    0x0100: "an instruction was fetched from an address where no memory is",
    0x0200: "an address was accessed where no memory is",
    0x0400: "an address was written where no memory is",
    0x0800: "the stack was left where no memory is, on return from an interrupt",
    0x1000: _NO_ROOM,
    0x2000: _NO_ROOM,
    0x10000: "an instruction is not defined",
    0x20000: "code was called that is no Thumb code",
    0x40000: "a return from an interrupt was not valid",
    0x80000: "the FPU was used while it is off",
    0x1000000: "an address is not aligned",
    0x2000000: "a number was divided by 0",
}


def why_not() -> str | None:
    """Say in a line what emulation lacks here; None where nothing is missing."""
    if shutil.which(_QEMU) is None:
        return f"{_QEMU} is not installed: apt-get install qemu-system-arm"
    return None


def run_firmware(elf: Path, inputs: Path, timeout_s: float) -> dict[str, list[str]]:
    """Run a firmware and return what it said, by the letter that its lines begin with.

    Args:
        elf: The firmware.
        inputs: What is laid into the board's memory for it.
        timeout_s: How long it may take, in real time.

    Raises:
        ConfigurationError: The emulator is missing, or a recording.
        NodeError: The firmware faulted, hung, or ended ahead of time.
    """
    missing = why_not()
    if missing is not None:
        raise ConfigurationError(missing, code=Code.RESOURCE_UNAVAILABLE)
    command = [
        *(shutil.which(_QEMU) or _QEMU, *_MACHINE, "-kernel", str(elf)),
        *("-device", f"loader,file={inputs},addr={_INPUTS_AT:#x},force-raw=on"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        last = _last(expired.stdout or b"")
        raise NodeError(
            f"the firmware did not end within {timeout_s:g} s; {last}",
            remedy="give it more time, or look at what it does after that",
        ) from None
    said = _lines(done.stdout)
    if said["F"]:
        raise NodeError(_fault(said["F"][0], read_elf(elf), _last(done.stdout)))
    if said["R"]:
        raise ConfigurationError(f"there is no recording for source {said['R'][0]}")
    if done.returncode != 0 or not said["E"]:
        trouble = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        why = f": {trouble[0]}" if trouble else ""
        raise NodeError(
            f"the emulator ended with exit code {done.returncode}{why}; {_last(done.stdout)}"
        )
    return said


def _lines(stdout: bytes) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {letter: [] for letter in _LETTERS}
    for line in stdout.decode("utf-8", "replace").splitlines():
        if line[:1] in said and line[1:2] in ("", " "):
            said[line[0]].append(line[2:])
    return said


def _last(stdout: bytes) -> str:
    """Say which line was the last that is whole."""
    whole = stdout.decode("utf-8", "replace").rpartition("\n")[0].splitlines()
    lines = [line for line in whole if line and not line.startswith("F ")]
    return f"it last said {lines[-1]!r}" if lines else "it said nothing"


def _fault(line: str, elf: Elf, last: str) -> str:
    status, _, _, address, counter, caller = (int(field) & 0xFFFFFFFF for field in line.split())
    causes = [text for bit, text in _CAUSES.items() if status & bit]
    what = causes[0] if causes else f"for a reason that its status {status:#x} says"
    at = f" ({address:#010x})" if status & 0x8000 else ""
    where = f"in {_function(elf, counter)}" if counter else "where its stack no longer tells"
    called = f", called from {_function(elf, caller & ~1)}" if caller else ""
    return f"the firmware faulted {where}{called}: {what}{at}; {last}"


def _function(elf: Elf, address: int) -> str:
    for symbol in elf.symbols:
        start = symbol.value & ~1
        if symbol.type == "function" and start <= address < start + symbol.size:
            return f"{symbol.name} at {address:#x}"
    return f"unknown code at {address:#x}"
