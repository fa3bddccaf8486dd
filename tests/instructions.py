"""What a message and hop costs in instructions: ``python tests/instructions.py [--write]``.

Seconds depend on what else a machine does; instructions hardly do. Callgrind counts those between
two messages of a run of ``chain8`` that has settled, so that neither start nor end is in them: its
source turns the counting on and off. The figures in ``ratchets/instructions.json`` may only go
down. They hold for one build of Python and one compiler each; elsewhere nothing is compared.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import chains
from limen.app import make_runtime
from limen.codegen import ProgramRuntime, why_not
from limen.telemetry import TelemetrySwitches
from limen.types import ObjectSpec

RATCHET = Path(__file__).parent / "ratchets" / "instructions.json"
WRITE = "python tests/instructions.py --write"
HEADER = Path("/usr/include/valgrind/callgrind.h")
SWITCH = """
#include <valgrind/callgrind.h>
void count_on(void) { CALLGRIND_START_INSTRUMENTATION; }
void count_off(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""
WARM_UP, MESSAGES = 1_024, 4_096
"""Multiples of the rounds after which generated Python sorts durations."""
TOLERANCE = 0.01
"""Above a figure: where objects lie and how time passes moves it by some thousandths."""
SLACK = 0.05
"""Below a figure: from there on it has to be lowered."""

Figures = dict[str, float]


def key() -> str:
    """Name the build of Python and the compiler that figures hold for."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    path = shutil.which(compiler)
    said = "no compiler"
    if path is not None:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        said = done.stdout.partition("\n")[0]
    return f"{' '.join(sys.version.split())}; {said}"


def cases() -> dict[str, tuple[str, bool]]:
    """Return by name the target, and whether durations are counted."""
    targets = ["python"] if why_not() else ["python", "native"]
    return {
        f"{target}, metrics {'on' if metrics else 'off'}": (target, metrics)
        for target in targets
        for metrics in (True, False)
    }


def lacking() -> str | None:
    """Say what is missing to count; None where nothing is."""
    if shutil.which("valgrind") is None or not HEADER.is_file():
        return "valgrind is not installed: apt-get install valgrind"
    return None if shutil.which("cc") else "no C compiler: apt-get install gcc"


def run_chain(target: str, *, metrics: bool, switch: Path | None) -> None:
    """Run the chain once, in this process.

    Args:
        target: What it runs as.
        metrics: Whether durations are counted.
        switch: The library that turns counting on and off; None to count nothing.
    """
    calls = None if switch is None else ctypes.CDLL(str(switch))

    def at_mark(made: int) -> None:
        if calls is not None:
            (calls.count_on if made == WARM_UP else calls.count_off)()

    messages = WARM_UP + MESSAGES
    marks = (WARM_UP, messages)
    source = chains.Repeated(ObjectSpec(int), 7, messages + 1, marks, at_mark)
    graph, sink = chains.chain_of(source, chains.same)
    switches = TelemetrySwitches() if metrics else TelemetrySwitches.none()
    runtime = make_runtime(graph, target=target, switches=switches)
    # What is collected when depends on all that is there.
    gc.disable()
    runtime.run()
    if sink.count != messages + 1 or not isinstance(runtime, ProgramRuntime):
        raise RuntimeError(f"{sink.count} of {messages + 1} messages arrived")


def measure(target: str, *, metrics: bool) -> float:
    """Return instructions a message and hop."""
    with tempfile.TemporaryDirectory() as place:
        switch = Path(place) / "switch.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(switch)]
        subprocess.run(command, input=SWITCH, text=True, check=True)
        # Whatever has to be built is built before anything is counted.
        _child([], target, metrics, "none")
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        said = _child([*tool, "--callgrind-out-file=/dev/null"], target, metrics, str(switch))
    counted = re.search(r"Collected : (\d+)", said)
    if counted is None:
        raise RuntimeError(f"callgrind counted nothing:\n{said}")
    return round(int(counted[1]) / MESSAGES / chains.HOPS, 1)


def problems(found: Mapping[str, float], kept: Mapping[str, float]) -> Iterator[str]:
    """Yield what is not as the ratchet has it."""
    for name, figure in found.items():
        if name not in kept:
            yield f"{name}: {figure} instructions, and none kept: {WRITE}"
        elif figure > kept[name] * (1 + TOLERANCE):
            yield f"{name}: {figure} instructions a message and hop, at most {kept[name]}"
        elif figure < kept[name] * (1 - SLACK):
            yield f"{name}: {figure} instructions, lower the {kept[name]}: {WRITE}"


def lowered(found: Mapping[str, float], kept: Mapping[str, float]) -> Figures:
    """Return what is to be kept from now on.

    Raises:
        ValueError: A figure would be raised.
    """
    higher = [x for x in found if x in kept and found[x] > kept[x] * (1 + TOLERANCE)]
    if higher:
        raise ValueError(
            "; ".join(f"{x}: {found[x]} is more than the {kept[x]} that is kept" for x in higher)
        )
    return {**kept, **{name: min(figure, kept.get(name, figure)) for name, figure in found.items()}}


def read(path: Path = RATCHET) -> dict[str, Figures]:
    """Return the figures by what they hold for."""
    if not path.exists():
        return {}
    found: dict[str, Figures] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(found: Figures, path: Path = RATCHET) -> None:
    """Keep figures for this build and compiler."""
    all_kept = read(path)
    all_kept[key()] = lowered(found, all_kept.get(key(), {}))
    path.write_text(json.dumps(all_kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _child(tool: list[str], target: str, metrics: bool, switch: str) -> str:
    script = [sys.executable, __file__, "--run", target, "on" if metrics else "off", switch]
    done = subprocess.run(
        [*tool, *script],
        capture_output=True,
        text=True,
        check=True,
        timeout=1_200,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    return done.stderr


def main(arguments: list[str]) -> None:
    """Run a chain to be counted, or count and show or keep."""
    match arguments:
        case ["--run", target, metrics, switch]:
            path = None if switch == "none" else Path(switch)
            run_chain(target, metrics=metrics == "on", switch=path)
        case [] | ["--write"]:
            found = {name: measure(t, metrics=m) for name, (t, m) in cases().items()}
            print(f"{key()}: instructions a message and hop of chain8")
            for name, figure in found.items():
                print(f"  {name:<20}{figure:>10}")
            if arguments:
                write(found)
        case _:
            sys.exit(f"usage: {WRITE.removesuffix('--write')}[--write]")


if __name__ == "__main__":
    main(sys.argv[1:])
