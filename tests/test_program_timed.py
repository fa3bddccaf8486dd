"""Programs with sources that keep schedules, and with batches that time closes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import limen
from limen.codegen import why_not
from limen.errors import SensorError
from limen.node import Produced, SourceSignal
from limen.platform import PlatformClock
from limen.policy import EdgePolicy
from limen.types import PayloadSpec, TensorSpec, Ticks
from test_program_slots import (
    FANS,
    POLICIES,
    SPEC,
    Kept,
    Made,
    added,
    four,
    hurried,
    on_native,
    on_python,
    picky,
    same,
)

MS = 1_000_000


class Sensor(limen.Source):
    """Keeps a schedule of its own, and says of a reading what a function says."""

    def __init__(
        self,
        every_ms: int,
        read: Callable[[int, Ticks], Produced | SourceSignal],
        *,
        pausable: bool = False,
        count: int = 30,
        spec: PayloadSpec = SPEC,
    ) -> None:
        self.pausable = pausable
        self._every = every_ms * MS
        self._read = read
        self._count = count
        self._number = 0
        self._due = Ticks(0)
        self._spec = spec

    def spec(self) -> PayloadSpec:
        return self._spec

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        self._number, self._due = 0, Ticks(now + self._every)

    def next_due(self) -> Ticks | None:
        return self._due

    def resumed(self, now: Ticks) -> None:
        self._due = now

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self._number == self._count:
            return SourceSignal.END_OF_STREAM
        self._number += 1
        self._due = Ticks(self._due + self._every)
        return self._read(self._number, now)


def plain(number: int, now: Ticks) -> Produced | SourceSignal:
    return Produced(four(number))


def stated(number: int, now: Ticks) -> Produced | SourceSignal:
    # Older, newer and unstated, in no order.
    created = (None, Ticks(now - 2 * MS), Ticks(now + MS), Ticks(0))[number % 4]
    return Produced(four(number), creation_tick=created)


def missing(number: int, now: Ticks) -> Produced | SourceSignal:
    return SourceSignal.NOTHING_NOW if number % 3 == 0 else Produced(four(number))


def failing(number: int, now: Ticks) -> Produced | SourceSignal:
    if number % 5 == 0:
        raise SensorError("no contact")
    return Produced(four(number))


def urgent(number: int, now: Ticks) -> Produced | SourceSignal:
    return (
        Produced(four(number), deadline_ns=now + 4 * MS) if number % 2 else Produced(four(number))
    )


READINGS = {f.__name__: f for f in (plain, stated, missing, failing, urgent)}


def one(reading: str, policy: EdgePolicy, *, pausable: bool) -> tuple[limen.Graph, list[Kept]]:
    graph, sink = limen.Graph("one"), Kept()
    graph.add("sensor", Sensor(5, READINGS[reading], pausable=pausable))
    graph.add("node", limen.node(picky), limen.NodePolicy(sim_cost="7ms"))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="1ms"))
    graph.chain("sensor", "node", "sink", policy=policy)
    return graph, [sink]


@pytest.mark.parametrize("pausable", [False, True], ids=["live", "pausable"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("reading", READINGS)
def test_a_source_is_asked_at_its_instants(reading: str, policy: str, pausable: bool) -> None:
    # Messages with deadlines of their own are the reference's, all along their way.
    least = 5 if reading == "urgent" else 20
    assert same(on_python, lambda: one(reading, POLICIES[policy], pausable=pausable)) > least


def several(policy: EdgePolicy) -> tuple[limen.Graph, list[Kept]]:
    """Instants that coincide, one source without room, one without a schedule."""
    graph, sinks = limen.Graph("several"), [Kept(), Kept(), Kept()]
    graph.add("slow", Sensor(6, plain, pausable=True))
    graph.add("fast", Sensor(3, stated))
    graph.add("free", Made(SPEC, four, 20), limen.NodePolicy(sim_cost="1ms"))
    for number, (source, sink) in enumerate(zip(("slow", "fast", "free"), sinks, strict=True)):
        cost = limen.NodePolicy(sim_cost=f"{2 + number}ms")
        graph.add(f"node{number}", limen.node(added), cost)
        graph.add(f"sink{number}", sink, limen.NodePolicy(sim_cost="1ms"))
        graph.chain(source, f"node{number}", f"sink{number}", policy=policy)
    return graph, sinks


@pytest.mark.parametrize("policy", POLICIES)
def test_the_source_whose_instant_came_first_comes_first(policy: str) -> None:
    assert same(on_python, lambda: several(POLICIES[policy])) > 60


def replayed(folder: Path, rate: float | None) -> tuple[limen.Graph, list[Kept]]:
    path = folder / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n / 2}\n" for n in range(40)))
    graph, sink = limen.Graph("replayed"), Kept()
    speed: limen.io.Speed = "max" if rate is None else 1
    source = limen.io.CsvSource(path, ["a", "b"], rate_hz=rate or 100, speed=speed)
    graph.add("rows", source)
    graph.add("window", limen.nodes.Window(4, 2), limen.NodePolicy(sim_cost="3ms"))
    graph.add("sink", sink)
    graph.chain("rows", "window", "sink", policy=EdgePolicy.block(4))
    return graph, [sink]


@pytest.mark.parametrize("rate", [None, 200.0])
def test_a_replay_runs_with_and_without_a_schedule(rate: float | None, tmp_path: Path) -> None:
    assert same(on_python, lambda: replayed(tmp_path, rate)) > 40


def batched(
    folder: Path, every_ms: int, reading: str, policy: EdgePolicy
) -> tuple[limen.Graph, list[Kept]]:
    from models import write_model

    graph, sink = limen.Graph("batched"), Kept()
    node = limen.Model(write_model(folder, "mlp", "onnx"))
    node.prepare()
    spec = node.resolve({}).inputs[0].spec
    assert isinstance(spec, TensorSpec)
    shape, read = spec.fixed_shape, READINGS[reading]

    def filled(number: int, now: Ticks) -> Produced | SourceSignal:
        made = read(number, now)
        if isinstance(made, SourceSignal):
            return made
        payload = np.full(shape, number / 150, np.float32)
        return Produced(payload, creation_tick=made.creation_tick, deadline_ns=made.deadline_ns)

    graph.add("sensor", Sensor(every_ms, filled, spec=spec, count=150))
    batching = limen.Batching.fixed_and_delta_t(3, "9ms")
    graph.add("model", node, limen.NodePolicy(sim_cost="3ms", batching=batching))
    graph.add("sink", sink, limen.NodePolicy(sim_cost="1ms"))
    graph.chain("sensor", "model", "sink", policy=policy)
    return graph, [sink]


@pytest.mark.parametrize("policy", ["block", "drop_oldest"])
@pytest.mark.parametrize("reading", ["plain", "stated", "missing"])
@pytest.mark.parametrize("every_ms", [1, 4, 7])
def test_time_closes_batches_alike(
    every_ms: int, reading: str, policy: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    sized = EdgePolicy.block(6) if policy == "block" else EdgePolicy.drop_oldest(4)
    assert same(on_python, lambda: batched(tmp_path, every_ms, reading, sized)) > 10


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_native_code_keeps_schedules_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert same(on_native, lambda: several(POLICIES["block"])) > 60
    assert same(on_native, lambda: one("stated", POLICIES["drop_oldest"], pausable=False)) > 20
    assert same(on_native, lambda: one("failing", POLICIES["block"], pausable=True)) > 20
    assert same(on_native, lambda: replayed(tmp_path, 200.0)) > 40
    sized = EdgePolicy.block(6)
    assert same(on_native, lambda: batched(tmp_path, 4, "stated", sized)) > 20


def by_deadline(
    graphs: Callable[[], tuple[limen.Graph, list[Kept]]],
) -> Callable[[], tuple[limen.Graph, list[Kept]]]:
    def scheduled() -> tuple[limen.Graph, list[Kept]]:
        graph, sinks = graphs()
        graph.scheduler = "edf"
        return graph, sinks

    return scheduled


@pytest.mark.parametrize("one", POLICIES)
@pytest.mark.parametrize("kind", FANS)
def test_the_earliest_deadline_is_chosen_alike(kind: str, one: str) -> None:
    graphs = FANS[kind]
    assert same(on_python, by_deadline(lambda: graphs(POLICIES[one], POLICIES["block"]))) > 20


@pytest.mark.parametrize("slack", ["0ms", "4ms"])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_earliest_deadline_is_chosen_alike_where_there_are_some(
    policy: str, slack: str
) -> None:
    assert same(on_python, by_deadline(lambda: hurried(POLICIES[policy], slack))) > 20
    assert same(on_python, by_deadline(lambda: several(POLICIES[policy]))) > 60


@pytest.mark.parametrize("every_ms", [1, 4])
def test_the_earliest_deadline_is_chosen_alike_of_batches(every_ms: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    sized = EdgePolicy.block(6)
    assert same(on_python, by_deadline(lambda: batched(tmp_path, every_ms, "plain", sized))) > 10


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_native_code_chooses_the_earliest_deadline_too() -> None:
    assert same(on_native, by_deadline(lambda: hurried(POLICIES["block"], "0ms"))) > 20
    assert same(on_native, by_deadline(lambda: several(POLICIES["drop_oldest"]))) > 60
