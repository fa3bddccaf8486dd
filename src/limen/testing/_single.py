"""One node, source or sink by itself, in a real graph around it, on simulated time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from limen.app import check
from limen.errors import ConfigurationError, LifecycleError, NodeError
from limen.graph import Graph
from limen.message import Message
from limen.node import (
    Node,
    NodeKind,
    Produced,
    Sink,
    SinkNode,
    Source,
    SourceNode,
    SourceSignal,
    StepResult,
    YieldUntil,
)
from limen.node import node as node_of
from limen.platform import PlatformClock
from limen.policy import EdgePolicy, NodePolicy
from limen.runtime import SingleThreadRuntime
from limen.scheduling import NodePlan
from limen.telemetry import Decision, DecisionLog
from limen.testing._clock import DrillClock
from limen.testing._feed import Feed, first_unfit
from limen.testing._node_run import NODE, Emitted, NodeRun
from limen.testing._single_inputs import payloads_by_port, spec_for, specs_by_port
from limen.testing._stand import Listener, Stand, Tap, kept, with_stands
from limen.types import (
    PayloadSpec,
    Ticks,
    describe_spec,
    error_text,
    parse_duration_ns,
    require_whole,
)

_MOST_STEPS: Final = 1_000_000
_HOUR_NS: Final = 3_600_000_000_000


def run_node(
    node: Node | Callable[..., object],
    inputs: Sequence[object] | Mapping[str, Sequence[object]],
    *,
    policy: NodePolicy | None = None,
    specs: PayloadSpec | Mapping[str, PayloadSpec] | None = None,
    every: str | None = None,
    clock: PlatformClock | None = None,
) -> NodeRun:
    """Run one node over payloads, with everything around it that a graph would do.

    What it raises is raised here, unless its policy states an error action: then the run goes on
    as that says. Memory is checked, so that a node that keeps what it was lent fails as well.

    Args:
        node: A ``@node`` function, a ``ProcessNode``, a ``Model``, any node with inputs, or a
            function with annotations.
        inputs: A list of payloads; by input where there are several. An entry may be ``Produced``,
            to say what its header holds.
        policy: Its batching, deadline, activation and the rest.
        specs: The type of its input, or types by input; those of the payloads if not given.
        every: Time between payloads: text with a unit. Without it, all are there at the start.
        clock: Simulated time of its own if not given.

    Raises:
        GraphError: The payloads, the policy and the node do not fit each other; as from ``check``.
        ConfigurationError: It is no node, or what it was given names other inputs.
        Exception: What the node raised.
    """
    return _run_inputs(_as_node(node), inputs, policy, specs, every, clock)


def run_sink(
    sink: Sink | Node,
    payloads: Sequence[object] | Mapping[str, Sequence[object]],
    *,
    policy: NodePolicy | None = None,
    specs: PayloadSpec | Mapping[str, PayloadSpec] | None = None,
    every: str | None = None,
    clock: PlatformClock | None = None,
) -> NodeRun:
    """Run one sink over payloads: it is opened, given each, and closed.

    Args:
        sink: The sink, or a node without outputs.
        payloads: As ``inputs`` of ``run_node``.
        policy: As in ``run_node``.
        specs: As in ``run_node``.
        every: As in ``run_node``.
        clock: As in ``run_node``.

    Raises:
        GraphError: As in ``run_node``.
        ConfigurationError: As in ``run_node``.
        Exception: What the sink raised.
    """
    if isinstance(sink, Sink):
        return _run_inputs(SinkNode(sink), payloads, policy, specs, every, clock)
    if isinstance(sink, Node) and sink.kind is NodeKind.SINK:
        return _run_inputs(sink, payloads, policy, specs, every, clock)
    raise _unfit(sink, "sink", "a Sink; run_node takes nodes with outputs")


def run_source(
    source: Source | Node,
    count: int = 10,
    *,
    policy: NodePolicy | None = None,
    duration: str = "60s",
    clock: PlatformClock | None = None,
) -> NodeRun:
    """Run one source until it has given so many messages, has ended, or is out of time.

    Args:
        source: The source, or a source node.
        count: How many messages, at most.
        policy: As in ``run_node``.
        duration: Simulated time after which it is stopped.
        clock: As in ``run_node``.

    Raises:
        GraphError: The source does not fit its policy; as from ``check``.
        ConfigurationError: It is no source.
        Exception: What the source raised.
    """
    node = SourceNode(source) if isinstance(source, Source) else source
    if not isinstance(node, Node) or node.kind is not NodeKind.SOURCE:
        raise _unfit(source, "source", "a Source")
    most = require_whole("count", count, 0)
    graph = Graph(f"run_source({_name_of(source)})").add(NODE, node, policy)
    stop_at = parse_duration_ns(duration, what="duration")
    node.prepare()
    return _run(graph, node, policy, clock, stop_at, _UpTo(most))


def _run_inputs(
    node: Node,
    inputs: Sequence[object] | Mapping[str, Sequence[object]],
    policy: NodePolicy | None,
    specs: PayloadSpec | Mapping[str, PayloadSpec] | None,
    every: str | None,
    clock: PlatformClock | None,
) -> NodeRun:
    node.prepare()
    given = payloads_by_port(node, inputs)
    types = specs_by_port(node, specs)
    rate = None
    if every is not None:
        ns = parse_duration_ns(every, what="every")
        if ns == 0:
            raise ConfigurationError("every is 0", remedy="leave it out, or give a duration")
        rate = Fraction(1_000_000_000, ns)
    graph = Graph(f"run_node({_name_of(node)})").add(NODE, node, policy)
    batch = NodePolicy() if policy is None else policy
    if not isinstance(batch, NodePolicy):
        raise ConfigurationError(f"policy is {policy!r}", remedy="give a NodePolicy")
    room = max(64, batch.batching.max_items or 0)
    for port, payloads in given.items():
        spec = types.get(port)
        if spec is None:
            spec = spec_for(node, port, payloads)
        unfit = first_unfit(payloads, spec)
        if unfit:
            raise ConfigurationError(
                f"the list for {port!r}: {unfit}", remedy=f"specs says {describe_spec(spec)}"
            )
        graph.add(f"from_{port}", Feed(payloads, rate_hz=rate, spec=spec, pausable=True))
        graph.connect(f"from_{port}", f"{NODE}.{port}", EdgePolicy.block(room))
    return _run(graph, node, policy, clock, _HOUR_NS, Tap())


def _run(
    graph: Graph,
    node: Node,
    policy: NodePolicy | None,
    clock: PlatformClock | None,
    stop_at: int,
    tap: Tap,
) -> NodeRun:
    """Put a sink behind each output and run."""
    collected = {port: _Collect() for port in node.output_names}
    for port, sink in collected.items():
        graph.add(f"to_{port}", sink).connect(f"{NODE}.{port}", f"to_{port}")
    used = DrillClock(stop_at) if clock is None else clock
    keeps = policy is not None and policy.error_action is not None
    listener = _Notes(keeps=keeps)

    def stand(plan: NodePlan) -> Node:
        return Stand(plan, tap, listener) if plan.name == NODE else plan.node

    lines: list[str] = []

    def listen(decision: Decision) -> None:
        lines.append(decision.canonical())

    plan = with_stands(check(graph, used), stand)
    runtime = SingleThreadRuntime(plan, used, log=DecisionLog(listen), checked=True)
    if isinstance(used, DrillClock):
        used.handle = runtime.stop_handle
    _step_on(runtime, listener)
    statistics = runtime.statistics()
    run = NodeRun(
        {port: tuple(sink.came) for port, sink in collected.items()},
        tuple(listener.results),
        tuple(listener.errors),
        statistics,
        "".join(lines),
    )
    if listener.first is not None:
        raise listener.first
    _refuse_failures(run, runtime, keeps=keeps)
    return run


def _step_on(runtime: SingleThreadRuntime, listener: _Notes) -> None:
    runtime.start()
    try:
        for _ in range(_MOST_STEPS):
            if listener.first is not None or not runtime.step():
                return
        raise LifecycleError(
            f"the node had not ended after {_MOST_STEPS} decisions",
            remedy="a step that takes nothing returns NO_INPUT",
        )
    finally:
        runtime.stop()


def _refuse_failures(run: NodeRun, runtime: SingleThreadRuntime, *, keeps: bool) -> None:
    """Raise what the executor found wrong where nothing was raised."""
    statistics = run.statistics
    if runtime.misuses:
        raise NodeError(runtime.misuses[0])
    if run.node.errors and not keeps:
        raise NodeError(run.node.messages[0])
    if statistics.outcome in ("failed", "deadlocked"):
        raise LifecycleError("; ".join(statistics.notes))


class _Notes(Listener):
    """Keeps what came of steps and calls; of failures the first, or all in words."""

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self.first: Exception | None = None
        self.errors: list[str] = []
        self.results: list[StepResult | YieldUntil] = []

    def failed(self, error: Exception) -> None:
        if self._keeps:
            self.errors.append(error_text(error))
        elif self.first is None:
            self.first = error

    def stepped(self, result: StepResult | YieldUntil) -> None:
        self.results.append(result)


class _UpTo(Tap):
    """Ends a source behind so many messages."""

    def __init__(self, count: int) -> None:
        self._left = count

    def produce(self, now: Ticks, make: Callable[[Ticks], object]) -> object:
        if not self._left:
            return SourceSignal.END_OF_STREAM
        made = make(now)
        if isinstance(made, Produced):
            self._left -= 1
        return made


class _Collect(Sink):
    """Keeps what a node emitted."""

    def __init__(self) -> None:
        self.came: list[Emitted] = []
        self._clock: PlatformClock | None = None

    def open(self, clock: PlatformClock, spec: PayloadSpec) -> None:
        self._clock = clock

    def consume(self, message: Message, now: Ticks) -> None:
        at_ns = 0 if self._clock is None else self._clock.ticks_to_nanos(now)
        self.came.append(Emitted(message.header, kept(message.payload), at_ns))


def _as_node(given: object) -> Node:
    if isinstance(given, Node) and given.kind is not NodeKind.SOURCE:
        return given
    if isinstance(given, (Source, Node)):
        raise ConfigurationError(f"{_name_of(given)} is a source", remedy="use run_source")
    if isinstance(given, Sink):
        raise ConfigurationError(f"{_name_of(given)} is a sink", remedy="use run_sink")
    if inspect.isclass(given) or not callable(given):
        raise _unfit(given, "node", "a node, or a function with annotations")
    return node_of(given)


def _unfit(given: object, what: str, wanted: str) -> ConfigurationError:
    if inspect.isclass(given):
        return ConfigurationError(
            f"{given.__qualname__} is a class", remedy=f"make one: {given.__qualname__}(…)"
        )
    return ConfigurationError(
        f"the {what} is a {type(given).__qualname__}", remedy=f"give {wanted}"
    )


def _name_of(part: object) -> str:
    """Return what a part is called in the messages of its graph."""
    for inner in ("function", "sink", "source"):
        part = getattr(part, inner, part)
    return getattr(part, "__name__", type(part).__name__)
