"""The words everything else is said in: ids, ticks, dtypes, payload specs, classes, units."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.types._checks import require_type, require_whole
from limen.types._classes import ClockDomainId, CriticalityClass, MemoryClass, QoSClass
from limen.types._dtypes import DataType
from limen.types._ids import (
    INVALID_TOKEN,
    DeadlineNs,
    EdgeIndex,
    MessageToken,
    NodeIndex,
    PortId,
    PortIndex,
    SequenceNumber,
    Ticks,
    TraceId,
    make_trace_id,
    split_trace_id,
)
from limen.types._offers import Offer, load_offer, offers
from limen.types._specs import (
    Axis,
    ObjectSpec,
    PayloadSpec,
    TensorSpec,
    UpTo,
    describe_spec,
    spec_from_annotation,
)
from limen.types._text import error_text, nearest, printable
from limen.types._ticks import (
    MAX_TICKS,
    saturating_add,
    saturating_sub,
    wrapping_add,
    wrapping_sub,
)
from limen.types._units import (
    format_bytes,
    format_ns,
    parse_duration_ns,
    parse_offset_ns,
    parse_size_bytes,
)

if TYPE_CHECKING:
    from limen.types._halves import BF16, F16, FloatClass
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.types._halves": ("BF16", "F16", "FloatClass"),
        },
    )

__all__ = [
    "BF16",
    "F16",
    "INVALID_TOKEN",
    "MAX_TICKS",
    "Axis",
    "ClockDomainId",
    "CriticalityClass",
    "DataType",
    "DeadlineNs",
    "EdgeIndex",
    "FloatClass",
    "MemoryClass",
    "MessageToken",
    "NodeIndex",
    "ObjectSpec",
    "Offer",
    "PayloadSpec",
    "PortId",
    "PortIndex",
    "QoSClass",
    "SequenceNumber",
    "TensorSpec",
    "Ticks",
    "TraceId",
    "UpTo",
    "describe_spec",
    "error_text",
    "format_bytes",
    "format_ns",
    "load_offer",
    "make_trace_id",
    "nearest",
    "offers",
    "parse_duration_ns",
    "parse_offset_ns",
    "parse_size_bytes",
    "printable",
    "require_type",
    "require_whole",
    "saturating_add",
    "saturating_sub",
    "spec_from_annotation",
    "split_trace_id",
    "wrapping_add",
    "wrapping_sub",
]
