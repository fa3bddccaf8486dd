"""What a line says about a message."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from limen.message import Message
from limen.platform import PlatformClock
from limen.types import PayloadSpec, TensorSpec


def record_of(
    message: Message, now_ns: int, spec: PayloadSpec, clock: PlatformClock
) -> dict[str, object]:
    """Return a message as builtin values, in the order they are written.

    ``time_s`` is its creation in seconds since the clock's epoch. A tensor with labels becomes
    ``label`` and ``probability`` of its largest entry (both None where that is NaN), anything else
    ``value``.
    """
    header = message.header
    creation_ns = clock.ticks_to_nanos(header.creation_tick)
    record: dict[str, object] = {
        "sequence": int(header.sequence),
        "time_s": round(creation_ns / 1e9, 6),
    }
    best = best_label(message.payload, spec)
    if best is not None:
        record["label"], record["probability"] = best
    elif isinstance(spec, TensorSpec):
        record["value"] = _as_plain(message.payload)
    else:
        record["value"] = msgspec.to_builtins(message.payload, str_keys=True, enc_hook=_as_builtin)
    record["age_ms"] = round((now_ns - creation_ns) / 1e6, 3)
    if header.flags:
        record["flags"] = flag_names(message)
    return record


def best_label(payload: object, spec: PayloadSpec) -> tuple[str | None, float | None] | None:
    """Return label and value of the largest entry; None for what is not one row of labels."""
    if not isinstance(spec, TensorSpec) or not spec.labels:
        return None
    values = np.asarray(payload).reshape(-1)
    if len(values) != len(spec.labels):
        return None
    index = int(np.argmax(values))
    value = float(values[index])
    if math.isnan(value):
        return None, None
    return spec.labels[index], round(value, 6) if math.isfinite(value) else None


def flag_names(message: Message) -> list[str]:
    """Return the names of a message's marks."""
    return [str(flag.name).lower() for flag in message.header.flags]


def _as_plain(payload: object) -> object:
    array = np.asarray(payload)
    if array.dtype.kind not in "biuf":
        array = array.astype(np.float64)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        plain = array.astype(object)
        plain[~np.isfinite(array)] = None
        return plain.tolist()
    return array.tolist()


def _as_builtin(value: object) -> object:
    if isinstance(value, (np.ndarray, np.generic)):
        return _as_plain(value)
    return str(value)
