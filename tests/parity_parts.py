"""Scripted parts whose payloads tell them apart, and a sink that keeps what it was given.

Scripted payloads are all zeros: of two executors that mix up slots, both would seem right.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np

from limen.message import Message
from limen.node import ProcessResult, Produced, SourceSignal
from limen.testing import ScriptedNode, ScriptedSink, ScriptedSource
from limen.testing.drawn import Drawn, Objects
from limen.types import Ticks

Table = dict[str, object]

Arrival = tuple[str, object]
"""Of a message that a sink was given: its header, and its payload as it was then."""

_TYPES = {
    "limen.testing:ScriptedNode": "parity_parts:Telling",
    "limen.testing:ScriptedSink": "parity_parts:Keeping",
    "limen.testing:ScriptedSource": "parity_parts:Counting",
    "limen.testing.drawn:Objects": "parity_parts:TellingObjects",
}


_KEPT_OF_NODES = {"sim_cost", "error_action", "criticality", "activation"}
_KEPT_OF_EDGES = {"max_items", "admission", "retention"}
_MESSAGES = 40


def telling(drawn: Drawn, scheduler: str) -> Drawn:
    """Return a drawn graph of parts that tell, under a scheduler."""
    nodes = {
        name: {**node, "type": _TYPES.get(str(node["type"]), node["type"])}
        for name, node in drawn.nodes.items()
    }
    document = {**drawn.document, "nodes": nodes, "runtime": {"scheduler": scheduler}}
    return replace(drawn, document=document)


def plainer(drawn: Drawn) -> Drawn:
    """Return a graph without most of what a Program leaves to the reference, and with more to do.

    What was drawn stays: shapes, scripts, costs, capacities, admissions, mailboxes and stops.
    """
    nodes: dict[str, Table] = {}
    for name, node in drawn.nodes.items():
        kept = {k: v for k, v in node.items() if k not in ("every", "script", "count", "policy")}
        if str(node["type"]).endswith("Source"):
            script = cast("list[Table]", node.get("script") or [{}])
            kept["script"] = [
                {key: value for key, value in script[place % len(script)].items() if key != "at"}
                for place in range(_MESSAGES)
            ]
        elif "script" in node:
            kept["script"] = node["script"]
        policy = cast("Table", node.get("policy", {}))
        kept["policy"] = {k: v for k, v in policy.items() if k in _KEPT_OF_NODES}
        nodes[name] = kept
    edges = [
        {**edge, "policy": {k: v for k, v in policy.items() if k in _KEPT_OF_EDGES}}
        for edge in drawn.edges
        for policy in [cast("Table", edge.get("policy", {}))]
    ]
    return replace(drawn, document={**drawn.document, "nodes": nodes, "edges": edges})


class Counting(ScriptedSource):
    """Fills every payload with the number of its call."""

    asked = 0

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        self.asked += 1
        made = super().try_produce(now)
        if isinstance(made, Produced) and isinstance(made.payload, np.ndarray):
            made.payload[...] = self.asked % 256
        return made


class _Seeing(ScriptedNode):
    """Remembers a digit of what it was given last."""

    seen = 0

    def _bare(self, payload: object) -> object:
        self.seen = _digit(payload)
        return super()._bare(payload)

    def _one(self, message: Message) -> ProcessResult:
        self.seen = _digit(message.payload)
        return super()._one(message)

    def _answer(self) -> ProcessResult:
        # What fails is said to fail here, whoever called.
        return super()._answer()


class Telling(_Seeing):
    """Fills what it emits with the number of its call and the digit of what it was given."""

    def _payload_of(self) -> object:
        self._payload[...] = (self._calls * 16 + self.seen) % 256
        return self._payload


class TellingObjects(_Seeing, Objects):
    """Emits objects of changing size, filled with the digit of what was given last."""

    def _payload_of(self) -> object:
        return bytes([self.seen]) * (1 + 5 * self._calls % 13)


class Keeping(ScriptedSink):
    """Keeps what arrives."""

    @cached_property
    def got(self) -> list[Arrival]:
        """What arrived, oldest first."""
        return []

    def _one(self, message: Message) -> ProcessResult:
        self._keep(message)
        return super()._one(message)

    def _joined(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        for message in messages:
            if message is not None:
                self._keep(message)
        return super()._joined(messages)

    def _keep(self, message: Message) -> None:
        payload = message.payload
        kept = payload.tolist() if isinstance(payload, np.ndarray) else payload
        self.got.append((repr(message.header), kept))


def _digit(payload: object) -> int:
    whole = payload.tobytes() if isinstance(payload, np.ndarray) else payload
    return sum(whole) % 16 if isinstance(whole, bytes) else 0
