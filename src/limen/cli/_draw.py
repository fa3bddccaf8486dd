"""The command that draws a graph."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Final

from limen.app import load
from limen.errors import Code, OutputError
from limen.graph import to_dot, to_mermaid, to_svg, verify


class DrawingFormat(enum.StrEnum):
    """What a drawing is written in."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


_DRAW: Final = {
    DrawingFormat.MERMAID: to_mermaid,
    DrawingFormat.DOT: to_dot,
    DrawingFormat.SVG: to_svg,
}


def draw(file: Path, form: DrawingFormat, output: Path | None, allow_import: bool) -> None:
    """Draw the graph of a file, to another file or to stdout.

    Raises:
        GraphError: The graph is not valid.
        OutputError: The drawing cannot be written.
    """
    text = _DRAW[form](verify(load(file, allow_import=allow_import).spec()))
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"drawing {output}: cannot be written: {reason}",
            code=Code.OUTPUT_WRITE,
            remedy="give the path of a file in a folder that exists",
        ) from error
