"""Find inference backends that are installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from limen.compute.contract import ComputeBackend
from limen.errors import Code, ConfigurationError, LimenError
from limen.types import error_text, load_offer

_GROUP = "limen.backends"


def find_backend(name: str, *, threads: int = 1) -> ComputeBackend:
    """Make the backend of that name, found by entry point.

    Args:
        name: As in the entry-point group ``limen.backends``.
        threads: Threads that the engine may use for one call.

    Raises:
        ConfigurationError: No installed package offers it, or what it offers is no backend.
    """
    offer = load_offer(_GROUP, name, "backend", code=Code.CONFIGURATION)
    try:
        backend = cast("Callable[..., object]", offer.value)(threads=threads)
    except LimenError:
        # It says what is wrong with what it was given, as an extra or a number of threads.
        raise
    # Making one runs a package's own code, which may raise anything.
    except Exception as error:
        raise ConfigurationError(
            f"backend {name!r} cannot be made by {offer.place}: {error_text(error)}",
            remedy="repair the package that offers it, or install it again",
        ) from error
    if not isinstance(backend, ComputeBackend):
        raise ConfigurationError(
            f"backend {name!r} is a {type(backend).__qualname__}, made by {offer.place}",
            remedy="have the entry point name a class derived from limen.compute.ComputeBackend",
        )
    return backend
