"""Parts whose results are written down: a graph of them decides the same on every executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from limen.errors import ConfigurationError, SensorError
from limen.message import BatchView, Message
from limen.node import (
    CallForm,
    CForm,
    Consumed,
    DirectCall,
    Node,
    NodeKind,
    NodePorts,
    Output,
    Outputs,
    Port,
    ProcessResult,
    Produced,
    Skip,
    Source,
    SourceSignal,
    StepContext,
    StepResult,
    YieldUntil,
)
from limen.platform import PlatformClock
from limen.policy import Activation
from limen.testing._scripted_c import answers, node_form, source_form
from limen.types import (
    DataType,
    PayloadSpec,
    QoSClass,
    TensorSpec,
    Ticks,
    nearest,
    parse_duration_ns,
)

_QOS = {qos.name.lower(): qos for qos in QoSClass}
_ENTRY_KEYS = ("at", "created", "deadline", "degrade_allowed", "max_age", "qos", "result")
_OUTCOMES = ("output", "consume", "skip", "error", "terminal")


class ScriptedSource(Source):
    """Plays a script, one entry a call that finds it due, and ends behind it.

    An entry is a table: empty for a message, or with ``qos``, ``deadline``, ``created`` (instants
    since the clock's epoch, with a unit), ``max_age``, ``degrade_allowed``, ``at`` (when it is due;
    makes the source timed), or ``result``: ``nothing``, ``error`` or ``end`` instead of a message.

    Args:
        script: The entries.
        count: Plain messages, where there is no script.
        every: Makes it timed, on this grid from the epoch on.
        pausable: Whether it can be held back without a loss.
        size_bytes: Bytes of every payload.
        clock_domain: Whose clock states ``created`` and ``deadline``; the graph's own if not given.
        keeps_place: Whether a restart goes on where the script was.
    """

    def __init__(
        self,
        script: list[dict[str, str | bool]] | None = None,
        count: int = 0,
        every: str | None = None,
        pausable: bool = True,
        size_bytes: int = 4,
        clock_domain: int | None = None,
        keeps_place: bool = False,
    ) -> None:
        self._script = [{} for _ in range(count)] if script is None else script
        for entry in self._script:
            _check_entry(entry)
        self._every_ns = None if every is None else parse_duration_ns(every, what="every")
        self.pausable = pausable
        self.clock_domain = clock_domain
        self._keeps_place = keeps_place
        self._payload = np.zeros(size_bytes, np.uint8)
        self._clock: PlatformClock | None = None
        self._place = 0
        self._ended = False
        self._due: list[Ticks] = []

    def spec(self) -> PayloadSpec:
        """Return a tensor of bytes."""
        return TensorSpec(DataType.U8, self._payload.shape)

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin at the first entry."""
        self._clock = clock
        if not self._keeps_place:
            self._place = 0
        self._ended = False
        self._due = self._instants(clock)

    @property
    def is_timed(self) -> bool:
        """Whether the script says when anything is due."""
        return self._every_ns is not None or any("at" in entry for entry in self._script)

    def next_due(self) -> Ticks | None:
        """Return the instant of the next entry; None for an untimed script."""
        return self._due[self._place] if self._due else None

    def interval_ns(self) -> int | None:
        """Return ``every``, where there is nothing but plain messages."""
        return None if any("result" in entry for entry in self._script) else self._every_ns

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next entry's message, or what the entry says instead."""
        due = self.next_due()
        if due is not None and now < due and not self._ended:
            return SourceSignal.NOTHING_NOW
        if self._ended or self._place == len(self._script):
            self._ended = True
            return SourceSignal.END_OF_STREAM
        entry = self._script[self._place]
        self._place += 1
        match entry.get("result"):
            case "nothing":
                return SourceSignal.NOTHING_NOW
            case "error":
                raise SensorError("scripted")
            case "end":
                self._ended = True
                return SourceSignal.END_OF_STREAM
        return Produced(
            self._payload,
            creation_tick=self._instant(entry, "created"),
            deadline_ns=_span(entry, "deadline"),
            qos=_QOS[str(entry.get("qos", "best_effort"))],
            max_age_ns=_span(entry, "max_age"),
            degrade_allowed=bool(entry.get("degrade_allowed", False)),
        )

    def c_form(self, clock: PlatformClock) -> CForm:
        """Return the script as C plays it."""
        self._clock, kept = clock, self._clock
        try:
            entries = [
                {
                    "answer": answers().index(str(entry.get("result", "message"))),
                    "creation": self._instant(entry, "created"),
                    "deadline_ns": _span(entry, "deadline"),
                    "max_age_ns": _span(entry, "max_age"),
                    "qos": int(_QOS[str(entry.get("qos", "best_effort"))]),
                    "allowed": int(bool(entry.get("degrade_allowed", False))),
                }
                for entry in self._script
            ]
            due = [int(tick) for tick in self._instants(clock)]
        finally:
            self._clock = kept
        return source_form(entries, due, self._payload.nbytes, keeps_place=self._keeps_place)

    def _instant(self, entry: Mapping[str, str | bool], key: str) -> Ticks | None:
        span_ns = _span(entry, key)
        if span_ns is None or self._clock is None:
            return None
        return self._clock.nanos_to_ticks(span_ns)

    def _instants(self, clock: PlatformClock) -> list[Ticks]:
        places = range(len(self._script) + 1)
        if self._every_ns is not None:
            return [clock.nanos_to_ticks(place * self._every_ns) for place in places]
        if not any("at" in entry for entry in self._script):
            return []
        due: list[Ticks] = []
        for entry in self._script:
            last = due[-1] if due else Ticks(0)
            due.append(self._instant(entry, "at") or last)
        return [*due, due[-1]]


class ScriptedNode(Node):
    """Does what a script says, one outcome a call, and behind it emits one message a port.

    Outcomes are ``output``, ``consume``, ``skip``, ``error``, ``terminal``, or a table:
    ``emit = { port = count }``, ``yield_until = "30ms"``; ``cost = "20ms"`` for a call that takes
    that long, beyond the node's ``sim_cost``, with ``result`` for one of the words.

    Args:
        inputs: Input ports.
        outputs: Output ports.
        optional: Inputs that a join does not wait for.
        window: Whether one call takes a whole batch.
        script: Outcomes by call.
        size_bytes: Bytes of every payload it emits.
        keeps_place: Whether a restart goes on where the script was.
        starts: What each start comes to, the first and those of restarts: ``ok`` or ``error``.
    """

    def __init__(
        self,
        inputs: list[str] | None = None,
        outputs: list[str] | None = None,
        optional: list[str] | None = None,
        window: bool = False,
        script: list[str | dict[str, object]] | None = None,
        size_bytes: int = 4,
        keeps_place: bool = False,
        starts: list[str] | None = None,
    ) -> None:
        self._inputs = tuple(["in"] if inputs is None else inputs)
        self._outputs = tuple(["out"] if outputs is None else outputs)
        self._optional = frozenset(optional or ())
        self.takes_windows = window
        self._script, self._costs_ns = read_outcomes(script or (), self._outputs)
        self._keeps_place = keeps_place
        self._starts = list(starts or ())
        self._started = 0
        counts = [n for entry in self._script if isinstance(entry, dict) for n in entry.values()]
        self.max_emit = max([1, *counts])
        self._payload = np.zeros(size_bytes, np.uint8)
        self._spec = TensorSpec(DataType.U8, (size_bytes,))
        self.one_to_one = not script and len(self._outputs) == 1
        if len(self._inputs) > 1:
            self.kind = NodeKind.JOIN
        elif len(self._outputs) > 1:
            self.kind = NodeKind.SPLIT
        self._clock: PlatformClock | None = None
        self._calls = 0
        self._then: StepResult | YieldUntil | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """As given."""
        return self._inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """As given."""
        return self._outputs

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Accept whatever arrives."""
        return NodePorts(
            tuple(
                Port(name, inputs.get(name, self._spec), name in self._optional)
                for name in self._inputs
            ),
            tuple(Port(name, self._spec) for name in self._outputs),
        )

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Begin at the first outcome."""
        self._clock = clock
        if not self._keeps_place:
            self._calls = 0

    def start(self, now: Ticks) -> None:
        """Start, or fail to, as is written down."""
        number = self._started
        self._started += 1
        if number < len(self._starts) and self._starts[number] == "error":
            raise RuntimeError("scripted start")

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Take what the policy grants and answer as the script says."""
        self._then = None
        if self.takes_windows:
            result = ctx.pop_window_and_process(self._inputs[0], self._window)
        elif len(self._inputs) > 1:
            result = ctx.pop_joined_and_process(self._joined)
        else:
            result = ctx.pop_and_process(self._inputs[0], self._one)
        return result if self._then is None else self._then

    def direct_call(self) -> DirectCall | None:
        """Return the function of the next outcome, where none is more than what that gives."""
        # What a sink is called for gives nothing.
        more = {"terminal", "skip"} if self.kind is NodeKind.SINK else {"terminal"}
        beyond = any(isinstance(o, int) or (isinstance(o, str) and o in more) for o in self._script)
        if type(self).step is not ScriptedNode.step or beyond:
            return None
        if self.takes_windows or len(self._inputs) != 1 or len(self._outputs) > 1:
            return None
        if self.kind is NodeKind.SINK:
            return DirectCall(CallForm.CONSUME, lambda message, now: self._one(message))
        return DirectCall(CallForm.PAYLOAD, self._bare, _result)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm | None:
        """Return the script as C answers it; of subclasses, nothing is known."""
        if type(self) not in (ScriptedNode, ScriptedSink):
            return None
        outcomes = self._script
        yields = [clock.nanos_to_ticks(o) if isinstance(o, int) else 0 for o in outcomes]
        return node_form(
            outcomes,
            [clock.nanos_to_ticks(ns) for ns in self._costs_ns],
            yields,
            self._outputs,
            self._payload.nbytes,
            keeps_place=self._keeps_place,
            starts=self._starts,
        )

    def _bare(self, payload: object) -> object:
        """Answer as a function of a payload does: with a payload, None, or anything else."""
        match self._answer():
            case Outputs(((_, made),)):
                return made
            case Consumed():
                return None
            case other:
                return other

    def _window(self, batch: BatchView) -> ProcessResult:
        return self._answer()

    def _joined(self, messages: tuple[Message | None, ...]) -> ProcessResult:
        return self._answer()

    def _one(self, message: Message) -> ProcessResult:
        return self._answer()

    def _answer(self) -> ProcessResult:
        call = self._calls
        self._calls += 1
        outcome = self._script[call] if call < len(self._script) else "output"
        if call < len(self._costs_ns) and self._clock is not None:
            self._clock.charge(self._clock.nanos_to_ticks(self._costs_ns[call]))
        match outcome:
            case "output":
                return self._emit(dict.fromkeys(self._outputs, 1))
            case "consume":
                return Consumed()
            case "skip":
                return Skip()
            case "error":
                raise RuntimeError("scripted")
            case "terminal":
                self._then = StepResult.TERMINAL
                return Consumed()
            case int():
                ticks = outcome if self._clock is None else self._clock.nanos_to_ticks(outcome)
                self._then = YieldUntil(Ticks(ticks))
                return Consumed()
            case dict():
                return self._emit(outcome)
            case unknown:
                raise ConfigurationError(f"scripted outcome {unknown!r}")

    def _emit(self, counts: Mapping[str, int]) -> ProcessResult:
        payload = self._payload_of()
        messages = [(port, payload) for port, count in counts.items() for _ in range(count)]
        return Outputs(tuple(messages)) if messages else Consumed()

    def _payload_of(self) -> object:
        """Return what the call at hand emits."""
        return self._payload


class ScriptedSink(ScriptedNode):
    """A scripted node without outputs; with several inputs, any of them will do.

    Args:
        inputs: Input ports.
        script: Outcomes by call.
        optional: Inputs that a step does not wait for.
        keeps_place: Whether a restart goes on where the script was.
        starts: What each start comes to.
    """

    kind = NodeKind.SINK
    activation = Activation.ANY

    def __init__(
        self,
        inputs: list[str] | None = None,
        script: list[str | dict[str, object]] | None = None,
        optional: list[str] | None = None,
        keeps_place: bool = False,
        starts: list[str] | None = None,
    ) -> None:
        super().__init__(
            inputs, [], optional, script=script, keeps_place=keeps_place, starts=starts
        )
        self.kind = NodeKind.SINK


class ScriptedModel(Node):
    """Takes a batch in one call and gives a result an item.

    Args:
        script: ``output`` or ``error``, by call, or a table with ``cost`` and ``result``.
        keeps_place: Whether a restart goes on where the script was.
    """

    kind = NodeKind.MODEL
    one_to_one = True

    def __init__(
        self, script: list[str | dict[str, object]] | None = None, keeps_place: bool = False
    ) -> None:
        self._script, self._costs_ns = read_outcomes(script or (), ())
        self._keeps_place = keeps_place
        self._clock: PlatformClock | None = None
        self._calls = 0

    @property
    def input_names(self) -> tuple[str, ...]:
        """The one input."""
        return ("in",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The one output."""
        return ("out",)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Give back the type that arrives."""
        spec = inputs.get("in", TensorSpec(DataType.U8, (4,)))
        return NodePorts((Port("in", spec),), (Port("out", spec),))

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Begin at the first outcome."""
        self._clock = clock
        if not self._keeps_place:
            self._calls = 0

    def step(self, ctx: StepContext) -> StepResult:
        """Take the batch and answer as the script says."""
        return ctx.pop_batch_and_process("in", self._infer)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm | None:
        """Return the script as C answers it."""
        spec = ports.inputs[0].spec
        if type(self) is not ScriptedModel or not isinstance(spec, TensorSpec):
            return None
        return node_form(
            self._script,
            [clock.nanos_to_ticks(ns) for ns in self._costs_ns],
            [0] * len(self._script),
            (),
            0,
            keeps_place=self._keeps_place,
            copies_bytes=spec.size_bytes,
        )

    def _infer(self, batch: BatchView, out: NDArray[np.generic]) -> None:
        call = self._calls
        self._calls += 1
        if call < len(self._costs_ns) and self._clock is not None:
            self._clock.charge(self._clock.nanos_to_ticks(self._costs_ns[call]))
        if call < len(self._script) and self._script[call] == "error":
            raise RuntimeError("scripted")
        out[...] = np.asarray(batch.payloads)


def _result(answered: object) -> object:
    """Return what a step makes of what a function answered."""
    match answered:
        case None:
            return Consumed()
        case Outputs() | Skip():
            return answered
        case made:
            return Output(made)


def _span(entry: Mapping[str, str | bool], key: str) -> int | None:
    value = entry.get(key)
    return None if value is None else parse_duration_ns(str(value), what=key)


def _check_entry(entry: Mapping[str, str | bool]) -> None:
    for key in entry:
        if key not in _ENTRY_KEYS:
            raise ConfigurationError(
                f"unknown key {key!r} in a script", remedy=nearest(key, _ENTRY_KEYS)
            )
    if entry.get("qos", "best_effort") not in _QOS:
        raise ConfigurationError(f"unknown qos {entry['qos']!r}", remedy=nearest("qos", _QOS))
    if entry.get("result", "end") not in ("nothing", "error", "end"):
        raise ConfigurationError(
            f"unknown result {entry['result']!r}", remedy="known: end, error, nothing"
        )


Outcome = str | int | dict[str, int]


def read_outcomes(
    script: Sequence[str | Mapping[str, object]], outputs: Sequence[str]
) -> tuple[list[Outcome], list[int]]:
    """Read a script: an outcome a call, and what the call costs in ns beyond its node's cost.

    Raises:
        ConfigurationError: An outcome is unknown.
    """
    outcomes: list[Outcome] = []
    costs_ns: list[int] = []
    for entry in script:
        if isinstance(entry, str) or "cost" not in entry:
            costs_ns.append(0)
            outcomes.append(_outcome(entry, outputs))
            continue
        costs_ns.append(parse_duration_ns(str(entry["cost"]), what="cost"))
        rest = {key: value for key, value in entry.items() if key != "cost"}
        result = rest.pop("result", "output")
        outcomes.append(_outcome(rest or str(result), outputs))
    return outcomes, costs_ns


def _outcome(
    entry: str | Mapping[str, object], outputs: Sequence[str]
) -> str | int | dict[str, int]:
    """Read an outcome: a word, an instant in ns to yield until, or counts by port."""
    if isinstance(entry, str):
        if entry not in _OUTCOMES:
            raise ConfigurationError(f"unknown outcome {entry!r}", remedy=nearest(entry, _OUTCOMES))
        return entry
    if "yield_until" in entry:
        return parse_duration_ns(str(entry["yield_until"]), what="yield_until")
    emit = entry.get("emit")
    if not isinstance(emit, dict) or not set(emit) <= set(outputs):
        raise ConfigurationError(
            f"unknown outcome {dict(entry)!r}",
            remedy='write a word, { emit = { port = 2 } } or { yield_until = "30ms" }',
        )
    return {str(port): int(count) for port, count in emit.items()}
