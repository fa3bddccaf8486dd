"""The parts of a graph by name, and what stands in for its devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from limen.errors import ConfigurationError, LimenError
from limen.graph import Graph, GraphSpec, NodeSpec, VerifiedGraph, load_graph, verify
from limen.io import Disturbed, StdinJsonLines, StdinLines, StdinRecords
from limen.message import Message
from limen.node import NodeKind, Sink, SinkNode, Source, SourceNode
from limen.scheduling import EdgePlan, Plan
from limen.testing._copy import copied_parts
from limen.testing._example import example_payload
from limen.testing._feed import Feed, first_unfit, rate_of, spec_of
from limen.testing.drills._options import Settings, positive_ns
from limen.types import (
    ObjectSpec,
    PayloadSpec,
    Ticks,
    describe_spec,
    error_text,
    nearest,
    parse_duration_ns,
)

_DEFAULT_RATE: Final = Fraction(50)
_SECOND: Final = 1_000_000_000
_STDIN: Final = (StdinJsonLines, StdinLines, StdinRecords)


class Taking(Sink):
    """Stands where a sink would write to a device or a file: takes what it would, and keeps none.

    Args:
        sink: The other one, which is not opened; only its choice among inputs is asked for.
    """

    def __init__(self, sink: Sink) -> None:
        self.inputs = sink.inputs
        self._sink = sink

    def spec(self) -> PayloadSpec:
        """Return what the sink accepts; everything where it cannot say."""
        try:
            return self._sink.spec()
        except Exception:
            return ObjectSpec(object)

    def consume(self, message: Message, now: Ticks) -> None:
        """Take a message."""

    def select_input(self, ready: Sequence[str]) -> str:
        """Ask the sink."""
        return self._sink.select_input(ready)


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A graph that needs no device.

    Attributes:
        verified: The graph, of copies of the user's parts.
        feeds: By source, where its messages come from, in words.
    """

    verified: VerifiedGraph
    feeds: Mapping[str, str]


def prepare(graph: Graph | str | Path, settings: Settings) -> Prepared:
    """Copy a graph, put what needs no device in the places of its sources and sinks, verify it.

    Raises:
        GraphError: It is not valid.
        ConfigurationError: A source has to be fed and is not, or a name is unknown.
    """
    if isinstance(graph, (str, Path)):
        loaded = load_graph(Path(graph), allow_import=settings.allow_import)
        spec = loaded.graph.spec()
        found, broken, unread = loaded.problems, loaded.broken, loaded.unread
    elif isinstance(graph, Graph):
        spec, found, broken, unread = graph.spec(), [], set(), set()
    else:
        raise ConfigurationError(
            f"the graph is a {type(graph).__qualname__}",
            remedy="give a limen.Graph, or the path of a graph file",
        )
    _check_names(spec, settings)
    feeds: dict[str, str] = {}
    nodes = []
    for index, node in enumerate(spec.nodes):
        nodes.append(_without_device(node, index, spec, settings, feeds))
    parts = [node.node for node in nodes] + [n.variant for n in nodes if n.variant is not None]
    copy_of = copied_parts(parts)
    nodes = [
        dataclasses.replace(
            node,
            node=copy_of(node.node),
            variant=None if node.variant is None else copy_of(node.variant),
        )
        for node in nodes
    ]
    verified = verify(
        dataclasses.replace(spec, nodes=tuple(nodes)),
        found=tuple(found),
        broken=frozenset(broken),
        unread=frozenset(unread),
    )
    return Prepared(verified, feeds)


def node_index(plan: Plan, name: object, drill: str, *, source: bool) -> int:
    """Return the number of a node with inputs, or of a source.

    Raises:
        ConfigurationError: There is none of that name, or it is of the other kind.
    """
    fitting = [n.name for n in plan.nodes if (n.kind is NodeKind.SOURCE) == source]
    for node in plan.nodes:
        if node.name == name:
            if name in fitting:
                return node.index
            kind = "a source" if node.kind is NodeKind.SOURCE else f"a {node.kind.value}"
            wanted = "sources" if source else "nodes with inputs"
            remedy = f"name one of its {wanted}: {', '.join(fitting)}"
            raise ConfigurationError(f"{drill}: {name!r} is {kind}", remedy=remedy)
    raise ConfigurationError(
        f"{drill}: no {'source' if source else 'node'} {name!r} in graph {plan.name!r}",
        remedy=nearest(str(name), fitting),
    )


def edge_of(plan: Plan, text: object, drill: str) -> EdgePlan:
    """Return the edge that ``"a -> b"`` names; ports may be left out where one edge fits.

    Raises:
        ConfigurationError: No edge fits, or several.
    """
    ends = [end.strip() for end in str(text).split("->")]
    known = [edge.name for edge in plan.edges]
    if len(ends) == 2:
        found = [edge for edge in plan.edges if _fits(edge.name, ends)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(
                f"{drill}: edge {text!r} may be any of {len(found)}",
                remedy="name ports as well: " + ", ".join(edge.name for edge in found),
            )
    raise ConfigurationError(
        f"{drill}: no edge {text!r} in graph {plan.name!r}", remedy=nearest(str(text), known)
    )


def _fits(name: str, ends: list[str]) -> bool:
    full = name.split(" -> ")
    return all(
        end in (whole, whole.partition(".")[0]) for end, whole in zip(ends, full, strict=True)
    )


def _check_names(spec: GraphSpec, settings: Settings) -> None:
    sources = [node.name for node in spec.nodes if node.node.kind is NodeKind.SOURCE]
    sinks = [node.name for node in spec.nodes if node.node.kind is NodeKind.SINK]
    for what, names, known in (
        ("feeds", settings.feeds, sources),
        ("own_sinks", settings.own_sinks, sinks),
    ):
        for name in names:
            if name not in known:
                kind = "source" if what == "feeds" else "sink"
                raise ConfigurationError(
                    f"{what} names {name!r}, which is no {kind} of graph {spec.name!r}",
                    remedy=nearest(str(name), known),
                )


def _without_device(
    node: NodeSpec, index: int, spec: GraphSpec, settings: Settings, feeds: dict[str, str]
) -> NodeSpec:
    """Put what needs no device in a node's place; other nodes stay."""
    if node.name in settings.feeds or isinstance(node.node, SourceNode):
        source, feeds[node.name] = _source_for(node, index, spec, settings)
        if source is None:
            return node
        return dataclasses.replace(node, node=SourceNode(source))
    if node.node.kind is NodeKind.SOURCE:
        feeds[node.name] = "its own"
    elif isinstance(node.node, SinkNode) and node.name not in settings.own_sinks:
        return dataclasses.replace(node, node=SinkNode(Taking(node.node.sink)))
    return node


def _source_for(
    node: NodeSpec, index: int, spec: GraphSpec, settings: Settings
) -> tuple[Source | None, str]:
    """Return what stands in for a source, None for itself, and whose messages those are."""
    own = node.node.source if isinstance(node.node, SourceNode) else None
    given: object = settings.feeds.get(node.name)
    if isinstance(given, SourceNode):
        given = given.source
    if isinstance(given, Source):
        return given, f"{type(given).__qualname__}, as given"
    if given is None and own is not None and _needs_no_device(own):
        return None, f"{type(own).__qualname__}, its own"
    rate = _rate_of(node, own)
    payloads: list[object] | None = None
    match given:
        case None:
            pass
        case bool():
            raise _bad_feed(node.name, given)
        case int() | float() | Fraction():
            rate = rate_of(given, f"the feed of {node.name!r}")
        case str():
            rate = Fraction(_SECOND, positive_ns(given, f"the feed of {node.name!r}"))
        case list() | tuple() | np.ndarray():
            payloads = list(given)
        case _:
            raise _bad_feed(node.name, given)
    domain = None if own is None else own.clock_domain
    port = _spec_for(node.name, own, payloads)
    unfit = first_unfit(payloads or (), port)
    if unfit:
        raise ConfigurationError(
            f"the feed of {node.name!r}: {unfit}", remedy=f"it produces {describe_spec(port)}"
        )
    feed = Feed(
        payloads,
        rate_hz=rate,
        spec=port,
        seed=(settings.seed << 40) + (index << 32),
        pausable=own is not None and own.pausable,
        clock_domain=domain,
        offset_ns=0 if domain is None else spec.clock_offsets_ns.get(domain, 0),
    )
    if payloads is not None:
        return feed, f"{len(payloads)} payloads as given, {float(rate):g} Hz"
    return feed, f"made of its spec with seed {settings.seed}, {float(rate):g} Hz"


def _needs_no_device(source: Source) -> bool:
    """Whether a source is as good on a simulated clock: what can wait is no device."""
    return isinstance(source, Disturbed) or (source.pausable and not isinstance(source, _STDIN))


def _rate_of(node: NodeSpec, own: Source | None) -> Fraction:
    """Return the rate that a source states, or its policy; else 50 Hz."""
    interval: Fraction | int | None = None
    if own is not None:
        try:
            interval = own.interval_ns()
        except Exception:
            interval = None
    if not interval and node.policy.interval is not None:
        interval = parse_duration_ns(node.policy.interval, what="interval")
    return _SECOND / Fraction(interval) if interval else _DEFAULT_RATE


def _spec_for(name: str, own: Source | None, payloads: list[object] | None) -> PayloadSpec:
    """Return what a source produces, as it says itself, or as its payloads are."""
    why = "it is a node of its own kind"
    spec: PayloadSpec | None = None
    if own is not None:
        for ask in (own.spec, lambda: _prepared(own)):
            try:
                spec = ask()
                break
            except Exception as error:
                why = error_text(error)
    if spec is None and payloads:
        return spec_of(payloads, f"the feed of {name!r}")
    remedy = f"pass feeds={{{name!r}: [payload, …]}} or a Source"
    if spec is None:
        raise ConfigurationError(
            f"source {name!r} cannot say what it produces without its device: {why}", remedy=remedy
        )
    if payloads is None:
        try:
            example_payload(spec)
        except LimenError as error:
            raise ConfigurationError(f"source {name!r}: {error.message}", remedy=remedy) from error
    return spec


def _prepared(source: Source) -> PayloadSpec:
    source.prepare()
    return source.spec()


def _bad_feed(name: str, given: object) -> ConfigurationError:
    return ConfigurationError(
        f"the feed of {name!r} is {given!r}",
        remedy='give a list of payloads, a Source, a rate in Hz, or a period as in "20ms"',
    )
