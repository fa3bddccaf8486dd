"""Sources that stand where a device would be."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from limen.errors import ConfigurationError
from limen.node import Produced, Source, SourceSignal
from limen.platform import PlatformClock
from limen.testing._example import example_payload
from limen.types import DataType, ObjectSpec, PayloadSpec, TensorSpec, Ticks, UpTo

_SECOND: Final = 1_000_000_000
# What ports of these types carry as well.
_NUMBERS: Final[dict[type, tuple[type, ...]]] = {
    bool: (bool, np.bool_),
    int: (int, np.integer),
    float: (float, int, np.floating, np.integer),
    complex: (complex, float, int, np.number),
}


class Feed(Source):
    """Gives payloads at a steady rate, as a device would: a list, or made of a spec and a seed.

    Creation is the instant at which each was due. Entries of the list may be ``Produced``, with
    whatever their header shall say, and exceptions, which are raised.

    Args:
        payloads: What it gives, one after the other, and then it ends; None to make them without
            an end.
        rate_hz: Messages a second; None for as fast as they are taken.
        spec: Their type; that of the payloads if not given.
        seed: Which payloads are made.
        pausable: Whether it can be held back without a loss.
        clock_domain: Whose clock states its instants; the graph's own if not given.
        offset_ns: What the graph adds to those instants.

    Raises:
        ConfigurationError: The rate is no number above 0, or there is neither payload nor spec.
    """

    def __init__(
        self,
        payloads: Sequence[object] | None = None,
        *,
        rate_hz: float | Fraction | None = None,
        spec: PayloadSpec | None = None,
        seed: int = 0,
        pausable: bool = False,
        clock_domain: int | None = None,
        offset_ns: int = 0,
    ) -> None:
        self._payloads = None if payloads is None else list(payloads)
        self._spec = spec_of(self._payloads or (), "payloads") if spec is None else spec
        self._interval: Fraction | None = None
        if rate_hz is not None:
            self._interval = _SECOND / rate_of(rate_hz, "rate_hz")
        self._seed = seed
        self.pausable = pausable
        self.clock_domain = clock_domain
        self._offset_ns = offset_ns
        self._clock: PlatformClock | None = None
        self._anchor = 0
        self._origin = 0
        self._number = 0

    def spec(self) -> PayloadSpec:
        """Return the type of its payloads."""
        return self._spec

    def open(self, clock: PlatformClock, now: Ticks) -> None:
        """Begin: the first payload is due now."""
        self._clock = clock
        self._anchor, self._origin, self._number = now, 0, 0

    def next_due(self) -> Ticks | None:
        """Return the instant of the next payload; None without a rate."""
        if self._interval is None or self._clock is None:
            return None
        elapsed = int((self._number - self._origin) * self._interval)
        return Ticks(self._anchor + self._clock.nanos_to_ticks(elapsed))

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        """Return the next payload, if it is due."""
        due = self.next_due()
        if due is not None and now < due:
            return SourceSignal.NOTHING_NOW
        number = self._number
        if self._payloads is None:
            entry = example_payload(self._spec, self._seed + number)
        elif number < len(self._payloads):
            entry = self._payloads[number]
        else:
            return SourceSignal.END_OF_STREAM
        self._number += 1
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, Produced):
            return entry
        return Produced(entry, creation_tick=self._stated(due))

    def interval_ns(self) -> Fraction | None:
        """Return the distance between payloads; None without a rate."""
        return self._interval

    def resumed(self, now: Ticks) -> None:
        """Move the schedule so that what was held back is due now."""
        due = self.next_due()
        if due is not None and now > due:
            self._anchor, self._origin = now, self._number

    def _stated(self, due: Ticks | None) -> Ticks | None:
        """Return an instant as the source's own clock has it; None where that was not running."""
        if due is None or self._clock is None:
            return None
        own = due - self._clock.nanos_to_ticks(self._offset_ns)
        return Ticks(own) if own >= 0 else None


def rate_of(rate_hz: object, what: str) -> Fraction:
    """Return a rate as it is written: 0.1 is a tenth.

    Raises:
        ConfigurationError: It is no number above 0.
    """
    number = isinstance(rate_hz, (int, float, Fraction)) and not isinstance(rate_hz, bool)
    if number:
        try:
            rate = Fraction(str(rate_hz))
        except ValueError:
            rate = Fraction(0)
        if rate > 0:
            return rate
    raise ConfigurationError(f"{what} is {rate_hz!r}", remedy="give messages a second, above 0")


def spec_of(payloads: Sequence[object], what: str) -> PayloadSpec:
    """Return the type that all of these are of: where tensors differ in length, up to the longest.

    Raises:
        ConfigurationError: There are none, or they have nothing in common.
    """
    plain = [p.payload if isinstance(p, Produced) else p for p in payloads]
    plain = [p for p in plain if not isinstance(p, Exception)]
    if not plain:
        raise ConfigurationError(
            f"{what} holds no payload to read a type from", remedy="give payloads, or a spec"
        )
    arrays = [p for p in plain if isinstance(p, np.ndarray) and p.dtype.kind != "O"]
    if len(arrays) < len(plain):
        kinds = {type(p) for p in plain}
        return ObjectSpec(kinds.pop() if len(kinds) == 1 else object)
    dtypes = {array.dtype.name for array in arrays}
    ranks = {array.ndim for array in arrays}
    if len(dtypes) > 1 or len(ranks) > 1:
        shown = ", ".join(sorted({f"{a.dtype.name}{list(a.shape)}" for a in arrays}))
        raise ConfigurationError(
            f"{what} holds arrays of different types: {shown}",
            remedy="give arrays of one dtype and one number of axes",
        )
    shapes = zip(*(array.shape for array in arrays), strict=True)
    axes = [
        lengths[0] if len(set(lengths)) == 1 and lengths[0] else UpTo(max(1, *lengths))
        for lengths in shapes
    ]
    return TensorSpec(DataType.from_name(dtypes.pop()), tuple(axes))


def first_unfit(payloads: Sequence[object], spec: PayloadSpec) -> str:
    """Say which payload is the first that a port of this type does not carry; empty if none is."""
    for number, entry in enumerate(payloads):
        payload = entry.payload if isinstance(entry, Produced) else entry
        if isinstance(entry, Exception) or _fits(payload, spec):
            continue
        shown = type(payload).__qualname__
        if isinstance(payload, np.ndarray):
            shown = f"{payload.dtype.name}{list(payload.shape)}"
        return f"payload {number} is {shown}"
    return ""


def _fits(payload: object, spec: PayloadSpec) -> bool:
    if isinstance(spec, TensorSpec):
        try:
            array = np.asarray(payload)
        except ValueError:
            return False
        return array.dtype == spec.dtype.numpy_dtype() and spec.admits(array.shape)
    return isinstance(payload, _NUMBERS.get(spec.type, spec.type))
