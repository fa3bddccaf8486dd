"""Whether a graph can stand still is known before start, and an independent executor agrees."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limen.graph._flow import FlowDeadlock, FlowEdge, FlowNode, find_deadlock

SOURCE = FlowNode(source=True)
PLAIN = FlowNode()
MERGE = FlowNode(any=True)


def graph(*edges: FlowEdge | str, **nodes: FlowNode) -> tuple[list[FlowNode], list[FlowEdge]]:
    """Read ``"cam.out -> join.raw"`` edges between nodes given by name; 64 items, BLOCK."""
    index = {name: i for i, name in enumerate(nodes)}
    made: list[FlowEdge] = []
    for edge in edges:
        named = edge if isinstance(edge, FlowEdge) else FlowEdge(edge, 0, 0, 64)
        ends = [end.partition(".")[0] for end in named.name.split(" -> ")]
        made.append(replace(named, producer=index[ends[0]], consumer=index[ends[1]]))
    return list(nodes.values()), made


def edge(
    name: str,
    capacity: int = 64,
    *,
    blocks: bool = True,
    latch: bool = False,
    refuses: bool = False,
    initial: int = 0,
) -> FlowEdge:
    return FlowEdge(name, 0, 0, capacity, blocks and not latch, latch, refuses, initial)


def found(*edges: FlowEdge | str, **nodes: FlowNode) -> FlowDeadlock:
    deadlock = find_deadlock(*graph(*edges, **nodes))
    assert deadlock is not None
    return deadlock


def passes(*edges: FlowEdge | str, **nodes: FlowNode) -> bool:
    return find_deadlock(*graph(*edges, **nodes)) is None


def beside(raw: FlowEdge, *branch: FlowEdge | str, **nodes: FlowNode) -> FlowDeadlock | None:
    """A camera, a join, and between them ``raw`` and another branch."""
    return find_deadlock(*graph(raw, *branch, cam=SOURCE, join=PLAIN, **nodes))


def test_a_window_that_needs_more_than_its_sibling_holds_is_refused_with_numbers() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw"),
        "cam.out -> window.in",
        "window.out -> join.features",
        window=FlowNode(first=100),
    )
    assert deadlock is not None
    assert deadlock.waiting == (
        "cam waits for room on cam.out -> join.raw (64 of 64)",
        "join waits for join.features from window",
        "window holds 64 of the 100 messages it needs",
    )
    assert deadlock.message == "; ".join(deadlock.waiting)
    assert (deadlock.edge, deadlock.capacity) == (0, 100)
    assert deadlock.remedy == "raise max_items of cam.out -> join.raw to at least 100"


@pytest.mark.parametrize(("capacity", "goes_on"), [(99, False), (100, True), (101, True)])
def test_the_capacity_named_is_the_smallest(capacity: int, goes_on: bool) -> None:
    deadlock = beside(
        edge("cam.out -> join.raw", capacity),
        "cam.out -> window.in",
        "window.out -> join.features",
        window=FlowNode(first=100),
    )
    assert (deadlock is None) is goes_on


def test_no_capacity_is_enough_where_the_branches_carry_unequal_numbers() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw", 1000),
        "cam.out -> window.in",
        "window.out -> join.features",
        window=FlowNode(first=100, each=50),
    )
    assert deadlock is not None
    assert (deadlock.edge, deadlock.capacity) == (0, None)
    assert deadlock.remedy == (
        "let cam.out -> join.raw drop (drop_oldest, mailbox), or hold it with a latch: "
        "no capacity is enough"
    )
    assert deadlock.waiting[2].endswith(" of the 50 messages it needs")


def test_branches_that_thin_out_alike_pass() -> None:
    window = FlowNode(first=100, each=50)
    assert passes(
        "cam.out -> left.in",
        "cam.out -> right.in",
        "left.out -> join.a",
        "right.out -> join.b",
        cam=SOURCE,
        left=window,
        right=window,
        join=PLAIN,
    )


def test_a_batch_waits_in_its_queue_and_is_counted_there() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw", 4),
        "cam.out -> model.in",
        "model.out -> join.boxes",
        model=FlowNode(batch=8),
    )
    assert deadlock is not None
    assert deadlock.waiting[2] == "model has 4 of the 8 messages of its batch"
    assert deadlock.capacity == 8


def test_a_batch_that_time_closes_waits_for_nothing() -> None:
    for window in (False, True):
        assert (
            beside(
                edge("cam.out -> join.raw", 4),
                "cam.out -> model.in",
                "model.out -> join.boxes",
                model=FlowNode(batch=8, stride=8, window=window, closes=True),
            )
            is None
        )


def test_a_sliding_window_keeps_its_overlap_outside_the_queue() -> None:
    model = FlowNode(batch=4, stride=1, window=True)
    assert beside(
        edge("cam.out -> join.raw", 4),
        edge("cam.out -> model.in", 4),
        "model.out -> join.a",
        model=model,
    ) is None  # fmt: skip


def test_independent_sources_need_not_keep_step() -> None:
    assert passes(
        "left.out -> join.a",
        "right.out -> window.in",
        "window.out -> join.b",
        left=SOURCE,
        right=SOURCE,
        window=FlowNode(first=100, each=50),
        join=PLAIN,
    )


def test_a_lossy_branch_that_passes_messages_one_by_one_is_fine_beside_block() -> None:
    assert (
        beside(
            edge("cam.out -> join.raw"),
            edge("cam.out -> f.in", 1, blocks=False),
            edge("f.out -> g.in", 1, blocks=False),
            "g.out -> join.features",
            f=PLAIN,
            g=PLAIN,
        )
        is None
    )


def test_a_lossy_edge_ahead_of_a_window_is_refused() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw", 1000),
        edge("cam.out -> window.in", 64, blocks=False),
        "window.out -> join.features",
        window=FlowNode(first=100),
    )
    assert deadlock is not None
    assert (deadlock.edge, deadlock.capacity) == (0, None)


def test_a_lossy_edge_that_holds_the_first_window_is_fine() -> None:
    assert (
        beside(
            edge("cam.out -> join.raw", 1000),
            edge("cam.out -> window.in", 128, blocks=False),
            "window.out -> join.features",
            window=FlowNode(first=100),
        )
        is None
    )


def test_two_sources_crosswise_are_refused() -> None:
    window = FlowNode(first=200)
    deadlock = found(
        "s1.out -> j1.b",
        "s1.out -> w1.in",
        "w1.out -> j2.a",
        "s2.out -> j2.b",
        "s2.out -> w2.in",
        "w2.out -> j1.a",
        s1=SOURCE,
        s2=SOURCE,
        w1=window,
        w2=window,
        j1=PLAIN,
        j2=PLAIN,
    )
    assert len(deadlock.waiting) == 6
    assert deadlock.capacity == 2 * 199 + 1 - 64


def test_a_loop_that_blocks_needs_room_for_one_more_than_its_tokens() -> None:
    deadlock = found(
        "cam.out -> f.in",
        edge("f.out -> f.state", 2, initial=2),
        cam=SOURCE,
        f=PLAIN,
    )
    assert deadlock.waiting == ("f waits for room on f.out -> f.state (2 of 2)",)
    assert (deadlock.edge, deadlock.capacity) == (1, 3)
    assert passes("cam.out -> f.in", edge("f.out -> f.state", 3, initial=2), cam=SOURCE, f=PLAIN)


def test_a_loop_with_fewer_tokens_than_a_batch_starves() -> None:
    deadlock = found(
        "cam.out -> join.in",
        "join.out -> model.in",
        edge("model.out -> join.state", initial=3),
        cam=SOURCE,
        join=PLAIN,
        model=FlowNode(batch=4),
    )
    assert (deadlock.edge, deadlock.capacity) == (None, None)
    assert "model has 3 of the 4 messages of its batch" in deadlock.waiting


def test_a_loop_that_can_lose_its_token_is_refused_only_if_something_withholds() -> None:
    def loop(middle: FlowNode) -> bool:
        return passes(
            "cam.out -> join.in",
            edge("join.out -> f.in", 1, blocks=False),
            edge("f.out -> join.state", 4, initial=2),
            cam=SOURCE,
            join=PLAIN,
            f=middle,
        )

    assert loop(PLAIN)
    assert not loop(FlowNode(first=2))


def test_a_latch_beside_the_flow_is_fine() -> None:
    assert (
        beside(
            edge("cam.out -> join.raw"),
            edge("settings.out -> join.settings", 1, latch=True),
            settings=SOURCE,
        )
        is None
    )


def test_a_latch_that_is_not_set_in_time_is_refused() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw"),
        "cam.out -> window.in",
        edge("window.out -> join.mean", 1, latch=True),
        window=FlowNode(first=100, each=100),
    )
    assert deadlock is not None
    assert deadlock.capacity == 100


def test_an_edge_that_may_refuse_everything_is_refused_beside_block() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw"),
        edge("cam.out -> f.in", blocks=False, refuses=True),
        "f.out -> join.features",
        f=PLAIN,
    )
    assert deadlock is not None
    assert "cam.out -> f.in may lose every message" in deadlock.waiting
    assert passes(
        "left.out -> join.a",
        edge("right.out -> join.b", blocks=False, refuses=True),
        left=SOURCE,
        right=SOURCE,
        join=PLAIN,
    )


def test_a_merge_that_another_source_floods_is_refused_ahead_of_a_join() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw"),
        "cam.out -> merge.a",
        "other.out -> merge.b",
        "merge.out -> join.features",
        merge=MERGE,
        other=SOURCE,
    )
    assert deadlock is not None
    assert "merge may take its other inputs first" in deadlock.waiting


def test_a_merge_is_not_counted_on_to_be_fed_by_another_source_which_may_end() -> None:
    deadlock = beside(
        edge("cam.out -> join.raw"),
        "cam.out -> window.in",
        edge("window.out -> merge.a", blocks=False),
        "other.out -> merge.b",
        edge("merge.out -> join.features", blocks=False),
        window=FlowNode(first=100, each=50),
        merge=MERGE,
        other=SOURCE,
    )
    assert deadlock is not None
    assert "join waits for join.features from merge" in deadlock.waiting


def test_an_optional_input_passes_only_where_it_cannot_come_too_late() -> None:
    join = FlowNode(optional=frozenset({0}))
    assert passes("cam.out -> join.hint", "cam.out -> f.in", "f.out -> join.in",
                  cam=SOURCE, f=PLAIN, join=join)  # fmt: skip
    late = found("f.out -> join.hint", "cam.out -> f.in", "cam.out -> join.in",
                 cam=SOURCE, f=PLAIN, join=join)  # fmt: skip
    assert "join does not wait for f.out -> join.hint and may miss what comes over it" in (
        late.waiting
    )


@pytest.mark.parametrize("closes", [False, True])
def test_results_staged_after_a_batch_need_as_much_room_on_the_lossy_edge(closes: bool) -> None:
    def lossy(capacity: int) -> FlowDeadlock | None:
        return beside(
            edge("cam.out -> model.in", 4),
            edge("model.out -> join.boxes", 1),
            edge("cam.out -> f.in", capacity, blocks=False),
            "f.out -> join.features",
            model=FlowNode(batch=4, closes=closes),
            f=PLAIN,
        )

    assert lossy(1) is not None
    assert lossy(4) is None


def test_a_batching_node_takes_a_latch_without_consuming_it() -> None:
    assert passes(
        "cam.out -> join.raw",
        edge("cam.out -> model.mode", 1, latch=True),
        "cam.out -> model.in",
        "model.out -> join.boxes",
        cam=SOURCE,
        model=FlowNode(batch=2, window=True, first=2),
        join=FlowNode(optional=frozenset({0})),
    )


@pytest.mark.parametrize(("crosswise", "first"), [(False, 100), (True, 9)])
def test_the_executor_of_these_tests_stops_where_losses_stop_a_graph(
    crosswise: bool, first: int
) -> None:
    """A check of the oracle: both graphs go on if nothing is lost."""
    if crosswise:
        nodes, edges = graph(
            edge("s1.out -> j1.b", 6), edge("s1.out -> w.in", 6), edge("w.out -> j2.a", 6),
            edge("s2.out -> j2.b", 6), edge("s2.out -> j1.a", 1, blocks=False),
            s1=SOURCE, s2=SOURCE, w=FlowNode(first=first), j1=PLAIN, j2=PLAIN,
        )  # fmt: skip
        lossy = 4
    else:
        nodes, edges = graph(
            edge("cam.out -> join.raw", 200), edge("cam.out -> w.in", 5, blocks=False),
            edge("w.out -> join.f", 5),
            cam=SOURCE, w=FlowNode(first=first), join=PLAIN,
        )  # fmt: skip
        lossy = 1
    assert any(Executor(nodes, edges, random.Random(seed)).run(2000) for seed in range(50))
    assert find_deadlock(nodes, edges) is not None
    edges[lossy] = replace(edges[lossy], capacity=1000, blocks=True)
    assert find_deadlock(nodes, edges) is None


def test_any_activation_alone_never_deadlocks() -> None:
    assert passes("cam.out -> f.in", "cam.out -> merge.a", "f.out -> merge.b",
                  cam=SOURCE, f=FlowNode(first=100, each=50), merge=MERGE)  # fmt: skip


class Executor:
    """Counts moved by steps in any order, with all that the real executor may do to them."""

    def __init__(self, nodes: list[FlowNode], edges: list[FlowEdge], rng: random.Random) -> None:
        self.nodes, self.edges, self.rng = nodes, edges, rng
        self.ring = [e.initial for e in edges]
        self.staged = [0] * len(edges)
        self.ins = [[i for i, e in enumerate(edges) if e.consumer == n] for n in range(len(nodes))]
        self.outs = [[i for i, e in enumerate(edges) if e.producer == n] for n in range(len(nodes))]
        self.batches: dict[int, int] = {}
        self.progress = [0] * len(nodes)
        self.results = [0] * len(nodes)
        self.refusing = rng.random()

    def _flow(self, n: int) -> list[int]:
        return [e for e in self.ins[n] if not self.edges[e].latch]

    def _is_any(self, n: int) -> bool:
        required = [e for e in self._flow(n) if e not in self.nodes[n].optional]
        return self.nodes[n].any or not required

    def _enough(self, n: int, e: int) -> bool:
        node, waiting = self.nodes[n], self.ring[e]
        if node.batch == 1 or node.closes:
            return waiting >= 1
        wanted = node.stride if node.window and self.batches.get(e) else node.batch
        return waiting >= wanted or waiting == self.edges[e].capacity

    def held_up(self, n: int) -> list[int]:
        return [
            e
            for e in self.outs[n]
            if self.staged[e] or (self.edges[e].blocks and self.ring[e] >= self.edges[e].capacity)
        ]

    def starved(self, n: int) -> list[int]:
        """The inputs it waits for; under any, none or all."""
        node = self.nodes[n]
        missing = [
            e
            for e in self.ins[n]
            if self.edges[e].latch and not self.ring[e] and not node.any and e not in node.optional
        ]
        flow = self._flow(n)
        empty = [e for e in flow if not self._enough(n, e)]
        if not self._is_any(n):
            return missing + [e for e in empty if e not in node.optional]
        return missing + (empty if flow and len(empty) == len(flow) else [])

    def can_fire(self, n: int) -> bool:
        return not self.held_up(n) and not self.starved(n) and bool(self.ins[n] or self.outs[n])

    def fire(self, n: int) -> None:
        node, flow = self.nodes[n], self._flow(n)
        if not flow:
            return self._results(n, 1)
        ready = [e for e in flow if self._enough(n, e)]
        if node.any:
            ready = [self.rng.choice(ready)]
        units = 1
        for e in ready:
            if node.batch == 1:
                self._take(e, 1)
                continue
            fresh = node.stride if node.window and self.batches.get(e) else node.batch
            taken = min(fresh, self.ring[e])
            if node.closes:
                taken = self.rng.choice([taken, self.rng.randint(1, taken)])
            self.batches[e] = self.batches.get(e, 0) + 1
            self._take(e, taken)
            units = 1 if node.window else taken
        return self._results(n, units)

    def _results(self, n: int, units: int) -> None:
        node = self.nodes[n]
        for _ in range(units):
            if self._flow(n):
                self.progress[n] += 1
                if self.progress[n] < (node.each if self.results[n] else node.first):
                    continue
                self.progress[n] = 0
            self.results[n] += 1
            for e in self.outs[n]:
                self._offer(e)

    def _offer(self, e: int) -> None:
        it = self.edges[e]
        if it.refuses_when_empty and self.rng.random() < self.refusing:
            return
        if self.ring[e] < it.capacity and not self.staged[e]:
            self.ring[e] += 1
        elif it.blocks:
            self.staged[e] += 1

    def _take(self, e: int, count: int) -> None:
        assert 0 < count <= self.ring[e]
        self.ring[e] -= count
        moved = min(self.staged[e], self.edges[e].capacity - self.ring[e])
        self.staged[e] -= moved
        self.ring[e] += moved

    def stuck(self) -> set[int]:
        """The nodes that wait for one another, and so for ever."""
        left = {n for n in range(len(self.nodes)) if not self.can_fire(n)}
        while True:
            kept = {n for n in left if self._waits_within(n, left)}
            if kept == left:
                return left
            left = kept

    def _waits_within(self, n: int, left: set[int]) -> bool:
        if any(self.edges[e].consumer in left for e in self.held_up(n)):
            return True
        starved = self.starved(n)
        latches = [e for e in starved if self.edges[e].latch]
        flow = [e for e in starved if not self.edges[e].latch]
        some = any(self.edges[e].producer in left for e in latches)
        if self._is_any(n):
            return some or (bool(flow) and all(self.edges[e].producer in left for e in flow))
        return some or any(self.edges[e].producer in left for e in flow)

    def run(self, steps: int) -> set[int]:
        """Step in random order, often by a preference that changes now and then."""
        order = list(range(len(self.nodes)))
        patience, noise = self.rng.choice([3, 20, 200]), self.rng.choice([0.0, 0.1, 0.5])
        for i in range(steps):
            if i % patience == 0:
                self.rng.shuffle(order)
            ready = [n for n in order if self.can_fire(n)]
            if not ready:
                break
            self.fire(self.rng.choice(ready) if self.rng.random() < noise else ready[0])
            if i % 40 == 0 and (stuck := self.stuck()):
                return stuck
        return self.stuck()


def draw_graph(
    rng: random.Random, *, lossless: bool = False
) -> tuple[list[FlowNode], list[FlowEdge]]:
    """A random graph: fan-out, joins, merges, batches, windows, latches and feedback."""
    sources = rng.randint(1, 2)
    size = sources + rng.randint(1, 5)
    nodes, edges = [SOURCE] * sources, list[FlowEdge]()
    share = rng.choice([0.0, 0.2, 0.5])
    withhold = rng.choice([0.0, 0.3, 0.6])
    for n in range(sources, size):
        first = len(edges)
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            edges.append(_draw_edge(rng, len(edges), rng.randrange(n), n, share, lossless))
        flow = [i for i in range(first, len(edges)) if not edges[i].latch]
        if not flow:
            edges[first] = replace(edges[first], latch=False, blocks=True)
            flow = [first]
        nodes.append(_draw_node(rng, flow, withhold, lossless))
        if rng.random() < 0.15:
            edges.append(_draw_feedback(rng, len(edges), n, sources, nodes, edges, lossless))
    return nodes, edges


def _draw_edge(
    rng: random.Random, index: int, producer: int, consumer: int, share: float, lossless: bool
) -> FlowEdge:
    name = f"n{producer}.out{index} -> n{consumer}.in{index}"
    made = FlowEdge(name, producer, consumer, rng.randint(1, 5))
    kind = rng.random()
    if kind < 0.08:
        return replace(made, capacity=1, blocks=False, latch=True)
    if lossless:
        return made
    refuses = rng.random() < 0.04
    if kind < 0.08 + share:
        return replace(made, blocks=False, refuses_when_empty=refuses)
    return replace(made, refuses_when_empty=refuses)


def _draw_node(rng: random.Random, flow: list[int], withhold: float, lossless: bool) -> FlowNode:
    is_any = not lossless and rng.random() < 0.2
    optional = (
        frozenset(e for e in flow if not lossless and rng.random() < 0.15)
        if not is_any
        else frozenset[int]()
    )
    node = FlowNode(any=is_any, optional=optional)
    if rng.random() < withhold:
        node = replace(node, first=rng.randint(1, 4), each=rng.randint(1, 2))
    if (len(flow) == 1 or is_any) and rng.random() < withhold:
        batch = rng.randint(2, 4)
        window = lossless or rng.random() < 0.5
        node = replace(
            node,
            batch=batch,
            window=window,
            stride=rng.randint(1, batch) if window else batch,
            closes=not lossless and rng.random() < 0.4,
        )
    return node


def _draw_feedback(
    rng: random.Random,
    index: int,
    producer: int,
    sources: int,
    nodes: list[FlowNode],
    edges: list[FlowEdge],
    lossless: bool,
) -> FlowEdge:
    into = [n for n in range(sources, producer + 1) if nodes[n].any or nodes[n].batch == 1]
    consumer = rng.choice(into or [producer])
    if not into:
        nodes[consumer] = replace(nodes[consumer], batch=1, window=False, closes=False)
    capacity = rng.randint(1, 4)
    name = f"n{producer}.out{index} -> n{consumer}.in{index}"
    blocks = lossless or rng.random() < 0.6
    return FlowEdge(name, producer, consumer, capacity, blocks, initial=rng.randint(1, capacity))


@settings(max_examples=400)
@given(st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_no_schedule_stops_a_graph_that_passes(rng: random.Random, seed: int) -> None:
    nodes, edges = draw_graph(rng)
    if find_deadlock(nodes, edges) is None:
        for attempt in range(4):
            assert not Executor(nodes, edges, random.Random(seed + attempt)).run(400)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_every_schedule_stops_a_lossless_graph_that_is_refused(
    rng: random.Random, seed: int
) -> None:
    nodes, edges = draw_graph(rng, lossless=True)
    stuck = Executor(nodes, edges, random.Random(seed)).run(3000)
    assert bool(stuck) is (find_deadlock(nodes, edges) is not None)


@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_the_capacity_named_is_enough_for_what_was_found(rng: random.Random, seed: int) -> None:
    nodes, edges = draw_graph(rng, lossless=True)
    before = find_deadlock(nodes, edges)
    if before is None or before.edge is None or before.capacity is None:
        return
    assert before.capacity > edges[before.edge].capacity
    edges[before.edge] = replace(edges[before.edge], capacity=before.capacity)
    after = find_deadlock(nodes, edges)
    assert after is None or after.message != before.message
