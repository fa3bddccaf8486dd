"""Commands, their options and their exit codes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from limen.app import ModelWatcher, State, check, diagnose, json_line, load, set_speed
from limen.cli._bench import bench
from limen.cli._build import build
from limen.cli._build_c import Limits, build_c
from limen.cli._check import describe_plan, plan_json
from limen.cli._conformance import check_conformance
from limen.cli._demo import run_demo
from limen.cli._draw import DrawingFormat, draw
from limen.cli._emulate import compare, describe_comparison
from limen.cli._execute import ExitCode, execute, settle
from limen.cli._log import decision_log, event_file
from limen.errors import ConfigurationError, GraphError, LimenError
from limen.graph import Graph, Problem
from limen.platform import MonotonicClock, PlatformClock, SimClock
from limen.scheduling import bounds
from limen.types import parse_duration_ns, printable

_EPILOG = (
    "Exit codes: 0 the graph ran to its end (losses that a policy decided are in the accounting); "
    "1 it could not start, was halted by a failure, or deadlocked, a node could not stop, or the "
    "reader of its output "
    "went away; 2 the graph or the command line "
    "is not valid; 130 interrupted (Ctrl-C), 143 terminated: drained and accounted for; "
    "a second Ctrl-C aborts at once."
)
_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Edge inference as a typed graph whose queues, batches and deadlines are enforced.",
    epilog=_EPILOG,
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="Graph file (TOML).")]
_Json = Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON line.")]
_Sim = Annotated[bool, typer.Option("--sim", help="Run on the simulated clock.")]
_Speed = Annotated[
    str | None,
    typer.Option("--speed", metavar="X|max", help="Replay at X times the recorded rate, or max."),
]
_Import = Annotated[
    bool,
    typer.Option(
        "--allow-import",
        help="Let node types name modules, also beside FILE.",
    ),
]


_Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a graph that declares more work than one thread can do."),
]
_WatchModel = Annotated[
    bool,
    typer.Option(
        "--watch-model",
        help="Take a model's file over when it changes; one that does not fit leaves the old one.",
    ),
]
_Checked = Annotated[
    bool,
    typer.Option("--checked", help="Find out which node misuses memory; takes longer."),
]
_Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Write every decision to a file, to be read."),
]
_LogBytes = Annotated[
    Path | None,
    typer.Option(
        "--log-bytes", metavar="FILE", help="Write the bytes that the log's SHA-256 is of."
    ),
]

_Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="What the graph runs as: auto, reference, python or native. If not given, what its "
        "file says, else auto: native where it can be built, else python.",
    ),
]
_Built = Annotated[
    Path | None,
    typer.Option(
        "--built",
        metavar="DIR",
        help="Native code made by limen build; needs no compiler here.",
    ),
]
_Specialise = Annotated[
    bool,
    typer.Option("--specialise", help="Compile C as straight-line code: faster, and larger."),
]
_BillJson = Annotated[bool, typer.Option("--json", help="Print what C takes as one JSON line.")]
_Events = Annotated[
    Path | None,
    typer.Option("--events", metavar="FILE", help="Write events to a file, as JSON lines."),
]


@_app.command(epilog=_EPILOG)
def run(
    file: _File,
    sim: _Sim = False,
    json: _Json = False,
    speed: _Speed = None,
    allow_import: _Import = False,
    log: _Log = None,
    log_bytes: _LogBytes = None,
    watch_model: _WatchModel = False,
    events: _Events = None,
    checked: _Checked = False,
    target: _Target = None,
    built: _Built = None,
) -> None:
    """Run a graph until its sources end; results on stdout, the accounting at the end."""
    _keep_apart({"FILE": file, "--log": log, "--log-bytes": log_bytes, "--events": events})
    graph = _load(file, allow_import)
    _apply_speed(graph, speed)
    clock = _clock(sim)
    with (
        decision_log(clock, log, log_bytes) as decisions,
        event_file(events) as telemetry,
        _watching(graph, watch_model),
    ):
        report, code = execute(
            graph, clock, decisions, telemetry, checked=checked, target=target, built=built
        )
    if json:
        try:
            print(report.to_json(), flush=True)
        except BrokenPipeError:
            json, code = False, ExitCode.FAILED
    if not json:
        print(f"\n{report}", file=sys.stderr)
    if decisions is not None and decisions.failure is not None:
        print(f"limen: the decision log is cut off: {decisions.failure}", file=sys.stderr)
        code = ExitCode.FAILED
    for failure in () if telemetry is None else telemetry.statistics().detached:
        print(f"limen: the events are cut off: {printable(failure)}", file=sys.stderr)
        code = ExitCode.FAILED
    raise typer.Exit(code)


@_app.command(name="build", epilog=_EPILOG)
def build_command(
    file: _File,
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="python, native or c.")
    ] = "native",
    show: Annotated[
        bool, typer.Option("--print", help="Print the generated text; build nothing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Where the generated code goes."),
    ] = None,
    no_metrics: Annotated[
        bool, typer.Option("--no-metrics", help="Leave out what counts durations.")
    ] = False,
    mcu: Annotated[
        str | None,
        typer.Option(
            "--mcu",
            metavar="NAME",
            help="What C is measured for: cortex-m4 or host.",
        ),
    ] = None,
    max_ram: Annotated[
        str | None,
        typer.Option("--max-ram", metavar="SIZE", help="Fail where C needs more, as 64KiB."),
    ] = None,
    max_flash: Annotated[
        str | None,
        typer.Option("--max-flash", metavar="SIZE", help="Fail where C needs more, as 256KiB."),
    ] = None,
    specialise: _Specialise = False,
    json: _BillJson = False,
    allow_import: _Import = False,
) -> None:
    """Specialise a graph: print its text, or compile it to be shipped with it.

    As C the files are written, and where a compiler is found, what they take is printed: RAM and
    flash of each node, edge and model, of the framework, and the worst stack.
    """
    if show == (output is not None):
        raise ConfigurationError(
            "limen build needs one of --print and -o",
            remedy="write --print for the text, or -o DIR for compiled code",
        )
    limits = Limits.read(mcu, max_ram, max_flash, specialise=specialise, json=json)
    graph = _load(file, allow_import)
    if target == "c":
        for line in build_c(graph, output, limits, metrics=not no_metrics):
            _say(line)
        return
    limits.refuse_for(target)
    text = build(graph, target, output, metrics=not no_metrics)
    if text is not None:
        _say(text.removesuffix("\n"))
    else:
        print(f"limen: built {file} into {output}", file=sys.stderr)


@_app.command(
    epilog="Exit codes: 0 both decided the same; 1 they did not, or the firmware faulted or hung; "
    "2 the graph or the command line is not valid, or a tool is missing."
)
def emulate(
    file: _File,
    data: Annotated[
        Path | None,
        typer.Option("--input", metavar="CSV", help="Replaces the file of the CSV source."),
    ] = None,
    json: _Json = False,
    no_metrics: Annotated[
        bool, typer.Option("--no-metrics", help="Leave out what counts durations.")
    ] = False,
    specialise: _Specialise = False,
    timeout: Annotated[
        str,
        typer.Option("--timeout", metavar="TIME", help="After which the firmware counts as hung."),
    ] = "300s",
    allow_import: _Import = False,
) -> None:
    """Run a graph as firmware on an emulated Cortex-M4, and compare it with the reference."""
    found = compare(
        _load(file, allow_import),
        data,
        metrics=not no_metrics,
        specialise=specialise,
        timeout_s=parse_duration_ns(timeout, what="--timeout") / 1e9,
    )
    if json:
        print(json_line(found.to_dict()))
    else:
        for line in describe_comparison(found):
            _say(line)
    raise typer.Exit(ExitCode.DONE if found.agrees else ExitCode.FAILED)


@_app.command(name="check", epilog=_EPILOG)
def check_command(
    file: _File, json: _Json = False, allow_import: _Import = False, strict: _Strict = False
) -> None:
    """Say all that is wrong with a graph, or what it will take; start nothing."""
    try:
        plan = check(_load(file, allow_import), SimClock(), strict=strict)
    except GraphError as error:
        if not json:
            raise
        print(_problems_json(error))
        raise typer.Exit(ExitCode.INVALID) from error
    found = bounds(plan)
    if json:
        print(plan_json(plan, found))
        return
    for line in describe_plan(plan, found):
        _say(line)


@_app.command(name="draw", epilog=_EPILOG)
def draw_command(
    file: _File,
    form: Annotated[
        DrawingFormat, typer.Option("--format", help="What to write the drawing in.")
    ] = DrawingFormat.MERMAID,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="PATH", help="Where to write it; stdout if not given."),
    ] = None,
    allow_import: _Import = False,
) -> None:
    """Draw a graph: nodes, edges, and what each edge holds."""
    _keep_apart({"FILE": file, "--output": output})
    _allow_imports(file, allow_import)
    draw(file, form, output, allow_import)


@_app.command(epilog=_EPILOG)
def doctor(json: _Json = False) -> None:
    """Say whether this machine can run Limen, and what is missing."""
    findings = diagnose()
    if json:
        print(json_line(findings))
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            line = f"{finding.state.value:<8}{finding.subject:<{width}}  {finding.detail}"
            _say(printable(f"{line}; {finding.remedy}" if finding.remedy else line))
    broken = any(finding.state is State.PROBLEM for finding in findings)
    raise typer.Exit(ExitCode.FAILED if broken else ExitCode.DONE)


@_app.command(
    epilog="Exit codes: 0 every clause holds, or every scenario is decided as it should be; 1 one "
    "is not; 2 there was nothing to run, or the command line is not valid."
)
def conformance(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:NAME",
            help="A suite, or a class or function that makes an implementation; MODULE alone for "
            "all suites that it defines.",
        ),
    ],
    json: _Json = False,
    lacks: Annotated[
        list[str] | None,
        typer.Option(
            "--lacks",
            metavar="CAPABILITY=REASON",
            help="What an implementation does without, and why; its clauses are skipped.",
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option("--timeout", metavar="TIME", help="After which a clause counts as hanging."),
    ] = "60s",
    scenarios: Annotated[
        bool,
        typer.Option(
            "--scenarios", help="Compare a runtime's decisions with the scenario table instead."
        ),
    ] = False,
) -> None:
    """Hold an implementation to every clause of its contract."""
    passed = check_conformance(
        target,
        lacks or [],
        timeout,
        scenarios=scenarios,
        json=json,
        say=lambda text: _say(printable_lines(text)),
    )
    raise typer.Exit(ExitCode.DONE if passed else ExitCode.FAILED)


@_app.command(name="bench", epilog=_EPILOG)
def bench_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="hop, inference, overload, deadlines, alloc, idle, import; all if none is named.",
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Little work: shows that all of it runs, no figures.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PATH", help="Draw into this .svg or .png file."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="Measure this only, a target or what they are compared with; may be repeated.",
        ),
    ] = None,
) -> None:
    """Measure what graphs cost here, beside what does without them; takes minutes."""

    def tell(line: str) -> None:
        print(f"limen: {printable_lines(line)}", file=sys.stderr, flush=True)

    _say(bench(names or [], target or [], plot, fast=fast, json=json, tell=tell))


@_app.command(epilog=_EPILOG)
def demo(sim: _Sim = False, speed: _Speed = "50") -> None:
    """Classify real smart-watch motion with a real model, then print the accounting."""
    report, accuracy, code = run_demo(_clock(sim), _read_speed(speed))
    _say(f"\n{report}\naccuracy {accuracy}")
    raise typer.Exit(code)


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    try:
        _app()
    except LimenError as error:
        print(f"limen: {printable_lines(str(error))}", file=sys.stderr)
        invalid = isinstance(error, (ConfigurationError, ValueError))
        settle(ExitCode.INVALID if invalid else ExitCode.FAILED)
    except BrokenPipeError:
        settle(ExitCode.FAILED)
    except OSError as error:
        print(f"limen: output cannot be written: {error.strerror or error}", file=sys.stderr)
        settle(ExitCode.FAILED)
    except SystemExit as left:
        settle(left.code if isinstance(left.code, int) else ExitCode.DONE)


def _say(text: str) -> None:
    """Print a text; what the encoding of stdout lacks is escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def printable_lines(text: str) -> str:
    """Escape what a terminal would act on, but keep line breaks."""
    return "\n".join(printable(line) for line in text.split("\n"))


@contextmanager
def _watching(graph: Graph, wanted: bool) -> Iterator[None]:
    """Watch the files of a graph's models, and say on stderr what became of each change."""
    if not wanted:
        yield
        return
    watcher = ModelWatcher(graph, lambda text: print(f"limen: {printable(text)}", file=sys.stderr))
    if not watcher.watched:
        raise ConfigurationError(
            f"graph {graph.name!r} has no model that comes from a file",
            remedy="leave --watch-model out",
        )
    with watcher:
        yield


def _load(file: Path, allow_import: bool) -> Graph:
    """Read a graph; modules beside its file can be named once imports are allowed."""
    _allow_imports(file, allow_import)
    return load(file, allow_import=allow_import)


def _keep_apart(paths: dict[str, Path | None]) -> None:
    """Refuse to write one file over another that this command reads or writes."""
    for (one, first), (other, second) in itertools.combinations(paths.items(), 2):
        if first is not None and second is not None and _is_one_file(first, second):
            raise ConfigurationError(
                f"{one} and {other} are both {second}", remedy="give each a file of its own"
            )


def _is_one_file(first: Path, second: Path) -> bool:
    try:
        if first.exists() and second.exists():
            # Devices take what several write: both may go to /dev/null.
            return first.samefile(second) and first.is_file()
        return first.resolve() == second.resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def _allow_imports(file: Path, allowed: bool) -> None:
    if allowed:
        sys.path.insert(0, str(file.resolve().parent))


def _clock(sim: bool) -> PlatformClock:
    return SimClock() if sim else MonotonicClock()


def _apply_speed(graph: Graph, speed: str | None) -> None:
    if speed is not None:
        set_speed(graph, _read_speed(speed))


def _read_speed(text: str | None) -> float | None:
    """Turn ``--speed`` into a factor; None is as fast as it goes."""
    if text is None or text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigurationError(
            f"--speed {text!r} is no replay speed", remedy="give a positive number, or max"
        )
    return speed


def _problems_json(error: GraphError) -> str:
    problems = [
        {
            "code": int(problem.code),
            "place": problem.place,
            "message": problem.message,
            "remedy": problem.remedy,
        }
        for problem in error.problems
        if isinstance(problem, Problem)
    ]
    return json_line({"valid": False, "problems": problems})
