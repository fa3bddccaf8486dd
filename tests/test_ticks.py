"""Tick arithmetic in 64 bits, wrapping and saturating, against unbounded whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limen import types
from limen.types import (
    INVALID_TOKEN,
    MAX_TICKS,
    MessageToken,
    Ticks,
    saturating_add,
    saturating_sub,
    wrapping_add,
    wrapping_sub,
)

ticks = st.integers(0, MAX_TICKS)


@pytest.mark.parametrize(
    ("function", "a", "b", "result"),
    [
        (wrapping_add, 5, 3, 8),
        (wrapping_add, MAX_TICKS, 1, 0),
        (wrapping_add, MAX_TICKS, MAX_TICKS, MAX_TICKS - 1),
        (wrapping_sub, 5, 3, 2),
        (wrapping_sub, 0, 1, MAX_TICKS),
        (wrapping_sub, 3, MAX_TICKS - 1, 5),
        (saturating_add, 5, 3, 8),
        (saturating_add, MAX_TICKS, 1, MAX_TICKS),
        (saturating_add, 5, -9, 0),
        (saturating_sub, 5, 3, 2),
        (saturating_sub, 3, 5, 0),
        (saturating_sub, MAX_TICKS, -1, MAX_TICKS),
    ],
)
def test_each_form_at_its_ends(
    function: Callable[[int, int], Ticks], a: int, b: int, result: int
) -> None:
    assert function(a, b) == result


@given(ticks, ticks)
def test_wrapping_forms_undo_each_other(instant: int, span: int) -> None:
    assert wrapping_sub(wrapping_add(instant, span), span) == instant
    assert wrapping_sub(wrapping_add(instant, span), instant) == span, "what passed, over a wrap"


@given(ticks, ticks)
def test_saturating_forms_stay_at_the_end_they_reach(instant: int, span: int) -> None:
    assert saturating_add(instant, span) == min(instant + span, MAX_TICKS)
    assert saturating_sub(instant, span) == max(instant - span, 0)


@given(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70))
def test_no_result_leaves_the_64_bits(a: int, b: int) -> None:
    for function in (wrapping_add, wrapping_sub, saturating_add, saturating_sub):
        assert 0 <= function(a, b) <= MAX_TICKS


@pytest.mark.parametrize(
    "name",
    [
        "TraceId",
        "SequenceNumber",
        "Ticks",
        "DeadlineNs",
        "NodeIndex",
        "EdgeIndex",
        "PortIndex",
        "MessageToken",
        "ClockDomainId",
    ],
)
def test_an_identifier_is_a_plain_int_at_run_time(name: str) -> None:
    assert type(getattr(types, name)(7)) is int


def test_the_invalid_token_names_no_slot() -> None:
    assert MessageToken.INVALID is INVALID_TOKEN
    assert MessageToken.INVALID == -1
    assert type(MessageToken.INVALID) is int
