"""The suite that every node passes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Final

from limen.errors import LimenError
from limen.memory import PlacementAcceptance
from limen.node import Node, NodeKind
from limen.policy import Activation
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._node_starts import StartClauses
from limen.testing.contracts._node_suite import (
    difference,
    is_whole,
    names_of,
    rounds_of,
    stated_of,
    with_inputs,
)
from limen.testing.contracts._resources import SLACK_BYTES, Held, bytes_kept
from limen.types import ObjectSpec, SequenceNumber, describe_spec, error_text

_MANY: Final = 300
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


class NodeContract(StartClauses):
    """Holds a node to NODE-1 … NODE-51; write ``make``, and ``inputs`` where it takes anything."""

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
        assert is_whole(before, 0), f"state_bytes is {before!r}"
        for number in range(rounds_of(bench.node)):
            bench.round(number)
        bench.drain()
        after = bench.node.state_bytes
        bench.end()
        assert after == before, f"state_bytes was {before}, and after some steps {after}"

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

    def test_node_39_nothing_is_left_behind(self) -> None:
        self._run()
        left: list[str] = []
        for _ in range(2):
            held = Held()
            self._run()
            left = held.left(self.patience_s)
            if not left:
                # What was left once only is not the node's: libraries open files when they like.
                return
        assert not left, f"after stop there is {', '.join(left)}"

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
            assert due is None or is_whole(due, 0), seen
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
            return is_whole(value)
        case "max_batch" | "fixed_batch":
            return value is None or is_whole(value)
        case "clock_domain":
            return value is None or is_whole(value, 0)
    return isinstance(value, bool)
