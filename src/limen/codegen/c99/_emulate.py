"""Runs a printed graph on an emulated Cortex-M4, over recorded inputs."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from limen.codegen.c99._bill import Bill
from limen.codegen.c99._board import run_firmware
from limen.codegen.c99._described import PrintedGraph, describe
from limen.codegen.c99._emit import PrintedC
from limen.codegen.c99._firmware import bill_of, build_bare, build_harness
from limen.codegen.c99._harness import EDGE_COUNTS, EDGE_REASONS, NODE_COUNTS
from limen.codegen.c99._recorded import Reading, make_image
from limen.codegen.c99._toolchain import Mcu, Toolchain, require
from limen.telemetry import Decision

_OUTCOMES: Final = {
    **{"2": "completed", "3": "stopped", "4": "halted", "5": "deadlocked", "6": "failed"},
    "7": "broken",
}


@dataclass(frozen=True, slots=True)
class Output:
    """A message that reached a sink.

    Attributes:
        sink: The node, or of a sink of several inputs ``node.port``.
        sequence: Of its header, as creation and origin are, which count ticks.
        creation: When it was made.
        origin: The oldest creation of all that went into it.
        instant: When the sink got it, in ticks.
        payload: Its bytes.
    """

    sink: str
    sequence: int
    creation: int
    origin: int
    instant: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Inference:
    """One call of a model, and the instructions that it took."""

    node: str
    instructions: int


@dataclass(frozen=True, slots=True)
class Emulation:
    """What a graph did on the emulated microcontroller.

    Attributes:
        log: The canonical lines of the decision log.
        outcome: How the run ended, as a Report says it.
        edges: What each edge counted, by name; of reasons those that occurred. Empty where the
            graph was printed without counters.
        nodes: What each node counted, by name; likewise.
        outputs: What reached the sinks, in order.
        instructions_per_step: Of each call of the step function, with the log compiled out.
        inferences: The calls of models.
        stack_used_bytes: The most stack that was in use, with the log compiled out.
        bill: RAM, flash and worst stack of the graph.
    """

    log: str
    outcome: str
    edges: dict[str, dict[str, object]]
    nodes: dict[str, dict[str, int]]
    outputs: tuple[Output, ...]
    instructions_per_step: tuple[int, ...]
    inferences: tuple[Inference, ...]
    stack_used_bytes: int
    bill: Bill

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decision log, line by line."""
        return tuple(Decision.parse(line) for line in self.log.splitlines())

    @property
    def log_sha256(self) -> str:
        """Digest of the canonical bytes of the decision log, in hexadecimal."""
        return hashlib.sha256(self.log.encode()).hexdigest()

    @property
    def instructions(self) -> int:
        """Of all steps together."""
        return sum(self.instructions_per_step)

    @property
    def model_instructions(self) -> int:
        """Of all calls of models together."""
        return sum(call.instructions for call in self.inferences)

    @property
    def framework_instructions(self) -> int:
        """Of all steps, without the calls of models: nodes, procedure and replayed hooks."""
        return self.instructions - self.model_instructions


def emulate(
    printed: PrintedC,
    recordings: Sequence[Sequence[Reading]],
    *,
    toolchain: Toolchain | None = None,
    timeout_s: float = 300.0,
    directory: Path | None = None,
    specialised: bool = False,
) -> Emulation:
    """Run a graph on an emulated Cortex-M4 until it has ended.

    It runs twice: once with its decisions written down, and once without, for counts that the
    writing has no part in. Time is simulated, as with ``SimClock``; so both do the same.

    Args:
        printed: The graph.
        recordings: What each source of the application gives, in the order of the graph's nodes.
        toolchain: A compiler for a Cortex-M4; the one that is found, if not given.
        timeout_s: How long each run may take.
        directory: Where firmware is built; a temporary one if not given.
        specialised: Whether it is compiled as straight-line code: larger and faster.

    Raises:
        LimenError: The graph does not compile, or the emulator is missing; the firmware faulted,
            hung or said nothing that can be understood.
    """
    tools = require(Mcu.CORTEX_M4) if toolchain is None else toolchain
    with _folder(directory) as folder:
        graph, inputs = _prepare(printed, recordings, folder)
        logging = build_harness(
            graph, tools, folder / "logging", logs=True, specialised=specialised
        )
        told = run_firmware(logging.elf, inputs, timeout_s)
        counting = build_harness(
            graph, tools, folder / "counting", logs=False, specialised=specialised
        )
        counted = run_firmware(counting.elf, inputs, timeout_s)
        bare = build_bare(graph, tools, folder / "bare", specialised=specialised)
        return Emulation(
            _log(told),
            _OUTCOMES.get(told["C"][0], told["C"][0]),
            dict(zip(graph.edges, map(_edge_counts, told["G"]), strict=False)),
            dict(zip(graph.nodes, map(_node_counts, told["N"]), strict=False)),
            tuple(_output(line) for line in told["O"]),
            tuple(int(line.split()[1]) for line in counted["S"]),
            tuple(Inference(node, int(count)) for node, count in map(str.split, told["M"])),
            int(counted["K"][0]),
            bill_of(graph, bare),
        )


def emulate_log(
    printed: PrintedC,
    recordings: Sequence[Sequence[Reading]] = (),
    *,
    stop_at_tick: int | None = None,
    drain_ticks: int | None = None,
    toolchain: Toolchain | None = None,
    timeout_s: float = 60.0,
    directory: Path | None = None,
) -> str:
    """Run a graph once on an emulated Cortex-M4, and return its decision log in canonical lines.

    Args:
        printed: The graph.
        recordings: What each source of the application gives; none where all have C forms.
        stop_at_tick: The instant from which on it is asked to stop; None for never.
        drain_ticks: How long it may then drain; what is printed says it if not given.
        toolchain: A compiler for a Cortex-M4; the one that is found, if not given.
        timeout_s: How long the run may take.
        directory: Where firmware is built; a temporary one if not given.

    Raises:
        LimenError: As ``emulate`` does.
    """
    tools = require(Mcu.CORTEX_M4) if toolchain is None else toolchain
    with _folder(directory) as folder:
        graph, inputs = _prepare(printed, recordings, folder)
        firmware = build_harness(
            graph,
            tools,
            folder / "logging",
            logs=True,
            stop_at_tick=stop_at_tick,
            drain_ticks=drain_ticks,
        )
        return _log(run_firmware(firmware.elf, inputs, timeout_s))


@contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="limen-") as name:
        yield Path(name)


def _prepare(
    printed: PrintedC, recordings: Sequence[Sequence[Reading]], folder: Path
) -> tuple[PrintedGraph, Path]:
    """Write graph and inputs to a folder."""
    sources = folder / "graph"
    printed.write(sources)
    graph = describe(printed, sources)
    inputs = folder / "inputs.bin"
    inputs.write_bytes(make_image(recordings, graph.sources))
    return graph, inputs


def _log(told: dict[str, list[str]]) -> str:
    return "".join(f"{line}\n" for line in told["L"])


def _edge_counts(line: str) -> dict[str, object]:
    numbers = iter(map(int, line.split()))
    found: dict[str, object] = {key: next(numbers) for key in EDGE_COUNTS}
    for key, reasons in EDGE_REASONS.items():
        counted = {reason: next(numbers) for reason in reasons}
        found[key] = {reason: count for reason, count in counted.items() if count and reason}
    return found


def _node_counts(line: str) -> dict[str, int]:
    return dict(zip(NODE_COUNTS, map(int, line.split()), strict=True))


def _output(line: str) -> Output:
    sink, *header, payload = line.split(" ")
    sequence, creation, origin, instant = map(int, header)
    return Output(sink, sequence, creation, origin, instant, bytes.fromhex(payload))
