"""``limen build --target c``: the files of a graph in C, and what they take of memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from limen.app import check, json_line
from limen.codegen.c99 import Bill, Mcu, PrintedC, find, measure, print_c, require
from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.platform import MonotonicClock
from limen.telemetry import TelemetrySwitches
from limen.types import nearest, parse_size_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What C is measured for, and what it may take.

    Attributes:
        mcu: What it is compiled for; None if the command line does not say.
        max_ram: In bytes; None for any.
        max_flash: In bytes; None for any.
        specialise: Whether it is compiled as straight-line code.
        json: Whether the bill is printed as JSON.
    """

    mcu: Mcu | None
    max_ram: int | None
    max_flash: int | None
    specialise: bool
    json: bool

    @classmethod
    def read(
        cls,
        mcu: str | None,
        max_ram: str | None,
        max_flash: str | None,
        *,
        specialise: bool,
        json: bool,
    ) -> Limits:
        """Read options of the command line.

        Raises:
            ConfigurationError: There is no such microcontroller, or a size cannot be read.
        """
        names = [one.value for one in Mcu]
        if mcu is not None and mcu not in names:
            raise ConfigurationError(
                f"--mcu {mcu!r} is unknown",
                remedy=nearest(mcu, names) or f"write one of {', '.join(names)}",
            )
        return cls(
            None if mcu is None else Mcu(mcu),
            None if max_ram is None else parse_size_bytes(max_ram, what="--max-ram"),
            None if max_flash is None else parse_size_bytes(max_flash, what="--max-flash"),
            specialise,
            json,
        )

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.max_ram is not None or self.max_flash is not None

    def refuse_for(self, target: str) -> None:
        """Refuse options that another target has no use for.

        Raises:
            ConfigurationError: One was given.
        """
        given = {
            "--mcu": self.mcu is not None,
            "--max-ram": self.max_ram is not None,
            "--max-flash": self.max_flash is not None,
            "--specialise": self.specialise,
            "--json": self.json,
        }
        for option, is_given in given.items():
            if is_given:
                raise ConfigurationError(
                    f"{option} says nothing to target {target}",
                    remedy=f"write --target c, or leave {option} out",
                )


def build_c(graph: Graph, output: Path | None, limits: Limits, *, metrics: bool) -> Iterator[str]:
    """Print a graph as C, and measure it where there is a compiler.

    Args:
        graph: What to print.
        output: Where its files go; None to yield the text of the graph's own file.
        limits: What it is measured for, and what it may take.
        metrics: Whether durations are counted.

    Yields:
        Lines of the bill, or the text.

    Raises:
        GraphError: The graph is not valid, or something of it has no C form.
        LimenError: It does not compile, or needs more than it may.
    """
    switches = TelemetrySwitches() if metrics else TelemetrySwitches.none()
    clock = MonotonicClock()
    printed = print_c(check(graph, clock, switches=switches), clock)
    if output is None:
        yield printed.files[f"{printed.graph.name}.c"].removesuffix("\n")
        return
    printed.write(output)
    mcu = limits.mcu or Mcu.CORTEX_M4
    if find(mcu) is None and not limits.is_limited and not limits.json:
        yield f"wrote {len(printed.files)} files into {output}; they were not measured: there is"
        yield f"no C compiler for {mcu.value}"
        return
    bill = _measured(printed, mcu, limits)
    if limits.json:
        yield json_line({"graph": graph.name, "mcu": mcu.value, **bill.to_dict()})
    else:
        yield f"wrote {len(printed.files)} files into {output}; for {mcu.value} they take"
        yield from describe_bill(bill)
    bill.check(limits.max_ram, limits.max_flash)


def _measured(printed: PrintedC, mcu: Mcu, limits: Limits) -> Bill:
    toolchain = require(mcu)
    with tempfile.TemporaryDirectory(prefix="limen-") as folder:
        return measure(printed, toolchain, Path(folder), specialised=limits.specialise)


def describe_bill(bill: Bill) -> Iterator[str]:
    """Yield a bill as lines: entries, sums and the worst stack."""
    width = max(len(str(entry.owner)) for entry in bill.entries)
    width = max(width, len(_NEEDED))
    yield f"  {'bytes of':<{width}}  {'flash':>9} {'constants':>9} {'RAM':>9}"
    for entry in bill.entries:
        yield (
            f"  {entry.owner!s:<{width}}  {entry.flash_bytes:>9} "
            f"{entry.constant_bytes:>9} {entry.ram_bytes:>9}"
        )
    yield f"  {'in all, as size says':<{width}}  {bill.flash_bytes:>9} {'':>9} {bill.ram_bytes:>9}"
    needed = bill.needed_flash_bytes, bill.needed_ram_bytes
    yield f"  {_NEEDED:<{width}}  {needed[0]:>9} {'':>9} {needed[1]:>9}"
    if bill.stack is None:
        yield "  worst stack: known for microcontrollers only"
    else:
        yield f"  worst stack: {bill.stack}"


_NEEDED = "needed by the graph, stack included"
