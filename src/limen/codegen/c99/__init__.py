"""A graph as heap-free C99: the printer, what it stands on, and what runs it."""

from typing import TYPE_CHECKING

from limen._lazy import lazily

if TYPE_CHECKING:
    from limen.codegen.c99._bill import Bill, Entry, Owner
    from limen.codegen.c99._board import why_not
    from limen.codegen.c99._emit import PrintedC, emit_c, print_c
    from limen.codegen.c99._emulate import Emulation, Inference, Output, emulate, emulate_log
    from limen.codegen.c99._firmware import measure
    from limen.codegen.c99._recorded import Reading, record
    from limen.codegen.c99._toolchain import Mcu, Toolchain, find, require
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.codegen.c99._bill": ("Bill", "Entry", "Owner"),
            "limen.codegen.c99._board": ("why_not",),
            "limen.codegen.c99._emit": ("PrintedC", "emit_c", "print_c"),
            "limen.codegen.c99._emulate": (
                "Emulation",
                "Inference",
                "Output",
                "emulate",
                "emulate_log",
            ),
            "limen.codegen.c99._firmware": ("measure",),
            "limen.codegen.c99._recorded": ("Reading", "record"),
            "limen.codegen.c99._toolchain": ("Mcu", "Toolchain", "find", "require"),
        },
    )

__all__ = [
    "Bill",
    "Emulation",
    "Entry",
    "Inference",
    "Mcu",
    "Output",
    "Owner",
    "PrintedC",
    "Reading",
    "Toolchain",
    "emit_c",
    "emulate",
    "emulate_log",
    "find",
    "measure",
    "print_c",
    "record",
    "require",
    "why_not",
]
