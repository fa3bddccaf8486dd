"""The executor of a Program: it takes the turns, the reference everything else."""

from __future__ import annotations

from collections.abc import Callable

from limen.codegen._handover import Handover
from limen.codegen._program import LATEST, Program
from limen.codegen._statements import Why
from limen.codegen._turns import Left, Turns, World
from limen.codegen._world import RunWorld
from limen.errors import NodeError
from limen.node import NodeKind
from limen.platform import PlatformClock
from limen.runtime import Before, Link, RuntimeStopHandle, SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, PolicyEvent, RunStatistics, Telemetry
from limen.types import NodeIndex

# Turns that cost the reference more than handing state over, and the most decisions to go without.
_WORTH_IT = 2
_LONGEST_REST = 16


class _StopHandle(RuntimeStopHandle):
    """Has a request noticed by turns in progress."""

    def __init__(self, clock: PlatformClock, attention: list[bool]) -> None:
        super().__init__(clock)
        self._attention = attention

    def request_stop(self) -> None:
        """End the sources and let what is under way drain; idempotent."""
        super().request_stop()
        self._attention.append(True)


class ProgramRuntime(SingleThreadRuntime):
    """Runs a Plan as a Program wherever that holds what is decided, else as the reference does.

    The Program owns the queues of its edges while it takes turns; at every exit they go back, and
    the reference makes the next decision on the same state. So the decisions are the reference's
    own, or those of the Program's blocks, which must be equal.

    Args:
        plan: What to run.
        clock: The graph's clock.
        program: Lowered from the plan.
        turns: Binds the Program's text to its world.
        drain_ns: How long a stop may drain before the rest is given up.
        log: Where its decisions are recorded.
        on_event: Told of every violation of a constraint as it happens.
        telemetry: Told of events and given the accounting; where it listens to more than the
            accounting at the end, the reference decides throughout.

    Attributes:
        turns_taken: Decisions that the Program made.
    """

    def __init__(
        self,
        plan: Plan,
        clock: PlatformClock,
        program: Program,
        turns: Callable[[World], Turns],
        *,
        drain_ns: int = 10_000_000_000,
        log: DecisionLog | None = None,
        on_event: Callable[[PolicyEvent], None] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        super().__init__(
            plan, clock, drain_ns=drain_ns, log=log, on_event=on_event, telemetry=telemetry
        )
        self.program = program
        self.turns_taken = 0
        self._attention: list[bool] = []
        # For how many decisions the Program was, and is still, left alone.
        self._rest = 0
        self._left_alone = 0
        self._stop_handle = _StopHandle(clock, self._attention)
        self._world = RunWorld(
            program, plan, self._contexts, self._links, self._journal, clock, self._attention
        )
        self._hot = self._world.hot
        self._handover = Handover(
            program, self._world, self._contexts, self._links, self._judge, self._journal
        )
        self._timed = [
            context
            for context in self._contexts
            if context.plan.kind is NodeKind.SOURCE and context not in self._hot
        ]
        hooks = self._journal.hooks
        listened = hooks.event is not None or hooks.sample is not None or self._observer.hands_over
        self._enters = bool(self._hot) and not listened
        self._turns = turns(self._world.world())

    def step(self) -> bool:
        """Make one decision: step a node or wait for the next instant; False once all ended."""
        return self._take_turns(most=1) or super().step()

    def advance(self) -> bool:
        """Make decisions until the graph waits, or ``pause`` is called; False once all ended."""
        self._take_turns()
        return super().step()

    def pause(self) -> None:
        """Have ``advance`` return soon; from any thread."""
        self._attention.append(True)

    def run(self) -> RunStatistics:
        """Start, step until all nodes have ended, stop, and return the accounting."""
        self.start()
        try:
            while self.advance():
                pass
        finally:
            self.stop()
        return self.statistics()

    def statistics(self) -> RunStatistics:
        """Return the accounting so far; exact between steps."""
        self._turns.settle()
        return super().statistics()

    def _take_turns(self, most: int | None = None) -> bool:
        """Let the Program take turns where it can; whether it stepped a node.

        Args:
            most: 1 to have it step one node at most; None for as many as it can.
        """
        if not (self._enters and self._started) or self._rests(most) or not self._has_turn():
            return False
        due = self._due()
        if not self._may_enter(due):
            return False
        if most is not None:
            self._attention.append(True)
        self._world.refresh()
        self._handover.load(self._turns, NodeIndex(self._last), due)
        try:
            left = self._turns.take((self._last + 1) % len(self._contexts))
        except BaseException:
            # An interrupt inside a call: what it was given is given up when the run is stopped.
            self._unload(self._turns.interrupted())
            raise
        finally:
            # Whoever asks from here on is heard: the reference decides next.
            self._attention.clear()
        steps = self._unload(left)
        if most is None:
            few = steps < _WORTH_IT
            self._rest = min(2 * self._rest or 1, _LONGEST_REST) if few else 0
            self._left_alone = self._rest
        return steps > 0

    def _unload(self, left: Left) -> int:
        """Take the state back and go on behind a call that is left; how many steps there were."""
        stepped = self._handover.unload(self._turns, left)
        self._last = stepped.last
        self.turns_taken += stepped.steps
        self._points += stepped.steps
        if stepped.made:
            self._idle_polls = 0
        if left.why in (Why.FAILED, Why.UNUSUAL):
            self._go_on(left)
        return stepped.steps

    def _rests(self, most: int | None) -> bool:
        """Whether the last turns were too few to be worth handing state over so soon again."""
        if most is not None or not self._left_alone:
            return False
        self._left_alone -= 1
        return True

    def _has_turn(self) -> bool:
        """Whether a node of the Program's can be stepped before the turn is the reference's.

        Handing state over costs about what the reference takes for one step.
        """
        now, ended = self._journal.tick, self._judge.ended
        unscheduled = set[int]()
        for context in self._hot:
            if context.links or ended[context.plan.index] or context.produced_nothing:
                continue
            due = context.next_due()
            if due is None:
                unscheduled.add(context.plan.index)
            elif due <= now and all(_has_room(link) for link in context.out_links):
                return True
        turn = self._last + 1
        for context in (*self._contexts[turn:], *self._contexts[:turn]):
            if context not in self._hot:
                if self._handover.is_idle(context) and not any(
                    link.waiting for link in context.links
                ):
                    continue
                return False
            if context.links:
                ready = context.links[0].waiting > 0
            else:
                ready = context.plan.index in unscheduled
            if ready and all(_has_room(link) for link in context.out_links):
                return True
        return False

    def _due(self) -> int:
        """Return the first instant that is not the Program's to act on."""
        ended = self._judge.ended
        due: list[int] = self._liveness.earliest(ended, self._journal.tick)
        for context in self._timed:
            if not ended[context.plan.index] and not context.produced_nothing:
                tick = context.next_due()
                if tick is not None:
                    due.append(tick)
        return min([*due, LATEST])

    def _may_enter(self, due: int) -> bool:
        """Whether all that the Program's blocks leave out is not the case now."""
        now = self._journal.tick
        if self._outcome != "running" or self._stop_handle.is_stopping or due <= now:
            return False
        if any(context.failures.halted for context in self._contexts):
            return False
        ended = self._judge.ended
        for context in self._hot:
            if not ended[context.plan.index] and context.asleep_until > now:
                return False
        for queue in self.program.queues:
            link = self._links[queue.edge]
            producer = link.plan.producer.node
            if link.staged or (link.consumer_ended and not ended[producer]):
                return False
            headers = [link.consumer.header_at(index) for index in range(link.waiting)]
            if any(h.deadline_ns is not None or h.max_age_ns is not None for h in headers):
                return False
            if any(h.creation_tick >= LATEST for h in headers):
                return False
        return True

    def _go_on(self, left: Left) -> None:
        """Do what follows a call that failed, or gave what the Program does not take as it is."""
        context = self._contexts[left.node]
        is_source = context.plan.kind is NodeKind.SOURCE
        taken = context.taken - (not is_source)
        before = Before(taken, context.made, context.counters.errors)
        for port in context.outputs:
            port.begin_step()
        failure = left.failure
        due = self._handover.due_of(self._turns, left.node)
        if is_source and left.why is Why.FAILED and isinstance(failure, Exception):
            result = context.produce_failed(failure, due)
        elif is_source:
            result = context.produced(0, failure, due)
        elif context.plan.kind is NodeKind.MODEL and isinstance(failure, Exception):
            result = context.infer_failed(failure)
        elif context.plan.node.takes_windows:
            result = context.go_on_window(lambda: self._answer(left))
        else:
            result = context.go_on(lambda: self._answer(left))
        self._finish_step(context, result, before, taken)

    def _answer(self, left: Left) -> object:
        if left.why is Why.FAILED and isinstance(left.failure, Exception):
            raise left.failure
        call = self._contexts[left.node].plan.node.direct_call()
        if call is None:
            raise NodeError(f"{self._contexts[left.node].plan.name} is stepped by the reference")
        return left.failure if call.answer is None else call.answer(left.failure)


def _has_room(link: Link) -> bool:
    return not link.blocks or link.waiting < link.plan.policy.caps.max_items
