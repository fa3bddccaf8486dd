"""From a Plan to a Program, and from a Program to text that runs."""

from limen.codegen._executor import ProgramRuntime
from limen.codegen._lower import lower_program
from limen.codegen._program import Program, verify_program
from limen.codegen._python import print_python
from limen.codegen._python_turns import PythonTurns
from limen.codegen._turns import Turns, World

__all__ = [
    "Program",
    "ProgramRuntime",
    "PythonTurns",
    "Turns",
    "World",
    "lower_program",
    "print_python",
    "verify_program",
]
