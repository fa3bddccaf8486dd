"""A source ten times faster than its consumer: memory stays bounded, ages keep their promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doubles import (
    MS,
    CollectingSink,
    ListSource,
    Twice,
    assert_settled,
    edge_into,
    node_of,
    numbers,
    runtime_of,
)
from limen import (
    Batching,
    DataType,
    EdgePolicy,
    Graph,
    Model,
    NodePolicy,
    QoSClass,
    QueueCaps,
    TensorSpec,
)
from limen.node import Produced
from limen.telemetry import RunStatistics

CAPACITY = 4
SERVICE = 100 * MS
ACTIVITY = Path(__file__).parent.parent / "examples" / "activity" / "activity.onnx"
POLICIES = {
    "drop_oldest": EdgePolicy.drop_oldest(CAPACITY),
    "drop_newest": EdgePolicy.drop_newest(CAPACITY),
    "block": EdgePolicy.block(CAPACITY),
    "deadline_and_qos_aware": EdgePolicy.deadline_and_qos_aware(CAPACITY),
}


def overloaded(
    policy: EdgePolicy, source: ListSource
) -> tuple[RunStatistics, Twice, CollectingSink]:
    """Run source → slow → sink, where slow takes ten intervals of the source per message."""
    slow, sink = Twice(), CollectingSink()
    graph = Graph("overload").add("source", source)
    graph.add("slow", slow, NodePolicy(sim_cost="100ms")).add("sink", sink)
    graph.connect("source", "slow", policy).connect("slow", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "completed"
    return statistics, slow, sink


def ages(sink: CollectingSink) -> list[int]:
    return [arrival.now - arrival.creation for arrival in sink.arrivals]


@pytest.mark.parametrize("name", POLICIES)
def test_under_overload_memory_stays_at_the_bound_and_all_identities_close(name: str) -> None:
    statistics, _, sink = overloaded(POLICIES[name], ListSource(numbers(200), every_ns=10 * MS))
    edge = edge_into(statistics, "slow")
    assert edge.offered == 200
    assert edge.peak == CAPACITY, "the queue was full"
    assert sink.arrivals
    assert len(sink.arrivals) + sum(edge.refused.values()) + sum(edge.evicted.values()) == 200


def test_drop_oldest_keeps_results_fresh() -> None:
    source = ListSource(numbers(200), every_ns=10 * MS, pausable=False, states_creation=True)
    statistics, _, sink = overloaded(POLICIES["drop_oldest"], source)
    assert max(ages(sink)) <= (CAPACITY + 1) * SERVICE
    assert sink.sequences[-1] == 199, "the newest is always there"
    assert edge_into(statistics, "slow").evicted == {"capacity": 200 - len(sink.arrivals)}


def test_drop_newest_finishes_the_oldest_within_the_queue_s_length() -> None:
    source = ListSource(numbers(200), every_ns=10 * MS, pausable=False)
    statistics, _, sink = overloaded(POLICIES["drop_newest"], source)
    assert sink.sequences[:3] == [0, 1, 2], "what came first is finished"
    assert max(ages(sink)) <= CAPACITY * SERVICE
    assert edge_into(statistics, "slow").refused == {"full": 200 - len(sink.arrivals)}


def test_block_with_a_source_that_can_wait_loses_nothing_and_keeps_order() -> None:
    source = ListSource(numbers(200), every_ns=10 * MS, pausable=True)
    statistics, _, sink = overloaded(POLICIES["block"], source)
    edge = edge_into(statistics, "slow")
    assert sink.sequences == list(range(200))
    assert sink.payloads == [[2.0 * i] for i in range(200)]
    assert not edge.refused and not edge.evicted
    assert source.resumes, "it was told that it had been held back"
    assert source.calls[-1] > 190 * SERVICE, "it waited instead of running ahead"
    assert max(ages(sink)) <= (CAPACITY + 1) * SERVICE


def test_a_source_held_back_by_a_byte_cap_is_told_so_too() -> None:
    # 4-byte payloads and a cap of 10: the third is staged, the ring is never at its hard mark.
    source = ListSource(numbers(50), every_ns=10 * MS, pausable=True)
    policy = EdgePolicy(QueueCaps(CAPACITY, max_bytes=10))
    statistics, _, sink = overloaded(policy, source)
    assert sink.sequences == list(range(50))
    assert edge_into(statistics, "slow").peak == 2
    assert source.resumes


def classed(index: int) -> Produced:
    """Every 50th message is latency-critical; all are due 250 ms after they were made."""
    made = index * 10 * MS
    qos = QoSClass.LATENCY_CRITICAL if index % 50 == 25 else QoSClass.BEST_EFFORT
    payload = np.array([index], np.float32)
    return Produced(payload, creation_tick=made, deadline_ns=made + 250 * MS, qos=qos)


def test_deadline_aware_evicts_what_expired_and_latency_critical_messages_survive() -> None:
    source = ListSource(
        [classed(i) for i in range(200)], at_ns=[i * 10 * MS for i in range(201)], pausable=False
    )
    statistics, slow, sink = overloaded(POLICIES["deadline_and_qos_aware"], source)
    critical = [a.sequence for a in sink.arrivals if a.qos == QoSClass.LATENCY_CRITICAL]
    assert critical == [25, 75, 125, 175]
    still_arriving = [(begun, seq) for begun, seq in slow.calls if begun < source.calls[-1]]
    late = [
        seq
        for begun, seq in still_arriving
        if seq not in critical and begun > seq * 10 * MS + 250 * MS
    ]
    assert not late, "while newcomers press, nothing expired is begun that could be evicted"
    edge = edge_into(statistics, "slow")
    assert edge.evicted["expired"] > 0
    assert edge.evicted["lower_qos"] > 0


@pytest.mark.parametrize("name", POLICIES)
def test_a_model_slower_than_its_source_stays_within_memory_and_batches(name: str) -> None:
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(1)
    model = Model(ACTIVITY)
    model.prepare()
    window = TensorSpec(DataType.F32, (50, 6))
    frames = [rng.normal(size=(50, 6)).astype(np.float32) for _ in range(100)]
    sink = CollectingSink()
    graph = Graph("activity").add("source", ListSource(frames, every_ns=10 * MS, spec=window))
    batches = NodePolicy(batching=Batching.fixed(4), sim_cost="400ms")
    graph.add("model", model, batches).add("sink", sink)
    graph.connect("source", "model", POLICIES[name]).connect("model", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "completed"
    counts = node_of(statistics, "model")
    assert counts.errors == 0
    assert counts.processed == len(sink.arrivals) >= 2 * CAPACITY
    assert counts.calls <= -(-counts.processed // CAPACITY) + 1, "batches were full"
    assert sink.sequences == sorted(sink.sequences)
    if name == "block":
        assert sink.sequences == list(range(100))
    for arrival in sink.arrivals:
        outputs = np.empty((1, *np.shape(arrival.payload)), np.float32)
        model.model.infer_batch(frames[arrival.sequence][None], outputs)
        np.testing.assert_allclose(outputs[0], arrival.payload, rtol=1e-4, atol=1e-5)
