"""Standard input, in this process by a pipe and in a real one by a shell's means."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from limen.errors import Code, ConfigurationError, LifecycleError, SensorError
from limen.graph._components import make_component
from limen.io import StdinJsonLines, StdinLines, StdinRecords
from limen.node import Produced, Source, SourceSignal
from limen.platform import SimClock
from limen.types import DataType, ObjectSpec, SequenceNumber, TensorSpec, Ticks

LIMEN = [sys.executable, "-W", "error", "-m", "limen"]
BOUND_S = 60


class Pipe(NamedTuple):
    reader: int
    writer: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(*os.pipe())
    yield made
    for descriptor in made:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def opened(source: Source) -> Source:
    source.prepare()
    source.open(SimClock(), Ticks(0))
    return source


def ask(source: Source) -> Any:  # noqa: ANN401
    """Return the payload, the signal, or the text of the error."""
    try:
        made = source.try_produce(Ticks(0))
    except SensorError as error:
        return f"error: {error}"
    if not isinstance(made, Produced):
        return made
    assert made.creation_tick is None
    return made.payload.tolist() if isinstance(made.payload, np.ndarray) else made.payload


NOTHING, END = SourceSignal.NOTHING_NOW, SourceSignal.END_OF_STREAM


def test_lines_come_as_they_are_complete_and_asking_never_waits(pipe: Pipe) -> None:
    source = opened(StdinLines(descriptor=pipe.reader))
    assert source.spec() == ObjectSpec(str)
    assert source.next_due() is None
    assert ask(source) is NOTHING
    os.write(pipe.writer, b"one\r\ntw")
    assert ask(source) == "one"
    assert ask(source) is NOTHING
    os.write(pipe.writer, "o é\n\nthree".encode())
    assert [ask(source) for _ in range(3)] == ["two é", "", NOTHING]
    os.close(pipe.writer)
    assert [ask(source) for _ in range(3)] == ["three", END, END]
    assert source.locate(SequenceNumber(3)) == f"descriptor {pipe.reader} line 4"


def test_a_line_that_is_not_utf8_is_named_and_the_next_one_goes_on(pipe: Pipe) -> None:
    source = opened(StdinLines(descriptor=pipe.reader))
    os.write(pipe.writer, b"a\nb\xff\nc\n")
    first, bad, last = (ask(source) for _ in range(3))
    assert (first, last) == ("a", "c")
    assert "line 2: byte 2 is not UTF-8" in bad
    assert source.locate(SequenceNumber(1)) == f"descriptor {pipe.reader} line 3"


def test_an_endless_line_is_passed_over_in_bounded_memory(pipe: Pipe) -> None:
    source = opened(StdinLines(descriptor=pipe.reader))

    def write() -> None:
        with os.fdopen(os.dup(pipe.writer), "wb") as stream:
            stream.write(b"a\n" + b"x" * (5 << 20) + b"\nb\n")
        os.close(pipe.writer)

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    while (answer := ask(source)) is not END:
        assert len(source._held) < (1 << 20) + (1 << 17)
        if answer is not NOTHING:
            found.append(answer)
    writer.join()
    assert [found[0], found[-1]] == ["a", "b"]
    assert len(found) == 3 and "line 2: it is longer than" in found[1]


def test_json_lines_are_read_as_from_a_file(pipe: Pipe) -> None:
    source = opened(StdinJsonLines(fields=["x", "y"], descriptor=pipe.reader))
    os.write(pipe.writer, b'{"x": 1, "y": 2}\n\n  \nbad\n{"y": 4, "x": 3}\n{"x"')
    os.close(pipe.writer)
    first, bad, second, cut, end = (ask(source) for _ in range(5))
    assert (first, second, end) == ([1, 2], [3, 4], END)
    assert "line 4: JSON is malformed" in bad
    assert "line 6: Input data was truncated" in cut


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("dtype", ["u8", "s16", "f32", "f64", "bool"])
def test_records_are_what_numpy_wrote_however_the_bytes_come(
    pipe: Pipe,
    dtype: str,
    order: Any,  # noqa: ANN401
) -> None:
    kind = DataType.from_name(dtype).numpy_dtype()
    array = np.random.default_rng(4).integers(0, 2, (40, 2, 3)).astype(kind)
    data = array.astype(kind.newbyteorder("<" if order == "little" else ">")).tobytes()
    source = opened(StdinRecords(dtype, [2, 3], byte_order=order, descriptor=pipe.reader))
    assert source.spec() == TensorSpec(DataType.from_name(dtype), (2, 3))
    cuts = random.Random(3)
    found = []
    while data:
        size = cuts.randrange(1, 60)
        os.write(pipe.writer, data[:size])
        data = data[size:]
        while (answer := ask(source)) is not NOTHING:
            found.append(answer)
    os.close(pipe.writer)
    assert ask(source) is END
    assert np.array_equal(np.array(found, kind), array)


def test_bytes_behind_the_last_record_are_an_error_and_the_end(pipe: Pipe) -> None:
    source = opened(StdinRecords("f32", [2], descriptor=pipe.reader))
    os.write(pipe.writer, np.ones(2, "<f4").tobytes() + b"12345")
    os.close(pipe.writer)
    first, cut, end = (ask(source) for _ in range(3))
    assert (first, end) == ([1, 1], END)
    assert "record 2: the input ends in the middle of it: 5 of 8 bytes" in cut


def test_a_record_larger_than_a_pipe_arrives(pipe: Pipe) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    source = opened(StdinRecords("u8", [480, 640, 3], descriptor=pipe.reader))

    def write() -> None:
        with os.fdopen(os.dup(pipe.writer), "wb") as stream:
            stream.write(frame.tobytes() * 3)

    writer = threading.Thread(target=write)
    writer.start()
    count = 0
    while count < 3:
        made = source.try_produce(Ticks(0))
        if isinstance(made, Produced):
            assert np.array_equal(made.payload, frame)
            count += 1
    writer.join()


def test_a_file_as_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("".join(f"{n}\n" for n in range(30_000)))
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    source = opened(StdinLines(descriptor=descriptor))
    assert [ask(source) for _ in range(30_000)] == [str(n) for n in range(30_000)]
    assert ask(source) is END
    os.close(descriptor)


def test_what_cannot_be_read_is_reported(tmp_path: Path, pipe: Pipe) -> None:
    os.close(pipe.reader)
    with pytest.raises(SensorError, match="is closed") as caught:
        StdinLines(descriptor=pipe.reader).prepare()
    assert caught.value.code is Code.SENSOR_OPEN
    folder = os.open(tmp_path, os.O_RDONLY)
    source = opened(StdinLines(descriptor=folder))
    assert "cannot be read behind line 0: Is a directory" in ask(source)
    assert ask(source) is END
    os.close(folder)


def test_who_cannot_wait_is_live(pipe: Pipe) -> None:
    assert StdinLines().pausable
    assert not StdinLines(live=True).pausable
    assert StdinLines().set_speed(2.0) is False


def test_reading_before_open_or_after_close_is_refused(pipe: Pipe) -> None:
    source = StdinLines(descriptor=pipe.reader)
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))
    opened(source).close()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))


def test_what_was_read_and_not_given_stays_for_the_next_open(pipe: Pipe) -> None:
    source = opened(StdinLines(descriptor=pipe.reader))
    os.write(pipe.writer, b"a\nb\n")
    assert ask(source) == "a"
    source.close()
    assert ask(opened(source)) == "b"
    assert source.locate(SequenceNumber(0)) == f"descriptor {pipe.reader} line 2"


@pytest.mark.parametrize(
    "make",
    [
        lambda: StdinLines(descriptor=-1),
        lambda: StdinRecords("f32", [0]),
        lambda: StdinRecords("bf16", [1]),
        lambda: StdinRecords("f32", [1], byte_order="?"),  # type: ignore[arg-type]
        lambda: StdinJsonLines(fields=[]),
    ],
)
def test_parameters_that_cannot_be_are_refused(make: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.remedy


def test_a_graph_file_can_make_them(tmp_path: Path) -> None:
    for table in (
        {"type": "stdin_lines", "live": True},
        {"type": "stdin_json_lines", "types": {"x": "int"}},
        {"type": "stdin_records", "dtype": "s16", "shape": [160]},
    ):
        made, problems = make_component("input", table, tmp_path, False)
        assert problems == []
        assert isinstance(made, Source)


def graph_file(path: Path, source: str, sink: str) -> str:
    path.write_text(
        f'limen = 1\nname = "piped"\n[nodes.source]\n{source}\n[nodes.sink]\n{sink}\n'
        '[[edges]]\nfrom = "source"\nto = "sink"\npolicy = { admission = "block", max_items = 8 }\n'
    )
    return str(path)


LINES = ('type = "stdin_json_lines"\nfields = ["x"]', 'type = "json_lines"')
RECORDS = ('type = "stdin_records"\ndtype = "s16"\nshape = [160]', 'type = "records"')


def run_limen(graph: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*LIMEN, "run", graph], input=given, capture_output=True, timeout=BOUND_S)


def test_a_process_answers_each_line_of_its_input(tmp_path: Path) -> None:
    given = b"".join(b'{"x": %d}\n' % n for n in range(500))
    run = run_limen(graph_file(tmp_path / "g.toml", *LINES), given + b"bad\n")
    assert run.returncode == 0, run.stderr
    found = [json.loads(line)["value"] for line in run.stdout.splitlines()]
    assert found == [[n] for n in range(500)]
    assert b"line 501: JSON is malformed" in run.stderr


def test_a_process_passes_records_on_byte_for_byte(tmp_path: Path) -> None:
    given = np.random.default_rng(1).integers(-9000, 9000, (300, 160)).astype("<i2").tobytes()
    run = run_limen(graph_file(tmp_path / "g.toml", *RECORDS), given)
    assert run.returncode == 0, run.stderr
    assert run.stdout == given


def test_a_process_with_its_input_closed_says_so(tmp_path: Path) -> None:
    graph = graph_file(tmp_path / "g.toml", *LINES)
    run = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *LIMEN, "run", graph],
        capture_output=True,
        timeout=BOUND_S,
        text=True,
    )
    assert run.returncode == 2
    assert "standard input is closed" in run.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_process_that_waits_for_input_and_nothing_is_lost(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    graph = graph_file(tmp_path / "g.toml", *LINES)
    with subprocess.Popen(
        [*LIMEN, "run", graph],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        bound = threading.Timer(BOUND_S, process.kill)
        bound.start()
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b'{"x": 1}\n{"x": 2}\n')
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(number)  # the pipe stays open
        rest, errors = process.stdout.read(), process.stderr.read()
        assert process.wait() == code
        bound.cancel()
    assert [json.loads(line)["value"] for line in lines] == [[1], [2]]
    assert rest == b""
    assert b"identities close" in errors


@pytest.mark.parametrize("kind", [LINES, RECORDS])
def test_a_process_whose_reader_is_gone_stops(tmp_path: Path, kind: tuple[str, str]) -> None:
    source = 'type = "ramp"\nrate_hz = 1000'
    graph = graph_file(tmp_path / "g.toml", source, kind[1])
    with subprocess.Popen(
        [*LIMEN, "run", graph], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        bound = threading.Timer(BOUND_S, process.kill)
        bound.start()
        assert process.stdout and process.stderr
        process.stdout.read(4)
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 1
        bound.cancel()
    assert b"its reader is gone" in errors
