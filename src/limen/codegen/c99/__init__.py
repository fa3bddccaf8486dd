"""A graph as heap-free C99: the printer, what it stands on, and what runs it."""

from limen.codegen.c99._emit import PrintedC, emit_c, print_c

__all__ = ["PrintedC", "emit_c", "print_c"]
