"""What a graph takes of a microcontroller is charged byte by byte, and adds up."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from c_mcu import ACTIVITY, NEEDS_MCU, SCENARIOS, broken, printed_activity, printed_scenario
from limen.codegen.c99 import Bill, Entry, Mcu, Owner, Toolchain, find, measure, require
from limen.codegen.c99._elf import read_elf
from limen.codegen.c99._layout import ARM32, HOST64
from limen.codegen.c99._stack import Frame, Stack
from limen.codegen.c99._state import state_layout
from limen.errors import Code, ConfigurationError, InvalidArtifactError, LimenError
from target_graphs import assert_refused, command

NEEDS_HOST = pytest.mark.skipif(find(Mcu.HOST) is None, reason="no gcc")
BILL = Bill(
    (
        Entry(Owner("node", "window"), 300, 1_000),
        Entry(Owner("edge", "a -> b"), 80, 4_000),
        Entry(Owner("model", "classify"), 9_000, 2_000, 8_000),
        Entry(Owner("application"), 50_000, 50_000),
    ),
    Stack(500, (Frame("step", 500),)),
)


def sized(elf: Path, tool: str) -> tuple[int, int]:
    """Return flash and RAM as ``size`` has them."""
    done = subprocess.run([tool, str(elf)], capture_output=True, text=True, check=True)
    text, data, bss = map(int, done.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


@NEEDS_MCU
@pytest.mark.parametrize("name", ["activity", *SCENARIOS])
@pytest.mark.parametrize("specialised", [False, True])
def test_a_bill_adds_up_to_what_size_says(name: str, specialised: bool, tmp_path: Path) -> None:
    printed = printed_activity(tmp_path)[0] if name == "activity" else printed_scenario(name)
    bill = measure(printed, require(Mcu.CORTEX_M4), tmp_path / "c", specialised=specialised)
    (elf,) = (tmp_path / "c").glob("*.elf")
    assert (bill.flash_bytes, bill.ram_bytes) == sized(elf, "arm-none-eabi-size")
    (state,) = (symbol for symbol in read_elf(elf).symbols if symbol.name == "harness_graph")
    assert state.size == state_layout(printed.graph, ARM32).size_bytes
    kinds = {entry.owner.kind for entry in bill.entries}
    assert {"node", "edge", "framework", "application", "start-up"} <= kinds
    for node in printed.graph.nodes:
        (entry,) = (e for e in bill.entries if e.owner == Owner("node", node.plan.name))
        assert entry.constant_bytes > 0, "its row among the nodes"
        assert entry.flash_bytes > entry.constant_bytes or node.is_hook, "code of its own"
        assert entry.ram_bytes > 0
    for edge in printed.graph.edges:
        (entry,) = (e for e in bill.entries if e.owner == Owner("edge", edge.plan.name))
        assert entry.ram_bytes > 0


@NEEDS_MCU
def test_the_weights_of_a_model_are_exact_and_its_arena_is_its_own(tmp_path: Path) -> None:
    printed, _ = printed_activity(tmp_path)
    bill = measure(printed, require(Mcu.CORTEX_M4), tmp_path / "c")
    (model,) = (node.model for node in printed.graph.nodes if node.model is not None)
    (entry,) = (entry for entry in bill.entries if entry.owner == Owner("model", "classify"))
    assert entry.constant_bytes == model.weights_bytes > 0
    assert entry.ram_bytes == model.arena_bytes > 0
    assert entry.flash_bytes > model.weights_bytes


@NEEDS_HOST
def test_a_graph_is_measured_for_the_host_as_well(tmp_path: Path) -> None:
    printed, _ = printed_activity(tmp_path)
    bill = measure(printed, require(Mcu.HOST), tmp_path / "c")
    (library,) = (tmp_path / "c").glob("*.elf")
    size = shutil.which("size")
    assert size is not None
    assert (bill.flash_bytes, bill.ram_bytes) == sized(library, size)
    parts = ("node", "edge", "model", "framework")
    # What is left of the framework is its own word of writable data.
    state = state_layout(printed.graph, HOST64).size_bytes
    assert 0 <= sum(bill.of_kind(kind)[1] for kind in parts) - state < 64
    assert bill.stack is None


# Limits.


def test_a_bill_within_its_limits_passes() -> None:
    assert (BILL.needed_flash_bytes, BILL.needed_ram_bytes) == (9_380, 7_500)
    BILL.check(7_500, 9_380)
    BILL.check(None, None)


def test_a_bill_above_a_limit_says_by_how_much_and_names_the_largest() -> None:
    with pytest.raises(LimenError) as refused:
        BILL.check(7_000, 9_000)
    assert refused.value.code is Code.RESOURCE_UNAVAILABLE
    assert refused.value.message.splitlines() == [
        "RAM: the graph needs 7500 bytes, 500 more than the 7000 allowed; the largest are "
        "edge a -> b 4000, model classify 2000, node window 1000",
        "flash: the graph needs 9380 bytes, 380 more than the 9000 allowed; the largest are "
        "model classify 9000, node window 300, edge a -> b 80",
    ]
    with pytest.raises(LimenError, match=r"^RAM: [^\n]*$"):
        BILL.check(7_499, 9_380)


# Stacks.


@NEEDS_MCU
@pytest.mark.parametrize(
    ("statement", "before", "said"),
    [
        (
            "*(volatile uint32_t *)&g->run.steps = odd(g->run.steps);",
            "unsigned odd(unsigned n);\n__attribute__((noinline)) unsigned even(unsigned n);\n"
            "__attribute__((noinline)) unsigned even(unsigned n) {\n"
            "    return n == 0 ? 1 : odd(n - 1) + 1;\n}\n"
            "__attribute__((noinline)) unsigned odd(unsigned n) {\n"
            "    return n == 0 ? 0 : even(n - 1) + 2;\n}\n",
            "recursion: ",
        ),
        (
            "hidden();",
            "extern void (*volatile hidden)(void);\nvoid (*volatile hidden)(void);\n",
            "calls through a pointer",
        ),
        (
            "*(volatile char *)__builtin_alloca(g->run.steps + 1u) = 1;",
            "",
            "stack by a value in {name}_init",
        ),
    ],
)
def test_a_stack_without_a_bound_is_refused(
    statement: str, before: str, said: str, tmp_path: Path
) -> None:
    printed = printed_scenario(SCENARIOS[0])
    with pytest.raises(LimenError, match="the stack has no bound") as refused:
        measure(broken(printed, statement, before=before), require(Mcu.CORTEX_M4), tmp_path)
    assert said.format(name=printed.graph.name) in refused.value.message


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang")
def test_another_compiler_that_writes_no_stack_files_is_held_to_a_bound_as_well(
    tmp_path: Path,
) -> None:
    command = (sys.executable, "-m", "ziglang", "cc")
    zig = Toolchain("zig", command, "zig", Mcu.CORTEX_M4)
    printed = printed_scenario(SCENARIOS[0])
    stack = measure(printed, zig, tmp_path / "sound").stack
    assert stack is not None
    assert stack.chain[0].function.startswith(printed.graph.name)
    dynamic = broken(printed, "*(volatile char *)__builtin_alloca(g->run.steps + 1u) = 1;")
    with pytest.raises(LimenError, match=r"takes stack by a value"):
        measure(dynamic, zig, tmp_path / "dynamic")


@NEEDS_MCU
def test_a_deep_function_is_on_the_worst_chain(tmp_path: Path) -> None:
    printed = printed_scenario(SCENARIOS[0])
    deep = (
        "__attribute__((noinline)) unsigned deep(unsigned n);\n"
        "__attribute__((noinline)) unsigned deep(unsigned n) {\n"
        "    volatile unsigned char held[4096];\n    held[n] = 1;\n    return held[n + 1];\n}\n"
    )
    bill = measure(
        broken(printed, "g->run.steps = deep(g->run.steps);", before=deep),
        require(Mcu.CORTEX_M4),
        tmp_path,
    )
    assert bill.stack is not None
    assert [frame.function for frame in bill.stack.chain] == [f"{printed.graph.name}_init", "deep"]
    assert 4_096 <= bill.stack.chain[1].size_bytes < 4_200


# Tools.


def test_a_missing_compiler_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limen.codegen.c99._toolchain.shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find(Mcu.CORTEX_M4) is None
    with pytest.raises(ConfigurationError, match="no C compiler for cortex-m4") as refused:
        require(Mcu.CORTEX_M4)
    assert "apt-get install gcc-arm-none-eabi" in (refused.value.remedy or "")
    with pytest.raises(ConfigurationError, match="no C compiler for host"):
        require(Mcu.HOST)


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    for name, data in (("text", b"limen"), ("cut", b"\x7fELF\x01\x01\x01"), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InvalidArtifactError, match=name):
            read_elf(tmp_path / name)


# The command line.


@NEEDS_MCU
def test_the_command_line_writes_a_graph_and_prints_its_bill(tmp_path: Path) -> None:
    done = command("build", ACTIVITY, "--target", "c", "-o", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "c").iterdir()}
    assert {
        "activity.h",
        "activity.c",
        "activity_classify_model.c",
        "activity_classify_model.h",
        "limen.h",
    } <= written
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".c", ".h"}
    assert "for cortex-m4 they take" in done.stdout
    rows = dict(re.findall(r"^  (\S.*?)  +(\d+) ", done.stdout, re.MULTILINE))
    parts = {name: int(size) for name, size in rows.items()}
    total = parts.pop("in all, as size says")
    parts.pop("needed by the graph, stack included")
    assert sum(parts.values()) == total
    assert re.search(r"^  worst stack: \d+ bytes: activity_\w+ \d+ > ", done.stdout, re.MULTILINE)


@NEEDS_MCU
def test_the_command_line_fails_above_a_limit_and_still_prints_the_bill(tmp_path: Path) -> None:
    build = ("build", ACTIVITY, "--target", "c", "-o", tmp_path / "c", "--no-metrics")
    done = command(*build, "--max-ram", "64KiB", "--max-flash", "1MiB", "--json")
    assert done.returncode == 1
    bill = json.loads(done.stdout)
    over = bill["needed_ram_bytes"] - 65_536
    assert over > 0
    assert f"{over} more than the 65536 allowed" in done.stderr
    assert "the largest are edge window.out -> classify.window" in done.stderr
    assert "flash:" not in done.stderr
    assert "Traceback" not in done.stderr
    assert command(*build, "--max-ram", "128KiB").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (
            ("--print", "--mcu", "cortex-m5"),
            ("--mcu 'cortex-m5' is unknown", "did you mean 'cortex-m4'?"),
        ),
        (("--print", "--max-ram", "much"), ("--max-ram", "64KiB")),
        ((), ("needs one of --print and -o",)),
    ],
)
def test_what_cannot_be_built_as_c_is_refused(
    arguments: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    assert_refused(command("build", ACTIVITY, "--target", "c", *arguments), *texts)


def test_options_of_c_say_nothing_to_another_target(tmp_path: Path) -> None:
    for option in (("--mcu", "host"), ("--max-ram", "1KiB"), ("--specialise",), ("--json",)):
        done = command("build", ACTIVITY, "-o", tmp_path / "built", *option)
        assert_refused(done, f"{option[0]} says nothing to target native", "write --target c")


def test_the_text_of_a_graph_in_c_can_be_printed() -> None:
    done = command("build", ACTIVITY, "--target", "c", "--print")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("/* Graph activity: generated by limen ")
    assert "bool activity_start(struct activity *g, limen_tick now) {" in done.stdout
