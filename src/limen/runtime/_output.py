"""An output port in a run: its slots, and the edges that share them."""

from __future__ import annotations

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from limen.errors import NodeError
from limen.memory import (
    BorrowLedger,
    BoundedMemoryManager,
    CheckedBoundedMemoryManager,
    CheckedHeapMemoryManager,
    CheckedManager,
    CheckedSlots,
    CheckedStaticMemoryManager,
    HeapMemoryManager,
    MemoryManager,
    SharedSlots,
    StaticMemoryManager,
)
from limen.message import Message, MessageHeader, buffer_descriptor
from limen.node import PushOutcome
from limen.runtime._link import Link
from limen.scheduling import OutputPlan
from limen.telemetry import OutputStatistics
from limen.types import ObjectSpec, TensorSpec


class OutputPort:
    """Stores what a node emits and offers it to every edge, in connect order.

    Args:
        name: ``node.port``.
        plan: The port.
        ledger: Where misuse of memory is noted; None to check nothing.
    """

    def __init__(self, name: str, plan: OutputPlan, ledger: BorrowLedger | None = None) -> None:
        self.name = name
        self.plan = plan
        self.manager = _manager(name, plan, ledger)
        self.slots = (
            CheckedSlots(self.manager, len(plan.edges))
            if isinstance(self.manager, CheckedManager)
            else SharedSlots(self.manager, len(plan.edges))
        )
        self.links: list[Link] = []
        self.emitted = 0
        self.initial = 0
        self._in_step = 0

    def connect(self, link: Link, consumer: str) -> None:
        """Add an edge, in connect order.

        Args:
            link: The edge.
            consumer: The node at its end.
        """
        self.links.append(link)
        if isinstance(self.slots, CheckedSlots):
            self.slots.names.append(consumer)

    def begin_step(self) -> None:
        """Allow the next step its number of messages."""
        self._in_step = 0

    def begin(self, link: Link, header: MessageHeader, payload: object) -> None:
        """Store an initial token for one edge."""
        token = self.manager.store(Message(self.described(header, payload), payload))
        self.slots.lend(token, 1)
        self.initial += 1
        link.begin(token)

    def next_slot(self) -> NDArray[np.generic] | None:
        """Return the slot that the next message will lie in; None on the heap."""
        self.slots.reclaim()
        return self.manager.next_slot() if isinstance(self.manager, StaticMemoryManager) else None

    def reserve(self, count: int) -> NDArray[np.generic] | None:
        """Return the next slots as one array; None on the heap, or where they are no neighbours."""
        self.slots.reclaim()
        manager = self.manager
        return manager.reserve(count) if isinstance(manager, StaticMemoryManager) else None

    def emit(
        self,
        header: MessageHeader,
        payload: object,
        *,
        in_place: bool = False,
        declared: bool = False,
    ) -> PushOutcome:
        """Store a message and offer it to every edge; what the first of them made of it.

        Args:
            header: Its header, but for the payload's size.
            payload: Its payload.
            in_place: Whether the payload lies in the next slot already.
            declared: Whether the policy declares it, so that the node did not emit it.

        Raises:
            NodeError: The step has emitted all it may.
            ManagerError: The payload does not fit the port.
        """
        most = self.plan.staging - (0 if declared else self.plan.failsafes)
        if self._in_step >= most:
            raise NodeError(
                f"{self.name}: more than {most} messages emitted in a step",
                remedy="declare max_emit",
            )
        self.slots.reclaim()
        manager = self.manager
        header = self.described(header, payload)
        if isinstance(manager, StaticMemoryManager) and (
            in_place or payload is manager.next_slot()
        ):
            token = manager.commit(header)
        else:
            token = manager.store(Message(header, payload))
        self._in_step += 1
        self.emitted += 1
        self.slots.lend(token, len(self.links))
        outcomes = [link.offer(token) for link in self.links]
        return outcomes[0]

    def statistics(self) -> OutputStatistics:
        """Return the counts so far; slots on their way back count as available."""
        self.slots.reclaim()
        record = self.manager.statistics()
        live = {
            token
            for link in self.links
            for token in (
                *(link.consumer.try_peek_at(index) for index in range(link.waiting)),
                *link.staged,
                *(held.token for held in link.hold),
            )
        }
        return OutputStatistics(
            name=self.name,
            emitted=self.emitted,
            fan_out=len(self.links),
            initial=self.initial,
            offered=sum(link.offered for link in self.links),
            capacity=record.capacity,
            available=record.available,
            live=len(live),
            peak_used=record.peak_used,
            copies=record.copies,
            memory_bytes=record.payload_bytes,
        )

    def described(self, header: MessageHeader, payload: object) -> MessageHeader:
        """Return the header with size and place of the payload."""
        manager = self.manager
        if isinstance(manager, StaticMemoryManager):
            return header.resized(manager.slot_bytes, manager.memory_class)
        if isinstance(manager, BoundedMemoryManager):
            return header.resized(manager.size_of(payload), manager.memory_class)
        made = buffer_descriptor(payload)
        return header.resized(made.bytes, made.memory_class)


def _manager(name: str, plan: OutputPlan, ledger: BorrowLedger | None) -> MemoryManager:
    match plan.spec:
        case TensorSpec() as spec if ledger is None:
            if spec.is_fixed:
                return StaticMemoryManager(spec, plan.depth, in_turn=plan.in_turn)
            return BoundedMemoryManager(spec, plan.depth)
        case TensorSpec() as spec:
            checked = CheckedStaticMemoryManager if spec.is_fixed else CheckedBoundedMemoryManager
            return checked(spec, plan.depth, name, ledger)
        case ObjectSpec(type=objects) if ledger is None:
            return HeapMemoryManager(plan.depth, objects)
        case ObjectSpec(type=objects):
            return CheckedHeapMemoryManager(plan.depth, objects, name, ledger)
        case unreachable:
            assert_never(unreachable)
