"""Names of a package that are imported when they are first asked for, as PEP 562 allows."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping


def lazily(
    package: str, places: Mapping[str, Iterable[str]], modules: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package; called by its ``__init__``, once.

    A name is imported once and then lies in the package like any other. The ``__init__`` imports
    the same names under ``TYPE_CHECKING`` and calls this beside it, where type checkers do not
    look: a ``__getattr__`` that they saw would let every misspelt name through.

    Args:
        package: Dotted name of the package.
        places: By dotted module, the names that it gives to the package.
        modules: Modules of the package that are its attributes without having been imported.

    Returns:
        The two functions.
    """
    sources = {name: module for module, names in places.items() for name in names}
    inner = frozenset(modules)
    namespace = vars(sys.modules[package])

    def find(name: str) -> object:
        if name in sources:
            found: object = getattr(importlib.import_module(sources[name]), name)
        elif name in inner:
            found = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules[package],
            )
        namespace[name] = found
        return found

    def names() -> list[str]:
        return sorted({*namespace, *sources, *inner})

    return find, names
