"""Problems found in a graph, and how they are shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from limen.errors import Code, GraphError, LimenError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        code: The stable reason.
        place: Node, edge or key.
        message: What is wrong.
        remedy: What would be right.
    """

    code: Code
    place: str
    message: str
    remedy: str = ""

    @classmethod
    def from_error(cls, place: str, error: LimenError) -> Problem:
        """Give an error its place."""
        return cls(error.code, place, error.message, error.remedy)

    def __str__(self) -> str:
        text = f"LIMEN-{int(self.code)}  {printable(self.place)}: {printable(self.message)}"
        return f"{text}\n             → {printable(self.remedy)}" if self.remedy else text


def printable(text: str) -> str:
    """Escape what a terminal would act on: graph files may hold hostile text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refuse(name: str, problems: Sequence[Problem]) -> GraphError:
    """Return the error that reports all problems of a graph at once."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"graph {printable(name)!r}: {count}", *(f"  {problem}" for problem in problems)]
    return GraphError("\n".join(lines), code=problems[0].code, problems=tuple(problems))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a remedy that offers the nearest known name and lists them all."""
    choices = sorted(known)
    if not choices:
        return ""
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    listed = "known: " + ", ".join(choices)
    return f"did you mean {close[0]!r}? ({listed})" if close else listed
