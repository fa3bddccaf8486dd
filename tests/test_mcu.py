"""Printed graphs as firmware: built for a Cortex-M4, measured to the byte, run in an emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import limen
from limen.app import check
from limen.codegen.c99 import emit_c
from limen.codegen.c99._bill import Bill, Entry, Owner
from limen.codegen.c99._described import describe
from limen.codegen.c99._elf import read_elf
from limen.codegen.c99._emulate import Emulation, emulate, why_not
from limen.codegen.c99._firmware import Firmware, bill_of, build_bare
from limen.codegen.c99._harness import PrintedGraph
from limen.codegen.c99._recorded import Reading, make_image, record
from limen.codegen.c99._stack import Frame, Stack, dynamic_frames
from limen.codegen.c99._thumb import read_code
from limen.codegen.c99._toolchain import Mcu, Toolchain, compile_objects, find, require
from limen.errors import ConfigurationError, InvalidArtifactError, LimenError, NodeError
from limen.node import CForm, NodePorts
from limen.platform import PlatformClock, SimClock
from limen.runtime import SingleThreadRuntime
from limen.telemetry import Decision, DecisionLog
from limen.testing._feed import Feed

_FOUND = find(Mcu.CORTEX_M4)
NEEDS_COMPILER = pytest.mark.skipif(_FOUND is None, reason="no compiler for cortex-m4")
NEEDS_EMULATOR = pytest.mark.skipif(
    _FOUND is None or why_not() is not None, reason=f"no compiler for cortex-m4, or {why_not()}"
)
ACTIVITY = Path(limen.__file__).parents[2] / "examples" / "activity" / "activity.toml"


class Strange(limen.nodes.Affine):
    """An ``Affine`` whose C form is what a test says."""

    def __init__(self, call: str, code: str = "") -> None:
        super().__init__(2.0)
        self.strange = CForm(call=f"float *out = limen_emit(call, 0, &call->header); {call}")
        self.strange = CForm(call=self.strange.call, code=code)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        return self.strange


class Taker(limen.Sink):
    def consume(self, message: limen.Message, now: limen.types.Ticks) -> None:
        pass


def toolchain() -> Toolchain:
    return require(Mcu.CORTEX_M4)


def readings(count: int = 5) -> list[np.ndarray]:
    return [np.array([i, i / 2], np.float32) for i in range(count)]


def graph_of(*nodes: object) -> limen.Graph:
    graph = limen.Graph("tally")
    graph.add("count", Feed(readings(), rate_hz=10))
    names = [f"n{place}" for place in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        graph.add(name, node)
    graph.add("out", Taker())
    graph.chain("count", *names, "out", policy=limen.EdgePolicy.drop_oldest(4))
    return graph


def printed(folder: Path, *nodes: object) -> PrintedGraph:
    clock = SimClock()
    return describe(emit_c(check(graph_of(*nodes), clock), clock, folder), folder)


def inputs() -> list[list[Reading]]:
    return [record(Feed(readings(), rate_hz=10), SimClock().tick_rate_hz)]


def emulated(folder: Path, *nodes: object, timeout_s: float = 120) -> Emulation:
    graph = printed(folder / "c", *nodes)
    return emulate(graph, inputs(), toolchain(), directory=folder / "b", timeout_s=timeout_s)


def reference(*nodes: object) -> list[Decision]:
    clock, decisions = SimClock(), list[Decision]()
    log = DecisionLog(decisions.append)
    SingleThreadRuntime(check(graph_of(*nodes), clock), clock, log=log).run()
    return decisions


def bare(folder: Path, *nodes: object) -> tuple[PrintedGraph, Firmware]:
    graph = printed(folder / "c", *nodes)
    return graph, build_bare(graph, toolchain(), folder / "b")


# Under emulation.


@NEEDS_EMULATOR
def test_a_firmware_decides_as_the_reference_and_gives_the_same_payloads(tmp_path: Path) -> None:
    done = emulated(tmp_path, limen.nodes.Affine(2.0, 1.0))
    assert list(done.decisions) == reference(limen.nodes.Affine(2.0, 1.0))
    assert done.outcome == "completed"
    wanted = [(x * np.float32(2) + np.float32(1)).tobytes() for x in readings()]
    assert [output.payload for output in done.outputs] == wanted
    assert [output.sequence for output in done.outputs] == [0, 1, 2, 3, 4]
    assert done.edges["count.out -> n0.in"]["consumed"] == 5
    assert done.nodes["n0"]["calls"] == 5


@NEEDS_EMULATOR
def test_instructions_are_the_same_in_every_run(tmp_path: Path) -> None:
    first, second = (emulated(tmp_path / name, limen.nodes.Affine(2.0)) for name in ("one", "two"))
    assert first.instructions_per_step == second.instructions_per_step
    assert len(first.instructions_per_step) == 6
    assert min(first.instructions_per_step) > 100


@NEEDS_EMULATOR
def test_a_node_that_does_more_takes_more_instructions(tmp_path: Path) -> None:
    nops = '__asm__ volatile(".rept 1000\\n\\tnop\\n\\t.endr"); out[0] = in[0]; return LIMEN_DONE;'
    plain = "out[0] = in[0]; return LIMEN_DONE;"
    more = emulated(tmp_path / "more", Strange(nops)).instructions
    less = emulated(tmp_path / "less", Strange(plain)).instructions
    assert more - less == pytest.approx(5 * 1000, abs=5 * 20)


@NEEDS_EMULATOR
def test_a_fault_is_reported_with_its_cause_its_place_and_what_came_before(
    tmp_path: Path,
) -> None:
    broken = "out[0] = *(volatile const float *)0x70000000u; return LIMEN_DONE;"
    with pytest.raises(NodeError) as failed:
        emulated(tmp_path, Strange(broken))
    text = str(failed.value)
    assert text.startswith("the firmware faulted in limen_")
    assert "an address was accessed where no memory is (0x70000000)" in text
    assert "it last said 'L 0|" in text


@NEEDS_EMULATOR
def test_a_stack_that_is_too_deep_is_reported_as_such(tmp_path: Path) -> None:
    code = (
        "static float limen_strange(float x);\n"
        "static float limen_strange(float x) {\n"
        "    volatile float kept[64] = {x};\n"
        "    return x > 1e6f ? kept[0] : limen_strange(kept[0] + 1.0f) + kept[1];\n"
        "}"
    )
    with pytest.raises(NodeError, match=r"the stack has no room left|no memory is"):
        emulated(tmp_path, Strange("out[0] = limen_strange(in[0]); return LIMEN_DONE;", code))


@NEEDS_EMULATOR
def test_a_firmware_that_hangs_is_ended_with_what_it_last_said(tmp_path: Path) -> None:
    hangs = "volatile int turns = 0; while (in[0] > 1.5f) { turns = 1; } return LIMEN_DONE;"
    with pytest.raises(NodeError) as failed:
        emulated(tmp_path, Strange(hangs), timeout_s=5)
    assert "the firmware did not end within 5 s; it last said 'L 200000000|" in str(failed.value)


@NEEDS_EMULATOR
def test_a_source_that_cannot_be_read_for_once_is_noted_alike(tmp_path: Path) -> None:
    graph = printed(tmp_path / "c", limen.nodes.Affine(2.0))
    given = inputs()[0]
    given[2] = Reading(given[2].due, failed=True)
    done = emulate(graph, [given], toolchain(), directory=tmp_path / "b")
    assert done.nodes["count"]["errors"] == 1
    assert len(done.outputs) == 4


@pytest.mark.slow
@NEEDS_EMULATOR
def test_the_activity_graph_decides_alike_over_the_whole_test_set(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "limen", "emulate", str(ACTIVITY), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["log_sha256"] == said["reference_log_sha256"]
    assert len(said["labels"]) == 159
    assert set(said["labels"]) <= {"resting", "standing", "walking", "running", "badminton"}


# The bill.


@NEEDS_COMPILER
def test_the_bill_adds_up_to_what_size_reports(tmp_path: Path) -> None:
    size = shutil.which("arm-none-eabi-size") or shutil.which("size")
    if size is None:
        pytest.skip("no size")
    graph, firmware = bare(tmp_path, limen.nodes.Affine([2.0, 3.0]), limen.nodes.Decimate(2))
    bill = bill_of(graph, firmware)
    said = subprocess.run([size, str(firmware.elf)], capture_output=True, text=True, check=True)
    text, data, bss = map(int, said.stdout.splitlines()[1].split()[:3])
    assert bill.flash_bytes == text + data
    assert bill.ram_bytes == data + bss
    assert sum(entry.flash_bytes for entry in bill.entries) == text + data


@NEEDS_COMPILER
def test_the_state_is_charged_to_the_last_byte(tmp_path: Path) -> None:
    graph, firmware = bare(tmp_path, limen.nodes.Affine([2.0, 3.0]))
    (state,) = (s for s in read_elf(firmware.elf).symbols if s.name == graph.state)
    bill = bill_of(graph, firmware)
    parts = [bill.of_kind(kind)[1] for kind in ("node", "edge", "model", "framework")]
    assert sum(parts) == state.size
    edges = {entry.owner.name for entry in bill.entries if entry.owner.kind == "edge"}
    assert edges == {"count.out -> n0.in", "n0.out -> out.in"}


@NEEDS_COMPILER
def test_frames_read_from_the_code_are_what_the_compiler_says(tmp_path: Path) -> None:
    _, firmware = bare(tmp_path, limen.nodes.Moving(["mean", "rms"], 5))
    said: dict[str, int] = {}
    for usage in firmware.usages:
        for line in usage.read_text().splitlines():
            place, size, _ = line.split("\t")
            said[place.rsplit(":", 1)[1]] = int(size)
    codes = {code.name: code.frame for code in read_code(read_elf(firmware.elf)).values()}
    compared = [name for name in said if name in codes]
    assert len(compared) > 10
    for name in compared:
        # Registers that are stored anew on one way and not on others count on all of them.
        assert said[name] <= codes[name] <= said[name] + 16, name


@NEEDS_COMPILER
def test_recursion_has_no_bound(tmp_path: Path) -> None:
    code = (
        "static float limen_strange(float x);\n"
        "static float limen_strange(float x) {\n"
        "    return x < 1.0f ? x : limen_strange(x - 1.0f) * limen_strange(x - 2.0f);\n"
        "}"
    )
    call = "out[0] = limen_strange(in[0]); return LIMEN_DONE;"
    graph, firmware = bare(tmp_path, Strange(call, code))
    with pytest.raises(LimenError, match=r"no bound: recursion: limen_strange\S* > limen_strange"):
        bill_of(graph, firmware)


@NEEDS_COMPILER
def test_a_stack_frame_by_a_value_has_no_bound(tmp_path: Path) -> None:
    call = (
        "volatile float *own = __builtin_alloca((size_t)in[0] + 8u); own[0] = in[1]; "
        "out[0] = own[0]; return LIMEN_DONE;"
    )
    graph, firmware = bare(tmp_path, Strange(call))
    assert dynamic_frames(firmware.usages) != ()
    with pytest.raises(LimenError, match="no bound: stack by a value"):
        bill_of(graph, firmware)


@NEEDS_COMPILER
def test_a_call_through_a_pointer_has_no_bound(tmp_path: Path) -> None:
    code = "static float (*volatile limen_strange)(float);"
    call = "out[0] = limen_strange(in[0]); return LIMEN_DONE;"
    graph, firmware = bare(tmp_path, Strange(call, code))
    with pytest.raises(LimenError, match="calls through a pointer; call functions by name"):
        bill_of(graph, firmware)


@NEEDS_COMPILER
def test_an_array_of_variable_length_does_not_compile(tmp_path: Path) -> None:
    call = "float own[(size_t)in[0] + 1u]; own[0] = in[1]; out[0] = own[0]; return LIMEN_DONE;"
    with pytest.raises(LimenError) as failed:
        bare(tmp_path, Strange(call))
    assert "tally.c was not built" in str(failed.value)
    assert "-Werror=vla" in str(failed.value)


def test_limits_say_by_how_much_and_what_is_largest() -> None:
    bill = Bill(
        (
            Entry(Owner("node", "a"), 300, 5),
            Entry(Owner("edge", "a -> b"), 0, 700),
            Entry(Owner("model", "m"), 5_000, 90),
            Entry(Owner("framework"), 800, 40),
            Entry(Owner("application"), 9_000, 9_000),
            Entry(Owner("libc"), 100, 0),
        ),
        Stack(120, (Frame("g_step", 120),)),
    )
    bill.check(955, 6_200)
    with pytest.raises(LimenError) as failed:
        bill.check(900, 6_000)
    assert str(failed.value) == (
        "RAM: the graph needs 955 bytes, 55 more than the 900 allowed; the largest are "
        "edge a -> b 700, stack 120, model m 90\n"
        "flash: the graph needs 6200 bytes, 200 more than the 6000 allowed; the largest are "
        "model m 5000, framework 800, node a 300; "
        "raise the limit, or make the largest smaller"
    )


# Tools and inputs.


@NEEDS_COMPILER
def test_code_for_microcontrollers_builds_freestanding(tmp_path: Path) -> None:
    import limen.codegen.c99 as package

    folder = Path(package.__file__).parent / "support" / "mcu"
    sources = sorted(folder.glob("*.c"))
    assert len(sources) >= 5
    compile_objects(toolchain(), sources, tmp_path, include=[folder], freestanding=True)
    graph = printed(tmp_path / "c", limen.nodes.Affine(2.0))
    compile_objects(
        toolchain(),
        [graph.folder / name for name in graph.files],
        tmp_path,
        include=[graph.folder],
        freestanding=True,
    )


def test_without_a_compiler_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(ConfigurationError, match="gcc-arm-none-eabi libnewlib-arm-none-eabi"):
        require(Mcu.CORTEX_M4)
    with pytest.raises(ConfigurationError, match="apt-get install gcc"):
        require(Mcu.HOST)


def test_without_the_emulator_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    graph = printed(tmp_path, limen.nodes.Affine(2.0))
    unused = Toolchain("none", (), "", Mcu.CORTEX_M4)
    with pytest.raises(ConfigurationError, match="apt-get install qemu-system-arm"):
        emulate(graph, inputs(), unused)


def test_inputs_of_another_size_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="source 0 has 3 bytes, and not 8"):
        make_image([[Reading(0, b"abc")]], [8])


def test_inputs_that_do_not_fit_are_refused() -> None:
    many = [Reading(i, bytes(1 << 20)) for i in range(17)]
    with pytest.raises(ConfigurationError, match="room for 16777216"):
        make_image([many], [1 << 20])


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(InvalidArtifactError, match="ELF"):
            read_elf(tmp_path / "x")


@NEEDS_COMPILER
def test_a_build_above_a_limit_fails_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("x\n1\n2\n")
    (tmp_path / "g.toml").write_text(
        'limen = 1\nname = "small"\n[nodes.src]\ntype = "csv"\npath = "data.csv"\n'
        'columns = ["x"]\nrate_hz = 10\n[nodes.scale]\ntype = "affine"\ngain = 2.0\n'
        '[nodes.out]\ntype = "json_lines"\n[[edges]]\nchain = ["src", "scale", "out"]\n'
    )
    command = [sys.executable, "-m", "limen", "build", str(tmp_path / "g.toml"), "--target", "c"]
    command += ["-o", str(tmp_path / "out"), "--max-ram", "100B"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert "worst stack" in done.stdout
    assert "more than the 100 allowed; the largest are" in done.stderr
    assert (tmp_path / "out" / "small.h").is_file()
    bill = json.loads((tmp_path / "out" / "bill.json").read_text())
    assert bill["flash_bytes"] == sum(entry["flash_bytes"] for entry in bill["entries"])
