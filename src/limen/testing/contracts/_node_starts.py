"""The clauses of nodes that are about ports, clocks and further starts: NODE-48 … NODE-51."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from limen.errors import LimenError
from limen.node import Node
from limen.platform import SimClock
from limen.testing.contracts._contract import inapplicable
from limen.testing.contracts._node_steps import StepClauses
from limen.testing.contracts._node_suite import difference, rounds_of, with_inputs
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec

_STARTS: Final = 60
_SLOW_HZ: Final = 1_000
_LATER: Final = 1_000


class StartClauses(StepClauses):
    """What a start goes by, and what it leaves; a part of ``NodeContract``."""

    def test_node_48_an_input_is_of_the_type_that_arrives(self) -> None:
        arriving = self.inputs()
        for port in with_inputs(self._prepared()).resolve(dict(arriving)).inputs:
            wanted = arriving.get(port.name)
            assert wanted is None or port.spec == wanted, (
                f"{wanted} arrives on {port.name!r}, and its port is of {port.spec}"
            )

    def test_node_49_a_start_goes_by_its_ports(self) -> None:
        plain = self._reference()
        bench = self._bench()
        asked = [other for other in _others(self.inputs()) if _resolves(bench.node, other)]
        if not asked:
            inapplicable("its inputs are of one type only")
        bench.run(rounds_of(bench.node))
        wrong = difference(plain.sent, bench.sent)
        assert wrong is None, (
            f"with the same ports, and asked meanwhile about {asked[-1]}: {wrong}"
            + "".join(f"; {error}" for error in bench.errors[:1])
        )

    def test_node_50_durations_count_by_its_clock(self) -> None:
        plain = self._reference()
        bench = self._bench(clock=SimClock(_SLOW_HZ, start=_LATER))
        bench.run(rounds_of(bench.node))
        wrong = difference(plain.sent, bench.sent)
        assert wrong is None, (
            f"with {plain.clock.tick_rate_hz} and with {_SLOW_HZ} ticks a second: {wrong}"
        )

    def test_node_51_starts_keep_nothing(self) -> None:
        bench = self._bench()

        def starts() -> None:
            for _ in range(_STARTS):
                bench.run(1)
                bench.node.reset()
                bench.forget()

        starts()
        kept = bytes_kept(starts)
        assert kept < SLACK_BYTES, f"{_STARTS} times started and stopped, {kept} B were kept"


def _others(arriving: Mapping[str, PayloadSpec]) -> Iterator[dict[str, PayloadSpec]]:
    """Yield what else could arrive: other lengths, one axis more, other elements, objects."""
    for change in (_twice_as_long, _one_axis_more, _of_wide_reals, _of_bytes, _of_objects):
        other = {port: change(spec) for port, spec in arriving.items()}
        if other != arriving:
            yield other


def _twice_as_long(spec: PayloadSpec) -> PayloadSpec:
    if not isinstance(spec, TensorSpec) or not spec.is_fixed:
        return spec
    shape = tuple(2 * length for length in spec.fixed_shape)
    return TensorSpec(spec.dtype, shape)


def _one_axis_more(spec: PayloadSpec) -> PayloadSpec:
    return replace(spec, shape=(2, *spec.shape)) if isinstance(spec, TensorSpec) else spec


def _of_wide_reals(spec: PayloadSpec) -> PayloadSpec:
    return replace(spec, dtype=DataType.F64) if isinstance(spec, TensorSpec) else spec


def _of_bytes(spec: PayloadSpec) -> PayloadSpec:
    return replace(spec, dtype=DataType.U8) if isinstance(spec, TensorSpec) else spec


def _of_objects(spec: PayloadSpec) -> PayloadSpec:
    return ObjectSpec(str) if isinstance(spec, TensorSpec) else TensorSpec(DataType.F32, (4,))


def _resolves(node: Node, arriving: Mapping[str, PayloadSpec]) -> bool:
    """Ask a node about other inputs; whether it takes them."""
    with contextlib.suppress(LimenError):
        node.resolve(dict(arriving))
        return True
    return False
