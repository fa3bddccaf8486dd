"""What there is to wait for before the first message: imports, specialising, compiling, loading.

``limen`` is what ``import limen`` costs a fresh interpreter that has just imported NumPy; its
baseline is that import of NumPy. ``activity_specialise`` is what the example's Plan costs until
generated Python can run it, beside the reference executor of the same Plan. ``activity_build`` and
``activity_load`` are the same as native code in fresh interpreters: with an empty cache, and with
the cache that this left.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from limen.app import check, example_folder, load
from limen.bench._measure import Result, Setting, Size, now_ns
from limen.bench._rows import Row, row_of
from limen.codegen import Target, lower_program, make_executor, why_not
from limen.platform import MonotonicClock
from limen.settings import child_environment

_LEGEND = (
    "import: ms that import limen takes beyond NumPy's, baseline: NumPy's; the example's graph "
    "until it can",
    "  start: as generated Python, baseline: as the reference; as native code, built with an empty "
    "cache and",
    "  loaded from a full one, each in a fresh interpreter, baseline: as generated Python",
)
_ASK = """
import time
begun = time.perf_counter_ns()
import numpy
between = time.perf_counter_ns()
import limen
print(between - begun, time.perf_counter_ns() - between)
"""
_ASK_NATIVE = """
import sys
from limen.bench._imports import ready_ms
print(ready_ms("native"))
"""


@dataclass(frozen=True, slots=True)
class _Work:
    imports: int
    rounds: int
    builds: int


_WORK = {
    Size.FULL: _Work(imports=15, rounds=15, builds=5),
    Size.FAST: _Work(imports=5, rounds=5, builds=1),
}


def imports(setting: Setting) -> Result:
    """Measure imports, and what the example's graph needs before it can start."""
    work = _WORK[setting.size]
    rows: list[Row] = []
    if setting.wants("python"):
        rows.append(_import_row(work.imports))
    if importlib.util.find_spec("onnxruntime") is None:
        setting.say("import activity: skipped: ONNX Runtime is not installed")
        return Result(tuple(rows), _LEGEND)
    if setting.wants("python"):
        rows.append(_specialise_row(work.rounds))
    if setting.wants("native"):
        missing = _why_no_native()
        if missing is None:
            rows += _native_rows(work.builds)
        else:
            setting.say(f"import activity_build: skipped: {missing}")
    return Result(tuple(rows), _LEGEND)


def ready_ms(target: str) -> float:
    """Return milliseconds from the example's Plan until it can start as a target."""
    clock = MonotonicClock()
    plan = check(load(example_folder() / "activity.toml"), clock)
    begun = now_ns()
    make_executor(plan, clock, Target(target))
    return (now_ns() - begun) / 1e6


def _import_row(rounds: int) -> Row:
    more, numpy = [], []
    for _ in range(rounds):
        # Isolated, so that bytecode is written and read whatever the environment says.
        first, second = _child(_ASK).split()
        numpy.append(int(first) / 1e6)
        more.append(int(second) / 1e6)
    return row_of("import", "limen", "python", "ms", more, numpy, metrics=False)


def _specialise_row(rounds: int) -> Row:
    python, reference = [], []
    for _ in range(rounds):
        reference.append(ready_ms("reference"))
        python.append(ready_ms("python"))
    return row_of("import", "activity_specialise", "python", "ms", python, reference, metrics=True)


def _why_no_native() -> str | None:
    """Say why there is nothing to build; None where there is."""
    program = lower_program(check(load(example_folder() / "activity.toml"), MonotonicClock()))
    if not program.holds_any:
        return "; ".join(f"{name} {why}" for name, why in program.cold)
    return why_not()


def _native_rows(builds: int) -> list[Row]:
    built, loaded, python = [], [], []
    for _ in range(builds):
        with tempfile.TemporaryDirectory(prefix="limen-bench-") as cache:
            python.append(ready_ms("python"))
            built.append(float(_child(_ASK_NATIVE, Path(cache))))
            loaded.append(float(_child(_ASK_NATIVE, Path(cache))))
    built_s, python_s = [ms / 1e3 for ms in built], [ms / 1e3 for ms in python]
    return [
        row_of("import", "activity_build", "native", "s", built_s, python_s, metrics=True),
        row_of("import", "activity_load", "native", "ms", loaded, python, metrics=True),
    ]


def _child(script: str, cache: Path | None = None) -> str:
    """Run a script in a fresh interpreter of the same packages; what it prints."""
    environment = None if cache is None else child_environment(cache)
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"a fresh interpreter failed:\n{done.stderr.strip()}")
    return done.stdout
