"""A firmware on the emulated board: what it gives, what it costs, and how it fails."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from c_mcu import (
    ACTIVITY,
    NEEDS_BOARD,
    SCENARIOS,
    broken,
    printed_activity,
    printed_scenario,
    short_activity,
)
from limen.app import make_runtime
from limen.codegen.c99 import Emulation, Reading, emulate, emulate_log, record
from limen.codegen.c99._described import Hook
from limen.codegen.c99._recorded import make_image
from limen.errors import Code, ConfigurationError, NodeError, SensorError
from limen.io import CsvSource, JsonLinesSource
from limen.message import Message
from limen.node import Produced, Sink, Source, SourceSignal
from limen.platform import SimClock
from limen.telemetry import DecisionLog
from limen.types import DataType, QoSClass, TensorSpec, Ticks
from target_graphs import assert_refused, command


class Kept(Sink):
    """Keeps copies of what arrives, with what the header says of each."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, int, int]] = []
        self.payloads: list[np.ndarray] = []

    def consume(self, message: Message, now: Ticks) -> None:
        header = message.header
        self.messages.append((header.sequence, header.creation_tick, header.origin_tick, now))
        self.payloads.append(np.array(message.payload))


@pytest.fixture(scope="module")
def activity(tmp_path_factory: pytest.TempPathFactory) -> Emulation:
    folder = tmp_path_factory.mktemp("activity")
    printed, readings = printed_activity(folder)
    return emulate(printed, [readings])


@NEEDS_BOARD
def test_what_reaches_a_sink_is_what_the_reference_gives(
    activity: Emulation, tmp_path: Path
) -> None:
    kept, log = Kept(), DecisionLog()
    graph = short_activity(tmp_path).replace("print", kept)
    statistics = make_runtime(graph, SimClock(), log, target="reference").run()
    assert activity.log_sha256 == log.sha256
    assert activity.outcome == statistics.outcome == "completed"
    found = [(o.sequence, o.creation, o.origin, o.instant) for o in activity.outputs]
    assert found == kept.messages
    assert len(found) == 5
    for output, payload in zip(activity.outputs, kept.payloads, strict=True):
        assert output.sink == "print"
        values = np.frombuffer(output.payload, np.float32)
        np.testing.assert_allclose(values, payload.reshape(-1), rtol=0, atol=1e-6)
        assert np.argmax(values) == np.argmax(payload)
    counts = {node.name: (node.steps, node.calls) for node in statistics.nodes}
    assert {n: (c["steps"], c["calls"]) for n, c in activity.nodes.items()} == counts
    for edge in statistics.edges:
        assert activity.edges[edge.name]["pushed"] == edge.pushed
        assert activity.edges[edge.name]["peak"] == edge.peak


@NEEDS_BOARD
def test_instructions_are_those_of_models_and_all_else_and_repeat_exactly(
    activity: Emulation, tmp_path: Path
) -> None:
    printed, readings = printed_activity(tmp_path)
    again = emulate(printed, [readings])
    assert again.instructions_per_step == activity.instructions_per_step
    assert again.inferences == activity.inferences
    assert [call.node for call in activity.inferences] == ["classify"] * 5
    assert all(call.instructions > 1_000_000 for call in activity.inferences)
    assert 0 < activity.framework_instructions < activity.model_instructions
    assert activity.instructions == sum(activity.instructions_per_step)
    assert len(activity.decisions) == activity.log.count("\n")


@NEEDS_BOARD
def test_straight_line_code_decides_alike_in_fewer_instructions(
    activity: Emulation, tmp_path: Path
) -> None:
    printed, readings = printed_activity(tmp_path)
    found = emulate(printed, [readings], specialised=True)
    assert found.log == activity.log
    assert found.outputs == activity.outputs
    assert found.framework_instructions < activity.framework_instructions


@NEEDS_BOARD
def test_the_stack_in_use_is_within_the_bound_and_what_stands_above_it(
    activity: Emulation,
) -> None:
    assert activity.bill.stack is not None
    # Above the step lie the frames of main and of the start-up code, below it the hooks'.
    around = 256
    assert activity.stack_used_bytes < activity.bill.stack.size_bytes + around


# Failures.


@NEEDS_BOARD
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "*(volatile uint32_t *)UINT32_C(0xF0000000) = 1u;",
            "an address was accessed where no memory is",
        ),
        ('__asm__ volatile("udf #0");', "an instruction is not defined"),
        ("((void (*)(void))UINT32_C(0x100))();", "code was called that is no Thumb code"),
    ],
)
def test_a_fault_is_told_in_words(statement: str, said: str, tmp_path: Path) -> None:
    printed = broken(printed_scenario(SCENARIOS[0]), statement)
    with pytest.raises(NodeError, match="the firmware faulted in ") as failed:
        emulate_log(printed, directory=tmp_path)
    assert said in failed.value.message
    if "0xF" in statement:
        assert f"{printed.graph.name}_init at 0x" in failed.value.message


@NEEDS_BOARD
def test_a_stack_that_overflows_is_a_fault_and_overwrites_nothing(tmp_path: Path) -> None:
    printed = broken(
        printed_scenario(SCENARIOS[0]),
        "g->user = deep(g) == 0u ? NULL : g;",
        before="unsigned deep(volatile void *p);\n"
        "__attribute__((noinline)) unsigned deep(volatile void *p) {\n"
        "    volatile unsigned char held[1024];\n    held[3] = p == NULL;\n"
        "    return p == NULL ? 0u : deep(held) + held[3];\n}\n",
    )
    with pytest.raises(NodeError, match=r"faulted .*: the stack has no room left; it said nothing"):
        emulate_log(printed, directory=tmp_path)


@NEEDS_BOARD
def test_a_firmware_that_hangs_is_ended_and_says_what_it_said_last(tmp_path: Path) -> None:
    printed = printed_scenario(SCENARIOS[0])
    with pytest.raises(NodeError, match=r"did not end within 1 s; it said nothing"):
        emulate_log(broken(printed, "for (;;) {\n    }"), timeout_s=1, directory=tmp_path)


def test_a_missing_emulator_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from limen.codegen.c99._board import run_firmware, why_not

    monkeypatch.setattr("limen.codegen.c99._board.shutil.which", lambda name: None)
    assert why_not() == "qemu-system-arm is not installed: apt-get install qemu-system-arm"
    with pytest.raises(ConfigurationError, match="apt-get install qemu-system-arm"):
        run_firmware(tmp_path / "none.elf", tmp_path / "none.bin", 1)


# Recordings.


class Told(Source):
    """Gives what it was given, one a tick; ``None`` cannot be read."""

    def __init__(self, *entries: Produced | None, ends: bool = True) -> None:
        self.entries = entries
        self.ends = ends
        self.at = 0

    def spec(self) -> TensorSpec:
        return TensorSpec(DataType.F32, (2,))

    def next_due(self) -> Ticks | None:
        return Ticks(self.at)

    def try_produce(self, now: Ticks) -> Produced | SourceSignal:
        if self.at >= len(self.entries):
            return SourceSignal.END_OF_STREAM if self.ends else SourceSignal.NOTHING_NOW
        entry = self.entries[self.at]
        self.at += 1
        if entry is None:
            raise SensorError("broken")
        return entry


def test_a_recording_keeps_what_a_source_states_and_what_it_fails_at() -> None:
    urgent = Produced(
        [1.0, 2.0],
        creation_tick=Ticks(0),
        deadline_ns=7,
        qos=QoSClass.LATENCY_CRITICAL,
        max_age_ns=9,
        degrade_allowed=True,
    )
    found = record(Told(urgent, None, Produced([3.0, 4.0])), 1_000)
    first = Reading(0, struct.pack("<2f", 1, 2), False, 0, 7, 3, 9, True)
    assert found == [
        first,
        Reading(1, failed=True),
        Reading(2, struct.pack("<2f", 3, 4)),
        Reading(3),
    ]


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="waits for something from outside"):
        record(Told(ends=False), 1_000)
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"a": 1}\n')
    with pytest.raises(ConfigurationError, match="source of objects"):
        record(JsonLinesSource(lines, rate_hz=1), 1_000)


def test_a_recording_without_an_end_is_refused() -> None:
    class Endless(Told):
        def spec(self) -> TensorSpec:
            return TensorSpec(DataType.F32, (1 << 18,))

        def try_produce(self, now: Ticks) -> Produced:
            self.at += 1
            return Produced(np.zeros(1 << 18, np.float32))

    with pytest.raises(ConfigurationError, match="more than the 16777216 bytes") as refused:
        record(Endless(), 1_000)
    assert refused.value.code is Code.RESOURCE_UNAVAILABLE


def test_an_image_that_does_not_fit_its_graph_is_refused() -> None:
    hook = Hook("imu", "float", 8)
    with pytest.raises(ConfigurationError, match=r"2 recordings.*sources are: imu"):
        make_image([[], []], [hook])
    with pytest.raises(ConfigurationError, match="source imu has 4 bytes, and not 8"):
        make_image([[Reading(0, b"1234")]], [hook])
    with pytest.raises(ConfigurationError, match="room"):
        make_image([[Reading(0, bytes(8))] * (1 << 19)], [hook])


# The command line.


@NEEDS_BOARD
def test_the_command_line_compares_the_whole_recording_with_the_reference() -> None:
    data = ACTIVITY.parent / "test.csv"
    done = command("emulate", ACTIVITY, "--input", data, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["log_sha256"] == found["reference_log_sha256"]
    assert found["outcome"] == "completed"
    assert found["labels"] == list(labels_of(ACTIVITY))
    assert sum(found["instructions_per_step"]) == found["instructions"]
    assert found["model_instructions"] + found["framework_instructions"] == found["instructions"]
    assert found["ram_bytes"] == found["bill"]["needed_ram_bytes"] > 0
    assert found["flash_bytes"] == found["bill"]["needed_flash_bytes"] > 0


def labels_of(path: Path) -> Iterator[str]:
    """Yield what the graph says on the machine's own engine."""
    done = command("run", path, "--sim")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        yield json.loads(line)["label"]


@NEEDS_BOARD
def test_the_command_line_takes_other_data_and_speaks_to_people(tmp_path: Path) -> None:
    lines = (ACTIVITY.parent / "test.csv").read_text().splitlines(keepends=True)
    data = tmp_path / "some.csv"
    data.write_text("".join(itertools.islice(lines, 101)))
    done = command("emulate", ACTIVITY, "--input", data, "--no-metrics", "--specialise")
    assert done.returncode == 0, done.stderr
    assert "the reference executor decided the same" in done.stdout
    assert "3 messages at sinks: " in done.stdout


def test_data_for_a_graph_without_a_csv_source_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ramp.toml"
    path.write_text(
        'limen = 1\nname = "ramp"\n[nodes.ramp]\ntype = "ramp"\nrate_hz = 10\ncount = 3\n'
        '[nodes.end]\ntype = "discard"\n[[edges]]\nchain = ["ramp", "end"]\n'
    )
    done = command("emulate", path, "--input", path)
    assert_refused(done, "such sources are: none", "leave --input out")


def test_a_csv_source_keeps_all_but_its_file() -> None:
    from limen.app import load
    from limen.cli._emulate import _replace_data
    from limen.node import SourceNode

    graph = load(ACTIVITY)
    _replace_data(graph, Path("other.csv"))
    node = graph.node("imu")
    assert isinstance(node, SourceNode)
    source = node.source
    assert isinstance(source, CsvSource)
    assert source.path == Path("other.csv")
    assert (source.columns[0], source.rate_hz, source.speed) == ("ax", 10, 1)
