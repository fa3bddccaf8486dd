"""What a single node is given, read from what a test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from limen.errors import ConfigurationError
from limen.node import Node
from limen.testing._feed import spec_of
from limen.types import PayloadSpec, error_text, nearest


def payloads_by_port(node: Node, inputs: object) -> dict[str, list[object]]:
    """Return the payloads of each input.

    Raises:
        ConfigurationError: They are no lists, or for other inputs.
    """
    names = node.input_names
    example = "{" + ", ".join(f"{name!r}: […]" for name in names) + "}"
    if isinstance(inputs, Mapping):
        for name in inputs:
            if name not in names:
                raise ConfigurationError(
                    f"the node has no input {name!r}", remedy=nearest(str(name), names)
                )
        by_port = dict(inputs)
    elif len(names) != 1:
        raise ConfigurationError(
            f"the node has {len(names)} inputs, and one list was given", remedy=f"give {example}"
        )
    else:
        by_port = {names[0]: inputs}
    missing = [name for name in _required(node) if name not in by_port]
    if missing:
        raise ConfigurationError(
            f"there are no payloads for input {missing[0]!r}", remedy=f"give {example}"
        )
    for name, payloads in by_port.items():
        if not isinstance(payloads, (list, tuple)):
            shown = "an array" if isinstance(payloads, np.ndarray) else repr(payloads)[:80]
            raise ConfigurationError(
                f"the payloads of {name!r} are {shown}", remedy="give a list of payloads: [x]"
            )
    return {name: list(payloads) for name, payloads in by_port.items()}


def _required(node: Node) -> list[str]:
    """Return the inputs that must be fed, as far as the node says so before anything arrives."""
    try:
        return [port.name for port in node.resolve({}).inputs if not port.optional]
    except Exception:
        return []


def specs_by_port(
    node: Node, specs: PayloadSpec | Mapping[str, PayloadSpec] | None
) -> Mapping[str, PayloadSpec]:
    """Return the types that a test states, by input.

    Raises:
        ConfigurationError: It states one of an input that there is not.
    """
    if specs is None:
        return {}
    if isinstance(specs, Mapping):
        for name in specs:
            if name not in node.input_names:
                raise ConfigurationError(
                    f"specs names {name!r}, which is no input",
                    remedy=nearest(str(name), node.input_names),
                )
        return specs
    return dict.fromkeys(node.input_names, specs)


def spec_for(node: Node, port: str, payloads: Sequence[object]) -> PayloadSpec:
    """Return the type of payloads; of none, the type that the node declares.

    Raises:
        ConfigurationError: There is no telling.
    """
    if payloads:
        return spec_of(payloads, f"the list for {port!r}")
    try:
        ports = node.resolve({}).inputs
    except Exception as error:
        raise ConfigurationError(
            f"the list for {port!r} is empty, and the node does not say its type: "
            f"{error_text(error)}",
            remedy="give specs=…",
        ) from error
    return next(declared.spec for declared in ports if declared.name == port)
