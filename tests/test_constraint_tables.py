"""Deadlines, freshness, liveness, periods, rests and degrading, as tables written from the text.

SPEC 5 (NodePolicy), SEMANTICS 5, 6 and 10. Every expected value is looked up under words, or
counted out by a model that shares nothing with the function it is compared with.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from limen.platform import SimClock
from limen.policy import (
    Degrade,
    DegradeState,
    Freshness,
    FreshnessTicks,
    OnStale,
    Restart,
    Switch,
    Unfit,
    after_full,
    after_infeasible,
    after_variant,
    backoff_ticks,
    full_form,
    is_stale,
    is_violated,
    next_period,
    why_unfit,
)

# ------------------------------------------------------------------ presenting a message

_NOW, _SLACK, _BUDGET = 100, 3, 7

# Words for a deadline, its distance from now, and what is wrong with it where late messages are
# dropped: without a budget, and with one. "expired now > deadline + slack", "infeasible
# (now + tick_budget > deadline + slack)".
_DEADLINES = {
    "none": (None, "", ""),
    "long past": (-50, "expired", "expired"),
    "one past its slack": (-4, "expired", "expired"),
    "at the end of its slack": (-3, "", "infeasible"),
    "within its slack": (-1, "", "infeasible"),
    "now": (0, "", "infeasible"),
    "one short of the budget": (3, "", "infeasible"),
    "just as far as the budget": (4, "", ""),
    "beyond the budget": (5, "", ""),
    "far": (10_000, "", ""),
}


@pytest.mark.parametrize("budget", [0, _BUDGET], ids=["no budget", "budget"])
@pytest.mark.parametrize("drops", [False, True], ids=["process", "drop"])
@pytest.mark.parametrize("require", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "stale"])
@pytest.mark.parametrize("deadline", _DEADLINES)
def test_a_message_is_unfit_for_the_first_reason_in_the_order_of_the_text(
    deadline: str, stale: bool, require: bool, drops: bool, budget: int
) -> None:
    distance, without, with_budget = _DEADLINES[deadline]
    if stale:
        wanted = "stale"
    elif deadline == "none":
        wanted = "no_deadline" if require else ""
    elif drops:
        wanted = with_budget if budget else without
    else:
        wanted = ""  # "the last two only under on_miss = DROP"
    found = why_unfit(
        stale=stale,
        deadline_ns=None if distance is None else _NOW + distance,
        now_ns=_NOW,
        slack_ns=_SLACK,
        require=require,
        drops_late=drops,
        budget_ns=budget,
    )
    assert ("" if found is None else found.value) == wanted


class Presented(NamedTuple):
    """One message where it would be presented, in numbers."""

    stale: bool
    deadline: int | None
    slack: int
    require: bool
    drops: bool
    budget: int

    def reasons(self, now: int) -> list[str]:
        """All that is wrong, in order: what the call needs is compared with what is on time."""
        wrong = ["stale"] if self.stale else []
        if self.deadline is None:
            return wrong + (["no_deadline"] if self.require else [])
        on_time = range(self.deadline + self.slack + 1)
        if self.drops and now not in on_time:
            wrong.append("expired")
        if self.drops and now + self.budget not in on_time:
            wrong.append("infeasible")
        return wrong


def test_every_deadline_around_the_instant_gives_the_first_of_all_that_is_wrong() -> None:
    truth, now, seen = (False, True), 20, set()
    for values in itertools.product(
        truth, (None, *range(8, 33)), (0, 1, 4), truth, truth, (0, 1, 5)
    ):
        case = Presented(*values)
        found = why_unfit(
            stale=case.stale,
            deadline_ns=case.deadline,
            now_ns=now,
            slack_ns=case.slack,
            require=case.require,
            drops_late=case.drops,
            budget_ns=case.budget,
        )
        wanted = next(iter(case.reasons(now)), None)
        assert (None if found is None else found.value) == wanted, case
        seen.add(wanted)
    assert seen == {None, *(reason.value for reason in Unfit)}


def test_nothing_but_staleness_and_a_missing_deadline_counts_unless_late_messages_are_dropped() -> (
    None
):
    assert why_unfit(stale=False, deadline_ns=0, now_ns=10**12, budget_ns=10**12) is None
    assert why_unfit(stale=False, deadline_ns=None, now_ns=0, drops_late=True) is None


def test_without_a_budget_what_is_not_expired_is_never_infeasible() -> None:
    for deadline in range(40):
        found = why_unfit(stale=False, deadline_ns=deadline, now_ns=20, drops_late=True)
        assert found is (Unfit.EXPIRED if deadline in range(20) else None)


# ------------------------------------------------------------------ freshness

_LIMITS = (None, 1, 3, 5)


def test_a_message_is_stale_past_the_smaller_of_the_ports_and_its_own_limit_or_past_the_span() -> (
    None
):
    seen = set()
    for port, header, span, age in itertools.product(_LIMITS, _LIMITS, (None, 2, 4), range(8)):
        limits = [limit for limit in (port, header) if limit is not None]
        for span_age in range(age, 9):  # what went into it is at least as old
            ages = {"older": age, "oldest": span_age}
            too_old = bool(limits) and age in range(min(limits) + 1, 100)
            too_wide = span is not None and span_age in range(span + 1, 100)
            found = is_stale(FreshnessTicks(port, span), age, span_age, age, header)
            assert found is (too_old or too_wide), (port, header, span, ages)
            seen.add((too_old, too_wide))
    assert seen == set(itertools.product((False, True), repeat=2))


@pytest.mark.parametrize(
    ("limit", "below", "at", "above"),
    [
        ("the port's", (4, 4, 4, None), (5, 5, 5, None), (6, 6, 6, None)),
        ("the message's own", (0, 0, 4, 5), (0, 0, 5, 5), (0, 0, 6, 5)),
        ("the span's", (0, 8, 0, None), (0, 9, 0, None), (0, 10, 0, None)),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_at_a_limit_a_message_is_fresh_and_one_above_it_is_not(
    limit: str, below: tuple, at: tuple, above: tuple
) -> None:
    rule = FreshnessTicks(5, 9)
    assert [is_stale(rule, *ages) for ages in (below, at, above)] == [False, False, True], limit


@pytest.mark.parametrize("delivers", [False, True])
def test_whether_a_stale_message_is_delivered_does_not_change_that_it_is_stale(
    delivers: bool,
) -> None:
    assert [is_stale(FreshnessTicks(2, None, delivers), age, age) for age in (2, 3)] == [
        False,
        True,
    ]


def test_the_messages_own_limit_holds_to_the_nanosecond_also_on_a_coarse_clock() -> None:
    clock = SimClock(tick_rate_hz=1000)
    rule = Freshness("5ms").in_ticks(clock)
    own = 4_500_000
    verdicts = [is_stale(rule, age, age, age * 1_000_000, own) for age in range(7)]
    assert verdicts == [False, False, False, False, False, True, True]
    alone = [is_stale(rule, age, age, age * 1_000_000) for age in range(7)]
    assert alone == [False, False, False, False, False, False, True]


def test_an_input_without_limits_takes_whatever_its_messages_allow() -> None:
    none = Freshness().in_ticks(SimClock())
    assert none.is_none
    assert not is_stale(none, 10**18, 10**18, 10**18)
    assert is_stale(none, 3, 3, 3, 2)


@pytest.mark.parametrize("action", list(OnStale))
def test_freshness_is_converted_to_the_clocks_ticks_once(action: OnStale) -> None:
    ticks = Freshness("5ms", "9ms", action).in_ticks(SimClock(tick_rate_hz=1000))
    assert ticks == (5, 9, action.value == "deliver")
    assert not ticks.is_none


# ------------------------------------------------------------------ liveness, periods, rests


def test_liveness_is_violated_past_the_gap_and_not_at_it() -> None:
    for last, gap, silence in itertools.product((0, 7, 10**15), (1, 2, 5), range(9)):
        silent_too_long = silence in range(gap + 1, 9)
        assert is_violated(last + silence, last, gap) is silent_too_long, (last, gap, silence)


@pytest.mark.parametrize("gap", [1, 3, 10**9])
def test_the_first_instant_that_violates_a_gap_is_the_one_behind_it(gap: int) -> None:
    # ADR 16: "The timer is the first instant past the gap, last + gap + 1".
    assert not is_violated(50 + gap, 50, gap)
    assert is_violated(50 + gap + 1, 50, gap)


def test_all_grid_instants_up_to_now_are_used_up_and_the_next_is_the_first_behind() -> None:
    for due, period, late in itertools.product(range(6), range(1, 6), range(31)):
        now = due + late
        grid = [due + i * period for i in range(now + 2)]
        passed = sum(1 for instant in grid if instant <= now)
        following = next(instant for instant in grid if instant > now)
        assert next_period(due, period, now) == (passed, following), (due, period, now)


@pytest.mark.parametrize(
    ("late", "missed", "following"),
    [
        (0, 0, 20),
        (9, 0, 20),
        (10, 1, 30),
        (11, 1, 30),
        (19, 1, 30),
        (20, 2, 40),
        (29, 2, 40),
        (30, 3, 50),
    ],
    ids=lambda value: str(value),
)
def test_a_step_on_a_grid_instant_uses_it_and_counts_the_ones_before_as_missed(
    late: int, missed: int, following: int
) -> None:
    passed, due = next_period(10, 10, 10 + late)
    assert (passed - 1, due) == (missed, following)


@pytest.mark.parametrize("jump", [10**6, 10**12 + 3, 10**18 + 7])
@pytest.mark.parametrize("period", [1, 7, 10**6])
def test_after_a_long_jump_one_step_follows_and_not_a_storm_of_them(jump: int, period: int) -> None:
    due, steps, instants = period, 0, 0
    now = due + jump
    while due <= now:
        passed, due = next_period(due, period, now)
        steps, instants = steps + 1, instants + passed
        assert steps == 1
    assert due % period == 0
    assert 0 < due - now <= period
    assert instants * period == due - period


@pytest.mark.parametrize("period", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 7, 11])
def test_a_clock_that_runs_on_finds_every_grid_instant_once_used_or_missed(
    period: int, stride: int
) -> None:
    due, steps, missed = period, 0, 0
    for now in range(0, 121, stride):
        if due <= now:
            passed, due = next_period(due, period, now)
            steps, missed = steps + 1, missed + passed - 1
    end = 120 // stride * stride
    assert steps + missed == sum(1 for instant in range(1, end + 1) if instant % period == 0)


def test_the_rest_after_a_restart_doubles_with_each_within_its_window() -> None:
    for backoff in (0, 1, 3, 100_000_000):
        rest = backoff
        for restarts in range(1, 20):
            assert backoff_ticks(backoff, restarts) == rest
            rest += rest


def test_without_backoff_a_node_never_rests() -> None:
    assert Restart(3).backoff == "0ns"
    assert {backoff_ticks(0, restarts) for restarts in range(1, 100)} == {0}


# ------------------------------------------------------------------ degrading

# What one message comes to. The budget is that of the node, whichever form is called.
_EVENTS = {
    "within": ("feasible", "within"),
    "overruns": ("feasible", "overruns"),
    "infeasible": ("infeasible", "within"),
    "infeasible, overruns": ("infeasible", "overruns"),
}


class Hysteresis:
    """SEMANTICS 10 kept as a diary: what was called since the last switch, and how it went."""

    def __init__(self, degrade_after: int, recover_after: int) -> None:
        self.degrade_after = degrade_after
        self.recover_after = recover_after
        self.form = "full"
        self.tries_that_overran = 0
        self.diary: list[str] = []

    def last_in_a_row(self, *words: str) -> int:
        return sum(1 for _ in itertools.takewhile(lambda word: word in words, self.diary[::-1]))

    @property
    def wanted(self) -> int:
        """SEMANTICS 10: "recover_after doubles, up to 8×", with each try that overruns."""
        return self.recover_after * (1, 2, 4, 8)[min(self.tries_that_overran, 3)]

    @property
    def tries(self) -> bool:
        """ADR 16: "the probe stays due", whatever is handed to the variant meanwhile."""
        return self.form == "variant" and "due" in self.diary

    def handle(self, feasible: str, outcome: str) -> tuple[str, str]:
        """Say which form one message calls, and what switches behind it."""
        if self.form == "full":
            self.diary.append("infeasible" if feasible == "infeasible" else outcome)
            called = "full" if feasible == "feasible" else "variant"
            if self.last_in_a_row("infeasible", "overruns") == self.degrade_after:
                return called, self.switch("variant")
            return called, ""
        if self.tries and feasible == "feasible":
            if outcome == "within":
                self.tries_that_overran = 0
                return "full", self.switch("full")
            self.tries_that_overran += 1
            return "full", self.switch("variant")
        if not self.tries:
            self.diary.append(outcome)
            if self.last_in_a_row("within") == self.wanted:
                self.diary.append("due")
        return "variant", ""

    def switch(self, form: str) -> str:
        self.form, self.diary = form, []
        return form

    def copy(self) -> Hysteresis:
        twin = Hysteresis(self.degrade_after, self.recover_after)
        twin.form, twin.tries_that_overran = self.form, self.tries_that_overran
        twin.diary = list(self.diary)
        return twin


def handle(
    rule: Degrade, state: DegradeState, feasible: str, outcome: str
) -> tuple[DegradeState, str, str]:
    """Do what an executor does with one message: judge it, call a form, keep the state.

    The step that switches to the variant does not count towards the first try.
    """
    overran = outcome == "overruns"
    switch: Switch | None = None
    called = "variant" if state.degraded and not state.probes else "full"
    if called == "full" and feasible == "infeasible":
        called = "variant"
        before = state
        state, switch = after_infeasible(rule, state)
        if before.degraded:
            state = after_variant(state, overran=overran)
    elif called == "full":
        state, switch = after_full(rule, state, overran=overran)
    else:
        state = after_variant(state, overran=overran)
    return state, called, "" if switch is None else switch.value


def follow(
    rule: Degrade, state: DegradeState, model: Hysteresis, events: tuple[str, ...], left: int
) -> int:
    """Compare all sequences of so many more events; those with the same beginning share it."""
    compared = 0
    for event in events:
        feasible, outcome = _EVENTS[event]
        twin = model.copy()
        wanted = twin.handle(feasible, outcome)
        after, called, switch = handle(rule, state, feasible, outcome)
        assert (called, switch) == wanted, (rule, state, event, model.diary)
        assert after.degraded is (twin.form == "variant"), (rule, state, event, model.diary)
        assert after.probes is twin.tries, (rule, state, event, model.diary)
        compared += 1
        if left > 1:
            compared += follow(rule, after, twin, events, left - 1)
    return compared


@pytest.mark.parametrize("recover_after", [1, 2, 3])
@pytest.mark.parametrize("degrade_after", [1, 2, 3])
@pytest.mark.parametrize(
    ("events", "length"),
    [(("within", "overruns"), 10), (("within", "overruns", "infeasible"), 8), (tuple(_EVENTS), 6)],
    ids=["within_or_over", "infeasible_too", "variant_overruns_too"],
)
def test_every_sequence_of_calls_degrades_and_recovers_as_the_text_says(
    events: tuple[str, ...], length: int, degrade_after: int, recover_after: int
) -> None:
    rule = Degrade(degrade_after, recover_after)
    model = Hysteresis(degrade_after, recover_after)
    compared = follow(rule, full_form(rule), model, events, length)
    assert compared == sum(len(events) ** count for count in range(1, length + 1))


@pytest.mark.parametrize("recover_after", [1, 2, 3, 10])
def test_the_wait_for_a_try_doubles_up_to_eight_times_and_is_as_declared_after_recovery(
    recover_after: int,
) -> None:
    rule = Degrade(1, recover_after)
    state, _, _ = handle(rule, full_form(rule), "feasible", "overruns")
    for factor in (1, 2, 4, 8, 8, 8):
        for _ in range(factor * recover_after):
            assert not state.probes
            state, called, _ = handle(rule, state, "feasible", "within")
            assert called == "variant"
        assert state.probes
        recovered, called, switch = handle(rule, state, "feasible", "within")
        assert (called, switch, recovered) == ("full", "full", full_form(rule))
        state, called, switch = handle(rule, state, "feasible", "overruns")
        assert (called, switch) == ("full", "variant")


@pytest.mark.parametrize("degrade_after", [1, 2, 3])
def test_overruns_count_only_if_they_follow_one_another(degrade_after: int) -> None:
    rule = Degrade(degrade_after)
    state = full_form(rule)
    for _ in range(5):
        for _ in range(degrade_after - 1):
            state, called, switch = handle(rule, state, "feasible", "overruns")
            assert (called, switch) == ("full", "")
        state, called, switch = handle(rule, state, "feasible", "within")
        assert (called, switch) == ("full", "")
    assert state == full_form(rule)


@pytest.mark.parametrize("recover_after", [2, 3])
def test_a_variant_that_overruns_starts_the_count_towards_a_try_again(recover_after: int) -> None:
    rule = Degrade(1, recover_after)
    state, _, _ = handle(rule, full_form(rule), "feasible", "overruns")
    for _ in range(3):
        for _ in range(recover_after - 1):
            state, _, _ = handle(rule, state, "feasible", "within")
        state, called, _ = handle(rule, state, "feasible", "overruns")
        assert called == "variant"
        assert not state.probes


@pytest.mark.parametrize("outcome", ["within", "overruns"])
def test_a_try_that_is_due_stays_due_while_messages_are_infeasible(outcome: str) -> None:
    # ADR 16: "A message that is infeasible is handed to the variant also while a probe is due;
    # the probe stays due."
    rule = Degrade(1, 2)
    state, _, _ = handle(rule, full_form(rule), "feasible", "overruns")
    for _ in range(2):
        state, _, _ = handle(rule, state, "feasible", "within")
    for _ in range(3):
        assert state.probes
        state, called, switch = handle(rule, state, "infeasible", outcome)
        assert (called, switch) == ("variant", "")
    assert state.probes


def test_the_words_of_a_switch_are_those_of_the_log() -> None:
    assert {switch.value for switch in Switch} == {"variant", "probe", "full"}
