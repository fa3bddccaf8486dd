"""Arrays of NumPy's files, replayed and written."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import limen
from limen.errors import Code, ConfigurationError, LifecycleError, OutputError, SensorError
from limen.io import NpzSink, NpzSource
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.types import DataType, ObjectSpec, SequenceNumber, TensorSpec, Ticks

NUMBERS = [
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
]


def random_array(dtype: str, shape: tuple[int, ...], seed: int = 7) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def drain(source: NpzSource) -> list[NDArray[Any]]:
    source.prepare()
    source.open(SimClock(), Ticks(0))
    rows = []
    while isinstance(made := source.try_produce(Ticks(1 << 62)), Produced):
        rows.append(np.array(made.payload))
    source.close()
    return rows


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_row_of_an_npz_file_is_a_message(
    tmp_path: Path, dtype: str, save: Callable[..., None]
) -> None:
    array = random_array(dtype, (37, 2, 3))
    save(tmp_path / "a.npz", frames=array, other=np.zeros(3))
    source = NpzSource(tmp_path / "a.npz", "frames", speed="max")
    rows = drain(source)
    assert source.spec() == TensorSpec(DataType.from_name(dtype), (2, 3))
    assert np.array_equal(np.stack(rows), array)
    assert rows[0].dtype == array.dtype


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", ">u8"])
def test_an_npy_file_of_either_byte_order_is_read(tmp_path: Path, dtype: str) -> None:
    array = np.arange(12).reshape(4, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    rows = drain(NpzSource(tmp_path / "a.npy", speed="max"))
    assert np.array_equal(np.stack(rows), array)
    assert rows[0].dtype.isnative


def test_elements_of_one_dimension_are_messages_of_shape_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3.0))
    assert [row.tolist() for row in drain(NpzSource(tmp_path / "a.npy", speed="max"))] == [
        [0.0],
        [1.0],
        [2.0],
    ]


def test_an_array_without_rows_ends_at_once(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 3)))
    assert drain(NpzSource(tmp_path / "a.npy", speed="max")) == []


def test_only_one_row_is_held(tmp_path: Path) -> None:
    import tracemalloc

    np.save(tmp_path / "a.npy", np.zeros((20_000, 100)))  # 16 MB
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((20_000, 100)))
    for name in ("a.npy", "a.npz"):
        source = NpzSource(tmp_path / name, speed="max")
        source.prepare()
        source.open(SimClock(), Ticks(0))
        tracemalloc.start()
        while source.try_produce(Ticks(0)) is not SourceSignal.END_OF_STREAM:
            pass
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()
        source.close()


def test_the_only_array_needs_no_key_and_several_need_one(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros((2, 1)))
    assert len(drain(NpzSource(path, speed="max"))) == 2
    np.savez(path, a=np.zeros((2, 1)), t=np.zeros(2))
    assert len(drain(NpzSource(path, time_key="t", speed="max"))) == 2
    with pytest.raises(SensorError, match=r"a.npz holds 2 arrays: a, t; name one as key"):
        NpzSource(path, speed="max").prepare()
    with pytest.raises(SensorError, match=r"a.npz has no array 'b'"):
        NpzSource(path, "b", speed="max").prepare()
    np.savez(path)
    with pytest.raises(SensorError, match="holds 0 arrays"):
        NpzSource(path, speed="max").prepare()


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_value_that_is_not_finite_costs_its_row(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([1.0, np.nan, 3.0]))
    source = NpzSource(tmp_path / "a.npy", speed="max")
    source.prepare()
    source.open(SimClock(), Ticks(0))
    source.try_produce(Ticks(0))
    with pytest.raises(SensorError, match=r"a.npy row 1: a value is not a finite number"):
        source.try_produce(Ticks(0))
    made = source.try_produce(Ticks(0))
    assert isinstance(made, Produced) and made.payload == [3.0]
    assert source.locate(SequenceNumber(1)) == "a.npy row 2"
    assert source.locate(SequenceNumber(2)) is None
    source.close()
    rows = drain(NpzSource(tmp_path / "a.npy", speed="max", allow_nan=True))
    assert np.isnan(rows[1]).all()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.npy", b"", "a.npy is neither an .npy nor an .npz file"),
        ("a.npy", b"x,y\n1,2\n", "a.npy is neither"),
        ("a.npy", saved(np.zeros((9, 2)))[:-1], "a.npy is cut short: 8 of 9 rows are there"),
        ("a.npy", saved(np.zeros((9, 2)))[:50], "a.npy is malformed"),
        ("a.npy", saved(np.zeros((9, 2))).replace(b"'descr'", b"'dxscr'"), "malformed"),
        ("a.npy", saved(np.zeros((9, 2))).replace(b"(9, 2)", b"(-9,2)"), "has shape"),
        ("a.npy", saved(np.zeros(())), "a single number"),
        ("a.npy", saved(np.zeros((2, 0))), r"has shape \(2, 0\)"),
        ("a.npy", saved(np.zeros((3, 2)).T), "lies column by column"),
        ("a.npy", saved(np.array(["a", "b"])), "has elements of type <U1"),
        ("a.npy", saved(np.array([1j])), "has elements of type complex128"),
        ("a.npy", saved(np.array([{}, 1], object)), "holds pickled objects"),
        ("a.npz", b"PK\x03\x04" + b"\0" * 40, "a.npz is malformed"),
    ],
)
def test_a_malformed_file_is_an_error_before_the_start(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SensorError, match=reason) as caught:
        NpzSource(tmp_path / name, speed="max").prepare()
    assert caught.value.code is Code.SENSOR_CONFIGURATION
    assert caught.value.remedy


def test_a_truncated_archive_names_file_and_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros((100, 4)))
    whole = path.read_bytes()
    for size in (10, 200, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SensorError, match=r"a.npz is malformed"):
            NpzSource(path, speed="max").prepare()


def test_a_member_that_is_shorter_than_its_header_says_names_the_key(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("acc.npy", saved(np.zeros((9, 2)))[:-16])
        archive.writestr("objects.npy", saved(np.array([{}], object)))
    with pytest.raises(SensorError, match=r"a.npz\[acc\] is cut short: 8 of 9"):
        NpzSource(path, "acc", speed="max").prepare()
    with pytest.raises(SensorError, match=r"a.npz\[objects\] holds pickled objects"):
        NpzSource(path, "objects", speed="max").prepare()


def test_data_that_fails_its_checksum_ends_the_replay_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=random_array("float64", (2000, 8)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    source = NpzSource(path, speed="max", allow_nan=True)
    source.prepare()
    source.open(SimClock(), Ticks(0))
    with pytest.raises(SensorError, match=r"a.npz\[a\] is malformed behind row \d+: Bad CRC"):
        while True:
            source.try_produce(Ticks(0))
    assert source.try_produce(Ticks(0)) is SourceSignal.END_OF_STREAM
    source.close()


def test_a_file_that_shrinks_while_it_is_replayed_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4000, 8)))
    source = NpzSource(path, speed="max")
    source.prepare()
    source.open(SimClock(), Ticks(0))
    source.try_produce(Ticks(0))
    os.truncate(path, 100_000)
    with pytest.raises(SensorError, match=r"a.npy is malformed behind row"):
        while True:
            source.try_produce(Ticks(0))
    source.close()


def test_a_file_that_changed_between_check_and_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 8)))
    source = NpzSource(path, speed="max")
    source.prepare()
    np.save(path, np.zeros((4, 9)))
    with pytest.raises(SensorError, match="has changed since it was checked"):
        source.open(SimClock(), Ticks(0))


def test_a_missing_file_a_folder_and_a_forbidden_one_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(SensorError, match=reason) as caught:
            NpzSource(path, speed="max").prepare()
        assert caught.value.code is Code.SENSOR_OPEN
    if os.geteuid() != 0:
        np.save(tmp_path / "a.npy", np.zeros(3))
        (tmp_path / "a.npy").chmod(0)
        with pytest.raises(SensorError, match="cannot be opened: Permission denied"):
            NpzSource(tmp_path / "a.npy", speed="max").prepare()


def test_rows_come_at_their_rate_without_drift(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 1)))
    source = NpzSource(tmp_path / "a.npy", rate_hz=30, speed=0.1)
    source.prepare()
    source.open(SimClock(), Ticks(5))
    for k in (0, 1, 3, 1_000_000):
        source._position = k
        assert source.next_due() == 5 + k * 1_000_000_000 // 3
    source.close()


TIMES = [100.0, 100.25, 100.25, 101.0]


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (np.array(TIMES), "s"),
        (np.array(TIMES, np.float32) * 1000, "ms"),
        ((np.array(TIMES) * 1e6).astype(np.int64), "us"),
        ((np.array(TIMES) * 1e9).astype(np.uint64), "ns"),
    ],
)
@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_rows_come_at_the_times_that_the_file_states(
    tmp_path: Path, times: NDArray[Any], unit: str, speed: float
) -> None:
    np.savez(tmp_path / "a.npz", a=np.arange(4.0), t=times)
    source = NpzSource(tmp_path / "a.npz", time_key="t", time_unit=unit, speed=speed)
    source.prepare()
    source.open(SimClock(), Ticks(7))
    dues = []
    while isinstance(made := source.try_produce(Ticks(1 << 62)), Produced):
        dues.append(made.creation_tick)
    source.close()
    exact = [0, 250_000_000, 250_000_000, 1_000_000_000]
    assert dues == [7 + int(ns // speed) for ns in exact]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ([0.0, 2.0, 1.0], r"a.npz\[t\] row 2 is before row 1"),
        ([0.0, float("nan"), 1.0], r"a.npz\[t\] row 1: nan is not a time"),
        ([0.0, 1.0], r"a.npz\[t\] has 2 rows of shape \(1,\), a.npz\[a\] has 3 rows"),
        ([[0.0, 1.0]] * 3, r"has 3 rows of shape \(2,\)"),
        ([True, True, True], "is not a time"),
    ],
)
def test_times_that_cannot_be_are_refused_before_the_start(
    tmp_path: Path, times: list[float], reason: str
) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 1)), t=times)
    with pytest.raises(SensorError, match=reason):
        NpzSource(tmp_path / "a.npz", time_key="t").prepare()


@pytest.mark.parametrize(
    "options",
    [
        {"rate_hz": 0},
        {"rate_hz": "fast"},
        {"rate_hz": True},
        {"speed": -1},
        {"speed": 1.0},
        {"time_key": "t", "rate_hz": 10},
    ],
)
def test_parameters_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((3, 1)), t=np.zeros(3))
    with pytest.raises(ConfigurationError) as caught:
        NpzSource(tmp_path / "a.npz", "a", **options).prepare()
    assert caught.value.remedy
    with pytest.raises(ConfigurationError, match="time_unit"):
        NpzSource(tmp_path / "a.npz", time_key="t", time_unit="min")  # type: ignore[arg-type]


def test_reading_before_open_or_after_close_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    source = NpzSource(tmp_path / "a.npy", speed="max")
    with pytest.raises(ConfigurationError):
        source.spec()
    source.prepare()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))
    source.open(SimClock(), Ticks(0))
    source.close()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))


def copied(tmp_path: Path, array: NDArray[Any], max_rows: int, **options: Any) -> Path:  # noqa: ANN401
    np.save(tmp_path / "in.npy", array)
    graph = limen.Graph("copy")
    graph.add("rows", NpzSource(tmp_path / "in.npy", **options))
    graph.add("file", NpzSink(tmp_path / "out.npz", max_rows))
    graph.connect("rows", "file", limen.EdgePolicy.block(4))
    limen.run(graph, clock=SimClock())
    return tmp_path / "out.npz"


@pytest.mark.parametrize("dtype", NUMBERS)
def test_what_the_sink_wrote_is_what_the_source_read(tmp_path: Path, dtype: str) -> None:
    array = random_array(dtype, (20, 3))
    with np.load(copied(tmp_path, array, 50, rate_hz=10)) as found:
        assert set(found) == {"value", "sequence", "time_ns"}
        assert np.array_equal(found["value"], array)
        assert found["value"].dtype == array.dtype
        assert found["sequence"].tolist() == list(range(20))
        assert found["time_ns"].tolist() == [n * 100_000_000 for n in range(20)]


def test_what_the_sink_wrote_can_be_replayed_at_its_times(tmp_path: Path) -> None:
    path = copied(tmp_path, np.arange(5.0), 5, rate_hz=3)
    source = NpzSource(path, "value", time_key="time_ns", time_unit="ns")
    source.prepare()
    source.open(SimClock(), Ticks(0))
    made = [source.try_produce(Ticks(1 << 62)) for _ in range(5)]
    source.close()
    assert [m.creation_tick for m in made] == [n * 10**9 // 3 for n in range(5)]


def test_a_full_sink_counts_the_rest_and_keeps_what_it_has(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.arange(10.0))
    graph = limen.Graph("full")
    graph.add("rows", NpzSource(tmp_path / "in.npy", speed="max"))
    graph.add("file", NpzSink(tmp_path / "out.npz", 4)).connect("rows", "file")
    report = limen.run(graph, clock=SimClock())
    assert report.statistics.nodes[1].errors == 6
    assert "out.npz is full: it takes 4 rows" in report.statistics.nodes[1].messages[0]
    with np.load(tmp_path / "out.npz") as found:
        assert found["value"].ravel().tolist() == [0, 1, 2, 3]


def opened(sink: NpzSink, spec: TensorSpec | ObjectSpec | None = None) -> NpzSink:
    sink.prepare()
    sink.open(SimClock(), TensorSpec(DataType.F32, (2,)) if spec is None else spec)
    return sink


def test_the_file_before_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    path.write_bytes(b"before")
    sink = opened(NpzSink(path, 3))
    assert path.read_bytes() == b"before"
    sink.close()
    sink.close()
    with np.load(path) as found:
        assert found["value"].shape == (0, 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.npz"]


def test_a_disk_that_is_full_at_the_end_is_reported_and_leaves_the_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.npz").write_bytes(b"before")
    sink = opened(NpzSink(tmp_path / "out.npz", 3))
    part = tmp_path / "out.npz.part"
    part.unlink()
    part.symlink_to("/dev/full")
    sink._rows["value"] = np.zeros((3000, 100))
    sink._count = 3000
    with pytest.raises(OutputError, match="No space left") as caught:
        sink.close()
    assert caught.value.code is Code.OUTPUT_FLUSH
    assert (tmp_path / "out.npz").read_bytes() == b"before"
    assert not part.is_symlink()


def test_a_sink_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ConfigurationError, match="max_rows"):
            NpzSink(tmp_path / "a.npz", wrong)  # type: ignore[arg-type]
    for key in ("", "a/b", "sequence", "time_ns"):
        with pytest.raises(ConfigurationError, match="key is"):
            NpzSink(tmp_path / "a.npz", 1, key=key)
    with pytest.raises(OutputError, match="no folder"):
        NpzSink(tmp_path / "gone" / "a.npz", 1).prepare()
    with pytest.raises(OutputError, match="cannot hold a str"):
        opened(NpzSink(tmp_path / "a.npz", 1), ObjectSpec(str))
    with pytest.raises(OutputError, match="cannot be reserved"):
        opened(NpzSink(tmp_path / "a.npz", 1 << 60))
    with pytest.raises(LifecycleError):
        NpzSink(tmp_path / "a.npz", 1).consume(None, Ticks(0))  # type: ignore[arg-type]
    (tmp_path / "b.npz.part").mkdir()
    (tmp_path / "b.npz.part" / "x").touch()
    sink = opened(NpzSink(tmp_path / "b.npz", 1))
    with pytest.raises(OutputError, match="Is a directory"):
        sink.close()
