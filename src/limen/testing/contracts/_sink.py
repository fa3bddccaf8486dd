"""The suite that every sink passes."""

from __future__ import annotations

import abc
import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, NoReturn

import numpy as np

from limen.errors import ConfigurationError, OutputError
from limen.message import Message, MessageHeader, payload_size_bytes
from limen.node import Sink
from limen.platform import PlatformClock, SimClock
from limen.testing.contracts._contract import Contract, inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._payload_checks import all_same, kept, same, shown, tensors
from limen.testing.contracts._resources import SLACK_BYTES, Held, bytes_kept
from limen.types import (
    DataType,
    PayloadSpec,
    SequenceNumber,
    TensorSpec,
    Ticks,
    TraceId,
    describe_spec,
)

_COUNT = 5
_MANY = 500
_APART_NS = 1_000_000


class SinkContract(Contract):
    """Holds a sink to SINK-1 … SINK-17; write ``make``, and what its clauses need.

    Attributes:
        patience_s: Seconds for which a thread that was told to end may still be there.
    """

    subjects = (Sink,)
    capabilities: ClassVar[Mapping[str, str]] = {
        "failures": "its target may fail: write `broken`",
        "output": "what comes out can be read back: write `written`",
        "reopens": "it can be closed and opened again",
        "single failures": "one message may fail by itself: write `failing_once`",
    }
    patience_s: ClassVar[float] = 5.0

    @abc.abstractmethod
    def make(self) -> Sink:
        """Return a new sink with a target of its own; called once or twice in every test."""

    def arriving(self) -> PayloadSpec:
        """Return what is connected to the sink: what it asks for, or three floats if anything."""
        wanted = self.make().spec()
        if isinstance(wanted, TensorSpec) or wanted.type is not object:
            return wanted
        return TensorSpec(DataType.F32, (3,))

    def payloads(self, count: int, seed: int) -> Sequence[object]:
        """Return payloads that fit ``arriving``; equal for equal seeds, others for other seeds.

        Raises:
            ConfigurationError: Nobody but the author of the suite can make them.
        """
        spec = self.arriving()
        if isinstance(spec, TensorSpec) and spec.is_bounded:
            return tensors(spec, count, seed)
        raise ConfigurationError(
            f"payloads of {describe_spec(spec)} cannot be made up", remedy="write `payloads`"
        )

    def written(self, sink: Sink) -> Sequence[object]:
        """Return what has come out of a sink that is closed, an entry a message, as payloads."""
        self._missing("output", "written")

    def shown(self, payload: object) -> object:
        """Return what ``written`` makes of a payload; the payload itself, where nothing is lost."""
        return payload

    def broken(self) -> Sink:
        """Return a new sink that can write nothing; ``open``, ``consume`` or ``close`` says so."""
        self._missing("failures", "broken")

    def failing_once(self) -> Sink:
        """Return a new sink that fails to write the second message, and no other."""
        self._missing("single failures", "failing_once")

    def plenty(self) -> Sink:
        """Return a new sink that takes two thousand messages; ``make``'s, if it does."""
        return self.make()

    def clock(self) -> PlatformClock:
        """Return the clock that a sink is opened with."""
        return SimClock(start=1_000_000_000)

    def test_sink_1_prepare_may_be_called_again(self) -> None:
        sink = self.make()
        sink.prepare()
        seen = code_raised(sink.prepare)
        assert seen is None, f"the second prepare: {seen}"

    @needs("output")
    def test_sink_2_preparing_writes_nothing(self) -> None:
        sink = self.make()
        before = self._taken(sink, self._messages())
        sink.prepare()
        after = list(self.written(sink))
        assert all_same(before, after), (
            f"there was {shown(before)}, and behind another prepare {shown(after)}"
        )

    def test_sink_3_inputs_are_names_that_stay(self) -> None:
        sink = self.make()
        names = tuple(sink.inputs)
        assert names and len(set(names)) == len(names), f"inputs are {names}"
        with self._opened(sink):
            self._feed(sink, self._messages())
            after = tuple(sink.inputs)
        assert after == names, f"inputs were {names}, and are {after} once it is used"

    def test_sink_4_the_spec_stays(self) -> None:
        sink = self.make()
        before = sink.spec()
        with self._opened(sink):
            opened = sink.spec()
            self._feed(sink, self._messages())
        after = sink.spec()
        assert opened == after == before, (
            f"the spec before open, behind it and after close: {before}, {opened}, {after}"
        )

    def test_sink_5_it_selects_what_is_ready(self) -> None:
        sink = self.make()
        with self._opened(sink):
            for count in range(1, min(len(sink.inputs), 3) + 1):
                for ready in itertools.permutations(sink.inputs, count):
                    chosen = sink.select_input(ready)
                    assert chosen in ready, f"of {ready} it selects {chosen!r}"

    @needs("output")
    def test_sink_6_what_is_taken_comes_out_in_order(self) -> None:
        messages = self._messages()
        found = self._taken(self.make(), messages)
        wanted = [self.shown(message.payload) for message in messages]
        assert found and all_same(found, wanted[: len(found)]), (
            f"it took {shown(wanted)}, and out came {shown(found)}"
        )

    @needs("output")
    def test_sink_7_close_flushes(self) -> None:
        found = self._taken(self.make(), self._messages())
        assert len(found) >= _COUNT, (
            f"{_COUNT} messages were taken, and when close had returned {len(found)} were out"
        )

    def test_sink_8_payloads_are_left_as_they_are(self) -> None:
        sink = self.make()
        with self._opened(sink):
            for message in self._messages():
                before = kept(message.payload)
                self._hand(sink, message)
                assert same(before, message.payload), (
                    f"it was given {shown([before])}, and made {shown([message.payload])} of it"
                )

    @needs("output")
    def test_sink_9_payloads_are_read_during_the_call(self) -> None:
        messages = self._messages()
        if not all(isinstance(message.payload, np.ndarray) for message in messages):
            inapplicable("payloads are held by reference")
        alone = self._taken(self.make(), messages)
        sink = self.make()
        with self._opened(sink):
            for message in messages:
                own = kept(message.payload)
                self._hand(sink, Message(message.header, _read_only(own)))
                _overwrite(own)
        found = list(self.written(sink))
        assert all_same(found, alone), (
            f"payloads were written over behind the call, and out came {shown(found)}, "
            f"not {shown(alone)}"
        )

    @needs("failures")
    def test_sink_10_what_cannot_be_written_raises(self) -> None:
        failures = self._use(self.broken())
        assert failures, f"{_COUNT} messages went through open, consume and close without an error"
        for failure in failures:
            assert isinstance(failure, OutputError) and str(failure), (
                f"what cannot be written raised {type(failure).__name__}: {failure}"
            )

    @needs("single failures")
    def test_sink_11_the_next_message_goes_on(self) -> None:
        sink, messages = self.failing_once(), self._messages()
        failed = []
        with self._opened(sink):
            for message in messages:
                try:
                    self._feed(sink, [message])
                except Exception as error:
                    failed.append((message.header.sequence, str(error)))
        assert [number for number, _ in failed] == [1], (
            f"message 1 of {len(messages)} should fail, and no other; there failed {failed}"
        )
        if "output" in self.lacks:
            return
        found = list(self.written(sink))
        wanted = self._taken(self.make(), [messages[0], *messages[2:]])
        assert all_same(found, wanted), (
            f"message 1 failed, and out came {shown(found)}, not {shown(wanted)}"
        )

    @needs("failures")
    def test_sink_12_close_lets_go_after_a_failure(self) -> None:
        sink = self.broken()
        held = Held()
        if not self._use(sink):
            inapplicable("there was no failure: see SINK-10")
        left = held.left(self.patience_s)
        assert not left, f"after a failure and close there is still {', '.join(left)}"

    def test_sink_13_close_raises_nothing(self) -> None:
        sink = self.make()
        seen = [code_raised(sink.close)]
        with self._opened(sink):
            seen += [code_raised(sink.close), code_raised(sink.close)]
        assert seen == [None] * 3, f"close before open, after it, and again: {seen}"

    @needs("reopens")
    def test_sink_14_it_can_be_opened_again(self) -> None:
        sink, other = self.make(), self._messages(seed=1)
        with self._opened(sink):
            self._feed(sink, self._messages())
        with self._opened(sink):
            self._feed(sink, other)
        if "output" in self.lacks:
            return
        found, wanted = list(self.written(sink)), self._taken(self.make(), other)
        assert len(found) >= len(wanted) and all_same(found[len(found) - len(wanted) :], wanted), (
            f"opened again it was given {shown(wanted)}, and there is {shown(found)}"
        )

    def test_sink_15_nothing_is_left_behind(self) -> None:
        sink = self.make()
        held = Held()
        with self._opened(sink):
            self._feed(sink, self._messages())
        left = held.left(self.patience_s)
        assert not left, f"after close there is still {', '.join(left)}"

    def test_sink_16_what_is_kept_does_not_grow(self) -> None:
        sink = self.plenty()
        payload = self.payloads(1, 0)[0]

        numbers = itertools.count()

        def feed() -> None:
            for number in itertools.islice(numbers, _MANY):
                self._feed(sink, [self._message(number, payload)])

        with self._opened(sink):
            grown = bytes_kept(feed)
        assert grown < SLACK_BYTES, f"{_MANY} messages were taken and {grown} B were kept"

    @needs("output")
    def test_sink_17_sinks_share_no_state(self) -> None:
        messages, others = self._messages(), self._messages(seed=1)
        alone = self._taken(self.make(), messages)
        one, other = self.make(), self.make()
        with self._opened(one), self._opened(other):
            for message, beside in zip(messages, others, strict=True):
                self._feed(one, [message])
                self._feed(other, [beside])
        found = list(self.written(one))
        assert all_same(found, alone), (
            f"alone it writes {shown(alone)}, with another one beside it {shown(found)}"
        )

    def _missing(self, capability: str, hook: str) -> NoReturn:
        inapplicable(f"write `{hook}`, or say in `lacks` why it does without {capability!r}")

    def _messages(self, seed: int = 0) -> list[Message]:
        payloads = self.payloads(_COUNT, seed)
        return [self._message(number, payload) for number, payload in enumerate(payloads)]

    def _message(self, number: int, payload: object) -> Message:
        created = Ticks(number * _APART_NS)
        header = MessageHeader(
            trace_id=TraceId(number),
            sequence=SequenceNumber(number),
            creation_tick=created,
            origin_tick=created,
            payload_size_bytes=payload_size_bytes(payload),
        )
        return Message(header, _read_only(payload))

    @contextlib.contextmanager
    def _opened(self, sink: Sink) -> Iterator[None]:
        self._open(sink)
        try:
            yield
        finally:
            # Whether close may fail is a clause of its own.
            with contextlib.suppress(Exception):
                sink.close()

    def _open(self, sink: Sink) -> None:
        sink.prepare()
        sink.open(self.clock(), self.arriving())

    def _feed(self, sink: Sink, messages: Iterable[Message]) -> None:
        """Hand messages over, by the inputs in turns; payloads are those of nobody else."""
        for message in messages:
            self._hand(sink, Message(message.header, _read_only(kept(message.payload))))

    def _hand(self, sink: Sink, message: Message) -> None:
        port = sink.inputs[message.header.sequence % len(sink.inputs)]
        sink.consume_from(port, message, self.clock().now_ticks())

    def _taken(self, sink: Sink, messages: Iterable[Message]) -> list[object]:
        """Hand messages over, close, and return what has come out."""
        with self._opened(sink):
            self._feed(sink, messages)
        return list(self.written(sink))

    def _use(self, sink: Sink) -> list[Exception]:
        """Open, hand messages over, close; return what was raised."""
        failures: list[Exception] = []
        try:
            self._open(sink)
            for message in self._messages():
                try:
                    self._feed(sink, [message])
                except Exception as error:
                    failures.append(error)
        except Exception as error:
            failures.append(error)
        try:
            sink.close()
        except Exception as error:
            failures.append(error)
        return failures


def _read_only(payload: object) -> object:
    """Return a payload as a node is handed it: an array that it cannot write to."""
    if not isinstance(payload, np.ndarray):
        return payload
    view = payload.view()
    view.flags.writeable = False
    return view


def _overwrite(payload: object) -> None:
    """Let the memory of an array be used for something else."""
    if isinstance(payload, np.ndarray):
        payload[...] = ~payload if payload.dtype.kind == "b" else payload + 1
