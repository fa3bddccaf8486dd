"""The C form of ``Cast``."""

from __future__ import annotations

from typing import Final

import numpy as np

from limen.node import CForm, NodePorts
from limen.nodes import _c
from limen.nodes._base import REALS, WHOLES
from limen.types import DataType

_ROUND: Final = {"nearest": "rint", "down": "floor", "up": "ceil", "zero": "trunc"}

_FROM_F16: Final = """\
/* The value of half a float's bits, which a float holds exactly. */
static float cast_from_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t fraction = half & 0x3ffu;
    uint32_t bits;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 5.9604645e-08f;
        memcpy(&bits, &value, sizeof bits);
    } else {
        bits = (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    }
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}
"""

_TO_F16: Final = """\
/* Half a float's bits, to nearest, ties to even. */
static uint16_t cast_to_f16(double x)
{
    uint64_t bits;
    uint32_t half;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = (uint32_t)(bits >> 48) & 0x8000u;
    const double size = fabs(x);
    if (x != x) {
        half = 0x7e00;
    } else if (size >= 65520.0) {
        half = 0x7c00;
    } else if (size < 6.103515625e-05) {
        half = (uint32_t)rint(size * 16777216.0);
    } else {
        bits = (bits & UINT64_C(0x7fffffffffffffff)) - (UINT64_C(1008) << 52);
        bits += UINT64_C(0x1ffffffffff) + (bits >> 42 & 1);
        half = (uint32_t)(bits >> 42);
    }
    return (uint16_t)(sign | half);
}
"""


def form(ports: NodePorts, rounding: str) -> CForm:
    """Return the loop that converts, with what it calls.

    Of the conversions of f16 a loop needs one at most: a definition is in no two texts.
    """
    arriving, leaving = _c.tensors("cast", ports)
    source, target = arriving.dtype, leaving.dtype
    if source is target and source not in (DataType.BOOLEAN, *REALS):
        call = _c.lines(_c.sent(0, "in", leaving), _c.DONE)
        return CForm(call=call, headers=("string.h",))
    count = _c.count_of(arriving)
    at = _c.at("i", count)
    code, headers = "", set()
    x = f"in[{at}]"
    steps: list[str] = []
    if source is DataType.F16 and target is not DataType.BOOLEAN:
        code, x, source = _FROM_F16, f"cast_from_f16({x})", DataType.F32
        headers.add("string.h")
    elif source is DataType.BF16 and target is not DataType.BOOLEAN:
        steps = [
            f"const uint32_t wide = (uint32_t){x} << 16;",
            "float x;",
            "memcpy(&x, &wide, sizeof x);",
        ]
        x, source = "x", DataType.F32
        headers.add("string.h")
    if target is DataType.F16:
        code = _TO_F16
        headers |= {"math.h", "string.h"}
        steps.append(f"out[{at}] = cast_to_f16({_as(x, source, DataType.F64)});")
    elif target is DataType.BF16:
        headers.add("string.h")
        steps += _to_bf16(_as(x, source, DataType.F32), at)
    elif target is DataType.BOOLEAN:
        small = source in (DataType.F16, DataType.BF16)
        steps.append(f"out[{at}] = {f'({x} & 0x7fff)' if small else x} != 0;")
    elif target in WHOLES and source in REALS:
        headers.add("math.h")
        steps += _rounded(x, source, target, rounding, at)
    elif target in WHOLES and source in WHOLES:
        steps.append(f"out[{at}] = {_held(x, source, target)};")
    else:
        steps.append(f"out[{at}] = {_as(x, source, target)};")
    call = _c.lines(_c.opened(0, leaving), _c.loop("i", count, *steps), _c.DONE)
    return CForm(call=call, code=code, headers=tuple(sorted(headers)))


def _as(x: str, source: DataType, target: DataType) -> str:
    return x if source is target else f"({target.c_type}){x}"


def _to_bf16(x: str, at: str) -> list[str]:
    return [
        f"const float held = {x};",
        "uint32_t bits;",
        "memcpy(&bits, &held, sizeof bits);",
        "/* To nearest, ties to even; a NaN stays one. */",
        "bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;",
        f"out[{at}] = held != held ? 0x7fc0 : (uint16_t)bits;",
    ]


def _rounded(x: str, source: DataType, target: DataType, rounding: str, at: str) -> list[str]:
    """Return what rounds a real and holds it within a type; the limits are exact in both."""
    low, high = _limits(target)
    function = _ROUND[rounding] + ("f" if source is DataType.F32 else "")
    beyond, least = (_c.literal(float(limit), source) for limit in (high + 1, low))
    return [
        f"const {source.c_type} whole = {function}({x});",
        _c.block("if (whole != whole)", f"out[{at}] = 0;"),
        _c.block(f"else if (whole >= {beyond})", f"out[{at}] = {_c.literal(high, target)};"),
        _c.block(f"else if (whole < {least})", f"out[{at}] = {_c.literal(low, target)};"),
        _c.block("else", f"out[{at}] = ({target.c_type})whole;"),
    ]


def _held(x: str, source: DataType, target: DataType) -> str:
    """Return a whole number held within a type; what always holds is not asked."""
    (low, high), (least, most) = _limits(target), _limits(source)
    plain = f"({target.c_type}){x}"
    if most > high:
        plain = f"{x} > {_c.literal(high, source)} ? {_c.literal(high, target)} : {plain}"
    if least < low:
        plain = f"{x} < {_c.literal(low, source)} ? {_c.literal(low, target)} : {plain}"
    return plain


def _limits(dtype: DataType) -> tuple[int, int]:
    limits = np.iinfo(dtype.numpy_dtype().name)
    return int(limits.min), int(limits.max)
