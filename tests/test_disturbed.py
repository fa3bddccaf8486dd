"""Recordings disturbed as a live line would."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limen
from limen.errors import ConfigurationError, SensorError
from limen.graph._components import make_component
from limen.io import CsvSource, Discard, Disturbed, Ramp, StdinLines
from limen.message import Message
from limen.node import Produced, SourceSignal
from limen.platform import SimClock
from limen.types import SequenceNumber, Ticks


@pytest.mark.parametrize(
    "make",
    [
        lambda: Disturbed(Ramp(10), 1, loss=1.0),
        lambda: Disturbed(Ramp(10), 1, loss=math.nan),
        lambda: Disturbed(Ramp(10), 1, duplication=1.1),
        lambda: Disturbed(Ramp(10), 1, jitter="20"),
        lambda: Disturbed(Ramp(10), 1, max_held=0),
        lambda: Disturbed(Ramp(10), -1),
        lambda: Disturbed(StdinLines(), 1),
        lambda: Disturbed(Ramp(10, speed="max"), 1).prepare(),
        lambda: Disturbed(Ramp(10), 1).set_speed(None),
    ],
)
def test_parameters_that_cannot_be_are_refused(make: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.remedy


class Collect(limen.Sink):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.seen.append((int(message.payload[0]), message.header.creation_tick, now))


def disturbed(count: int = 400, speed: float = 1.0, **options: Any) -> tuple[Disturbed, Collect]:  # noqa: ANN401
    sink = Collect()
    source = Disturbed(Ramp(100, count=count, dtype="f64"), 5, **options)
    source.set_speed(speed)
    graph = limen.Graph("disturbed").add("a", source).add("b", sink)
    graph.connect("a", "b", limen.EdgePolicy.drop_oldest(8))
    report = limen.run(graph, clock=SimClock())
    assert report.statistics.closes
    return source, sink


def test_without_any_disturbance_it_is_the_replay() -> None:
    _, sink = disturbed(20)
    assert sink.seen == [(n, n * 10**7, n * 10**7) for n in range(20)]


def test_jitter_delays_within_its_bounds_and_creation_stays() -> None:
    _, sink = disturbed(jitter="25ms")
    assert sorted(n for n, _, _ in sink.seen) == list(range(400))
    delays = [now - created for _, created, now in sink.seen]
    assert 0 <= min(delays) < 10**6 and 24 * 10**6 < max(delays) <= 25 * 10**6
    assert abs(np.mean(delays) - 12.5e6) < 1e6
    assert all(created == n * 10**7 for n, created, _ in sink.seen)
    order = [n for n, _, _ in sink.seen]
    assert order != sorted(order)
    # Overtaken by what lies within one jitter: no more than two messages.
    assert max(abs(n - place) for place, n in enumerate(order)) <= 2


def test_order_can_be_kept() -> None:
    _, sink = disturbed(jitter="25ms", keep_order=True)
    assert [n for n, _, _ in sink.seen] == list(range(400))
    assert max(now - created for _, created, now in sink.seen) <= 25 * 10**6


def test_loss_and_repeats_come_as_often_as_they_should() -> None:
    source, sink = disturbed(4000, loss=0.2, duplication=0.1, jitter="5ms")
    numbers = [n for n, _, _ in sink.seen]
    assert source.lost == 4000 - len(set(numbers))
    assert source.repeated == len(numbers) - len(set(numbers))
    assert abs(source.lost - 800) < 80
    assert abs(source.repeated - 320) < 60
    assert max(numbers.count(n) for n in set(numbers)) == 2


@pytest.mark.parametrize("speed", [0.5, 3.0, 50.0])
def test_the_same_is_lost_repeated_and_overtaken_at_any_speed(speed: float) -> None:
    options = {"jitter": "40ms", "loss": 0.1, "duplication": 0.2}
    _, first = disturbed(**options)
    _, again = disturbed(**options)
    _, other = disturbed(speed=speed, **options)
    assert first.seen == again.seen
    assert [n for n, _, _ in first.seen] == [n for n, _, _ in other.seen]
    for (_, _, before), (_, _, after) in zip(first.seen, other.seen, strict=True):
        assert abs(after - before / speed) <= 2


def test_no_more_than_its_bound_is_under_way() -> None:
    source, sink = disturbed(jitter="1s", max_held=10)
    assert source.lost > 0
    assert len(sink.seen) == 400 - source.lost


def test_it_cannot_be_held_back_and_says_so() -> None:
    source = Disturbed(Ramp(100), 1)
    assert not source.pausable
    graph = limen.Graph("g").add("a", source).add("b", Discard())
    graph.connect("a", "b", limen.EdgePolicy.block(1))
    assert any("live source" in warning for warning in limen.check(graph).warnings)


def test_errors_and_places_of_the_recording_come_through(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n0\nbad\n2\n3\n4\n")
    source = Disturbed(CsvSource(path, ["x"], rate_hz=100), 1, jitter="5ms", loss=0.2)
    source.prepare()
    source.open(SimClock(), Ticks(0))
    found: list[str] = []
    places = []
    now = 0
    while True:
        now += 1_000_000
        try:
            made = source.try_produce(Ticks(now))
        except SensorError as error:
            found.append(str(error))
            continue
        if made is SourceSignal.END_OF_STREAM:
            break
        if isinstance(made, Produced):
            places.append((int(made.payload[0]), source.locate(SequenceNumber(len(places)))))
    source.close()
    assert found == ["a.csv row 3, column 'x': 'bad' is not a number"]
    assert places
    assert all(place == f"a.csv row {value + 2}" for value, place in places)


def test_a_graph_file_can_make_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n0\n")
    inner = {"type": "csv", "path": "a.csv", "columns": ["x"], "rate_hz": 5}
    table = {"type": "disturbed", "seed": 1, "jitter": "5ms", "source": inner}
    made, problems = make_component("imu", table, tmp_path, False)
    assert problems == []
    assert isinstance(made, Disturbed)
    made.prepare()


@pytest.mark.parametrize(
    ("inner", "place", "reason"),
    [
        (3, "imu.source", "source is 3"),
        ({}, "imu.source.type", "the node has no type"),
        ({"type": "csv"}, "imu.source", "key 'path' is missing"),
        ({"type": "discard"}, "imu.source", "makes a Discard"),
        ({"type": "ramp", "rate_hz": 5, "policy": {}}, "imu.source.policy", "unknown key 'policy'"),
        ({"type": "ramp", "rate_hz": 0}, "imu.source", "rate_hz is 0"),
        ({"type": "os:getcwd"}, "imu.source.type", "names a module"),
    ],
)
def test_a_source_in_a_source_is_checked_as_any_other(
    tmp_path: Path, inner: object, place: str, reason: str
) -> None:
    table = {"type": "disturbed", "seed": 1, "source": inner}
    made, problems = make_component("imu", table, tmp_path, False)
    assert made is None
    assert problems[0].place == place
    assert reason in problems[0].message
    assert problems[0].remedy


def test_an_interval_is_stated_where_one_is_kept() -> None:
    assert Ramp(30, speed=2).interval_ns() == Fraction(10**9, 60)
    assert Ramp(30, speed="max").interval_ns() is None
    assert Disturbed(Ramp(30), 1).interval_ns() is None
