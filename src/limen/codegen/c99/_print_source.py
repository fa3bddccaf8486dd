"""Prints the source of a graph in C: its constants, a function a node, and its API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from limen.codegen._text import Text
from limen.codegen.c99._facts import (
    POLLS_NS,
    EdgeC,
    GraphC,
    PortC,
    activation_name,
    error_name,
    ns_per_tick,
    over_budget_name,
)
from limen.codegen.c99._forms import NodeC
from limen.codegen.c99._layout import ARM32, HOST64
from limen.codegen.c99._numbers import numbers
from limen.codegen.c99._print_api import print_api, print_dispatch
from limen.codegen.c99._print_header import STATE_FEATURES, heading
from limen.codegen.c99._state import state_layout
from limen.node import CForm, NodeKind
from limen.onnx_c import ModelC
from limen.platform import PlatformClock
from limen.policy import AdmissionPolicy, RetentionMode
from limen.scheduling import DegradePlan
from limen.scheduling import RestartPlan as Restart
from limen.types import TensorSpec

_ADMISSIONS = {
    AdmissionPolicy.BLOCK: "LIMEN_BLOCK",
    AdmissionPolicy.DROP_NEWEST: "LIMEN_DROP_NEWEST",
    AdmissionPolicy.DROP_OLDEST: "LIMEN_DROP_OLDEST",
    AdmissionPolicy.DEADLINE_AND_QOS_AWARE: "LIMEN_AWARE_OF_DEADLINES",
}
_SCHEDULERS = ("round_robin", "edf", "throughput", "criticality")
_MOST_RECOVERY_FACTOR = 8


def print_source(graph: GraphC, clock: PlatformClock, digest: str) -> str:
    """Return the text of ``<graph>.c``.

    Args:
        graph: The graph.
        clock: Converts durations to its ticks.
        digest: Of what it was made of.
    """
    text = Text()
    text.add(*heading(graph, digest))
    text.add(f'#include "{graph.name}.h"', "")
    text.add(*(f'#include "{model.entry}.h"' for model in _models(graph)))
    for header in sorted({h for form in _all_forms(graph) for h in form.headers}):
        text.add(f"#include <{header}>")
    text.add("")
    text.add(*_configuration(graph, clock), "")
    text.add('#include "limen_core.h"', "")
    text.add(*_sizes(graph), "")
    text.add(*_names(graph), "")
    text.add(*_edge_plans(graph), *_port_plans(graph), *_node_plans(graph))
    text.add('#include "limen_procedure.h"', "")
    # What two nodes both call is defined once.
    for code in dict.fromkeys(form.code for form in _all_forms(graph) if form.code):
        text.add(*code.rstrip("\n").split("\n"), "")
    for node in graph.nodes:
        text.add(*_node(graph, node))
    text.add(*print_dispatch(graph), *print_api(graph))
    return str(text)


# Constants.


def _configuration(graph: GraphC, clock: PlatformClock) -> Iterator[str]:
    name = graph.name
    yield "/* How it is compiled: with a log, on simulated time, as straight-line code. */"
    for switch in ("LOG", "SIM", "SPECIALISE"):
        yield f"#ifndef LIMEN_{switch}"
        yield f"#define LIMEN_{switch} 0"
        yield "#endif"
    yield "#if LIMEN_LOG"
    yield "/* Told of every decision. */"
    yield "void limen_log(limen_tick instant, uint32_t step, const char *place, const char *action,"
    yield "               int64_t sequence, const char *reason);"
    yield "#endif"
    yield "#if LIMEN_SIM"
    yield f"void {name}_charge(struct {name} *g, limen_tick ticks);"
    yield f"#define LIMEN_CHARGE(g, ticks) {name}_charge((g), (ticks))"
    yield "#endif"
    yield ""
    yield f"#define LIMEN_GRAPH struct {name}"
    yield f"#define LIMEN_NOW(g) {name}_now(g)"
    yield f"#define LIMEN_NODES {len(graph.nodes)}u"
    each = " ".join(f"X({index}u)" for index in range(len(graph.nodes)))
    yield f"#define LIMEN_EACH_NODE(X) {each}"
    yield f"#define LIMEN_TIMED_COUNT {len(_timed(graph))}u"
    yield f"#define LIMEN_EDGES {len(graph.edges)}u"
    yield f"#define LIMEN_PORTS {len(graph.ports)}u"
    yield f"#define LIMEN_TICK_RATE {graph.plan.tick_rate_hz}"
    yield f"#define LIMEN_NS_PER_TICK {ns_per_tick(graph.plan)}"
    for key, most in (
        ("EMITS", graph.most_emits),
        ("ITEMS", graph.most_items),
        ("INPUTS", graph.most_inputs),
        ("RECOVERY_FACTOR", _MOST_RECOVERY_FACTOR),
    ):
        yield f"#define LIMEN_MOST_{key} {most}u"
    pauses = [clock.duration_to_ticks(ns) for ns in POLLS_NS]
    yield f"#define LIMEN_PAUSES {len(pauses)}u"
    yield f"#define LIMEN_PAUSE_TICKS {{{', '.join(map(str, pauses))}}}"
    yield "#define LIMEN_ROUND_ROBIN 0"
    yield "#define LIMEN_EARLIEST_FIRST 1"
    yield "#define LIMEN_MOST_FIRST 2"
    yield "#define LIMEN_CRITICALITY_FIRST 3"
    yield f"#define LIMEN_SCHEDULER {_SCHEDULERS.index(graph.plan.scheduler)}"
    for key, holds in graph.features.items():
        if key not in STATE_FEATURES:
            yield f"#define LIMEN_{key} {int(holds)}"


def _sizes(graph: GraphC) -> Iterator[str]:
    arm, host = (state_layout(graph, abi).size_bytes for abi in (ARM32, HOST64))
    yield "/* The state is as large as was promised. */"
    yield f"typedef char {graph.name}_state_is_as_promised"
    yield f"    [sizeof(struct {graph.name}) == (sizeof(void *) == 4 ? {arm}u : {host}u) ? 1 : -1];"


def _names(graph: GraphC) -> Iterator[str]:
    yield "#if LIMEN_LOG"
    for what, names in (
        ("node", [node.plan.name for node in graph.nodes]),
        ("edge", [edge.plan.name for edge in graph.edges]),
    ):
        yield f"static const char *const limen_{what}_names[] = {{"
        yield from (f'    "{name}",' for name in names)
        if not names:
            yield '    "",'
        yield "};"
    yield "#endif"


def _ticks(value: int | None) -> str:
    return "LIMEN_NONE" if value is None else f"INT64_C({value})"


def _edge_plans(graph: GraphC) -> Iterator[str]:
    has = graph.features
    yield "static const limen_edge_plan limen_edges[] = {"
    for edge in graph.edges:
        yield f"    [{edge.plan.index}] = {{ /* {edge.plan.name} */"
        for key, value in _edge_plan(edge, has):
            yield f"        .{key} = {value},"
        yield "    },"
    if not graph.edges:
        yield "    {0},"
    yield "};"
    yield ""


def _edge_plan(edge: EdgeC, has: dict[str, bool]) -> Iterator[tuple[str, object]]:
    plan, into = edge.plan, edge.into
    yield "default_ns", _ticks(plan.default_ns)
    yield "slack_ns", _ticks(plan.slack_ns)
    if has["EXPIRES"] or has["BUDGETS"]:
        yield "budget_ns", _ticks(into.budget_ns)
    if has["DELTAS"]:
        yield "delta", _ticks(into.batching.delta_ticks)
    if has["FRESHNESS"]:
        yield "max_age", _ticks(into.freshness.max_age)
        yield "max_span_age", _ticks(into.freshness.max_span_age)
    if has["LIVENESS"]:
        yield "gap", _ticks(into.gap_ticks)
    yield "producer", plan.producer.node
    yield "consumer", plan.consumer.node
    for key in ("port", "fits", "hard", "soft", "ring", "room", "hold", "hold_room", "stage"):
        yield key, getattr(edge, key)
    yield "stage_room", max(edge.stage_room, 1)
    yield "batch", into.batching.max_items
    yield "stride", into.batching.stride
    yield "input", plan.consumer.port
    yield "admission", _ADMISSIONS[plan.policy.admission]
    flags = {
        "supersedes": plan.policy.retention is not RetentionMode.FIFO,
        "latch": plan.policy.is_latch,
        "lanes": edge.lanes,
        "feedback": plan.is_feedback,
        "required": into.required,
        "trigger": into.is_trigger,
        "delivers": into.freshness.delivers,
        "requires_deadline": into.requires_deadline,
        "drops_late": into.drops_late,
        "needs_degrade_allowed": into.needs_degrade_allowed,
    }
    for key, holds in flags.items():
        if holds:
            yield key, "true"


def _port_plans(graph: GraphC) -> Iterator[str]:
    order = [edge for port in graph.ports for edge in port.edges]
    yield from _list("limen_out_edges", order)
    into = [int(e.plan.index) for n in range(len(graph.nodes)) for e in graph.edges_into(n)]
    yield from _list("limen_in_edges", into)
    if _timed(graph) and graph.plan.scheduler != "criticality":
        yield from _list("limen_timed", _timed(graph))
    yield "static const limen_port_plan limen_ports[] = {"
    for number, port in enumerate(graph.ports):
        yield f"    [{number}] = {{"
        yield f"        .payloads = (uint32_t)offsetof(struct {graph.name}, {port.name}),"
        yield f"        .slot_bytes = {port.spec.size_bytes},"
        for key, value in (
            ("first", port.first),
            ("depth", port.depth),
            ("edges", port.out_edges),
            ("max_emit", port.max_emit),
            ("fan_out", len(port.edges)),
        ):
            yield f"        .{key} = {value},"
        if _in_turn(graph, port):
            yield "        .in_turn = true,"
        yield "    },"
    if not graph.ports:
        yield "    {0},"
    yield "};"
    yield ""


def _timed(graph: GraphC) -> list[int]:
    """Return the sources that may keep a schedule."""
    nodes = enumerate(graph.nodes)
    return [i for i, n in nodes if n.shape == "SOURCE" and (n.form is None or n.form.due)]


def _in_turn(graph: GraphC, port: PortC) -> bool:
    """Whether the slots of an output come back in the order in which they were claimed.

    So they do on a single edge that holds nothing between steps and refuses nothing that is newer
    than what waits.
    """
    if len(port.edges) != 1:
        return False
    edge = graph.edges[port.edges[0]]
    batching = edge.into.batching
    holds = edge.plan.policy.is_latch or batching.stride != batching.max_items
    if edge.plan.policy.admission not in (AdmissionPolicy.BLOCK, AdmissionPolicy.DROP_OLDEST):
        return False
    return not (holds or edge.lanes or edge.plan.is_feedback)


def _list(name: str, values: Sequence[int]) -> Iterator[str]:
    listed = ", ".join(map(str, values)) or "0"
    yield f"static const uint16_t {name}[] = {{{listed}}};"


def _node_plans(graph: GraphC) -> Iterator[str]:
    in_edges = out_edges = ports = restarts = 0
    yield "static const limen_node_plan limen_nodes[] = {"
    for index, node in enumerate(graph.nodes):
        into = graph.edges_into(index)
        own = graph.ports_of(index)
        outs = sum(len(port.edges) for port in own)
        yield f"    [{index}] = {{ /* {node.plan.name} */"
        yield f"        .in_edges = {in_edges},"
        yield f"        .inputs = {len(into)},"
        yield f"        .input_ports = {len(node.plan.inputs)},"
        yield f"        .out_edges = {out_edges},"
        yield f"        .outs = {outs},"
        yield f"        .ports = {ports},"
        yield f"        .outputs = {len(own)},"
        for key, value in _node_plan(graph, node, restarts):
            yield f"        .{key} = {value},"
        yield "    },"
        in_edges += len(into)
        out_edges += outs
        ports += len(own)
        restarts += node.plan.on_error.max if isinstance(node.plan.on_error, Restart) else 0
    yield "};"
    yield ""


def _node_plan(graph: GraphC, node: NodeC, restarts: int) -> Iterator[tuple[str, object]]:
    plan, has = node.plan, graph.features
    yield "cost", _ticks(plan.sim_cost_ticks)
    action = plan.budget.action
    if isinstance(action, DegradePlan):
        yield "variant_cost", _ticks(action.sim_cost_ticks)
        yield "degrade_after", action.rule.degrade_after
        yield "recover_after", action.rule.recover_after
    if plan.kind is NodeKind.SOURCE:
        yield "offset", _ticks(plan.clock_offset_ticks)
        yield "offset_ns", _ticks(plan.clock_offset_ns)
    if has["PERIODS"]:
        yield "period", _ticks(plan.period_ticks or 1)
    if has["LIVENESS"]:
        yield "step_gap", _ticks(plan.step_gap_ticks)
    if has["BUDGETS"]:
        yield "tick_budget", _ticks(plan.budget.tick_budget)
        yield "watchdog", _ticks(plan.budget.watchdog)
    if isinstance(plan.on_error, Restart):
        yield "restart_per", _ticks(plan.on_error.per_ticks)
        yield "restart_backoff", _ticks(plan.on_error.backoff_ticks)
        yield "restart_max", plan.on_error.max
        yield "restarts", restarts
    if node.shape == "WINDOW" and plan.inputs[0].batching.max_items > 1:
        yield "gather", f"(uint32_t)offsetof(struct {graph.name}, {plan.name}_gather)"
    for declared in graph.declared:
        if declared.node == plan.index:
            yield ("failsafe_port" if declared.failsafe else "default_port"), declared.port
    if getattr(plan.on_error, "quiesce", False):
        yield "failsafe_quiesces", "true"
    if node.fixed_batch > 1:
        yield "fixed_batch", node.fixed_batch
    yield "shape", f"LIMEN_{node.shape}"
    yield "activation", f"LIMEN_{activation_name(plan)}"
    yield "criticality", int(plan.criticality)
    yield "on_error", f"LIMEN_{error_name(plan)}"
    yield "over_budget", f"LIMEN_OVER_{over_budget_name(plan)}"


# Nodes.


def _models(graph: GraphC) -> list[ModelC]:
    found = [m for node in graph.nodes for m in (node.model, node.variant_model)]
    return [model for model in found if model is not None]


def _all_forms(graph: GraphC) -> list[CForm]:
    found = [form for node in graph.nodes for form in (node.form, node.variant)]
    return [form for form in found if form is not None]


def _node(graph: GraphC, node: NodeC) -> Iterator[str]:
    what = type(getattr(node.plan.node, "source", getattr(node.plan.node, "sink", node.plan.node)))
    yield f"/* {node.plan.name}: {what.__name__}. */"
    yield ""
    for form, model, suffix in (
        (node.form, node.model, ""),
        (node.variant, node.variant_model, "_variant"),
    ):
        if form is not None:
            yield from _form(graph, node, form, suffix)
        elif model is not None:
            yield from _model(graph, node, model, suffix)
    if node.is_hook and node.shape != "SOURCE":
        yield from _consume(graph, node)


def _uses(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _form(graph: GraphC, node: NodeC, form: CForm, suffix: str) -> Iterator[str]:
    own = f"{graph.name}_{node.plan.name}{suffix}"
    state = f"struct {graph.name} *g"
    for table in form.tables:
        yield f"static const {table.type} {own}_{table.name}[] = {{"
        yield from numbers(table.values)
        yield "};"
        yield ""
    tables = [
        f"const {table.type} *const {table.name} = {own}_{table.name};" for table in form.tables
    ]
    self_line = f"struct {own}_state *const self = &g->{node.plan.name}{suffix}_state;"
    if node.shape == "SOURCE":
        spec = node.plan.outputs[0].spec
        kind = spec.dtype.c_type if isinstance(spec, TensorSpec) else "void"
        yield f"LIMEN_FN limen_read {own}_read({state}, limen_tick now, {kind} *out,"
        yield "    limen_stated *stated, limen_tick *cost) {"
    else:
        yield f"LIMEN_FN limen_result {own}_call({state}, limen_call *call) {{"
        for number, port in enumerate(node.plan.inputs):
            if node.shape == "MODEL" or not isinstance(port.spec, TensorSpec):
                continue
            into = "in" if len(node.plan.inputs) == 1 else f"in_{port.name}"
            if _uses(into, form.call):
                yield f"    const {port.spec.dtype.c_type} *const {into} = call->in[{number}];"
    yield from _bound(form.call, self_line if form.state else "", form, tables)
    unused = ["g"]
    if node.shape == "SOURCE":
        unused += [name for name in ("now", "out", "stated", "cost") if not _uses(name, form.call)]
    elif not _uses("call", form.call):
        unused.append("call")
    yield from (f"    (void){name};" for name in unused)
    yield from _indented(form.call)
    yield "}"
    yield ""
    if form.due:
        yield f"LIMEN_FN limen_tick {own}_due({state}) {{"
        yield from _bound(form.due, self_line if form.state else "", form, tables)
        yield "    (void)g;"
        yield from _indented(form.due)
        yield "}"
        yield ""
    yield f"static bool {own}_begin({state}) {{"
    yield from _bound(form.start, self_line if form.state else "", form, tables)
    yield "    (void)g;"
    yield from _indented(form.start)
    yield "    return true;"
    yield "}"
    yield ""


def _bound(body: str, self_line: str, form: CForm, tables: Sequence[str]) -> Iterator[str]:
    if self_line and _uses("self", body):
        yield f"    {self_line}"
    for table, line in zip(form.tables, tables, strict=True):
        if _uses(table.name, body):
            yield f"    {line}"


def _indented(body: str) -> Iterator[str]:
    for line in body.strip("\n").split("\n") if body.strip() else ():
        yield f"    {line}" if line.strip() else ""


def _model(graph: GraphC, node: NodeC, model: ModelC, suffix: str) -> Iterator[str]:
    own = f"{graph.name}_{node.plan.name}{suffix}"
    arena = f"g->{node.plan.name}{suffix}_arena" if model.arena_bytes else "NULL"
    yield f"LIMEN_FN limen_result {own}_call(struct {graph.name} *g, limen_call *call) {{"
    yield "    unsigned i;"
    if node.fixed_batch == 1:
        yield "    for (i = 0; i < call->items; i++) {"
        yield f"        {model.entry}({arena}, call->ins[i], call->outs[i]);"
        yield "    }"
    else:
        into, out = (
            specs[0][1].size_bytes // node.fixed_batch for specs in (model.inputs, model.outputs)
        )
        batch, results = f"g->{node.plan.name}_batch", f"g->{node.plan.name}_results"
        yield f"    memset({batch}, 0, sizeof {batch});"
        yield "    for (i = 0; i < call->items; i++) {"
        yield f"        memcpy((unsigned char *){batch} + (size_t)i * {into}u,"
        yield f"               call->ins[i], {into}u);"
        yield "    }"
        yield f"    {model.entry}({arena}, {batch}, {results});"
        yield "    for (i = 0; i < call->items; i++) {"
        yield "        memcpy(call->outs[i],"
        yield f"               (unsigned char *){results} + (size_t)i * {out}u, {out}u);"
        yield "    }"
    yield "    (void)g;"
    yield "    return LIMEN_DONE;"
    yield "}"
    yield ""


def _consume(graph: GraphC, node: NodeC) -> Iterator[str]:
    own = f"{graph.name}_{node.plan.name}"
    several = len(node.plan.inputs) > 1
    yield f"LIMEN_FN limen_result {own}_call(struct {graph.name} *g, limen_call *call) {{"
    for number, port in enumerate(node.plan.inputs):
        if port.edge is None:
            continue
        suffix = f"_{port.name}" if several else ""
        yield f"    if (call->in[{number}] != NULL &&"
        yield f"        !{graph.name}_consume_{node.plan.name}{suffix}("
        yield f"            g, call->in[{number}], call->headers[{number}], call->now)) {{"
        yield "        return LIMEN_FAIL;"
        yield "    }"
    yield "    return LIMEN_DONE;"
    yield "}"
    yield ""
