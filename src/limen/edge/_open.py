"""Find an edge by name, and make one for a graph's edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from limen.edge.contract import Edge, EdgeConsumer, EdgeFactory, EdgeProducer
from limen.errors import Code, ConfigurationError, LifecycleError, LimenError, QueueError
from limen.platform import PlatformClock
from limen.policy import EdgePolicy
from limen.types import error_text, load_offer

RING_GROUP: Final = "limen.edges"
"""The entry-point group in which packages, Limen among them, name their edges."""


class OpenEdge(NamedTuple):
    """A new edge and its two endpoints.

    Attributes:
        edge: What both endpoints belong to.
        producer: The one that its output pushes into.
        consumer: The one that its input pops from.
    """

    edge: Edge
    producer: EdgeProducer
    consumer: EdgeConsumer


def find_edge(name: str) -> EdgeFactory:
    """Return what makes the edges of that name, found by entry point.

    Args:
        name: As in the entry-point group ``limen.edges``.

    Raises:
        ConfigurationError: No installed package offers it, it cannot be loaded, or it is nothing
            that can be called.
    """
    found = load_offer(RING_GROUP, name, "ring").value
    if not callable(found):
        raise ConfigurationError(
            f"ring {name!r} is a {type(found).__qualname__}",
            code=Code.BAD_COMPONENT,
            remedy="its package must name a class or a function: make(caps, clock) -> Edge",
        )
    make: Callable[..., Edge] = found
    return make


def open_edge(name: str, make: EdgeFactory, policy: EdgePolicy, clock: PlatformClock) -> OpenEdge:
    """Make an edge and take both its endpoints.

    Called once for every edge when a runtime is made; and once for every edge that names its ring
    when the graph is verified, on a clock that stands still, so that what does not fit is refused
    there.

    Args:
        name: Of the ring, for errors.
        make: What makes it.
        policy: Of the graph's edge.
        clock: The graph's.

    Raises:
        ConfigurationError: What is made is no edge, or nothing is.
        QueueError: The ring has other lanes than the policy asks for.
    """
    try:
        made: object = make(policy.caps, clock)
        if not isinstance(made, Edge):
            raise _bad(name, f"makes a {type(made).__qualname__}", "it must make an Edge")
        _require_lanes(name, made.lanes, policy)
        producer: object = made.producer()
        consumer: object = made.consumer()
    except LifecycleError as error:
        remedy = "make(caps, clock) must make a new edge each time"
        raise _bad(name, f"makes no new edge: {error.message}", remedy) from error
    except LimenError:
        raise
    # One that ends the process would else end the check without a word.
    except (Exception, SystemExit) as error:
        remedy = "correct make(caps, clock) -> Edge in the package that offers it"
        raise _bad(name, f"cannot be made: {error_text(error)}", remedy) from error
    if not isinstance(producer, EdgeProducer):
        raise _bad_endpoint(name, "producer", producer)
    if not isinstance(consumer, EdgeConsumer):
        raise _bad_endpoint(name, "consumer", consumer)
    return OpenEdge(made, producer, consumer)


def _require_lanes(name: str, lanes: int, policy: EdgePolicy) -> None:
    if lanes not in (1, 2):
        raise _bad(name, f"says that it has {lanes!r} lanes", "an edge has 1 lane, or 2")
    if lanes != policy.lanes:
        has = "one lane" if lanes == 1 else f"{lanes} lanes"
        raise QueueError(
            f"ring {name!r} has {has}, and the policy asks for {policy.lanes}",
            code=Code.QUEUE_UNSUPPORTED,
            remedy=f"write lanes = {lanes}, or name another ring",
        )


def _bad(name: str, what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"ring {name!r} {what}", code=Code.BAD_COMPONENT, remedy=remedy)


def _bad_endpoint(name: str, side: str, found: object) -> ConfigurationError:
    what = f"gives a {type(found).__qualname__} as its {side}"
    return _bad(name, what, f"{side}() must give all that Edge{side.capitalize()} names")
