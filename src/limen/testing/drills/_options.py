"""What every drill can be told beside its fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError
from limen.node import Node, Source
from limen.types import nearest, parse_duration_ns, require_type, require_whole

FeedGiven = Sequence[object] | NDArray[np.generic] | Source | Node | float | Fraction | str
"""Payloads, a source, a rate in Hz, or a period as text."""

OUTCOMES = ("completed", "stopped", "halted")


class DrillOptions(TypedDict, total=False):
    """Keyword arguments of every drill.

    Attributes:
        feeds: By source, what stands in for its device: payloads, a ``Source``, a rate in Hz or a
            period (``"20ms"``) at which payloads are made of its spec.
        own_sinks: Sinks that are opened and called as they are; all others only take.
        seed: Which payloads are made.
        duration: Simulated time after which sources that have not ended are stopped; ``"10s"``.
        drain: Simulated time in which what is under way must be done then; ``"60s"``.
        max_steps: Decisions after which sources are stopped, and in which all must end then.
        allow_import: Whether a graph file may name modules.
        max_age: No result is older at any sink; or a mapping by sink.
        loses: Messages are lost for each of these reasons, and for no other.
        may_lose: Messages are lost for none but these reasons.
        loses_nothing: No message is lost.
        finite: No sink is given a NaN or an infinity.
        ends: How the run ends, ``"completed"``, ``"stopped"`` or ``"halted"``, or several.
    """

    feeds: Mapping[str, FeedGiven]
    own_sinks: Collection[str]
    seed: int
    duration: str
    drain: str
    max_steps: int
    allow_import: bool
    max_age: str | Mapping[str, str]
    loses: Collection[str]
    may_lose: Collection[str]
    loses_nothing: bool
    finite: bool
    ends: str | Collection[str]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options, read.

    Attributes:
        feeds: As given.
        own_sinks: As given.
        seed: As given.
        duration_ns: When sources are stopped.
        drain_ns: How long the rest may take.
        max_steps: As given.
        allow_import: As given.
        max_age_ns: By sink; the empty name stands for all of them.
        loses: As given; None to expect nothing.
        may_lose: As given, empty where nothing may be lost; None to expect nothing.
        finite: As given.
        ends: As given; empty to expect nothing.
    """

    feeds: Mapping[str, FeedGiven]
    own_sinks: frozenset[str]
    seed: int
    duration_ns: int
    drain_ns: int
    max_steps: int
    allow_import: bool
    max_age_ns: Mapping[str, int]
    loses: frozenset[str] | None
    may_lose: frozenset[str] | None
    finite: bool
    ends: frozenset[str]

    @property
    def without_expectations(self) -> Settings:
        """The same, but for what is expected of the run under the fault."""
        return dataclasses.replace(
            self, max_age_ns={}, loses=None, may_lose=None, finite=False, ends=frozenset()
        )


def read_options(drill: str, options: DrillOptions, *, duration: str = "10s") -> Settings:
    """Read the keyword arguments of a drill.

    Args:
        drill: Its name.
        options: What it was given.
        duration: Its own default.

    Raises:
        ConfigurationError: An argument is unknown, or not what it must be.
    """
    known = sorted(DrillOptions.__annotations__)
    for key in options:
        if key not in known:
            raise ConfigurationError(
                f"{drill} takes no argument {key!r}", remedy=nearest(key, known)
            )
    feeds = options.get("feeds", {})
    require_type("feeds", feeds, Mapping, 'write feeds={"camera": [payload, …]}')
    duration_ns = positive_ns(options.get("duration", duration), "duration")
    loses = _reasons("loses", options.get("loses"))
    may_lose = _reasons("may_lose", options.get("may_lose"))
    if options.get("loses_nothing"):
        if loses or may_lose:
            raise ConfigurationError(
                "loses_nothing beside reasons for losses", remedy="leave one of them out"
            )
        may_lose = frozenset()
    for name in ("allow_import", "loses_nothing", "finite"):
        require_type(name, options.get(name, False), bool, "write True or False")
    return Settings(
        feeds=feeds,
        own_sinks=_names("own_sinks", options.get("own_sinks", ())),
        seed=require_whole("seed", options.get("seed", 0), 0),
        duration_ns=duration_ns,
        drain_ns=positive_ns(options.get("drain", "60s"), "drain"),
        max_steps=require_whole("max_steps", options.get("max_steps", 50_000)),
        allow_import=options.get("allow_import", False),
        max_age_ns=_ages(options.get("max_age", {})),
        loses=loses,
        may_lose=may_lose,
        finite=options.get("finite", False),
        ends=_ends(options.get("ends", ())),
    )


def positive_ns(text: object, what: str) -> int:
    """Read a duration that is more than nothing.

    Raises:
        ConfigurationError: It is none.
    """
    require_type(what, text, str, 'write it as in "300ms"')
    if isinstance(text, str) and text.strip().startswith("-"):
        raise ConfigurationError(f"{what} is {text!r}", remedy="give a duration above 0")
    value = parse_duration_ns(str(text), what=what)
    if value == 0:
        raise ConfigurationError(f"{what} is {text!r}", remedy="give a duration above 0")
    return value


def _names(what: str, names: object) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Collection):
        raise ConfigurationError(f"{what} is {names!r}", remedy=f'write {what}=("name",)')
    for name in names:
        require_type(f"an entry of {what}", name, str, "give names as text")
    return frozenset(names)


def _reasons(what: str, reasons: Collection[str] | None) -> frozenset[str] | None:
    if reasons is None:
        return None
    return frozenset([reasons]) if isinstance(reasons, str) else _names(what, reasons)


def _ages(given: object) -> dict[str, int]:
    if isinstance(given, Mapping):
        return {sink: positive_ns(age, f"max_age of {sink!r}") for sink, age in given.items()}
    return {"": positive_ns(given, "max_age")}


def _ends(given: str | Collection[str]) -> frozenset[str]:
    ends = frozenset([given]) if isinstance(given, str) else _names("ends", given)
    for end in ends:
        if end not in OUTCOMES:
            raise ConfigurationError(f"ends is {end!r}", remedy=nearest(end, OUTCOMES))
    return ends
