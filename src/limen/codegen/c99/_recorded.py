"""Inputs that a graph's sources gave once, as an image that a firmware reads them from."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from limen.codegen.c99._described import Hook
from limen.errors import Code, ConfigurationError, SensorError
from limen.node import Produced, Source, SourceSignal
from limen.platform import SimClock
from limen.types import TensorSpec, Ticks

_MAGIC: Final = 0x314D494C
_HEAD: Final = struct.Struct("<II")
_ROW: Final = struct.Struct("<IIII")
_ENTRY: Final = struct.Struct("<qqqqIIII")
_MESSAGE, _FAILURE, _END = 0, 1, 2
_UNTIMED, _CREATION, _DEADLINE, _MAX_AGE, _DEGRADE = 1, 2, 4, 8, 16
_ROOM: Final = 16 << 20
_ALIGNED: Final = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave when it was asked.

    Attributes:
        due: From when on it was there; None of a source without a schedule.
        payload: The bytes of its message; None where there is none.
        failed: Whether it could not be read. What is neither payload nor failure is the end.
        creation: When the device says that it made it, in ticks.
        deadline_ns: The absolute deadline that the device set.
        qos: Its class.
        max_age_ns: Age past which it is stale.
        degrade_allowed: Whether a node may handle it in its cheaper form.
    """

    due: int | None
    payload: bytes | None = None
    failed: bool = False
    creation: int | None = None
    deadline_ns: int | None = None
    qos: int = 2
    max_age_ns: int | None = None
    degrade_allowed: bool = False


def record(source: Source, tick_rate_hz: int, start: int = 0) -> list[Reading]:
    """Read a source to its end, each message as soon as it is due.

    Args:
        source: A source of tensors that ends; prepared, opened and closed here.
        tick_rate_hz: Of the graph's clock.
        start: The instant at which the graph starts, in ticks.

    Raises:
        ConfigurationError: It gives objects, or waits for what no schedule tells.
        LimenError: It could not be opened.
    """
    source.prepare()
    spec = source.spec()
    if not isinstance(spec, TensorSpec):
        raise ConfigurationError(
            "a source of objects cannot be recorded for a firmware", remedy="let it give tensors"
        )
    clock = SimClock(tick_rate_hz, start)
    source.open(clock, clock.now_ticks())
    try:
        return list(_readings(source, spec, clock))
    finally:
        source.close()


def _readings(source: Source, spec: TensorSpec, clock: SimClock) -> list[Reading]:
    readings: list[Reading] = []
    while len(readings) * (_ENTRY.size + spec.size_bytes) <= _ROOM:
        due = source.next_due()
        if due is not None:
            clock.wait_until(due)
        try:
            made = source.try_produce(clock.now_ticks())
        except SensorError:
            readings.append(Reading(due, failed=True))
            continue
        if isinstance(made, Produced):
            readings.append(_reading(made, due, spec))
        elif made is SourceSignal.END_OF_STREAM:
            readings.append(Reading(due))
            return readings
        elif due is None or source.next_due() == due:
            raise ConfigurationError(
                "a source that waits for something from outside cannot be recorded",
                remedy="record it to a file first, and give that as input",
            )
    raise _no_room()


def _reading(made: Produced, due: Ticks | None, spec: TensorSpec) -> Reading:
    array = np.asarray(made.payload, dtype=spec.dtype.numpy_dtype())
    return Reading(
        due,
        array.tobytes(),
        creation=made.creation_tick,
        deadline_ns=made.deadline_ns,
        qos=int(made.qos),
        max_age_ns=made.max_age_ns,
        degrade_allowed=made.degrade_allowed,
    )


def make_image(recordings: Sequence[Sequence[Reading]], sources: Sequence[Hook]) -> bytes:
    """Return what the emulator lays into the board's memory, where ``recorded.c`` reads it.

    Args:
        recordings: Of each source, in the order of the graph's; the end is added where it is
            missing.
        sources: The graph's sources that the application supplies.

    Raises:
        ConfigurationError: There are more or fewer recordings than sources, a payload is of another
            size, or the board has no room for all.
    """
    if len(recordings) != len(sources):
        names = ", ".join(hook.name for hook in sources) or "none"
        raise ConfigurationError(
            f"there are {len(recordings)} recordings, and the application's sources are: {names}",
            remedy="give one recording a source",
        )
    bodies: list[bytes] = []
    rows: list[bytes] = []
    at = _HEAD.size + _ROW.size * len(recordings)
    for readings, hook in zip(recordings, sources, strict=True):
        entries = [_encode(reading, hook) for reading in readings]
        if not readings or readings[-1].payload is not None or readings[-1].failed:
            last = readings[-1].due if readings else 0
            entries.append(_encode(Reading(last), hook))
        rows.append(_ROW.pack(at, len(entries), hook.size_bytes, 0))
        body = b"".join(entries)
        bodies.append(body)
        at += len(body)
    if at > _ROOM:
        raise _no_room()
    return b"".join([_HEAD.pack(_MAGIC, len(recordings)), *rows, *bodies])


def _no_room() -> ConfigurationError:
    return ConfigurationError(
        f"the inputs take more than the {_ROOM} bytes that the emulated board has room for",
        code=Code.RESOURCE_UNAVAILABLE,
        remedy="give a shorter recording",
    )


def _encode(reading: Reading, hook: Hook) -> bytes:
    if reading.payload is not None and len(reading.payload) != hook.size_bytes:
        raise ConfigurationError(
            f"a message of source {hook.name} has {len(reading.payload)} bytes, "
            f"and not {hook.size_bytes}"
        )
    what = _MESSAGE if reading.payload is not None else _FAILURE if reading.failed else _END
    states = (
        (_UNTIMED if reading.due is None else 0)
        | (_CREATION if reading.creation is not None else 0)
        | (_DEADLINE if reading.deadline_ns is not None else 0)
        | (_MAX_AGE if reading.max_age_ns is not None else 0)
        | (_DEGRADE if reading.degrade_allowed else 0)
    )
    head = _ENTRY.pack(
        reading.due or 0,
        reading.creation or 0,
        reading.deadline_ns or 0,
        reading.max_age_ns or 0,
        *(what, states, reading.qos, 0),
    )
    payload = reading.payload or b""
    return head + payload + bytes(-len(payload) % _ALIGNED)
