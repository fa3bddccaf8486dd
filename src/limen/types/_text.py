"""Text for people: what is safe to print, and what they may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LONGEST_TEXT: Final = 300


def printable(text: str) -> str:
    """Escape what a terminal would act on: graph files may hold hostile text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy that offers the nearest known name and lists them all."""
    import difflib

    choices = sorted(known)
    if not choices:
        return ""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    listed = "known: " + ", ".join(choices)
    return f"did you mean {close[0]!r}? ({listed})" if close else listed


def error_text(error: BaseException, *, named: bool = True) -> str:
    """Return an exception in one bounded line; one that cannot be printed is named only.

    Args:
        error: What was raised; of anybody, so its ``str`` may raise as well.
        named: Whether the name of its type stands before its text.
    """
    name = type(error).__qualname__
    try:
        text = str(error)
    except Exception:
        return f"{name}, which cannot be printed"
    line = " ".join(text.split())
    line = line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
    return f"{name}: {line}" if named else line
