"""Where events go: lines for people, lines of JSON, a buffer of fixed size."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TextIO

from limen.errors import Code, OutputError
from limen.telemetry._events import Event, RuntimeEvent, describe_event, event_json
from limen.telemetry.contract import EventSink
from limen.types import require_whole


class _LineSink(EventSink):
    """Writes a line an event; one about the run itself is out at once, others with the next flush.

    Args:
        target: A stream, which stays open, or the path of a file to write anew, which is closed by
            ``close``.

    Raises:
        OutputError: The file cannot be opened.
    """

    def __init__(self, target: TextIO | Path | str) -> None:
        self._owned = isinstance(target, (Path, str))
        self._stream = _open(Path(target)) if isinstance(target, (Path, str)) else target

    def write(self, event: Event) -> None:
        """Write one line."""
        self._stream.write(f"{self._line(event)}\n")
        if isinstance(event, RuntimeEvent):
            self._stream.flush()

    def flush(self) -> None:
        """Write out what the stream holds back."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file that was opened here; idempotent.

        Raises:
            OutputError: What was held back cannot be written.
        """
        if not self._owned:
            return
        try:
            self._stream.close()
        except OSError as error:
            raise OutputError(
                f"events cannot be written: {error.strerror}", code=Code.OUTPUT_FLUSH
            ) from error

    def _line(self, event: Event) -> str:
        return event_json(event)


class JsonEventSink(_LineSink):
    """Writes one JSON object an event, in ASCII: ``event`` names its kind, then its fields."""


class LineEventSink(_LineSink):
    """Writes a line an event for people.

    Args:
        target: As above; standard error if not given.
    """

    def __init__(self, target: TextIO | Path | str | None = None) -> None:
        super().__init__(sys.stderr if target is None else target)

    def _line(self, event: Event) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return describe_event(event).encode(encoding, "backslashreplace").decode(encoding)


class BufferEventSink(EventSink):
    """Keeps the newest events, as many as it was made for: what led to a failure is among them.

    Args:
        capacity: Most events.

    Attributes:
        capacity: Most events.
        overflow: Older events given up for newer ones.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = require_whole("capacity", capacity)
        self.overflow = 0
        self._events: deque[Event] = deque(maxlen=self.capacity)

    @property
    def events(self) -> tuple[Event, ...]:
        """What is kept, oldest first."""
        return tuple(self._events)

    def write(self, event: Event) -> None:
        """Keep an event, in the place of the oldest where there is no room."""
        self.overflow += len(self._events) == self.capacity
        self._events.append(event)

    def clear(self) -> None:
        """Give up what is kept, without counting it."""
        self._events.clear()


def _open(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OutputError(
            f"events {path}: cannot be written: {reason}",
            remedy="give the path of a file in a folder that exists",
        ) from error
