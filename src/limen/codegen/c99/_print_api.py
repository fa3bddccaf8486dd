"""Prints what binds the procedure to a graph in C, and the functions that an application calls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limen.codegen.c99._facts import GraphC
from limen.codegen.c99._numbers import numbers
from limen.types import TensorSpec


def print_dispatch(graph: GraphC) -> Iterator[str]:
    """Yield what the procedure calls of a graph: its nodes, sources and payloads by number."""
    name = graph.name
    nodes = list(enumerate(graph.nodes))
    state = f"struct {name} *g"
    yield f"LIMEN_FN limen_result limen_enter({state}, unsigned n, bool variant,"
    yield "                                  limen_call *call) {"
    yield "    (void)variant;"
    yield "    switch (n) {"
    for index, node in nodes:
        if node.shape == "SOURCE":
            continue
        own = f"{name}_{node.plan.name}"
        yield f"    case {index}:"
        if node.variant is not None or node.variant_model is not None:
            yield f"        return variant ? {own}_variant_call(g, call) : {own}_call(g, call);"
        else:
            yield f"        return {own}_call(g, call);"
    yield from ("    default:", "        return LIMEN_FAIL;", "    }", "}", "")
    yield "#if LIMEN_SOURCES"
    yield f"LIMEN_FN limen_read limen_ask({state}, unsigned n, unsigned char *payload,"
    yield "                              limen_stated *stated, limen_tick *cost) {"
    yield "    (void)cost;"
    yield "    switch (n) {"
    for index, node in nodes:
        if node.shape != "SOURCE":
            continue
        spec = node.plan.outputs[0].spec
        kind = spec.dtype.c_type if isinstance(spec, TensorSpec) else "void"
        out = f"({kind} *)(void *)payload"
        yield f"    case {index}:"
        if node.is_hook:
            yield f"        return {name}_read_{node.plan.name}(g, g->run.tick, {out}, stated);"
        else:
            own = f"{name}_{node.plan.name}_read"
            yield f"        return {own}(g, g->run.tick, {out}, stated, cost);"
    yield from ("    default:", "        return LIMEN_END;", "    }", "}", "")
    yield f"LIMEN_FN limen_tick limen_due({state}, unsigned n) {{"
    yield "    (void)g;"
    yield "    switch (n) {"
    for index, node in nodes:
        if node.shape != "SOURCE" or (node.form is not None and not node.form.due):
            continue
        yield f"    case {index}:"
        if node.is_hook:
            yield f"        return {name}_due_{node.plan.name}(g);"
        else:
            yield f"        return {name}_{node.plan.name}_due(g);"
    yield from ("    default:", "        return LIMEN_UNTIMED;", "    }", "}", "#endif", "")
    yield "#if LIMEN_RESUMES"
    yield f"LIMEN_FN void limen_resume({state}, unsigned n) {{"
    yield "    switch (n) {"
    for index, node in nodes:
        if node.resumes:
            yield f"    case {index}:"
            yield f"        {name}_resume_{node.plan.name}(g, g->run.tick);"
            yield "        break;"
    yield from ("    default:", "        break;", "    }", "}", "#endif", "")
    yield f"LIMEN_FN bool limen_begin({state}, unsigned n) {{"
    yield "    switch (n) {"
    for index, node in nodes:
        begins = [
            f"{name}_{node.plan.name}{suffix}_begin(g)"
            for form, suffix in ((node.form, ""), (node.variant, "_variant"))
            if form is not None
        ]
        if node.is_hook and node.plan.error_action == "restart":
            hook = f"{name}_restart_{node.plan.name}(g, g->run.tick)"
            begins.append(f"(g->run.outcome != LIMEN_RUNNING || {hook})")
        if begins:
            yield f"    case {index}:"
            yield f"        return {' && '.join(begins)};"
    yield from ("    default:", "        (void)g;", "        return true;", "    }", "}", "")
    yield from _declared(graph)


def _declared(graph: GraphC) -> Iterator[str]:
    yield "#if LIMEN_DECLARED"
    for declared in graph.declared:
        kind = graph.ports[declared.port].spec.dtype.c_type
        own = _declared_name(graph, declared.node, declared.failsafe)
        yield f"static const {kind} {own}[] = {{"
        yield from numbers(declared.values)
        yield "};"
        yield ""
    yield "LIMEN_FN void limen_declare(unsigned n, bool failsafe, unsigned char *payload) {"
    yield "    switch (n) {"
    for index in sorted({declared.node for declared in graph.declared}):
        yield f"    case {index}:"
        for declared in graph.declared:
            if declared.node != index:
                continue
            own = _declared_name(graph, index, declared.failsafe)
            yield f"        if ({'' if declared.failsafe else '!'}failsafe) {{"
            yield f"            memcpy(payload, {own}, sizeof {own});"
            yield "        }"
        yield "        break;"
    yield from ("    default:", "        break;", "    }", "}", "#endif", "")


def _declared_name(graph: GraphC, node: int, failsafe: bool) -> str:
    own = f"{graph.name}_{graph.nodes[node].plan.name}"
    return f"{own}_{'failsafe' if failsafe else 'default'}"


def print_api(graph: GraphC) -> Iterator[str]:
    """Yield the functions that an application calls."""
    name = graph.name
    state = f"struct {name} *g"
    feedback = [edge for edge in graph.edges if edge.plan.initial]
    for edge in feedback:
        dtype = graph.ports[edge.port].spec.dtype
        values = [np.asarray(p).astype(dtype.numpy_dtype()).reshape(-1) for p in edge.plan.initial]
        yield f"/* Initial tokens of {edge.plan.name}. */"
        yield f"static const {dtype.c_type} {name}_initial_{edge.plan.index}[] = {{"
        yield from numbers(np.concatenate(values) if values else np.zeros(1))
        yield "};"
        yield ""
    yield f"void {name}_init({state}) {{"
    yield "    void *const user = g->user;"
    yield "    memset(g, 0, sizeof *g);"
    yield "    g->user = user;"
    yield f"    g->run.drain = INT64_C({10 * graph.plan.tick_rate_hz});"
    yield from ("}", "")
    yield f"bool {name}_start({state}, limen_tick now) {{"
    yield "    if (!limen_start(g, now)) {"
    yield "        return false;"
    yield "    }"
    for edge in feedback:
        port = edge.plan.producer
        count = len(edge.plan.initial)
        yield f"    limen_begin_feedback(g, {edge.plan.index}, {port.node}, {count}u,"
        yield f"                         (const unsigned char *){name}_initial_{edge.plan.index});"
    yield "    return true;"
    yield from ("}", "")
    yield f"limen_tick {name}_step({state}, limen_tick now) {{ return limen_step(g, now); }}"
    yield ""
    yield f"bool {name}_decide({state}, limen_tick now, limen_tick *due) {{"
    yield "    limen_wake(g, now);"
    yield "    return limen_decide(g, due);"
    yield from ("}", "")
    yield f"void {name}_request_stop({state}) {{ g->run.stop_requested = true; }}"
    yield ""
    yield f"void {name}_stop({state}) {{ limen_stop(g); }}"
