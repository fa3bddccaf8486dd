"""Compilers for what is printed in C99: which there are, and how they are called."""

from __future__ import annotations

import enum
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limen.errors import Code, ConfigurationError, LimenError

STRICT: Final = (
    *("-Wall", "-Wextra", "-Wpedantic", "-Werror"),
    *("-Wconversion", "-Wshadow", "-Wvla"),
)
"""Warnings that code of ours must be without."""
_LENIENT: Final = ("-Wall", "-Wextra", "-Wno-unused")
# No contraction: a product that is added unrounded would give other bits than on the host.
_LANGUAGE: Final = ("-std=c99", "-ffp-contract=off")
_SECTIONS: Final = ("-Os", "-g", "-ffunction-sections", "-fdata-sections", "-fstack-usage")
_CORTEX_M4: Final = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_ZIG: Final = ("-target", "thumb-linux-musleabihf", "-mcpu=cortex_m4+vfp4d16sp")
_MOST_SHOWN: Final = 12


class Mcu(enum.StrEnum):
    """What C is compiled for; the value is its name on the command line."""

    CORTEX_M4 = "cortex-m4"
    """A Cortex-M4 with its single-precision FPU."""
    HOST = "host"
    """This machine."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler that was found.

    Attributes:
        name: What it is: ``arm-none-eabi-gcc``, ``zig``, ``gcc`` or ``cc``.
        command: What starts it.
        version: What it says of itself.
        mcu: What it compiles for.
    """

    name: str
    command: tuple[str, ...]
    version: str
    mcu: Mcu

    @property
    def target_options(self) -> tuple[str, ...]:
        """Return the options that name processor and floating-point unit."""
        if self.mcu is Mcu.HOST:
            return ("-fPIC",)
        return _ZIG if self.name == "zig" else _CORTEX_M4


def find(mcu: Mcu) -> Toolchain | None:
    """Return the compiler for a processor; None where there is none.

    For the Cortex-M4 that is ``arm-none-eabi-gcc``, else ``zig cc`` of the package ``ziglang``.
    """
    names = ("gcc", "cc") if mcu is Mcu.HOST else ("arm-none-eabi-gcc",)
    for name in names:
        path = shutil.which(name)
        version = None if path is None else _first_line([path, "--version"])
        if path is not None and version is not None:
            return Toolchain(name, (path,), version, mcu)
    if mcu is Mcu.HOST or importlib.util.find_spec("ziglang") is None:
        return None
    command = (sys.executable, "-m", "ziglang")
    version = _first_line([*command, "version"])
    return None if version is None else Toolchain("zig", (*command, "cc"), f"zig {version}", mcu)


def require(mcu: Mcu) -> Toolchain:
    """Return the compiler for a processor.

    Raises:
        ConfigurationError: There is none; the remedy says how to install one.
    """
    found = find(mcu)
    if found is None:
        raise ConfigurationError(
            f"there is no C compiler for {mcu.value}",
            code=Code.RESOURCE_UNAVAILABLE,
            remedy="apt-get install gcc"
            if mcu is Mcu.HOST
            else "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi, "
            "or pip install ziglang",
        )
    return found


def compile_objects(
    toolchain: Toolchain,
    sources: Sequence[Path],
    directory: Path,
    *,
    strict: bool = True,
    include: Sequence[Path] = (),
    defines: Sequence[str] = (),
    freestanding: bool = False,
) -> tuple[Path, ...]:
    """Compile C files, each into an object file and a ``.su`` file with the stack of its functions.

    Args:
        toolchain: The compiler.
        sources: C files; their stems must differ.
        directory: Where objects go; made where it is missing.
        strict: Whether the warnings of our own code are errors. Models' files are compiled without:
            pointers to arrays with qualifiers are refused by ``-Wpedantic``, though they are right.
        include: Where headers lie.
        defines: Macros, as ``LIMEN_LOG=0``.
        freestanding: Whether nothing of a C library may be taken for granted.

    Returns:
        The object files, in the order of the sources.

    Raises:
        LimenError: A file does not compile; with the compiler's first errors.
    """
    directory.mkdir(parents=True, exist_ok=True)
    options = [
        *(*toolchain.target_options, *_LANGUAGE, *_SECTIONS),
        *(STRICT if strict else _LENIENT),
        *(f"-I{path}" for path in include),
        *(f"-D{define}" for define in defines),
        *(("-ffreestanding",) if freestanding else ()),
    ]
    objects = []
    for source in sources:
        target = directory / f"{source.stem}.o"
        _run(toolchain, [*options, "-c", str(source), "-o", str(target)], f"{source.name}")
        objects.append(target)
    return tuple(objects)


def link(
    toolchain: Toolchain,
    objects: Sequence[Path],
    output: Path,
    *,
    script: Path | None = None,
    wrapped: Sequence[str] = (),
) -> Path:
    """Link object files: for the host a shared library, for a microcontroller a firmware.

    Args:
        toolchain: The compiler.
        objects: Object files.
        output: The file to write.
        script: The linker script; of a firmware.
        wrapped: Functions whose calls from other files go to ``__wrap_`` and their name.

    Raises:
        LimenError: They do not link; with the linker's first errors.
    """
    options = [*toolchain.target_options, *(f"-Wl,--wrap={name}" for name in wrapped)]
    if toolchain.mcu is Mcu.HOST:
        options += ["-shared"]
    elif toolchain.name == "zig":
        options += ["-static", "-Wl,-e,Reset_Handler", "-Wl,--gc-sections"]
    else:
        options += ["-nostartfiles", "-specs=nano.specs", "-Wl,--gc-sections"]
    options += [] if script is None else ["-T", str(script)]
    command = [*options, *map(str, objects), "-o", str(output), "-lm"]
    _run(toolchain, command, output.name)
    return output


def _run(toolchain: Toolchain, arguments: list[str], what: str) -> None:
    command = [*toolchain.command, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    lines = (done.stderr or done.stdout).strip().splitlines()
    errors = [line for line in lines if "error" in line or "undefined" in line] or lines
    raise LimenError(
        "\n".join([f"{what} was not built: {toolchain.name} failed", *errors[:_MOST_SHOWN]]),
        code=Code.RESOURCE_UNAVAILABLE,
    )


def _first_line(command: Sequence[str]) -> str | None:
    """Return what a program prints first; None where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.partition("\n")[0] if done.returncode == 0 else None
