"""Every source of ours under the kit."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from limen.io import (
    CsvSource,
    Disturbed,
    JsonLinesSource,
    Noise,
    NpzSource,
    Ramp,
    Sine,
    StdinJsonLines,
    StdinLines,
    StdinRecords,
    Steps,
)
from limen.node import Source
from limen.platform import PlatformClock, SimClock
from limen.testing import ScriptedSource, SourceContract
from sabotage import assert_holds

_FILE = {"waits": "a file is there as a whole"}
_SIGNAL = {"failures": "nothing is read", "waits": "nothing has to come"}
_PIPE = {"rewinds": "what came through a pipe is gone"}
_ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


class InFiles(SourceContract):
    """Keeps its files in a folder of its own."""

    lacks: ClassVar[Mapping[str, str]] = _FILE

    def file(self, content: str) -> Path:
        if not hasattr(self, "folder"):
            self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / f"{len(list(Path(self.folder.name).iterdir()))}"
        path.write_text(content, encoding="utf-8")
        return path

    def release(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    return "".join(f"{','.join(str(value) for value in row)}\n" for row in [["a", "b"], *rows])


class CsvSourceSuite(InFiles):
    place_in_error = "row 3, column 'b'"

    def make(self) -> Source:
        return CsvSource(self.file(csv_text(_ROWS)), ["a", "b"], rate_hz=50)

    def expected(self) -> Sequence[object]:
        return _ROWS

    def broken(self) -> Source:
        rows = [[1, 2], [3, "x"], [5, 6]]
        return CsvSource(self.file(csv_text(rows)), ["a", "b"], rate_hz=50)

    def expected_of_broken(self) -> Sequence[object]:
        return [[1, 2], [5, 6]]

    def plenty(self) -> Source:
        return CsvSource(self.file(csv_text([[1, 2]] * 2500)), ["a", "b"], rate_hz=50)


class CsvSourceAtFullSpeedSuite(CsvSourceSuite):
    def make(self) -> Source:
        return CsvSource(self.file(csv_text(_ROWS)), ["a", "b"], rate_hz=50, speed="max")


class JsonLinesSourceSuite(InFiles):
    place_in_error = "line 2"
    _values: ClassVar[list[dict[str, object]]] = [{"t": 0, "x": 1}, {"t": 3, "x": "two"}, {"t": 3}]

    def reading(self, lines: Sequence[str]) -> Source:
        return JsonLinesSource(self.file("\n".join(lines)), time_field="t", time_unit="ms")

    def make(self) -> Source:
        return self.reading([json.dumps(value) for value in self._values])

    def expected(self) -> Sequence[object]:
        return self._values

    def broken(self) -> Source:
        return self.reading(['{"t": 0}', '{"t": ', '{"t": 3}'])

    def expected_of_broken(self) -> Sequence[object]:
        return [{"t": 0}, {"t": 3}]

    def plenty(self) -> Source:
        return self.reading([json.dumps({"t": number}) for number in range(2500)])


class JsonLinesSourceOnAGridSuite(JsonLinesSourceSuite):
    """By a rate, and tensors."""

    _values: ClassVar[list[dict[str, object]]] = [{"x": [1, 2]}, {"x": [3, 4]}]

    def reading(self, lines: Sequence[str]) -> Source:
        path = self.file("\n".join(lines))
        return JsonLinesSource(path, fields=["x"], shape=[2], rate_hz=100)

    def expected(self) -> Sequence[object]:
        return [value["x"] for value in self._values]

    def broken(self) -> Source:
        return self.reading(['{"x": [1, 2]}', '{"x": [1]}', '{"x": [3, 4]}'])

    def expected_of_broken(self) -> Sequence[object]:
        return [[1, 2], [3, 4]]

    def plenty(self) -> Source:
        return self.reading(['{"x": [1, 2]}'] * 2500)


class NpzSourceSuite(InFiles):
    place_in_error = "row 1"

    def array(self, rows: object, times: Sequence[float] | None = None) -> Source:
        path = self.file("")
        with path.open("wb") as file:
            if times is None:
                np.save(file, np.asarray(rows, np.float32))
            else:
                np.savez_compressed(file, x=np.asarray(rows, np.float32), t=times)
        if times is None:
            return NpzSource(path, rate_hz=30)
        return NpzSource(path, "x", time_key="t")

    def make(self) -> Source:
        return self.array(_ROWS)

    def expected(self) -> Sequence[object]:
        return _ROWS

    def broken(self) -> Source:
        return self.array([[1, 2], [np.nan, 4], [5, 6]])

    def expected_of_broken(self) -> Sequence[object]:
        return [[1, 2], [5, 6]]

    def plenty(self) -> Source:
        return self.array(np.ones((2500, 2)))


class NpzSourceWithTimesSuite(NpzSourceSuite):
    def make(self) -> Source:
        return self.array(_ROWS, [100.0, 100.02, 100.05])

    def plenty(self) -> Source:
        return self.array(np.ones((2500, 2)), list(range(2500)))


class SineSuite(SourceContract):
    lacks: ClassVar[Mapping[str, str]] = {**_SIGNAL, "end": "it has none"}

    def make(self) -> Source:
        return Sine([1.0, 2.0], 300)


class NoiseSuite(SourceContract):
    lacks: ClassVar[Mapping[str, str]] = {**_SIGNAL, "end": "it has none"}

    def make(self) -> Source:
        return Noise(100, 7, channels=3)


class RampSuite(SourceContract):
    lacks = _SIGNAL

    def make(self) -> Source:
        return Ramp(100, count=8, start=3)

    def expected(self) -> Sequence[object]:
        return [[number] for number in range(3, 11)]

    def plenty(self) -> Source:
        return Ramp(100)


class StepsSuite(SourceContract):
    lacks: ClassVar[Mapping[str, str]] = {**_SIGNAL, "end": "it has none"}

    def make(self) -> Source:
        return Steps([1.0, 5.0], 20, hold=2)

    def expected(self) -> Sequence[object]:
        return [[1], [1], [5], [5], [1], [1]]


class DisturbedSuite(SourceContract):
    lacks: ClassVar[Mapping[str, str]] = {
        "failures": "signals of its replay are none; see those",
        "waits": "nothing has to come",
    }

    def make(self) -> Source:
        return Disturbed(
            Ramp(100, count=30), 4, jitter="40ms", loss=0.2, duplication=0.3, keep_order=False
        )

    def plenty(self) -> Source:
        return Disturbed(Ramp(100), 4, jitter="5ms")


class DisturbedRecordingSuite(InFiles):
    """A replay that meets what cannot be read."""

    place_in_error = "row 3, column 'b'"

    def recording(self, rows: Sequence[Sequence[object]]) -> Source:
        replay = CsvSource(self.file(csv_text(rows)), ["a", "b"], rate_hz=50)
        return Disturbed(replay, 1, jitter="15ms")

    def make(self) -> Source:
        return self.recording(_ROWS)

    def expected(self) -> Sequence[object]:
        return _ROWS

    def broken(self) -> Source:
        return self.recording([[1, 2], [3, "x"], [5, 6]])

    def expected_of_broken(self) -> Sequence[object]:
        return [[1, 2], [5, 6]]

    def plenty(self) -> Source:
        return self.recording([[1, 2]] * 2500)


class FromPipe(SourceContract):
    """Puts into pipes what a source reads; one that is starved has a writer that says nothing."""

    lacks: ClassVar[Mapping[str, str]] = _PIPE

    def pipe(self, content: bytes, *, ends: bool = True) -> int:
        if not hasattr(self, "ends"):
            self.ends: list[int] = []
        reader, writer = os.pipe()
        self.ends += [reader] if ends else [reader, writer]
        os.write(writer, content)
        if ends:
            os.close(writer)
        return reader

    def release(self) -> None:
        for descriptor in getattr(self, "ends", ()):
            os.close(descriptor)


class StdinLinesSuite(FromPipe):
    place_in_error = "line 2: byte 1"

    def make(self) -> Source:
        return StdinLines(descriptor=self.pipe(b"one\r\n\ntwo\nthree"))

    def expected(self) -> Sequence[object]:
        return ["one", "", "two", "three"]

    def broken(self) -> Source:
        return StdinLines(descriptor=self.pipe(b"one\n\xff\ntwo\n"))

    def expected_of_broken(self) -> Sequence[object]:
        return ["one", "two"]

    def starved(self) -> Source:
        return StdinLines(descriptor=self.pipe(b"on", ends=False))

    def plenty(self) -> Source:
        return StdinLines(descriptor=self.pipe(b"some line\n" * 2500))


class LiveStdinLinesSuite(StdinLinesSuite):
    def make(self) -> Source:
        return StdinLines(descriptor=self.pipe(b"one\r\n\ntwo\nthree"), live=True)


class StdinJsonLinesSuite(FromPipe):
    place_in_error = "line 2"

    def make(self) -> Source:
        return StdinJsonLines(descriptor=self.pipe(b'{"a": 1}\n\n{"a": [2]}\n'))

    def expected(self) -> Sequence[object]:
        return [{"a": 1}, {"a": [2]}]

    def broken(self) -> Source:
        return StdinJsonLines(descriptor=self.pipe(b'{"a": 1}\n{\n{"a": 2}\n'))

    def expected_of_broken(self) -> Sequence[object]:
        return [{"a": 1}, {"a": 2}]

    def starved(self) -> Source:
        return StdinJsonLines(descriptor=self.pipe(b'{"a": 1}', ends=False))

    def plenty(self) -> Source:
        return StdinJsonLines(descriptor=self.pipe(b'{"a": 1}\n' * 2500))


class StdinRecordsSuite(FromPipe):
    place_in_error = "record 3"

    def records(self, count: int, rest: bytes = b"", *, ends: bool = True) -> Source:
        content = np.arange(2 * count, dtype="<i2").tobytes() + rest
        return StdinRecords("s16", [2], descriptor=self.pipe(content, ends=ends))

    def make(self) -> Source:
        return self.records(3)

    def expected(self) -> Sequence[object]:
        return [[0, 1], [2, 3], [4, 5]]

    def broken(self) -> Source:
        return self.records(2, b"\0")

    def expected_of_broken(self) -> Sequence[object]:
        return [[0, 1], [2, 3]]

    def starved(self) -> Source:
        return self.records(0, b"\0", ends=False)

    def plenty(self) -> Source:
        return self.records(2500)


class ScriptedSourceSuite(SourceContract):
    """A script without instants."""

    def make(self) -> Source:
        return ScriptedSource([{}, {"result": "nothing"}, {"created": "1ms"}, {}], size_bytes=2)

    def expected(self) -> Sequence[object]:
        return [[0, 0]] * 3

    def broken(self) -> Source:
        return ScriptedSource([{}, {"result": "error"}, {}], size_bytes=1)

    def expected_of_broken(self) -> Sequence[object]:
        return [[0], [0]]

    def starved(self) -> Source:
        return ScriptedSource([{"result": "nothing"}])

    def plenty(self) -> Source:
        return ScriptedSource(count=2500)


class TimedScriptedSourceSuite(ScriptedSourceSuite):
    lacks: ClassVar[Mapping[str, str]] = {"waits": "see the script without instants"}

    def make(self) -> Source:
        return ScriptedSource(count=5, every="10ms")

    def expected(self) -> Sequence[object]:
        return [[0] * 4] * 5

    def clock(self) -> PlatformClock:
        return SimClock()


class ScriptedSourceWithInstantsSuite(TimedScriptedSourceSuite):
    def make(self) -> Source:
        script: list[dict[str, str | bool]] = [
            {"at": "1ms"},
            {"at": "1ms"},
            {"at": "7ms"},
            {"result": "end"},
            {"at": "9ms"},
        ]
        return ScriptedSource(script, size_bytes=1)

    def expected(self) -> Sequence[object]:
        return [[0]] * 3


_SHIPPED = [
    CsvSourceSuite,
    CsvSourceAtFullSpeedSuite,
    JsonLinesSourceSuite,
    JsonLinesSourceOnAGridSuite,
    NpzSourceSuite,
    NpzSourceWithTimesSuite,
    SineSuite,
    NoiseSuite,
    RampSuite,
    StepsSuite,
    DisturbedSuite,
    DisturbedRecordingSuite,
    StdinLinesSuite,
    LiveStdinLinesSuite,
    StdinJsonLinesSuite,
    StdinRecordsSuite,
    ScriptedSourceSuite,
    TimedScriptedSourceSuite,
    ScriptedSourceWithInstantsSuite,
]


@pytest.mark.parametrize("suite", _SHIPPED, ids=lambda s: s.__name__)
def test_it_passes_without_pytest_as_well(suite: type[SourceContract]) -> None:
    assert_holds(suite)
