"""From what a command line names to the suites that are run."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TypeGuard

from limen.errors import Code, ConfigurationError
from limen.testing.contracts._contract import Contract
from limen.testing.contracts._errors import error_line, text_of
from limen.types import nearest


def find_suites(target: str, lacks: Mapping[str, str] | None = None) -> list[type[Contract]]:
    """Return the suites that a target stands for; called by ``limen conformance``.

    Args:
        target: ``module:name`` of a suite, or of what makes an implementation: a class, or a
            function that is annotated with the contract it returns; called as ``make`` is. A
            ``module`` alone stands for all suites that it defines.
        lacks: By capability, why an implementation does without; for targets that are no suites.

    Raises:
        ConfigurationError: The target cannot be imported, or it is nothing to test.
    """
    module_name, _, attribute = target.partition(":")
    module = _import(module_name)
    if not attribute:
        values = vars(module).values()
        defined = list(dict.fromkeys(value for value in values if _is_suite_of(value, module)))
        # One that others derive from is theirs to complete.
        unfinished = [s for s in defined if inspect.isabstract(s) and not s.__subclasses__()]
        if unfinished:
            raise ConfigurationError(
                "; ".join(
                    f"{suite.__qualname__} lacks {', '.join(sorted(suite.__abstractmethods__))}"
                    for suite in unfinished
                ),
                remedy="write it there",
            )
        suites = [suite for suite in defined if not inspect.isabstract(suite)]
        if not suites:
            raise ConfigurationError(
                f"module {module_name!r} defines no suite",
                remedy="name an implementation as module:name, or subclass one of limen.testing",
            )
        found = suites
    else:
        found = [_suite(target, _attribute(module, attribute), lacks or {})]
    if lacks and any(suite.lacks is not lacks for suite in found):
        raise ConfigurationError(
            f"{target!r} is a suite, and says itself what is lacked",
            remedy="write `lacks` in the suite",
        )
    return found


def _suite(target: str, found: object, lacks: Mapping[str, str]) -> type[Contract]:
    if isinstance(found, type) and issubclass(found, Contract):
        return found
    contract = _contract_of(found)
    if contract is None or not callable(found):
        known = ", ".join(subject.__qualname__ for subject in _suites())
        raise ConfigurationError(
            f"{target!r} is no implementation of a contract, and no suite",
            remedy=f"name a suite, a class derived from one of {known}, "
            "or a function whose annotation says that it returns one",
        )
    maker: Callable[..., object] = found
    _require_makeable(target, maker, contract)

    def make(self: Contract, *args: object, **named: object) -> object:
        return maker(*args, **named)

    body = {"make": make, "lacks": lacks, "__module__": target.partition(":")[0]}
    name = getattr(found, "__qualname__", target)
    try:
        made: type[Contract] = types.new_class(
            name, (contract,), exec_body=lambda ns: ns.update(body)
        )
    except TypeError as error:
        raise ConfigurationError(
            f"{target}: {error}", remedy="name a capability of the contract"
        ) from error
    if inspect.isabstract(made):
        missing = ", ".join(sorted(made.__abstractmethods__))
        raise ConfigurationError(
            f"{contract.__qualname__} needs more than {target!r}: {missing}",
            remedy=f"subclass limen.testing.{contract.__qualname__}, write {missing} as well, and "
            "name that class",
        )
    return made


def _require_makeable(target: str, maker: Callable[..., object], contract: type[Contract]) -> None:
    """Refuse what cannot be called as ``make`` is: every clause would fail, and say only that."""
    make = inspect.signature(getattr(contract, "make")).parameters.values()  # noqa: B009
    given = [p.name for p in make if p.name != "self" and p.default is inspect.Parameter.empty]
    remedy = (
        f"subclass limen.testing.{contract.__qualname__}, write make({', '.join(given)}), and name "
        "that class"
    )
    if inspect.isabstract(maker):
        missing = ", ".join(sorted(getattr(maker, "__abstractmethods__", ())))
        raise ConfigurationError(f"{target!r} is abstract: it lacks {missing}", remedy=remedy)
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        raise ConfigurationError(
            f"{target!r} cannot be called as make({', '.join(given)}): {error}", remedy=remedy
        ) from error


def _contract_of(found: object) -> type[Contract] | None:
    made: object = found
    if not isinstance(found, type):
        try:
            made = typing.get_type_hints(found).get("return")
        # An annotation in quotes may be anything.
        except Exception:
            return None
    if not isinstance(made, type):
        return None
    fitting = [pair for pair in _suites().items() if issubclass(made, pair[0])]
    # Of a contract and one derived from it, the derived one asks for more.
    return max(fitting, key=lambda pair: len(pair[0].__mro__))[1] if fitting else None


def _suites() -> dict[type, type[Contract]]:
    """Return the kit's suites by the contract that their ``make`` returns."""
    return {suite.subjects[0]: suite for suite in _kit_suites(Contract)}


def _kit_suites(base: type[Contract]) -> Iterator[type[Contract]]:
    """Yield what the kit derives from a suite; a suite may be put together of several."""
    for suite in base.__subclasses__():
        if suite.__module__.startswith("limen.testing."):
            if suite.subjects:
                yield suite
            yield from _kit_suites(suite)


def _is_suite_of(value: object, module: types.ModuleType) -> TypeGuard[type[Contract]]:
    return (
        isinstance(value, type)
        and issubclass(value, Contract)
        and value.__module__ == module.__name__
        and bool(value.subjects)
    )


def _import(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    # Importing runs code of any kind, which may even end the process.
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ConfigurationError(
            f"module {name!r} cannot be imported: {type(error).__name__}: {text_of(error)}",
            code=Code.UNKNOWN_TYPE,
            remedy="write module:name of what is installed, or lies in this folder",
        ) from error


def _attribute(module: types.ModuleType, name: str) -> object:
    found: object = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ConfigurationError(
                f"module {module.__name__!r} has no {name!r}",
                code=Code.UNKNOWN_TYPE,
                remedy=nearest(part, [n for n in dir(found) if not n.startswith("_")]),
            ) from error
        # A module may import what it offers only when it is asked.
        except Exception as error:
            raise ConfigurationError(
                f"module {module.__name__!r} cannot give {name!r}: {error_line(error)}",
                code=Code.UNKNOWN_TYPE,
            ) from error
    return found
