"""Rows and raw records, written."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import limen
from limen.errors import ConfigurationError, LifecycleError, OutputError
from limen.graph._components import make_component
from limen.io import CsvSink, CsvSource, NpzSource, RecordsSink
from limen.message import Message, MessageHeader
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

PAIR = TensorSpec(DataType.F32, (2,))


def a_message(payload: object, number: int = 7) -> Message:
    header = MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(12_300_000_001),
        origin_tick=Ticks(0),
        payload_size_bytes=1,
    )
    return Message(header, payload)


def rows(sink: CsvSink, spec: PayloadSpec, *payloads: object) -> list[list[str]]:
    assert sink.path is not None
    sink.prepare()
    sink.open(SimClock(), spec)
    for payload in payloads:
        sink.consume(a_message(payload), Ticks(0))
    sink.close()
    with sink.path.open(newline="") as file:
        return list(csv.reader(file))


class Reading(msgspec.Struct):
    celsius: float
    room: str


@dataclasses.dataclass
class Point:
    x: int
    ok: bool


def test_a_tensor_is_one_column_an_entry(tmp_path: Path) -> None:
    found = rows(CsvSink(tmp_path / "a.csv"), PAIR, np.array([0.1, -2], np.float32))
    assert found == [["sequence", "time_s", "v0", "v1"], ["7", "12.300000001", "0.1", "-2.0"]]
    labelled = TensorSpec(DataType.F32, (1, 2), ("walk", "run"))
    assert rows(CsvSink(tmp_path / "a.csv"), labelled)[0][2:] == ["walk", "run"]
    named = CsvSink(tmp_path / "a.csv", ["x", "y"])
    assert rows(named, PAIR)[0][2:] == ["x", "y"]


@pytest.mark.parametrize(
    ("spec", "columns", "payload", "header", "row"),
    [
        (Reading, None, Reading(1.5, "a,b"), ["celsius", "room"], ["1.5", "a,b"]),
        (Reading, ["room"], Reading(1.5, 'q"'), ["room"], ['q"']),
        (Point, None, Point(3, True), ["x", "ok"], ["3", "1"]),
        (dict, ["b", "a"], {"a": 1, "c": 2}, ["b", "a"], ["", "1"]),
        (float, None, 0.1, ["value"], ["0.1"]),
        (str, None, "two\nlines", ["value"], ["two\nlines"]),
        (str, None, "a\rb", ["value"], ["a\rb"]),
    ],
)
def test_objects_become_columns(
    tmp_path: Path,
    spec: type,
    columns: list[str] | None,
    payload: object,
    header: list[str],
    row: list[str],
) -> None:
    found = rows(CsvSink(tmp_path / "a.csv", columns), ObjectSpec(spec), payload)
    assert [line[2:] for line in found] == [header, row]


@pytest.mark.parametrize(
    ("spec", "columns", "reason"),
    [
        (PAIR, ["x"], "columns names 1, the tensor has 2 entries"),
        (ObjectSpec(Reading), ["humidity"], "Reading has no field 'humidity'"),
        (ObjectSpec(dict), None, "a dict does not say which columns"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    tmp_path: Path, spec: PayloadSpec, columns: list[str] | None, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        CsvSink(tmp_path / "a.csv", columns).open(SimClock(), spec)
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("columns", [[], ["a", "a"], ["time_s"]])
def test_columns_that_cannot_be_are_refused(columns: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        CsvSink(None, columns)


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_the_source_reads_what_the_sink_wrote_to_the_last_bit(tmp_path: Path, dtype: str) -> None:
    kind = DataType.from_name(dtype).numpy_dtype()
    array = (np.random.default_rng(2).normal(size=(50, 2)) * 1e3).astype(kind)
    array[7, 1] = np.nan
    np.save(tmp_path / "a.npy", array)
    graph = limen.Graph("write")
    graph.add("a", NpzSource(tmp_path / "a.npy", rate_hz=3, allow_nan=True))
    graph.add("b", CsvSink(tmp_path / "a.csv", ["x", "y"])).connect("a", "b")
    limen.run(graph, clock=SimClock())
    source = CsvSource(tmp_path / "a.csv", ["x", "y"], speed="max", dtype=dtype, allow_nan=True)
    source.prepare()
    source.open(SimClock(), Ticks(0))
    found = [np.array(source.try_produce(Ticks(0)).payload) for _ in range(50)]
    source.close()
    assert np.array_equal(np.stack(found), array, equal_nan=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_found_with_the_header() -> None:
    sink = CsvSink("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        sink.open(SimClock(), PAIR)
    with pytest.raises(LifecycleError):
        sink.consume(a_message(np.zeros(2)), Ticks(0))
    records = RecordsSink("/dev/full")
    records.open(SimClock(), PAIR)
    for _ in range(2):
        with pytest.raises(OutputError, match="No space left"):
            records.consume(a_message(np.zeros(2, np.float32)), Ticks(0))
    records.close()


@pytest.mark.parametrize("sink_type", [CsvSink, RecordsSink])
def test_a_place_that_cannot_be_is_refused(
    tmp_path: Path, sink_type: type[CsvSink] | type[RecordsSink]
) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        sink_type(tmp_path / "gone" / "a").prepare()
    with pytest.raises(OutputError, match="is a folder"):
        sink_type(tmp_path).prepare()
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="Permission denied"):
            sink_type(tmp_path / "a").open(SimClock(), PAIR)
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("dtype", ["u8", "s16", "f32", "f64", "bool"])
def test_records_are_the_bytes_of_numpy(tmp_path: Path, dtype: str, order: Any) -> None:  # noqa: ANN401
    kind = DataType.from_name(dtype).numpy_dtype()
    array = np.random.default_rng(2).integers(0, 2, (9, 2, 3)).astype(kind)
    sink = RecordsSink(tmp_path / "a.raw", byte_order=order)
    sink.prepare()
    sink.open(SimClock(), TensorSpec(DataType.from_name(dtype), (2, 3)))
    for row in array:
        sink.consume(a_message(row), Ticks(0))
    sink.close()
    expected = array.astype(kind.newbyteorder("<" if order == "little" else ">")).tobytes()
    assert (tmp_path / "a.raw").read_bytes() == expected


def test_bytes_are_written_as_they_are_and_text_is_refused(tmp_path: Path) -> None:
    sink = RecordsSink(tmp_path / "a.raw")
    with pytest.raises(OutputError, match="a str has no bytes"):
        sink.open(SimClock(), ObjectSpec(str))
    sink.open(SimClock(), ObjectSpec(bytes))
    sink.consume(a_message(b"ab\n\0"), Ticks(0))
    sink.close()
    assert (tmp_path / "a.raw").read_bytes() == b"ab\n\0"
    with pytest.raises(LifecycleError):
        sink.consume(a_message(b""), Ticks(0))
    with pytest.raises(ConfigurationError, match="byte_order"):
        RecordsSink(byte_order="middle")  # type: ignore[arg-type]


def test_of_a_record_cut_short_nothing_stays(tmp_path: Path) -> None:
    class FullDiskDouble(io.FileIO):
        room: int | None = None

        def write(self, data: Any) -> int:  # noqa: ANN401
            if self.room is None:
                return super().write(data)
            if self.room == 0:
                raise OSError(28, "No space left on device")
            written = super().write(bytes(data)[: self.room])
            self.room -= written
            return written

    sink = RecordsSink(tmp_path / "a.raw")
    sink.open(SimClock(), ObjectSpec(bytes))
    sink._file.close()
    disk = sink._file = FullDiskDouble(tmp_path / "a.raw", "w")
    sink.consume(a_message(b"first"), Ticks(0))
    disk.room = 3
    with pytest.raises(OutputError):
        sink.consume(a_message(b"second"), Ticks(0))
    disk.room = None
    sink.consume(a_message(b"third"), Ticks(0))
    sink.close()
    assert (tmp_path / "a.raw").read_bytes() == b"firstthird"


@pytest.mark.parametrize("stdout", [None, io.StringIO()])
def test_an_output_without_bytes_is_reported(
    monkeypatch: pytest.MonkeyPatch, stdout: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    sink = RecordsSink()
    sink.open(SimClock(), ObjectSpec(bytes))
    with pytest.raises(OutputError, match="standard output"):
        sink.consume(a_message(b"x"), Ticks(0))


def test_a_graph_file_can_make_them(tmp_path: Path) -> None:
    for name, options in (("csv_sink", {"columns": ["x"]}), ("records", {"byte_order": "big"})):
        table: dict[str, object] = {"type": name, "path": "out", **options}
        made, problems = make_component("out", table, tmp_path, False)
        assert problems == []
        assert isinstance(made, (CsvSink, RecordsSink))
        assert made.path == tmp_path / "out"
