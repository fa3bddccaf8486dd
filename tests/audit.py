"""Reads the decisions of a run as they are made, and holds each to what came before."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from audit_constraints import UNFIT, Ages, Calls, Periods, assert_tally, known_headers
from limen.node import NodeKind
from limen.policy import Activation, Periodic, Trigger
from limen.scheduling import EdgePlan, InputPlan, NodePlan, Plan
from limen.telemetry import Decision, RunStatistics

REFUSALS = {
    "block": {"too_large", "stopped", "consumer_ended"},
    "drop_oldest": {"too_large", "consumer_ended"},
    "drop_newest": {"too_large", "consumer_ended", "full"},
    "deadline_and_qos_aware": {"too_large", "consumer_ended", "full", "expired", "background"},
}
EVICTIONS = {
    ("block", "fifo"): set(),
    ("drop_oldest", "fifo"): {"capacity"},
    ("drop_oldest", "mailbox"): {"superseded"},
    ("drop_oldest", "latch"): {"superseded"},
    ("drop_newest", "fifo"): set(),
    ("deadline_and_qos_aware", "fifo"): {"expired", "lower_qos"},
}
ENDS = {"end_of_stream", "terminal", "consumers_ended", "stopped", "quiesced"}


@dataclass
class Account:
    """What the decision log says of one edge."""

    plan: EdgePlan
    # What is in the ring, by sequence and push instant: one lane, or high and low where classes
    # are known.
    lanes: tuple[deque[tuple[int, int]], deque[tuple[int, int]]] = field(
        default_factory=lambda: (deque(), deque())
    )
    loose: Counter[int] = field(default_factory=Counter)
    staged: deque[int] = field(default_factory=deque)
    offered: int = 0
    pushed: int = 0
    taken: int = 0
    initial: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    evicted: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    # Instant of the last push; whether a latch's register has a value.
    last_push: int | None = None
    register: bool = False

    @property
    def primed(self) -> bool:
        return self.register or self.ring > 0

    @property
    def ring(self) -> int:
        return self.pushed - self.taken - self.evicted.total()


class Audit:
    """Takes the lines of one run; ``before`` and ``after`` each call of ``step`` it looks back.

    Args:
        plan: Of the run.
        nodes: Tables of its nodes, whose scripts say what is in headers.
    """

    def __init__(self, plan: Plan, nodes: Mapping[str, Mapping[str, object]]) -> None:
        self.plan = plan
        self.tables = nodes
        self.edges = {edge.name: Account(edge) for edge in plan.edges}
        self.nodes = {node.name: node for node in plan.nodes}
        self.ended: dict[str, str] = {}
        self.lines: list[Decision] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self.ages = Ages(plan, known_headers(nodes, plan))
        self.periods = Periods(plan)
        self.calls = Calls(plan)
        self.begun = 0
        self._last_step: dict[str, int] = {}
        self._reported: dict[str, int] = {}
        # What was taken last, until the next line says whether it was unfit: edge, sequence, push.
        self._taken: tuple[Account, int, int | None, int] | None = None
        self._presented: tuple[Account, int, int | None] | None = None
        self._expected: list[str] = []
        self._point = 0
        self.into = {
            f"{self._at(edge.consumer.node).name}.{self.input_at(edge).name}": self.edges[edge.name]
            for edge in plan.edges
        }

    def started(self, now: int) -> None:
        """All nodes have started: gaps and periods begin."""
        self.begun = now
        self.periods.start(now)

    def __call__(self, decision: Decision) -> None:
        last = self.lines[-1] if self.lines else Decision(0, 0, "", "", -1, "")
        assert decision.instant >= last.instant, "time goes forward"
        begins = decision.action == "step"
        assert decision.step == last.step + begins, "steps count one by one"
        self.lines.append(decision)
        self.counts[decision.place, decision.action] += 1
        self.reasons[decision.place, decision.action, decision.reason] += 1
        unfit = self._settle_taken(decision)
        if decision.place in self.nodes:
            node = self.nodes[decision.place]
            self.periods(decision, primed=self._is_primed(node))
            self.calls(decision)
            self._node(decision)
        elif decision.place == "graph":
            assert decision.action in ("deadlock", "halt")
        else:
            self._edge(self.edges[decision.place], decision, unfit=unfit)

    def before(self, now: int) -> None:
        """Note what is silent for too long at a decision point."""
        self._point = len(self.lines)
        self._expected = [place for place, gap in self._silent(now) if gap]

    def after(self, now: int, *, over: bool) -> None:
        """Judge what the call of ``step`` wrote; ``over`` says that a limit ended the run."""
        self._settle_taken(Decision(now, 0, "", "", -1, ""))
        lines = self.lines[self._point :]
        told = [line.place for line in lines if line.action == "liveness"]
        if over or any(line.reason == "stopped" for line in lines):
            assert set(told) <= set(self._expected)
        else:
            assert told == self._expected, "each gap is told of once, at its decision point"
        for line in lines:
            if line.action == "step":
                self._is_late_or_not(self.nodes[line.place], lines, now)

    def _silent(self, now: int) -> list[tuple[str, bool]]:
        """Return what is watched, in order, and whether it has been silent and not told of."""
        found = []
        for node in self.plan.nodes:
            if node.name in self.ended:
                continue
            for account in sorted(self.ins(node), key=lambda a: a.plan.consumer.port):
                gap = self.input_at(account.plan).gap_ticks
                closed = self.has_ended(account.plan.producer.node) and not account.staged
                if gap is not None and not closed:
                    last = self.begun if account.last_push is None else account.last_push
                    found.append(
                        (account.plan.name, self._overdue(account.plan.name, last, gap, now))
                    )
            if node.step_gap_ticks is not None:
                last = self._last_step.get(node.name, self.begun)
                found.append((node.name, self._overdue(node.name, last, node.step_gap_ticks, now)))
        return found

    def _overdue(self, place: str, last: int, gap: int, now: int) -> bool:
        if now - last <= gap or self._reported.get(place) == last:
            return False
        self._reported[place] = last
        return True

    def _is_late_or_not(self, node: NodePlan, lines: list[Decision], now: int) -> None:
        """A node that took one message misses its deadline if and only if that is what it did."""
        accounts = self.ins(node)
        if len(node.inputs) != 1 or not accounts or not node.inputs[0].batching.is_none:
            return
        edge = accounts[0].plan
        actions = [line.action for line in lines if line.place == edge.name]
        told = [(line.action, line.reason) for line in lines if line.place == node.name]
        replaced = ("budget", "infeasible") in told and not any(a == "degrade" for a, _ in told)
        takes = [line for line in lines if line.place == edge.name and line.action == "take"]
        if edge.name not in self.ages.known or len(takes) != 1 or "drop" in actions or replaced:
            return
        if self._presented is None or self._presented[0] is not accounts[0]:
            return
        _, sequence, pushed = self._presented
        if pushed is None:
            return
        deadline_ns = self.ages.deadline_ns(edge, sequence, pushed)
        late = deadline_ns is not None and self.ages.ns(now) > deadline_ns
        variant = ("budget", "infeasible") in told
        assert variant or any(a == "miss" for a, _ in told) == late, node.name

    def _at(self, index: int) -> NodePlan:
        return self.plan.nodes[index]

    def ins(self, node: NodePlan) -> list[Account]:
        return [a for a in self.edges.values() if a.plan.consumer.node == node.index]

    def outs(self, node: NodePlan) -> list[Account]:
        return [a for a in self.edges.values() if a.plan.producer.node == node.index]

    def input_at(self, edge: EdgePlan) -> InputPlan:
        return self._at(edge.consumer.node).inputs[edge.consumer.port]

    def input_of(self, account: Account) -> InputPlan:
        return self.input_at(account.plan)

    def _is_primed(self, node: NodePlan) -> bool:
        return all(
            account.primed
            for account in self.ins(node)
            if account.plan.policy.is_latch and self.input_at(account.plan).required
        )

    def _settle_taken(self, decision: Decision) -> bool:
        """Say whether a line drops as unfit what the one before took; else that is presented."""
        taken, self._taken = self._taken, None
        if taken is None:
            return False
        account, sequence, pushed, now = taken
        same = (decision.place, decision.sequence) == (account.plan.name, sequence)
        dropped = decision.action == "drop" and same
        if dropped and decision.reason in ("stopped", "consumer_ended", "unpaired"):
            return False
        unfit = dropped and decision.reason in UNFIT
        if unfit:
            assert self.ages.allows(account.plan, decision.reason), decision
        else:
            account.register = account.plan.policy.is_latch
            self._presented = (account, sequence, pushed)
        if pushed is not None and self.ages.judges(account.plan):
            why = self.ages.why_unfit(account.plan, sequence, pushed, now)
            assert why == (decision.reason if unfit else None), f"{decision}: {why}"
        return unfit

    def _node(self, decision: Decision) -> None:
        name = decision.place
        match decision.action:
            case "step":
                self._last_step[name] = decision.instant
                assert name not in self.ended, "an ended node is not stepped"
                for account in self.outs(self.nodes[name]):
                    assert not account.staged, "nothing is staged on the outputs of a stepped node"
            case "end":
                assert decision.reason in ENDS
                assert name not in self.ended, "a node ends once"
                self.ended[name] = decision.reason
                if decision.reason == "end_of_stream":
                    self._is_at_its_end(self.nodes[name])
                elif decision.reason == "consumers_ended":
                    ahead = [a for a in self.outs(self.nodes[name]) if not a.plan.is_feedback]
                    assert ahead and all(self.has_ended(a.plan.consumer.node) for a in ahead)
            case "missed_periods":
                assert decision.sequence > 0
            case action:
                known = ("error", "miss", "budget", "degrade", "default", "restart", "liveness")
                assert action in known

    def has_ended(self, index: int) -> bool:
        return self._at(index).name in self.ended

    def _is_at_its_end(self, node: NodePlan) -> None:
        """A node ends only if what it needs is closed and empty: messages never wait in vain."""
        if node.kind is NodeKind.SOURCE:
            return
        ahead = [a for a in self.ins(node) if not a.plan.is_feedback]
        closed = [
            a.ring == 0 and not a.staged and self.has_ended(a.plan.producer.node) for a in ahead
        ]
        into = [self.input_at(a.plan) for a in ahead]
        flows = [not a.plan.policy.is_latch for a in ahead]
        match node.activation:
            case Activation.ANY:
                assert all(c for flow, c in zip(flows, closed, strict=True) if flow)
            case Trigger():
                assert any(c for port, c in zip(into, closed, strict=True) if port.is_trigger)
            case Periodic() if any(
                c and not a.primed and not flow and port.required
                for a, c, flow, port in zip(ahead, closed, flows, into, strict=True)
            ):
                # Without the value of a latch it requires, every period would be missed.
                return
            case Periodic():
                counts = flows if any(flows) else [True] * len(flows)
                assert all(c for use, c in zip(counts, closed, strict=True) if use)
            case _:
                unprimed = [not (a.plan.policy.is_latch and a.primed) for a in ahead]
                required = [port.required for port in into]
                assert any(all(three) for three in zip(closed, required, unprimed, strict=True))

    def _edge(self, account: Account, decision: Decision, *, unfit: bool) -> None:
        sequence, reason = decision.sequence, decision.reason
        match decision.action:
            case "push":
                assert reason in ("", "unstaged", "initial")
                if reason == "unstaged":
                    assert account.staged.popleft() == sequence, "what is staged goes in in order"
                else:
                    assert not account.staged, "nothing overtakes what is staged"
                    account.offered += 1
                    account.initial += reason == "initial"
                    self._offered(account, decision)
                account.pushed += 1
                account.last_push = decision.instant
                self._enters(account, sequence, decision.instant)
            case "stage":
                assert account.plan.policy.admission.value == "block"
                account.offered += 1
                self._offered(account, decision)
                account.staged.append(sequence)
            case "refuse":
                if account.staged and reason in ("stopped", "consumer_ended"):
                    assert account.staged.popleft() == sequence
                else:
                    account.offered += 1
                    self._offered(account, decision)
                account.refused[reason] += 1
            case "evict":
                account.evicted[reason] += 1
                self._leaves(account, sequence, evicted=True)
            case "take":
                account.taken += 1
                pushed = self._leaves(account, sequence, evicted=False)
                self._taken = (account, sequence, pushed, decision.instant)
            case "liveness":
                assert (sequence, reason) == (-1, "")
            case action:
                assert action == "drop"
                account.dropped[reason] += 1
                if reason == "stale" and not unfit:
                    # The front of the hold, or overlap of a window: it was presented before.
                    assert self.ages.allows(account.plan, reason), decision
                    account.register = False
        self._stays_within(account)

    def _stays_within(self, account: Account) -> None:
        policy = account.plan.policy
        admission, retention = policy.admission.value, policy.retention.value
        assert 0 <= account.ring <= policy.caps.max_items
        assert set(account.refused) <= REFUSALS[admission], account.refused
        assert set(account.evicted) <= EVICTIONS[admission, retention], account.evicted

    def _lane(self, account: Account, sequence: int) -> int:
        return not self.ages.known[account.plan.name].of(sequence).urgent

    def _offered(self, account: Account, decision: Decision) -> None:
        self.ages.note_offer(account.plan, decision.sequence, decision.instant)

    def _enters(self, account: Account, sequence: int, instant: int) -> None:
        if account.plan.policy.lanes == 1:
            account.lanes[0].append((sequence, instant))
        elif account.plan.name in self.ages.known:
            account.lanes[self._lane(account, sequence)].append((sequence, instant))
        else:
            account.loose[sequence] += 1

    def _leaves(self, account: Account, sequence: int, *, evicted: bool) -> int | None:
        """What leaves is the front; of two lanes, of the low one if evicted, else of the high."""
        if account.plan.policy.lanes == 1 or account.plan.name in self.ages.known:
            high, low = account.lanes
            lane = (low or high) if evicted else (high or low)
            front, pushed = lane.popleft()
            assert front == sequence, "messages leave in the order they came"
            return pushed
        account.loose[sequence] -= 1
        assert account.loose[sequence] >= 0, "only what was pushed leaves"
        return None


def assert_agree(audit: Audit, statistics: RunStatistics) -> None:
    """The log, counted, gives the statistics of every edge and input, and all identities close."""
    assert [i for i in statistics.identities if not i.closes] == []
    for node in statistics.nodes:
        counted = [audit.counts[node.name, action] for action in ("step", "miss")]
        assert counted == [node.steps, node.deadline_misses], node.name
        audit.periods.agree(node)
        audit.calls.agree(node, audit.tables[node.name].get("starts", []))
    for edge in statistics.edges:
        account = audit.edges[edge.name]
        counted = (account.offered, account.pushed, account.taken, len(account.staged))
        assert counted == (edge.offered, edge.pushed, edge.taken, edge.staged), edge.name
        assert account.refused == edge.refused, edge.name
        assert account.evicted == edge.evicted, edge.name
        assert account.ring == edge.ring <= edge.peak <= edge.capacity, edge.name
        plan = account.plan
        out = audit.plan.nodes[plan.producer.node].outputs[plan.producer.port]
        assert edge.staged <= out.staging, edge.name
        most = plan.policy.caps.max_bytes
        if most is not None and hasattr(out.spec, "size_bytes"):
            assert edge.ring * out.spec.size_bytes <= most, edge.name
    for port in statistics.inputs:
        account = audit.into[port.name]
        assert account.taken == port.taken, port.name
        assert account.dropped == port.dropped, port.name
        assert port.consumed == port.taken - account.dropped.total() - port.held, port.name
        assert 0 <= port.held <= account.plan.hold, port.name
    initial = sum(account.initial for account in audit.edges.values())
    assert initial == sum(out.initial for out in statistics.outputs)
    assert_tally(audit.reasons, statistics)
