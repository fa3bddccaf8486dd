"""Lines of JSON, replayed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import limen
from limen.errors import Code, ConfigurationError, LifecycleError, SensorError
from limen.graph._components import make_component
from limen.io import CsvSource, JsonLinesSink, JsonLinesSource, NpzSource
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.types import DataType, ObjectSpec, SequenceNumber, TensorSpec, Ticks


class Reading(msgspec.Struct):
    celsius: float
    room: str = "?"
    t: int = 0


def made_of(tmp_path: Path, content: str | bytes, **options: Any) -> JsonLinesSource:  # noqa: ANN401
    path = tmp_path / "log.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if "rate_hz" not in options and "time_field" not in options:
        options["speed"] = "max"
    source = JsonLinesSource(path, **options)
    source.prepare()
    source.open(SimClock(), Ticks(0))
    return source


def drain(source: JsonLinesSource) -> list[object]:
    """Return each payload, or the text of the error in its place."""
    found: list[object] = []
    for _ in range(10_000):
        try:
            made = source.try_produce(Ticks(1 << 62))
        except SensorError as error:
            assert error.code is Code.SENSOR_READ
            found.append(str(error))
            continue
        if not isinstance(made, Produced):
            assert made is SourceSignal.END_OF_STREAM
            source.close()
            return found
        tensor = isinstance(made.payload, np.ndarray)
        found.append(made.payload.tolist() if tensor else made.payload)
    raise AssertionError("the source does not end")


def test_fields_make_a_tensor_in_the_order_asked_for(tmp_path: Path) -> None:
    source = made_of(
        tmp_path, '{"b": 2, "a": 1.5, "c": "x"}\n{"a": -1, "b": 3}\n', fields=["a", "b"]
    )
    assert source.spec() == TensorSpec(DataType.F32, (2,))
    assert drain(source) == [[1.5, 2], [-1, 3]]


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64", "s64", "u8", "bool"])
def test_lists_of_numbers_are_what_numpy_makes_of_them(tmp_path: Path, dtype: str) -> None:
    numpy_dtype = DataType.from_name(dtype).numpy_dtype()
    arrays = np.random.default_rng(3).integers(0, 2, (30, 2, 3)).astype(numpy_dtype)
    text = "".join(json.dumps({"v": array.tolist()}) + "\n" for array in arrays)
    source = made_of(tmp_path, text, fields=["v"], shape=[2, 3], dtype=dtype)
    assert np.array_equal(np.array(drain(source), numpy_dtype), arrays)


def test_typed_fields_make_a_dict_and_others_are_left_out(tmp_path: Path) -> None:
    text = '{"celsius": 20, "room": "hall", "more": [1]}\n{"celsius": "hot", "room": "x"}\n{}\n'
    source = made_of(tmp_path, text, types={"celsius": "float", "room": "str"})
    assert source.spec() == ObjectSpec(dict)
    first, wrong, missing = drain(source)
    assert first == {"celsius": 20.0, "room": "hall"}
    assert wrong == "log.jsonl line 2: Expected `float`, got `str` - at `$.celsius`"
    assert "line 3: Object missing required field" in str(missing)


def test_a_struct_is_filled(tmp_path: Path) -> None:
    source = made_of(tmp_path, '{"celsius": 20.5}\n{"celsius": 1, "room": 3}\n', struct=Reading)
    assert source.spec() == ObjectSpec(Reading)
    first, wrong = drain(source)
    assert first == Reading(20.5)
    assert "line 2: Expected `str`, got `int`" in str(wrong)


def test_without_fields_the_payload_is_the_object(tmp_path: Path) -> None:
    assert drain(made_of(tmp_path, '{"a": [1, null]}\n[1]\n')) == [
        {"a": [1, None]},
        "log.jsonl line 2: Expected `object`, got `array`",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: Input data was truncated"),
        ("nonsense", "line 2: JSON is malformed"),
        ('{"a": 1}', "line 2: field 'b' is missing"),
        ('{"a": "1", "b": 2}', "line 2: field 'a': text is not a number"),
        ('{"a": null, "b": 2}', "line 2: field 'a': null is not a number"),
        ('{"a": {}, "b": 2}', "line 2: field 'a': an object is not a number"),
        ('{"a": true, "b": 2}', "line 2: field 'a': True is not a number"),
        ('{"a": [1, 2], "b": 2}', "line 2: field 'b': there are more than 2 numbers"),
        ('{"a": [], "b": 2}', "line 2: there are 1 numbers, 2 are wanted"),
        ('{"a": 1e300, "b": 2}', "line 2: field 'a': 1e+300 does not fit f32"),
        ('{"a": NaN, "b": 2}', "line 2: JSON is malformed"),
        ('{"a": ' + "[" * 100_000, "line 2: it is nested too deeply"),
        ('{"a": ' + "9" * 400 + ', "b": 2}', "line 2: "),
    ],
)
def test_a_bad_line_is_named_and_the_next_one_goes_on(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f'{{"a": 1, "b": 2}}\n{line}\n{{"a": 3, "b": 4}}\n'
    first, bad, last = drain(made_of(tmp_path, text, fields=["a", "b"]))
    assert (first, last) == ([1, 2], [3, 4])
    assert reason in str(bad)
    assert len(str(bad)) < 200


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        ("u8", "256", "256 does not fit u8"),
        ("u8", "-1", "-1 does not fit u8"),
        ("s16", "1.5", "1.5 is not a whole number"),
        ("bool", "1", "1 is not a truth value"),
        ("f16", "70000", "70000.0 does not fit f16"),
    ],
)
def test_a_number_that_the_type_does_not_hold_is_refused(
    tmp_path: Path, dtype: str, value: str, reason: str
) -> None:
    (found,) = drain(made_of(tmp_path, f'{{"a": {value}}}\n', fields=["a"], dtype=dtype))
    assert reason in str(found)


def test_blank_lines_crlf_a_byte_order_mark_and_a_missing_last_end_are_no_trouble(
    tmp_path: Path,
) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}'
    source = made_of(tmp_path, content, fields=["a"])
    assert drain(source) == [[1], [2]]
    assert source.locate(SequenceNumber(1)) == "log.jsonl line 4"


def test_a_file_that_ends_in_mid_line_says_so(tmp_path: Path) -> None:
    assert drain(made_of(tmp_path, '{"a": 1}\n{"a": ', fields=["a"])) == [
        [1],
        "log.jsonl: the file ends in the middle of line 2",
    ]


def test_bytes_that_are_not_utf8_cost_their_line_only(tmp_path: Path) -> None:
    first, bad, last = drain(made_of(tmp_path, b'{"a": "x"}\n{"a": "\xff"}\n{"a": "y"}\n'))
    assert (first, last) == ({"a": "x"}, {"a": "y"})
    assert "line 2" in str(bad)


def test_an_endless_line_is_refused_without_being_kept(tmp_path: Path) -> None:
    text = '{"a": 1}\n"' + "x" * (3 << 20) + '"\n{"a": 2}\n'
    first, bad, last = drain(made_of(tmp_path, text, fields=["a"]))
    assert (first, last) == ([1], [2])
    assert "line 2: it is longer than" in str(bad)


def test_null_is_nan_where_it_is_allowed(tmp_path: Path) -> None:
    ((value,),) = drain(made_of(tmp_path, '{"a": null}\n', fields=["a"], allow_nan=True))
    assert np.isnan(value)


def test_lines_come_at_their_times_and_bad_ones_do_not_shift_them(tmp_path: Path) -> None:
    text = (
        'x\n{"t": 5, "a": 0}\n{"t": 5.5, "a": 1}\nx\n{"t": 5.25, "a": 9}\n{"a": 9}\n'
        '{"t": "6", "a": 9}\n{"t": 1e999, "a": 9}\n{"t": 7, "a": 2}\n'
    )
    source = made_of(tmp_path, text, fields=["a"], time_field="t", speed=2)
    found, dues = [], []
    while True:
        try:
            made = source.try_produce(Ticks(1 << 62))
        except SensorError as error:
            found.append(str(error))
            continue
        if not isinstance(made, Produced):
            break
        found.append(float(made.payload[0]))
        dues.append(made.creation_tick)
    assert dues == [0, 250_000_000, 1_000_000_000]
    assert [f for f in found if isinstance(f, float)] == [0, 1, 2]
    assert "line 1: JSON is malformed" in found[0]
    assert "line 5: its time is before that of the line before" in found[4]
    assert "line 6: field 't' is missing" in found[5]
    assert "line 7: '6' is not a time" in found[6]
    assert source.locate(SequenceNumber(2)) == "log.jsonl line 9"
    source.close()


@pytest.mark.parametrize("way", [{"types": {"celsius": "float"}}, {"struct": Reading}, {}])
def test_times_work_for_every_kind_of_payload(tmp_path: Path, way: dict[str, Any]) -> None:
    big = 1_700_000_000_000_000_001
    text = f'{{"celsius": 1, "t": {big}}}\n{{"celsius": 2, "t": {big + 7}}}\n'
    source = made_of(tmp_path, text, time_field="t", time_unit="ns", **way)
    made = [source.try_produce(Ticks(1 << 62)) for _ in range(2)]
    assert [m.creation_tick for m in made] == [0, 7]
    if "types" in way:
        assert made[0].payload == {"celsius": 1.0}
    source.close()


@pytest.mark.parametrize(
    "options",
    [
        {"fields": []},
        {"fields": ["a", "a"]},
        {"fields": ["a"], "types": {"a": "int"}},
        {"shape": [2]},
        {"fields": ["a"], "shape": [0]},
        {"fields": ["a"], "dtype": "bf16"},
        {"fields": ["a"], "dtype": "text"},
        {"types": {}},
        {"types": {"a": "double"}},
        {"struct": dict},
        {"struct": "parts:Reading"},
        {"struct": Reading, "time_field": "when"},
        {"time_field": "t", "time_unit": "min"},
        {"time_field": "t", "rate_hz": 10},
        {"rate_hz": -1},
        {},
    ],
)
def test_parameters_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError) as caught:
        JsonLinesSource(tmp_path / "a.jsonl", **options).prepare()
    assert caught.value.remedy


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(SensorError, match=reason):
            JsonLinesSource(path, rate_hz=1).prepare()
    if os.geteuid() != 0:
        (tmp_path / "a").touch(0)
        with pytest.raises(SensorError, match="Permission denied"):
            JsonLinesSource(tmp_path / "a", rate_hz=1).prepare()


def test_a_failing_disk_is_reported_and_ends_the_replay(tmp_path: Path) -> None:
    class FailingFileDouble:
        def readline(self, size: int) -> bytes:
            raise OSError(5, "Input/output error")

        def close(self) -> None: ...

    for options in ({}, {"time_field": "t"}):
        source = made_of(tmp_path, '{"t": 1}\n' * 3, **options)
        source._file.close()
        source._file = FailingFileDouble()
        found = drain(source)
        assert "behind line" in str(found[-1]) and "Input/output error" in str(found[-1])


def test_reading_before_open_or_after_close_is_refused(tmp_path: Path) -> None:
    source = made_of(tmp_path, "{}\n")
    source.close()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))


def test_what_the_sink_wrote_can_be_read_again(tmp_path: Path) -> None:
    array = np.random.default_rng(5).normal(size=(25, 3)).astype(np.float32)
    array[3, 1] = np.nan
    np.save(tmp_path / "a.npy", array)
    graph = limen.Graph("write")
    graph.add("a", NpzSource(tmp_path / "a.npy", rate_hz=8, allow_nan=True))
    graph.add("b", JsonLinesSink(tmp_path / "b.jsonl")).connect("a", "b")
    limen.run(graph, clock=SimClock())
    source = JsonLinesSource(
        tmp_path / "b.jsonl", fields=["value"], shape=[3], time_field="time_s", allow_nan=True
    )
    source.prepare()
    source.open(SimClock(), Ticks(0))
    rows, dues = [], []
    while isinstance(made := source.try_produce(Ticks(1 << 62)), Produced):
        rows.append(np.array(made.payload))
        dues.append(made.creation_tick)
    source.close()
    assert np.array_equal(np.stack(rows), array, equal_nan=True)
    assert dues == [n * 125_000_000 for n in range(25)]


def test_a_graph_file_can_make_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n')
    table = {
        "type": "json_lines_source",
        "path": "a.jsonl",
        "types": {"x": "int"},
        "time_field": "t",
    }
    made, problems = make_component("log", table, tmp_path, False)
    assert problems == []
    assert isinstance(made, JsonLinesSource)
    made.prepare()
    _, problems = make_component("log", {**table, "struct": "a:B"}, tmp_path, False)
    assert "more than one of fields, types and struct" in problems[0].message


class Collect(limen.Sink):
    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.seen.append(np.asarray(message.payload).tolist())


@pytest.mark.parametrize("speed", [0.25, 1.0, 7.0, None])
def test_the_same_messages_come_at_any_speed(tmp_path: Path, speed: float | None) -> None:
    rows = np.random.default_rng(1).normal(size=(40, 2))
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in rows))
    (tmp_path / "a.jsonl").write_text("".join(f'{{"x": {x}, "y": {y}}}\n' for x, y in rows))
    np.save(tmp_path / "a.npy", rows)
    for source in (
        CsvSource(tmp_path / "a.csv", ["x", "y"], rate_hz=10, dtype="f64"),
        JsonLinesSource(tmp_path / "a.jsonl", fields=["x", "y"], rate_hz=10, dtype="f64"),
        NpzSource(tmp_path / "a.npy", rate_hz=10),
    ):
        assert source.set_speed(speed)
        sink = Collect()
        graph = limen.Graph("g").add("a", source).add("b", sink).connect("a", "b")
        report = limen.run(graph, clock=SimClock())
        assert sink.seen == rows.tolist()
        if speed is not None:
            # The end is told where one more row would have been due.
            assert report.statistics.duration_ns == int(40 * 10**8 / speed)
