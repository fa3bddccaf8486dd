"""``limen emulate``: a graph on an emulated Cortex-M4, beside the reference executor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from limen.app import check, make_runtime
from limen.codegen.c99 import Emulation, Output, PrintedC, Reading, emulate, print_c, record
from limen.compute import find_backend
from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.io import CsvSource
from limen.message import Message
from limen.node import InferenceModel, Sink, SinkNode, SourceNode
from limen.platform import SimClock
from limen.scheduling import Plan
from limen.telemetry import DecisionLog, TelemetrySwitches
from limen.types import PayloadSpec, TensorSpec, Ticks, format_bytes, printable


class _Keeper(Sink):
    """Stands in for a sink of the application, and lets go of what it gets.

    Args:
        sink: Whose place it takes: what that accepts, it accepts.
    """

    def __init__(self, sink: Sink) -> None:
        self.inputs = sink.inputs
        self._spec = sink.spec()

    def spec(self) -> PayloadSpec:
        """Return what the other accepts."""
        return self._spec

    def consume(self, message: Message, now: Ticks) -> None:
        """Take a message."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a graph did on the emulated microcontroller, and what the reference decided.

    Attributes:
        emulation: What came of it.
        labels: What each message at a sink says: of its largest element the label, or the place
            where the model names none.
        reference_log_sha256: Digest of the reference executor's decision log.
    """

    emulation: Emulation
    labels: tuple[str | int, ...]
    reference_log_sha256: str

    @property
    def agrees(self) -> bool:
        """Whether both decided the same."""
        return self.emulation.log_sha256 == self.reference_log_sha256

    def to_dict(self) -> dict[str, object]:
        """Return what is written as JSON."""
        found = self.emulation
        return {
            "labels": list(self.labels),
            "log_sha256": found.log_sha256,
            "reference_log_sha256": self.reference_log_sha256,
            "outcome": found.outcome,
            "instructions_per_step": list(found.instructions_per_step),
            "instructions": found.instructions,
            "model_instructions": found.model_instructions,
            "framework_instructions": found.framework_instructions,
            "ram_bytes": found.bill.needed_ram_bytes,
            "flash_bytes": found.bill.needed_flash_bytes,
            "stack_used_bytes": found.stack_used_bytes,
            "edges": found.edges,
            "nodes": found.nodes,
            "bill": found.bill.to_dict(),
        }


def compare(
    graph: Graph,
    data: Path | None,
    *,
    metrics: bool,
    specialise: bool,
    timeout_s: float,
) -> Comparison:
    """Run a graph on an emulated Cortex-M4 and on the reference executor, over equal inputs.

    Models run in C on both; time is simulated.

    Args:
        graph: The graph, which has not run; its sinks and models are replaced.
        data: Replaces the file of its CSV source; None to keep that.
        metrics: Whether durations are counted.
        specialise: Whether it is compiled as straight-line code.
        timeout_s: How long the emulator may take for a run.

    Raises:
        LimenError: The graph is not valid or has no C form, a tool is missing, or the firmware
            faulted or hung.
    """
    if data is not None:
        _replace_data(graph, data)
    _stand_in(graph)
    switches = TelemetrySwitches() if metrics else TelemetrySwitches.none()
    clock = SimClock()
    plan = check(graph, clock, switches=switches)
    printed = print_c(plan, clock)
    found = emulate(
        printed,
        list(_recordings(printed, clock)),
        specialised=specialise,
        timeout_s=timeout_s,
    )
    log = DecisionLog()
    make_runtime(graph, SimClock(), log, switches=switches, target="reference").run()
    return Comparison(found, tuple(_labels(plan, found.outputs)), log.sha256)


def describe_comparison(found: Comparison) -> Iterator[str]:
    """Yield what came of it as lines."""
    emulation, bill = found.emulation, found.emulation.bill
    counts: dict[str | int, int] = {}
    for label in found.labels:
        counts[label] = counts.get(label, 0) + 1
    decisions = emulation.log.count("\n")
    yield f"{emulation.outcome}: {decisions} decisions, sha256 {emulation.log_sha256}"
    if found.agrees:
        yield "the reference executor decided the same"
    else:
        yield f"the reference executor decided otherwise: sha256 {found.reference_log_sha256}"
    shown = ", ".join(f"{printable(str(label))} {count}" for label, count in counts.items())
    yield f"{len(found.labels)} messages at sinks: {shown or 'none'}"
    share = 100 * emulation.framework_instructions / max(emulation.instructions, 1)
    yield (
        f"{emulation.instructions} instructions in {len(emulation.instructions_per_step)} steps, "
        f"of which models {emulation.model_instructions}, all else {share:.2f} %"
    )
    stack = "" if bill.stack is None else f", {bill.stack.size_bytes} B of it stack"
    yield (
        f"RAM {format_bytes(bill.needed_ram_bytes)}{stack}; "
        f"flash {format_bytes(bill.needed_flash_bytes)}"
    )


def _replace_data(graph: Graph, data: Path) -> None:
    sources: Mapping[str, CsvSource] = {
        spec.name: spec.node.source
        for spec in graph.spec().nodes
        if isinstance(spec.node, SourceNode) and isinstance(spec.node.source, CsvSource)
    }
    if len(sources) != 1:
        named = ", ".join(sources) or "none"
        raise ConfigurationError(
            f"--input replaces the file of the CSV source of graph {graph.name!r}, "
            f"and such sources are: {named}",
            remedy="leave --input out: then each source reads what the graph names",
        )
    ((name, old),) = sources.items()
    new = CsvSource(
        data,
        old.columns,
        rate_hz=old.rate_hz,
        speed="max" if old.speed is None else float(old.speed),
        dtype=old.dtype.value,
        allow_nan=old.allow_nan,
    )
    graph.replace(name, new)


def _stand_in(graph: Graph) -> None:
    """Put what keeps quiet in the place of sinks, and have models run in C."""
    for spec in graph.spec().nodes:
        for node in (spec.node, spec.variant):
            if isinstance(node, InferenceModel):
                node.backend = find_backend("c")
        if isinstance(spec.node, SinkNode) and _is_supplied(spec.node.sink):
            graph.replace(spec.name, _Keeper(spec.node.sink))


def _is_supplied(sink: Sink) -> bool:
    """Whether the application of a firmware supplies a sink: it says of itself no form in C."""
    return type(sink).c_form is Sink.c_form and type(sink).select_input is Sink.select_input


def _recordings(printed: PrintedC, clock: SimClock) -> Iterator[list[Reading]]:
    """Yield what each source that the application supplies gives."""
    for node in printed.graph.nodes:
        if node.is_hook and isinstance(node.plan.node, SourceNode):
            yield record(node.plan.node.source, clock.tick_rate_hz)


def _labels(plan: Plan, outputs: tuple[Output, ...]) -> Iterator[str | int]:
    specs: dict[str, TensorSpec] = {}
    for node in plan.nodes:
        for port in node.inputs:
            if isinstance(port.spec, TensorSpec):
                specs[node.name] = specs[f"{node.name}.{port.name}"] = port.spec
    for output in outputs:
        spec = specs[output.sink]
        best = int(np.argmax(np.frombuffer(output.payload, spec.dtype.numpy_dtype())))
        yield spec.labels[best] if best < len(spec.labels) else best
