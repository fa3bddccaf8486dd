"""The C form of ``Moving``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limen.node import CForm, NodePorts
from limen.nodes import _c, _samples_c
from limen.nodes._base import REALS
from limen.types import TensorSpec

# Of each sum over time: where it begins, and what a sample x does to it.
_BEGIN: Final = {
    "mean": ("double sum = 0.0;",),
    "variance": ("double centre = 0.0;", "double spread = 0.0;"),
    "rms": ("double squares = 0.0;",),
}
_STEPS: Final = {
    "mean": ("sum = sum + x;",),
    "variance": (
        "const double off = x - centre;",
        "const double part = off / (double)(k + 1);",
        "centre = centre + part;",
        "const double left = x - centre;",
        "const double area = off * left;",
        "spread = spread + area;",
    ),
    "rms": ("const double square = x * x;", "squares = squares + square;"),
}
_RESULT: Final = {
    "mean": "sum / {size}",
    "variance": "spread / {free}",
    "rms": "sqrt(squares / {size})",
    "min": "least",
    "max": "most",
}
_EXTREMES: Final = {"min": ("least", "<"), "max": ("most", ">")}


def form(ports: NodePorts, statistics: Sequence[str], size: int, stride: int, ddof: int) -> CForm:
    """Return the pass over the samples, from the oldest to the newest."""
    arriving, leaving = _c.tensors("moving", ports)
    ring = _samples_c.ring("moving", arriving, size, stride)
    count = _c.count_of(arriving)
    element = _c.at("i", count)
    once = tuple(dict.fromkeys(statistics))
    sums = any(name in _STEPS for name in once)
    first = _sample("self->head", count, element)
    begin: list[str] = []
    steps: list[str] = []
    for name in once:
        if name in _STEPS:
            begin += _BEGIN[name]
            steps += _STEPS[name]
        else:
            best, sign = _EXTREMES[name]
            begin.append(f"{arriving.dtype.c_type} {best} = {first};")
            nan = " || sample != sample" if arriving.dtype in REALS else ""
            steps.append(_c.block(f"if (sample {sign} {best}{nan})", f"{best} = sample;"))
    numbers = {"size": f"{size}.0", "free": f"{size - ddof}.0"}
    results = [
        f"out[{_place(place, count, element)}] = "
        f"{_result(name, arriving, leaving).format(**numbers)};"
        for place, name in enumerate(statistics)
    ]
    call = _c.lines(
        ring.keep,
        _c.opened(0, leaving),
        _c.loop(
            "i",
            count,
            *begin,
            "uint32_t row = self->head;",
            _c.block(
                f"for (uint32_t k = 0; k < {size}; k++)",
                f"const {arriving.dtype.c_type} sample = {_sample('row', count, element)};",
                "const double x = (double)sample;" if sums else "",
                *steps,
                f"row = row == {size - 1} ? 0 : row + 1;",
            ),
            *results,
        ),
        _c.DONE,
    )
    headers = ("math.h", "string.h") if "rms" in once else ("string.h",)
    return CForm(call=call, state=ring.state, start=ring.start, headers=headers)


def _sample(row: str, count: int, element: str) -> str:
    return f"self->ring[{_c.plus(_c.times(row, count), element)}]"


def _place(statistic: int, count: int, element: str) -> str:
    if element == "0":
        return str(statistic)
    return _c.plus(element, statistic * count)


def _result(name: str, arriving: TensorSpec, leaving: TensorSpec) -> str:
    """Return a statistic in the type of the results, rounded to it once."""
    held = arriving.dtype.c_type if name in _EXTREMES else "double"
    kind = leaving.dtype.c_type
    value = _RESULT[name]
    if held == kind:
        return value
    return f"({kind}){value}" if " " not in value or value.endswith(")") else f"({kind})({value})"
