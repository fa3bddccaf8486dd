"""Sources and sinks on files, streams and arithmetic."""

from limen.io._csv import CsvSource
from limen.io._csv_sink import CsvSink
from limen.io._discard import Discard
from limen.io._disturbed import Disturbed
from limen.io._generators import Noise, Ramp, Sine, Steps
from limen.io._json_lines import JsonLinesSource
from limen.io._lines import JsonLinesSink, TextLinesSink
from limen.io._npz import NpzSource
from limen.io._npz_sink import NpzSink
from limen.io._raw import RecordsSink
from limen.io._stdin import StdinJsonLines, StdinLines, StdinRecords

__all__ = [
    "CsvSink",
    "CsvSource",
    "Discard",
    "Disturbed",
    "JsonLinesSink",
    "JsonLinesSource",
    "Noise",
    "NpzSink",
    "NpzSource",
    "Ramp",
    "RecordsSink",
    "Sine",
    "StdinJsonLines",
    "StdinLines",
    "StdinRecords",
    "Steps",
    "TextLinesSink",
]
