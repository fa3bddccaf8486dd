from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, LifecycleError, SensorError
from limen.graph._components import make_component
from limen.io import CsvSource
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.types import SequenceNumber, Ticks

Write = Callable[[str | bytes], Path]


@pytest.fixture
def walk(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "walk.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def opened(path: Path, *columns: str, **options: object) -> CsvSource:
    options = {"speed": "max", **options}
    source = CsvSource(path, list(columns or ("ax", "ay")), **options)
    source.prepare()
    source.open(SimClock(), Ticks(0))
    return source


def drain(source: CsvSource) -> list[list[float] | str]:
    """Return each message's values, or the text of the error in its place."""
    found: list[list[float] | str] = []
    for _ in range(1000):
        try:
            result = source.try_produce(Ticks(0))
        except SensorError as error:
            assert error.code is Code.SENSOR_READ
            found.append(str(error))
            continue
        if result is SourceSignal.END_OF_STREAM:
            source.close()
            return found
        assert isinstance(result, Produced)
        found.append(np.asarray(result.payload).tolist())
    raise AssertionError("the source does not end")


def test_the_columns_come_in_the_order_asked_for(walk: Write) -> None:
    source = opened(walk("t,ax,ay\n0,1,2\n1,3.5,-4e0\n"), "ay", "ax")
    assert drain(source) == [[2, 1], [-4, 3.5]]


def test_one_buffer_is_reused(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n3,4\n"))
    first, second = source.try_produce(Ticks(0)), source.try_produce(Ticks(0))
    assert isinstance(first, Produced) and isinstance(second, Produced)
    assert first.payload is second.payload
    source.close()


def test_blank_lines_quotes_spaces_crlf_and_a_byte_order_mark_are_no_trouble(walk: Write) -> None:
    text = '\ufeffax , "ay"\r\n\r\n"1", 2\r\n   \r\n\r\n3,"4"\r\n'
    assert drain(opened(walk(text.replace(', "ay"', ',"ay"')))) == [[1, 2], [3, 4]]


def test_a_last_row_without_line_end_is_a_row(walk: Write) -> None:
    assert drain(opened(walk("ax,ay\n1,2\n3,4"))) == [[1, 2], [3, 4]]


def test_a_header_alone_ends_at_once(walk: Write) -> None:
    assert drain(opened(walk("ax,ay\n"))) == []
    assert drain(opened(walk("ax,ay"))) == []


def test_a_field_with_line_breaks_keeps_the_line_numbers_right(walk: Write) -> None:
    source = opened(walk('ax,ay,note\n1,2,"a\nb\nc"\nx,4,d\n'))
    assert drain(source) == [[1, 2], "walk.csv row 5, column 'ax': 'x' is not a number"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("abc,2", "walk.csv row 3, column 'ax': 'abc' is not a number"),
        ("1,", "walk.csv row 3, column 'ay': '' is not a number"),
        ("1_000,2", "walk.csv row 3, column 'ax': '1_000' is not a number"),
        ("nan,2", "walk.csv row 3, column 'ax': nan is not a finite number"),
        ("1,-inf", "walk.csv row 3, column 'ay': -inf is not a finite number"),
        ("1e300,2", "walk.csv row 3, column 'ax': 1e+300 does not fit f32"),
        ("1", "walk.csv row 3 has 1 field, the header has 2"),
        ("1,2,3", "walk.csv row 3 has 3 fields, the header has 2"),
        ("\x1b[2J,2", "walk.csv row 3, column 'ax': '\\x1b[2J' is not a number"),
        ("1\x00,2", "walk.csv row 3, column 'ax': '1\\x00' is not a number"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_goes_on(walk: Write, row: str, reason: str) -> None:
    source = opened(walk(f"ax,ay\n1,2\n{row}\n3,4\n"))
    assert drain(source) == [[1, 2], reason, [3, 4]]


def test_bytes_that_are_not_utf8_cost_their_row_only(walk: Write) -> None:
    first, bad, last = drain(opened(walk(b"ax,ay\n1,2\n\xff7,2\n3,4\n")))
    assert (first, last) == ([1, 2], [3, 4])
    assert "row 3, column 'ax'" in bad


def test_a_quote_out_of_place_costs_its_row_only(walk: Write) -> None:
    first, bad, last = drain(opened(walk('ax,ay\n1,2\n"1"x,2\n3,4\n')))
    assert (first, last) == ([1, 2], [3, 4])
    assert "walk.csv row 3 is not CSV" in bad


def test_an_open_quote_is_reported_where_it_begins(walk: Write) -> None:
    found = drain(opened(walk('ax,ay\n1,2\n"3,4\n5,6\n')))
    assert found[0] == [1, 2]
    assert len(found) == 2
    assert "walk.csv row 3 is not CSV" in str(found[1])


def test_an_endless_line_is_refused_without_being_kept(walk: Write) -> None:
    first, bad, last = drain(opened(walk("ax,ay\n1,2\n" + "9" * (3 << 20) + "\n3,4\n")))
    assert (first, last) == ([1, 2], [3, 4])
    assert "row 3" in bad and len(bad) < 200


def test_a_file_that_ends_in_mid_row_says_so(walk: Write) -> None:
    found = drain(opened(walk("ax,ay\n1,2\n3")))
    assert found == [[1, 2], "walk.csv: the file ends in the middle of row 3"]


def test_values_that_are_not_finite_pass_where_allowed(walk: Write) -> None:
    path = walk("ax,ay\nnan,inf\n1e300,2\n3.4028235e38,1\n")
    first, bad, last = drain(opened(path, allow_nan=True))
    assert math.isnan(first[0]) and first[1] == math.inf
    assert "does not fit f32" in bad
    assert last[0] == float(np.finfo(np.float32).max)


def test_other_float_types_can_be_had(walk: Write) -> None:
    source = opened(walk("ax,ay\n1e300,0.1\n"), dtype="f64")
    assert source.spec().size_bytes == 16
    assert drain(source) == [[1e300, 0.1]]


def test_rows_are_due_without_drift_over_a_million(walk: Write) -> None:
    source = opened(walk("ax,ay\n" + "1,2\n" * 3), rate_hz=30, speed=1.0)
    start = 12_345
    source.open(SimClock(), Ticks(start))
    for k in (0, 1, 2, 3, 999_999, 1_000_000):
        source._position = k
        assert source.next_due() == start + k * 1_000_000_000 // 30
    source.close()


def test_a_decimal_rate_is_meant_as_written(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n"), rate_hz=0.1, speed=0.5)
    source._position = 1_000_000
    assert source.next_due() == 20 * 10**15
    source.close()


def test_a_coarse_clock_rounds_each_instant_only_once(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n"), rate_hz=3, speed=1)
    source.open(SimClock(tick_rate_hz=10), Ticks(0))
    source._position = 3_000_000
    assert source.next_due() == 10_000_000
    source.close()


def test_a_row_is_not_early_and_its_creation_is_its_instant(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\nx,2\n3,4\n"), rate_hz=10, speed=2)
    step = 50_000_000
    assert source.try_produce(Ticks(0)).creation_tick == 0
    assert source.try_produce(Ticks(step - 1)) is SourceSignal.NOTHING_NOW
    with pytest.raises(SensorError):
        source.try_produce(Ticks(step))
    assert source.next_due() == 2 * step
    assert source.try_produce(Ticks(2 * step + 7)).creation_tick == 2 * step
    source.close()


def test_a_source_that_was_held_back_goes_on_from_then(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n3,4\n5,6\n"), rate_hz=10, speed=1.0)
    source.try_produce(Ticks(0))
    source.resumed(Ticks(777_000_000))
    assert source.next_due() == 777_000_000
    source.try_produce(Ticks(777_000_000))
    assert source.next_due() == 877_000_000
    source.close()


def test_at_full_speed_there_is_no_schedule(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n"), rate_hz=10, speed="max")
    source.resumed(Ticks(5))
    assert source.next_due() is None
    assert source.try_produce(Ticks(0)).creation_tick is None
    source.close()


def test_the_speed_can_be_set_before_and_during_the_replay(walk: Write) -> None:
    source = CsvSource(walk("ax,ay\n" + "1,2\n" * 4), ["ax"], rate_hz=10)
    assert source.set_speed(2.0)
    source.open(SimClock(), Ticks(0))
    source.try_produce(Ticks(0))
    assert source.next_due() == 50_000_000
    source.set_speed(1.0)
    assert source.next_due() == 50_000_000
    source.try_produce(Ticks(50_000_000))
    assert source.next_due() == 150_000_000
    source.set_speed(None)
    assert source.next_due() is None
    source.close()


def test_messages_are_located_behind_bad_rows_and_blank_lines(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\nbad,2\n\n3,4\n5\n6,7\n8,9\n"))
    drain(source)
    rows = [source.locate(SequenceNumber(n)) for n in range(4)]
    assert rows == ["walk.csv row 2", "walk.csv row 5", "walk.csv row 7", "walk.csv row 8"]
    assert source.locate(SequenceNumber(4)) is None
    assert source.locate(SequenceNumber(-1)) is None


def test_what_is_remembered_for_locating_is_bounded(walk: Write) -> None:
    source = opened(walk("ax,ay\n" + "1,2\n\n" * 5000))
    for _ in range(5000):
        source.try_produce(Ticks(0))
    assert len(source._places) == 4096
    assert source.locate(SequenceNumber(0)) is None
    assert source.locate(SequenceNumber(4999)) == "walk.csv row 10000"
    source.close()


def test_open_begins_anew(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n3,4\n"))
    assert drain(source) == [[1, 2], [3, 4]]
    source.open(SimClock(), Ticks(0))
    assert drain(source) == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "walk.csv is empty"),
        ("\nax,ay\n1,2\n", "begins with a blank line"),
        ("ax,az\n", "did you mean 'ax'|has no column 'ay'"),
        ("ax,ay,ay\n", "has 2 columns 'ay'"),
        ('ax,"ay\n', "row 1 is not CSV"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(walk: Write, content: str, reason: str) -> None:
    with pytest.raises(SensorError, match=reason) as caught:
        CsvSource(walk(content), ["ax", "ay"], speed="max").prepare()
    assert caught.value.code is Code.SENSOR_CONFIGURATION
    assert caught.value.remedy


def test_an_unknown_column_is_answered_with_the_nearest(walk: Write) -> None:
    with pytest.raises(SensorError, match="did you mean 'accel_x'"):
        CsvSource(walk("accel_x,gyro\n"), ["accelx"], speed="max").prepare()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone.csv", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(SensorError, match=reason) as caught:
            CsvSource(path, ["ax"], speed="max").prepare()
        assert caught.value.code is Code.SENSOR_OPEN


@pytest.mark.parametrize(
    "options",
    [
        {"columns": []},
        {"columns": ["ax", "ax"]},
        {"rate_hz": 0},
        {"rate_hz": math.inf},
        {"speed": -1.0},
        {"speed": 1.0},
    ],
)
def test_parameters_that_cannot_be_are_refused(walk: Write, options: dict[str, object]) -> None:
    source = CsvSource(walk("ax,ay\n"), **{"columns": ["ax"], "speed": "max", **options})
    with pytest.raises(ConfigurationError) as caught:
        source.prepare()
    assert caught.value.remedy


def test_an_integer_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="u8"):
        CsvSource("walk.csv", ["ax"], dtype="u8")


def test_reading_before_open_or_after_close_is_refused(walk: Write) -> None:
    source = opened(walk("ax,ay\n1,2\n"))
    source.close()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))


def test_a_failing_disk_is_reported_and_ends_the_replay(walk: Write) -> None:
    class FailingRowsDouble:
        line = 7

        def next_row(self) -> list[str]:
            raise OSError(5, "Input/output error")

        def close(self) -> None: ...

    source = opened(walk("ax,ay\n1,2\n"))
    source._rows.close()
    source._rows = FailingRowsDouble()
    with pytest.raises(SensorError, match=r"behind row 7: Input/output error"):
        source.try_produce(Ticks(0))
    assert source.try_produce(Ticks(0)) is SourceSignal.END_OF_STREAM


def test_a_graph_file_can_make_it(walk: Write) -> None:
    path = walk("ax,ay\n1,2\n")
    table = {"type": "limen.io:CsvSource", "path": "walk.csv", "columns": ["ax"], "rate_hz": 10}
    for speed in (1, "max"):
        made, problems = make_component("imu", {**table, "speed": speed}, path.parent, True)
        assert problems == []
        assert isinstance(made, CsvSource)
        made.prepare()
