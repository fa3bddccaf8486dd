"""The bench that the suite of nodes steps them on gives what the runtime gives."""

from __future__ import annotations

import pytest

import test_contract_node
from doubles import MS, ListSource
from limen import Graph, SimClock, Sink
from limen.app import check
from limen.message import Message
from limen.node import NodeKind
from limen.policy import EdgePolicy
from limen.runtime import SingleThreadRuntime
from limen.testing import NodeContract
from limen.testing.contracts._node_bench import NodeBench
from limen.testing.contracts._payload_checks import all_same, kept, shown
from limen.types import Ticks

_ROUNDS = 17


class Keeps(Sink):
    def __init__(self) -> None:
        self.came: list[object] = []

    def consume(self, message: Message, now: Ticks) -> None:
        self.came.append(kept(message.payload))


def on_the_bench(suite: NodeContract) -> dict[str, list[object]]:
    node = suite.make()
    node.prepare()
    arriving = suite.inputs()
    bench = NodeBench(node, arriving, {port: suite.payloads(port) for port in arriving}, group=1)
    bench.run(_ROUNDS)
    assert not bench.errors
    return {
        port.name: [sent.payload for sent in bench.sent if sent.port == port.name]
        for port in bench.ports.outputs
    }


def in_a_graph(suite: NodeContract) -> dict[str, list[object]]:
    node = suite.make()
    node.prepare()
    graph = Graph("bench").add("node", node)
    for port, spec in suite.inputs().items():
        given = suite.payloads(port)
        payloads = [given[number % len(given)] for number in range(_ROUNDS)]
        graph.add(f"from_{port}", ListSource(payloads, every_ns=MS, spec=spec))
        graph.connect(f"from_{port}", f"node.{port}", EdgePolicy.block(4))
    sinks = {port: Keeps() for port in node.output_names}
    for port, sink in sinks.items():
        graph.add(f"to_{port}", sink).connect(f"node.{port}", f"to_{port}", EdgePolicy.block(4))
    clock = SimClock()
    statistics = SingleThreadRuntime(check(graph, clock), clock, checked=True).run()
    assert statistics.outcome == "completed", statistics.notes
    return {port: sink.came for port, sink in sinks.items()}


@pytest.mark.parametrize("suite", test_contract_node.SHIPPED, ids=lambda suite: suite.__name__)
def test_the_bench_and_the_runtime_agree(suite: type[NodeContract]) -> None:
    if suite().make().kind is NodeKind.SOURCE:
        pytest.skip("a source is asked by its own schedule")
    found, wanted = on_the_bench(suite()), in_a_graph(suite())
    assert found.keys() == wanted.keys()
    for port, payloads in wanted.items():
        assert all_same(found[port], payloads), f"{port}: {shown(found[port])}, {shown(payloads)}"
