"""A drawn graph, and how it is written down."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from limen.errors import ConfigurationError
from limen.graph import Graph, load_document

Table = dict[str, object]


class Kind(enum.Enum):
    """What is drawn: all that there is, nodes that do as they declare, or loops that may starve."""

    ANYTHING = "anything"
    DECLARED = "declared"
    LOOPS = "loops"


@dataclass(frozen=True)
class Drawn:
    """A drawn graph and how it is run.

    Attributes:
        seed: What it was drawn from.
        kind: What was drawn.
        document: The tables of its graph file.
        stop_at_step: Calls of ``step`` before a stop is requested; None for never.
        stop_at_tick: The instant of a stop; None for never.
        drain_ms: How long the stop may drain.
    """

    seed: int
    kind: Kind
    document: Table
    stop_at_step: int | None = None
    stop_at_tick: int | None = None
    drain_ms: int = 10_000

    @property
    def nodes(self) -> dict[str, Table]:
        """The tables of its nodes, by name."""
        return cast("dict[str, Table]", self.document["nodes"])

    @property
    def edges(self) -> list[Table]:
        """The tables of its edges."""
        return cast("list[Table]", self.document["edges"])

    @property
    def stops(self) -> bool:
        """Whether a stop is requested at some time."""
        return self.stop_at_step is not None or self.stop_at_tick is not None

    def graph(self) -> Graph:
        """Make its parts.

        Raises:
            ConfigurationError: A table of it was changed into what is none.
        """
        loaded = load_document(self.document, Path(__file__), allow_import=True)
        if loaded.problems:
            raise ConfigurationError(f"seed {self.seed}: {loaded.problems[0].message}")
        return loaded.graph

    def toml(self) -> str:
        """Write it down as a scenario, but for the log that is expected."""
        clock: Table = {"drain_timeout": f"{self.drain_ms}ms"}
        if self.stop_at_tick is not None:
            clock["stop_at_tick"] = self.stop_at_tick
        about = f"seed {self.seed} of {self.kind.value}"
        if self.stop_at_step is not None:
            about += f", a stop requested before call {self.stop_at_step} of step()"
        lines = [f"about = {_value(about)}", 'spec = []\noutcome = ""\nlog = ""']
        lines += ["[clock]", *(f"{k} = {_value(v)}" for k, v in clock.items())]
        lines += ["[graph]", "limen = 1", f"runtime = {_value(self.document['runtime'])}"]
        for name, node in self.nodes.items():
            lines += [f"[graph.nodes.{name}]", *(f"{k} = {_value(v)}" for k, v in node.items())]
        for edge in self.edges:
            lines += ["[[graph.edges]]", *(f"{k} = {_value(v)}" for k, v in edge.items())]
        return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Write a value as TOML does, tables in one line."""
    match value:
        case bool() | int() | float() | str():
            return json.dumps(value)
        case dict():
            return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(v) for v in value) + "]"
    raise TypeError(type(value).__name__)
