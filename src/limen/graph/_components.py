"""Make a node from its table in a graph file."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path

import msgspec

from limen.errors import Code, ConfigurationError, LimenError
from limen.graph._problems import Problem
from limen.node import Node, Sink, Source
from limen.types import load_offer, nearest, offers

_GROUP = "limen.components"
_RESERVED = ("policy", "type", "variant")

Component = Node | Source | Sink


def make_component(
    place: str, table: dict[str, object], folder: Path, allow_import: bool
) -> tuple[Component | None, list[Problem]]:
    """Build what a ``[nodes.…]`` table describes, or say all that is wrong with it."""
    kind = table.get("type")
    if not isinstance(kind, str):
        known = ", ".join(offers(_GROUP))
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
    return _construct(place, kind, maker, table, folder, allow_import)


def _find(kind: str, allow_import: bool) -> Component | Callable[..., object]:
    if ":" in kind:
        if not allow_import:
            raise ConfigurationError(
                f"type {kind!r} names a module",
                code=Code.UNKNOWN_TYPE,
                remedy="graph files are code: allow it with --allow-import if you trust this one",
            )
        return _import(kind)
    return typing.cast("Callable[..., object]", load_offer(_GROUP, kind, "node type").value)


def _import(kind: str) -> Component | Callable[..., object]:
    module_name, _, attribute = kind.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        # A script that ends the process at import would else end the check without a word.
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
    place: str,
    kind: str,
    maker: Callable[..., object],
    table: dict[str, object],
    folder: Path,
    allow_import: bool,
) -> tuple[Component | None, list[Problem]]:
    try:
        parameters, hints = _parameters(maker)
    except (NameError, TypeError, ValueError) as error:
        message = f"the parameters of {kind!r} cannot be read: {type(error).__name__}: {error}"
        remedy = "name a class or function with annotated parameters"
        return None, [Problem(Code.BAD_COMPONENT, f"{place}.type", message, remedy)]
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
        if hints.get(key) is Source and isinstance(value, dict):
            source, found = _inner_source(f"{place}.{key}", value, folder, allow_import)
            problems += found
            arguments[key] = source
            continue
        try:
            arguments[key] = _convert(value, hints.get(key, object), folder)
        except msgspec.ValidationError:
            message, remedy = f"{key} is {value!r}", f"give {_wanted(hints[key])}"
            problems.append(Problem(Code.INVALID_VALUE, f"{place}.{key}", message, remedy))
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in table:
            message, remedy = f"key {key!r} is missing", f"add {key} = …"
            if key in hints:
                remedy += f" with {_wanted(hints[key])}"
            problems.append(Problem(Code.INVALID_VALUE, place, message, remedy))
    if problems:
        return None, problems
    try:
        made = maker(**arguments)
    except LimenError as error:
        return None, [Problem.from_error(place, error)]
    except Exception as error:
        message = f"{kind!r} cannot be made: {type(error).__name__}: {error}"
        remedy = "correct its parameters, or the code that makes it"
        return None, [Problem(Code.BAD_COMPONENT, place, message, remedy)]
    if isinstance(made, (Node, Source, Sink)):
        return made, []
    message = f"type {kind!r} makes a {type(made).__qualname__}"
    return None, [Problem(Code.BAD_COMPONENT, place, message, "it must make a node")]


def _inner_source(
    place: str, table: dict[str, object], folder: Path, allow_import: bool
) -> tuple[Component | None, list[Problem]]:
    """Build the source that another one wraps; what is a node's own has no place there."""
    misplaced = [
        Problem(Code.UNKNOWN_KEY, f"{place}.{key}", f"unknown key {key!r}", "give it to the node")
        for key in table
        if key in _RESERVED and key != "type"
    ]
    made, problems = make_component(place, table, folder, allow_import)
    if made is not None and not isinstance(made, Source):
        message = f"type {table['type']!r} makes a {type(made).__qualname__}"
        problems.append(Problem(Code.BAD_COMPONENT, place, message, "name a source"))
    return made, misplaced + problems


def _parameters(
    maker: Callable[..., object],
) -> tuple[dict[str, inspect.Parameter], dict[str, object]]:
    """Return the parameters that a table's keys can name, and their annotations."""
    gathering = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind not in gathering
    }
    function = maker.__init__ if inspect.isclass(maker) else maker
    return parameters, typing.get_type_hints(function)


_WORDS: dict[object, str] = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    Path: "a path as text",
    Source: "a table with the type of a source",
    str: "text",
}


def _wanted(hint: object) -> str:
    """Say in words what an annotation accepts."""
    if hint in _WORDS:
        return _WORDS[hint]
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' for value in arguments)
    if origin in (typing.Union, types.UnionType):
        if Path in arguments:
            return _WORDS[Path]
        return " or ".join(_wanted(option) for option in arguments if option is not type(None))
    if origin in (list, tuple) and arguments:
        return f"a list, each entry {_wanted(arguments[0])}"
    return f"a value of type {getattr(hint, '__name__', hint)}"


def _convert(value: object, hint: object, folder: Path) -> object:
    """Check a value against a parameter's annotation; a Path is resolved from the file's folder."""
    if Path in (hint, *typing.get_args(hint)):
        return folder / Path(msgspec.convert(value, type=str))
    if hint is object:
        return value
    if hint is Source:
        raise msgspec.ValidationError("not a table")
    return msgspec.convert(value, type=hint)
