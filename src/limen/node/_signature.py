"""Ports from the annotations of a function."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from limen.errors import ConfigurationError, PortMismatchError
from limen.node.contract import Port
from limen.types import (
    Axis,
    ObjectSpec,
    PayloadSpec,
    TensorSpec,
    UpTo,
    describe_spec,
    spec_from_annotation,
)

_SEQUENCES = (list, tuple, collections.abc.Sequence)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function's annotations say.

    Attributes:
        inputs: A port a payload parameter: ``in``, or named as the parameters if there are several.
        outputs: The port ``out``, or one a field of the NamedTuple that is returned.
        fields: Names of these fields; empty for a single output.
        with_out: Whether a parameter ``out`` receives the output's slot.
        always: Whether it returns a payload whatever comes, as its annotation says.
        stacked: Whether it takes a batch as one array.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    fields: tuple[str, ...]
    with_out: bool
    always: bool = False
    stacked: bool = False


def read_signature(process: Callable[..., object], place: str, *, window: bool) -> Signature:
    """Read the ports of a function; called once, before the graph starts.

    Args:
        process: What is called with the payloads.
        place: How errors name it.
        window: Whether it takes a whole batch: an array with one axis more, or a sequence.

    Raises:
        ConfigurationError: An annotation is missing or names no payload.
    """
    kinds = (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    )
    if any(is_kind(process) for is_kind in kinds):
        raise ConfigurationError(
            f"{place} is a coroutine or a generator", remedy="write a plain function that returns"
        )
    parameters = _parameters(process, place)
    names = [name for name in parameters if name != "out"]
    if not names or (window and len(names) != 1):
        raise ConfigurationError(
            f"{place} takes {len(names)} inputs",
            remedy="take one batch (and, at most, out)"
            if window
            else "take one payload an input (and, at most, out)",
        )
    hints = _hints(process, place)
    inputs = []
    for name in names:
        what = "its input" if len(names) == 1 else f"its input {name!r}"
        hint, optional = _without_none(_hint(hints, name, place, what))
        spec = _read(hint, place, what, window=window)
        inputs.append(Port("in" if len(names) == 1 else name, spec, optional))
    hint = _hint(hints, "return", place, "its result")
    outputs, fields = _outputs(hint, place)
    always = not fields and not _without_none(hint)[1]
    stacked = window and typing.get_origin(hints[names[0]]) not in _SEQUENCES
    return Signature(tuple(inputs), outputs, fields, "out" in parameters, always, stacked)


def _parameters(process: Callable[..., object], place: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters, all of which can be given as the runtime gives them."""
    try:
        parameters = inspect.signature(process).parameters
    except (TypeError, ValueError) as error:
        raise _unreadable(place, error) from error
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigurationError(
                f"{place} takes any number of inputs ({parameter})",
                remedy="name a parameter for each input",
            )
        if name == "out" and parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{place} takes out by position only", remedy="let it be given by name"
            )
        if name != "out" and parameter.kind is parameter.KEYWORD_ONLY:
            raise ConfigurationError(
                f"{place} takes its payload by keyword only", remedy="take it by position"
            )
    return parameters


def _unreadable(place: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the annotations of {place} cannot be read: {error}",
        remedy="write a function with annotated parameters, and make that the node",
    )


def check_out(signature: Signature, outputs: tuple[Port, ...]) -> None:
    """Refuse a parameter ``out`` where there is no slot to write into.

    Args:
        signature: Of the function.
        outputs: Its outputs, as resolved.

    Raises:
        PortMismatchError: They are several, objects, or of a length that each message decides.
    """
    if not signature.with_out:
        return
    spec = outputs[0].spec
    varies = isinstance(spec, TensorSpec) and spec.is_bounded and not spec.is_fixed
    if len(outputs) == 1 and isinstance(spec, TensorSpec) and not varies:
        return
    raise PortMismatchError(
        f"out: {describe_spec(spec)} has no slot to write into"
        if len(outputs) == 1
        else "out: a node with several outputs is given no slot",
        remedy="leave the parameter out away, or return a tensor",
    )


def _hints(process: Callable[..., object], place: str) -> dict[str, object]:
    try:
        return typing.get_type_hints(process, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"an annotation of {place} cannot be read: {error}",
            remedy="import the name at module level",
        ) from error
    except (TypeError, ValueError) as error:
        raise _unreadable(place, error) from error


def _hint(hints: dict[str, object], key: str, place: str, what: str) -> object:
    if key not in hints:
        raise ConfigurationError(
            f"{place} does not annotate {what}",
            remedy='annotate it, as in Float32[np.ndarray, "6"]',
        )
    return hints[key]


def _read(hint: object, place: str, what: str, *, window: bool) -> PayloadSpec:
    if window and typing.get_origin(hint) in _SEQUENCES:
        items = [item for item in typing.get_args(hint) if item is not Ellipsis]
        if len(items) != 1:
            raise ConfigurationError(
                f"{place}, {what}: a batch is of one type, and as long as it is",
                remedy="write list[T] or tuple[T, ...]",
            )
        hint = items[0]
        window = False
    try:
        spec = spec_from_annotation(hint)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{place}, {what}: {error.message}", remedy=error.remedy
        ) from error
    if not window:
        return spec
    if isinstance(spec, TensorSpec) and spec.shape and isinstance(spec.shape[0], str):
        item = TensorSpec(spec.dtype, spec.shape[1:])
        check_stackable(what, item)
        return item
    raise ConfigurationError(
        f"{place}, {what}: {describe_spec(spec)} is no batch",
        remedy='name its first axis, as in Float32[np.ndarray, "n 6"], or write list[T]',
    )


def _outputs(hint: object, place: str) -> tuple[tuple[Port, ...], tuple[str, ...]]:
    hint, _ = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        raise ConfigurationError(
            f"{place} returns a tuple, whose places have no names",
            remedy="return a typing.NamedTuple: its fields become the outputs",
        )
    fields = getattr(hint, "_fields", None)
    if not (isinstance(hint, type) and issubclass(hint, tuple) and isinstance(fields, tuple)):
        return (Port("out", _read(hint, place, "its result", window=False)),), ()
    hints = typing.get_type_hints(hint, include_extras=True)
    ports = []
    for name in fields:
        kind, _ = _without_none(hints[name])
        ports.append(Port(name, _read(kind, place, f"its output {name!r}", window=False)))
    return tuple(ports), tuple(fields)


def _without_none(hint: object) -> tuple[object, bool]:
    """Return ``X`` for ``X | None``, and whether there was a None."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    if type(None) in typing.get_args(hint) and len(arguments) == 1:
        return arguments[0], True
    return hint, False


def check_stackable(port: str, item: PayloadSpec) -> None:
    """Refuse to put messages side by side whose lengths differ.

    Raises:
        PortMismatchError: Each message decides the length of an axis.
    """
    if isinstance(item, TensorSpec) and any(isinstance(axis, UpTo) for axis in item.shape):
        raise PortMismatchError(
            f"{port}: messages of {describe_spec(item)} are no array side by side",
            remedy="take each by itself, or a batch of them as list[T]",
        )


def match_spec(port: str, wanted: PayloadSpec, arriving: PayloadSpec) -> dict[str, int | UpTo]:
    """Check that what arrives fits a port and return lengths and bounds of its named axes.

    Raises:
        PortMismatchError: It does not; both sides are named.
    """
    axes: dict[str, int | UpTo] = {}
    fits = False
    remedy = "connect a producer of that type, or convert between them"
    match wanted, arriving:
        case TensorSpec(), TensorSpec():
            fits = len(wanted.shape) == len(arriving.shape)
            for want, have in zip(wanted.shape, arriving.shape, strict=False):
                fits = fits and _axis_fits(want, have, axes)
            if fits and wanted.dtype is not arriving.dtype:
                fits = False
                remedy = f"add a node that casts {arriving.dtype.value} to {wanted.dtype.value}"
        case ObjectSpec(), ObjectSpec():
            fits = issubclass(arriving.type, wanted.type)
        case ObjectSpec(), TensorSpec():
            fits = wanted.type is object
        case _:
            fits = False
    if not fits:
        raise PortMismatchError(
            f"{port}: {describe_spec(arriving)} does not fit {describe_spec(wanted)}",
            remedy=remedy,
        )
    return axes


def _axis_fits(want: Axis, have: Axis, axes: dict[str, int | UpTo]) -> bool:
    """Check an axis; a name takes the length or bound that arrives, a bound what is within it."""
    if isinstance(want, str) and not isinstance(have, str):
        # Two axes of one name have one length, which two bounds cannot promise.
        varies = want in axes and isinstance(have, UpTo)
        return axes.setdefault(want, have) == have and not varies
    if isinstance(want, UpTo) and not isinstance(have, str):
        return (have.length if isinstance(have, UpTo) else have) <= want.length
    return want == have
