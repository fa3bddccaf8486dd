"""The admission table, written from SPEC 5 and SEMANTICS 4 and compared with ``decide``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from limen.edge import HeapRing, Priority2, PushResult, Ring, StaticRing
from limen.message import MessageHeader
from limen.platform import NoopClock
from limen.policy import (
    AdmissionDecision,
    AdmissionPolicy,
    AdmissionVerdict,
    EdgePolicy,
    Item,
    QueueCaps,
    Refusal,
    RetentionMode,
    decide,
)
from limen.types import (
    INVALID_TOKEN,
    DeadlineNs,
    MessageToken,
    QoSClass,
    SequenceNumber,
    Ticks,
    TraceId,
)

_LOW, _MID, _HIGH = QoSClass.BACKGROUND, QoSClass.BEST_EFFORT, QoSClass.LATENCY_CRITICAL
_AWARE = AdmissionPolicy.DEADLINE_AND_QOS_AWARE
_NOW = 100
_PAST, _PRESENT = 99, 100


class Waiting(NamedTuple):
    """What waits, in the order in which it would be evicted."""

    items: tuple[Item, ...]

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def item(self, index: int) -> Item:
        return self.items[index]


class Outcome(NamedTuple):
    """A table entry as text, so that nothing of the code under test is shared."""

    verdict: str
    reason: str = ""
    evict: tuple[str, ...] = ()


def outcome(decision: AdmissionDecision) -> Outcome:
    reason = "" if decision.reason is None else decision.reason.value
    return Outcome(decision.verdict.value, reason, tuple(r.value for r in decision.evict))


def expired(item: Item, now: int, default: int | None, slack: int) -> bool:
    """Boundary of SEMANTICS 5: now > deadline + slack, the header's deadline before the default."""
    if item.deadline_ns is not None:
        return now > item.deadline_ns + slack
    return default is not None and now > item.pushed_ns + default + slack


def level(caps: QueueCaps, items: tuple[Item, ...], newcomer: Item) -> str:
    """The watermark of what waits; past a hard cap with the newcomer is at hard, too."""
    held = sum(item.size_bytes for item in items)
    count, size = len(items), newcomer.size_bytes
    max_bytes, soft_bytes = caps.max_bytes, caps.soft_bytes
    assert not isinstance(max_bytes, str)
    assert not isinstance(soft_bytes, str)
    soft_items = caps.max_items if caps.soft_items is None else caps.soft_items
    if count >= caps.max_items or count + 1 > caps.max_items:
        return "hard"
    if max_bytes is not None and (held >= max_bytes or held + size > max_bytes):
        return "hard"
    if count < soft_items and (soft_bytes is None or held < soft_bytes):
        return "below"
    return "between"


def table(
    policy: EdgePolicy, ring: Waiting, item: Item, now: int, default: int | None, slack: int
) -> Outcome:
    """Look one entry of the table up, row by row."""
    caps, column, waiting = policy.caps, policy.admission.value, ring.items
    assert not isinstance(caps.max_bytes, str)
    if caps.max_bytes is not None and item.size_bytes > caps.max_bytes:
        return Outcome("reject", "too_large")
    if column == "deadline_and_qos_aware" and expired(item, now, default, slack):
        return Outcome("reject", "expired")
    row = level(caps, waiting, item)
    if row == "below":
        return Outcome("admit")
    if row == "between":
        if column == "deadline_and_qos_aware" and item.qos == 1:
            return Outcome("drop_newest", "background")
        return Outcome("admit")
    if column == "drop_newest":
        return Outcome("drop_newest", "full")
    if column == "block":
        return Outcome("block")
    enough = next(k for k in range(1, 9) if level(caps, waiting[k:], item) != "hard")
    if column == "drop_oldest":
        why = "capacity" if policy.retention is RetentionMode.FIFO else "superseded"
        return Outcome("evict", "", (why,) * enough)
    reasons = tuple(
        "expired" if expired(other, now, default, slack) else "lower_qos"
        for other in waiting[:enough]
        if expired(other, now, default, slack) or other.qos < item.qos
    )
    return Outcome("evict", "", reasons) if len(reasons) == enough else Outcome("reject", "full")


_CAPS = (
    QueueCaps(1),
    QueueCaps(2, 1),
    QueueCaps(3, 2),
    QueueCaps(3, max_bytes=3),
    QueueCaps(3, 1, max_bytes=4, soft_bytes=2),
    QueueCaps(4, 3, max_bytes=5, soft_bytes=5),
)


def rings(caps: QueueCaps, variants: tuple[Item, ...]) -> Iterator[Waiting]:
    """All rings of 0 to 3 items that these caps can hold."""
    for count in range(min(3, caps.max_items) + 1):
        for items in itertools.product(variants, repeat=count):
            ring = Waiting(items)
            if not isinstance(caps.max_bytes, int) or ring.size_bytes <= caps.max_bytes:
                yield ring


def check(
    policy: EdgePolicy,
    variants: tuple[Item, ...],
    newcomers: tuple[Item, ...],
    times: tuple[tuple[int, int | None, int], ...],
) -> set[Outcome]:
    seen = set()
    for ring in rings(policy.caps, variants):
        for item, (now, default, slack) in itertools.product(newcomers, times):
            wanted = table(policy, ring, item, now, default, slack)
            found = outcome(decide(policy, ring, item, now, default, slack))
            assert found == wanted, (policy, ring, item, now, default, slack)
            seen.add(wanted)
    return seen


def items(
    sizes: tuple[int, ...], deadlines: tuple[int | None, ...], pushed: tuple[int, ...] = (0,)
) -> tuple[Item, ...]:
    return tuple(itertools.starmap(Item, itertools.product(sizes, QoSClass, deadlines, pushed)))


@pytest.mark.parametrize("caps", _CAPS, ids=str)
@pytest.mark.parametrize("column", list(AdmissionPolicy), ids=lambda column: column.value)
def test_every_small_case_is_decided_as_the_table_says(
    column: AdmissionPolicy, caps: QueueCaps
) -> None:
    waiting = items((1, 2), (None, _PAST))
    newcomers = items((0, 1, 4), (None, _PAST, _PRESENT))
    seen = check(EdgePolicy(caps, column), waiting, newcomers, ((_NOW, None, 0),))
    assert len(seen) >= 2, "the domain reaches several entries"


@pytest.mark.parametrize("caps", [QueueCaps(2, 1), QueueCaps(3, max_bytes=2)], ids=str)
def test_defaults_and_slack_of_the_consumer_are_counted_as_the_table_says(caps: QueueCaps) -> None:
    waiting = items((1,), (None, 97), (90, 95))
    newcomers = items((1, 2), (None, 99), (98, 100))
    times = tuple(itertools.product((97, 99, 100, 102), (None, 0, 5), (0, 2)))
    seen = check(EdgePolicy(caps, _AWARE), waiting, newcomers, times)
    assert {("expired",), ("lower_qos",)} <= {found.evict for found in seen}


def test_the_domain_reaches_every_entry_of_the_last_column() -> None:
    seen: set[Outcome] = set()
    for caps in _CAPS[:5]:
        waiting = items((1, 2), (None, _PAST))
        newcomers = items((1, 3, 5), (None, _PAST))
        seen |= check(EdgePolicy(caps, _AWARE), waiting, newcomers, ((_NOW, None, 0),))
    assert {(found.verdict, found.reason) for found in seen} == {
        ("admit", ""),
        ("reject", "too_large"),
        ("reject", "expired"),
        ("reject", "full"),
        ("drop_newest", "background"),
        ("evict", ""),
    }
    assert ("expired", "lower_qos") in {found.evict for found in seen}


def _item(size: int = 1, qos: QoSClass = _MID, deadline: int | None = None) -> Item:
    return Item(size, qos, deadline, 0)


_BELOW, _BETWEEN, _FULL = (), (_item(),), (_item(), _item())
_FRESH, _LATE = _item(), _item(deadline=_PAST)
_BACK, _URGENT = _item(qos=_LOW), _item(qos=_HIGH)
_HUGE = _item(size=9)
_A = AdmissionPolicy
_V = AdmissionVerdict


@pytest.mark.parametrize(
    ("column", "waiting", "newcomer", "decision"),
    [
        *((column, _BELOW, _FRESH, (_V.ADMIT, None, ())) for column in AdmissionPolicy),
        *((column, _BETWEEN, _FRESH, (_V.ADMIT, None, ())) for column in AdmissionPolicy),
        *(
            (column, ring, _HUGE, (_V.REJECT, Refusal.TOO_LARGE, ()))
            for column in AdmissionPolicy
            for ring in (_BELOW, _BETWEEN, _FULL)
        ),
        (_A.DROP_NEWEST, _FULL, _FRESH, (_V.DROP_NEWEST, Refusal.FULL, ())),
        (_A.DROP_OLDEST, _FULL, _FRESH, (_V.EVICT, None, (Refusal.CAPACITY,))),
        (_A.BLOCK, _FULL, _FRESH, (_V.BLOCK, None, ())),
        (_A.DROP_NEWEST, _BELOW, _LATE, (_V.ADMIT, None, ())),
        (_A.DROP_OLDEST, _BELOW, _LATE, (_V.ADMIT, None, ())),
        (_A.BLOCK, _BELOW, _LATE, (_V.ADMIT, None, ())),
        *(
            (_AWARE, ring, _LATE, (_V.REJECT, Refusal.EXPIRED, ()))
            for ring in (_BELOW, _BETWEEN, _FULL)
        ),
        (_AWARE, _BELOW, _BACK, (_V.ADMIT, None, ())),
        (_AWARE, _BETWEEN, _BACK, (_V.DROP_NEWEST, Refusal.BACKGROUND, ())),
        (_A.BLOCK, _BETWEEN, _BACK, (_V.ADMIT, None, ())),
        (_AWARE, _FULL, _BACK, (_V.REJECT, Refusal.FULL, ())),
        (_AWARE, _FULL, _FRESH, (_V.REJECT, Refusal.FULL, ())),
        (_AWARE, _FULL, _URGENT, (_V.EVICT, None, (Refusal.LOWER_QOS,))),
        (_AWARE, (_LATE, _FRESH), _BACK, (_V.EVICT, None, (Refusal.EXPIRED,))),
        (_AWARE, (_LATE, _FRESH), _URGENT, (_V.EVICT, None, (Refusal.EXPIRED,))),
        (_AWARE, (_FRESH, _LATE), _FRESH, (_V.REJECT, Refusal.FULL, ())),
        (_AWARE, (_URGENT, _BACK), _URGENT, (_V.REJECT, Refusal.FULL, ())),
    ],
)
def test_the_table_row_by_row(
    column: AdmissionPolicy,
    waiting: tuple[Item, ...],
    newcomer: Item,
    decision: tuple[AdmissionVerdict, Refusal | None, tuple[Refusal, ...]],
) -> None:
    policy = EdgePolicy(QueueCaps(2, 1, max_bytes=8), column)
    assert decide(policy, Waiting(waiting), newcomer, _NOW) == decision


def test_drop_oldest_evicts_as_many_as_the_newcomers_bytes_need() -> None:
    policy = EdgePolicy(QueueCaps(9, max_bytes=4), AdmissionPolicy.DROP_OLDEST)
    found = decide(policy, Waiting((_item(1), _item(2), _item(1))), _item(3), _NOW)
    assert found.evict == (Refusal.CAPACITY,) * 2


def test_nothing_is_evicted_when_evicting_all_that_may_go_is_not_enough() -> None:
    policy = EdgePolicy(QueueCaps(9, max_bytes=4), _AWARE)
    found = decide(policy, Waiting((_LATE, _BACK, _URGENT, _LATE)), _item(3), _NOW)
    assert found == (AdmissionVerdict.REJECT, Refusal.FULL, ())


def test_an_item_is_not_expired_at_its_deadline_plus_slack_but_just_after() -> None:
    policy = EdgePolicy(QueueCaps(1), _AWARE)
    late = _item(deadline=90)
    assert decide(policy, Waiting(()), late, 95, slack_ns=5).verdict is AdmissionVerdict.ADMIT
    assert decide(policy, Waiting(()), late, 96, slack_ns=5).reason is Refusal.EXPIRED


def test_the_headers_deadline_wins_over_the_consumers_default() -> None:
    policy = EdgePolicy(QueueCaps(1), _AWARE)
    own = _item(deadline=200)
    assert decide(policy, Waiting(()), own, _NOW, default_ns=1).verdict is AdmissionVerdict.ADMIT
    assert decide(policy, Waiting(()), _item(), _NOW, default_ns=1).reason is Refusal.EXPIRED


_ALL_CAPS = tuple(
    QueueCaps(most, soft, max_bytes=size, soft_bytes=mark)
    for most in (1, 2, 3)
    for soft in (None, *range(1, most))
    for size, mark in ((None, None), (2, None), (3, None), (3, 1))
)
_SINGLE_VALUES = {"mailbox": EdgePolicy.mailbox_latest(), "latch": EdgePolicy.latch_latest()}


@pytest.mark.parametrize("column", list(AdmissionPolicy), ids=lambda column: column.value)
@pytest.mark.parametrize("lanes", [1, 2])
def test_every_ring_under_every_small_cap_is_decided_as_the_table_says(
    lanes: int, column: AdmissionPolicy
) -> None:
    waiting = items((1, 2), (None, _PAST))
    newcomers = items((1, 2, 3), (None, _PAST))
    few = (*items((1,), (None,)), _item(2, _LOW), _item(1, _MID, _PAST), _item(2, _HIGH, _PAST))
    for caps in _ALL_CAPS:
        kinds = few if caps.max_items == 3 else waiting
        check(EdgePolicy(caps, column, lanes=lanes), kinds, newcomers, ((_NOW, None, 0),))


@pytest.mark.parametrize("policy", _SINGLE_VALUES.values(), ids=_SINGLE_VALUES)
def test_a_single_value_is_superseded_by_any_newer_one(policy: EdgePolicy) -> None:
    every = items((1, 2), (None, _PAST))
    seen = check(policy, every, every, ((_NOW, None, 0), (_NOW, 0, 0)))
    assert seen == {Outcome("admit"), Outcome("evict", "", ("superseded",))}


@pytest.mark.parametrize("mode", [RetentionMode.MAILBOX, RetentionMode.LATCH])
def test_a_single_value_with_a_byte_cap_refuses_only_what_can_never_fit(
    mode: RetentionMode,
) -> None:
    caps = QueueCaps(1, max_bytes=2)
    policy = EdgePolicy(caps, AdmissionPolicy.DROP_OLDEST, mode)
    seen = check(policy, items((1, 2), (None,)), items((1, 2, 3), (None,)), ((_NOW, None, 0),))
    assert seen == {
        Outcome("admit"),
        Outcome("reject", "too_large"),
        Outcome("evict", "", ("superseded",)),
    }


def header_of(item: Item) -> MessageHeader:
    return MessageHeader(
        trace_id=TraceId(0),
        sequence=SequenceNumber(0),
        creation_tick=Ticks(0),
        origin_tick=Ticks(0),
        payload_size_bytes=item.size_bytes,
        deadline_ns=None if item.deadline_ns is None else DeadlineNs(item.deadline_ns),
        qos=item.qos,
    )


def filled(kind: type[Ring], policy: EdgePolicy, waiting: tuple[Item, ...]) -> Ring:
    edge = kind(policy.caps, NoopClock())
    for token, item in enumerate(waiting):
        pushed = edge.try_push(MessageToken(token), header_of(item), Ticks(item.pushed_ns))
        assert pushed is PushResult.ENQUEUED
    return edge


def evicted_first(waiting: tuple[Item, ...], lanes: int) -> list[int]:
    """Tokens in the order of eviction: with two lanes, what is not latency critical first."""
    places = range(len(waiting))
    if lanes == 1:
        return list(places)
    return sorted(places, key=lambda place: (waiting[place].qos == _HIGH, place))


@pytest.mark.parametrize("column", list(AdmissionPolicy), ids=lambda column: column.value)
@pytest.mark.parametrize(("kind", "lanes"), [(StaticRing, 1), (HeapRing, 1), (Priority2, 2)])
def test_a_real_ring_is_decided_as_the_table_says_and_what_is_decided_can_be_done(
    kind: type[Ring], lanes: int, column: AdmissionPolicy
) -> None:
    variants = (_item(1, _LOW), _item(2, _MID), _item(1, _HIGH), _item(2, _LOW, _PAST))
    variants += (_item(1, _HIGH, _PAST),)
    newcomers = (_item(1, _LOW), _item(2, _MID), _item(2, _HIGH), _item(3, _HIGH))
    for caps in (QueueCaps(1), QueueCaps(2), QueueCaps(3, 1), QueueCaps(3, max_bytes=3)):
        policy = EdgePolicy(caps, column, lanes=lanes)
        for ring, newcomer in itertools.product(rings(caps, variants), newcomers):
            edge = filled(kind, policy, ring.items)
            order = evicted_first(ring.items, lanes)
            seen_by_eviction = Waiting(tuple(ring.items[place] for place in order))
            wanted = table(policy, seen_by_eviction, newcomer, _NOW, None, 0)
            found = decide(policy, edge, newcomer, _NOW)
            assert outcome(found) == wanted, (policy, ring, newcomer)
            carry_out(edge, newcomer, wanted, order)


def carry_out(edge: Ring, newcomer: Item, wanted: Outcome, order: list[int]) -> None:
    """Do what the context does; an admitted newcomer fits, and one that was not did not."""
    assert [edge.evict() for _ in wanted.evict] == order[: len(wanted.evict)]
    if wanted.verdict in ("admit", "evict"):
        pushed = edge.try_push(MessageToken(99), header_of(newcomer), Ticks(_NOW))
        assert pushed is PushResult.ENQUEUED
    elif wanted.reason in ("full", "too_large") or wanted.verdict == "block":
        pushed = edge.try_push(MessageToken(99), header_of(newcomer), Ticks(_NOW))
        assert pushed is PushResult.REJECTED
        assert len(edge) == len(order)
    left = [edge.evict() for _ in range(len(edge))]
    assert sorted(token for token in left if token != 99) == sorted(order[len(wanted.evict) :])
    assert edge.evict() == INVALID_TOKEN


def test_with_two_lanes_an_urgent_front_does_not_shield_what_waits_behind_it() -> None:
    policy = EdgePolicy(QueueCaps(2), _AWARE, lanes=2)
    edge = filled(Priority2, policy, (_URGENT, _BACK))
    found = decide(policy, edge, _FRESH, _NOW)
    assert found == (AdmissionVerdict.EVICT, None, (Refusal.LOWER_QOS,))
    assert edge.evict() == 1
    assert decide(policy, edge, _FRESH, _NOW).verdict is AdmissionVerdict.ADMIT


def test_drop_oldest_of_two_lanes_spares_the_high_one_while_the_low_one_has_something() -> None:
    policy = EdgePolicy(QueueCaps(3), AdmissionPolicy.DROP_OLDEST, lanes=2)
    edge = filled(Priority2, policy, (_URGENT, _FRESH, _URGENT))
    assert decide(policy, edge, _URGENT, _NOW).evict == (Refusal.CAPACITY,)
    assert [edge.evict() for _ in range(3)] == [1, 0, 2]


@pytest.mark.parametrize("qos", list(QoSClass))
def test_what_is_expired_is_evicted_as_expired_whatever_its_class(qos: QoSClass) -> None:
    policy = EdgePolicy(QueueCaps(1), _AWARE)
    late = _item(qos=qos, deadline=_PAST)
    found = decide(policy, Waiting((late,)), _URGENT, _NOW)
    assert outcome(found) == Outcome("evict", "", ("expired",))


def test_a_newcomer_that_is_too_large_and_expired_is_refused_as_too_large() -> None:
    policy = EdgePolicy(QueueCaps(1, max_bytes=2), _AWARE)
    found = decide(policy, Waiting(()), _item(3, deadline=_PAST), _NOW)
    assert outcome(found) == Outcome("reject", "too_large")


def test_the_default_counts_from_the_push_of_each_item_and_from_the_offer_of_the_newcomer() -> None:
    policy = EdgePolicy(QueueCaps(2), _AWARE)
    early, later = Item(1, _MID, None, 80), Item(1, _MID, None, 95)
    newcomer = Item(1, _MID, None, _NOW)
    found = decide(policy, Waiting((early, later)), newcomer, _NOW, default_ns=10)
    assert found.evict == (Refusal.EXPIRED,)
    found = decide(policy, Waiting((later, early)), newcomer, _NOW, default_ns=10)
    assert found == (AdmissionVerdict.REJECT, Refusal.FULL, ())
