"""Problems found in a graph, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limen.errors import Code, GraphError, LimenError
from limen.types import printable


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


def refuse(name: str, problems: Sequence[Problem]) -> GraphError:
    """Return the error that reports all problems of a graph at once."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"graph '{printable(name)}': {count}", *(f"  {problem}" for problem in problems)]
    return GraphError("\n".join(lines), code=problems[0].code, problems=tuple(problems))
