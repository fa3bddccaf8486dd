"""Where payloads may lie: the set of memory classes, the decision, and what a graph may ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limen
from doubles import SCALAR, CollectingSink, ListSource, Twice, numbers, runtime_of
from limen import Graph, SimClock
from limen.compute import ModelMetadata
from limen.errors import Code, ConfigurationError, GraphError
from limen.memory import (
    HOST_ONLY,
    PROVIDED,
    BufferDescriptor,
    Placement,
    PlacementAcceptance,
    decide_placement,
)
from limen.node import NodePorts, Port
from limen.scheduling import CopyKind, copies
from limen.types import MemoryClass

_CLASSES = st.sets(st.sampled_from(list(MemoryClass)))


def of(classes: set[MemoryClass]) -> PlacementAcceptance:
    found = PlacementAcceptance.empty()
    for memory in classes:
        found = found.union(PlacementAcceptance.exactly(memory))
    return found


@given(_CLASSES, _CLASSES)
def test_an_acceptance_is_a_set_of_classes(one: set[MemoryClass], other: set[MemoryClass]) -> None:
    a, b = of(one), of(other)
    assert set(a.union(b).classes) == one | other
    assert set(a.intersect(b).classes) == one & other
    assert a.contains(b) is (one >= other)
    assert a.is_empty is (not one)
    assert 0 <= a.bits < 1 << 32
    for memory in MemoryClass:
        assert a.accepts(memory) is (memory in one)
        wanted = Placement.ZERO_COPY if memory in one else Placement.ADAPT_REQUIRED
        assert decide_placement(a, memory) is wanted


def test_sets_are_built_by_name() -> None:
    found = PlacementAcceptance.empty().with_host().with_pinned_host().with_shared()
    assert found.with_device(0).with_device(15).bits == 0b111 | 1 << 16 | 1 << 31
    assert str(found.with_device(3)) == "host, pinned host, shared, device 3"
    assert str(PlacementAcceptance.empty()) == "nothing"
    assert PlacementAcceptance.exactly(MemoryClass.HOST) == HOST_ONLY == PROVIDED


@pytest.mark.parametrize("ordinal", [-1, 16])
def test_there_are_sixteen_devices(ordinal: int) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 15"):
        PlacementAcceptance.empty().with_device(ordinal)


@pytest.mark.parametrize("ordinal", range(16))
def test_a_device_has_its_own_class(ordinal: int) -> None:
    memory = MemoryClass.device(ordinal)
    assert (memory.ordinal, memory.label) == (ordinal, f"device {ordinal}")
    assert MemoryClass.HOST.ordinal is None


@pytest.mark.parametrize("bits", [-1, 8, 1 << 15, 1 << 32])
def test_bits_of_no_class_are_refused(bits: int) -> None:
    with pytest.raises(ConfigurationError):
        PlacementAcceptance(bits)


def test_a_buffer_is_described_by_its_bytes() -> None:
    assert BufferDescriptor(12).bytes == 12
    with pytest.raises(ConfigurationError):
        BufferDescriptor(-1)


class Placed(Twice):
    """Twice, with ports in other memory."""

    def __init__(
        self, accepts: PlacementAcceptance | None = None, memory: MemoryClass = MemoryClass.HOST
    ) -> None:
        super().__init__()
        self.wanted, self.memory = accepts, memory

    def resolve(self, inputs: object) -> NodePorts:
        ports = super().resolve(inputs)
        into = replace(ports.inputs[0], accepts=self.wanted)
        return NodePorts((into,), (replace(ports.outputs[0], memory=self.memory),))


def graph_of(node: limen.ProcessNode) -> Graph:
    graph = Graph("placed").add("source", ListSource(numbers(2))).add("twice", node)
    return graph.add("sink", CollectingSink()).chain("source", "twice", "sink")


def test_host_memory_is_handed_over_as_it_is() -> None:
    plan = limen.check(graph_of(Placed(HOST_ONLY.with_device(1))), SimClock())
    assert [edge.placement for edge in plan.edges] == [Placement.ZERO_COPY] * 2


def test_a_consumer_that_takes_only_a_device_s_memory_is_refused_when_the_graph_is_built() -> None:
    accepts = PlacementAcceptance.empty().with_device(2).with_pinned_host()
    with pytest.raises(GraphError) as caught:
        limen.check(graph_of(Placed(accepts)), SimClock())
    (problem,) = caught.value.problems
    assert problem.code is Code.MEMORY_NOT_PROVIDED
    assert problem.place == "source -> twice"
    assert problem.message == (
        "twice.in accepts pinned host, device 2 memory only, which no manager provides"
    )
    assert problem.remedy == "let it accept memory that one does: host"


def test_what_a_node_accepts_holds_for_ports_that_do_not_say() -> None:
    node = Placed()
    node.accepts = PlacementAcceptance.empty().with_shared()
    with pytest.raises(GraphError, match="accepts shared memory only"):
        limen.check(graph_of(node), SimClock())


def test_an_output_in_memory_that_nothing_manages_is_refused() -> None:
    with pytest.raises(GraphError) as caught:
        limen.check(graph_of(Placed(memory=MemoryClass.device(0))), SimClock())
    assert [(p.code, p.place, p.message) for p in caught.value.problems] == [
        (
            Code.MEMORY_NOT_PROVIDED,
            "twice.out",
            "its payloads lie in device 0 memory, which no manager provides",
        )
    ]


def test_an_adaptation_would_be_listed_among_the_copies() -> None:
    plan = runtime_of(graph_of(Placed())).plan
    edges = (replace(plan.edges[0], placement=Placement.ADAPT_REQUIRED), plan.edges[1])
    found = [note for note in copies(replace(plan, edges=edges)) if note.edge is not None]
    assert [(n.place, n.kind, n.always, n.size_bytes) for n in found] == [
        ("source.out -> twice.in", CopyKind.ADAPTED, True, 4)
    ]


def test_a_model_accepts_what_its_backend_prefers() -> None:
    ports = (("x", SCALAR),)
    assert ModelMetadata(ports, ports, None).accepts == HOST_ONLY
    device = ModelMetadata(ports, ports, None, (MemoryClass.HOST, MemoryClass.device(1)))
    assert device.accepts == HOST_ONLY.with_device(1)


def test_ports_accept_host_memory_unless_they_say() -> None:
    assert Port("in", SCALAR).accepts is None
    assert Twice().accepts == HOST_ONLY
