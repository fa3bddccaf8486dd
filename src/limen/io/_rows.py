"""The rows of a CSV file, one at a time, with their line numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from limen.errors import Code, SensorError
from limen.io._files import not_opened, require_file

_LONGEST_LINE = 1 << 20


class Rows:
    """An open CSV file behind its header; lines are numbered as an editor shows them.

    Args:
        path: The file.

    Raises:
        SensorError: It cannot be opened, or has no header.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        require_file(path, "CSV")
        try:
            # A byte that is not UTF-8 must cost its row only: it turns into text that is no number.
            file = path.open(encoding="utf-8-sig", errors="backslashreplace", newline="")
        except OSError as error:
            raise not_opened(path, error, "CSV") from error
        self._lines = _Lines(file)
        self._reader = csv.reader(self._lines, strict=True)
        try:
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    @property
    def line(self) -> int:
        """Number of the last line read, from 1."""
        return self._lines.number

    def next_row(self) -> list[str] | None:
        """Return the next row that is not blank, None at the end.

        Raises:
            SensorError: The row is not CSV, or has not as many fields as the header.
            OSError: The file cannot be read on.
        """
        row = self._next()
        while row is not None and _is_blank(row):
            row = self._next()
        if row is None or len(row) == len(self.header):
            return row
        if len(row) < len(self.header) and not self._lines.terminated:
            raise SensorError(f"{self.name}: the file ends in the middle of row {self.line}")
        fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
        raise SensorError(
            f"{self.name} row {self.line} has {fields}, the header has {len(self.header)}"
        )

    def close(self) -> None:
        """Close the file; idempotent."""
        self._lines.file.close()

    def _next(self) -> list[str] | None:
        first = self.line + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise SensorError(
                f"{self.name} row {first} is not CSV: {error}",
                remedy="look for a quote that is not closed",
            ) from error

    def _read_header(self) -> list[str]:
        try:
            row = self._next()
        except SensorError as error:
            raise SensorError(
                error.message, code=Code.SENSOR_CONFIGURATION, remedy=error.remedy
            ) from error
        except OSError as error:
            raise SensorError(
                f"{self.name} cannot be read: {error.strerror}", code=Code.SENSOR_OPEN
            ) from error
        if row is None or _is_blank(row):
            raise SensorError(
                f"{self.name} {'is empty' if row is None else 'begins with a blank line'}",
                code=Code.SENSOR_CONFIGURATION,
                remedy="its first row names the columns",
            )
        return [name.strip() for name in row]


class _Lines:
    """The lines of a file; knows their number and whether the last one was ended."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.number = 0
        self.terminated = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        self.terminated = line.endswith(("\n", "\r"))
        if self.terminated or len(line) < _LONGEST_LINE:
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self.file.readline(_LONGEST_LINE)
        raise csv.Error(f"the line is longer than {_LONGEST_LINE} characters")


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and row[0].isspace())
