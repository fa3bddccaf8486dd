"""Find inference backends that are installed."""

from __future__ import annotations

from typing import cast

from limen.compute.contract import ComputeBackend
from limen.errors import ConfigurationError

_GROUP = "limen.backends"


def find_backend(name: str, *, threads: int = 1) -> ComputeBackend:
    """Make the backend of that name, found by entry point.

    Args:
        name: As in the entry-point group ``limen.backends``.
        threads: Threads that the engine may use for one call.

    Raises:
        ConfigurationError: No installed package offers it.
    """
    # Imported late: reading package metadata costs a quarter of `import limen`.
    from importlib.metadata import entry_points

    found = entry_points(group=_GROUP, name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group=_GROUP).names))
        raise ConfigurationError(f"unknown backend {name!r}", remedy=f"known: {known}")
    make = next(iter(found)).load()
    return cast("ComputeBackend", make(threads=threads))
