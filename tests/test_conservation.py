"""Whatever the graph, nothing is lost uncounted: all identities close after every single step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles import (
    MS,
    BatchNode,
    CollectingSink,
    Doing,
    ListSource,
    assert_settled,
    forward,
    numbers,
    runtime_of,
)
from limen import AdmissionPolicy, Batching, EdgePolicy, Graph, NodePolicy, QoSClass, QueueCaps
from limen.errors import SensorError
from limen.message import Message
from limen.node import Consumed, Node, Produced, Skip, SourceSignal
from limen.runtime import SingleThreadRuntime


@dataclass(frozen=True)
class Stage:
    """One drawn node and the edge into it."""

    kind: str
    batch: int
    delta_ms: int | None
    cost_ms: int
    deadline_ms: int | None
    admission: AdmissionPolicy
    extra_items: int
    soft_items: int
    max_bytes: int | None

    @property
    def edge(self) -> EdgePolicy:
        most = self.batch + self.extra_items
        return EdgePolicy(
            QueueCaps(most, min(self.soft_items, most), self.max_bytes), self.admission
        )

    @property
    def policy(self) -> NodePolicy:
        delta_ns = None if self.delta_ms is None else self.delta_ms * MS
        deadline = {} if self.deadline_ms is None else {"deadline": f"{self.deadline_ms}ms"}
        batching = Batching(self.batch, delta_ns)
        return NodePolicy(batching=batching, sim_cost=f"{self.cost_ms}ms", **deadline)

    def node(self) -> Node:
        match self.kind:
            case "model":
                return BatchNode(fail_on=frozenset(range(0, 1000, 7)))
            case "skips":
                return Doing(lambda m: Skip() if m.header.sequence % 3 == 0 else forward(m))
            case "consumes":
                return Doing(lambda m: Consumed() if m.header.sequence % 2 else forward(m))
            case "raises":
                return Doing(_raises)
            case _:
                return Doing(forward)


def _raises(message: Message) -> object:
    if message.header.sequence % 4 == 1:
        raise ValueError("as drawn")
    return forward(message)


@dataclass(frozen=True)
class Feed:
    """One drawn source."""

    count: int
    every_ms: int | None
    pausable: bool
    faults: tuple[str, ...]
    qos: tuple[QoSClass, ...]
    deadlines_ms: tuple[int | None, ...]

    def source(self) -> ListSource:
        items: list[object] = []
        for index, payload in enumerate(numbers(self.count)):
            match self.faults[index % len(self.faults)]:
                case "nothing":
                    items.append(SourceSignal.NOTHING_NOW)
                case "error":
                    items.append(ValueError("as drawn"))
                case "sensor":
                    items.append(SensorError("as drawn"))
            deadline = self.deadlines_ms[index % len(self.deadlines_ms)]
            deadline_ns = None if deadline is None else deadline * MS
            qos = self.qos[index % len(self.qos)]
            items.append(Produced(payload, deadline_ns=deadline_ns, qos=qos))
        every_ns = None if self.every_ms is None else self.every_ms * MS
        return ListSource(items, every_ns=every_ns, pausable=self.pausable)


STAGES = st.builds(
    Stage,
    kind=st.sampled_from(["forwards", "model", "skips", "consumes", "raises"]),
    batch=st.integers(1, 5),
    delta_ms=st.none() | st.integers(1, 40),
    cost_ms=st.sampled_from([0, 0, 1, 7, 30]),
    deadline_ms=st.none() | st.integers(1, 60),
    admission=st.sampled_from(list(AdmissionPolicy)),
    extra_items=st.integers(0, 4),
    soft_items=st.integers(1, 9),
    max_bytes=st.none() | st.integers(4, 40),
)
FEEDS = st.builds(
    Feed,
    count=st.integers(0, 12),
    every_ms=st.none() | st.integers(0, 20),
    pausable=st.booleans(),
    faults=st.lists(st.sampled_from(["", "", "nothing", "error", "sensor"]), min_size=1).map(tuple),
    qos=st.lists(st.sampled_from(list(QoSClass)), min_size=1, max_size=5).map(tuple),
    deadlines_ms=st.lists(st.none() | st.integers(0, 500), min_size=1, max_size=5).map(tuple),
)
# The last stage of a chain lends its edge and policy to the sink.
CHAINS = st.tuples(FEEDS, st.lists(STAGES, min_size=2, max_size=4))


@st.composite
def drawn_graphs(draw: st.DrawFn) -> tuple[Graph, list[CollectingSink]]:
    graph = Graph("drawn", scheduler=draw(st.sampled_from(["round_robin", "edf"])))
    sinks = []
    parts: list[tuple[str, object, NodePolicy | None]] = []
    edges = []
    for number, (feed, stages) in enumerate(draw(st.lists(CHAINS, min_size=1, max_size=3))):
        before = f"s{number}"
        parts.append((before, feed.source(), None))
        for place, stage in enumerate(stages):
            last = place == len(stages) - 1
            name = f"n{number}_{place}"
            parts.append((name, CollectingSink() if last else stage.node(), stage.policy))
            edges.append((before, name, stage.edge))
            before = name
        sinks.append(parts[-1][1])
    for name, component, policy in draw(st.permutations(parts)):
        graph.add(name, component, policy)
    for producer, consumer, edge in draw(st.permutations(edges)):
        graph.connect(producer, consumer, edge)
    return graph, sinks


def assert_sound(runtime: SingleThreadRuntime) -> None:
    """Hold the identities and the bounds to the present state."""
    statistics = runtime.statistics()
    assert [i for i in statistics.identities if not i.closes] == []
    caps = {edge.name: edge.policy.caps for edge in runtime.plan.edges}
    for edge in statistics.edges:
        assert edge.ring <= edge.peak <= edge.capacity
        most = caps[edge.name].max_bytes
        assert most is None or edge.ring * 4 <= most
        assert min(edge.staged, edge.ring, edge.offered) >= 0
    for port in statistics.inputs:
        assert port.held == 0, "between steps nothing is held"


def conserve(graph: Graph, sinks: list[CollectingSink], stop_at: int | None, drain_ms: int) -> None:
    runtime = runtime_of(graph, drain_ns=drain_ms * MS)
    runtime.start()
    assert_sound(runtime)
    more, steps = True, 0
    while more:
        if steps == stop_at:
            runtime.stop_handle.request_stop()
        more = runtime.step()
        assert_sound(runtime)
        steps += 1
        assert steps < 20_000, "it ends"
    runtime.stop()
    statistics = runtime.statistics()
    assert_settled(statistics)
    assert statistics.outcome in ("completed", "stopped"), statistics.notes
    if stop_at is None:
        assert statistics.outcome == "completed"
        for edge in statistics.edges:
            assert "stopped" not in edge.refused
    for sink in sinks:
        assert sink.sequences == sorted(set(sink.sequences)), "in order, each once"


STOPS = st.none() | st.integers(0, 60)
DRAINS = st.sampled_from([0, 5, 10_000])


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(drawn=drawn_graphs(), stop_at=STOPS, drain_ms=DRAINS)
def test_after_every_step_everything_is_accounted_for(
    drawn: tuple[Graph, list[CollectingSink]], stop_at: int | None, drain_ms: int
) -> None:
    conserve(*drawn, stop_at, drain_ms)


@pytest.mark.slow
@settings(max_examples=2000, database=None, deadline=None)
@given(drawn=drawn_graphs(), stop_at=STOPS, drain_ms=DRAINS)
def test_after_every_step_everything_is_accounted_for_in_many_more_graphs(
    drawn: tuple[Graph, list[CollectingSink]], stop_at: int | None, drain_ms: int
) -> None:
    conserve(*drawn, stop_at, drain_ms)
