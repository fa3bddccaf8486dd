"""Steps one node as a runtime would, without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limen.message import Message
from limen.node import Node
from limen.platform import SimClock
from limen.testing.contracts._node_context import TICK, BenchContext
from limen.testing.contracts._node_records import Sent, Step, own
from limen.types import PayloadSpec, Ticks, error_text


class NodeBench(BenchContext):
    """Gives a node messages, and leads it through a run.

    Used by the suite of nodes, once a run. Each port gets message n at instant n; where the node
    stands still although something waits, the bench gives up.

    Args:
        node: A prepared node.
        arriving: What arrives, by input.
        payloads: Payloads of the inputs, given round and round; an input without any gets nothing.
        group: Most messages that a step takes from an input.
        slots: Whether outputs have slots.
        fill: The byte that slots hold before they are written.
        ruins: Whether arrays are written over once the call that they were given to is over.
        clock: Simulated time of its own if not given.
    """

    def __init__(
        self,
        node: Node,
        arriving: Mapping[str, PayloadSpec],
        payloads: Mapping[str, Sequence[object]],
        *,
        group: int = 3,
        slots: bool = True,
        fill: int = 0,
        ruins: bool = False,
        clock: SimClock | None = None,
    ) -> None:
        super().__init__(
            node, arriving, group=group, slots=slots, fill=fill, ruins=ruins, clock=clock
        )
        self._payloads = payloads

    def begin(self) -> None:
        """Initialise and start the node."""
        self.node.initialize(self.clock, self.ports)
        self.node.start(self.clock.now_ticks())
        self.ended = False

    def end(self) -> None:
        """Stop the node."""
        self.node.stop()

    def run(self, rounds: int) -> None:
        """Begin, give every input so many messages, and end."""
        self.begin()
        for number in range(rounds):
            self.round(number)
        self.drain()
        self.end()

    def round(self, number: int) -> None:
        """Give every input one message, and step once as many wait as a step takes."""
        self._pass_time()
        if not self._waiting:
            self._step_source()
            return
        self._give(number)
        if max(len(queue) for queue in self._waiting.values()) >= self.group:
            self.drain()

    def run_at_once(self, rounds: int) -> None:
        """Begin, give every input so many messages, then step until nothing waits, and end."""
        self.begin()
        for number in range(rounds):
            self._pass_time()
            self._give(number)
        self.drain()
        self.end()

    def _pass_time(self) -> None:
        self.clock.charge(self.clock.nanos_to_ticks(TICK))

    def _give(self, number: int) -> None:
        for place, (port, queue) in enumerate(self._waiting.items()):
            given = self._payloads.get(port, ())
            if given:
                header = self._header(place, number)
                message = Message(header, own(given[number % len(given)]))
                queue.append((self.made, message))
                self.made += 1

    def drain(self) -> None:
        """Step until nothing waits, or nothing more is taken."""
        idle = 0
        while idle < 2 and any(self._waiting.values()):
            idle = 0 if self.step().taken else idle + 1

    def step(self) -> Step:
        """Step the node once."""
        self._step = step = Step(sum(len(queue) for queue in self._waiting.values()))
        try:
            step.result = self.node.step(self)
        except Exception as error:
            step.error = error_text(error)
        self.steps.append(step)
        return step

    def forget(self) -> None:
        """Keep nothing of what has been."""
        self.steps.clear()
        self.calls.clear()
        self._step = Step(0)

    @property
    def sent(self) -> list[Sent]:
        """All messages that went out."""
        return [sent for call in self.calls for sent in call.sent]

    @property
    def errors(self) -> list[str]:
        """What steps and calls raised."""
        in_calls = [f"call {n}: {c.error}" for n, c in enumerate(self.calls) if c.error]
        return in_calls + [f"step {n}: {s.error}" for n, s in enumerate(self.steps) if s.error]

    def _step_source(self) -> None:
        due = self.node.next_due()
        if isinstance(due, int) and due > self.clock.now_ticks():
            self.clock.wait_until(Ticks(due))
        if not self.ended:
            self.step()
