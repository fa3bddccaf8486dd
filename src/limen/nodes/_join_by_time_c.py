"""The C form of ``JoinByTime``.

Each side keeps rows, and an order: first those that wait, the oldest first, then those that are
free. What leaves is copied at once, so that no row is kept for it.
"""

from __future__ import annotations

from typing import Final

from limen.node import CField, CForm, NodePorts
from limen.nodes import _c
from limen.nodes._axes import beginnings, into_part
from limen.types import TensorSpec

_CODE: Final = """\
/* The place of what was made nearest to an instant, of equal ones the oldest; count if none. */
static uint32_t join_by_time_nearest(const limen_header *headers, const uint32_t *order,
                                     uint32_t count, limen_tick creation, limen_tick tolerance)
{
    uint32_t best = count;
    limen_tick least = tolerance;
    for (uint32_t place = 0; place < count; place++) {
        const limen_tick made = headers[order[place]].creation;
        const limen_tick distance = made < creation ? creation - made : made - creation;
        if (distance < least || (distance == least && best == count)) {
            best = place;
            least = distance;
        }
    }
    return best;
}

/* Lets go what waits at a place, and returns its row, which is the first free one then. */
static uint32_t join_by_time_take(uint32_t *order, uint32_t *count, uint32_t place)
{
    const uint32_t row = order[place];
    *count -= 1;
    for (; place < *count; place++) {
        order[place] = order[place + 1];
    }
    order[place] = row;
    return row;
}
"""


def form(ports: NodePorts, tolerance: int, timeout: int, depth: int, axis: int) -> CForm:
    """Return the form of a join of tensors.

    Args:
        ports: As resolved.
        tolerance: In ticks.
        timeout: In ticks.
        depth: How many wait on each side.
        axis: The axis along which a pair lies side by side.
    """
    left, right, leaving, _ = _c.tensors("join_by_time", ports)
    _c.require_count("join_by_time", "depth", depth)
    near = _c.ticks("join_by_time", "tolerance", tolerance)
    over = _c.ticks("join_by_time", "timeout", timeout)
    sides = (("left", left), ("right", right))
    begins = beginnings([left, right], axis)

    def paired(lefts: str, rights: str) -> str:
        copies = zip((lefts, rights), (left, right), begins, strict=True)
        return _c.lines(
            f"{leaving.dtype.c_type} *out = limen_emit(call, 0, &header);",
            *(into_part(source, spec, leaving, begin, axis) for source, spec, begin in copies),
        )

    missing = _missing(left)
    call = _c.lines(
        "const limen_tick now = call->now;",
        _c.block(f"while ({_waits_too_long('left', over)})", missing),
        _c.block(
            f"while ({_waits_too_long('right', over)})",
            f"{_taken('right', '0')};",
        ),
        _c.block(
            "if (in_left)",
            _nearest("right", 0, near),
            _c.block(
                "if (place < self->right_count)",
                f"const uint32_t row = {_taken('right', 'place')};",
                "limen_header header = *call->headers[0];",
                "limen_join_headers(&header, &self->right_headers[row]);",
                paired("in_left", _row("right", right)),
            ),
            _c.block(
                "else",
                _c.block(f"if (self->left_count == {depth})", missing),
                _kept("left", 0, left),
            ),
        ),
        _c.block(
            "if (in_right)",
            _nearest("left", 1, near),
            _c.block(
                "if (place < self->left_count)",
                f"const uint32_t row = {_taken('left', 'place')};",
                "limen_header header = self->left_headers[row];",
                "limen_join_headers(&header, call->headers[1]);",
                paired(_row("left", left), "in_right"),
            ),
            _c.block(
                "else",
                _c.block(f"if (self->right_count == {depth})", f"{_taken('right', '0')};"),
                _kept("right", 1, right),
            ),
        ),
        _c.DONE,
    )
    return CForm(
        call=call,
        state=tuple(field for name, spec in sides for field in _fields(name, spec, depth)),
        start=_c.lines(
            "self->left_count = 0;",
            "self->right_count = 0;",
            _c.block(
                f"for (uint32_t i = 0; i < {depth}; i++)",
                "self->left_order[i] = i;",
                "self->right_order[i] = i;",
            ),
        ),
        code=_CODE,
        headers=("string.h",),
    )


def _fields(side: str, spec: TensorSpec, depth: int) -> tuple[CField, ...]:
    return (
        CField("limen_header", f"{side}_headers", (depth,)),
        CField("limen_tick", f"{side}_taken", (depth,)),
        CField("uint32_t", f"{side}_order", (depth,)),
        CField("uint32_t", f"{side}_count"),
        CField(spec.dtype.c_type, f"{side}_rows", (depth * _c.count_of(spec),)),
    )


def _row(side: str, spec: TensorSpec) -> str:
    return _c.plus(f"self->{side}_rows", _c.times("row", _c.count_of(spec)))


def _waits_too_long(side: str, over: str) -> str:
    oldest = f"self->{side}_taken[self->{side}_order[0]]"
    return f"self->{side}_count > 0 && now - {oldest} >= {over}"


def _taken(side: str, place: str) -> str:
    return f"join_by_time_take(self->{side}_order, &self->{side}_count, {place})"


def _missing(left: TensorSpec) -> str:
    return _c.lines(
        f"const uint32_t row = {_taken('left', '0')};",
        f"{left.dtype.c_type} *missing = limen_emit(call, 1, &self->left_headers[row]);",
        _c.copied("missing", _row("left", left), left),
    )


def _nearest(side: str, port: int, near: str) -> str:
    """Look among what waits on a side for what fits to what came on a port."""
    return _c.lines(
        f"const uint32_t place = join_by_time_nearest(self->{side}_headers, self->{side}_order,",
        f"    self->{side}_count, call->headers[{port}]->creation, {near});",
    )


def _kept(side: str, port: int, spec: TensorSpec) -> str:
    """Keep what came on a side."""
    return _c.lines(
        f"const uint32_t row = self->{side}_order[self->{side}_count++];",
        f"self->{side}_headers[row] = *call->headers[{port}];",
        f"self->{side}_taken[row] = now;",
        _c.copied(_row(side, spec), f"in_{side}", spec),
    )
