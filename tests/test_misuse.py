"""What a wrong value gives at every constructor: an error that names it and says what is right.

A field is tried with every wrong value of its kind. None of them may be taken, and none may end in
an error of Python's own, which would name neither the field nor a remedy.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

import limen.policy
from limen.errors import ConfigurationError, GraphError
from limen.graph import Graph, verify
from limen.node import Node, Sink, Source
from limen.platform import MonotonicClock, NoopClock, PlatformClock, SimClock
from limen.policy import (
    Activation,
    AdmissionPolicy,
    Batching,
    Budget,
    Deadline,
    DefaultOnTimeout,
    Degrade,
    EdgePolicy,
    EmitFailsafe,
    ErrorAction,
    Freshness,
    InputPolicy,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    Periodic,
    QueueCaps,
    Restart,
    RetentionMode,
    Trigger,
)
from limen.types import CriticalityClass, QoSClass

# Whatever takes one value of one field; untyped, as the values are wrong on purpose.
Make = Callable[[Any], object]

_NAN, _INF = float("nan"), float("inf")


class Stranger(enum.Enum):
    """Has members with the names and values of others, and is none of them."""

    DROP = "drop"
    ALL = "all"


class NotAMapping(list):
    """Looks like pairs."""


# ------------------------------------------------------------------ wrong values by kind

_NO_NUMBERS: dict[str, object] = {
    "text": "4",
    "words": "four",
    "empty text": "",
    "bytes": b"4",
    "a truth value": True,
    "false": False,
    "a fraction": 1.5,
    "a whole float": 4.0,
    "nan": _NAN,
    "infinity": _INF,
    "a decimal": Decimal(4),
    "a ratio": Fraction(4),
    "a complex number": 4j,
    "a list": [4],
    "a mapping": {4: 4},
    "a type": int,
    "a NumPy float": np.float64(4),
    "a NumPy nan": np.float32(_NAN),
    "a NumPy truth value": np.True_,
    "a NumPy array": np.array([4, 5]),
    "a NumPy duration": np.timedelta64(4, "ms"),
}
_NEGATIVE = {"minus one": -1, "far below": -(10**30), "a negative NumPy number": np.int64(-4)}
_ZERO = {"zero": 0, "a NumPy zero": np.int16(0)}
_COUNTS = {**_NO_NUMBERS, **_NEGATIVE, **_ZERO}
_NONE = {"none": None}

_NO_TEXTS: dict[str, object] = {
    "a number": 5,
    "zero": 0,
    "a negative number": -5,
    "a fraction": 0.5,
    "nan": _NAN,
    "infinity": _INF,
    "a truth value": True,
    "false": False,
    "bytes": b"5ms",
    "a list": ["5ms"],
    "a mapping": {"ms": 5},
    "a duration of Python's": timedelta(milliseconds=5),
    "a NumPy number": np.int64(5),
    "a NumPy float": np.float64(0.5),
    "a NumPy truth value": np.False_,
    "a NumPy duration": np.timedelta64(5, "ms"),
    "a NumPy array of text": np.array(["5ms"]),
    "a type": str,
}
_NO_DURATIONS: dict[str, object] = {
    "empty text": "",
    "blank text": "  ",
    "no unit": "5",
    "a unit alone": "ms",
    "an unknown unit": "5parsecs",
    "a unit in capitals": "5MS",
    "a size": "5KiB",
    "two numbers": "5 5ms",
    "two durations": "1s 5ms",
    "an exponent": "1e3ms",
    "a separator": "1_000ms",
    "a comma": "1,5ms",
    "nan in words": "nan ms",
    "infinity in words": "inf s",
    "foreign digits": "\u0665ms",
    "finer than a nanosecond": "0.5ns",
    "a signed number": "+-5ms",
    "more digits than sensible": "9" * 31 + "ns",
}
_NEGATIVE_DURATION = {"a negative duration": "-5ms"}
_NO_TIME = {"no time": "0ms", "no time in words of another unit": "0.0h"}
_DURATIONS = {**_NO_TEXTS, **_NO_DURATIONS, **_NEGATIVE_DURATION}
_POSITIVE = {**_DURATIONS, **_NO_TIME}

_NO_SIZES = {
    "empty text": "",
    "no unit": "64",
    "a duration": "5ms",
    "a negative size": "-4KiB",
    "half a byte": "0.5B",
    "an unknown unit": "4KB",
    "nothing": "0B",
}
_NO_TRUTH: dict[str, object] = {
    "one": 1,
    "zero": 0,
    "text": "true",
    "empty text": "",
    "nan": _NAN,
    "a list": [],
    "a type": bool,
    "a NumPy truth value": np.True_,
}
_NO_NAMES: dict[str, object] = {
    "a number": 5,
    "zero": 0,
    "a truth value": True,
    "bytes": b"port",
    "a list": ["port"],
    "a type": str,
    "nan": _NAN,
    "a NumPy number": np.int64(1),
}
_EMPTY_NAME = {"empty text": ""}
_NO_MEMBER: dict[str, object] = {
    "its name in files": "drop",
    "empty text": "",
    "a number": 0,
    "a truth value": True,
    "nan": _NAN,
    "a list": [],
    "a member of another enumeration": Stranger.DROP,
    "a class of service": QoSClass.BACKGROUND,
    "an enumeration": Stranger,
    "a NumPy number": np.int64(0),
}
_NO_RECORD: dict[str, object] = {
    "a number": 5,
    "zero": 0,
    "nan": _NAN,
    "a truth value": True,
    "bytes": b"5ms",
    "a list": ["5ms"],
    "a mapping": {"max_age": "5ms"},
    "a type": Deadline,
    "another policy": QueueCaps(1),
    "a NumPy number": np.float64(5),
}
_NO_PORTS: dict[str, object] = {
    "zero": 0,
    "a truth value": True,
    "false": False,
    "empty text": "",
    "text": "port",
    "a list": [],
    "pairs": NotAMapping([("port", InputPolicy())]),
    "an array": np.array([1, 2]),
    "nan": _NAN,
}

# ------------------------------------------------------------------ fields


class Field(NamedTuple):
    """One field of one constructor.

    Attributes:
        make: Constructs with the value given to the field, all else as it should be.
        named: What the error calls the field; of text that stands for a record, its first part.
        wrong: Values by name, none of which it may take.
        right: Values that it takes.
        remedies: One of these is in the remedy.
    """

    make: Make
    named: str
    wrong: Mapping[str, object]
    right: tuple[object, ...]
    remedies: tuple[str, ...]


_DURATION_REMEDIES = ('write it as in "200ms"', "use one of ns, us, ms, s, min, h", "round it")
_POSITIVE_REMEDIES = (*_DURATION_REMEDIES, "give a positive duration")
_COUNT_REMEDIES = ("give a whole number", "a queue needs at least 1", "give a number of items")
_NATURAL = (1, 4, np.int64(4), np.uint8(200))
_SOME_TIME = ("5ms", "1ns", " 2.5 us ", "1h")


def duration(make: Make, named: str, *, optional: bool = True) -> Field:
    """A duration that may be 0."""
    wrong, none = (_DURATIONS, (None,)) if optional else ({**_DURATIONS, **_NONE}, ())
    return Field(make, named, wrong, (*_SOME_TIME, "0s", *none), _DURATION_REMEDIES)


def positive(make: Make, named: str, *, optional: bool = True) -> Field:
    """A duration that may not."""
    wrong, none = (_POSITIVE, (None,)) if optional else ({**_POSITIVE, **_NONE}, ())
    return Field(make, named, wrong, (*_SOME_TIME, *none), _POSITIVE_REMEDIES)


def count(make: Make, named: str, right: tuple[object, ...] = _NATURAL) -> Field:
    """A whole number of at least 1."""
    return Field(make, named, {**_COUNTS, **_NONE}, right, _COUNT_REMEDIES)


def from_zero(make: Make, named: str) -> Field:
    """A whole number of at least 0."""
    wrong = {**_NO_NUMBERS, **_NEGATIVE, **_NONE}
    return Field(make, named, wrong, (0, 7, np.int64(7)), _COUNT_REMEDIES)


def truth(make: Make, named: str) -> Field:
    return Field(make, named, {**_NO_TRUTH, **_NONE}, (True, False), ("write True or False",))


def member(
    make: Make, named: str, right: tuple[object, ...], remedy: str, *, optional: bool = False
) -> Field:
    wrong = _NO_MEMBER if optional else {**_NO_MEMBER, **_NONE}
    return Field(make, named, wrong, right, (remedy,))


def port(make: Make, named: str, remedy: str, *, optional: bool) -> Field:
    wrong = {**_NO_NAMES, **_EMPTY_NAME} if optional else {**_NO_NAMES, **_EMPTY_NAME, **_NONE}
    right = ("port", None) if optional else ("port",)
    return Field(make, named, wrong, right, (remedy,))


def short_form(name: str, named_text: str, right: tuple[object, ...], remedy: str) -> Field:
    """A record of a node's policy, for which a duration alone may stand."""
    wrong = {**_NO_RECORD, **_NONE, **{f"text: {k}": v for k, v in _NO_DURATIONS.items()}}
    remedies = (remedy, *_POSITIVE_REMEDIES)
    return Field(lambda v: NodePolicy(**{name: v}), named_text, wrong, right, remedies)


def _field(make: Make, name: str) -> Make:
    return lambda value: make(**{name: value})  # type: ignore[call-arg] # by name


_ANY_DEFAULT = DefaultOnTimeout([0])
_FIELDS: dict[str, Field] = {
    # Edges
    "QueueCaps.max_items": count(QueueCaps, "max_items"),
    "QueueCaps.soft_items": Field(
        lambda v: QueueCaps(4, v),
        "soft_items",
        {**_COUNTS, "more than the cap": 5},
        (None, 1, 4, np.int64(4)),
        ("give a whole number", "a soft mark"),
    ),
    "QueueCaps.max_bytes": Field(
        lambda v: QueueCaps(4, max_bytes=v),
        "max_bytes",
        {**_COUNTS, **{f"size: {k}": v for k, v in _NO_SIZES.items()}},
        (None, 1, 4, np.int64(4), "4KiB", "1.5 kB"),
        ("give a whole number", 'as in "64KiB"', "use one of B", "at least 1 B", "round it"),
    ),
    "QueueCaps.soft_bytes": Field(
        lambda v: QueueCaps(4, max_bytes=8, soft_bytes=v),
        "soft_bytes",
        {**_COUNTS, **{f"size: {k}": v for k, v in _NO_SIZES.items()}, "more than the cap": 9},
        (None, 1, 8, np.int64(8), "8B"),
        ("give a whole number", 'as in "64KiB"', "use one of B", "a soft mark", "round it"),
    ),
    "EdgePolicy.caps": Field(
        lambda v: EdgePolicy(v),
        "caps",
        {**_NONE, "a number": 64, "text": "64", "a type": QueueCaps, "an edge": EdgePolicy()},
        (QueueCaps(1),),
        ("QueueCaps(max_items)",),
    ),
    "EdgePolicy.admission": member(
        _field(EdgePolicy, "admission"),
        "admission",
        tuple(AdmissionPolicy),
        "AdmissionPolicy.BLOCK",
    ),
    "EdgePolicy.retention": member(
        lambda v: EdgePolicy(QueueCaps(1), AdmissionPolicy.DROP_OLDEST, v),
        "retention",
        tuple(RetentionMode),
        "RetentionMode.FIFO",
    ),
    "EdgePolicy.lanes": Field(
        _field(EdgePolicy, "lanes"),
        "lanes",
        {**_COUNTS, **_NONE, "three": 3},
        (1, 2, np.int64(2)),
        ("1 lane, or 2",),
    ),
    "EdgePolicy.ring": Field(
        _field(EdgePolicy, "ring"),
        "ring",
        {**_NO_NAMES, **_EMPTY_NAME},
        (None, "static"),
        ("name an installed one as text",),
    ),
    "EdgePolicy.block": count(EdgePolicy.block, "max_items"),
    "EdgePolicy.drop_newest": count(EdgePolicy.drop_newest, "max_items"),
    "EdgePolicy.drop_oldest": count(EdgePolicy.drop_oldest, "max_items"),
    "EdgePolicy.deadline_and_qos_aware": count(EdgePolicy.deadline_and_qos_aware, "max_items"),
    # Batches
    "Batching.max_items": count(Batching, "a batch of|a batch without"),
    "Batching.delta_t_ns": Field(
        lambda v: Batching(4, v),
        "delta_t",
        _COUNTS,
        (None, 1, np.int64(5)),
        ("positive duration in whole ns",),
    ),
    "Batching.stride": Field(
        lambda v: Batching(4, None, v),
        "stride",
        {**_COUNTS, "more than the window": 5},
        (None, 1, 4, np.int64(4)),
        ("moves by at least 1 and at most its own length",),
    ),
    "Batching.fixed": count(Batching.fixed, "a batch"),
    "Batching.delta_t": positive(Batching.delta_t, "delta_t", optional=False),
    "Batching.fixed_and_delta_t n": count(
        lambda v: Batching.fixed_and_delta_t(v, "5ms"), "a batch of|n is None"
    ),
    "Batching.fixed_and_delta_t delta_t": positive(
        lambda v: Batching.fixed_and_delta_t(4, v), "delta_t", optional=False
    ),
    "Batching.sliding n": Field(
        lambda v: Batching.sliding(v, 1),
        "a batch of|a batch without",
        {**_COUNTS, **_NONE},
        _NATURAL,
        ("give a whole number", "give a number of items"),
    ),
    "Batching.sliding stride": Field(
        lambda v: Batching.sliding(4, v),
        "stride",
        {**_COUNTS, **_NONE, "more than the window": 5},
        (1, 4, np.int64(4)),
        ("give a whole number of at least 1", "at least 1 and at most its own length"),
    ),
    "Batching.sliding delta_t": positive(lambda v: Batching.sliding(4, 2, v), "delta_t"),
    # Time
    "Deadline.default": duration(Deadline, "deadline"),
    "Deadline.slack": duration(_field(Deadline, "slack"), "slack", optional=False),
    "Deadline.require": truth(_field(Deadline, "require"), "require"),
    "Deadline.on_miss": member(
        _field(Deadline, "on_miss"), "on_miss", tuple(OnMiss), "OnMiss.PROCESS or OnMiss.DROP"
    ),
    "Freshness.max_age": positive(Freshness, "max_age"),
    "Freshness.max_span_age": positive(_field(Freshness, "max_span_age"), "max_span_age"),
    "Freshness.on_stale": member(
        _field(Freshness, "on_stale"), "on_stale", tuple(OnStale), "OnStale.DROP or OnStale.DELIVER"
    ),
    "Liveness.max_gap": positive(Liveness, "max_gap"),
    "Liveness.max_step_gap": positive(_field(Liveness, "max_step_gap"), "max_step_gap"),
    "InputPolicy.freshness": Field(
        InputPolicy,
        "freshness|max_age",
        {**_NO_RECORD, **_NO_DURATIONS, **_NO_TIME},
        (None, "5ms", Freshness("5ms")),
        (*_POSITIVE_REMEDIES, 'write it as in "100ms", or use Freshness(…)'),
    ),
    "InputPolicy.max_gap": positive(_field(InputPolicy, "max_gap"), "max_gap"),
    "InputPolicy.needs_degrade_allowed": truth(
        _field(InputPolicy, "needs_degrade_allowed"), "needs_degrade_allowed"
    ),
    # Budgets and failures
    "Budget.tick_budget": positive(Budget, "tick_budget"),
    "Budget.watchdog": positive(_field(Budget, "watchdog"), "watchdog"),
    "Budget.action": member(
        lambda v: Budget("5ms", action=v),
        "action",
        (None, *OverBudgetAction, _ANY_DEFAULT, Degrade()),
        "use OverBudgetAction.DROP",
        optional=True,
    ),
    "DefaultOnTimeout.port": port(
        lambda v: DefaultOnTimeout([0], v), "port", "name an output of the node", optional=True
    ),
    "Degrade.degrade_after": count(Degrade, "degrade_after"),
    "Degrade.recover_after": count(_field(Degrade, "recover_after"), "recover_after"),
    "Degrade.sim_cost": duration(_field(Degrade, "sim_cost"), "sim_cost", optional=False),
    "EmitFailsafe.port": port(
        lambda v: EmitFailsafe([0], v), "port", "name an output of the node", optional=True
    ),
    "EmitFailsafe.quiesce": truth(lambda v: EmitFailsafe([0], None, v), "quiesce"),
    "Restart.max": count(Restart, "max"),
    "Restart.per": positive(lambda v: Restart(3, per=v), "per", optional=False),
    "Restart.backoff": duration(lambda v: Restart(3, backoff=v), "backoff", optional=False),
    "Trigger.port": port(Trigger, "port", "name an input of the node", optional=False),
    "Periodic.period": positive(Periodic, "period", optional=False),
    # Nodes
    "NodePolicy.batching": Field(
        _field(NodePolicy, "batching"),
        "batching",
        {**_NO_RECORD, **_NONE, "text": "fixed"},
        (Batching.fixed(4),),
        ("use Batching.fixed(n)",),
    ),
    "NodePolicy.deadline": short_form(
        "deadline", "deadline", ("5ms", Deadline()), 'write it as in "250ms"'
    ),
    "NodePolicy.criticality": member(
        _field(NodePolicy, "criticality"),
        "criticality",
        tuple(CriticalityClass),
        "use CriticalityClass.OPERATIONAL",
    ),
    "NodePolicy.error_action": member(
        _field(NodePolicy, "error_action"),
        "error_action",
        (None, *ErrorAction, EmitFailsafe([0]), Restart(3)),
        "use ErrorAction.CONTINUE",
        optional=True,
    ),
    "NodePolicy.sim_cost": duration(_field(NodePolicy, "sim_cost"), "sim_cost", optional=False),
    "NodePolicy.interval": positive(_field(NodePolicy, "interval"), "interval"),
    "NodePolicy.activation": member(
        _field(NodePolicy, "activation"),
        "activation",
        (None, *Activation, Trigger("port"), Periodic("5ms")),
        "use Activation.ALL",
        optional=True,
    ),
    "NodePolicy.budget": short_form("budget", "budget", ("5ms", Budget()), "use Budget(…)"),
    "NodePolicy.freshness": short_form(
        "freshness", "freshness|max_age", ("5ms", Freshness()), "use Freshness(…)"
    ),
    "NodePolicy.liveness": short_form(
        "liveness", "liveness|max_gap", ("5ms", Liveness()), "use Liveness(…)"
    ),
    "NodePolicy.inputs": Field(
        _field(NodePolicy, "inputs"),
        "inputs",
        {**_NO_PORTS, **_NONE},
        ({}, {"port": InputPolicy()}, MappingProxyType({"port": InputPolicy()})),
        ('write inputs={"port": InputPolicy(…)}',),
    ),
    "NodePolicy.inputs name": Field(
        lambda v: NodePolicy(inputs={v: InputPolicy()}),
        "the name of an input",
        {
            **{k: v for k, v in _NO_NAMES.items() if not isinstance(v, list)},
            **_EMPTY_NAME,
            **_NONE,
            "a pair": ("a", "b"),
        },
        ("port",),
        ('write inputs={"port": InputPolicy(…)}',),
    ),
    "NodePolicy.inputs policy": Field(
        lambda v: NodePolicy(inputs={"port": v}),
        "the policy of input 'port'",
        {**_NO_RECORD, **_NONE, "text": "5ms", "a freshness": Freshness(), "a type": InputPolicy},
        (InputPolicy(),),
        ('write inputs={"port": InputPolicy(…)}',),
    ),
    # Clocks
    "SimClock.tick_rate_hz": count(SimClock, "tick_rate_hz"),
    "SimClock.start": from_zero(_field(SimClock, "start"), "start"),
    "SimClock.domain": from_zero(_field(SimClock, "domain"), "domain"),
    "MonotonicClock.domain": from_zero(MonotonicClock, "domain"),
    "NoopClock.tick_rate_hz": count(NoopClock, "tick_rate_hz"),
    "NoopClock.domain": from_zero(_field(NoopClock, "domain"), "domain"),
    # Graphs
    "Graph.name": Field(
        Graph, "the graph's name", {**_NO_NAMES, **_NONE}, ("g",), ("give it as text",)
    ),
    "Graph.scheduler": Field(
        lambda v: Graph("g", scheduler=v),
        "scheduler",
        {**_NO_NAMES, **_NONE},
        ("round_robin", "edf"),
        ('write "round_robin"',),
    ),
    "Graph.clock_offsets": Field(
        lambda v: Graph("g", clock_offsets=v),
        "clock_offsets",
        _NO_PORTS,
        (None, {}, {1: "5ms"}, MappingProxyType({1: "-5ms"})),
        ('write {1: "5ms"}',),
    ),
    "Graph.clock_offsets domain": from_zero(
        lambda v: Graph("g", clock_offsets={_hashable(v): "5ms"}), "a clock domain"
    ),
    "Graph.clock_offsets offset": Field(
        lambda v: Graph("g", clock_offsets={1: v}),
        "the offset of clock domain 1",
        {**_NO_TEXTS, **_NO_DURATIONS, **_NONE, "two signs": "--5ms", "a sign alone": "-"},
        (*_SOME_TIME, "0ms", "-5ms", "+5ms", " -2.5us"),
        _DURATION_REMEDIES,
    ),
    "Graph.set_clock_offset domain": from_zero(
        lambda v: Graph("g").set_clock_offset(v, "5ms"), "a clock domain"
    ),
    "Graph.set_clock_offset offset": Field(
        lambda v: Graph("g").set_clock_offset(1, v),
        "the offset of clock domain 1",
        {**_NO_TEXTS, **_NO_DURATIONS, **_NONE, "two signs": "--5ms", "a sign alone": "-"},
        (*_SOME_TIME, "0ms", "-5ms", "+5ms"),
        _DURATION_REMEDIES,
    ),
}


def _hashable(value: object) -> object:
    """A key that stands for a value that cannot be one."""
    try:
        hash(value)
    except TypeError:
        return (repr(value),)
    return value


def _cases() -> Iterator[Any]:
    for name, field in _FIELDS.items():
        for wrong in field.wrong:
            yield pytest.param(name, wrong, id=f"{name}: {wrong}".replace(" ", "_"))


def assert_explains(call: Callable[[], object], named: str, remedies: tuple[str, ...]) -> None:
    """The error is Limen's own, names the field, and says what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert any(name in caught.value.message for name in named.split("|")), caught.value.message
    assert any(remedy in caught.value.remedy for remedy in remedies), caught.value.remedy
    assert str(caught.value).endswith(caught.value.remedy)


@pytest.mark.parametrize(("name", "wrong"), list(_cases()))
def test_a_wrong_value_is_refused_by_name_and_with_a_remedy(name: str, wrong: str) -> None:
    field = _FIELDS[name]
    assert_explains(lambda: field.make(field.wrong[wrong]), field.named, field.remedies)


@pytest.mark.parametrize("name", _FIELDS)
def test_what_the_remedies_ask_for_is_taken(name: str) -> None:
    for value in _FIELDS[name].right:
        _FIELDS[name].make(value)


def test_every_field_of_every_policy_is_tried() -> None:
    untried = {"DefaultOnTimeout.payload", "EmitFailsafe.payload"}  # anything may be a payload
    made_for_plans = {"BatchingTicks"}
    public = [getattr(limen.policy, name) for name in limen.policy.__all__]
    wanted = {
        f"{kind.__name__}.{field.name}"
        for kind in public
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind)
        if kind.__name__ not in made_for_plans
    }
    assert wanted - untried <= set(_FIELDS)


# ------------------------------------------------------------------ contradictions

# Those of caps, retention and windows are in test_policies.

_CONTRADICTIONS: dict[str, tuple[Callable[[], object], str, str]] = {
    "a watchdog that barks before the budget is used": (
        lambda: Budget("5ms", "4ms"),
        "watchdog 4 ms is below tick_budget 5 ms",
        "the longer of the two",
    ),
    **{
        f"{what} without a budget": (
            lambda action=action: Budget(watchdog="5ms", action=action),
            "an action without tick_budget",
            "say when a call is over its budget",
        )
        for what, action in (
            ("dropping", OverBudgetAction.DROP),
            ("skipping", OverBudgetAction.SKIP_STAGE),
            ("a default", _ANY_DEFAULT),
            ("degrading", Degrade()),
        )
    },
}


@pytest.mark.parametrize("what", _CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused(what: str) -> None:
    call, named, remedy = _CONTRADICTIONS[what]
    assert_explains(call, named, (remedy,))


@pytest.mark.parametrize(
    "call",
    [
        lambda: Budget("5ms", "5ms"),
        lambda: Budget(watchdog="5ms"),
        lambda: Deadline("0ns", "0ns", require=True, on_miss=OnMiss.DROP),
        lambda: Freshness("5ms", "1ms"),
        lambda: Freshness(on_stale=OnStale.DELIVER),
        lambda: QueueCaps(4, 4, 8, 8),
        lambda: Batching.sliding(4, 4, "1ns"),
    ],
)
def test_values_that_only_just_agree_are_taken(call: Callable[[], object]) -> None:
    call()


@pytest.mark.parametrize("whole", [np.int64(200), np.uint8(200), np.array(200)], ids=repr)
def test_a_whole_number_of_numpys_is_kept_as_an_int(whole: Any) -> None:  # noqa: ANN401 - NumPy's
    kept = (
        *dataclasses.astuple(QueueCaps(whole, whole, whole, whole)),
        *dataclasses.astuple(Batching(whole, whole, whole)),
        Degrade(whole, whole).degrade_after,
        Degrade(whole, whole).recover_after,
        Restart(whole).max,
        SimClock(whole).tick_rate_hz,
    )
    assert {(type(value), value) for value in kept} == {(int, 200)}


@pytest.mark.parametrize(
    "policy",
    [
        NodePolicy(),
        NodePolicy(inputs={"port": InputPolicy("5ms")}),
        NodePolicy(budget=Budget("5ms", action=_ANY_DEFAULT), error_action=EmitFailsafe([0])),
    ],
    ids=["plain", "with inputs", "with payloads"],
)
def test_a_nodes_policy_is_a_key_whatever_it_holds(policy: NodePolicy) -> None:
    assert {policy: 1}[dataclasses.replace(policy)] == 1


def test_a_policy_does_not_change_with_the_mapping_it_was_made_from() -> None:
    inputs = {"port": InputPolicy("5ms")}
    policy = NodePolicy(inputs=inputs)
    inputs["other"] = InputPolicy("1ms")
    assert list(policy.inputs) == ["port"]


# ------------------------------------------------------------------ building a graph


class Null(Sink):
    def consume(self, message: object) -> None:
        """Take it."""


_NO_COMPONENTS: dict[str, object] = {
    "none": None,
    "a number": 5,
    "text": "sink",
    "a function": print,
    "a sink that was not made": Null,
    "a node that was not made": Node,
    "a source that was not made": Source,
    "a graph": Graph("other"),
    "a clock": NoopClock(),
    "nan": _NAN,
    "a list": [],
}
_NO_POLICIES: dict[str, object] = {
    "zero": 0,
    "false": False,
    "empty text": "",
    "text": "5ms",
    "a mapping": {},
    "a batch": Batching.fixed(4),
    "a type": NodePolicy,
    "nan": _NAN,
}
_NO_TOKENS: dict[str, object] = {
    "none": None,
    "a number": 1,
    "text": "ab",
    "bytes": b"ab",
    "an array": np.zeros(3),
    "a set": {1},
    "a mapping": {1: 1},
    "an iterator": iter([1]),
}
_LINKS: dict[str, tuple[Make, str, Mapping[str, object], str]] = {
    "add name": (
        lambda v: Graph("g").add(v, Null()),
        "a node's name",
        {**_NO_NAMES, **_NONE},
        "give it as text",
    ),
    "add component": (
        lambda v: Graph("g").add("a", v),
        "node 'a' is a ",
        _NO_COMPONENTS,
        "give a Node, Source or Sink",
    ),
    "add policy": (
        lambda v: Graph("g").add("a", Null(), v),
        "policy of 'a'",
        {**_NO_POLICIES, "an edge's policy": EdgePolicy()},
        "give a NodePolicy",
    ),
    "add variant": (
        lambda v: Graph("g").add("a", Null(), variant=v),
        "variant of 'a'",
        {k: v for k, v in _NO_COMPONENTS.items() if v is not None} | {"a sink": Null()},
        "make a function a node with @limen.node",
    ),
    "replace name": (
        lambda v: Graph("g").add("a", Null()).replace(v, Null()),
        "a node's name",
        {**_NO_NAMES, **_NONE},
        "give it as text",
    ),
    "replace component": (
        lambda v: Graph("g").add("a", Null()).replace("a", v),
        "node 'a' is a ",
        _NO_COMPONENTS,
        "give a Node, Source or Sink",
    ),
    "replace unknown": (
        lambda v: Graph("g").add("sink", Null()).replace(v, Null()),
        "no node ",
        {"empty": "", "misspelt": "snik"},
        "known: sink",
    ),
    "node unknown": (
        lambda v: Graph("g").add("sink", Null()).node(v),
        "no node ",
        {"empty": "", "misspelt": "snik"},
        "known: sink",
    ),
    "node of nothing": (lambda v: Graph("g").node(v), "no node ", {"any": "a"}, "add it first"),
    "node name": (
        lambda v: Graph("g").node(v),
        "a node's name",
        {**_NO_NAMES, **_NONE},
        "give it as text",
    ),
    "connect producer": (
        lambda v: Graph("g").connect(v, "b"),
        "an end of an edge",
        {**_NO_NAMES, **_NONE, "a pair": ("a", "out")},
        "give the node by name",
    ),
    "connect consumer": (
        lambda v: Graph("g").connect("a", v),
        "an end of an edge",
        {**_NO_NAMES, **_NONE, "a pair": ("a", "out")},
        "give the node by name",
    ),
    "connect policy": (
        lambda v: Graph("g").connect("a", "b", v),
        "an edge's policy",
        {**_NO_POLICIES, "a node's policy": NodePolicy(), "caps": QueueCaps(4)},
        "write policy=EdgePolicy.block(64)",
    ),
    "connect initial": (
        lambda v: Graph("g").connect("a", "b", initial=v),
        "initial is a ",
        _NO_TOKENS,
        "give a list of payloads",
    ),
    "chain name": (
        lambda v: Graph("g").chain("a", v),
        "a node of the chain",
        {**_NO_NAMES, **_NONE, "a policy": EdgePolicy()},
        "name nodes",
    ),
    "chain policy": (
        lambda v: Graph("g").chain("a", "b", policy=v),
        "an edge's policy",
        _NO_POLICIES,
        "write policy=EdgePolicy.block(64)",
    ),
    "chain of too few": (
        lambda v: Graph("g").chain(*v),
        "a chain of ",
        {"none": (), "one": ("a",)},
        "name at least two nodes",
    ),
}


def _link_cases() -> Iterator[Any]:
    for name, (_, _, wrongs, _) in _LINKS.items():
        for wrong in wrongs:
            yield pytest.param(name, wrong, id=f"{name}: {wrong}".replace(" ", "_"))


@pytest.mark.parametrize(("name", "wrong"), list(_link_cases()))
def test_a_graph_refuses_what_cannot_be_part_of_it(name: str, wrong: str) -> None:
    make, named, wrongs, remedy = _LINKS[name]
    assert_explains(lambda: make(wrongs[wrong]), named, (remedy,))


@pytest.mark.parametrize("name", ["add policy", "connect policy", "connect initial", "chain name"])
def test_a_refused_part_leaves_the_graph_as_it_was(name: str) -> None:
    graph = Graph("g").add("a", Null()).connect("b", "a")
    before = graph.spec()
    calls: dict[str, Callable[[], object]] = {
        "add policy": lambda: graph.add("b", Null(), 5),  # type: ignore[arg-type] # on purpose
        "connect policy": lambda: graph.connect("a", "b", 5),  # type: ignore[arg-type] # likewise
        "connect initial": lambda: graph.connect("a", "b", initial="a"),
        "chain name": lambda: graph.chain("a", "b", 5),  # type: ignore[arg-type] # likewise
    }
    with pytest.raises(ConfigurationError):
        calls[name]()
    assert graph.spec() == before


@pytest.mark.parametrize("clock", [SimClock, NoopClock, MonotonicClock])
def test_a_clock_of_good_values_keeps_them(clock: type[PlatformClock]) -> None:
    assert clock(domain=np.int64(3)).domain == 3


def test_offsets_are_kept_in_nanoseconds_and_the_last_one_of_a_domain_holds() -> None:
    graph = Graph("g", clock_offsets={1: "5ms", 2: "-3us"}).set_clock_offset(1, "+1ns")
    assert graph.spec().clock_offsets_ns == {1: 1, 2: -3000}


def test_names_are_looked_at_together_when_the_graph_is_verified() -> None:
    # "Nothing is checked before verify": all problems come at once.
    graph = Graph("g").add("", Null()).connect("", "a.b.c")
    with pytest.raises(GraphError) as caught:
        verify(graph.spec())
    assert len(caught.value.problems) >= 2
