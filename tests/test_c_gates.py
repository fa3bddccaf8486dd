"""What is printed as C allocates nothing, has a stack that is known, and needs no warnings off."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from c_mcu import NEEDS_MCU, SCENARIOS, broken, nm_of, printed_activity, printed_scenario
from limen.codegen.c99 import Mcu, PrintedC, find, measure, require
from limen.codegen.c99._stack import dynamic_frames
from limen.codegen.c99._toolchain import compile_objects
from limen.errors import LimenError

ALLOCATORS = re.compile(r"\b_?(malloc|calloc|free|realloc|sbrk|_malloc_r|_free_r|_sbrk_r)\b")
GRAPHS = ("activity", *SCENARIOS)
MCUS = [
    pytest.param(Mcu.CORTEX_M4, marks=NEEDS_MCU),
    pytest.param(Mcu.HOST, marks=pytest.mark.skipif(find(Mcu.HOST) is None, reason="no gcc")),
]


def printed_graph(name: str, folder: Path) -> PrintedC:
    return printed_activity(folder)[0] if name == "activity" else printed_scenario(name)


def objects_of(printed: PrintedC, mcu: Mcu, folder: Path, *defines: str) -> list[Path]:
    """Compile a graph as freestanding code, our files with all warnings as errors."""
    printed.write(folder)
    models = {m.entry for n in printed.graph.nodes for m in (n.model, n.variant_model) if m}
    objects: list[Path] = []
    for is_model in (False, True):
        sources = [
            folder / name
            for name in printed.files
            if name.endswith(".c") and (name.removesuffix(".c") in models) == is_model
        ]
        objects += compile_objects(
            require(mcu),
            sources,
            folder / "objects",
            strict=not is_model,
            include=[folder],
            defines=defines,
            freestanding=True,
        )
    return objects


def allocators_of(objects: list[Path], mcu: Mcu) -> list[str]:
    done = subprocess.run(
        [nm_of(mcu), *map(str, objects)], capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if ALLOCATORS.search(line)]


@pytest.mark.parametrize("mcu", MCUS)
@pytest.mark.parametrize("specialise", [0, 1])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_freestanding_code_that_allocates_nothing(
    name: str, specialise: int, mcu: Mcu, tmp_path: Path
) -> None:
    printed = printed_graph(name, tmp_path)
    objects = objects_of(printed, mcu, tmp_path / "c", f"LIMEN_SPECIALISE={specialise}")
    assert len(objects) == (2 if name == "activity" else 1)
    assert allocators_of(objects, mcu) == []


@pytest.mark.parametrize("mcu", MCUS)
@pytest.mark.parametrize("name", GRAPHS)
def test_the_stack_of_every_function_is_known(name: str, mcu: Mcu, tmp_path: Path) -> None:
    usages = [
        path.with_suffix(".su")
        for path in objects_of(printed_graph(name, tmp_path), mcu, tmp_path / "c")
    ]
    kinds = {line.split("\t")[2] for usage in usages for line in usage.read_text().splitlines()}
    assert kinds == {"static"}


@NEEDS_MCU
@pytest.mark.parametrize("name", GRAPHS)
def test_a_whole_firmware_allocates_nothing_and_its_worst_stack_is_known(
    name: str, tmp_path: Path
) -> None:
    printed = printed_graph(name, tmp_path)
    bill = measure(printed, require(Mcu.CORTEX_M4), tmp_path / "c")
    assert allocators_of(list((tmp_path / "c").glob("*.elf")), Mcu.CORTEX_M4) == []
    assert bill.stack is not None
    print(f"{name}: worst stack {bill.stack}")
    assert bill.stack.size_bytes == sum(frame.size_bytes for frame in bill.stack.chain)
    assert bill.stack.chain[0].function.startswith(f"{printed.graph.name}_")


@pytest.mark.parametrize("mcu", MCUS)
def test_the_gates_see_an_allocator_a_dynamic_stack_and_a_warning(mcu: Mcu, tmp_path: Path) -> None:
    printed = printed_scenario(SCENARIOS[0])
    allocates = broken(
        printed, "free(malloc(g->run.steps));", before="void *malloc(size_t n);\nvoid free(void *);"
    )
    found = allocators_of(objects_of(allocates, mcu, tmp_path / "allocates"), mcu)
    assert {line.split()[-1] for line in found} == {"malloc", "free"}
    grows = broken(printed, "*(volatile char *)__builtin_alloca(g->run.steps + 1u) = 1;")
    usages = [path.with_suffix(".su") for path in objects_of(grows, mcu, tmp_path / "grows")]
    name = printed.graph.name
    assert dynamic_frames(usages) == (f"{name}_init ({name}.c)",)
    narrows = broken(printed, "g->run.last = g->run.steps;")
    with pytest.raises(LimenError, match=f"{name}.c was not built.*\n.*conversion"):
        objects_of(narrows, mcu, tmp_path / "narrows")
