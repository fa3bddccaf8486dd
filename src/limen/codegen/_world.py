"""What the names of a generated text stand for in one run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from limen.codegen._bound import BatchCalls, BoundCalls, CallContext, Windows
from limen.codegen._cold import root_of
from limen.codegen._program import LATEST, NEVER, Memory, Program
from limen.codegen._turns import Slots, World
from limen.errors import NodeError
from limen.memory import HeapMemoryManager, StaticMemoryManager
from limen.message import MessageHeader
from limen.node import CallForm, DirectCall
from limen.platform import MonotonicClock, PlatformClock
from limen.runtime import Journal, Link, NodeContext, PathCounters
from limen.scheduling import Plan
from limen.telemetry import POWERS_OF_TEN, Histogram
from limen.types import NodeIndex, ObjectSpec, TensorSpec, Ticks


class RunWorld:
    """Binds a Program to the nodes, slots and counters of a run, and does what its text asks for.

    Args:
        program: What is bound.
        plan: What it was lowered from.
        contexts: By node.
        links: By edge.
        journal: The run's.
        clock: The run's.
        attention: Not empty once somebody asks for the reference.

    Attributes:
        hot: The contexts of nodes that the Program steps.
        roots: Of the sinks among them, the source that their messages stem from.
    """

    def __init__(
        self,
        program: Program,
        plan: Plan,
        contexts: Sequence[NodeContext],
        links: Sequence[Link],
        journal: Journal,
        clock: PlatformClock,
        attention: list[bool],
    ) -> None:
        self._program = program
        self._plan = plan
        self._contexts = contexts
        self._links = links
        self._journal = journal
        self._clock = clock
        self._attention = attention
        self._bound_calls: list[tuple[NodeContext, BoundCalls | BatchCalls]] = []
        cold = {name for name, _ in program.cold}
        self.hot = [context for context in contexts if context.plan.name not in cold]
        self.roots: dict[NodeIndex, NodeIndex] = {
            context.plan.index: root_of(plan, context.plan)
            for context in self.hot
            if not context.plan.outputs
        }

    def refresh(self) -> None:
        """Forget what is bound to models that have been replaced since."""
        for context, calls in self._bound_calls:
            calls.refresh(context.counters.swaps)

    def world(self) -> World:
        """Return what the text is bound to; asked once."""
        clock = self._clock
        calls: dict[int, Callable[..., object]] = {}
        kinds: dict[int, type] = {}
        tensors: dict[int, tuple[np.dtype[np.generic], tuple[int, ...]]] = {}
        pauses: dict[int, Callable[[], bool]] = {}
        histograms: dict[str, list[Histogram]] = {}
        for context in self.hot:
            plan, counters = context.plan, context.counters
            call = plan.node.direct_call()
            if call is not None:
                calls[int(plan.index)] = self._callable(context, call)
            if call is not None and call.pauses is not None:
                pauses[int(plan.index)] = call.pauses
            spec = plan.outputs[0].spec if plan.outputs else None
            if isinstance(spec, ObjectSpec):
                kinds[int(plan.index)] = spec.type
            elif isinstance(spec, TensorSpec):
                tensors[int(plan.index)] = (spec.dtype.numpy_dtype(), spec.fixed_shape)
            ages, lateness = [counters.age], [counters.lateness]
            if not plan.outputs:
                path = counters.paths.setdefault(
                    self.roots[plan.index],
                    PathCounters(histograms=self._journal.switches.histograms),
                )
                ages.append(path.age)
                lateness.append(path.lateness)
            for what, kept in (
                ("wait", [counters.wait]),
                ("latency", [counters.latency]),
                ("age", ages),
                ("lateness", lateness),
            ):
                histograms[f"n{plan.index}_{what}"] = [h for h in kept if h is not None]
        return World(
            calls=calls,
            kinds=kinds,
            tensors=tensors,
            slots={memory.name: self._slots(memory) for memory in self._program.memories},
            pauses=pauses,
            dues={c.plan.index: functools.partial(_next_due, c) for c in self.hot},
            windows={c.plan.index: found for c in self.hot if (found := _windows(c)) is not None},
            contexts={c.plan.index: CallContext(c) for c in self.hot},
            histograms=histograms,
            sample=self._sample,
            epoch=clock.epoch_ns if isinstance(clock, MonotonicClock) else 0,
            domain=clock.domain,
            note=self._note,
            lost=self._tell_loss,
            missed=self._missed,
            described=self._described,
            attention=self._attention,
        )

    def _sample(self, cost_ticks: int) -> Ticks:
        self._clock.charge(cost_ticks)
        self._journal.sample()
        return self._journal.tick

    def _note(self, now: Ticks, place: str, action: str, sequence: int, reason: str) -> None:
        self._journal.tick = now
        self._journal.steps += action == "step"
        self._journal.note(place, action, sequence, reason)

    def _tell_loss(self, edge: int, count: int, what: str, reason: str) -> None:
        if count in POWERS_OF_TEN:
            self._links[edge].warn(count, reason, what)

    def _missed(self, node: int, now: Ticks, header: MessageHeader, late: int) -> None:
        self._journal.tick = now
        context = self._contexts[node]
        context.note_miss(header.sequence, late)
        if not context.outputs:
            context.counters.paths[self.roots[context.plan.index]].misses += 1

    def _described(self, node: int, header: MessageHeader, payload: object) -> MessageHeader:
        return self._contexts[node].outputs[0].described(header, payload)

    def _slots(self, memory: Memory) -> Slots:
        port = self._contexts[memory.node].outputs[memory.port]
        match port.manager:
            case StaticMemoryManager(views=views, rooms=rooms):
                return Slots(views, rooms, port.slots.shares)
            case HeapMemoryManager(payloads=payloads):
                return Slots(payloads, (), port.slots.shares)
            case other:
                raise NodeError(f"{port.name}: slots of {type(other).__qualname__} are its own")

    def _callable(self, context: NodeContext, call: DirectCall) -> Callable[..., object]:
        if call.form is not CallForm.INFER:
            return call.function
        into, out = context.links[0].manager, context.outputs[0].manager
        if not (isinstance(into, StaticMemoryManager) and isinstance(out, StaticMemoryManager)):
            raise NodeError(f"{context.plan.name}: a model is bound to slots of tensors")
        count = context.plan.inputs[0].batching.max_items
        calls: BoundCalls | BatchCalls
        if count == 1:
            calls = BoundCalls(call.function, into.batches_of_one, out.rooms_for_one)
        else:
            calls = BatchCalls(call.function, into, out, count, context.counters.gathered)
        self._bound_calls.append((context, calls))
        return calls


def _next_due(context: NodeContext) -> int:
    due = context.next_due()
    return NEVER if due is None else min(due, LATEST)


def _windows(context: NodeContext) -> Windows | None:
    """Return what lays arrays side by side for a node that takes windows of them."""
    if not (context.plan.node.takes_windows and context.links):
        return None
    into, gather = context.links[0].manager, context.gather
    if not isinstance(into, StaticMemoryManager) or gather is None:
        return None
    return Windows(into, gather, context.counters.gathered)
