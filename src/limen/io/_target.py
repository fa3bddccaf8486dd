"""Where results go: standard output, or a file."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TextIO

from limen.errors import Code, LifecycleError, OutputError
from limen.io._files import require_place
from limen.node import Sink
from limen.platform import PlatformClock
from limen.types import PayloadSpec


class TargetSink(Sink):
    """Opens and closes what it writes to; standard output stays open.

    Args:
        path: File to write anew; None writes to standard output.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._opened: tuple[PlatformClock, PayloadSpec] | None = None
        self._file: io.FileIO | None = None
        self._stdout: TextIO | None = None

    def prepare(self) -> None:
        """Check that the file can lie where it should."""
        if self.path is not None:
            require_place(self.path)

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        """Open the file, or look up standard output."""
        self.close()
        if self.path is not None:
            self.prepare()
            try:
                # Unbuffered: what could not be written is not tried again behind our back.
                self._file = io.FileIO(self.path, "w")
            except OSError as error:
                raise self._refusal(error) from error
        else:
            self._stdout = sys.stdout
        self._opened = (clock, spec)

    def close(self) -> None:
        """Close the file; standard output stays open. Idempotent."""
        file, self._file = self._file, None
        self._opened = self._stdout = None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise OutputError(
                    f"{self._target} cannot be closed: {error.strerror}", code=Code.OUTPUT_FLUSH
                ) from error

    @property
    def _target(self) -> str:
        return "standard output" if self.path is None else str(self.path)

    def _require_open(self) -> tuple[PlatformClock, PayloadSpec]:
        if self._opened is None:
            raise LifecycleError(f"{self._target} is written before open or after close")
        return self._opened

    def _refusal(self, error: OSError | ValueError) -> OutputError:
        if isinstance(error, BrokenPipeError):
            return OutputError(
                f"{self._target} cannot be written: its reader is gone",
                remedy="keep the reading program running",
            )
        if isinstance(error, UnicodeEncodeError):
            character = error.object[error.start]
            return OutputError(
                f"{self._target} cannot be written: {error.encoding} has no {character!a}",
                remedy="set PYTHONIOENCODING=utf-8",
            )
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return OutputError(f"{self._target} cannot be written: {reason}")
