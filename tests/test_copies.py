"""The copies that a Plan lists are the copies that a run counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import limen
from doubles import (
    SCALAR,
    BatchNode,
    Cell,
    CollectingSink,
    ListSource,
    Twice,
    TwiceInPlace,
    node_of,
    numbers,
    runtime_of,
)
from limen import Batching, DefaultOnTimeout, Graph, NodePolicy, ObjectSpec
from limen.app import Report, check
from limen.errors import GraphError
from limen.node import Node
from limen.policy import Budget, EmitFailsafe
from limen.runtime import SingleThreadRuntime
from limen.scheduling import CopyKind, Plan, copies
from limen.testing.drawn import Drawn, Kind, StoppingClock, draw_graph


@limen.node
def wrap(x: Cell) -> dict:
    return {"x": x}


def graph_of(*nodes: Node, policy: NodePolicy | None = None, count: int = 6) -> Graph:
    graph = Graph("copies").add("source", ListSource(numbers(count)))
    names = [f"n{number}" for number in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add(name, node, policy)
    return graph.add("sink", CollectingSink()).chain("source", *names, "sink")


def notes_of(plan: Plan) -> list[tuple[str, CopyKind, bool, int]]:
    return [(n.place, n.kind, n.always, n.size_bytes) for n in copies(plan)]


def test_a_result_written_in_place_meets_no_copy_and_one_returned_meets_one() -> None:
    runtime = runtime_of(graph_of(Twice(), TwiceInPlace()))
    assert notes_of(runtime.plan) == [
        ("source.out", CopyKind.STORED, True, 4),
        ("n0.out", CopyKind.STORED, True, 4),
    ]
    assert [port.copies for port in runtime.run().outputs] == [6, 6, 0]


def test_a_node_that_makes_objects_is_given_copies() -> None:
    runtime = runtime_of(graph_of(wrap))
    assert notes_of(runtime.plan) == [
        ("source.out", CopyKind.STORED, True, 4),
        ("source.out -> n0.in", CopyKind.OWNED, True, 4),
    ]
    statistics = runtime.run()
    assert node_of(statistics, "n0").input_copies == 6
    assert "copies: slots of source.out 6, inputs of n0 6\n" in f"{Report(statistics)}\n"


def test_batches_of_a_model_may_be_gathered_filled_up_and_scattered() -> None:
    model = BatchNode()
    model.fixed_batch = 4
    plan = check(graph_of(model, policy=NodePolicy(batching=Batching(max_items=3))))
    assert notes_of(plan)[1:] == [
        ("n0.out", CopyKind.SCATTERED, False, 16),
        ("source.out -> n0.in", CopyKind.GATHERED, False, 12),
        ("source.out -> n0.in", CopyKind.PADDED, False, 16),
    ]


def test_what_takes_the_place_of_a_result_is_copied() -> None:
    for policy in (
        NodePolicy(error_action=EmitFailsafe([1.0])),
        NodePolicy(budget=Budget("1ms", action=DefaultOnTimeout([1.0]))),
    ):
        plan = check(graph_of(TwiceInPlace(), policy=policy))
        assert ("n0.out", CopyKind.STORED, False, 4) in notes_of(plan)


@pytest.mark.parametrize(
    ("kind", "wanted"), [(np.ndarray, [True]), (object, [False]), (dict, []), (bytes, [])]
)
def test_objects_are_copied_only_where_they_are_arrays_or_buffers(
    kind: type, wanted: list[bool]
) -> None:
    source = ListSource([], spec=ObjectSpec(kind))
    graph = Graph("objects").add("source", source).add("sink", CollectingSink())
    notes = copies(check(graph.connect("source", "sink")))
    assert [note.always for note in notes] == wanted


def drawn_runtimes(count: int) -> list[tuple[Drawn, SingleThreadRuntime]]:
    found: list[tuple[Drawn, SingleThreadRuntime]] = []
    kinds = list(Kind)
    seed = 0
    while len(found) < count:
        drawn = draw_graph(seed, kinds[seed % len(kinds)])
        seed += 1
        clock = StoppingClock(None)
        try:
            plan = check(drawn.graph(), clock)
        except GraphError:
            continue
        found.append((drawn, SingleThreadRuntime(plan, clock)))
    return found


def test_no_random_graph_counts_a_copy_that_its_plan_does_not_list() -> None:
    counted = 0
    for drawn, runtime in drawn_runtimes(60):
        runtime.start()
        for _ in range(500):
            if not runtime.step():
                break
        runtime.stop()
        run, plan = runtime.statistics(), runtime.plan
        notes = copies(plan)
        outputs = {note.place: note for note in notes if note.edge is None}
        for port in run.outputs:
            note = outputs.get(port.name)
            made = port.emitted + port.initial
            if note is None:
                assert port.copies == 0, (drawn.seed, port.name)
            elif note.always:
                assert port.copies == made, (drawn.seed, port.name)
            counted += port.copies
        for node in plan.nodes:
            kinds = {
                note.kind for note in notes if note.node == node.index and note.edge is not None
            }
            record = run.nodes[node.index]
            assert CopyKind.OWNED in kinds or record.input_copies == 0
            assert CopyKind.GATHERED in kinds or record.gathers == 0
            assert CopyKind.PADDED in kinds or record.padded == 0
    print(f"{counted} copies in 60 graphs, all of them listed")
    assert counted > 100


def test_the_notes_are_frozen() -> None:
    note = copies(check(graph_of(Twice())))[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        note.kind = CopyKind.OWNED
    assert SCALAR.size_bytes == note.size_bytes
