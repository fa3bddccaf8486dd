"""Find inference backends that are installed."""

from __future__ import annotations

from limen.compute.contract import ComputeBackend
from limen.errors import ConfigurationError

_GROUP = "limen.backends"


def find_backend(name: str, *, threads: int = 1) -> ComputeBackend:
    """Make the backend of that name, found by entry point.

    Args:
        name: As in the entry-point group ``limen.backends``.
        threads: Threads that the engine may use for one call.

    Raises:
        ConfigurationError: No installed package offers it, or what it offers is no backend.
    """
    # Imported late: reading package metadata costs a quarter of `import limen`.
    from importlib.metadata import entry_points

    found = entry_points(group=_GROUP, name=name)
    if not found:
        known = ", ".join(sorted(entry_points(group=_GROUP).names))
        raise ConfigurationError(f"unknown backend {name!r}", remedy=f"known: {known}")
    entry = next(iter(found))
    try:
        backend: object = entry.load()(threads=threads)
    # Loading runs a package's own code, which may raise anything.
    except Exception as error:
        raise ConfigurationError(
            f"backend {name!r} cannot be made by {entry.value}: {type(error).__name__}: {error}",
            remedy="repair the package that offers it, or install it again",
        ) from error
    if not isinstance(backend, ComputeBackend):
        raise ConfigurationError(
            f"backend {name!r} is a {type(backend).__qualname__}, made by {entry.value}",
            remedy="have the entry point name a class derived from limen.compute.ComputeBackend",
        )
    return backend
