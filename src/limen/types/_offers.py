"""What installed packages offer under a name: entry points."""

from __future__ import annotations

from typing import NamedTuple

from limen.errors import Code, ConfigurationError
from limen.types._text import error_text, nearest


class Offer(NamedTuple):
    """What a package offers under a name.

    Attributes:
        place: Where it lies, as its package declares it: ``module:attribute``.
        value: The thing itself.
    """

    place: str
    value: object


def offers(group: str) -> tuple[str, ...]:
    """Return the names that installed packages declare in an entry-point group, sorted."""
    # Imported late: reading package metadata costs a sixth of `import limen`.
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=group).names))


def load_offer(group: str, name: str, what: str, *, code: Code = Code.UNKNOWN_TYPE) -> Offer:
    """Return what a package declares under a name; this imports the package.

    Args:
        group: The entry-point group.
        name: As the package declares it.
        what: What errors call such a thing.
        code: Of the errors.

    Raises:
        ConfigurationError: Nobody offers it, several packages offer different things under that
            name, or the package cannot be imported.
    """
    from importlib.metadata import entry_points

    found = {entry.value: entry for entry in entry_points(group=group, name=name)}
    if not found:
        remedy = nearest(name, offers(group)) or f"no package offers one: see group {group!r}"
        raise ConfigurationError(f"unknown {what} {name!r}", code=code, remedy=remedy)
    if len(found) > 1:
        raise ConfigurationError(
            f"{what} {name!r} is offered more than once: {', '.join(sorted(found))}",
            code=code,
            remedy="uninstall all but one of the packages that offer it",
        )
    ((place, entry),) = found.items()
    try:
        loaded: object = entry.load()
    except (Exception, SystemExit) as error:
        # A script that ends the process at import would else end the check without a word.
        raise ConfigurationError(
            f"{what} {name!r} cannot be loaded from {place}: {error_text(error)}",
            code=code,
            remedy="repair the package that offers it, or install it again",
        ) from error
    return Offer(place, loaded)
