"""The application around a printed graph: under emulation, or only to be linked and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from limen.codegen.c99._described import Hook, ModelFile, PrintedGraph

EDGE_COUNTS: Final = ("offered", "pushed", "taken", "consumed", "stale", "peak")
EDGE_REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "refused": ("too_large", "expired", "background", "full", "stopped", "consumer_ended"),
    "evicted": ("capacity", "superseded", "expired", "lower_qos"),
    "dropped": (
        *("", "stale", "no_deadline", "expired", "infeasible", "unpaired", "consumer_ended"),
        *("stopped", "skipped", "error"),
    ),
}
"""What an edge counts by reason, in the order of ``limen.h``."""
NODE_COUNTS: Final = (
    *("steps", "calls", "errors", "misses", "overruns", "watchdogs", "discarded", "forwarded"),
    *("defaulted", "degraded", "missed_periods", "restarts", "silences"),
)


def print_application(graph: PrintedGraph) -> str:
    """Return an application that does nothing: for linking what a graph needs, and no more."""
    return "\n".join(
        [
            "/* Hooks that do nothing, so that the graph can be linked and measured. */",
            *_opening(graph, ()),
            f"limen_tick {graph.name}_now(struct {graph.name} *graph)",
            *_block("(void)graph;", "return 0;"),
            *(line for hook in graph.sources for line in _empty_source(graph.name, hook)),
            *(line for hook in graph.sinks for line in _sink(graph.name, hook, ())),
            "int main(void)",
            *_block(
                f"{graph.name}_init(&{graph.state});",
                f"(void){graph.name}_start(&{graph.state}, 0);",
                f"(void){graph.name}_step(&{graph.state}, 0);",
                f"{graph.name}_stop(&{graph.state});",
                "return 0;",
            ),
        ]
    )


def print_harness(
    graph: PrintedGraph,
    *,
    logs: bool,
    stop_at_tick: int | None = None,
    drain_ticks: int | None = None,
) -> str:
    """Return the application that replays recordings under emulation and reports what happens.

    Args:
        graph: The graph.
        logs: Whether decisions, payloads and the instructions of models are written; else the
            instructions of steps.
        stop_at_tick: The instant from which on the graph is asked to stop; None for never.
        drain_ticks: How long it may then drain; what is printed says it if not given.
    """
    stop = ""
    if stop_at_tick is not None:
        stop = f"if (harness_now >= INT64_C({stop_at_tick})) {graph.name}_request_stop(graph);"
    headers = ("counter.h", "recorded.h", "report.h", "semihost.h", "startup.h")
    return "\n".join(
        [
            "/* Replays recordings to a graph under emulation, on simulated time. */",
            *_opening(graph, headers),
            "static limen_tick harness_now;",
            *(f"static recorded_source harness_sources[{n}];" for n in (len(graph.sources),) if n),
            "",
            f"limen_tick {graph.name}_now(struct {graph.name} *graph)",
            *_block(stop or "(void)graph;", "return harness_now;"),
            f"void {graph.name}_charge(struct {graph.name} *graph, limen_tick ticks);",
            f"void {graph.name}_charge(struct {graph.name} *graph, limen_tick ticks)",
            *_block("(void)graph;", "harness_now += ticks;"),
            *(
                line
                for index, hook in enumerate(graph.sources)
                for line in _source(graph.name, hook, index)
            ),
            *(
                line
                for hook in graph.sinks
                for line in _sink(graph.name, hook, _shown(hook) if logs else ())
            ),
            *(_log() if logs else ()),
            *(line for model in graph.models for line in (_wrapper(model) if logs else ())),
            *_main(graph, drain_ticks, logs=logs),
        ]
    )


def _opening(graph: PrintedGraph, headers: Sequence[str]) -> Iterator[str]:
    yield f'#include "{graph.name}.h"'
    yield from (f'#include "{header}"' for header in headers)
    yield from ("", "int main(void);", f"static struct {graph.name} {graph.state};", "")


def _block(*lines: str) -> Iterator[str]:
    yield "{"
    yield from (f"    {line}" for line in lines)
    yield from ("}", "")


def _read_head(name: str, hook: Hook) -> str:
    return (
        f"limen_read {name}_read_{hook.name}(struct {name} *graph, limen_tick now, "
        f"{hook.type} *payload, limen_stated *stated)"
    )


def _empty_source(name: str, hook: Hook) -> Iterator[str]:
    yield _read_head(name, hook)
    unused = ("(void)graph;", "(void)now;", "(void)payload;", "(void)stated;")
    yield from _block(*unused, "return LIMEN_END;")
    yield f"limen_tick {name}_due_{hook.name}(struct {name} *graph)"
    yield from _block("(void)graph;", "return LIMEN_UNTIMED;")
    if hook.resumes:
        yield f"void {name}_resume_{hook.name}(struct {name} *graph, limen_tick now)"
        yield from _block("(void)graph;", "(void)now;")
    yield from _restart(name, hook)


def _restart(name: str, hook: Hook) -> Iterator[str]:
    if hook.restarts:
        yield f"bool {name}_restart_{hook.name}(struct {name} *graph, limen_tick now)"
        yield from _block("(void)graph;", "(void)now;", "return true;")


def _source(name: str, hook: Hook, index: int) -> Iterator[str]:
    source = f"&harness_sources[{index}]"
    yield _read_head(name, hook)
    yield from _block(
        f"const recorded_entry *front = recorded_front({source});",
        "(void)graph;",
        f"if (recorded_due({source}, LIMEN_UNTIMED) > now) {{",
        "    return LIMEN_NOTHING;",
        "}",
        "if (front->what == RECORDED_END) {",
        "    return LIMEN_END;",
        "}",
        f"recorded_take({source}, payload);",
        "if (front->what == RECORDED_FAILURE) {",
        "    return LIMEN_READ_FAILED;",
        "}",
        "if ((front->states & RECORDED_CREATION) != 0u) {",
        f"    stated->creation = front->creation + ({source})->delay;",
        "}",
        "stated->qos = (uint8_t)front->qos;",
        "stated->degrade_allowed = (front->states & RECORDED_DEGRADE) != 0u;",
        "#if LIMEN_DEADLINES",
        "if ((front->states & RECORDED_DEADLINE) != 0u) {",
        "    stated->deadline_ns = front->deadline_ns;",
        "}",
        "#endif",
        "#if LIMEN_AGES",
        "if ((front->states & RECORDED_MAX_AGE) != 0u) {",
        "    stated->max_age_ns = front->max_age_ns;",
        "}",
        "#endif",
        "return LIMEN_MESSAGE;",
    )
    yield f"limen_tick {name}_due_{hook.name}(struct {name} *graph)"
    yield from _block("(void)graph;", f"return recorded_due({source}, LIMEN_UNTIMED);")
    if hook.resumes:
        yield f"void {name}_resume_{hook.name}(struct {name} *graph, limen_tick now)"
        yield from _block("(void)graph;", f"recorded_resume({source}, now);")
    yield from _restart(name, hook)


def _shown(hook: Hook) -> Iterator[str]:
    yield f'report_text("O {hook.label}");'
    for number in ("header->sequence", "header->creation", "header->origin", "now"):
        yield 'report_text(" ");'
        yield f"report_number({number});"
    yield 'report_text(" ");'
    yield f"report_hex(payload, {hook.size_bytes}u);"
    yield "report_line();"


def _sink(name: str, hook: Hook, shown: Iterable[str]) -> Iterator[str]:
    lines = list(shown)
    yield (
        f"bool {name}_consume_{hook.name}{hook.suffix}(struct {name} *graph, "
        f"const {hook.type} *payload, const limen_header *header, limen_tick now)"
    )
    unused = () if lines else ("(void)payload;", "(void)header;", "(void)now;")
    yield from _block("(void)graph;", *unused, *lines, "return true;")
    yield from _restart(name, hook)


def _log() -> Iterator[str]:
    head = (
        "void limen_log(limen_tick instant, uint32_t step, const char *place, "
        "const char *action, int64_t sequence, const char *reason)"
    )
    fields = ("number(instant)", "number(step)", "text(place)", "text(action)", "number(sequence)")
    lines = [line for field in fields for line in (f"report_{field};", 'report_text("|");')]
    yield head + ";"
    yield head
    yield from _block('report_text("L ");', *lines, "report_text(reason);", "report_line();")


def _wrapper(model: ModelFile) -> Iterator[str]:
    """Yield what stands in the place of a model: it calls the model, and counts instructions."""
    types = ", ".join("const void *" for _ in range(model.arguments))
    named = ", ".join(f"const void *p{i}" for i in range(model.arguments))
    given = ", ".join(f"p{i}" for i in range(model.arguments))
    yield f"void __real_{model.entry}({types});"
    yield f"void __wrap_{model.entry}({types});"
    yield f"void __wrap_{model.entry}({named})"
    yield from _block(
        "const uint32_t before = counter_read();",
        f"__real_{model.entry}({given});",
        "const uint32_t spent = counter_since(before);",
        f'report_text("M {model.node} ");',
        "report_number(spent);",
        "report_line();",
    )


def _main(graph: PrintedGraph, drain_ticks: int | None, *, logs: bool) -> Iterator[str]:
    name, state = graph.name, graph.state
    yield "int main(void)"
    counted = (
        '    report_text("S ");',
        "    report_number(harness_now);",
        '    report_text(" ");',
        "    report_number(spent);",
        "    report_line();",
    )
    yield from _block(
        *(
            line
            for index, hook in enumerate(graph.sources)
            for line in (
                f"if (!recorded_open(&harness_sources[{index}], {index}u, {hook.size_bytes}u)) {{",
                f'    report_text("R {hook.name}");',
                "    report_line();",
                "    return 2;",
                "}",
            )
        ),
        "counter_start();",
        f"{name}_init(&{state});",
        *(() if drain_ticks is None else (f"{state}.run.drain = INT64_C({drain_ticks});",)),
        f"const bool started = {name}_start(&{state}, {name}_now(&{state}));",
        f"while (started && {state}.run.outcome == LIMEN_RUNNING) {{",
        "    const uint32_t before = counter_read();",
        f"    const limen_tick due = {name}_step(&{state}, {name}_now(&{state}));",
        "    const uint32_t spent = counter_since(before);",
        *(("    (void)spent;",) if logs else counted),
        f"    if ({state}.run.outcome == LIMEN_RUNNING && due > harness_now) {{",
        "        harness_now = due;",
        "    }",
        "}",
        "if (started) {",
        f"    {name}_stop(&{state});",
        "}",
        'report_text("C ");',
        f"report_number({state}.run.outcome);",
        "report_line();",
        *(_counts(graph) if graph.counts and logs else ()),
        'report_text("K ");',
        "report_number(startup_stack_used());",
        "report_line();",
        'report_text("E");',
        "report_line();",
        "return 0;",
    )


def _counts(graph: PrintedGraph) -> Iterator[str]:
    """Yield what writes down what each edge and node has counted."""
    state = graph.state
    for letter, what, plain, arrays in (
        ("G", "edges", EDGE_COUNTS, EDGE_REASONS),
        ("N", "nodes", NODE_COUNTS, {}),
    ):
        count = len(graph.edges if what == "edges" else graph.nodes)
        counts = f"{state}.{what}[i].counts"
        yield f"for (uint32_t i = 0; i < {count}u; i++) {{"
        yield f'    report_text("{letter}");'
        for key in plain:
            yield '    report_text(" ");'
            yield f"    report_number({counts}.{key});"
        for key, reasons in arrays.items():
            yield f"    for (uint32_t k = 0; k < {len(reasons)}u; k++) {{"
            yield '        report_text(" ");'
            yield f"        report_number({counts}.{key}[k]);"
            yield "    }"
        yield "    report_line();"
        yield "}"
