"""Compiles the C forms of nodes and calls them beside their Python twins; for ``test_c_forms``."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c_host import COMPILER, SANITIZED, WARNINGS
from library import Bench
from limen.message import Message, MessageHeader
from limen.node import CForm, Node, NodePorts, StepResult
from limen.node.contract import Port
from limen.platform import SimClock
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks

CROSS = shutil.which("arm-none-eabi-gcc")
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_HEADER = struct.Struct("<qqIHBB")
_DOUBLE = Path(__file__).parent / "limen_double.h"


@dataclass(frozen=True)
class Case:
    """A node, and what arrives on its inputs."""

    node: Node
    inputs: Mapping[str, PayloadSpec]


def form_of(case: Case) -> tuple[NodePorts, CForm]:
    case.node.prepare()
    ports = case.node.resolve(case.inputs)
    form = case.node.c_form(ports, SimClock())
    assert form is not None
    return ports, form


def source_of(cases: Sequence[Case]) -> str:
    """Print a program with all cases, as the printer of graphs would print their bodies."""
    made = [form_of(case) for case in cases]
    code = dict.fromkeys(form.code for _, form in made if form.code)
    headers = sorted({header for _, form in made for header in form.headers})
    lines = ['#include "limen_double.h"', *(f"#include <{header}>" for header in headers), *code]
    for number, (ports, form) in enumerate(made):
        lines += _functions(number, ports, form)
    lines.append("static const limen_case cases[] = {")
    for number, (ports, form) in enumerate(made):
        size = f"sizeof(struct state_{number})" if form.state else "1"
        inputs = len(ports.inputs)
        lines.append(f"{{{size}, {inputs}, sizes_{number}, start_{number}, call_{number}}},")
    lines += ["};", "int main(void) { return serve(cases); }", ""]
    return "\n".join(lines)


def _functions(number: int, ports: NodePorts, form: CForm) -> list[str]:
    lines = []
    if form.state:
        members = (
            f"{field.type} {field.name}{''.join(f'[{n}]' for n in field.shape)};"
            for field in form.state
        )
        lines.append(f"struct state_{number} {{ {' '.join(members)} }};")
    for table in form.tables:
        values = ", ".join(_number(value) for value in table.values.reshape(-1).tolist())
        lines.append(f"static const {table.type} {table.name}_{number}[] = {{{values}}};")
    sizes = ", ".join(str(_size(port)) for port in (*ports.inputs, *ports.outputs))
    lines.append(f"static const uint32_t sizes_{number}[] = {{{sizes}}};")
    own = f"struct state_{number} *const self = state;" if form.state else "(void)state;"
    lines += [f"static void start_{number}(void *state) {{", own, form.start, "}"]
    if form.state and not re.search(r"\bself\b", form.start):
        lines.insert(-1, "(void)self;")
    lines += [f"static limen_result call_{number}(void *state, limen_call *call) {{", own]
    for place, port in enumerate(ports.inputs):
        name = "in" if len(ports.inputs) == 1 else f"in_{port.name}"
        if re.search(rf"\b{name}\b", form.call):
            lines.append(f"const {_type(port)} *const {name} = call->in[{place}];")
    for table in form.tables:
        lines.append(f"const {table.type} *const {table.name} = {table.name}_{number};")
    return [*lines, form.call, "}"]


def _number(value: object) -> str:
    return value.hex() if isinstance(value, float) else f"INT64_C({value})"


def _tensor(port: Port) -> TensorSpec:
    assert isinstance(port.spec, TensorSpec)
    return port.spec


def _size(port: Port) -> int:
    return _tensor(port).size_bytes


def _type(port: Port) -> str:
    return _tensor(port).dtype.c_type


def compile_cases(cases: Sequence[Case], folder: Path, flags: Sequence[str] = SANITIZED) -> Path:
    """Compile all cases into one program; any warning is an error."""
    (folder / "cases.c").write_text(source_of(cases))
    command = [str(COMPILER), *WARNINGS, *flags, f"-I{_DOUBLE.parent}", "cases.c"]
    _run([*command, "-o", "cases", "-lm"], folder)
    return folder / "cases"


def compile_object(name: str, folder: Path) -> None:
    """Compile a file without linking it; any warning is an error."""
    _run([str(COMPILER), *WARNINGS, "-O1", "-c", name], folder)


def cross_compile(cases: Sequence[Case], folder: Path) -> None:
    """Compile all cases for a microcontroller, without a system around them."""
    (folder / "cases.c").write_text(source_of(cases))
    flags = (*WARNINGS, *CORTEX_M4, "-Os", "-ffreestanding", f"-I{_DOUBLE.parent}")
    _run([str(CROSS), *flags, "-c", "cases.c", "-o", "cases.o"], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[:4000]


class Compiled:
    """The program of some cases, running; it ends where a sanitizer complains."""

    def __init__(self, cases: Sequence[Case], folder: Path, flags: Sequence[str] = SANITIZED):
        self.cases = tuple(cases)
        self._complaints = folder / "complaints"
        self._errors = self._complaints.open("w")
        self._process = subprocess.Popen(
            [str(compile_cases(cases, folder, flags))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def tell(self, text: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(self._complaints.read_text()) from None

    def hear(self, size: int) -> bytes:
        assert self._process.stdout is not None
        found = self._process.stdout.read(size)
        assert len(found) == size, self._complaints.read_text()
        return found

    def close(self) -> str:
        """End it; what it complained of, leaks included."""
        self._process.communicate()
        self._errors.close()
        return self._complaints.read_text()


class Twins(Bench):
    """A node in Python and in C: whatever one is given the other is, and both answer alike."""

    def __init__(self, compiled: Compiled, number: int) -> None:
        case = compiled.cases[number]
        super().__init__(case.node, **case.inputs)
        self._compiled = compiled
        self._header: MessageHeader | None = None
        compiled.tell(b"N" + struct.pack("<I", number))

    def restart(self) -> None:
        self.node.stop()
        self.node.reset()
        self.node.initialize(self.clock, self.ports)
        self._compiled.tell(b"R")

    def _settle(self, header: MessageHeader, result: object) -> StepResult:
        self._header = header
        return super()._settle(header, result)

    def give(self, *messages: Message | None, now: int | None = None) -> None:
        emitted, skipped = len(self.emitted), self.skipped
        super().give(*messages, now=now)
        assert self._header is not None
        told = b"C" + struct.pack("<q", self.now_ticks) + _packed(self._header)
        for message in messages:
            told += b"\0"
            if message is not None:
                told = told[:-1] + b"\1" + _packed(message.header)
                told += np.asarray(message.payload).tobytes()
        self._compiled.tell(told)
        result, count = struct.unpack("<II", self._compiled.hear(8))
        assert result == (self.skipped > skipped), "skips alike"
        wanted = self.emitted[emitted:]
        names = [port.name for port in self.ports.outputs]
        # What is left over is heard first, so that one difference is not taken for another.
        found = []
        for _ in range(count):
            (port,) = struct.unpack("<I", self._compiled.hear(4))
            creation, origin, sequence, *_ = _HEADER.unpack(self._compiled.hear(_HEADER.size))
            spec = _tensor(self.ports.outputs[port])
            array = np.frombuffer(self._compiled.hear(spec.size_bytes), spec.dtype.numpy_dtype())
            found.append((names[port], (creation, origin, sequence), array))
        headers = [
            (port, (own.creation_tick, own.origin_tick, own.sequence)) for port, own, _ in wanted
        ]
        assert [(port, header) for port, header, _ in found] == headers
        for (_, _, array), (_, _, payload) in zip(found, wanted, strict=True):
            assert_bits(array, np.asarray(payload).reshape(-1))


def _packed(header: MessageHeader) -> bytes:
    return _HEADER.pack(header.creation_tick, header.origin_tick, header.sequence, 0, 2, 0)


def assert_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Compare bits; any NaN is as good as another."""
    assert found.dtype == wanted.dtype
    same = found.view(np.uint8).reshape(len(found), -1) == wanted.view(np.uint8).reshape(
        len(wanted), -1
    )
    differ = ~same.all(axis=1)
    if found.dtype.kind not in "iub":
        differ &= ~(np.isnan(found) & np.isnan(wanted))
    assert not differ.any(), (np.flatnonzero(differ), found[differ], wanted[differ])


def edges_of(dtype: DataType) -> np.ndarray:
    """Return values at which something changes for some type."""
    kind = dtype.numpy_dtype()
    if dtype is DataType.BOOLEAN:
        return np.array([False, True])
    powers = [2.0**p for p in (0, 3, 7, 8, 15, 16, 24, 31, 32, 52, 53, 62, 63, 64, 100, 127)]
    if dtype.is_float:
        tiny = [2.0**p for p in (-14, -15, -23, -24, -25, -26, -126, -133, -149, -150, -1074)]
        near = [p + d for p in powers for d in (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)]
        special = [0.0, 0.1, 1.5, 2.5, 1e-6, 65504.0, 65519.0, 65520.0, 1e300, np.inf, np.nan]
        values = [*near, *tiny, *(1.5 * t for t in tiny), *(1.25 * t for t in tiny), *special]
        with np.errstate(all="ignore"):
            return np.array([s * v for v in values for s in (1, -1)]).astype(kind)
    limits = np.iinfo(kind)
    whole = [int(p) + d for p in powers for d in (-2, -1, 0, 1, 2)]
    fitting = {s * v for v in [0, 1, 2, 3, *whole] for s in (1, -1)} | {limits.min, limits.max}
    return np.array(sorted(v for v in fitting if limits.min <= v <= limits.max), kind)


def payloads(spec: TensorSpec, count: int, seed: int) -> list[np.ndarray]:
    """Return so many payloads: edges of the type, random bits, few values that come again."""
    random = np.random.default_rng(seed)
    kind, shape = spec.dtype.numpy_dtype(), spec.fixed_shape
    edges = edges_of(spec.dtype)
    made = []
    for place in range(count):
        drawn = edges[random.integers(0, len(edges), shape)]
        if spec.dtype is not DataType.BOOLEAN and place % 3 == 1:
            drawn = random.integers(0, 256, (*shape, kind.itemsize), np.uint8)
            drawn = drawn.view(kind).reshape(shape)
        if place % 3 == 2:
            few = [0.0, -0.0, 1.0, np.nan] if spec.dtype.is_float else [0, 1]
            drawn = np.array(few).astype(kind)[random.integers(0, len(few), shape)]
        made.append(np.array(drawn))
    return made


def message(twins: Bench, payload: object, now: int, made: int, origin: int) -> Message:
    return twins.message(payload, at=Ticks(max(0, now - made)), origin=max(0, now - made - origin))
