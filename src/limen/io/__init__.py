"""Sources and sinks on files and streams."""

from limen.io._csv import CsvSource
from limen.io._discard import Discard
from limen.io._lines import JsonLinesSink, TextLinesSink

__all__ = ["CsvSource", "Discard", "JsonLinesSink", "TextLinesSink"]
