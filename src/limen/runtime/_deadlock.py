"""Who waits for whom, once nothing can be stepped."""

from __future__ import annotations

from collections.abc import Sequence

from limen.policy import Activation, Trigger
from limen.runtime._context import NodeContext
from limen.runtime._link import Link
from limen.telemetry import Waiting


def who_waits(contexts: Sequence[NodeContext], ended: Sequence[bool]) -> tuple[Waiting, ...]:
    """Return what each node that has not ended waits for, in index order."""
    names = [context.plan.name for context in contexts]
    found = []
    for context in contexts:
        if ended[context.plan.index]:
            continue
        full = [link for link in context.out_links if link.staged or not link.has_room]
        missing = _missing(context)
        name = context.plan.name
        if full:
            found += [_for_room(context, link, names) for link in full]
        elif missing:
            found += [_for_input(context, link, names) for link in missing]
        elif context.links:
            found.append(Waiting(name, "", "", f"{name} is ready and its step takes nothing"))
        else:
            found.append(Waiting(name, "", "", f"{name} has nothing to give"))
    return tuple(found)


def is_stuck(
    contexts: Sequence[NodeContext], ended: Sequence[bool], polled: Sequence[bool]
) -> bool:
    """Whether some node is kept from stepping by a full output that nothing can ever empty.

    A source that is asked again by and by may deliver what others wait for; only a node that waits
    for none of those, directly or through others, is stuck. Least fixed point of "can move".

    Args:
        contexts: All nodes, by index.
        ended: Which of them have ended.
        polled: Which of them are sources that will be asked again.
    """
    moves = [polled[i] and not ended[i] for i in range(len(contexts))]
    changed = True
    while changed:
        changed = False
        for context in contexts:
            index = context.plan.index
            if not moves[index] and not ended[index] and _can_move(context, moves):
                moves[index] = changed = True
    return any(
        not moves[context.plan.index]
        and not ended[context.plan.index]
        and any(link.staged or not link.has_room for link in context.out_links)
        for context in contexts
    )


def chain(waiting: Sequence[Waiting]) -> str:
    """Put who waits for whom into words: first the circle, if there is one, then everybody."""
    circle = _circle(waiting)
    parts = [" -> ".join(circle)] if circle else []
    return ": ".join([*parts, "; ".join(entry.text for entry in waiting)])


def _can_move(context: NodeContext, moves: Sequence[bool]) -> bool:
    full = [link for link in context.out_links if link.staged or not link.has_room]
    if full:
        return all(moves[link.plan.consumer.node] for link in full)
    missing = [moves[link.plan.producer.node] for link in _missing(context)]
    if context.plan.activation is Activation.ANY:
        return any(missing)
    return bool(missing) and all(missing)


def _missing(context: NodeContext) -> list[Link]:
    """Return the inputs that a node would need and does not have."""
    rule = context.plan.activation
    if rule is Activation.ANY:
        open_ones = [link for link in context.flows if not link.consumer.closed]
        return [] if context.ready_inputs() else open_ones
    if isinstance(rule, Trigger):
        return [link for link in context.links if link.into.is_trigger and not link.state.ready]
    return [
        link
        for link in context.links
        if link.into.required and not (link.primed if link.is_latch else link.is_ready)
    ]


def _for_room(context: NodeContext, link: Link, names: Sequence[str]) -> Waiting:
    on = names[link.plan.consumer.node]
    caps = link.plan.policy.caps
    filled = f"{link.waiting} of {caps.max_items} items"
    if caps.max_bytes is not None:
        filled += f", {link.consumer.size_bytes} of {caps.byte_limit} B"
    staged = f", {len(link.staged)} staged" if link.staged else ""
    text = f"{context.plan.name} waits for room on {link.plan.name} ({filled}{staged})"
    return Waiting(context.plan.name, link.plan.name, on, text)


def _for_input(context: NodeContext, link: Link, names: Sequence[str]) -> Waiting:
    on = names[link.plan.producer.node]
    text = f"{context.plan.name} waits for {on} on {link.plan.name}"
    if link.waiting:
        text += f" ({link.held + link.waiting} of a batch of {link.into.batching.max_items})"
    return Waiting(context.plan.name, link.plan.name, on, text)


def _circle(waiting: Sequence[Waiting]) -> list[str]:
    """Return the nodes that wait for one another in a circle, the first one at both ends."""
    for start in waiting:
        path = [start.node]
        while True:
            after = next((w.on for w in waiting if w.node == path[-1]), None)
            if after is None or after in path[1:]:
                break
            path.append(after)
            if after == path[0]:
                return path
    return []
