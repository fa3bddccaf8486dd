"""What the strategies draw is valid, reaches what it should, and machines find planted bugs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

import limen
from limen.edge import Edge, Priority2, StaticRing
from limen.errors import ConfigurationError
from limen.memory import HeapMemoryManager, MemoryManager, StaticMemoryManager
from limen.message import MessageHeader
from limen.platform import PlatformClock, SimClock
from limen.policy import AdmissionPolicy, QueueCaps, RetentionMode
from limen.testing import ScriptedNode, ScriptedSink, ScriptedSource
from limen.testing import strategies as drawn
from limen.testing.machines import EdgeMachine, MemoryManagerMachine
from limen.types import DataType, MessageToken, ObjectSpec, PayloadSpec, TensorSpec, Ticks, UpTo

_ONE_BUG = settings(
    derandomize=True, max_examples=1000, phases=[Phase.generate], report_multiple_bugs=False
)
_BRIEF = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def fits(spec: PayloadSpec, payload: object) -> bool:
    if isinstance(spec, ObjectSpec):
        return isinstance(payload, spec.type)
    assert isinstance(payload, np.ndarray)
    return payload.dtype == spec.dtype.numpy_dtype() and spec.admits(payload.shape)


@_BRIEF
@given(st.data())
def test_payloads_fit_their_specs(data: st.DataObject) -> None:
    spec = data.draw(drawn.specs())
    assert fits(spec, data.draw(drawn.payloads(spec)))


@pytest.mark.parametrize("dtype", list(DataType), ids=lambda dtype: dtype.value)
def test_payloads_of_every_element_type_are_drawn(dtype: DataType) -> None:
    spec = TensorSpec(dtype, (2, UpTo(3)))
    payload = find(drawn.payloads(spec), lambda value: value.shape[1] == 2)
    assert fits(spec, payload)


def test_objects_of_a_class_are_drawn_from_its_annotations() -> None:
    @dataclass
    class Box:
        left: float
        label: str

    box = find(drawn.payloads(ObjectSpec(Box)), lambda value: value.label != "")
    assert isinstance(box, Box)
    assert find(drawn.payloads(ObjectSpec(object)), lambda value: isinstance(value, bytes)) == b""


def test_an_axis_without_a_bound_has_no_payload() -> None:
    with pytest.raises(ConfigurationError, match="no largest shape"):
        drawn.payloads(TensorSpec(DataType.F32, ("n",))).example()


@_BRIEF
@given(drawn.message_streams(TensorSpec(DataType.F32, (UpTo(3),)), most_gap=4))
def test_a_stream_is_in_the_order_of_its_instants(
    stream: list[tuple[Ticks, limen.testing.Message]],
) -> None:
    ticks = [tick for tick, _ in stream]
    assert ticks == sorted(ticks)
    for number, (tick, message) in enumerate(stream):
        assert message.header.sequence == number
        assert message.header.creation_tick <= tick
        assert message.header.payload_size_bytes == message.payload.nbytes


@_BRIEF
@given(st.data())
def test_a_message_says_how_many_bytes_it_is(data: st.DataObject) -> None:
    message = data.draw(drawn.messages(data.draw(drawn.tensor_specs())))
    assert message.header.payload_size_bytes == message.payload.nbytes
    assert message.header.origin_tick <= message.header.creation_tick


@settings(max_examples=150, deadline=None)
@given(drawn.edge_policies(), drawn.node_policies(), drawn.node_policies())
def test_graphs_of_drawn_policies_run_and_close(
    edge: limen.EdgePolicy, node: limen.NodePolicy, sink: limen.NodePolicy
) -> None:
    graph = limen.Graph("drawn")
    graph.add("source", ScriptedSource(count=6, every="3ms", size_bytes=4))
    graph.add("node", ScriptedNode(), node)
    graph.add("sink", ScriptedSink(), sink)
    graph.connect("source", "node", edge)
    graph.connect("node", "sink")
    try:
        limen.check(graph, SimClock())
    except limen.LimenError:
        # A batch that its queue cannot hold, a class that feeds a higher one: not for one node.
        return
    report = limen.run(graph, clock=SimClock())
    assert report.statistics.closes, str(report)


@pytest.mark.parametrize("retention", list(RetentionMode))
def test_every_retention_is_drawn(retention: RetentionMode) -> None:
    assert find(drawn.edge_policies(), lambda policy: policy.retention is retention)


@pytest.mark.parametrize("admission", list(AdmissionPolicy))
def test_every_admission_is_drawn(admission: AdmissionPolicy) -> None:
    assert find(drawn.edge_policies(), lambda policy: policy.admission is admission)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda policy: policy.batching.stride is not None and policy.batching.stride > 1,
        lambda policy: policy.budget_rule.action is not None,
        lambda policy: isinstance(policy.error_action, limen.Restart),
        lambda policy: policy.deadline_rule.require,
        lambda policy: policy.max_step_gap_ns is not None,
    ],
)
def test_what_a_node_policy_may_say_is_drawn(wanted: Callable[[limen.NodePolicy], bool]) -> None:
    assert find(drawn.node_policies(slides=True), wanted)


@_BRIEF
@given(drawn.durations("1ns", 5))
def test_durations_are_texts_with_a_unit(text: str) -> None:
    assert 0 < limen.types.parse_duration_ns(text, what="it") <= 5_000_000


@_BRIEF
@given(drawn.drawn_graphs())
def test_a_drawn_graph_is_one(graph: drawn.Drawn) -> None:
    assert graph.graph().spec().nodes
    assert graph.nodes
    assert "[graph.nodes.s0]" in graph.toml()


class ForgetsBytes(StaticRing):
    """Counts an eviction's bytes only where two wait."""

    def evict(self) -> MessageToken:
        before = self._bytes
        token = super().evict()
        if len(self) == 1:
            self._bytes = before
        return token


def test_a_machine_finds_a_bug_that_takes_some_calls() -> None:
    class Machine(EdgeMachine):
        def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
            return ForgetsBytes(caps, clock)

    with pytest.raises(AssertionError, match=r"size_bytes is|gave (REJECTED|ENQUEUED)"):
        run_state_machine_as_test(Machine, settings=_ONE_BUG)


def test_a_machine_tells_lanes_from_none() -> None:
    class Machine(EdgeMachine):
        def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
            return Priority2(caps, clock)

    with pytest.raises(AssertionError, match=r"the consumer sees|the producer sees|popped|evicted"):
        run_state_machine_as_test(Machine, settings=_ONE_BUG)


class HeapMachine(MemoryManagerMachine):
    def make(self, depth: int) -> MemoryManager:
        return HeapMemoryManager(depth)

    def payload(self, number: int) -> object:
        return (number, "object")

    def number_of(self, payload: object) -> int:
        assert isinstance(payload, tuple)
        return int(payload[0])


class StaticMachine(MemoryManagerMachine):
    def make(self, depth: int) -> MemoryManager:
        return StaticMemoryManager(TensorSpec(DataType.S32, (3,)), depth)

    def payload(self, number: int) -> object:
        return np.full(3, number, np.int32)

    def number_of(self, payload: object) -> int:
        assert isinstance(payload, np.ndarray)
        assert len(set(payload.tolist())) == 1
        return int(payload[0])


TestHeapMemoryManager = HeapMachine.TestCase
TestStaticMemoryManager = StaticMachine.TestCase
TestHeapMemoryManager.settings = TestStaticMemoryManager.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)


def test_a_machine_finds_a_slot_that_is_lost() -> None:
    class Loses(HeapMemoryManager):
        def free(self, token: MessageToken) -> None:
            super().free(token)
            if self.capacity == 3 and self.available == 2:
                self._available = 1

    class Machine(HeapMachine):
        def make(self, depth: int) -> MemoryManager:
            return Loses(depth)

    with pytest.raises(AssertionError, match="are not 3"):
        run_state_machine_as_test(Machine, settings=_ONE_BUG)


def test_a_machine_finds_a_header_that_changes() -> None:
    class Mixes(HeapMemoryManager):
        def peek_header(self, token: MessageToken) -> MessageHeader:
            header = super().peek_header(token)
            return self._headers[0] or header if token == 1 else header

    class Machine(HeapMachine):
        def make(self, depth: int) -> MemoryManager:
            return Mixes(depth)

    with pytest.raises(AssertionError, match="the header of token 1 says"):
        run_state_machine_as_test(Machine, settings=_ONE_BUG)


@pytest.mark.parametrize("module", ["strategies", "machines"])
def test_without_hypothesis_the_extra_is_named(module: str) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        sys.modules["hypothesis"] = None
        import limen.testing
        try:
            import limen.testing.{module}
        except ImportError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"limen.testing.{module} needs the package hypothesis" in done.stdout
    assert "pip install limen[testing]" in done.stdout
