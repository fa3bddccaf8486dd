"""The end of what nobody needs."""

from __future__ import annotations

from limen.message import Message
from limen.node import CForm, NodePorts, Sink
from limen.types import Ticks


class Discard(Sink):
    """Takes everything and keeps nothing: for outputs that a graph has no use for."""

    def consume(self, message: Message, now: Ticks) -> None:
        """Let the message go."""

    def c_form(self, ports: NodePorts) -> CForm:
        """Return what lets every message go."""
        return CForm(call="return LIMEN_DONE;")
