"""Where batches begin and end, to the nanosecond of simulated time."""

from __future__ import annotations

import numpy as np
import pytest

from doubles import (
    MS,
    BatchNode,
    CollectingSink,
    Doing,
    ListSource,
    Twice,
    TwiceInPlace,
    assert_settled,
    edge_into,
    forward,
    input_of,
    node_of,
    numbers,
    runtime_of,
)
from limen import AdmissionPolicy, Batching, EdgePolicy, Graph, NodePolicy, QueueCaps
from limen.node import Consumed, Node, Output, Produced
from limen.telemetry import RunStatistics


def run_batched(
    source: ListSource, batching: Batching, edge: EdgePolicy | None = None, node: Node | None = None
) -> tuple[RunStatistics, Node, CollectingSink]:
    worker = BatchNode() if node is None else node
    sink = CollectingSink()
    graph = Graph("batches").add("source", source)
    graph.add("worker", worker, NodePolicy(batching=batching)).add("sink", sink)
    graph.connect("source", "worker", edge).connect("worker", "sink")
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert statistics.outcome == "completed"
    return statistics, worker, sink


def at(*milliseconds: float) -> dict[str, object]:
    """Return a schedule; the last instant is that of the end of stream."""
    return {"at_ns": [int(ms * MS) for ms in milliseconds]}


def test_a_fixed_batch_goes_when_it_is_full_and_the_rest_goes_at_the_end_of_stream() -> None:
    source = ListSource(numbers(7), every_ns=10 * MS)
    _, worker, sink = run_batched(source, Batching.fixed(3))
    assert worker.batches == [(20 * MS, [0, 1, 2]), (50 * MS, [3, 4, 5]), (70 * MS, [6])]
    assert sink.payloads == [[2.0 * i] for i in range(7)]


def test_a_fixed_batch_waits_for_as_long_as_it_takes() -> None:
    source = ListSource(numbers(2), **at(0, 3_600_000, 3_600_001))
    _, worker, _ = run_batched(source, Batching.fixed(2))
    assert worker.batches == [(3_600_000 * MS, [0, 1])]


def test_with_delta_t_a_batch_closes_at_the_push_of_its_first_item_plus_delta_t() -> None:
    source = ListSource(numbers(5), **at(0, 10, 20, 100, 200, 210))
    _, worker, _ = run_batched(source, Batching.fixed_and_delta_t(4, "25ms"))
    assert worker.batches == [(25 * MS, [0, 1, 2]), (125 * MS, [3]), (210 * MS, [4])]


def test_with_delta_t_a_full_batch_does_not_wait() -> None:
    source = ListSource(numbers(4), **at(0, 1, 50, 51, 90))
    _, worker, _ = run_batched(source, Batching.fixed_and_delta_t(2, "25ms"))
    assert worker.batches == [(1 * MS, [0, 1]), (51 * MS, [2, 3])]


def test_an_item_made_exactly_delta_t_later_is_within() -> None:
    source = ListSource(numbers(3), **at(0, 25, 50.000001, 100))
    _, worker, _ = run_batched(source, Batching.fixed_and_delta_t(4, "25ms"))
    assert worker.batches[0] == (25 * MS, [0, 1])


def test_a_later_item_beyond_delta_t_closes_the_batch_at_once() -> None:
    made = [0, 5, 40]
    items = [
        Produced(payload, creation_tick=ms * MS)
        for payload, ms in zip(numbers(3), made, strict=True)
    ]
    source = ListSource(items, **at(50, 51, 52, 500))
    _, worker, _ = run_batched(source, Batching.fixed_and_delta_t(4, "30ms"))
    assert worker.batches == [(52 * MS, [0, 1]), (82 * MS, [2])]


def test_the_distance_is_measured_between_creations_and_the_wait_from_the_push() -> None:
    items = [Produced(payload, creation_tick=0) for payload in numbers(3)]
    source = ListSource(items, **at(100, 110, 200, 300))
    _, worker, _ = run_batched(source, Batching.fixed_and_delta_t(4, "20ms"))
    assert worker.batches == [(120 * MS, [0, 1]), (220 * MS, [2])]


@pytest.mark.parametrize(
    ("admission", "max_bytes", "first"),
    [
        # 8 bytes are two items: the ring is at its hard mark and cannot grow.
        (AdmissionPolicy.BLOCK, 8, (10 * MS, [0, 1])),
        (AdmissionPolicy.DROP_NEWEST, 8, (10 * MS, [0, 1])),
        (AdmissionPolicy.DROP_OLDEST, 8, (10 * MS, [0, 1])),
        # At 10 bytes it is below the mark: only the third item shows that it cannot grow.
        (AdmissionPolicy.BLOCK, 10, (20 * MS, [0, 1])),
        (AdmissionPolicy.DROP_NEWEST, 10, (20 * MS, [0, 1])),
        (AdmissionPolicy.DROP_OLDEST, 10, (20 * MS, [1, 2])),
    ],
)
def test_a_ring_that_cannot_grow_closes_the_batch(
    admission: AdmissionPolicy, max_bytes: int, first: tuple[int, list[int]]
) -> None:
    edge = EdgePolicy(QueueCaps(4, max_bytes=max_bytes), admission)
    source = ListSource(numbers(8), every_ns=10 * MS)
    _, worker, _ = run_batched(source, Batching.fixed(4), edge)
    assert worker.batches[0] == first


def test_a_staged_head_that_fits_by_now_does_not_close_the_batch() -> None:
    # 'into' stands before 'burst': it is judged before the flush, when room has just been made.
    def burst(message: object) -> object:
        return Output(message.payload)

    worker, sink = BatchNode(), CollectingSink()
    graph = Graph("order", scheduler="edf")
    graph.add("into", worker, NodePolicy(batching=Batching.fixed_and_delta_t(2, "5ms")))
    graph.add("burst", Doing(burst), NodePolicy(batching=Batching.fixed(4)))
    # Creations: 0 | 10, 11, 12: the first batch is cut by Δt, the second could be [1, 2].
    made = [0, 10, 11, 12]
    items = [Produced(p, creation_tick=ms * MS) for p, ms in zip(numbers(4), made, strict=True)]
    graph.add("source", ListSource(items, **at(20, 20, 20, 20, 100))).add("sink", sink)
    graph.connect("source", "burst").connect("burst", "into", EdgePolicy.block(2))
    graph.connect("into", "sink")
    assert_settled(runtime_of(graph).run())
    assert [batch for _, batch in worker.batches] == [[0], [1, 2], [3]]


def test_a_per_item_node_with_a_batch_is_stepped_once_and_called_for_each() -> None:
    source = ListSource(numbers(6), every_ns=10 * MS)
    statistics, worker, sink = run_batched(source, Batching.fixed(3), node=Twice())
    counts = node_of(statistics, "worker")
    assert (counts.steps, counts.calls) == (2, 6)
    assert worker.calls == [(20 * MS, i) for i in range(3)] + [(50 * MS, i) for i in range(3, 6)]
    assert sink.sequences == list(range(6))
    assert [a.creation for a in sink.arrivals] == [i * 10 * MS for i in range(6)]


def test_batches_whose_slots_are_not_neighbours_are_gathered_and_give_equal_results() -> None:
    results = {}
    for size, capacity in ((4, 4), (1, 4)):
        statistics, _, sink = run_batched(
            ListSource(numbers(300)), Batching.fixed(size), EdgePolicy.block(capacity)
        )
        results[size] = (sink.payloads, node_of(statistics, "worker").gathers)
    assert results[4][0] == results[1][0] == [[2.0 * i] for i in range(300)]
    assert results[4][1] > 0, "10 slots and batches of 4: some batch crosses the end"
    assert results[1][1] == 0, "one slot is always its own neighbour"


def test_a_model_writes_into_the_slots_unless_they_are_not_neighbours() -> None:
    statistics, _, sink = run_batched(ListSource(numbers(280)), Batching.fixed(4))
    output = next(port for port in statistics.outputs if port.name == "worker.out")
    # 64 + 1 + 4 + 1 = 70 slots: of 35 batches of 4 in two turns, one crosses the end.
    assert output.capacity == 70
    assert output.copies == 2 * 4
    assert sink.payloads == [[2.0 * i] for i in range(280)]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_node_that_writes_in_place_copies_nothing(batch: int) -> None:
    source = ListSource(numbers(100))
    statistics, _, sink = run_batched(
        source, Batching.fixed(batch), EdgePolicy.block(3), TwiceInPlace()
    )
    output = next(port for port in statistics.outputs if port.name == "worker.out")
    assert output.copies == 0
    assert sink.payloads == [[2.0 * i] for i in range(100)]


def test_a_batch_refused_by_a_dropping_queue_shifts_nobody_s_payload() -> None:
    worker, sink = BatchNode(), CollectingSink()
    graph = Graph("shift").add("source", ListSource(numbers(40), every_ns=MS))
    graph.add("worker", worker, NodePolicy(batching=Batching.fixed(4)))
    graph.add("sink", sink, NodePolicy(sim_cost="7ms"))
    graph.connect("source", "worker").connect("worker", "sink", EdgePolicy.drop_newest(3))
    statistics = runtime_of(graph).run()
    assert_settled(statistics)
    assert edge_into(statistics, "sink").refused["full"] > 0
    assert all(a.payload == [2.0 * a.sequence] for a in sink.arrivals)


def test_a_node_that_emits_for_some_of_a_batch_keeps_header_and_payload_together() -> None:
    def every_other(message: object) -> object:
        return forward(message) if message.header.sequence % 2 else Consumed()

    statistics, _, sink = run_batched(
        ListSource(numbers(20)), Batching.fixed(4), node=Doing(every_other)
    )
    assert sink.sequences == list(range(1, 20, 2))
    assert sink.payloads == [[float(i)] for i in range(1, 20, 2)]
    assert input_of(statistics, "worker").consumed == 20


def test_a_failed_batch_loses_all_its_items_and_the_next_goes_on() -> None:
    worker = BatchNode(fail_on=frozenset({4}))
    statistics, _, sink = run_batched(ListSource(numbers(9)), Batching.fixed(3), node=worker)
    assert sink.sequences == [0, 1, 2, 6, 7, 8]
    assert input_of(statistics, "worker").dropped == {"error": 3}
    assert node_of(statistics, "worker").errors == 1
    np.testing.assert_equal(sink.payloads[-1], [16.0])
