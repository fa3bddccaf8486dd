"""Judges standstills: who waits for whom, and that nobody could have stepped."""

from __future__ import annotations

from audit import Account, Audit
from limen.node import NodeKind
from limen.policy import Activation, Periodic, Trigger
from limen.scheduling import NodePlan
from limen.telemetry import RunStatistics, Waiting


def assert_stands_still(audit: Audit, statistics: RunStatistics, now: int) -> None:
    """At a deadlock no node can step, and every one that has not ended is said to wait, truly."""
    assert_nobody_could_step(audit, now)
    waiting = statistics.waiting
    alive = set(audit.nodes) - set(audit.ended)
    assert {entry.node for entry in waiting} == alive
    for entry in waiting:
        if not entry.edge:
            # See test_a_source_that_has_nothing_is_not_said_to_be_ready.
            assert audit.nodes[entry.node].kind is NodeKind.SOURCE
            continue
        account = audit.edges[entry.edge]
        producer = audit.plan.nodes[account.plan.producer.node]
        consumer = audit.plan.nodes[account.plan.consumer.node]
        assert entry.text.startswith(f"{entry.node} waits for ")
        if entry.text.startswith(f"{entry.node} waits for room"):
            assert (entry.node, entry.on) == (producer.name, consumer.name)
            assert account.staged or not _has_room(audit, account), entry
        else:
            assert (entry.node, entry.on) == (consumer.name, producer.name)
        assert_leads_into_a_circle(audit, entry, waiting)


def assert_leads_into_a_circle(audit: Audit, entry: Waiting, waiting: tuple[Waiting, ...]) -> None:
    """Who waits, waits for others who wait, up to a circle, or to a feedback that has ended."""
    path, at = [entry.node], entry
    while at.on not in path:
        if at.on in audit.ended:
            plan = audit.edges[at.edge].plan
            any_one = audit.plan.nodes[plan.consumer.node].activation is Activation.ANY
            # See test_an_input_that_has_closed_is_not_waited_for.
            assert plan.is_feedback or any_one, at
            return
        path.append(at.on)
        at = next(other for other in waiting if other.node == at.on)
        if not at.edge:
            return


def assert_nobody_could_step(audit: Audit, now: int, *, asleep: bool = False) -> None:
    """Judge anew, by counts alone, timed sources and nodes that take one message at a time.

    Args:
        audit: Of the run.
        now: The instant.
        asleep: Whether the run sleeps and goes on, so that nodes may rest for reasons of their own.
    """
    for node in audit.plan.nodes:
        if node.name in audit.ended or (asleep and _may_rest(audit, node)):
            continue
        room = all(
            a.plan.policy.admission.value != "block"
            or audit.plan.nodes[a.plan.consumer.node].name in audit.ended
            or (not a.staged and _has_room(audit, a))
            for a in audit.outs(node)
        )
        if node.kind is NodeKind.SOURCE:
            due = node.node.next_due()
            # One that failed without moving on is asked again by and by.
            ready = due is not None and (due <= now if asleep else not _has_failed(audit, node))
        else:
            ready = _is_ready(audit, node, now)
        assert not (ready and room), f"{node.name} could have stepped"


def _may_rest(audit: Audit, node: NodePlan) -> bool:
    """Whether a node's script or its restarts may keep it from being asked again at once."""
    table = audit.tables[node.name]
    script = table.get("script", [])
    restarts = isinstance(table.get("policy", {}).get("error_action"), dict)
    if node.kind is NodeKind.SOURCE:
        return restarts or any("result" in entry for entry in script)
    return restarts or any(isinstance(e, dict) and "yield_until" in e for e in script)


def _has_failed(audit: Audit, node: NodePlan) -> bool:
    """Whether a node failed in its last step."""
    own = [line.action for line in audit.lines if line.place == node.name]
    return "error" in own and "step" not in own[len(own) - own[::-1].index("error") :]


def _is_ready(audit: Audit, node: NodePlan, now: int) -> bool:
    flows = [a for a in audit.ins(node) if not a.plan.policy.is_latch]
    latches = [a for a in audit.ins(node) if a.plan.policy.is_latch]
    batches = any(not node.inputs[a.plan.consumer.port].batching.is_none for a in flows)
    if batches and node.period_ticks is None:
        return False
    match node.activation:
        case Activation.ANY:
            return any(a.ring for a in flows)
        case Trigger(port=port):
            return any(a.ring for a in flows + latches if audit.input_of(a).name == port)
        case Periodic():
            due = audit.periods.due[node.name] <= now
            return due and all(a.primed for a in latches if audit.input_of(a).required)
        case _:
            needed = [a for a in flows if audit.input_of(a).required]
            return all(a.ring for a in needed) and all(
                a.primed for a in latches if audit.input_of(a).required
            )


def _has_room(audit: Audit, account: Account) -> bool:
    caps = account.plan.policy.caps
    if caps.max_bytes is not None:
        spec = audit.plan.nodes[account.plan.producer.node].outputs[account.plan.producer.port].spec
        size = getattr(spec, "size_bytes", None)
        if size is None:
            return False
        return account.ring < caps.max_items and account.ring * size < caps.byte_limit
    return account.ring < caps.max_items
