"""What happens when a call into a node fails."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from limen.errors import ConfigurationError
from limen.policy._checks import require_port
from limen.types import parse_duration_ns, require_type, require_whole


class ErrorAction(enum.Enum):
    """What happens when a call into a node fails; the value is its name in graph files.

    All of them lose what the call was given, as dropped{error}. HALT_GRAPH ends the run, QUIESCE
    ends the node, CONTINUE goes on. ``EmitFailsafe`` and ``Restart`` are actions as well.
    """

    HALT_GRAPH = "halt_graph"
    QUIESCE = "quiesce"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, eq=False)
class EmitFailsafe:
    """Emit a declared message in place of the result that did not come, flagged DEFAULTED.

    Args:
        payload: What the output could have emitted.
        port: The output; may be left out where there is one.
        quiesce: Whether the node ends then.
    """

    payload: object
    port: str | None = None
    quiesce: bool = False

    def __post_init__(self) -> None:
        if self.port is not None:
            require_port("port", self.port, "name an output of the node")
        require_type("quiesce", self.quiesce, bool, "write True or False")


@dataclass(frozen=True, slots=True)
class Restart:
    """Stop, reset, initialise and start the node again; its queues stay.

    Args:
        max: Most restarts within ``per``; one more halts the graph.
        per: Window in which restarts count: text with a unit.
        backoff: Rest after a restart: text with a unit. It doubles with each within ``per``.
    """

    max: int
    per: str = "60s"
    backoff: str = "0ns"

    @property
    def rest_ns(self) -> int:
        """Rest after all restarts (at most 64 of them) in ns: only a longer ``per`` has a limit."""
        return parse_duration_ns(self.backoff, what="backoff") * ((1 << min(self.max, 64)) - 1)

    @property
    def per_ns(self) -> int:
        """The window in nanoseconds."""
        return parse_duration_ns(self.per, what="per")

    def __post_init__(self) -> None:
        object.__setattr__(self, "max", require_whole("max restarts", self.max))
        if self.per_ns == 0:
            raise ConfigurationError("restarts per 0", remedy="give a positive duration")
        _ = self.rest_ns  # which refuses what is no duration


ErrorRule = ErrorAction | EmitFailsafe | Restart


def backoff_ticks(backoff: int, restarts: int) -> int:
    """Return the rest after the last of so many restarts: ``backoff · 2^(restarts − 1)``. Pure."""
    return backoff << (restarts - 1)
