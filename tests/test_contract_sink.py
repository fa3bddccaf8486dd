"""Every sink of ours under the kit."""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from limen.io import (
    CsvSink,
    Discard,
    JsonLinesSink,
    NpzSink,
    RecordsSink,
    TextLinesSink,
)
from limen.node import Sink
from limen.testing import SinkContract
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec
from sabotage import assert_holds

_FULL = Path("/dev/full")


class InFolder(SinkContract):
    """Gives each sink a file of its own in a folder that goes with the test."""

    def path(self) -> Path:
        if not hasattr(self, "folder"):
            self.folder = tempfile.TemporaryDirectory()
            self.given = 0
        self.given += 1
        return Path(self.folder.name) / f"{self.given}"

    def release(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


class TornFile(io.FileIO):
    """Writes half of the second thing it is given, and has no room for the rest of it."""

    calls = 0

    def write(self, data: object) -> int:
        self.calls += 1
        whole = bytes(data)  # type: ignore[call-overload]  # a buffer, as FileIO takes it
        if self.calls == 2:
            return super().write(whole[: len(whole) // 2])
        if self.calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(whole)


class JsonLinesSinkSuite(InFolder):
    def make(self) -> Sink:
        return JsonLinesSink(self.path())

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, JsonLinesSink) and sink.path is not None
        lines = sink.path.read_text("utf-8").splitlines()
        return [record["value"] for record in map(read, lines) if record is not None]

    def broken(self) -> Sink:
        return JsonLinesSink(_FULL)

    def failing_once(self) -> Sink:
        return torn(JsonLinesSink(self.path()))


class ObjectsAsJsonSuite(JsonLinesSinkSuite):
    """Objects, one of which may have a method that raises."""

    def arriving(self) -> PayloadSpec:
        return ObjectSpec(dict)

    def payloads(self, count: int, seed: int) -> Sequence[object]:
        return [{"n": number, "who": f"é{seed}", "in": [number]} for number in range(count)]


def read(line: str) -> dict[str, object] | None:
    """Read a line; of one that was cut short nothing."""
    try:
        found: dict[str, object] = json.loads(line)
    except ValueError:
        return None
    return found


def torn(sink: JsonLinesSink | TextLinesSink | CsvSink | RecordsSink) -> Sink:
    """Let a sink write to a disk that is full for a while."""
    usual = sink.open

    def open_torn(clock: object, spec: object) -> None:
        usual(clock, spec)  # type: ignore[arg-type]  # handed on as it came
        assert sink._file is not None and sink.path is not None
        sink._file.close()
        sink._file = TornFile(sink.path, "a")

    sink.open = open_torn  # type: ignore[method-assign,assignment]  # stands before the method
    return sink


class TextLinesSinkSuite(InFolder):
    def make(self) -> Sink:
        return TextLinesSink(self.path())

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, TextLinesSink) and sink.path is not None
        lines = sink.path.read_text("utf-8").splitlines()
        found = [re.fullmatch(r" *\S+ s  \[(.*)\]  age .*", line) for line in lines]
        return [[float(number) for number in row[1].split()] for row in found if row is not None]

    def broken(self) -> Sink:
        return TextLinesSink(_FULL)

    def failing_once(self) -> Sink:
        return torn(TextLinesSink(self.path()))


class CsvSinkSuite(InFolder):
    def make(self) -> Sink:
        return CsvSink(self.path())

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, CsvSink) and sink.path is not None
        with sink.path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["sequence", "time_s", "v0", "v1", "v2"]
        return [[float(value) for value in row[2:]] for row in rows[1:] if len(row) == 5]

    def broken(self) -> Sink:
        return CsvSink(_FULL)

    def failing_once(self) -> Sink:
        return torn(CsvSink(self.path()))


class RecordsSinkSuite(InFolder):
    def arriving(self) -> PayloadSpec:
        return TensorSpec(DataType.S16, (2, 2))

    def make(self) -> Sink:
        return RecordsSink(self.path(), byte_order="big")

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, RecordsSink) and sink.path is not None
        return list(np.fromfile(sink.path, ">i2").reshape(-1, 2, 2))

    def broken(self) -> Sink:
        return RecordsSink(_FULL)

    def failing_once(self) -> Sink:
        return torn(RecordsSink(self.path(), byte_order="big"))


class BytesAsRecordsSuite(InFolder):
    lacks: ClassVar[Mapping[str, str]] = {
        "failures": "see the suite of tensors",
        "single failures": "see the suite of tensors",
    }

    def arriving(self) -> PayloadSpec:
        return ObjectSpec(bytes)

    def payloads(self, count: int, seed: int) -> Sequence[object]:
        return [bytes([seed, number]) for number in range(count)]

    def make(self) -> Sink:
        return RecordsSink(self.path())

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, RecordsSink) and sink.path is not None
        content = sink.path.read_bytes()
        return [content[start : start + 2] for start in range(0, len(content), 2)]


class NpzSinkSuite(InFolder):
    lacks: ClassVar[Mapping[str, str]] = {
        "single failures": "all of it is written at once, when it closes",
    }

    def arriving(self) -> PayloadSpec:
        return TensorSpec(DataType.BOOLEAN, (3, 4))

    def make(self) -> Sink:
        return NpzSink(self.path(), 20)

    def written(self, sink: Sink) -> Sequence[object]:
        assert isinstance(sink, NpzSink)
        with np.load(sink.path, allow_pickle=False) as found:
            return list(found["value"])

    def broken(self) -> Sink:
        """Return one whose folder goes away while it is open."""
        sink = NpzSink(self.path(), 20)
        usual = sink.open

        def open_without_folder(clock: object, spec: object) -> None:
            usual(clock, spec)  # type: ignore[arg-type]  # handed on as it came
            sink.path = sink.path.parent / "gone" / "x.npz"

        sink.open = open_without_folder  # type: ignore[method-assign,assignment]  # before it
        return sink

    def plenty(self) -> Sink:
        return NpzSink(self.path(), 2500)


class DiscardSuite(SinkContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "output": "nothing comes out",
        "failures": "nothing is written",
        "single failures": "nothing is written",
    }

    def make(self) -> Sink:
        return Discard()


_SHIPPED = [
    JsonLinesSinkSuite,
    ObjectsAsJsonSuite,
    TextLinesSinkSuite,
    CsvSinkSuite,
    RecordsSinkSuite,
    BytesAsRecordsSuite,
    NpzSinkSuite,
    DiscardSuite,
]


@pytest.mark.parametrize("suite", _SHIPPED, ids=lambda s: s.__name__)
def test_it_passes_without_pytest_as_well(suite: type[SinkContract]) -> None:
    assert_holds(suite)
