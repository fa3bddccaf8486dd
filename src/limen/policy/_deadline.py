"""When a result is late, and what becomes of a message that would be."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from limen.types import parse_duration_ns, require_type


class OnMiss(enum.Enum):
    """What becomes of what is late or would be; the value is its name in graph files.

    PROCESS handles it all the same, and counts the miss. DROP discards it before the call: what is
    expired, and what is infeasible because the node's budget reaches past the deadline.
    """

    PROCESS = "process"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a result is late.

    Args:
        default: Deadline of messages that carry none, counted from their push into this node's
            input: text with a unit.
        slack: Lateness that is still on time: text with a unit.
        require: Whether a message without any deadline is dropped.
        on_miss: What becomes of what is late or would be.
    """

    default: str | None = None
    slack: str = "0ns"
    require: bool = False
    on_miss: OnMiss = OnMiss.PROCESS

    def __post_init__(self) -> None:
        _ = self.default_ns, self.slack_ns  # which refuse what is no duration
        require_type("require", self.require, bool, "write True or False")
        require_type("on_miss", self.on_miss, OnMiss, "use OnMiss.PROCESS or OnMiss.DROP")

    @property
    def default_ns(self) -> int | None:
        """The default in nanoseconds."""
        return None if self.default is None else parse_duration_ns(self.default, what="deadline")

    @property
    def slack_ns(self) -> int:
        """The slack in nanoseconds."""
        return parse_duration_ns(self.slack, what="slack")
