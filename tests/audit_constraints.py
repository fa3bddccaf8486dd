"""Judges the decisions of constraints line by line, from the Plan and the sources' scripts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from limen.node import NodeKind
from limen.nodes import Window
from limen.policy import ErrorAction, OverBudgetAction
from limen.scheduling import (
    DegradePlan,
    EdgePlan,
    InputPlan,
    MessagePlan,
    NodePlan,
    Plan,
    RestartPlan,
)
from limen.telemetry import Decision, NodeStatistics, RunStatistics
from limen.types import parse_duration_ns

UNFIT = ("stale", "no_deadline", "expired", "infeasible")


@dataclass(frozen=True)
class Stated:
    """What the script of a source says of one message, in the graph's own time.

    Attributes:
        created: Its creation tick; None for the instant after the call.
        deadline_ns: Its deadline.
        max_age_ns: Its own limit.
        urgent: Whether it is LATENCY_CRITICAL.
    """

    created: int | None = None
    deadline_ns: int | None = None
    max_age_ns: int | None = None
    urgent: bool = False


@dataclass(frozen=True)
class Known:
    """The headers that come along an edge: those of one source, by sequence.

    Attributes:
        source: The output of the source, as edges name it.
        messages: What its script says; behind it, nothing is stated.
        span: Whether their origin is their creation.
    """

    source: str
    messages: tuple[Stated, ...]
    span: bool = True

    def of(self, sequence: int) -> Stated:
        return self.messages[sequence] if sequence < len(self.messages) else Stated()


def known_headers(nodes: Mapping[str, Mapping[str, object]], plan: Plan) -> dict[str, Known]:
    """Return what is known of the headers on each edge that one source's come along unchanged."""
    found: dict[str, Known] = {}
    for node in plan.nodes:
        if node.kind is not NodeKind.SOURCE:
            continue
        script = nodes[node.name].get("script", [])
        known = Known(f"{node.name}.out", tuple(_stated(script, node, plan.tick_rate_hz)))
        todo = [(node, known)]
        while todo:
            at, known = todo.pop()
            for edge in plan.edges:
                if edge.producer.node != at.index or edge.is_feedback:
                    continue
                found[edge.name] = known
                after = plan.nodes[edge.consumer.node]
                passes_on = len(after.inputs) == 1 and not after.node.takes_windows
                if passes_on and after.period_ticks is None:
                    window = isinstance(after.node, Window)
                    todo.append((after, replace(known, span=known.span and not window)))
    return found


def _stated(script: list[Mapping[str, str]], node: NodePlan, rate_hz: int) -> Iterator[Stated]:
    for entry in script:
        match entry.get("result"):
            case None:
                created = _ns(entry, "created")
                deadline_ns = _ns(entry, "deadline")
                if created is not None:
                    created = created * rate_hz // 10**9 + node.clock_offset_ticks
                if deadline_ns is not None:
                    deadline_ns += node.clock_offset_ns
                urgent = entry.get("qos") == "latency_critical"
                yield Stated(created, deadline_ns, _ns(entry, "max_age"), urgent)
            case "error" if isinstance(node.on_error, MessagePlan):
                yield Stated()


def _ns(entry: Mapping[str, str], key: str) -> int | None:
    return parse_duration_ns(entry[key], what=key) if key in entry else None


class Ages:
    """Says of each message that leaves a ring whether it may be presented."""

    def __init__(self, plan: Plan, known: dict[str, Known]) -> None:
        self.plan = plan
        self.known = known
        self._made: dict[tuple[str, int], int] = {}
        self._limits = any(m.max_age_ns is not None for k in known.values() for m in k.messages)

    def ns(self, ticks: int) -> int:
        return ticks * 10**9 // self.plan.tick_rate_hz

    def note_offer(self, edge: EdgePlan, sequence: int, instant: int) -> None:
        """Remember when a source offered a message: it was made then, unless it says otherwise."""
        known = self.known.get(edge.name)
        if known is not None and edge.name.startswith(f"{known.source} ->"):
            self._made.setdefault((known.source, sequence), instant)

    def deadline_ns(self, edge: EdgePlan, sequence: int, pushed: int) -> int | None:
        """Return the effective deadline, slack included."""
        stated = self.known[edge.name].of(sequence).deadline_ns
        if stated is None and edge.default_ns is not None:
            stated = self.ns(pushed) + edge.default_ns
        return None if stated is None else stated + edge.slack_ns

    def why_unfit(self, edge: EdgePlan, sequence: int, pushed: int, now: int) -> str | None:
        """Return why a message of known header may not be presented."""
        into = self.into(edge)
        known = self.known[edge.name]
        stated = known.of(sequence)
        made = self._made[known.source, sequence] if stated.created is None else stated.created
        age, fresh = max(now - made, 0), into.freshness
        limits = [(fresh.max_age, age), (fresh.max_span_age, age)]
        stale = any(most is not None and value > most for most, value in limits)
        stale = stale or (stated.max_age_ns is not None and self.ns(age) > stated.max_age_ns)
        if stale and not fresh.delivers:
            return "stale"
        if edge.policy.is_latch:
            return None
        deadline_ns = self.deadline_ns(edge, sequence, pushed)
        if deadline_ns is None:
            return "no_deadline" if into.requires_deadline else None
        if into.drops_late and self.ns(now) > deadline_ns:
            return "expired"
        if into.drops_late and self.ns(now) + into.budget_ns > deadline_ns:
            return "infeasible"
        return None

    def judges(self, edge: EdgePlan) -> bool:
        """Whether all that decides about fitness is known."""
        known = self.known.get(edge.name)
        spans = self.into(edge).freshness.max_span_age is not None
        return known is not None and (known.span or not spans)

    def allows(self, edge: EdgePlan, reason: str) -> bool:
        """Whether the Plan gives a reason to drop before a call at all."""
        into = self.into(edge)
        match reason:
            case "stale":
                limited = not into.freshness.is_none or self._limits
                return limited and not into.freshness.delivers
            case "no_deadline":
                return into.requires_deadline
        return into.drops_late

    def into(self, edge: EdgePlan) -> InputPlan:
        return self.plan.nodes[edge.consumer.node].inputs[edge.consumer.port]


class Periods:
    """Holds each periodic node to its grid."""

    def __init__(self, plan: Plan) -> None:
        self._periods = {n.name: n.period_ticks for n in plan.nodes if n.period_ticks is not None}
        self.due: dict[str, int] = {}
        self.first: dict[str, int] = {}
        self.used: Counter[str] = Counter()
        self._owed: tuple[str, int] | None = None

    def start(self, now: int) -> None:
        self.first = {name: now + period for name, period in self._periods.items()}
        self.due = dict(self.first)

    def __call__(self, decision: Decision, primed: bool) -> None:
        """Take one line; ``primed`` says whether all latches that the node requires have values."""
        owed, self._owed = self._owed, None
        if owed is not None:
            told = (decision.place, decision.sequence)
            assert decision.action == "missed_periods", "periods passed by, and nobody says so"
            assert told == owed, "as many periods are missed as passed by"
            return
        name, now = decision.place, decision.instant
        if name not in self._periods:
            assert decision.action != "missed_periods"
            return
        if decision.action == "step":
            assert now >= self.due[name], "a periodic node steps on its grid, once a period"
            passed = self._pass(name, now)
            self._owed = (name, passed - 1) if passed > 1 else None
        elif decision.action == "missed_periods":
            assert now >= self.due[name]
            assert not primed, "a period that could be used is not missed"
            assert decision.sequence == self._pass(name, now)

    def _pass(self, name: str, now: int) -> int:
        passed = (now - self.due[name]) // self._periods[name] + 1
        self.due[name] += passed * self._periods[name]
        self.used[name] += passed
        return passed

    def agree(self, node: NodeStatistics) -> None:
        if node.name in self._periods:
            assert node.steps + node.missed_periods == self.used[node.name], node.name
        else:
            assert node.missed_periods == 0


class Calls:
    """Follows budgets, variants, defaults, failures and restarts of each node."""

    def __init__(self, plan: Plan) -> None:
        self._nodes = {node.name: node for node in plan.nodes}
        self._last: dict[str, Decision] = {}
        self._variants: dict[str, str] = defaultdict(lambda: "full")
        self._restarts: dict[str, list[int]] = defaultdict(list)
        self._quiet_until: Counter[str] = Counter()
        self._owes_end: str | None = None
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, decision: Decision) -> None:
        node = self._nodes.get(decision.place)
        if node is None:
            return
        last = self._last.get(node.name, decision)
        self._last[node.name] = decision
        self.counts[node.name, decision.action, decision.reason] += 1
        match decision.action:
            case "step":
                assert self._owes_end is None, "who quiesces ends with that step"
                assert decision.instant >= self._quiet_until[node.name], "a restart is rested from"
            case "budget":
                self._budget(node, decision, last)
            case "degrade":
                self._degrade(node, decision)
            case "default":
                assert isinstance(node.budget.action, MessagePlan)
                assert last.action in ("budget", "default", "miss"), last
            case "restart":
                self._restart(node, decision, last)
            case "error":
                self._error(node, decision, last)
            case "end":
                if decision.reason == "quiesced":
                    assert self._owes_end == node.name, "nobody quiesces without a failure"
                    self._owes_end = None

    def _budget(self, node: NodePlan, decision: Decision, last: Decision) -> None:
        budget = node.budget
        match decision.reason:
            case "infeasible":
                assert budget.action is not None, "without an action nobody asks"
            case "overrun":
                assert budget.tick_budget is not None
            case reason:
                assert reason == "watchdog"
                assert budget.watchdog is not None
                if budget.tick_budget is not None:
                    assert (last.action, last.reason) == ("budget", "overrun")

    def _degrade(self, node: NodePlan, decision: Decision) -> None:
        assert isinstance(node.budget.action, DegradePlan)
        now = self._variants[node.name]
        allowed = {"full": ("variant",), "variant": ("probe",), "probe": ("variant", "full")}
        assert decision.reason in allowed[now], f"{now}, then {decision.reason}"
        self._variants[node.name] = decision.reason

    def _within(self, node: NodePlan, now: int) -> int:
        assert isinstance(node.on_error, RestartPlan)
        return sum(now - then <= node.on_error.per_ticks for then in self._restarts[node.name])

    def _restart(self, node: NodePlan, decision: Decision, last: Decision) -> None:
        rule = node.on_error
        assert isinstance(rule, RestartPlan)
        assert last.action in ("error", "restart", "drop", "miss", "budget", "step", "degrade")
        self._restarts[node.name].append(decision.instant)
        count = self._within(node, decision.instant)
        assert decision.sequence == count <= rule.max
        rest = rule.backoff_ticks << (count - 1)
        self._quiet_until[node.name] = decision.instant + rest

    def _error(self, node: NodePlan, decision: Decision, last: Decision) -> None:
        rule = node.on_error
        if isinstance(rule, RestartPlan):
            spent = self._within(node, decision.instant) >= rule.max
            assert decision.reason == ("halt_graph" if spent else "restart"), decision
        else:
            assert decision.reason == node.error_action
        if last.action == "restart" and last.step == decision.step:
            self.counts[node.name, "error", "after restarts"] += 1
        if rule is ErrorAction.QUIESCE or (isinstance(rule, MessagePlan) and rule.quiesce):
            self._owes_end = node.name

    def agree(self, node: NodeStatistics, starts: list[str]) -> None:
        """Hold the statistics of a node to its lines."""
        name, plan = node.name, self._nodes[node.name]

        def count(action: str, *reasons: str) -> int:
            return sum(
                number
                for (place, what, why), number in self.counts.items()
                if (place, what) == (name, action) and (not reasons or why in reasons)
            )

        assert node.overruns == count("budget", "overrun"), name
        assert node.watchdogs == count("budget", "watchdog"), name
        assert node.restarts == count("restart"), name
        failed = starts[1 : 1 + node.restarts].count("error")
        spent = count("error", "after restarts")
        assert node.errors == count("error") - 2 * spent + failed, name
        forms = {"discard": OverBudgetAction.DROP, "forward": OverBudgetAction.SKIP_STAGE}
        for form, replaced in node.replaced.items():
            if form == "default":
                assert isinstance(plan.budget.action, MessagePlan)
                assert count("default") >= replaced
            else:
                assert plan.budget.action is forms[form]
        if not isinstance(plan.budget.action, (DegradePlan, type(None))):
            tried = count("budget", "infeasible", "overrun")
            assert sum(node.replaced.values()) <= tried, name
            assert sum(node.replaced.values()) >= tried - count("error"), name
        if not isinstance(plan.budget.action, DegradePlan):
            assert node.degraded == count("degrade") == 0
        assert 0 <= node.degraded <= node.calls


def assert_tally(audit_counts: Counter[tuple[str, str, str]], statistics: RunStatistics) -> None:
    """Every violation that is told of is one of the log, as often; by how much is never negative.

    Args:
        audit_counts: Lines by place, action and reason.
        statistics: Of the run.
    """
    lines = {
        "liveness": ("liveness", ""),
        "overrun": ("budget", "overrun"),
        "watchdog": ("budget", "watchdog"),
        "restart": ("restart", ""),
        "deadline_miss": ("miss", ""),
        "failsafe": ("error", "emit_failsafe"),
    }
    told: dict[tuple[str, str, str], int] = {}
    for violation in statistics.violations:
        assert violation.worst_ns >= 0, violation
        assert 0 <= violation.first_ns <= violation.last_ns, violation
        if violation.kind.value in lines:
            told[(violation.place, *lines[violation.kind.value])] = violation.count
    for key, count in audit_counts.items():
        if key[1:] in lines.values():
            assert told.pop(key) == count, key
    assert not told
