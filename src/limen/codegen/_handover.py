"""How the state of a run goes to a Program and comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limen.codegen._program import LATEST, NEVER, Memory, Program, Queue
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


class _Node:
    """Where a node's state lies."""

    def __init__(self, context: NodeContext, at: Mapping[str, int]) -> None:
        name = f"n{context.plan.index}"
        self.context = context
        self.index = context.plan.index
        self.steps = at[f"{name}_steps"]
        self.nothing = at.get(f"{name}_nothing")
        self.is_source = context.plan.kind is NodeKind.SOURCE
        self.off, self.made, self.held = (
            at.get(f"{name}_{what}", 0) for what in ("off", "made", "held")
        )
        self.due = at.get(f"{name}_due")
        # Of a batch, a model makes a result an item; of a window one is made.
        per_item = context.plan.kind is NodeKind.MODEL
        self.results = context.plan.inputs[0].batching.max_items if per_item else 1


class _Edge:
    """Where an edge's state lies."""

    def __init__(self, queue: Queue, link: Link, port: OutputPort, at: Mapping[str, int]) -> None:
        self.queue = queue
        self.link = link
        self.port = port
        self.producer, self.consumer = link.plan.producer.node, link.plan.consumer.node
        self.in_slots = queue.memory is not None
        self.length, self.peak, self.closed = (
            at[f"{queue.name}_{what}"] for what in ("length", "peak", "closed")
        )
        self.lost = at.get(f"{queue.name}_lost")
        self.pressed = at.get(f"{queue.name}_pressed")
        self.refuses = link.plan.policy.admission is AdmissionPolicy.DROP_NEWEST
        self.loaded = 0
        latest = link.plan.policy.retention is RetentionMode.MAILBOX
        self.eviction = Refusal.SUPERSEDED if latest else Refusal.CAPACITY

    @property
    def lost_so_far(self) -> int:
        """How many messages the edge has lost for want of room."""
        if self.refuses:
            return self.link.refused[Refusal.FULL]
        return self.link.evicted[self.eviction]


class _Slots:
    """Where the state of an output's slots lies."""

    def __init__(self, memory: Memory, port: OutputPort, at: Mapping[str, int]) -> None:
        self.memory = memory
        self.port = port
        self.least = at[f"{memory.name}_least"]
        self.copies = at.get(f"{memory.name}_copies")


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
        at = {var.name: place for place, var in enumerate(lasting_variables(program))}

        def port_of(node: int, port: int) -> OutputPort:
            return contexts[node].outputs[port]

        self._size = len(at)
        self._now, self._due, self._last = at["now"], at["due"], at["last"]
        self._is_lazy = program.is_lazy
        self._logs = program.logs
        self._roots = run.roots
        self._judge = judge
        self._journal = journal
        self._nodes = [_Node(context, at) for context in run.hot]
        hot = {node.index for node in self._nodes}
        self._cold = [
            (context, at[f"n{context.plan.index}_idle"])
            for context in contexts
            if context.plan.index not in hot
        ]
        self._edges = [
            _Edge(queue, links[queue.edge], port_of(*links[queue.edge].plan.producer), at)
            for queue in program.queues
        ]
        self._slots = [
            _Slots(memory, port_of(memory.node, memory.port), at) for memory in program.memories
        ]
        self._owned = {queue.edge for queue in program.queues}
        ports = {id(edge.port): edge.port for edge in self._edges}
        self._ports = list(ports.values())

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
        ended = self._judge.ended
        state = [0] * self._size
        state[self._now], state[self._due], state[self._last] = self._journal.tick, due, last
        for context, idle in self._cold:
            state[idle] = self.is_idle(context)
        for node in self._nodes:
            if node.is_source:
                off = ended[node.index] or node.context.produced_nothing
                state[node.off] = off
                if node.due is not None:
                    due_tick = None if off else node.context.next_due()
                    state[node.due] = NEVER if due_tick is None else min(due_tick, LATEST)
                state[node.made] = node.context.made_by_port[0]
                state[node.held] = self._judge.held_back[node.index]
        for port in self._ports:
            port.slots.reclaim()
        for slots in self._slots:
            free = slots.port.manager.lend_free()
            if not slots.memory.in_turn:
                free.reverse()
            turns.lend(slots.memory.name, free)
            state[slots.least] = len(free)
        for edge in self._edges:
            link = edge.link
            edge.loaded = link.waiting
            if link.waiting:
                waiting = link.lend(in_slots=edge.in_slots)
                turns.fill(edge.queue.edge, waiting)
                state[edge.length] = len(waiting)
            else:
                turns.fill(edge.queue.edge, ())
            state[edge.peak] = link.peak
            state[edge.closed] = link.consumer.ended and not ended[edge.consumer]
            if edge.lost is not None:
                state[edge.lost] = edge.lost_so_far
            if edge.pressed is not None:
                state[edge.pressed] = link.pressed
        turns.state = state

    def unload(self, turns: Turns, left: Left) -> Stepped:
        """Take the state back.

        Args:
            turns: Who has it.
            left: How and where it was left.
        """
        state = turns.state
        self._journal.tick = Ticks(state[self._now])
        if self._is_lazy:
            self._journal.sample()
        open_node = -1 if left.why is Why.DECIDE else left.node
        steps: dict[int, int] = {}
        emitted: dict[int, int] = {}
        made = False
        for node in self._nodes:
            count = steps[node.index] = state[node.steps]
            if not count:
                continue
            context = node.context
            context.counters.steps += count
            is_open = node.index == open_node
            # A call that an interrupt broke off counts nowhere.
            context.counters.calls += count - (is_open and left.why is Why.INTERRUPTED)
            done = (count - is_open) * node.results
            if node.is_source:
                done = state[node.made] - context.made_by_port[0]
                context.made_by_port[0] += done
                made = made or done > 0
            elif not context.outputs:
                context.counters.paths[self._roots[node.index]].count += done
                continue
            elif node.nothing is not None:
                done -= state[node.nothing]
            emitted[node.index] = done
            context.outputs[0].emitted += done
        for node in self._nodes:
            if node.is_source:
                self._judge.held_back[node.index] = bool(state[node.held])
        waits = {
            edge.queue.edge: turns.drain(edge.queue.edge, self._journal.tick)
            for edge in self._edges
        }
        if left.why is Why.INTERRUPTED:
            self._mend(state, left.node, waits, steps, emitted)
        flying = False
        for slots in self._slots:
            flying = self._take_back_slots(turns, slots, left, waits, emitted) or flying
        for edge in self._edges:
            waiting = waits[edge.queue.edge]
            in_flight = 0
            gone = self._gone(state, edge, waiting, emitted)
            if edge.consumer == open_node:
                in_flight = self._put_back(edge, waiting, left, steps, gone, flying=flying)
            elif left.why is Why.INTERRUPTED:
                # It may have counted a step, and got no further.
                steps[edge.consumer] = gone // edge.queue.batch
            self._take_back(state, edge, waiting, steps, emitted, in_flight)
        total = sum(steps.values())
        if not self._logs:
            self._journal.steps += total
        return Stepped(NodeIndex(state[self._last]), total, made)

    def due_of(self, turns: Turns, index: int) -> Ticks | None:
        """Return when a source that was called was due; None for one without a schedule."""
        node = next(node for node in self._nodes if node.index == index)
        due = NEVER if node.due is None else turns.state[node.due]
        return None if due == NEVER else Ticks(due)

    def _take_back(
        self,
        state: Sequence[int],
        edge: _Edge,
        waiting: list[Entry],
        steps: Mapping[int, int],
        emitted: Mapping[int, int],
        in_flight: int,
    ) -> None:
        link, queue = edge.link, edge.queue
        taken, offered = steps.get(edge.consumer, 0), emitted.get(edge.producer, 0)
        if not (waiting or taken or offered):
            return
        lost = 0 if edge.lost is None else state[edge.lost] - edge.lost_so_far
        kept = link.pressed and not taken
        pressed = kept if edge.pressed is None else bool(state[edge.pressed])
        done = Handled(
            offered=offered,
            refused=lost if edge.refuses else 0,
            evicted=0 if edge.refuses else lost,
            eviction=edge.eviction,
            taken=taken * queue.batch,
            in_flight=in_flight,
            peak=state[edge.peak],
            pressed=pressed,
        )
        port, in_slots = edge.port, edge.in_slots
        described = [
            (port.described(header, _payload_at(port, place) if in_slots else place), place, at)
            for header, place, at in waiting
        ]
        link.take_back(described, done, in_slots=in_slots)

    def _gone(
        self,
        state: Sequence[int],
        edge: _Edge,
        waiting: Sequence[Entry],
        emitted: Mapping[int, int],
    ) -> int:
        """Return how many messages have been popped from an edge, by what it had and has."""
        lost = 0 if edge.lost is None else state[edge.lost] - edge.lost_so_far
        return edge.loaded + emitted.get(edge.producer, 0) - lost - len(waiting)

    def _put_back(
        self,
        edge: _Edge,
        waiting: list[Entry],
        left: Left,
        steps: dict[int, int],
        gone: int,
        *,
        flying: bool,
    ) -> int:
        """Put what a node was called with back in front; how many messages that are.

        Args:
            edge: Where it came from.
            waiting: What waits there.
            left: How and where the Program was left.
            steps: Of each node.
            gone: How many messages have been popped.
            flying: Whether its slot is its own still.
        """
        batch = edge.queue.batch
        if left.why is Why.INTERRUPTED:
            # It may have been broken off ahead of a pop, or behind some of a batch.
            popped = gone - (steps[edge.consumer] - 1) * batch
            if batch > 1:
                return max(0, batch - popped)
            if popped < 1:
                steps[edge.consumer] -= 1
                return 0
            if edge.in_slots and not flying:
                return 0
        if batch > 1:
            return batch
        if left.header is None:
            return 0
        payload = left.slot if edge.in_slots else left.payload
        waiting.insert(0, (left.header, payload, left.pushed))
        return 1

    def _mend(
        self,
        state: Sequence[int],
        open_node: int,
        waits: Mapping[int, Sequence[Entry]],
        steps: Mapping[int, int],
        emitted: dict[int, int],
    ) -> None:
        """Count what a node had emitted that was broken off between two lines.

        What waits behind it is certain, and so is what was taken from there.
        """
        for edge in self._edges:
            if edge.producer != open_node:
                continue
            lost = 0 if edge.lost is None else state[edge.lost] - edge.lost_so_far
            taken = steps.get(edge.consumer, 0) * edge.queue.batch
            offered = taken + len(waits[edge.queue.edge]) + lost - edge.loaded
            more = offered - emitted.get(open_node, 0)
            if more > 0:
                emitted[open_node] = offered
                edge.port.emitted += more

    def _take_back_slots(
        self,
        turns: Turns,
        slots: _Slots,
        left: Left,
        waits: Mapping[int, Sequence[Entry]],
        emitted: Mapping[int, int],
    ) -> bool:
        """Take back the free slots of an output, and count what was stored in others.

        Returns:
            Of an interrupt, whether the slot that a node was at is still its own here.
        """
        memory, manager = slots.memory, slots.port.manager
        free = turns.give_back(memory.name)
        if not memory.in_turn:
            free.reverse()
        flying = False
        if left.why is Why.INTERRUPTED:
            held = self._held_slots(slots, waits)
            # It may have been broken off between a claim and a push, or behind a free.
            kept = {*free, *held}
            lost = [MessageToken(slot) for slot in range(memory.depth) if slot not in kept]
            is_open = any(link.plan.consumer.node == left.node for link in slots.port.links)
            shared = memory.is_shared and left.slot < memory.depth
            own = shared and slots.port.slots.shares[MessageToken(left.slot)] > held[left.slot]
            if is_open and (own or left.slot in lost):
                lost = [slot for slot in lost if slot != left.slot]
                held[left.slot] += 1
                flying = True
            free += lost
            if memory.is_shared:
                for slot in range(memory.depth):
                    slots.port.slots.shares[MessageToken(slot)] = held[slot]
        manager.take_back_free(
            free,
            stored=emitted.get(memory.node, 0),
            copies=0 if slots.copies is None else turns.state[slots.copies],
        )
        manager.raise_peak(memory.depth - turns.state[slots.least])
        return flying

    def _held_slots(self, slots: _Slots, waits: Mapping[int, Sequence[Entry]]) -> Counter[int]:
        """Return how many edges hold each slot of an output."""
        held: Counter[int] = Counter()
        for link in slots.port.links:
            held.update(
                place for _, place, _ in waits.get(link.plan.index, ()) if isinstance(place, int)
            )
            held.update(link.consumer.try_peek_at(index) for index in range(link.waiting))
            held.update(one.token for one in link.hold)
            held.update(link.staged)
        return held


def _payload_at(port: OutputPort, place: object) -> object:
    """Return what lies in a slot; None for tensors, whose size nobody has to ask for."""
    if isinstance(port.manager, HeapMemoryManager) and isinstance(place, int):
        return port.manager.payloads[place]
    return None
