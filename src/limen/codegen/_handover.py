"""How the state of a run goes to a Program and comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limen.codegen._program import Memory, Program, Queue
from limen.codegen._statements import Why
from limen.codegen._turns import Entry, Left, Turns, lasting_variables
from limen.codegen._world import RunWorld
from limen.memory import HeapMemoryManager
from limen.node import NodeKind
from limen.policy import AdmissionPolicy, Refusal, RetentionMode
from limen.runtime import Handled, Journal, Judge, Link, NodeContext, OutputPort
from limen.types import MessageToken, NodeIndex, Ticks


class Stepped(NamedTuple):
    """What came of some turns.

    Attributes:
        last: The node that was stepped last.
        steps: How many steps there were.
        made: Whether a source made something.
    """

    last: NodeIndex
    steps: int
    made: bool


class Handover:
    """Hands queues, slots and counts to a Program, and takes them back.

    Args:
        program: Who they go to.
        run: What its text is bound to.
        contexts: By node.
        links: By edge.
        judge: The run's.
        journal: The run's.
    """

    def __init__(
        self,
        program: Program,
        run: RunWorld,
        contexts: Sequence[NodeContext],
        links: Sequence[Link],
        judge: Judge,
        journal: Journal,
    ) -> None:
        self._program = program
        self._hot = run.hot
        self._roots = run.roots
        self._contexts = contexts
        self._links = links
        self._judge = judge
        self._journal = journal
        self._owned = {queue.edge for queue in program.queues}
        self._places = {var.name: i for i, var in enumerate(lasting_variables(program))}

    def is_idle(self, context: NodeContext) -> bool:
        """Whether there is nothing for a node of the reference's, but for what the Program emits.

        Looking at such a node changes nothing, and does not make it ready.
        """
        if self._judge.ended[context.plan.index]:
            return not any(link.staged for link in context.out_links)
        if any(link.staged or link.consumer_ended for link in context.out_links):
            return False
        if context.plan.kind is NodeKind.SOURCE:
            return context.next_due() is not None
        if context.plan.period_ticks is not None or context.asleep_until > self._journal.tick:
            return False
        return not any(
            link.hold
            or link.consumer.ended
            or (link.waiting and link.plan.index not in self._owned)
            for link in context.links
        )

    def load(self, turns: Turns, last: NodeIndex, due: int) -> None:
        """Hand the state over.

        Args:
            turns: Who takes it.
            last: The node that was stepped last.
            due: The first instant that is not the Program's to act on.
        """
        state = [0] * len(self._places)
        state[self._places["now"]] = self._journal.tick
        state[self._places["due"]] = due
        state[self._places["last"]] = last
        for context in self._contexts:
            if context not in self._hot:
                idle = f"n{context.plan.index}_idle"
                state[self._places[idle]] = self.is_idle(context)
        for context in self._hot:
            name, index = f"n{context.plan.index}", context.plan.index
            if context.plan.kind is NodeKind.SOURCE:
                off = self._judge.ended[index] or context.produced_nothing
                state[self._places[f"{name}_off"]] = off
                state[self._places[f"{name}_made"]] = context.made_by_port[0]
                if f"{name}_held" in self._places:
                    state[self._places[f"{name}_held"]] = self._judge.held_back[index]
        for queue in self._program.queues:
            self._port(self._links[queue.edge]).slots.reclaim()
        for memory in self._program.memories:
            free = self._output(memory).manager.lend_free()
            if not memory.in_turn:
                free.reverse()
            turns.lend(memory.name, free)
            state[self._places[f"{memory.name}_least"]] = len(free)
        for queue in self._program.queues:
            link = self._links[queue.edge]
            ended = self._judge.ended[link.plan.consumer.node]
            waiting = link.lend(in_slots=queue.memory is not None)
            turns.fill(queue.edge, waiting)
            for suffix, value in (
                ("length", len(waiting)),
                ("peak", link.peak),
                ("lost", _lost(link)),
                ("closed", link.consumer.ended and not ended),
                ("pressed", link.pressed),
            ):
                if f"{queue.name}_{suffix}" in self._places:
                    state[self._places[f"{queue.name}_{suffix}"]] = int(value)
        turns.state = state

    def unload(self, turns: Turns, left: Left) -> Stepped:
        """Take the state back.

        Args:
            turns: Who has it.
            left: How and where it was left.
        """
        state = turns.state
        at = self._places
        self._journal.tick = Ticks(state[at["now"]])
        if self._program.is_lazy:
            self._journal.sample()
        open_node = -1 if left.why is Why.DECIDE else left.node
        steps = {c.plan.index: state[at[f"n{c.plan.index}_steps"]] for c in self._hot}
        emitted: dict[NodeIndex, int] = {}
        made = False
        for context in self._hot:
            index, name = context.plan.index, f"n{context.plan.index}"
            count = steps[index]
            done = count - (index == open_node)
            context.counters.steps += count
            context.counters.calls += count
            if context.plan.kind is NodeKind.SOURCE:
                emitted[index] = state[at[f"{name}_made"]] - context.made_by_port[0]
                context.made_by_port[0] += emitted[index]
                self._judge.held_back[index] = bool(state[at[f"{name}_held"]])
                made = made or emitted[index] > 0
            elif context.plan.outputs:
                nothing = f"{name}_nothing"
                batch = context.plan.inputs[0].batching.max_items
                emitted[index] = batch * done - (state[at[nothing]] if nothing in at else 0)
            else:
                context.counters.paths[self._roots[index]].count += done
        for context in self._hot:
            for port in context.outputs:
                port.emitted += emitted[context.plan.index]
        waits = {
            queue.edge: turns.drain(queue.edge, self._journal.tick)
            for queue in self._program.queues
        }
        for memory in self._program.memories:
            self._take_back_slots(turns, memory, left, waits, emitted)
        for queue in self._program.queues:
            self._take_back(turns, queue, waits[queue.edge], left, steps, emitted, open_node)
        total = sum(steps.values())
        if not self._program.logs:
            self._journal.steps += total
        return Stepped(NodeIndex(state[at["last"]]), total, made)

    def _take_back(
        self,
        turns: Turns,
        queue: Queue,
        waiting: list[Entry],
        left: Left,
        steps: Mapping[NodeIndex, int],
        emitted: Mapping[NodeIndex, int],
        open_node: int,
    ) -> None:
        link, state, at = self._links[queue.edge], turns.state, self._places
        producer, consumer = link.plan.producer.node, link.plan.consumer.node
        in_slots = queue.memory is not None
        in_flight = consumer == open_node
        if in_flight and left.header is not None and queue.batch == 1:
            payload = left.slot if in_slots else left.payload
            waiting.insert(0, (left.header, payload, left.pushed))
        lost, pressed = 0, link.pressed
        if f"{queue.name}_lost" in at:
            lost = state[at[f"{queue.name}_lost"]] - _lost(link)
        if f"{queue.name}_pressed" in at:
            pressed = bool(state[at[f"{queue.name}_pressed"]])
        elif steps.get(consumer):
            pressed = False
        refuses = link.plan.policy.admission is AdmissionPolicy.DROP_NEWEST
        done = Handled(
            offered=emitted.get(producer, 0),
            refused=lost if refuses else 0,
            evicted=0 if refuses else lost,
            eviction=_eviction(link),
            taken=steps.get(consumer, 0) * queue.batch,
            in_flight=queue.batch if in_flight else 0,
            peak=state[at[f"{queue.name}_peak"]],
            pressed=pressed,
        )
        port = self._port(link)
        described = [
            (port.described(header, _payload_at(port, place) if in_slots else place), place, at)
            for header, place, at in waiting
        ]
        link.take_back(described, done, in_slots=in_slots)

    def _take_back_slots(
        self,
        turns: Turns,
        memory: Memory,
        left: Left,
        waits: Mapping[int, Sequence[Entry]],
        emitted: Mapping[NodeIndex, int],
    ) -> None:
        """Take back the free slots of an output, and count what was stored in others."""
        state, at, port = turns.state, self._places, self._output(memory)
        free = turns.give_back(memory.name)
        if not memory.in_turn:
            free.reverse()
        if left.why is Why.INTERRUPTED:
            # It may have been broken off between a claim and a push.
            free += self._lost_slots(memory, left, free, waits)
        copies = f"{memory.name}_copies"
        port.manager.take_back_free(
            free,
            stored=emitted.get(NodeIndex(memory.node), 0),
            copies=state[at[copies]] if copies in at else 0,
        )
        port.manager.raise_peak(memory.depth - state[at[f"{memory.name}_least"]])

    def _lost_slots(
        self,
        memory: Memory,
        left: Left,
        free: Sequence[MessageToken],
        waits: Mapping[int, Sequence[Entry]],
    ) -> list[MessageToken]:
        """Return the slots that nobody holds any more and that are not free either."""
        kept: set[object] = {left.slot, *free}
        for link in self._output(memory).links:
            kept.update(place for _, place, _ in waits.get(link.plan.index, ()))
            kept.update(link.consumer.try_peek_at(index) for index in range(link.waiting))
            kept.update(held.token for held in link.hold)
            kept.update(link.staged)
        return [MessageToken(slot) for slot in range(memory.depth) if slot not in kept]

    def _output(self, memory: Memory) -> OutputPort:
        return self._contexts[memory.node].outputs[memory.port]

    def _port(self, link: Link) -> OutputPort:
        producer = link.plan.producer
        return self._contexts[producer.node].outputs[producer.port]


def _payload_at(port: OutputPort, place: object) -> object:
    """Return what lies in a slot; None for tensors, whose size nobody has to ask for."""
    if isinstance(port.manager, HeapMemoryManager) and isinstance(place, int):
        return port.manager.payloads[place]
    return None


def _lost(link: Link) -> int:
    """Return how many messages an edge has lost for want of room."""
    if link.plan.policy.admission is AdmissionPolicy.DROP_NEWEST:
        return link.refused[Refusal.FULL]
    return link.evicted[_eviction(link)]


def _eviction(link: Link) -> Refusal:
    latest = link.plan.policy.retention is RetentionMode.MAILBOX
    return Refusal.SUPERSEDED if latest else Refusal.CAPACITY
