"""Sources and sinks on files, streams and arithmetic."""

from limen.io._csv import CsvSource
from limen.io._discard import Discard
from limen.io._json_lines import JsonLinesSource
from limen.io._lines import JsonLinesSink, TextLinesSink
from limen.io._npz import NpzSource
from limen.io._npz_sink import NpzSink

__all__ = [
    "CsvSource",
    "Discard",
    "JsonLinesSink",
    "JsonLinesSource",
    "NpzSink",
    "NpzSource",
    "TextLinesSink",
]
