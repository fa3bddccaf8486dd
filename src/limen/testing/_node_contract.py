"""The suite that every node passes."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Final

from limen.errors import LimenError
from limen.memory import PlacementAcceptance
from limen.node import (
    Consumed,
    Node,
    NodeKind,
    Output,
    Outputs,
    Produced,
    Skip,
    SourceSignal,
    StepResult,
    YieldUntil,
)
from limen.policy import Activation
from limen.testing._contract import inapplicable, needs
from limen.testing._kept import SLACK_BYTES, bytes_kept
from limen.testing._node_bench import Call, NodeBench
from limen.testing._node_suite import (
    NodeSuite,
    difference,
    names_of,
    rounds_of,
    stated_of,
    with_inputs,
)
from limen.testing._payloads import misfit
from limen.testing._resources import Held, returns_within
from limen.types import ObjectSpec, SequenceNumber, describe_spec, error_text

_MANY: Final = 300
_RESULTS: Final = (Output, Outputs, Consumed, Skip)
# Of each kind the fewest and most inputs, and outputs; None for any number.
_PORTS: Final[Mapping[NodeKind, tuple[int, int | None, int, int | None]]] = {
    NodeKind.SOURCE: (0, 0, 1, None),
    NodeKind.PROCESS: (1, 1, 1, 1),
    NodeKind.MODEL: (1, 1, 1, 1),
    NodeKind.SPLIT: (1, 1, 2, None),
    NodeKind.JOIN: (2, None, 1, None),
    NodeKind.SINK: (1, None, 0, 0),
}


class Unfit:
    """A payload of no one's type."""


class NodeContract(NodeSuite):
    """Holds a node to NODE-1 … NODE-45; write ``make``, and ``inputs`` where it takes anything."""

    subjects = (Node,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "repeats": "equal inputs at equal instants give equal outputs",
        "restarts": "it begins anew when it is started again",
        "typed": "there is something that does not fit its inputs",
        "without slots": "it makes its results where outputs have no slots as well",
    }

    def test_node_1_preparing_again_changes_nothing(self) -> None:
        once, twice = self._prepared(), self._prepared()
        try:
            twice.prepare()
        except Exception as error:
            raise AssertionError(f"the second prepare raised {error_text(error)}") from error
        seen = [(names_of(n), stated_of(n), n.artifact_sha256) for n in (once, twice)]
        assert seen[0] == seen[1], f"prepared once it says {seen[0]}, prepared twice {seen[1]}"

    def test_node_2_names_of_ports_are_names(self) -> None:
        for side, names in zip(("inputs", "outputs"), names_of(self._prepared()), strict=True):
            for name in names:
                assert isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name), (
                    f"{name!r} among the {side} is no name"
                )
            assert len(set(names)) == len(names), f"a name comes twice among the {side}: {names}"

    def test_node_3_names_of_ports_stay(self) -> None:
        node = self._prepared()
        before = names_of(node)
        for when in self._lifetime(node):
            after = names_of(node)
            assert after == before, f"the ports were {before}, and {when} they are {after}"

    def test_node_4_the_ports_fit_the_kind(self) -> None:
        node = self._prepared()
        least_in, most_in, least_out, most_out = _PORTS[node.kind]
        for side, names, least, most in (
            ("inputs", node.input_names, least_in, most_in),
            ("outputs", node.output_names, least_out, most_out),
        ):
            count = len(names)
            assert count >= least and (most is None or count <= most), (
                f"a {node.kind.value} has {count} {side}: {names}"
            )

    def test_node_5_what_it_states_has_a_meaning(self) -> None:
        node = self._prepared()
        for name, value in stated_of(node).items():
            assert _means_something(name, value), f"{name} is {value!r}"

    def test_node_6_what_it_states_stays(self) -> None:
        node = self._prepared()
        before = stated_of(node)
        for when in self._lifetime(node):
            after = stated_of(node)
            for name, value in before.items():
                assert after[name] == value, (
                    f"{name} was {value!r}, and {when} it is {after[name]!r}"
                )

    def test_node_7_there_is_a_port_for_each_name(self) -> None:
        node = self._prepared()
        wanted = names_of(node)
        ports = node.resolve(dict(self.inputs()))
        seen = tuple(p.name for p in ports.inputs), tuple(p.name for p in ports.outputs)
        assert seen == wanted, f"the names are {wanted}, and resolve returns ports {seen}"

    def test_node_8_equal_inputs_give_equal_ports(self) -> None:
        node = self._prepared()
        first = node.resolve(dict(self.inputs()))
        again = node.resolve(dict(self.inputs()))
        assert again == first, f"resolve gave {first}, and then {again}"

    def test_node_9_resolve_leaves_what_it_is_given(self) -> None:
        given = dict(self.inputs())
        before = dict(given)
        self._prepared().resolve(given)
        assert given == before, f"given {before}, resolve made {given} of it"

    @needs("typed")
    def test_node_10_what_does_not_fit_is_refused(self) -> None:
        arriving = self.inputs()
        with_inputs(self._prepared())
        refused = 0
        for port in arriving:
            try:
                self._prepared().resolve({**arriving, port: ObjectSpec(Unfit)})
            except LimenError as error:
                refused += 1
                assert re.search(rf"\b{port}\b", str(error)), (
                    f"{describe_spec(ObjectSpec(Unfit))} on {port!r} is refused with: {error}"
                )
            except Exception as error:
                raise AssertionError(
                    f"an object that does not fit {port!r} raised {error_text(error)}"
                ) from error
        assert refused, f"none of {', '.join(arriving)} refused an object that does not fit"

    def test_node_11_state_bytes_stay(self) -> None:
        bench = self._bench()
        bench.begin()
        before = bench.node.state_bytes
        assert _is_whole(before, 0), f"state_bytes is {before!r}"
        for number in range(rounds_of(bench.node)):
            bench.round(number)
        bench.drain()
        after = bench.node.state_bytes
        bench.end()
        assert after == before, f"state_bytes was {before}, and after some steps {after}"

    def test_node_12_a_step_says_what_became_of_it(self) -> None:
        for number, step in enumerate(self._run().steps):
            if step.error is None:
                fits = isinstance(step.result, StepResult) or (
                    isinstance(step.result, YieldUntil) and _is_whole(step.result.tick)
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
        if not (_is_whole(first) and _is_whole(then)):
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

    @needs("repeats")
    def test_node_34_equal_inputs_give_equal_outputs(self) -> None:
        wrong = difference(self._run().sent, self._run().sent)
        assert wrong is None, f"of two new nodes that were given the same: {wrong}"

    def test_node_35_nodes_share_no_state(self) -> None:
        alone = self._reference()
        first, other = self._bench(), self._bench()
        for bench in (first, other):
            bench.begin()
        for number in range(rounds_of(first.node)):
            first.round(number)
            other.round(number)
        for bench in (first, other):
            bench.drain()
            bench.end()
        for bench in (first, other):
            wrong = difference(alone.sent, bench.sent)
            assert wrong is None, f"alone and with another node at work: {wrong}"

    @needs("restarts")
    def test_node_36_it_begins_anew(self) -> None:
        new = self._reference()
        bench = self._run()
        bench.node.reset()
        bench.forget()
        bench.run(rounds_of(bench.node))
        wrong = difference(new.sent, bench.sent)
        assert wrong is None, f"of a new node and of one that was started again: {wrong}"

    def test_node_37_it_can_be_stopped_at_any_time(self) -> None:
        for when, node in self._half_way():
            for what, call in (("stop", node.stop), ("reset", node.reset)):
                try:
                    call()
                except Exception as error:
                    raise AssertionError(f"{what} {when} raised {error_text(error)}") from error

    def test_node_38_steps_keep_nothing(self) -> None:
        bench = self._bench()
        numbers = itertools.count()
        bench.begin()

        def rounds() -> None:
            for _ in range(_MANY):
                bench.round(next(numbers))
                bench.forget()

        # Once more than what is measured: what a node may keep is full then.
        rounds()
        kept = bytes_kept(rounds)
        bench.end()
        assert kept < SLACK_BYTES, f"{_MANY} messages an input went through and {kept} B were kept"

    def test_node_39_no_thread_is_left(self) -> None:
        self._run()
        held = Held()
        self._run()
        left = [what for what in held.left(self.patience_s) if what.startswith("thread")]
        assert not left, f"after stop there is {left[0]}"

    def test_node_40_it_selects_what_is_ready(self) -> None:
        bench = self._bench()
        names = [port.name for port in bench.ports.inputs]
        if len(names) < 2:
            inapplicable("there is nothing to choose")
        bench.begin()
        for count in range(1, len(names) + 1):
            for ready in itertools.islice(itertools.permutations(names, count), 24):
                chosen = bench.node.select_input(list(ready))
                assert chosen in ready, f"of {list(ready)} it selected {chosen!r}"
        bench.end()

    def test_node_41_instants_are_those_of_sources(self) -> None:
        bench = self._bench()
        bench.begin()
        for number in range(3):
            due, interval = bench.node.next_due(), bench.node.interval_ns()
            seen = f"a {bench.kind.value}, next_due and interval_ns: {due!r}, {interval!r}"
            if bench.kind is not NodeKind.SOURCE:
                assert due is None and interval is None, seen
            assert due is None or _is_whole(due, 0), seen
            assert interval is None or (isinstance(interval, (int, Fraction)) and interval > 0), (
                seen
            )
            bench.round(number)
        bench.end()

    def test_node_42_a_digest_is_one(self) -> None:
        seen = self._run().node.artifact_sha256
        assert seen is None or (isinstance(seen, str) and re.fullmatch(r"[0-9a-f]{64}", seen)), (
            f"artifact_sha256 is {seen!r}"
        )

    def test_node_43_nothing_is_taken_over_unasked(self) -> None:
        bench = self._bench()
        bench.begin()
        for number in range(3):
            seen = bench.node.adopt(), bench.node.load_failure()
            assert seen == (None, None), f"adopt and load_failure, nothing prepared: {seen}"
            bench.round(number)
        bench.end()

    def test_node_44_places_are_texts(self) -> None:
        bench = self._run()
        for number in (0, 1, rounds_of(bench.node), 10**9):
            try:
                seen = bench.node.locate(SequenceNumber(number))
            except Exception as error:
                raise AssertionError(f"locate({number}) raised {error_text(error)}") from error
            assert seen is None or isinstance(seen, str), f"locate({number}) is {seen!r}"

    def test_node_45_it_can_be_told_of_its_watchdog(self) -> None:
        bench = self._bench()
        bench.begin()
        for number in range(3):
            bench.round(number)
            try:
                bench.node.on_watchdog_timeout()
            except Exception as error:
                raise AssertionError(f"on_watchdog_timeout raised {error_text(error)}") from error
        bench.end()


def _means_something(name: str, value: object) -> bool:
    match name:
        case "kind":
            return isinstance(value, NodeKind)
        case "activation":
            return isinstance(value, Activation)
        case "accepts":
            return isinstance(value, PlacementAcceptance)
        case "max_emit" | "first_needs" | "then_needs":
            return _is_whole(value)
        case "max_batch" | "fixed_batch":
            return value is None or _is_whole(value)
        case "clock_domain":
            return value is None or _is_whole(value, 0)
    return isinstance(value, bool)


def _is_whole(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


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
