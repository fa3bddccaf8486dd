"""From a Plan to a Program, and from a Program to text that runs."""

from typing import TYPE_CHECKING

from limen._lazy import lazily

if TYPE_CHECKING:
    from limen.codegen._cython import print_cython
    from limen.codegen._executor import ProgramRuntime
    from limen.codegen._lower import lower_program
    from limen.codegen._native import build_into, load_built, why_not
    from limen.codegen._native_turns import NativeTurns
    from limen.codegen._program import Program, verify_program
    from limen.codegen._python import print_python
    from limen.codegen._python_turns import PythonTurns
    from limen.codegen._targets import Target, available_targets, find_target, make_executor
    from limen.codegen._turns import Turns, World
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.codegen._cython": ("print_cython",),
            "limen.codegen._executor": ("ProgramRuntime",),
            "limen.codegen._lower": ("lower_program",),
            "limen.codegen._native": ("build_into", "load_built", "why_not"),
            "limen.codegen._native_turns": ("NativeTurns",),
            "limen.codegen._program": ("Program", "verify_program"),
            "limen.codegen._python": ("print_python",),
            "limen.codegen._python_turns": ("PythonTurns",),
            "limen.codegen._targets": (
                "Target",
                "available_targets",
                "find_target",
                "make_executor",
            ),
            "limen.codegen._turns": ("Turns", "World"),
        },
    )

__all__ = [
    "NativeTurns",
    "Program",
    "ProgramRuntime",
    "PythonTurns",
    "Target",
    "Turns",
    "World",
    "available_targets",
    "build_into",
    "find_target",
    "load_built",
    "lower_program",
    "make_executor",
    "print_cython",
    "print_python",
    "verify_program",
    "why_not",
]
