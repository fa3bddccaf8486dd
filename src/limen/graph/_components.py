"""Make a node from its table in a graph file."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import msgspec

from limen.errors import Code, ConfigurationError, LimenError
from limen.graph._problems import Problem
from limen.node import Node, Sink, Source
from limen.types import nearest

_GROUP = "limen.components"
_RESERVED = ("policy", "type")

Component = Node | Source | Sink


def make_component(
    place: str, table: dict[str, object], folder: Path, allow_import: bool
) -> tuple[Component | None, list[Problem]]:
    """Build what a ``[nodes.…]`` table describes, or say all that is wrong with it."""
    kind = table.get("type")
    if not isinstance(kind, str):
        known = ", ".join(sorted(entry_points(group=_GROUP).names))
        problem = Problem(
            Code.UNKNOWN_TYPE, f"{place}.type", "the node has no type", f"known: {known}"
        )
        return None, [problem]
    try:
        maker = _find(kind, allow_import)
    except LimenError as error:
        return None, [Problem.from_error(f"{place}.type", error)]
    if isinstance(maker, (Node, Source, Sink)):
        return maker, [
            Problem(
                Code.UNKNOWN_KEY,
                f"{place}.{key}",
                f"{kind!r} takes no parameters",
                "remove the key",
            )
            for key in table
            if key not in _RESERVED
        ]
    return _construct(place, kind, maker, table, folder)


def _find(kind: str, allow_import: bool) -> Component | Callable[..., object]:
    if ":" in kind:
        if not allow_import:
            raise ConfigurationError(
                f"type {kind!r} names a module",
                code=Code.UNKNOWN_TYPE,
                remedy="graph files are code: allow it with --allow-import if you trust this one",
            )
        return _import(kind)
    found = entry_points(group=_GROUP, name=kind)
    if not found:
        raise ConfigurationError(
            f"unknown node type {kind!r}",
            code=Code.UNKNOWN_TYPE,
            remedy=nearest(kind, entry_points(group=_GROUP).names),
        )
    return typing.cast("Callable[..., object]", next(iter(found)).load())


def _import(kind: str) -> Component | Callable[..., object]:
    module_name, _, attribute = kind.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ConfigurationError(
            f"type {kind!r} cannot be imported: {type(error).__name__}: {error}",
            code=Code.UNKNOWN_TYPE,
            remedy='write "package.module:attribute"',
        ) from error
    if isinstance(found, (Node, Source, Sink)) or callable(found):
        return found
    raise ConfigurationError(
        f"type {kind!r} is a {type(found).__qualname__}",
        code=Code.UNKNOWN_TYPE,
        remedy="name a node, or a class that makes one",
    )


def _construct(
    place: str, kind: str, maker: Callable[..., object], table: dict[str, object], folder: Path
) -> tuple[Component | None, list[Problem]]:
    parameters = inspect.signature(maker).parameters
    function = maker.__init__ if inspect.isclass(maker) else maker
    hints = typing.get_type_hints(function)
    problems: list[Problem] = []
    arguments: dict[str, object] = {}
    for key, value in table.items():
        if key in _RESERVED:
            continue
        if key not in parameters:
            remedy = nearest(key, (*parameters, *_RESERVED))
            problems.append(
                Problem(Code.UNKNOWN_KEY, f"{place}.{key}", f"unknown key {key!r}", remedy)
            )
            continue
        try:
            arguments[key] = _convert(value, hints.get(key, object), folder)
        except msgspec.ValidationError as error:
            problems.append(Problem(Code.INVALID_VALUE, f"{place}.{key}", str(error)))
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in table:
            problems.append(
                Problem(Code.INVALID_VALUE, place, f"key {key!r} is missing", f"{kind!r} needs it")
            )
    if problems:
        return None, problems
    try:
        made = maker(**arguments)
    except LimenError as error:
        return None, [Problem.from_error(place, error)]
    except Exception as error:
        message = f"cannot be made: {type(error).__name__}: {error}"
        return None, [Problem(Code.BAD_COMPONENT, place, message)]
    if isinstance(made, (Node, Source, Sink)):
        return made, []
    message = f"type {kind!r} makes a {type(made).__qualname__}"
    return None, [Problem(Code.BAD_COMPONENT, place, message, "it must make a node")]


def _convert(value: object, hint: object, folder: Path) -> object:
    """Check a value against a parameter's annotation; a Path is resolved from the file's folder."""
    if Path in (hint, *typing.get_args(hint)):
        return folder / Path(msgspec.convert(value, type=str))
    if hint is object:
        return value
    return msgspec.convert(value, type=hint)
