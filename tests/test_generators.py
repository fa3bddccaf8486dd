"""Signals made of arithmetic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limen.errors import ConfigurationError, LifecycleError, SensorError
from limen.graph._components import make_component
from limen.io import Noise, Ramp, Sine, Steps
from limen.io._random import random_bits, random_normal, random_unit
from limen.node import Produced, Source, SourceSignal
from limen.platform import SimClock
from limen.types import SequenceNumber, Ticks


def samples(source: Source) -> np.ndarray[Any, Any]:
    source.prepare()
    source.open(SimClock(), Ticks(0))
    rows = []
    while isinstance(made := source.try_produce(Ticks(1 << 62)), Produced):
        rows.append(np.array(made.payload))
    source.close()
    return np.array(rows)


def test_a_sine_is_that_of_numpy() -> None:
    found = samples(
        Sine([1.5, 40], 100, phases=[0.25, 0], amplitude=3, offset=-1, count=500, dtype="f64")
    )
    t = np.arange(500) / 100
    for channel, (frequency, phase) in enumerate([(1.5, 0.25), (40, 0)]):
        expected = -1 + 3 * np.sin(2 * np.pi * (frequency * t + phase))
        assert np.abs(found[:, channel] - expected).max() < 1e-11


def test_the_last_sample_of_a_year_is_as_exact_as_the_first() -> None:
    source = Sine([0.1], 1000, dtype="f64")
    samples_a_year = 365 * 86_400 * 1000
    for number in (0, 1, 777, 9_999):
        assert source._value(number, 0) == source._value(number + samples_a_year, 0)


def test_splitmix_gives_its_published_numbers() -> None:
    assert [random_bits(1234567, place) for place in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_noise_has_the_distribution_that_it_states() -> None:
    normal = samples(Noise(10, 3, count=20_000, scale=2, offset=5, channels=2, dtype="f64"))
    assert normal.shape == (20_000, 2)
    assert np.abs(normal.mean(axis=0) - 5).max() < 0.06
    assert np.abs(normal.std(axis=0) - 2).max() < 0.04
    inside = np.abs(normal - 5) < 2
    assert abs(inside.mean() - math.erf(1 / math.sqrt(2))) < 0.01
    assert abs(np.corrcoef(normal[:, 0], normal[:, 1])[0, 1]) < 0.03
    assert abs(np.corrcoef(normal[1:, 0], normal[:-1, 0])[0, 1]) < 0.03
    uniform = samples(Noise(10, 3, count=20_000, scale=2, offset=5, distribution="uniform"))
    assert uniform.min() >= 3 and uniform.max() < 7.0001
    counts, _ = np.histogram(uniform, 10, (3, 7))
    assert np.abs(counts - 2000).max() < 200


def test_noise_is_a_function_of_its_seed() -> None:
    first, again, other = (samples(Noise(10, seed, count=50)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert random_normal(0, 0) == random_normal(1 << 64, 0)
    assert all(0 <= random_unit(9, place) < 1 for place in range(1000))


def test_ramps_and_steps_are_what_they_say() -> None:
    assert samples(Ramp(10, start=2, step=-0.5, count=4)).ravel().tolist() == [2, 1.5, 1, 0.5]
    saw = samples(Ramp(10, period=3, count=7)).ravel().tolist()
    assert saw == [0, 1, 2, 0, 1, 2, 0]
    assert samples(Steps([1, -4], 10, hold=2, count=7)).ravel().tolist() == [1, 1, -4, -4, 1, 1, -4]
    assert samples(Ramp(10, count=0)).size == 0


def test_a_value_that_the_type_does_not_hold_ends_the_signal_with_its_number() -> None:
    source = Ramp(10, start=65_000, step=1000, dtype="f16")
    source.open(SimClock(), Ticks(0))
    source.try_produce(Ticks(0))
    with pytest.raises(SensorError, match=r"ramp sample 1: 66000.0 does not fit f16"):
        source.try_produce(Ticks(1 << 60))
    assert source.try_produce(Ticks(1 << 60)) is SourceSignal.END_OF_STREAM


def test_samples_are_due_without_drift_and_open_begins_anew() -> None:
    source = Ramp(30, speed=3)
    for start in (0, 17):
        source.open(SimClock(), Ticks(start))
        for number in range(100):
            due = source.next_due()
            assert due == start + number * 10**9 // 90
            made = source.try_produce(due)
            assert isinstance(made, Produced)
            assert (made.creation_tick, made.payload[0]) == (due, number)
            assert source.try_produce(Ticks(due)) is SourceSignal.NOTHING_NOW
    assert source.locate(SequenceNumber(99)) == "ramp sample 99"
    assert source.locate(SequenceNumber(100)) is None
    source.close()
    with pytest.raises(LifecycleError):
        source.try_produce(Ticks(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sine([], 10),
        lambda: Sine([1], 10, phases=[0, 0]),
        lambda: Sine([math.nan], 10),
        lambda: Sine([1], 0),
        lambda: Sine([1], 10, amplitude=math.inf),
        lambda: Sine([1], 10, count=-1),
        lambda: Sine([1], 10, dtype="u8"),
        lambda: Sine([1], 10, speed=0),
        lambda: Noise(10, -1),
        lambda: Noise(10, 1, distribution="pink"),  # type: ignore[arg-type]
        lambda: Noise(10, 1, channels=0),
        lambda: Ramp(10, step=math.nan),
        lambda: Ramp(10, period=0),
        lambda: Steps([], 10),
        lambda: Steps([1], 10, hold=0),
    ],
)
def test_parameters_that_cannot_be_are_refused(make: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.remedy


def test_a_graph_file_can_make_them(tmp_path: Path) -> None:
    for name, table in {
        "sine": {"frequencies_hz": [1, 2.5], "rate_hz": 50},
        "noise": {"rate_hz": 50, "seed": 3, "distribution": "uniform"},
        "ramp": {"rate_hz": 50, "speed": "max"},
        "steps": {"values": [1, 2], "rate_hz": 50},
    }.items():
        made, problems = make_component("signal", {"type": name, **table}, tmp_path, False)
        assert problems == []
        assert isinstance(made, Source)
