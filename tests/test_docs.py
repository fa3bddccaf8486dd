"""The pages are true: their code runs, their graphs load, their links and tables are right."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import limen
import limen.memory
import limen.telemetry
from layers import BESIDE, ORDER
from limen.cli import main
from limen.cli._execute import ExitCode
from limen.cli._main import _app
from limen.telemetry import RuntimeEventKind, TelemetryKey
from limen.types import describe_spec

_ROOT = Path(__file__).parents[1]
_PAGES = sorted(
    [
        *(_ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")),
        *(_ROOT / "docs").rglob("*.md"),
        *(_ROOT / "examples").rglob("*.md"),
    ]
)
_FENCE = re.compile(
    r"(?:^<!--[ ](?P<note>[^\n]*)[ ]-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_NOT_RUN = "not run: "
_FILE = "file: "
_PRINTS = "prints"
_RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``note`` is the comment on the line before it."""

    language: str
    text: str
    note: str


def blocks(text: str) -> list[Block]:
    return [Block(m["language"], m["text"], m["note"] or "") for m in _FENCE.finditer(text)]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a shell block: its lines, or those behind a ``$`` if there are any."""
    lines = text.splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        if line.strip():
            yield shlex.split(line)


def subcommands() -> dict[str, set[str]]:
    """Return the options of each command."""
    commands = getattr(typer.main.get_command(_app), "commands", {})
    return {
        name: {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for name, command in commands.items()
    }


def limen_arguments(words: list[str]) -> list[str] | None:
    """Return what a command hands to ``limen``; None if it is another program."""
    if Path(words[0]).name == "limen":
        return words[1:]
    if Path(words[0]).name == "python" and words[1:3] == ["-m", "limen"]:
        return words[3:]
    return None


def problem_of_command(words: list[str]) -> str | None:
    """Say why a command cannot be what its page says; None if it can."""
    if words[0] == "make":
        targets = set(re.findall(r"^(\w+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
        unknown = [word for word in words[1:] if "=" not in word and word not in targets]
        return f"no make target {unknown}" if unknown else None
    arguments = limen_arguments(words)
    if arguments is None:
        return f"{words[0]} is not known here"
    options = subcommands().get(arguments[0] if arguments else "")
    if options is None:
        return f"limen has no command {arguments[:1]}"
    unknown = [word for word in arguments[1:] if word.startswith("-") and word not in options]
    return f"limen {arguments[0]} has no option {unknown}" if unknown else None


def run_limen(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a command of a page in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["limen", *(limen_arguments(words) or [])])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def has_to_print(code: str) -> bool:
    """Whether code prints by itself, outside of what it defines."""
    defines = ast.FunctionDef, ast.ClassDef
    statements = [s for s in ast.parse(code).body if not isinstance(s, defines)]
    return any(
        isinstance(part, ast.Name) and part.id == "print"
        for s in statements
        for part in ast.walk(s)
    )


def without_trailing_spaces(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def links(text: str) -> list[str]:
    prose = _FENCE.sub("", text)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [t.partition("#")[0] for t in targets if "://" not in t and not t.startswith("#")]


def name_of(page: Path) -> str:
    return str(page.relative_to(_ROOT))


@pytest.mark.parametrize("page", _PAGES, ids=name_of)
def test_the_code_of_a_page_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    before = set(sys.modules)
    printed = ""
    try:
        for number, block in enumerate(blocks(page.read_text(encoding="utf-8"))):
            if block.note.startswith(_NOT_RUN):
                assert block.note.removeprefix(_NOT_RUN).strip(), "a reason is given"
                continue
            place = f"{name_of(page)} block {number}"
            if block.language == "python":
                if block.note.startswith(_FILE):
                    name = block.note.removeprefix(_FILE).strip()
                    Path(name).write_text(block.text, encoding="utf-8")
                exec(compile(block.text, place, "exec"), namespace)
                printed = capsys.readouterr().out
                if has_to_print(block.text):
                    assert printed, f"{place} prints"
            elif block.note == _PRINTS:
                assert block.text.rstrip() == without_trailing_spaces(printed), place
            elif block.language == "toml":
                Path("graph.toml").write_text(block.text, encoding="utf-8")
                limen.check(limen.load("graph.toml", allow_import=True))
            elif block.language in ("console", "sh"):
                for words in commands(block.text):
                    assert problem_of_command(words) is None, place
                    if block.note == _RUNS:
                        assert run_limen(words, monkeypatch) == ExitCode.DONE, place
                if block.note == _RUNS:
                    shown = [x for x in block.text.splitlines() if not x.startswith("$ ")]
                    assert shown == capsys.readouterr().out.splitlines(), place
            else:
                pytest.fail(f"{place}: a {block.language or 'plain'} block without a reason")
    finally:
        for name in set(sys.modules) - before:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def test_the_demo_prints_what_the_readme_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    found = blocks((_ROOT / "README.md").read_text(encoding="utf-8"))
    shown = [b.text.splitlines() for b in found if b.language == "console"]
    assert len(shown) == 1
    assert run_limen(next(commands("\n".join(shown[0]))), monkeypatch) == ExitCode.DONE
    printed = iter(capsys.readouterr().out.splitlines())
    for line in shown[0][1:]:
        assert line in ("", "…") or line in printed, f"{line!r} is printed, in this order"


@pytest.mark.parametrize("page", _PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = links(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_exit_codes_of_the_readme_are_those_of_the_command_line() -> None:
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", text, re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {
        code.name.lower(): int(code) for code in ExitCode
    }


def test_every_command_is_in_the_pages() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in _PAGES)
    assert [name for name in subcommands() if f"limen {name}" not in text] == []


def test_the_drawing_shows_the_graph_of_the_example() -> None:
    pytest.importorskip("onnxruntime")
    drawing = (_ROOT / "docs" / "activity.svg").read_text(encoding="utf-8")
    plan = limen.check(limen.load(_ROOT / "examples" / "activity" / "activity.toml"))
    assert re.findall(r'class="name"[^>]*>([^<]+)<', drawing) == [node.name for node in plan.nodes]
    assert re.findall(r'class="kind"[^>]*>([^<]+)<', drawing) == [
        node.kind.value for node in plan.nodes
    ]
    assert re.findall(r'class="type"[^>]*>([^<]+)<', drawing) == [
        describe_spec(port.spec) for node in plan.nodes for port in node.outputs
    ]
    capacities = re.findall(r">(\d+) at most,<", drawing)
    assert capacities == [str(edge.policy.caps.max_items) for edge in plan.edges]
    admissions = re.findall(r">drops (\w+)<", drawing)
    assert [f"drop_{which}" for which in admissions] == [
        edge.policy.admission.value for edge in plan.edges
    ]


def test_the_architecture_lists_every_layer_in_order() -> None:
    text = (_ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = [
        word
        for cell in re.findall(r"^\| ((?:`\w+` ?)+)\|", text, re.MULTILINE)
        for word in re.findall(r"\w+", cell)
    ]
    assert named == [*ORDER, *BESIDE, "app", "bench", "testing", "cli"]


def records() -> dict[str, tuple[str, ...]]:
    """Return the fields of every record of statistics, event and switch, by name."""
    named = [getattr(limen.telemetry, name) for name in limen.telemetry.__all__]
    named += [limen.memory.MemoryStatistics]
    found = {}
    for kind in named:
        if not isinstance(kind, type) or kind in (limen.telemetry.Decision, TelemetryKey):
            continue
        if dataclasses.is_dataclass(kind):
            found[kind.__name__] = tuple(field.name for field in dataclasses.fields(kind))
        elif issubclass(kind, tuple):
            found[kind.__name__] = kind._fields
    return found


def tables(text: str) -> dict[str, tuple[str, ...]]:
    """Return the first column of the table behind each heading that names a class."""
    sections = re.findall(r"^### `(\w+)`\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return {
        name: tuple(re.findall(r"^\| `(\w+)` \|", body.split("\n| `Runtime")[0], re.MULTILINE))
        for name, body in sections
    }


def test_the_fields_of_every_record_are_in_the_pages_in_order() -> None:
    text = (_ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    assert tables(text) == records()


def test_the_events_of_a_run_are_in_the_pages_in_order() -> None:
    text = (_ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    table = text.partition("| `RuntimeEventKind` |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        kind.value for kind in RuntimeEventKind
    ]


@pytest.mark.parametrize(
    "planted",
    [
        "### `Waiting`\n\n| Field | What |\n| --- | --- |\n| `node` | a |\n| `on` | b |\n",
        "### `Waiting`\n\nno table\n",
    ],
)
def test_a_planted_table_that_lacks_a_field_is_found(planted: str) -> None:
    assert tables(planted)["Waiting"] != records()["Waiting"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("make polish", "no make target"),
        ("limen fly graph.toml", "has no command"),
        ("limen run graph.toml --quickly", "has no option"),
        ("curl example.org", "is not known here"),
    ],
)
def test_a_planted_command_that_does_not_exist_is_found(line: str, said: str) -> None:
    problem = problem_of_command(next(commands(line)))
    assert problem is not None
    assert said in problem


def test_planted_links_and_blocks_are_found() -> None:
    text = "[a](gone.md#part) [b](https://x.y) [c](#here)\n\n<!-- not run: why -->\n```sh\nx\n```\n"
    assert links(text) == ["gone.md"]
    assert blocks(text) == [Block("sh", "x\n", "not run: why")]
