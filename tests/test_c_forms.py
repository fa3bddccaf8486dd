"""The C form of a node gives the same bits as the node, emission by emission, under sanitizers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import limen
import limen.nodes
from c_form_cases import CASES, EVERY
from c_forms import (
    CROSS,
    Case,
    Compiled,
    Twins,
    compile_cases,
    compile_object,
    cross_compile,
    form_of,
    message,
    payloads,
)
from c_host import NEEDS_COMPILER, SPECIALISED
from doubles import CollectingSink, ListSource
from library import samples, spec
from limen.app import check
from limen.codegen.c99 import print_c
from limen.errors import Code, LimenError
from limen.node import Node
from limen.nodes import Decimate, JoinByTime, RateLimiter, Router, SampleAndHold
from limen.platform import SimClock
from limen.policy import NodePolicy, Periodic
from limen.types import ObjectSpec, TensorSpec

pytestmark = [NEEDS_COMPILER, pytest.mark.filterwarnings("ignore::RuntimeWarning")]


@pytest.fixture(scope="module", params=sorted(CASES))
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compiled]:
    made = Compiled(CASES[request.param], tmp_path_factory.mktemp(request.param))
    yield made
    assert made.close() == ""


def presences(node: Node) -> list[tuple[bool, ...]]:
    """Return which inputs may have something in one call; a period may find anything."""
    count = len(node.input_names)
    if isinstance(node, (SampleAndHold, JoinByTime, Router)) and count > 1:
        return list(product((True, False), repeat=count))
    return [(True,) * count]


def is_quiet(twins: Twins, there: tuple[bool, ...]) -> bool:
    """Whether nothing can be connected there: a hold without a trigger."""
    node = twins.node
    return isinstance(node, SampleAndHold) and not node._triggered and there[1]


def test_it_gives_the_same_bits_at_the_edges_of_every_type(compiled: Compiled) -> None:
    for number, case in enumerate(compiled.cases):
        twins = Twins(compiled, number)
        specs = [port.spec for port in twins.ports.inputs]
        made = [payloads(one, 40, number + place) for place, one in enumerate(specs)]
        random = np.random.default_rng(number)
        possible = presences(case.node)
        now = 0
        for place, given_ in enumerate(zip(*made, strict=True)):
            there = possible[place % len(possible)]
            if is_quiet(twins, there):
                continue
            now += int(random.integers(0, 5))
            came = (
                message(twins, payload, now, *random.integers(0, 6, 2)) if here else None
                for payload, here in zip(given_, there, strict=True)
            )
            twins.give(*came, now=now)
            if place == 25:
                twins.restart()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_it_gives_the_same_bits_whatever_comes(compiled: Compiled, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(compiled.cases) - 1))
    twins = Twins(compiled, number)
    count = data.draw(st.integers(1, 12))
    drawn = []
    for port in twins.ports.inputs:
        assert isinstance(port.spec, TensorSpec)
        drawn.append(data.draw(arrays_of(port.spec, count)))
    now = 0
    for place in range(count):
        now += data.draw(st.integers(0, 8))
        there = data.draw(st.sampled_from(presences(twins.node)))
        if is_quiet(twins, there):
            continue
        came = [
            message(twins, drawn[port][place], now, *data.draw(_BEFORE)) if here else None
            for port, here in enumerate(there)
        ]
        twins.give(*came, now=now)
        if data.draw(st.integers(0, 9)) == 0:
            twins.restart()


_BEFORE = st.tuples(st.integers(0, 9), st.integers(0, 9))


def arrays_of(arriving: TensorSpec, count: int) -> st.SearchStrategy[object]:
    """Draw payloads; of types that Hypothesis cannot draw, by their bits."""
    if arriving.dtype.value in ("f16", "bf16") or len(arriving.fixed_shape) == 1:
        seeds = st.integers(0, 10_000)
        return seeds.map(lambda seed: payloads(arriving, count, seed))
    return samples(arriving.dtype.value, arriving.fixed_shape, st.just(count))


def test_forms_stay_clean_of_warnings_when_optimised(tmp_path: Path) -> None:
    compile_cases(EVERY, tmp_path, SPECIALISED)


@pytest.mark.skipif(CROSS is None, reason="no arm-none-eabi-gcc")
def test_forms_compile_for_a_microcontroller_without_a_system(tmp_path: Path) -> None:
    cross_compile(EVERY, tmp_path)


@pytest.mark.parametrize("name", sorted(CASES))
def test_printed_graphs_compile_around_the_forms(name: str, tmp_path: Path) -> None:
    for number in (0, -1):
        plan = check(graph_around(CASES[name][number]), SimClock())
        printed = print_c(plan, SimClock())
        printed.write(tmp_path)
        compile_object(f"{printed.graph.name}.c", tmp_path)


def graph_around(case: Case) -> limen.Graph:
    """Connect a node with what its inputs need; a hold without a trigger goes by the clock."""
    ports, _ = form_of(case)
    by_clock = isinstance(case.node, SampleAndHold) and not case.node._triggered
    policy = NodePolicy(activation=Periodic("20ms")) if by_clock else None
    graph = limen.Graph("around").add("node", case.node, policy)
    for port in ports.inputs:
        if port.name in case.inputs:
            graph.add(f"from_{port.name}", ListSource([], spec=port.spec))
            graph.connect(f"from_{port.name}", f"node.{port.name}")
    for port in ports.outputs:
        graph.add(f"to_{port.name}", CollectingSink())
        graph.connect(f"node.{port.name}", f"to_{port.name}")
    return graph


def test_every_node_of_the_library_has_cases() -> None:
    there = {type(case.node).__name__ for case in EVERY}
    assert there == set(limen.nodes.__all__) - {"CNode"}


def test_a_form_is_the_same_whenever_it_is_asked_for() -> None:
    for case in EVERY:
        _, first = form_of(case)
        _, second = form_of(case)
        assert (first.call, first.start, first.code) == (second.call, second.start, second.code)


def test_no_two_texts_define_the_same_function() -> None:
    codes = {form_of(case)[1].code for case in EVERY}
    defined = [
        line.split("(")[0].split()[-1]
        for code in codes
        for line in code.splitlines()
        if line.startswith("static ")
    ]
    assert len(defined) == len(set(defined))


# What has no form in C.


def refusal(node: Node, **inputs: object) -> LimenError:
    node.prepare()
    ports = node.resolve(inputs)
    with pytest.raises(LimenError) as caught:
        node.c_form(ports, SimClock())
    return caught.value


@pytest.mark.parametrize(
    ("node", "port"),
    [(Decimate(2), "decimate.in"), (RateLimiter("1ms"), "rate_limiter.in")],
)
def test_objects_are_refused_with_the_port(node: Node, port: str) -> None:
    error = refusal(node, **{"in": ObjectSpec(dict)})
    assert error.code is Code.NOT_PORTABLE
    assert error.message.startswith(f"{port}: ")
    assert error.remedy == "send tensors of known shape"


def test_a_trigger_that_is_an_object_is_refused_as_well() -> None:
    error = refusal(SampleAndHold(), **{"in": spec("f32"), "trigger": ObjectSpec(str)})
    assert error.message.startswith("sample_and_hold.trigger: ")


def test_a_pair_as_a_tuple_is_refused() -> None:
    error = refusal(
        JoinByTime("1ms", "2ms", pair="tuple"), left=spec("f32", 2), right=spec("s8", 2)
    )
    assert error.code is Code.NOT_PORTABLE
    assert error.message == "join_by_time.out: a pair as a tuple has no form in C"
    assert 'pair = "concat"' in error.remedy


def test_a_bucket_that_64_bits_cannot_count_is_refused() -> None:
    error = refusal(RateLimiter("1s", 2**60), **{"in": spec("f32")})
    assert "burst · every is" in error.message
    assert error.remedy == "give at most 4611686018427387904 ticks"


def test_a_count_that_32_bits_cannot_hold_is_refused() -> None:
    error = refusal(Decimate(2**32), **{"in": spec("f32")})
    assert error.message == "decimate: keep_every is 4294967296, more than C counts in 32 bits"
