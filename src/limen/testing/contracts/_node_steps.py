"""The clauses of nodes that are about their steps: NODE-12 … NODE-33, NODE-46, NODE-47."""

from __future__ import annotations

from collections import Counter
from typing import Final

from limen.node import (
    Consumed,
    NodeKind,
    Output,
    Outputs,
    Produced,
    Skip,
    SourceSignal,
    StepResult,
    YieldUntil,
)
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._node_bench import NodeBench
from limen.testing.contracts._node_records import Call
from limen.testing.contracts._node_suite import (
    NodeSuite,
    difference,
    is_whole,
    rounds_of,
    with_inputs,
)
from limen.testing.contracts._payload_checks import misfit, same, shown
from limen.testing.contracts._resources import returns_within

_RESULTS: Final = (Output, Outputs, Consumed, Skip)


class StepClauses(NodeSuite):
    """What a step takes, what it emits, and what it leaves alone; a part of ``NodeContract``."""

    def test_node_12_a_step_says_what_became_of_it(self) -> None:
        for number, step in enumerate(self._run().steps):
            if step.error is None:
                fits = isinstance(step.result, StepResult) or (
                    isinstance(step.result, YieldUntil) and is_whole(step.result.tick)
                )
                assert fits, f"step {number} returned {step.result!r}"

    def test_node_13_a_step_takes_once(self) -> None:
        for number, step in enumerate(self._run().steps):
            assert len(step.takes) <= 1, f"step {number} called {', '.join(step.takes)}"

    def test_node_14_it_takes_as_it_states(self) -> None:
        bench = self._run()
        wanted = _way_of(bench)
        for number, step in enumerate(bench.steps):
            for way in step.takes:
                assert way == wanted, f"step {number} called {way}, not {wanted}"

    def test_node_15_a_step_that_took_says_so(self) -> None:
        for number, step in enumerate(self._run().steps):
            silent = step.result in (StepResult.NO_INPUT, StepResult.BACKPRESSURED)
            assert not (step.taken and silent), (
                f"step {number} took {step.taken} messages and returned {step.result}"
            )

    def test_node_16_where_nothing_waits_there_is_no_input(self) -> None:
        node = with_inputs(self._prepared())
        bench = self._bench(node)
        bench.begin()
        seen = [bench.step().result]
        bench.round(0)
        bench.drain()
        seen.append(bench.step().result)
        bench.end()
        assert seen == [StepResult.NO_INPUT] * 2, (
            f"steps with nothing waiting, before and after a message, returned {seen}"
        )

    def test_node_17_a_step_comes_back(self) -> None:
        bench = self._bench()
        bench.begin()
        for what in ("nothing waits", "a message waits"):
            back, _ = returns_within(bench.step, self.patience_s)
            assert back, f"a step where {what} did not come back within {self.patience_s:g} s"
            bench.round(0)
        bench.end()

    def test_node_18_it_asks_about_its_own_ports(self) -> None:
        bench = self._run()
        assert not bench.unknown, (
            f"it asked its context about {bench.unknown[0]!r}, which is no such port"
        )

    def test_node_19_calls_return_what_they_shall(self) -> None:
        bench = self._run()
        if bench.kind is NodeKind.MODEL:
            inapplicable("a model writes its results into the array it is given")
        wanted = (Produced, SourceSignal) if bench.kind is NodeKind.SOURCE else _RESULTS
        for number, call in enumerate(bench.calls):
            if call.error is None:
                assert isinstance(call.answer, wanted), f"call {number} returned {call.answer!r}"

    def test_node_20_it_handles_what_fits(self) -> None:
        bench = self._run()
        assert not bench.errors, bench.errors[0]
        assert bench.calls, "no step called anything, although there was something to do"

    def test_node_21_it_takes_none_for_an_optional_input(self) -> None:
        node = self._prepared()
        optional = [p.name for p in node.resolve(dict(self.inputs())).inputs if p.optional]
        if not optional:
            inapplicable("it has no optional inputs")
        if self._run().errors:
            inapplicable("it fails with all of its inputs as well: see NODE-20")
        for port in optional:
            bench = self._bench(without=[port])
            bench.run(rounds_of(bench.node))
            assert not bench.errors, f"without anything on {port!r}: {bench.errors[0]}"

    def test_node_22_it_emits_on_its_outputs(self) -> None:
        bench = self._run()
        outputs = [port.name for port in bench.ports.outputs]
        for sent in bench.sent:
            assert sent.port in outputs, f"it emitted on {sent.port!r}; its outputs are {outputs}"

    def test_node_23_what_it_emits_fits(self) -> None:
        bench = self._run()
        specs = {port.name: port.spec for port in bench.ports.outputs}
        for number, sent in enumerate(bench.sent):
            if sent.port in specs:
                wrong = misfit(sent.payload, specs[sent.port])
                assert wrong is None, f"message {number}, on {sent.port!r}: {wrong}"

    def test_node_24_a_call_emits_no_more_than_max_emit(self) -> None:
        node = self._prepared()
        most = node.max_emit
        bench = self._run(node)
        for number, call in enumerate(bench.calls):
            for port, count in _counts(call).items():
                allowed = most * (len(call.taken) if bench.kind is NodeKind.MODEL else 1)
                assert count <= allowed, (
                    f"call {number} emitted {count} messages on {port!r}, and max_emit is {most}"
                )

    def test_node_25_one_to_one_is_true(self) -> None:
        node = self._prepared()
        if not node.one_to_one:
            inapplicable("one_to_one is False")
        needs_ = node.first_needs, node.then_needs
        bench = self._run(node)
        taken = 0
        for number, call in enumerate(bench.calls):
            if call.error is None:
                before, taken = taken, taken + _weight(bench, call)
                wanted = _results(taken, *needs_) - _results(before, *needs_)
                for port in bench.ports.outputs:
                    count = _counts(call)[port.name]
                    assert count == wanted, (
                        f"one_to_one with first_needs, then_needs of {needs_}: call {number}, of "
                        f"{len(call.taken)} messages, emitted {count} on {port.name!r}"
                    )

    def test_node_26_it_needs_what_it_states(self) -> None:
        node = with_inputs(self._prepared())
        first, then = node.first_needs, node.then_needs
        if not (is_whole(first) and is_whole(then)):
            inapplicable("it states no numbers: see NODE-5")
        bench = self._run(node)
        taken, results = 0, Counter[str]()
        for number, call in enumerate(bench.calls):
            taken += _weight(bench, call)
            for port, count in _counts(call).items():
                results[port] += count if bench.kind is NodeKind.MODEL else 1
                assert results[port] <= _results(taken, first, then), (
                    f"first_needs is {first}, then_needs {then}: call {number} is the "
                    f"{results[port]}. with a result on {port!r}, after {taken} messages"
                )

    def test_node_27_it_writes_in_place(self) -> None:
        node = self._prepared()
        if not node.writes_in_place or node.kind is NodeKind.MODEL:
            inapplicable("it does not state that it writes into slots")
        for number, call in enumerate(self._run(node).calls):
            firsts = {sent.port: sent for sent in reversed(call.sent)}
            for port, sent in firsts.items():
                assert sent.in_slot is not False, (
                    f"writes_in_place is True, and what call {number} emitted on {port!r} is not "
                    "the slot that it was handed"
                )

    def test_node_28_what_a_slot_held_changes_nothing(self) -> None:
        wrong = difference(self._reference().sent, self._run(fill=0x5B).sent)
        assert wrong is None, f"with slots of zeros and of bytes 0x5b: {wrong}"

    @needs("without slots")
    def test_node_29_it_does_without_slots(self) -> None:
        wrong = difference(self._reference().sent, self._run(slots=False).sent)
        assert wrong is None, f"with slots and without: {wrong}"

    def test_node_30_it_leaves_its_inputs(self) -> None:
        for number, call in enumerate(self._run().calls):
            assert not call.changed, f"call {number} changed what came on {call.changed[0]!r}"

    def test_node_31_it_looks_at_its_inputs_during_the_call(self) -> None:
        wrong = difference(self._reference().sent, self._run(ruins=True).sent)
        assert wrong is None, f"with inputs left alone and written over after each call: {wrong}"

    def test_node_32_what_it_pushes_stems_from_what_it_took(self) -> None:
        bench = self._run()
        known = set()
        pushed = 0
        for number, call in enumerate(bench.calls):
            known |= {(header.trace_id, header.sequence) for _, header in call.taken}
            for sent in call.sent:
                pushed += sent.pushed
                own = sent.header.trace_id, sent.header.sequence
                assert not sent.pushed or own in known, (
                    f"call {number} pushed trace and sequence {own}, and took no message of these"
                )
        if not pushed:
            inapplicable("it pushes nothing itself")

    def test_node_33_origins_are_those_of_what_it_took(self) -> None:
        bench = self._run()
        known = set()
        for number, call in enumerate(bench.calls):
            known |= {header.origin_tick for _, header in call.taken}
            for sent in call.sent:
                assert sent.origin is None or sent.origin in known, (
                    f"call {number} stated the origin {sent.origin}, and took no such message"
                )

    def test_node_46_steps_may_be_given_few_or_many(self) -> None:
        node = with_inputs(self._prepared())
        if node.kind is NodeKind.MODEL or node.takes_windows or len(node.input_names) > 1:
            inapplicable("one call takes several messages")
        self._reference()
        runs = [self._bench(group=size) for size in (1, self.batch)]
        for bench in runs:
            bench.run_at_once(rounds_of(bench.node))
        wrong = difference(runs[0].sent, runs[1].sent)
        assert wrong is None, f"with one message a step and with up to {self.batch}: {wrong}"

    def test_node_47_objects_that_it_emitted_stay(self) -> None:
        bench = self._run()
        lent = [(n, sent) for n, sent in enumerate(bench.sent) if sent.lent is not None]
        if not lent:
            inapplicable("it emits no objects")
        for number, sent in lent:
            assert same(sent.payload, sent.lent), (
                f"message {number}, on {sent.port!r}, was {shown([sent.payload])} when it was "
                f"emitted, and is {shown([sent.lent])} in the end"
            )


def _way_of(bench: NodeBench) -> str:
    """Return the context's method that a node takes with."""
    if bench.kind is NodeKind.SOURCE:
        return "produce"
    if bench.kind is NodeKind.MODEL:
        return "pop_batch_and_process"
    if bench.takes_windows:
        return "pop_window_and_process"
    return "pop_joined_and_process" if len(bench.ports.inputs) > 1 else "pop_and_process"


def _counts(call: Call) -> Counter[str]:
    return Counter(sent.port for sent in call.sent)


def _weight(bench: NodeBench, call: Call) -> int:
    """Return how many messages a call took; what it takes together for one result is one."""
    together = bench.takes_windows or len(bench.ports.inputs) > 1
    return min(len(call.taken), 1) if together else len(call.taken)


def _results(taken: int, first: int, then: int) -> int:
    """Return how many results so many messages make at most."""
    return 0 if taken < first else 1 + (taken - first) // then
