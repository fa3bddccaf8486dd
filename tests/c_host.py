"""Runs printed graphs as processes of the host, on simulated time, and reads what they decided."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from limen.codegen.c99 import PrintedC, print_c
from limen.runtime import SingleThreadRuntime
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, RunStatistics
from limen.testing.drawn import StoppingClock

COMPILER = shutil.which("gcc")
NEEDS_COMPILER = pytest.mark.skipif(COMPILER is None, reason="no gcc")
WARNINGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wshadow"),
    *("-Wvla", "-ffp-contract=off"),
)
SANITIZED = ("-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
PLAIN = ("-O0",)
SPECIALISED = ("-O2", "-DLIMEN_SPECIALISE=1")
_HANGS_S = 120

_REFUSED = ("too_large", "expired", "background", "full", "stopped", "consumer_ended")
_EVICTED = ("capacity", "superseded", "expired", "lower_qos")
_DROPPED = (
    *("", "stale", "no_deadline", "expired", "infeasible", "unpaired", "consumer_ended"),
    *("stopped", "skipped", "error"),
)
_NODE = (
    *("steps", "calls", "errors", "misses", "overruns", "watchdogs", "discarded", "forwarded"),
    *("defaulted", "degraded", "missed_periods", "restarts"),
)
_OUTCOMES = {
    2: "completed",
    3: "stopped",
    4: "halted",
    5: "deadlocked",
    6: "failed",
}


@dataclass(frozen=True)
class Run:
    """What a graph decided and counted."""

    log: str
    outcome: str
    edges: dict[str, dict[str, object]]
    nodes: dict[str, dict[str, int]]
    complaints: str = ""


def harness(printed: PrintedC, stop_at: int | None, drain_ticks: int) -> str:
    """Return a program that runs a graph without hooks on simulated time."""
    name = printed.graph.name
    stop = "false" if stop_at is None else f"simulated >= INT64_C({stop_at})"
    return f"""
#include "{name}.h"
#include <inttypes.h>
#include <stdio.h>

static struct {name} graph;
static limen_tick simulated;

limen_tick {name}_now(struct {name} *g) {{
    if ({stop}) {{
        {name}_request_stop(g);
    }}
    return simulated;
}}

void {name}_charge(struct {name} *g, limen_tick ticks);
void {name}_charge(struct {name} *g, limen_tick ticks) {{
    (void)g;
    simulated += ticks;
}}

void limen_log(limen_tick instant, uint32_t step, const char *place, const char *action,
               int64_t sequence, const char *reason);
void limen_log(limen_tick instant, uint32_t step, const char *place, const char *action,
               int64_t sequence, const char *reason) {{
    printf("%" PRId64 "|%" PRIu32 "|%s|%s|%" PRId64 "|%s\\n", instant, step, place, action,
           sequence, reason);
}}

int main(void) {{
    unsigned i;
    unsigned k;
    {name}_init(&graph);
    graph.run.drain = INT64_C({drain_ticks});
    if ({name}_start(&graph, {name}_now(&graph))) {{
        while (graph.run.outcome == LIMEN_RUNNING) {{
            const limen_tick due = {name}_step(&graph, {name}_now(&graph));
            if (graph.run.outcome == LIMEN_RUNNING && due > simulated) {{
                simulated = due;
            }}
        }}
        {name}_stop(&graph);
    }}
    printf("outcome %u\\n", (unsigned)graph.run.outcome);
    for (i = 0; i < {len(printed.graph.edges)}u; i++) {{
        const limen_edge *const edge = &graph.edges[i];
        const limen_edge_counts *const counts = &edge->counts;
        printf("edge %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %u %u",
               counts->offered, counts->pushed, counts->taken, counts->consumed, counts->stale,
               (unsigned)counts->peak, (unsigned)edge->count);
        for (k = 0; k < LIMEN_REFUSALS; k++) {{
            printf(" %" PRIu32, counts->refused[k]);
        }}
        for (k = 0; k < LIMEN_EVICTIONS; k++) {{
            printf(" %" PRIu32, counts->evicted[k]);
        }}
        for (k = 0; k < LIMEN_DROPS; k++) {{
            printf(" %" PRIu32, counts->dropped[k]);
        }}
        printf("\\n");
    }}
    for (i = 0; i < {len(printed.graph.nodes)}u; i++) {{
        const limen_node_counts *const counts = &graph.nodes[i].counts;
        printf("node");
        {"".join(f'printf(" %" PRIu32, counts->{key});' for key in _NODE)}
        printf("\\n");
    }}
    return 0;
}}
"""


def run_c(
    plan: Plan,
    clock: StoppingClock,
    folder: Path,
    *,
    flags: tuple[str, ...],
    stop_at: int | None = None,
    drain_ns: int = 10_000_000_000,
) -> Run:
    """Print, compile and run a graph whose parts all have C forms."""
    printed = print_c(plan, clock)
    name = printed.graph.name
    printed.write(folder)
    (folder / "main.c").write_text(harness(printed, stop_at, clock.nanos_to_ticks(drain_ns)))
    command = [str(COMPILER), *WARNINGS, *flags, "-DLIMEN_LOG=1", "-DLIMEN_SIM=1"]
    command += ["-o", "run", f"{name}.c", "main.c", "-lm"]
    built = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_HANGS_S, check=False
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [str(folder / "run")], capture_output=True, text=True, timeout=_HANGS_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return _read(plan, ran.stdout, ran.stderr)


def _read(plan: Plan, text: str, complaints: str) -> Run:
    log, _, rest = text.rpartition("outcome ")
    lines = rest.split("\n")
    edges, nodes = {}, {}
    for edge, line in zip(plan.edges, lines[1:], strict=False):
        numbers = [int(word) for word in line.split()[1:]]
        offered, pushed, taken, consumed, stale, peak, ring, *reasons = numbers
        edges[edge.name] = {
            **{"offered": offered, "pushed": pushed, "taken": taken, "consumed": consumed},
            **{"stale": stale, "peak": peak, "ring": ring},
            "refused": _named(_REFUSED, reasons),
            "evicted": _named(_EVICTED, reasons[6:]),
            "dropped": _named(_DROPPED, reasons[10:]),
        }
    for node, line in zip(plan.nodes, lines[1 + len(plan.edges) :], strict=False):
        numbers = [int(word) for word in line.split()[1:]]
        nodes[node.name] = dict(zip(_NODE, numbers, strict=True))
    return Run(log, _OUTCOMES.get(int(lines[0]), lines[0]), edges, nodes, complaints)


def _named(names: tuple[str, ...], counts: list[int]) -> dict[str, int]:
    return {name: count for name, count in zip(names, counts, strict=False) if count}


def run_reference(plan: Plan, clock: StoppingClock, drain_ns: int = 10_000_000_000) -> Run:
    """Run the same on the reference executor."""
    lines = list[str]()
    log = DecisionLog(lambda decision: lines.append(decision.canonical()))
    runtime = SingleThreadRuntime(plan, clock, drain_ns=drain_ns, log=log)
    clock.handle = runtime.stop_handle
    statistics = runtime.run()
    return in_the_form_of_c("".join(lines), statistics)


def in_the_form_of_c(log: str, statistics: RunStatistics) -> Run:
    """Return the accounting in the form in which C gives it."""
    inputs = {record.name: record for record in statistics.inputs}
    edges = {}
    for edge in statistics.edges:
        into = inputs[edge.name.partition(" -> ")[2]]
        edges[edge.name] = {
            **{"offered": edge.offered, "pushed": edge.pushed, "taken": edge.taken},
            **{"consumed": into.consumed, "stale": into.stale, "peak": edge.peak},
            **{"ring": edge.ring, "refused": edge.refused, "evicted": edge.evicted},
            "dropped": into.dropped,
        }
    nodes = {}
    for node in statistics.nodes:
        nodes[node.name] = {
            **{"steps": node.steps, "calls": node.calls, "errors": node.errors},
            **{
                "misses": node.deadline_misses,
                "overruns": node.overruns,
                "watchdogs": node.watchdogs,
            },
            "discarded": node.replaced.get("discard", 0),
            "forwarded": node.replaced.get("forward", 0),
            "defaulted": node.replaced.get("default", 0),
            **{"degraded": node.degraded, "missed_periods": node.missed_periods},
            "restarts": node.restarts,
        }
    return Run(log, statistics.outcome, edges, nodes)
