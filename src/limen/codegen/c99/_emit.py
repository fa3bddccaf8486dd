"""Prints a whole graph as C99 files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from limen.codegen.c99._facts import GraphC, lower
from limen.codegen.c99._print_header import print_header
from limen.codegen.c99._print_source import print_source
from limen.errors import ConfigurationError
from limen.platform import PlatformClock
from limen.scheduling import Plan

SUPPORT = (
    *("limen.h", "limen_state.h", "limen_core.h", "limen_procedure.h", "limen_queue.h"),
    *("limen_admit.h", "limen_batch.h", "limen_call.h", "limen_step.h", "limen_run.h"),
)


@dataclass(frozen=True, slots=True)
class PrintedC:
    """A graph as C files.

    Attributes:
        graph: What was printed.
        files: Text by name, those of the support header included.
    """

    graph: GraphC
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write all files into a folder, which is made where it is missing.

        Raises:
            ConfigurationError: It cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in self.files.items():
                (folder / name).write_text(text)
        except OSError as error:
            raise ConfigurationError(
                f"{str(folder)!r} cannot be written: {error.strerror or error}",
                remedy="name a folder of yours",
            ) from error


def print_c(
    plan: Plan, clock: PlatformClock, *, stated: Sequence[str] = (), prefix: str | None = None
) -> PrintedC:
    """Print a graph as C99. Equal Plans give equal bytes.

    Args:
        plan: The graph, lowered for a clock of the rate that the firmware's has.
        clock: Such a clock.
        stated: What the application's sources may state of a message: ``deadline``, ``max_age``.
        prefix: What all names begin with; the graph's name if not given.

    Raises:
        GraphError: NOT_PORTABLE, naming all that has no C form.
    """
    graph = lower(plan, clock, stated=stated, prefix=prefix)
    texts: dict[str, str] = {}
    for node in graph.nodes:
        for model in (node.model, node.variant_model):
            if model is not None:
                texts[f"{model.entry}.h"] = model.header
                texts[f"{model.entry}.c"] = model.source
    digest = _digest(graph, clock, texts)
    texts[f"{graph.name}.h"] = print_header(graph, digest)
    texts[f"{graph.name}.c"] = print_source(graph, clock, digest)
    support = files("limen.codegen.c99") / "support"
    for name in SUPPORT:
        texts[name] = (support / name).read_text()
    return PrintedC(graph, texts)


def _digest(graph: GraphC, clock: PlatformClock, models: dict[str, str]) -> str:
    """Return what tells a graph from others: of its constants, functions and models."""
    digest = hashlib.sha256()
    for text in (print_header(graph, ""), print_source(graph, clock, ""), *models.values()):
        digest.update(text.encode())
    return digest.hexdigest()


def emit_c(
    plan: Plan, clock: PlatformClock, folder: Path, *, stated: Sequence[str] = ()
) -> PrintedC:
    """Print a graph as C99 into a folder; see ``print_c``."""
    printed = print_c(plan, clock, stated=stated)
    printed.write(folder)
    return printed
