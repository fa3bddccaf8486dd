"""A graph as an SVG: boxes in columns by longest path, and the text of each edge on its wire.

Text has a column of its own between two columns of boxes, and an edge that passes a column has a
place in it. What stands in one column is kept apart, so that no two of them overlap.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from limen.graph._draw import Arrow, Box, escaper, sketch
from limen.graph._verify import VerifiedGraph

_LINE, _MARGIN, _HEAD, _APART, _PORT, _TURN, _TIP = 16.0, 28.0, 40.0, 14.0, 16.0, 12.0, 9.0
_SWEEPS, _TURNS, _LONGEST = 12, 12, 40
_KINDS: Final = ("source", "process", "model", "split", "join", "sink")
_STYLE: Final = """
.card { fill: #ffffff; stroke: #d9dee5; }
.box { fill: #f5f7fa; stroke: #8a97a8; stroke-width: 1.5; }
.source { fill: #e8f1fb; stroke: #3b6ea5; }
.model { fill: #e9f3f1; stroke: #23796b; }
.split, .join { fill: #fdf3e1; stroke: #b07a1e; }
.sink { fill: #f4ecf8; stroke: #7d4f99; }
.wire { fill: none; stroke: #8a97a8; stroke-width: 1.6; }
.back { stroke-dasharray: 6 4; }
.tip { fill: #8a97a8; }
text { font-family: ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; text-anchor: middle;
  fill: #1d2733; stroke: #ffffff; stroke-width: 0; paint-order: stroke; font-size: 12px; }
.graph { font-size: 17px; font-weight: 600; text-anchor: start; }
.name { font-size: 15px; font-weight: 600; }
.kind, .rule { fill: #5a6878; }
.port { font-style: italic; }
.port, .type, .rule { stroke-width: 4px; }
@media (prefers-color-scheme: dark) {
  .card { fill: #10161d; stroke: #2b3541; }
  .box { fill: #1a222c; stroke: #7d8b9c; }
  .source { fill: #14283d; stroke: #6ea3dc; }
  .model { fill: #13302c; stroke: #57bba8; }
  .split, .join { fill: #33270f; stroke: #d6a24a; }
  .sink { fill: #2b1f33; stroke: #b98ad4; }
  .wire { stroke: #7d8b9c; }
  .tip { fill: #7d8b9c; }
  text { fill: #e6ebf1; stroke: #10161d; }
  .kind, .rule { fill: #9eabba; }
}
"""

_escape = escaper(r"[A-Za-z0-9 _.,:()\[\]-]", lambda c: f"&#{ord(c)};")


@dataclass(slots=True, eq=False)
class _Item:
    """What has a place in a column: a box, the text of an edge, or a wire alone.

    ``y`` is where its wire runs; ``up`` and ``down`` reach from there to its ends, ``left`` and
    ``right`` are the sides of its column. ``before`` and ``after`` are its neighbours there.
    """

    width: float = 0.0
    up: float = 5.0
    down: float = 5.0
    y: float = 0.0
    left: float = 0.0
    right: float = 0.0
    place: int = 0
    before: list[_Item] = field(default_factory=list)
    after: list[_Item] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2


def to_svg(graph: VerifiedGraph) -> str:
    """Draw a graph as an SVG document that stands alone, for light and dark backgrounds."""
    drawn = sketch(graph)
    layout = _Layout(drawn.boxes, drawn.arrows)
    parts = [part for i, box in enumerate(drawn.boxes) for part in layout.box(i, box)]
    parts = [*layout.wires(), *layout.loops(), *parts]
    title, shown = _escape(drawn.name), _short(drawn.name, 60)
    width = max(layout.right + _MARGIN, _width(shown, 17) * 1.1 + 2 * _MARGIN)
    height = max((bottom for _, _, bottom in layout.taken), default=_HEAD) + _MARGIN
    size = f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{_n(width - 1)}" '
            f'height="{_n(height - 1)}" rx="12"/>',
            _text("graph", _MARGIN, 36, shown),
            *parts,
            "</svg>\n",
        ]
    )


class _Layout:
    """Places for boxes and edges; an edge whose end is not right of its start goes around below."""

    def __init__(self, boxes: tuple[Box, ...], arrows: tuple[Arrow, ...]) -> None:
        self.ranks = [box.rank for box in boxes]
        self.ahead = [a for a in arrows if self.ranks[a.start] < self.ranks[a.end]]
        self.back = [a for a in arrows if self.ranks[a.start] >= self.ranks[a.end]]
        self.back.sort(key=lambda a: self.ranks[a.start] - self.ranks[a.end])
        self.items = [self._item(i, box) for i, box in enumerate(boxes)]
        self.columns: list[list[_Item]] = [[] for _ in range(2 * max(self.ranks, default=0) + 1)]
        for rank, item in zip(self.ranks, self.items, strict=True):
            self.columns[2 * rank].append(item)
        self.paths = [self._path(arrow) for arrow in self.ahead]
        _order(self.columns)
        _align(self.columns)
        self._set_apart()
        every = [item for column in self.columns for item in column]
        self.right = max((item.right for item in every), default=0.0)
        self.right += _TURN * sum(
            2 * self.ranks[a.start] == len(self.columns) - 1 for a in self.back
        )
        self.taken = [(item.left, item.right, item.y + item.down) for item in every]

    def _item(self, index: int, box: Box) -> _Item:
        name, note = _width(_short(box.name), 15) * 1.08, _width(_short(box.note), 12)
        half = 25.0
        for end in ("start", "end"):
            ahead, back = (len(_at(index, end, arrows)) for arrows in (self.ahead, self.back))
            half = max(half, _PORT * (max(ahead - 1, 0) / 2 + back) + 10)
        return _Item(max(name, note, 56.0) + 32, half, half)

    def _path(self, arrow: Arrow) -> list[_Item]:
        """Give an edge its places in the columns that it passes."""
        first, last = 2 * self.ranks[arrow.start] + 1, 2 * self.ranks[arrow.end]
        text = _Item(_label_width(arrow), _LINE * len(arrow.carries), _LINE * len(arrow.keeps) + 4)
        passed = [text, *(_Item() for _ in range(first + 1, last))]
        for column, item in enumerate(passed, first):
            self.columns[column].append(item)
        path = [self.items[arrow.start], *passed, self.items[arrow.end]]
        for left, right in pairwise(path):
            left.after.append(right)
            right.before.append(left)
        return path

    def _set_apart(self) -> None:
        """Find the sides of the columns; steep wires, and those that go back, need room between."""
        top = min((item.y - item.up for column in self.columns for item in column), default=0.0)
        x = _MARGIN + _TURN * sum(self.ranks[a.end] == 0 for a in self.back)
        for number, column in enumerate(self.columns):
            width = max((item.width for item in column), default=0.0)
            for item in column:
                item.left, item.right = x, x + width
            rise = max((abs(b.y - a.y) for a in column for b in a.after), default=0.0)
            ends = [(2 * self.ranks[a.start], 2 * self.ranks[a.end] - 1) for a in self.back]
            x += width + min(26 + rise / 6, 90.0) + _TURN * sum(number in pair for pair in ends)
        for item in (item for column in self.columns for item in column):
            item.y += _MARGIN + _HEAD - top

    def wires(self) -> Iterator[str]:
        """Print the edges that go right."""
        starts, ends = self._spread("start", 1), self._spread("end", -2)
        for number, (arrow, path) in enumerate(zip(self.ahead, self.paths, strict=True)):
            source, sink = path[0], path[-1]
            x, y = source.middle + source.width / 2, starts[number]
            tip = sink.middle - sink.width / 2
            d = f"M{_n(x)} {_n(y)}H{_n(source.right)}"
            x = source.right
            for item in path[1:]:
                to = ends[number] if item is sink else item.y
                middle = (x + item.left) / 2
                d += f"C{_n(middle)} {_n(y)} {_n(middle)} {_n(to)} {_n(item.left)} {_n(to)}"
                d += f"H{_n(tip - _TIP if item is sink else item.right)}"
                x, y = item.right, to
            yield from _edge(arrow, d, tip, y, path[1].middle, path[1].y)

    def loops(self) -> Iterator[str]:
        """Print the edges that go back, each on a lane of its own below everything."""
        for number, arrow in enumerate(self.back):
            source, sink = self.items[arrow.start], self.items[arrow.end]
            out, into = _at(arrow.start, "start", self.back), _at(arrow.end, "end", self.back)
            y1 = source.y + source.down - 10 - _PORT * out.index(number)
            y2 = sink.y + sink.down - 10 - _PORT * into.index(number)
            column = [n for n, a in enumerate(self.back) if self._ends_like(a, arrow, "start")]
            x1 = source.right + _TURN * (1 + column.index(number))
            column = [n for n, a in enumerate(self.back) if self._ends_like(a, arrow, "end")]
            x2 = sink.left - _TURN * (1 + column.index(number)) - 4
            lane = self._below(x2, x1) + _LINE * len(arrow.carries) + 14
            self.taken.append((x2, x1, lane + _LINE * len(arrow.keeps) + 6))
            tip = sink.middle - sink.width / 2
            d = f"M{_n(source.middle + source.width / 2)} {_n(y1)}H{_n(x1 - 8)}"
            d += f"Q{_n(x1)} {_n(y1)} {_n(x1)} {_n(y1 + 8)}V{_n(lane - 8)}"
            d += f"Q{_n(x1)} {_n(lane)} {_n(x1 - 8)} {_n(lane)}H{_n(x2 + 8)}"
            d += f"Q{_n(x2)} {_n(lane)} {_n(x2)} {_n(lane - 8)}V{_n(y2 + 8)}"
            d += f"Q{_n(x2)} {_n(y2)} {_n(x2 + 8)} {_n(y2)}H{_n(tip - _TIP)}"
            middle = max((x1 + x2) / 2, _label_width(arrow) / 2 + 8)
            self.right = max(self.right, middle + _label_width(arrow) / 2)
            yield from _edge(arrow, d, tip, y2, middle, lane)

    def _below(self, left: float, right: float) -> float:
        """Return where what has been placed between two sides ends."""
        return max((b for x1, x2, b in self.taken if x1 <= right and left <= x2), default=_HEAD)

    def _ends_like(self, one: Arrow, other: Arrow, end: str) -> bool:
        return self.ranks[_end(one, end)] == self.ranks[_end(other, end)]

    def _spread(self, end: str, near: int) -> dict[int, float]:
        """Spread the ends of edges over the sides of their boxes, in the order of the other end."""
        found = {}
        for index, box in enumerate(self.items):
            mine = sorted(_at(index, end, self.ahead), key=lambda n: self.paths[n][near].y)
            # Edges that go back end at the foot of the box, clear of these.
            for place, number in enumerate(mine):
                found[number] = box.y + _PORT * (place - (len(mine) - 1) / 2)
        return found

    def box(self, index: int, box: Box) -> Iterator[str]:
        """Print a node."""
        item = self.items[index]
        kind = box.kind if box.kind in _KINDS else "process"
        radius = min(item.up, 25.0) if kind in ("source", "sink") else 8
        yield f"<g><title>{_escape(box.name)}: {_escape(box.note)}</title>"
        yield (
            f'<rect class="box {kind}" x="{_n(item.middle - item.width / 2)}" '
            f'y="{_n(item.y - item.up)}" width="{_n(item.width)}" '
            f'height="{_n(item.up + item.down)}" rx="{_n(radius)}"/>'
        )
        yield _text("name", item.middle, item.y - 2, _short(box.name))
        yield _text("kind", item.middle, item.y + 15, _short(box.note)) + "</g>"


def _end(arrow: Arrow, end: str) -> int:
    return arrow.start if end == "start" else arrow.end


def _at(index: int, end: str, arrows: list[Arrow]) -> list[int]:
    return [number for number, arrow in enumerate(arrows) if _end(arrow, end) == index]


def _edge(arrow: Arrow, d: str, tip: float, y: float, x: float, wire: float) -> Iterator[str]:
    """Print an edge: its wire, its tip, the text above the wire and that below."""
    text = ", ".join((*arrow.carries, *arrow.keeps))
    yield f"<g><title>{_escape(text)}</title>"
    yield f'<path class="wire{" back" if arrow.is_feedback else ""}" d="{d}"/>'
    yield f'<path class="tip" d="M{_n(tip)} {_n(y)}l{_n(-_TIP)} -5v10z"/>'
    above = wire - 6 - _LINE * (len(arrow.carries) - 1)
    for line in range(len(arrow.carries)):
        kind = "type" if line == len(arrow.carries) - 1 else "port"
        yield _text(kind, x, above + _LINE * line, _short(arrow.carries[line]))
    for line, words in enumerate(arrow.keeps):
        yield _text("rule", x, wire + 15 + _LINE * line, _short(words))
    yield "</g>"


def _order(columns: list[list[_Item]]) -> None:
    """Sort columns by the mean place of their neighbours, and keep the order that crosses least."""
    best, least = [list(column) for column in columns], _number(columns)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            column.sort(key=lambda item: _mean_place(item, ahead=sweep % 2 == 1))
            _number([column])
        crossings = _number(columns)
        if crossings < least:
            best, least = [list(column) for column in columns], crossings
    columns[:] = best
    _number(columns)


def _mean_place(item: _Item, *, ahead: bool) -> float:
    near = item.after if ahead else item.before
    return sum(other.place for other in near) / len(near) if near else float(item.place)


def _number(columns: Iterable[list[_Item]]) -> int:
    """Write down the places, and count the crossings between neighbouring columns."""
    columns = list(columns)
    for column in columns:
        for place, item in enumerate(column):
            item.place = place
    crossings = 0
    for column in columns:
        ends = [place for item in column for place in sorted(other.place for other in item.after)]
        crossings += sum(b < a for i, a in enumerate(ends) for b in ends[i + 1 :])
    return crossings


def _align(columns: list[list[_Item]]) -> None:
    """Move everything towards the mean of its neighbours, as far as its column lets it.

    The last turn goes right, so that a chain is straight from its beginning.
    """
    for column in columns:
        _settle(column, [0.0] * len(column))
    for turn in range(_TURNS):
        for column in columns if turn % 2 else reversed(columns):
            near = [item.before if turn % 2 else item.after for item in column]
            _settle(
                column,
                [
                    sum(other.y for other in others) / len(others) if others else item.y
                    for item, others in zip(column, near, strict=True)
                ],
            )


def _settle(column: list[_Item], wanted: list[float]) -> None:
    """Place a column as near to what is wanted as order and distances allow (least squares).

    With the distances taken off, the best places are an isotonic regression: neighbours that
    would change their order share the mean of what they want.
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + above.down + _APART + below.up)
    groups: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        total, count = want - offset, 1
        while groups and groups[-1][0] / groups[-1][1] >= total / count:
            before, size = groups.pop()
            total, count = total + before, count + size
        groups.append((total, count))
    places = [total / count for total, count in groups for _ in range(count)]
    for item, place, offset in zip(column, places, offsets, strict=False):
        item.y = place + offset


def _label_width(arrow: Arrow) -> float:
    return max(_width(_short(line), 12) for line in (*arrow.carries, *arrow.keeps)) + 8


def _width(text: str, size: float) -> float:
    """Estimate the width of text in a common sans-serif font."""
    return size * sum(_advance(character) for character in text)


def _advance(character: str) -> float:
    if character in "iljtfrI.,:;'|[]() ":
        return 0.38
    if character in "mwMW@%":
        return 0.92
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.62 if character.islower() or character.isdigit() else 0.72


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{_escape(text)}</text>'


def _n(value: float) -> str:
    """Print a coordinate with one decimal at most."""
    return f"{round(value, 1) + 0.0:.10g}"
