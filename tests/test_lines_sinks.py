from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from limen.errors import Code, LifecycleError, OutputError
from limen.graph._components import make_component
from limen.io import JsonLinesSink, TextLinesSink
from limen.message import Message, MessageFlags, MessageHeader
from limen.platform import SimClock
from limen.types import (
    DataType,
    ObjectSpec,
    PayloadSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
)

CLASSES = TensorSpec(DataType.F32, (3,), ("standing", "walking", "running"))
PAIR = TensorSpec(DataType.F32, (1, 2))
ANYTHING = ObjectSpec(object)
PROBABILITIES = np.array([0.001, 0.998, 0.001], np.float32)


def a_message(payload: object, flags: MessageFlags = MessageFlags.NONE) -> Message:
    header = MessageHeader(
        trace_id=TraceId(7),
        sequence=SequenceNumber(7),
        creation_tick=Ticks(12_300_000_000),
        origin_tick=Ticks(12_000_000_000),
        payload_size_bytes=1,
        flags=flags,
    )
    return Message(header, payload)


NOW = Ticks(12_301_200_000)


def lines(sink: JsonLinesSink | TextLinesSink, spec: PayloadSpec, *messages: Message) -> list[str]:
    assert sink.path is not None
    sink.prepare()
    sink.open(SimClock(), spec)
    try:
        for message in messages:
            sink.consume(message, NOW)
    finally:
        sink.close()
    return sink.path.read_text("utf-8").splitlines()


def one_object(tmp_path: Path, payload: object, spec: PayloadSpec) -> dict[str, object]:
    (line,) = lines(JsonLinesSink(tmp_path / "out.jsonl"), spec, a_message(payload))
    found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(found, dict)
    return found


def test_a_classification_is_its_label_and_probability(tmp_path: Path) -> None:
    found = one_object(tmp_path, PROBABILITIES, CLASSES)
    assert list(found.items()) == [
        ("sequence", 7),
        ("time_s", 12.3),
        ("label", "walking"),
        ("probability", 0.998),
        ("age_ms", 1.2),
    ]


def test_a_leading_axis_of_one_does_not_hide_the_label(tmp_path: Path) -> None:
    spec = TensorSpec(DataType.F32, (1, 3), CLASSES.labels)
    assert one_object(tmp_path, PROBABILITIES[None], spec)["label"] == "walking"


def test_several_rows_of_labels_are_written_as_values(tmp_path: Path) -> None:
    spec = TensorSpec(DataType.F32, (2, 3), CLASSES.labels)
    found = one_object(tmp_path, np.zeros((2, 3), np.float32), spec)
    assert found["value"] == [[0, 0, 0], [0, 0, 0]]
    assert "label" not in found


def test_other_tensors_are_nested_lists(tmp_path: Path) -> None:
    assert one_object(tmp_path, np.float32([[1, 2.5]]), PAIR)["value"] == [[1, 2.5]]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    assert one_object(tmp_path, np.float32([[math.nan, math.inf]]), PAIR)["value"] == [[None, None]]
    assert one_object(tmp_path, {"a": [math.nan]}, ANYTHING)["value"] == {"a": [None]}
    unsure = one_object(tmp_path, np.float32([0, math.nan, 0]), CLASSES)
    assert (unsure["label"], unsure["probability"]) == (None, None)


def test_objects_are_written_as_what_they_hold(tmp_path: Path) -> None:
    found = one_object(tmp_path, {"path": Path("a"), 3: (1, "é\n")}, ANYTHING)
    assert found["value"] == {"path": "a", "3": [1, "é\n"]}


def test_marks_are_listed_where_there_are_any(tmp_path: Path) -> None:
    message = a_message(PROBABILITIES, MessageFlags.DEGRADED | MessageFlags.STALE)
    (line,) = lines(JsonLinesSink(tmp_path / "out"), CLASSES, message)
    assert json.loads(line)["flags"] == ["degraded", "stale"]
    (line,) = lines(TextLinesSink(tmp_path / "out"), CLASSES, message)
    assert line.endswith("age 1.2 ms  degraded  stale")


def test_text_lines_are_aligned(tmp_path: Path) -> None:
    other = a_message(np.float32([1, 0, 0]))
    first, second = lines(TextLinesSink(tmp_path / "o"), CLASSES, a_message(PROBABILITIES), other)
    assert first == "   12.3 s  walking   0.998  age 1.2 ms"
    assert second == "   12.3 s  standing  1.000  age 1.2 ms"


def test_text_of_other_payloads_stays_on_one_short_line(tmp_path: Path) -> None:
    matrix = TensorSpec(DataType.F64, (50, 50))
    sink = TextLinesSink(tmp_path / "out")
    assert len(lines(sink, matrix, a_message(np.ones((50, 50))))) == 1
    (line,) = lines(sink, ANYTHING, a_message("x" * 10_000))
    assert len(line) < 200


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (line,) = lines(TextLinesSink(tmp_path / "out"), ANYTHING, a_message("a\x1b[2J\nb\ud800"))
    assert line == "   12.3 s  a\\x1b[2J\\nb\\ud800  age 1.2 ms"


def test_an_unsure_classification_has_a_text_line_too(tmp_path: Path) -> None:
    (line,) = lines(TextLinesSink(tmp_path / "o"), CLASSES, a_message(np.float32([math.nan] * 3)))
    assert "?" in line and "nan" in line


def test_standard_output_is_looked_up_at_open_flushed_and_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sink = JsonLinesSink()
    raw = io.BytesIO()
    stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    sink.prepare()
    sink.open(SimClock(), CLASSES)
    sink.consume(a_message(PROBABILITIES), NOW)
    assert raw.getvalue().endswith(b"}\n")
    sink.close()
    sink.close()
    assert not stream.closed


def test_a_line_is_in_the_file_before_close(tmp_path: Path) -> None:
    sink = TextLinesSink(str(tmp_path / "out"))
    sink.open(SimClock(), CLASSES)
    sink.consume(a_message(PROBABILITIES), NOW)
    assert (tmp_path / "out").read_text().endswith("ms\n")
    sink.close()


def test_a_reader_that_is_gone_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    sink = JsonLinesSink()
    sink.open(SimClock(), CLASSES)
    with pytest.raises(OutputError, match="its reader is gone") as caught:
        sink.consume(a_message(PROBABILITIES), NOW)
    assert caught.value.code is Code.OUTPUT_WRITE
    assert caught.value.remedy
    sink.close()
    with contextlib.suppress(BrokenPipeError):
        stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_costs_that_line_and_close_succeeds() -> None:
    sink = TextLinesSink("/dev/full")
    sink.prepare()
    sink.open(SimClock(), CLASSES)
    for _ in range(2):
        with pytest.raises(OutputError, match="No space left"):
            sink.consume(a_message(PROBABILITIES), NOW)
    sink.close()


def test_a_line_cut_short_is_not_glued_to_the_next(tmp_path: Path) -> None:
    class FullDiskDouble(io.FileIO):
        room: int | None = None

        def write(self, data: memoryview) -> int:
            if self.room is None:
                return super().write(data)
            if self.room == 0:
                raise OSError(28, "No space left on device")
            written = super().write(bytes(data)[: self.room])
            self.room -= written
            return written

    sink = TextLinesSink(tmp_path / "out")
    sink.open(SimClock(), CLASSES)
    sink._file.close()
    disk = sink._file = FullDiskDouble(tmp_path / "out", "w")
    disk.room = 10
    with pytest.raises(OutputError):
        sink.consume(a_message(PROBABILITIES), NOW)
    disk.room = None
    sink.consume(a_message(PROBABILITIES), NOW)
    sink.close()
    cut, whole = (tmp_path / "out").read_text().splitlines()
    assert len(cut) == 10
    assert whole.endswith("age 1.2 ms")


def test_an_output_without_the_character_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    sink = JsonLinesSink()
    sink.open(SimClock(), ANYTHING)
    with pytest.raises(OutputError, match="PYTHONIOENCODING"):
        sink.consume(a_message("é"), NOW)


@pytest.mark.parametrize("stdout", [None, "closed"])
def test_a_missing_standard_output_is_reported(
    monkeypatch: pytest.MonkeyPatch, stdout: str | None
) -> None:
    stream = None if stdout is None else io.StringIO()
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    sink = TextLinesSink()
    sink.open(SimClock(), CLASSES)
    with pytest.raises(OutputError, match="standard output"):
        sink.consume(a_message(PROBABILITIES), NOW)


@pytest.mark.parametrize("sink_type", [JsonLinesSink, TextLinesSink])
def test_a_payload_that_cannot_be_shown_costs_its_own_line_only(
    tmp_path: Path, sink_type: type[JsonLinesSink] | type[TextLinesSink]
) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    sink = sink_type(tmp_path / "out")
    sink.open(SimClock(), ANYTHING)
    with pytest.raises(OutputError, match="message 7 cannot be put into a line"):
        sink.consume(a_message(Broken()), NOW)
    sink.consume(a_message("fine"), NOW)
    sink.close()
    assert "fine" in (tmp_path / "out").read_text()


def test_an_object_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(OutputError, match="cannot be put into a line"):
        one_object(tmp_path, loop, ANYTHING)


def test_a_missing_folder_is_found_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        JsonLinesSink(tmp_path / "gone" / "out").prepare()
    with pytest.raises(OutputError, match="is a folder"):
        JsonLinesSink(tmp_path).prepare()


def test_writing_before_open_or_after_close_is_refused(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "out")
    with pytest.raises(LifecycleError):
        sink.consume(a_message(PROBABILITIES), NOW)
    sink.open(SimClock(), CLASSES)
    sink.close()
    with pytest.raises(LifecycleError):
        sink.consume(a_message(PROBABILITIES), NOW)


def test_a_graph_file_can_make_them(tmp_path: Path) -> None:
    for name in ("JsonLinesSink", "TextLinesSink"):
        table: dict[str, object] = {"type": f"limen.io:{name}", "path": "out"}
        made, problems = make_component("print", table, tmp_path, True)
        assert problems == []
        assert isinstance(made, (JsonLinesSink, TextLinesSink))
        assert made.path == tmp_path / "out"
