"""What may be a name: it reaches generated code as it is."""

from __future__ import annotations

import keyword
import re
from typing import Final

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_C_KEYWORDS: Final = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "main",
    ]
)


def name_problem(name: str, what: str) -> tuple[str, str] | None:
    """Return what is wrong with a name and what would be right, None if it is well.

    Args:
        name: The name.
        what: ``"node"``, or ``"port"``, which may be a reserved word: ``in`` is the usual input.
    """
    if not _NAME.fullmatch(name):
        return f"not a valid {what} name", "use a-z, 0-9 and _, beginning with a letter"
    if what == "node" and (keyword.iskeyword(name) or name in _C_KEYWORDS):
        language = "Python" if keyword.iskeyword(name) else "C"
        return (
            f"not a valid {what} name: a reserved name of {language}",
            f"use another, as in {name}_1",
        )
    return None
