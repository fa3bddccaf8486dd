"""Reads of a TFLite file what must be known before an engine is given it.

LiteRT verifies that a file's offsets stay inside it, but neither that there is a graph nor that an
operator has the inputs it cannot do without; both end the process. Field numbers are those of the
published schema, ``schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from limen.backends._ports import EnginePort

_TYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64"),
    *("int8", "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16"),
    *("int4", "bfloat16"),
)
_NO_NUMBERS = ("string", "complex64", "complex128", "resource", "variant", "int4")

# Operators by code, and the first of their inputs that may be missing.
_CONV_2D, _DEPTHWISE_CONV_2D, _FULLY_CONNECTED, _LSTM, _SVDF, _CUSTOM = 3, 4, 9, 16, 27, 32
_SEQUENCE_LSTM, _BOTH_WAYS_RNN, _BOTH_WAYS_LSTM, _TRANSPOSE_CONV, _CONV_3D = 44, 46, 52, 67, 141
_FIRST_MISSING = {
    **dict.fromkeys((_CONV_2D, _DEPTHWISE_CONV_2D, _FULLY_CONNECTED, _CONV_3D), 2),
    **dict.fromkeys((_SVDF, _TRANSPOSE_CONV), 3),
    **dict.fromkeys((_LSTM, _SEQUENCE_LSTM, _BOTH_WAYS_RNN, _BOTH_WAYS_LSTM), 1),
    _CUSTOM: 0,
}
_FIRST_COMPOSITE = 128  # Codes from here on are young; many stand for graphs of their own.


@dataclass(frozen=True, slots=True)
class TflitePort:
    """A tensor of the main graph, and the number that the engine knows it by."""

    index: int
    port: EnginePort


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """What a file says of its main graph.

    Attributes:
        inputs: In the model's order.
        outputs: Likewise.
        labels_text: The metadata entry ``labels``; None where there is none.
    """

    inputs: tuple[TflitePort, ...]
    outputs: tuple[TflitePort, ...]
    labels_text: str | None


def read_tflite(data: bytes) -> TfliteFile:
    """Read a file's ports and labels, and check its graphs.

    Raises:
        ValueError: It is no TFLite file, or one that would end the process.
    """
    if not data:
        raise ValueError("it is empty")
    if data[4:8] != b"TFL3":
        raise ValueError("it does not bear the mark TFL3")
    try:
        model = _Table(data, _unsigned(data, 0))
        graphs = list(model.tables(2))
        codes = [max(code.signed_byte(0), code.signed(3)) for code in model.tables(1)]
        buffers = list(model.tables(4))
        for number, graph in enumerate(graphs):
            _check_graph(graph, codes, number)
        if not graphs:
            raise ValueError("it has no graph")
        main = graphs[0]
        tensors = list(main.tables(0))
        inputs, outputs = (
            tuple(TflitePort(at, _port(tensors[at], at)) for at in main.numbers(place))
            for place in (1, 2)
        )
        return TfliteFile(inputs, outputs, _labels(model, buffers))
    except (struct.error, IndexError) as error:
        raise ValueError("it is cut off or damaged") from error


class _Table:
    """A flatbuffer table; reading outside the file raises."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _signed(data, at)
        if self._fields < 0:
            raise IndexError(self._fields)
        (self._size,) = struct.unpack_from("<H", data, self._fields)

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot + 2 > self._size:
            return None
        (offset,) = struct.unpack_from("<H", self._data, self._fields + slot)
        return self._at + int(offset) if offset else None

    def signed_byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else int(struct.unpack_from("<b", self._data, place)[0])

    def signed(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else _signed(self._data, place)

    def unsigned(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else _unsigned(self._data, place)

    def _vector(self, field: int) -> tuple[int, int]:
        """Return where a vector's entries begin, and their count; none where it is missing."""
        place = self._place(field)
        if place is None:
            return 0, 0
        begin = place + _unsigned(self._data, place)
        return begin + 4, _unsigned(self._data, begin)

    def numbers(self, field: int) -> tuple[int, ...]:
        begin, count = self._vector(field)
        if begin + 4 * count > len(self._data):
            raise IndexError(count)
        return struct.unpack_from(f"<{count}i", self._data, begin)

    def content(self, field: int) -> bytes:
        begin, count = self._vector(field)
        if begin + count > len(self._data):
            raise IndexError(count)
        return self._data[begin : begin + count]

    def tables(self, field: int) -> Iterator[_Table]:
        begin, count = self._vector(field)
        if begin + 4 * count > len(self._data):
            raise IndexError(count)
        for at in range(begin, begin + 4 * count, 4):
            yield _Table(self._data, at + _unsigned(self._data, at))


def _check_graph(graph: _Table, codes: list[int], number: int) -> None:
    """Refuse a graph whose operators name tensors that there are not."""
    tensors = list(graph.tables(0))
    for at in (*graph.numbers(1), *graph.numbers(2)):
        if not 0 <= at < len(tensors):
            raise ValueError(f"graph {number} has no tensor {at}")
    for place, operator in enumerate(graph.tables(3)):
        wrong = _wrong_with(operator, codes[operator.unsigned(0)], tensors)
        if wrong:
            raise ValueError(f"operator {place} of graph {number} {wrong}")


def _wrong_with(operator: _Table, code: int, tensors: list[_Table]) -> str | None:
    takes, gives = operator.numbers(1), operator.numbers(2)
    may_miss = _FIRST_MISSING.get(code, 0 if code >= _FIRST_COMPOSITE else len(takes))
    for position, at in enumerate((*takes, *gives)):
        if at == -1 and may_miss <= position < len(takes):
            continue
        if not 0 <= at < len(tensors):
            return "lacks an input" if at == -1 else f"names tensor {at}, which there is not"
    return None


def _port(tensor: _Table, at: int) -> EnginePort:
    code = tensor.signed_byte(1)
    kind = _TYPES[code] if 0 <= code < len(_TYPES) else f"of type {code}"
    signature = tensor.numbers(7) or tensor.numbers(0)
    shape = tuple(None if length < 0 else length for length in signature)
    name = tensor.content(3).decode("utf-8", "replace") or f"tensor{at}"
    known = code in range(len(_TYPES)) and kind not in _NO_NUMBERS
    return EnginePort(name, kind, kind if known else None, shape)


def _labels(model: _Table, buffers: list[_Table]) -> str | None:
    for entry in model.tables(6):
        if entry.content(0) == b"labels":
            return buffers[entry.unsigned(1)].content(0).decode("utf-8", "replace")
    return None


def _signed(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<i", data, at)[0])


def _unsigned(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
