"""What one node did with what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from limen.errors import ConfigurationError
from limen.message import MessageHeader
from limen.node import StepResult, YieldUntil
from limen.telemetry import NodeStatistics, RunStatistics
from limen.testing._payloads import Payloads, PortPayloads

NODE: Final = "node"
"""What a single node is called in the graph around it."""


@dataclass(frozen=True, slots=True, eq=False)
class Emitted:
    """One message that a node emitted.

    Attributes:
        header: As it went out.
        payload: A copy, where it is an array; else the object itself.
        at_ns: Instant at which it arrived behind the node.
    """

    header: MessageHeader
    payload: object
    at_ns: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NodeRun:
    """What one node did with what it was given.

    Attributes:
        messages: By output, what it emitted, in order.
        results: What its steps came to.
        errors: What its calls raised, in words; only where the policy states an error action.
        statistics: The accounting of the little graph.
        log: Its decision log.
    """

    messages: Mapping[str, tuple[Emitted, ...]]
    results: tuple[StepResult | YieldUntil, ...]
    errors: tuple[str, ...]
    statistics: RunStatistics
    log: str

    @property
    def outputs(self) -> PortPayloads:
        """Payloads by output; of one output alone, ``==`` takes a list."""
        came = {port: [one.payload for one in sent] for port, sent in self.messages.items()}
        return PortPayloads(came, self._note)

    @property
    def output(self) -> Payloads:
        """The payloads of the only output.

        Raises:
            ConfigurationError: There is none, or there are several.
        """
        if len(self.messages) != 1:
            raise ConfigurationError(
                f"the node has {len(self.messages)} outputs",
                remedy="use outputs[…] with one of " + (", ".join(self.messages) or "none"),
            )
        return next(iter(self.outputs.values()))

    @property
    def headers(self) -> Mapping[str, tuple[MessageHeader, ...]]:
        """Headers by output."""
        return {port: tuple(one.header for one in sent) for port, sent in self.messages.items()}

    @property
    def node(self) -> NodeStatistics:
        """The node's own counts and times."""
        return next(node for node in self.statistics.nodes if node.name == NODE)

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages that the node took and did not use, by reason."""
        counts: dict[str, int] = {}
        for port in self.statistics.inputs:
            if port.name.startswith(f"{NODE}."):
                for reason, count in port.dropped.items():
                    counts[str(reason)] = counts.get(str(reason), 0) + count
        return counts

    def __repr__(self) -> str:
        return f"NodeRun(outputs={self.outputs!r}, calls={self.node.calls})"

    @property
    def _note(self) -> str:
        return "" if not self.errors else f"{len(self.errors)} failed: {self.errors[0]}"
