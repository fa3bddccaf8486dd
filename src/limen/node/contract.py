"""The contract of a node, and of the context a runtime steps it in."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from limen import edge as edge_layer
from limen import telemetry as telemetry_layer
from limen.memory import HOST_ONLY, PlacementAcceptance
from limen.message import BatchView, Message, MessageHeader
from limen.platform import PlatformClock
from limen.policy import Activation, EdgePolicy
from limen.types import MemoryClass, PayloadSpec, SequenceNumber, Ticks

if TYPE_CHECKING:
    from limen.node._c_form import CForm


class NodeKind(enum.Enum):
    """What a node is to its graph."""

    SOURCE = "source"
    PROCESS = "process"
    MODEL = "model"
    SPLIT = "split"
    JOIN = "join"
    SINK = "sink"


class StepResult(enum.Enum):
    """What became of a step."""

    MADE_PROGRESS = "made_progress"
    NO_INPUT = "no_input"
    BACKPRESSURED = "backpressured"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True)
class YieldUntil:
    """What a step returns to be left alone before an instant; what it took counts as consumed."""

    tick: Ticks


class CallForm(enum.Enum):
    """How a generated program calls a node whose step is one of ours."""

    PAYLOAD = "payload"
    """With a payload; what it returns is the payload of its one output, or None for nothing."""
    PRODUCE = "produce"
    """With an instant, as ``Source.try_produce``."""
    CONSUME = "consume"
    """With a message and an instant, as ``Sink.consume``."""
    MESSAGE = "message"
    """With a message and a step context, of which it uses instants, clock and ``out_slot`` alone;
    it returns a ``ProcessResult``."""
    FILL = "fill"
    """As PAYLOAD, and with the slot of its output as ``out``, which it may fill and return."""
    WINDOW = "window"
    """With payloads side by side; it returns what a PAYLOAD function does."""
    INFER = "infer"
    """With two arrays, batches of one item: it returns a call that computes one from the other."""


class DirectCall(NamedTuple):
    """What a step comes to where it does nothing but hand one function over.

    Attributes:
        form: What the function is given and returns.
        function: What the step hands over.
        answer: Turns what the function returned into a ``ProcessResult``; None if it is one.
        pauses: Asked before each step whether it is one for the node's own ``step``; None if none
            is, ever.
    """

    form: CallForm
    function: Callable[..., object]
    answer: Callable[[object], object] | None = None
    pauses: Callable[[], bool] | None = None


class PushOutcome(enum.Enum):
    """What became of an output: ENQUEUED covers what waits, staged, for room on a BLOCK edge."""

    ENQUEUED = "enqueued"
    DROPPED_NEWEST = "dropped_newest"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Port:
    """A named, typed input or output.

    Attributes:
        name: ``[a-z][a-z0-9_]*``.
        spec: What passes through it.
        optional: Of an input, whether the node takes None for it: it may stay unconnected, and a
            step does not wait for it.
        accepts: Of an input, the memory it can use as it is; None for what its node accepts.
        memory: Of an output, where its payloads lie.
    """

    name: str
    spec: PayloadSpec
    optional: bool = False
    accepts: PlacementAcceptance | None = None
    memory: MemoryClass = MemoryClass.HOST


@dataclass(frozen=True, slots=True)
class NodePorts:
    """All ports of a node, in declared order."""

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


class StepContext(Protocol):
    """What a node can do while it is stepped; the runtime implements it.

    The context takes the input, calls the node's function, samples the clock, pushes what it
    returned and accounts for all of it. A function that raises loses its input as dropped{error}.
    """

    @property
    def clock(self) -> PlatformClock:
        """The clock, for conversions; its running time is the runtime's business."""

    @property
    def now_ticks(self) -> Ticks:
        """The instant that decisions use now."""

    @property
    def now_nanos(self) -> int:
        """The same in nanoseconds."""

    @property
    def telemetry(self) -> telemetry_layer.NodeTelemetry:
        """Where the node's own counts, gauges, durations and events go."""

    def in_occupancy(self, port: str) -> edge_layer.EdgeOccupancy:
        """Return how full an input's edge is."""

    def out_occupancy(self, port: str) -> edge_layer.EdgeOccupancy:
        """Return how full an output's edge is."""

    def in_peek_header(self, port: str) -> MessageHeader | None:
        """Return the header of the message that would be taken next, None if none waits."""

    def in_peek_deadline(self, port: str) -> int | None:
        """Return the deadline in ns that holds here for that message, None if none does."""

    def in_has_batch(self, port: str) -> bool:
        """Whether an input's batch is full, or closed: a step could present it."""

    def in_policy(self, port: str) -> EdgePolicy:
        """Return the policy of an input's edge."""

    def out_policies(self, port: str) -> tuple[EdgePolicy, ...]:
        """Return the policies of an output's edges, as connected."""

    def out_slot(self, port: str) -> NDArray[np.generic] | None:
        """Return the slot that the next output will lie in, to write in place; None on the heap.

        The slot is the output only once it has been returned as the payload.
        """

    def pop_and_process(self, port: str, process: Callable[[Message], object]) -> StepResult:
        """Take the batch prefix of an input and hand the messages over one by one.

        ``process`` returns a ``ProcessResult``; the header of each output is its input's own.
        """

    def pop_joined_and_process(
        self, process: Callable[[tuple[Message | None, ...]], object]
    ) -> StepResult:
        """Take from several inputs and hand the messages over together, one place an input.

        Where the node needs all inputs, the front of each is taken; a latch gives its value, an
        optional input what it has. Where any input will do, one is chosen and its batch prefix
        handed over one by one; the other places hold None, or the values of latches. ``process``
        returns a ``ProcessResult``; its output's header is made of those taken.
        """

    def pop_window_and_process(
        self, port: str, process: Callable[[BatchView], object]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call for one result.

        ``process`` returns a ``ProcessResult``; the header of its output is that of the newest
        message, its origin the oldest of all.
        """

    def pop_batch_and_process(
        self, port: str, process: Callable[[BatchView, NDArray[np.generic]], None]
    ) -> StepResult:
        """Take the batch prefix of an input and hand it over in one call.

        ``process`` writes one output an item into the array it is given, of shape (items, …): the
        output slots themselves where they are neighbours. Where the node states ``fixed_batch``,
        both arrays have that many items; what is past the messages is zero, and thrown away.
        """

    def produce(self, port: str, try_produce: Callable[[Ticks], object]) -> StepResult:
        """Call a source once and push what it made; see ``Source.try_produce``."""

    def push_output(self, port: str, message: Message) -> PushOutcome:
        """Offer a message to the edges of an output; what the first of them made of it.

        During a call that the context makes, what is pushed waits, ENQUEUED, until the call is
        over, and counts with what the call returns: of more than ``max_emit`` none is emitted.

        Raises:
            NodeError: Outside of calls: more messages than ``max_emit`` allows.
        """


class Node(abc.ABC):
    """A stage of a graph.

    The builder calls ``prepare`` and ``resolve`` before the graph starts; then the runtime calls
    ``initialize`` and ``start`` once, ``step`` whenever the node is ready, ``stop`` at the end.
    Authors normally write a ``@node`` function, a ``ProcessNode``, a ``Source`` or a ``Sink``.

    - NODE-1: ``prepare`` may be called again, and changes nothing then.
    - NODE-2: Names of ports are ``[a-z][a-z0-9_]*``, and no two inputs, no two outputs share one.
    - NODE-3: The names stay what they are after ``prepare``.
    - NODE-4: The ports fit the kind: a source has outputs only, a sink inputs only, a process or a
      model one of each, a split one input and several outputs, a join several inputs and at least
      one output.
    - NODE-5: What it states of itself is of the type stated below; numbers are whole, at least 1.
    - NODE-6: What it states of itself stays what it is after ``prepare``.
    - NODE-7: ``resolve`` returns a port for each name, in the order of the names.
    - NODE-8: ``resolve`` is pure: equal inputs give equal ports.
    - NODE-9: ``resolve`` leaves what it is given as it is.
    - NODE-10: ``resolve`` refuses what does not fit with a LimenError that names the input.
    - NODE-11: ``state_bytes`` is a whole number, at least 0, and stays from ``initialize`` on.
    - NODE-12: ``step`` returns a StepResult, or YieldUntil with a tick.
    - NODE-13: ``step`` calls one of the context's taking methods once, or none.
    - NODE-14: ``step`` takes as the node states: windows where ``takes_windows``, batches for a
      result an item as a model, what several inputs hold together, else one by one; a source
      produces.
    - NODE-15: A ``step`` that took something does not return NO_INPUT or BACKPRESSURED.
    - NODE-16: A ``step`` where nothing waits returns NO_INPUT.
    - NODE-17: ``step`` does not block.
    - NODE-18: ``step`` asks its context about ports of its own only.
    - NODE-19: The functions that it hands over return what they shall: a ProcessResult; of a
      source, Produced or a SourceSignal.
    - NODE-20: It handles what fits its inputs: no call and no step fails.
    - NODE-21: It takes None for an optional input.
    - NODE-22: It emits on its own outputs only.
    - NODE-23: What it emits fits the spec of the output.
    - NODE-24: One call emits no more than ``max_emit`` messages on an output.
    - NODE-25: Where ``one_to_one``, every call that succeeds emits one message; of a model one an
      item; with ``first_needs`` and ``then_needs``, one for so many messages.
    - NODE-26: It emits nothing on an output before it took ``first_needs`` messages, and no more
      than one call's messages for each ``then_needs`` from there on.
    - NODE-27: Where ``writes_in_place``, the first result on an output is the slot it was handed.
    - NODE-28: What a slot held before it was handed over changes nothing.
    - NODE-29: Where ``out_slot`` gives None, the results are the same.
    - NODE-30: It leaves the payloads that it is given as they are.
    - NODE-31: It looks at an array that it was given during that call only.
    - NODE-32: What it pushes itself has the trace and the number of a message that it took.
    - NODE-33: An origin that it states is that of a message that it took.
    - NODE-34: Equal inputs at equal instants give equal outputs.
    - NODE-35: Nodes share no state.
    - NODE-36: After ``stop`` and ``reset``, ``initialize`` and ``start`` make it as good as new.
    - NODE-37: ``stop`` and ``reset`` raise nothing, however far it had come.
    - NODE-38: ``step`` keeps nothing that it allocates.
    - NODE-39: After ``stop`` neither a thread nor an open file of its own is left.
    - NODE-40: ``select_input`` returns one of the inputs that are ready.
    - NODE-41: ``next_due`` and ``interval_ns`` are None of what is no source; of a source an
      instant and a positive distance, or None.
    - NODE-42: ``artifact_sha256`` is None, or 64 hexadecimal digits.
    - NODE-43: ``adopt`` and ``load_failure`` return None where nothing was prepared beside the run.
    - NODE-44: ``locate`` returns a text or None, whatever the number.
    - NODE-45: ``on_watchdog_timeout`` raises nothing.
    - NODE-46: Where each message has a call of its own, it makes no difference how many a step is
      given.
    - NODE-47: An object that it emitted stays as it is: others hold it.
    - NODE-48: The port of an input is of the type that arrives there.
    - NODE-49: ``initialize`` goes by the ports that it is given, whatever ``resolve`` was asked
      since.
    - NODE-50: Durations count by the clock that ``initialize`` is given, whatever its rate.
    - NODE-51: Starting again and again keeps nothing.

    Attributes:
        kind: What it is to its graph.
        max_emit: Most messages one call emits on a port.
        max_batch: Most messages one step takes; None where the policy alone decides.
        fixed_batch: Items that every call is given, filled up with zeros; None for as many as
            there are.
        takes_windows: Whether one call takes a whole batch and makes one result of it; otherwise
            every message of a batch has its own.
        activation: Which of several inputs a step needs, unless the policy says.
        first_needs: Messages it takes before its first result.
        then_needs: Messages it takes for each further result.
        one_to_one: Whether every call that succeeds emits one message on its output (of a model,
            one for each item; of a node with ``then_needs``, one for so many messages). What is
            known of rates holds on behind such nodes.
        writes_in_place: Whether it writes its results into the slots it is handed (``out_slot``);
            otherwise each tensor is copied into its slot. Models always do.
        accepts: The memory that its inputs can use as it is, unless a port says.
        keeps: Whether it may answer for a message in a later step: nothing is known then of how old
            its results are.
        clock_domain: Of a source, whose clock states its instants; None for the graph's own.
    """

    kind: NodeKind = NodeKind.PROCESS
    max_emit: int = 1
    max_batch: int | None = None
    fixed_batch: int | None = None
    takes_windows: bool = False
    activation: Activation = Activation.ALL
    first_needs: int = 1
    then_needs: int = 1
    one_to_one: bool = False
    keeps: bool = False
    writes_in_place: bool = False
    accepts: PlacementAcceptance = HOST_ONLY
    clock_domain: int | None = None

    def prepare(self) -> None:  # noqa: B027 - most nodes need nothing from outside
        """Read what the node needs from outside, to fail before the graph starts; idempotent.

        Raises:
            LimenError: Something is missing or does not fit.
        """

    @property
    @abc.abstractmethod
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs; valid after ``prepare``."""

    @property
    @abc.abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs; valid after ``prepare``."""

    @abc.abstractmethod
    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Return the typed ports, given what arrives on the inputs.

        Raises:
            LimenError: What arrives does not fit; the message names the port.
        """

    @property
    def state_bytes(self) -> int:
        """Bytes the node preallocates for itself; valid after ``initialize``'s ports are known."""
        return 0

    @property
    def artifact_sha256(self) -> str | None:
        """Digest of the file the node runs, for the report; None where there is none."""
        return None

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:  # noqa: B027
        """Allocate; called before ``start``, and again by a restart."""

    def start(self, now: Ticks) -> None:  # noqa: B027 - nothing to do for most
        """Begin; called at the graph's first instant, and at that of a restart."""

    @abc.abstractmethod
    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Do one unit of work."""

    def direct_call(self) -> DirectCall | None:
        """Return what ``step`` hands over, where that is all it does; None where it does more.

        Asked once, after ``prepare``, by who generates a program; a program calls the function
        itself then, and not ``step``.
        """
        return None

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm | None:
        """Return what the node is in C; None where it has no C form.

        Asked once, after ``prepare``, by who prints a graph as C.

        Args:
            ports: As resolved.
            clock: Converts durations to the ticks of the graph.

        Raises:
            LimenError: It has none for these ports; the remedy says what to do.
        """
        return None

    def on_watchdog_timeout(self) -> None:  # noqa: B027 - most have nothing to give up
        """Told, after a call that exceeded its watchdog, once for each such call."""

    def adopt(self) -> str | None:
        """Take over, between two steps, what was prepared beside the run; asked of models.

        Returns:
            What the decision log says of it; None if there was nothing.
        """
        return None

    def load_failure(self) -> str | None:
        """Say, once, why a model could not be taken over since this was asked last; of models."""
        return None

    def stop(self) -> None:  # noqa: B027 - nothing to release for most
        """Release what ``initialize`` and ``start`` took; called also after a failure."""

    def reset(self) -> None:  # noqa: B027 - stateless nodes have nothing to forget
        """Forget all state of the run."""

    def select_input(self, ready: Sequence[str]) -> str:
        """Choose one of the inputs that are ready, where any will do.

        They come in the order of their fronts' push instants; the default takes the first.
        """
        return ready[0]

    def next_due(self) -> Ticks | None:
        """Return the next instant at which a timed source has something; None for all others."""
        return None

    def interval_ns(self) -> Fraction | int | None:
        """Return the distance between the messages of a source in ns, if it keeps one."""
        return None

    def resumed(self, now: Ticks) -> None:  # noqa: B027 - only sources are held back
        """Told before the first step after full BLOCK outputs held the node back."""

    def locate(self, sequence: SequenceNumber) -> str | None:
        """Say where a message of this source came from ("walk.csv row 7"); None if unknown."""
        return None
