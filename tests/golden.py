"""The generated texts of three graphs, as they are kept: ``python tests/golden.py --write``.

A change of a printer, or of what is lowered to it, shows there line by line.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import chains
import limen
from limen.app import check
from limen.codegen import Program, lower_program, print_cython, print_python
from limen.platform import MonotonicClock, SimClock

FILES = Path(__file__).parent / "golden"
REFRESH = "python tests/golden.py --write"
_MOST_LINES = 60


def programs() -> dict[str, Callable[[], Program]]:
    """Return what makes the Program of each graph.

    The chain and the example are as on the machine's clock; the third is simulated and logged.
    """
    return {
        "chain8": lambda: _machine(chains.chain8()[0]),
        "activity": lambda: _machine(chains.activity()),
        "mixed": lambda: lower_program(check(chains.mixed(), SimClock()), clock="any", logs=True),
    }


def printers() -> dict[str, Callable[[Program], str]]:
    """Return what prints each text."""
    return {"python": print_python, "cython": print_cython}


def texts(graph: str) -> dict[str, str]:
    """Return the texts of a graph by the names of their files."""
    program = programs()[graph]()
    return {f"{graph}.{name}.txt": show(program) for name, show in printers().items()}


def drift(wanted: Mapping[str, str], files: Path = FILES) -> Iterator[str]:
    """Yield what of the files is not as it is generated now, and how to refresh them."""
    for name, text in wanted.items():
        path = files / name
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        if kept == text:
            continue
        lines = list(
            difflib.unified_diff(
                kept.splitlines(), text.splitlines(), f"kept {name}", "now", n=1, lineterm=""
            )
        )
        shown = "\n".join(lines[:_MOST_LINES])
        more = f"\n… {len(lines) - _MOST_LINES} lines more" if len(lines) > _MOST_LINES else ""
        yield f"{name} is not what is generated now; if that is meant: {REFRESH}\n{shown}{more}"


def write(files: Path = FILES) -> list[str]:
    """Write all files anew, and remove what is none of them; the names of those that changed."""
    files.mkdir(exist_ok=True)
    wanted = {name: text for graph in programs() for name, text in texts(graph).items()}
    changed = [name for name in wanted if list(drift({name: wanted[name]}, files))]
    for name in changed:
        (files / name).write_text(wanted[name], encoding="utf-8")
    for path in files.iterdir():
        if path.name not in wanted:
            path.unlink()
            changed.append(path.name)
    return changed


def _machine(graph: limen.Graph) -> Program:
    return lower_program(check(graph, MonotonicClock()))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {REFRESH}")
    print("\n".join(write()) or "nothing has changed")
