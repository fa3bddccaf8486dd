"""Hypothesis state machines: what an edge and a memory manager do, beside a model of each.

Subclass one, write ``make``, and give its ``TestCase`` a name that pytest collects. They find what
the clauses of the suites do not think of: what goes wrong only after some calls in some order.
Needs the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Callable

from limen.edge import Edge, PushResult
from limen.errors import Code, LimenError, ManagerError, MissingExtraError
from limen.memory import MemoryManager
from limen.message import Message, MessageHeader
from limen.platform import PlatformClock, SimClock
from limen.policy import Item, QueueCaps
from limen.testing.contracts._errors import code_raised
from limen.types import (
    INVALID_TOKEN,
    MessageToken,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        Bundle,
        RuleBasedStateMachine,
        consumes,
        initialize,
        invariant,
        rule,
    )
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "limen.testing.machines needs the package hypothesis", remedy="pip install limen[testing]"
    ) from error

__all__ = ["EdgeMachine", "MemoryManagerMachine"]

_Entry = tuple[int, int, int, QoSClass]
_Call = Callable[[], object]


class EdgeMachine(RuleBasedStateMachine):
    """An edge beside a list of (token, bytes, instant, class); lanes are a stable sort of it.

    Attributes:
        lanes: Whether what is LATENCY_CRITICAL overtakes the rest.
    """

    lanes: bool = False

    def make(self, caps: QueueCaps, clock: PlatformClock) -> Edge:
        """Return a new edge."""
        raise NotImplementedError(f"{type(self).__qualname__} lacks make")

    @initialize(most=st.integers(1, 4), limit=st.none() | st.integers(1, 12))
    def begin(self, most: int, limit: int | None) -> None:
        """Make an edge."""
        edge = self.make(QueueCaps(most, max_bytes=limit), SimClock())
        self.producer, self.consumer = edge.producer(), edge.consumer()
        self.model: list[_Entry] = []
        self.most, self.limit, self.ended, self.next = most, limit, False, 0

    @rule(size=st.integers(0, 8), now=st.integers(0, 100), qos=st.sampled_from(QoSClass))
    def push(self, size: int, now: int, qos: QoSClass) -> None:
        """Offer an item."""
        self.next += 1
        token, header = MessageToken(self.next), _header(size, qos)
        if self.ended:
            seen = code_raised(self.producer.try_push, token, header, Ticks(now))
            assert seen is Code.WRONG_STATE, f"a push after close: {seen}"
            return
        held = sum(entry[1] for entry in self.model)
        room = len(self.model) < self.most and (
            self.limit is None or (held < self.limit and held + size <= self.limit)
        )
        wanted = PushResult.ENQUEUED if room else PushResult.REJECTED
        result = self.producer.try_push(token, header, Ticks(now))
        assert result is wanted, (
            f"{size} B onto {len(self.model)} of {self.most} items and {held} of {self.limit} B "
            f"gave {result.name}"
        )
        if room:
            self.model.append((self.next, size, now, qos))

    @rule(evict=st.booleans())
    def take(self, evict: bool) -> None:
        """Pop or evict."""
        wanted = INVALID_TOKEN
        if self.model:
            front = self._in_order(evict=evict)[0]
            self.model.remove(front)
            wanted = MessageToken(front[0])
        taken = self.producer.evict() if evict else self.consumer.try_pop()
        assert taken == wanted, f"{'evicted' if evict else 'popped'} {taken}, not {wanted}"

    @rule(chance=st.integers(0, 9))
    def close(self, chance: int) -> None:
        """Say that nothing more comes, seldom: nothing much happens behind that."""
        if chance < 9:
            return
        self.producer.close()
        self.ended = True

    @invariant()
    def it_shows_what_the_model_holds(self) -> None:
        """Compare everything that can be looked at."""
        if not hasattr(self, "model"):
            return
        places, consumer = range(len(self.consumer)), self.consumer
        seen = [
            (
                int(consumer.try_peek_at(place)),
                consumer.header_at(place).payload_size_bytes,
                int(consumer.push_tick_at(place)),
                consumer.header_at(place).qos,
            )
            for place in places
        ]
        order = self._in_order(evict=False)
        assert seen == order, f"the consumer sees {seen}, and what waits is {order}"
        items = [self.producer.item(place) for place in places]
        wanted = [Item(size, qos, None, now) for _, size, now, qos in self._in_order(evict=True)]
        assert items == wanted, f"the producer sees {items}, and what waits is {wanted}"
        size = sum(entry[1] for entry in self.model)
        sizes = self.producer.size_bytes, consumer.size_bytes
        assert sizes == (size, size), f"size_bytes is {sizes}, and {size} B wait"
        state = consumer.ended, consumer.closed
        wanted_state = self.ended, self.ended and not self.model
        assert state == wanted_state, f"ended and closed are {state}, not {wanted_state}"

    def _in_order(self, *, evict: bool) -> list[_Entry]:
        """Return the model in the order of pops, or of evictions."""
        if not self.lanes:
            return self.model
        return sorted(
            self.model, key=lambda entry: (entry[3] is QoSClass.LATENCY_CRITICAL) is evict
        )


class MemoryManagerMachine(RuleBasedStateMachine):
    """A manager beside a dict from token to number, open reads and an open write."""

    tokens = Bundle("tokens")

    def make(self, depth: int) -> MemoryManager:
        """Return a new manager."""
        raise NotImplementedError(f"{type(self).__qualname__} lacks make")

    def payload(self, number: int) -> object:
        """Return a payload that the manager takes; those of two numbers differ."""
        raise NotImplementedError(f"{type(self).__qualname__} lacks payload")

    def number_of(self, payload: object) -> int:
        """Return the number that a payload was made of."""
        raise NotImplementedError(f"{type(self).__qualname__} lacks number_of")

    @initialize(depth=st.integers(1, 4))
    def begin(self, depth: int) -> None:
        """Make a manager."""
        self.manager = self.make(depth)
        self.live: dict[MessageToken, int] = {}
        self.reads: dict[MessageToken, int] = {}
        self.written: set[MessageToken] = set()

    @rule(target=tokens, number=st.integers(0, 100))
    def store(self, number: int) -> MessageToken:
        """Store a message."""
        given = Message(_header(0, QoSClass.BEST_EFFORT, number), self.payload(number))
        if len(self.live) == self.manager.capacity:
            seen = code_raised(self.manager.store, given)
            assert seen is Code.NO_FREE_SLOTS, f"a store into a full manager: {seen}"
            return INVALID_TOKEN
        token = self.manager.store(given)
        assert token not in self.live, f"token {token} was given out twice"
        self.live[token], self.reads[token] = number, 0
        return token

    @rule(token=tokens, write=st.booleans())
    def begin_access(self, token: MessageToken, write: bool) -> None:
        """Open a read or a write."""
        begin = self.manager.begin_write if write else self.manager.begin_read
        open_reads = self.reads.get(token, 0)
        if token not in self.live or token in self.written or (write and open_reads):
            self._refuses("an access to", token, lambda: begin(token))
            return
        found = begin(token)
        number = found.header.sequence, self.number_of(found.payload)
        wanted = self.live[token], self.live[token]
        assert number == wanted, f"token {token} shows {number}, and holds {wanted}"
        if write:
            self.written.add(token)
        else:
            self.reads[token] += 1

    @rule(token=tokens, write=st.booleans())
    def end_access(self, token: MessageToken, write: bool) -> None:
        """Close a read or a write."""
        end = self.manager.end_write if write else self.manager.end_read
        is_open = token in self.written if write else self.reads.get(token, 0) > 0
        if not is_open:
            self._refuses("the end of no access to", token, lambda: end(token))
            return
        end(token)
        if write:
            self.written.discard(token)
        else:
            self.reads[token] -= 1

    @rule(token=consumes(tokens))
    def free(self, token: MessageToken) -> None:
        """Free a slot."""
        if token not in self.live or self.reads[token] or token in self.written:
            self._refuses("freeing", token, lambda: self.manager.free(token))
            return
        self.manager.free(token)
        del self.live[token], self.reads[token]

    @invariant()
    def slots_add_up_and_keep_their_headers(self) -> None:
        """Compare what can be looked at without a read."""
        if not hasattr(self, "manager"):
            return
        total = self.manager.available + len(self.live)
        assert total == self.manager.capacity, (
            f"{self.manager.available} available and {len(self.live)} live are not "
            f"{self.manager.capacity}"
        )
        for token, number in self.live.items():
            seen = self.manager.peek_header(token).sequence
            assert seen == number, f"the header of token {token} says {seen}, not {number}"

    def _refuses(self, what: str, token: MessageToken, call: _Call) -> None:
        try:
            call()
        except ManagerError:
            return
        except LimenError as error:
            raise AssertionError(f"{what} token {token}: {error!r}") from error
        raise AssertionError(f"{what} token {token} was not refused")


def _header(size: int, qos: QoSClass, number: int = 0) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(number),
        sequence=SequenceNumber(number),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=size,
        qos=qos,
    )
