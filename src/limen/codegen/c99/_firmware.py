"""Builds a printed graph with start-up code into a firmware, and asks what it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from limen.codegen.c99._bill import Bill, Layout, Owner, make_bill
from limen.codegen.c99._described import PrintedGraph, describe
from limen.codegen.c99._elf import read_elf
from limen.codegen.c99._emit import PrintedC
from limen.codegen.c99._harness import print_application, print_harness
from limen.codegen.c99._inlined import inlined_code
from limen.codegen.c99._layout import ARM32, HOST64
from limen.codegen.c99._stack import require_static, worst_stack
from limen.codegen.c99._toolchain import Mcu, Toolchain, compile_objects, link

_START_UP = ("semihost.c", "startup.c")
_MEASURING = ("counter.c", "recorded.c", "report.c")


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware that was linked.

    Attributes:
        elf: Its file.
        layout: Whose its parts are.
        usages: The ``.su`` files of the graph and its models.
        mcu: What it is for.
    """

    elf: Path
    layout: Layout
    usages: tuple[Path, ...]
    mcu: Mcu


def build_bare(
    graph: PrintedGraph, toolchain: Toolchain, directory: Path, *, specialised: bool = False
) -> Firmware:
    """Build a graph with hooks that do nothing: what is linked is what the graph needs.

    Args:
        graph: The printed graph.
        toolchain: A compiler for a microcontroller.
        directory: Where objects and firmware go.
        specialised: Whether it is compiled as straight-line code.

    Raises:
        LimenError: Something does not compile or link.
    """
    defines = ["LIMEN_LOG=0", f"LIMEN_SPECIALISE={int(specialised)}"]
    return _build(graph, toolchain, directory, print_application(graph), defines, ())


def build_harness(
    graph: PrintedGraph,
    toolchain: Toolchain,
    directory: Path,
    *,
    logs: bool,
    specialised: bool = False,
    stop_at_tick: int | None = None,
    drain_ticks: int | None = None,
) -> Firmware:
    """Build a graph with the application that replays recordings under emulation.

    Args:
        graph: The printed graph.
        toolchain: A compiler for a microcontroller.
        directory: Where objects and firmware go.
        logs: Whether it reports decisions, payloads and the instructions of models; else the
            instructions of steps.
        specialised: Whether it is compiled as straight-line code.
        stop_at_tick: The simulated instant from which on the graph is asked to stop.
        drain_ticks: How long it may then drain.

    Raises:
        LimenError: Something does not compile or link.
    """
    text = print_harness(graph, logs=logs, stop_at_tick=stop_at_tick, drain_ticks=drain_ticks)
    defines = [f"LIMEN_LOG={int(logs)}", "LIMEN_SIM=1", f"LIMEN_SPECIALISE={int(specialised)}"]
    wrapped = [model.entry for model in graph.models] if logs else []
    return _build(graph, toolchain, directory, text, defines, wrapped)


def measure(
    printed: PrintedC, toolchain: Toolchain, directory: Path, *, specialised: bool = False
) -> Bill:
    """Compile and link a printed graph, and return what it takes; called by ``limen build``.

    Args:
        printed: The graph.
        toolchain: For a microcontroller, a firmware is linked; for the host, a shared library.
        directory: Where the graph's files, objects and what is linked go.
        specialised: Whether it is compiled as straight-line code.

    Raises:
        LimenError: It does not compile, or no bound can be given for the stack.
    """
    printed.write(directory)
    abi = HOST64 if toolchain.mcu is Mcu.HOST else ARM32
    graph = describe(printed, directory, abi)
    return bill_of(graph, build_bare(graph, toolchain, directory, specialised=specialised))


def bill_of(graph: PrintedGraph, firmware: Firmware) -> Bill:
    """Return what a firmware takes, with the worst stack of the functions that are called.

    Of what is linked for the host the stack is not known.

    Raises:
        LimenError: No bound can be given for the stack.
    """
    require_static(firmware.usages)
    is_host = firmware.mcu is Mcu.HOST
    stack = None
    if not is_host:
        stack = worst_stack(read_elf(firmware.elf), graph.entries, graph.is_hook)
    inlined = inlined_code(firmware.elf, graph.symbols, is_host=is_host)
    layout = replace(firmware.layout, inlined=inlined, code_unit=1 if is_host else 2)
    return make_bill(firmware.elf, layout, stack)


def _build(
    graph: PrintedGraph,
    toolchain: Toolchain,
    directory: Path,
    application: str,
    defines: Sequence[str],
    wrapped: Sequence[str],
) -> Firmware:
    is_host = toolchain.mcu is Mcu.HOST
    include = (graph.folder, *graph.include)
    directory.mkdir(parents=True, exist_ok=True)
    harness = directory / "harness.c"
    harness.write_text(application, encoding="utf-8")
    with _support() as support:
        ours = compile_objects(
            toolchain,
            [graph.folder / name for name in graph.files],
            directory,
            include=include,
            defines=defines,
        )
        models = compile_objects(
            toolchain,
            [graph.folder / model.file for model in graph.models],
            directory,
            strict=False,
            include=include,
        )
        around = compile_objects(
            toolchain,
            [] if is_host else [support / name for name in (*_START_UP, *_MEASURING)],
            directory,
            include=[support],
        )
        hooks = compile_objects(
            toolchain, [harness], directory, include=[*include, support], defines=defines
        )
        elf = link(
            toolchain,
            [*ours, *models, *around, *hooks],
            directory / f"{graph.name}.elf",
            script=None if is_host else support / "mps2.ld",
            wrapped=wrapped,
        )
    owners = {path: Owner("framework") for path in ours}
    owners |= {
        path: Owner("model", model.node) for path, model in zip(models, graph.models, strict=True)
    }
    owners |= {path: Owner("start-up") for path in around[: len(_START_UP)]}
    owners |= {path: Owner("application") for path in (*around[len(_START_UP) :], *hooks)}
    layout = Layout(owners, graph.symbols, graph.state, graph.members, graph.tables)
    return Firmware(
        elf, layout, tuple(path.with_suffix(".su") for path in (*ours, *models)), toolchain.mcu
    )


@contextmanager
def _support() -> Iterator[Path]:
    """Give the folder of our own C files for microcontrollers."""
    with as_file(files("limen.codegen.c99") / "support" / "mcu") as path:
        yield path
