"""The C forms of scripted parts: their scripts as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from limen.node import CField, CForm, CTable

_NONE = np.iinfo(np.int64).max
_KINDS = ("output", "consume", "skip", "error", "terminal", "yield", "emit")
_ANSWERS = ("message", "nothing", "error", "end")


def source_form(
    entries: Sequence[Mapping[str, int | None]],
    due: Sequence[int],
    size_bytes: int,
    *,
    keeps_place: bool,
) -> CForm:
    """Return a source that plays a script.

    Args:
        entries: By call: ``answer`` (the place of a word in message, nothing, error, end), and of a
            message ``creation``, ``deadline_ns``, ``max_age_ns`` (None for none), ``qos``,
            ``allowed``.
        due: The instants of the entries and of the end; none for a source without a schedule.
        size_bytes: Bytes of every payload.
        keeps_place: Whether a restart goes on where the script was.
    """
    columns = ("creation", "deadline_ns", "max_age_ns", "qos", "allowed", "answer")
    rows = [[_NONE if e.get(c) is None else e[c] for c in columns] for e in entries]
    states = tuple(
        word
        for word, place in (("deadline", 1), ("max_age", 2))
        if any(row[place] != _NONE for row in rows)
    )
    stated = [
        f"stated->{member} = script[{len(columns)}u * place + {number}u];"
        for number, member in ((0, "creation"), (1, "deadline_ns"), (2, "max_age_ns"))
        if member == "creation" or member.removesuffix("_ns") in states
    ]
    tables = [CTable("int64_t", "script", np.array(rows or [[0] * 6], np.int64))]
    early = ""
    if due:
        tables.append(CTable("limen_tick", "instants", np.array(due, np.int64)))
        early = "if (now < instants[self->place] && !self->ended) {\n    return LIMEN_NOTHING;\n}\n"
    return CForm(
        call=early
        + f"""uint32_t place;
if (self->ended || self->place == {len(rows)}u) {{
    self->ended = true;
    return LIMEN_END;
}}
place = self->place++;
switch (script[{len(columns)}u * place + 5u]) {{
case 1:
    return LIMEN_NOTHING;
case 2:
    return LIMEN_READ_FAILED;
case 3:
    self->ended = true;
    return LIMEN_END;
default:
    break;
}}
"""
        + "\n".join(stated)
        + f"""
stated->qos = (uint8_t)script[{len(columns)}u * place + 3u];
stated->degrade_allowed = script[{len(columns)}u * place + 4u] != 0;
memset(out, 0, {size_bytes}u);
return LIMEN_MESSAGE;""",
        state=(CField("uint32_t", "place"), CField("bool", "ended")),
        start=("" if keeps_place else "self->place = 0;\n") + "self->ended = false;",
        due="return instants[self->place];" if due else "",
        states=states,
        tables=tuple(tables),
        headers=("string.h",),
    )


def answers() -> tuple[str, ...]:
    """Return what a source answers, in the order of their numbers."""
    return _ANSWERS


def node_form(
    outcomes: Sequence[str | int | Mapping[str, int]],
    costs: Sequence[int],
    yields: Sequence[int],
    outputs: Sequence[str],
    size_bytes: int,
    *,
    keeps_place: bool,
    starts: Sequence[str] = (),
    copies_bytes: int | None = None,
) -> CForm:
    """Return a node that answers as a script says.

    Args:
        outcomes: By call: a word, an instant to yield until, or counts by port.
        costs: By call, ticks beyond the declared cost.
        yields: By call, the tick to yield until, 0 where it does not.
        outputs: Its output ports.
        size_bytes: Bytes of every payload it emits.
        keeps_place: Whether a restart goes on where the script was.
        starts: What each start comes to.
        copies_bytes: Of a model, the bytes of an item, which its result repeats; None for others.
    """
    width = 3 + len(outputs)
    rows = []
    for place, outcome in enumerate(outcomes):
        kind = (
            outcome if isinstance(outcome, str) else "yield" if isinstance(outcome, int) else "emit"
        )
        counts = [0] * len(outputs)
        if kind == "output":
            counts = [1] * len(outputs)
        elif not isinstance(outcome, (str, int)):
            counts = [outcome.get(port, 0) for port in outputs]
        rows.append([_KINDS.index(kind), costs[place], yields[place], *counts])
    calls = len(rows)
    rows.append([0, 0, 0, *[1] * len(outputs)])
    if copies_bytes is not None:
        emits = f"""for (i = 0; i < call->items; i++) {{
    memcpy(call->outs[i], call->ins[i], {copies_bytes}u);
}}"""
    elif outputs:
        emits = f"""for (i = 0; i < {len(outputs)}u; i++) {{
    int64_t count;
    for (count = row[3u + i]; count > 0; count--) {{
        memset(limen_emit(call, i, &call->header), 0, {size_bytes}u);
    }}
}}"""
    else:
        emits = ""
    counter = "unsigned i;\n" if emits else ""
    tables = [CTable("int64_t", "script", np.array(rows, np.int64))]
    state = [CField("uint32_t", "calls")]
    start = "" if keeps_place else "self->calls = 0;"
    if starts:
        failing = np.array([word == "error" for word in starts])
        tables.append(CTable("uint8_t", "failing", failing.astype(np.uint8)))
        state.append(CField("uint32_t", "starts"))
        start += f"""
{{
    const uint32_t number = self->starts++;
    if (number < {len(starts)}u && failing[number] != 0) {{
        return false;
    }}
}}"""
    return CForm(
        call=f"""const int64_t *row = &script[{width}u * {calls}u];
{counter}if (self->calls != {calls}u) {{
    row = &script[{width}u * self->calls];
    self->calls++;
}}
call->cost = row[1];
switch (row[0]) {{
case {_KINDS.index("consume")}:
    return LIMEN_DONE;
case {_KINDS.index("skip")}:
    return LIMEN_SKIP;
case {_KINDS.index("error")}:
    return LIMEN_FAIL;
case {_KINDS.index("terminal")}:
    return LIMEN_TERMINAL;
case {_KINDS.index("yield")}:
    return limen_yield(call, row[2]);
default:
    break;
}}
{emits}
return LIMEN_DONE;""",
        state=tuple(state),
        start=start,
        tables=tuple(tables),
        headers=("string.h",),
    )
