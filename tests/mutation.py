"""Mutation testing: changes one line of Limen after the other, and asks whether a test fails.

``make mutation`` runs mutmut over the packages below in a copy of the tree under ``build/``. It
fails where too few mutants are killed, where one survives that ``mutation_survivors.txt`` does not
excuse, and where that file excuses one that is killed or gone.

    make mutation                       all packages
    make mutation ARGS=edge             one package, or several
    make mutation ARGS="edge --again"   only what the last run left, and modules changed since
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "mutation"
SURVIVORS = Path(__file__).with_name("mutation_survivors.txt")
PACKAGES = ("edge", "memory", "policy")
LEAST_SCORE = 90.0
# What tests read beside src/ and tests/.
BESIDE = ("examples", "docs")
KILLED = ("killed", "timeout", "segfault")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant as mutmut numbers it, by the name that unrelated changes leave alone."""

    key: str
    package: str
    name: str
    status: str

    @property
    def killed(self) -> bool:
        return self.status in KILLED


class _Properties(cst.CSTTransformer):
    """Writes ``@property def x`` as ``def x; x = property(x)``: mutmut skips what is decorated."""

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        if m.matches(updated_node, m.FunctionDef(decorators=[m.Decorator(m.Name("property"))])):
            name = updated_node.name.value
            return cst.FlattenSentinel(
                [
                    updated_node.with_changes(decorators=[]),
                    cst.parse_statement(f"{name} = property({name})"),
                ]
            )
        return updated_node


def prepare(*, fresh: bool) -> list[str]:
    """Copy what has changed to where it is mutated; return the modules that are mutated anew."""
    if fresh:
        shutil.rmtree(WORK, ignore_errors=True)
    # Which tests touch which functions is measured again, as tests may have changed.
    (WORK / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    changed: list[str] = []
    for folder in ("tests", *BESIDE):
        shutil.rmtree(WORK / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, WORK / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", WORK)
    for path in (ROOT / "src").rglob("*"):
        copy = WORK / path.relative_to(ROOT)
        if path.is_dir() or "__pycache__" in path.parts:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        code = path.read_bytes()
        mutated = path.suffix == ".py" and path.parent.name in PACKAGES
        if mutated:
            code = cst.parse_module(code).visit(_Properties()).code.encode()
        if not copy.exists() or copy.read_bytes() != code:
            copy.write_bytes(code)
            # mutmut copies what is missing, and mutates what is newer than its copy.
            (WORK / "mutants" / path.relative_to(ROOT)).unlink(missing_ok=True)
            if mutated:
                changed.append(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    return changed


def run(names: Iterable[str], children: int) -> None:
    """Run mutmut on the mutants that match the names."""
    command = [Path(sys.executable).with_name("mutmut"), "run", "--max-children", str(children)]
    log = WORK / "mutmut.log"
    with log.open("wb") as out:
        done = subprocess.run([*command, *names], cwd=WORK, stdout=out, stderr=out, check=False)
    if done.returncode:
        text = log.read_text(errors="replace").replace("\r", "\n")
        sys.exit(
            f"{text[-2000:]}\nmutmut failed; its output is in {log.relative_to(ROOT)}. It asks for"
            " tests by name: one with a backslash or an address in it is not found again."
        )


def read_mutants(packages: Iterable[str]) -> Iterator[Mutant]:
    """Yield what mutmut knows of the packages' mutants."""
    here = Path.cwd()
    os.chdir(WORK)
    try:
        for package in packages:
            seen: Counter[str] = Counter()
            for meta in sorted(Path("mutants/src/limen", package).glob("*.meta")):
                path = meta.relative_to("mutants").with_suffix("")
                for key, code in json.loads(meta.read_text())["exit_code_by_key"].items():
                    name = f"{_place(key)}: {_change(get_diff_for_mutant(key, path=path))}"
                    seen[name] += 1
                    nth = f" ({seen[name]})" if seen[name] > 1 else ""
                    yield Mutant(key, package, name + nth, status_by_exit_code[code])
    finally:
        os.chdir(here)


def _place(key: str) -> str:
    """Turn ``limen.edge._ring.xǁRingǁitem__mutmut_3`` into ``limen.edge._ring.Ring.item``."""
    module, _, name = key.rpartition(".")
    name = name.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ")
    return f"{module}.{name.replace('ǁ', '.')}"


def _change(diff: str) -> str:
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    before, after = (
        re.sub(r"\s+", " ", " ".join(line[1:].strip() for line in lines if line[0] == sign))
        for sign in "-+"
    )
    return f"{before} => {after or 'nothing'}"


def read_survivors(packages: Iterable[str]) -> dict[str, str]:
    """Return the excused mutants of the packages, each with its reason."""
    excused: dict[str, str] = {}
    reason = ""
    for number, line in enumerate(SURVIVORS.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            reason = line
        elif not reason or line.strip() in excused:
            sys.exit(f"{SURVIVORS.name}:{number}: a mutant without a reason, or named twice")
        else:
            excused[line.strip()] = reason
    wanted = tuple(f"limen.{package}." for package in packages)
    return {name: why for name, why in excused.items() if name.startswith(wanted)}


def report(mutants: list[Mutant], packages: Iterable[str]) -> bool:
    """Print the scores and what is wrong; return whether all is well."""
    print(f"{'package':10}{'mutants':>9}{'killed':>8}{'timeout':>9}{'survived':>10}", end="")
    print(f"{'no tests':>10}{'score':>9}")
    well = True
    for package in packages:
        counts = Counter(mutant.status for mutant in mutants if mutant.package == package)
        killed, total = sum(counts[status] for status in KILLED), counts.total()
        score = 100 * killed / total if total else 0.0
        unknown = total - killed - counts["survived"] - counts["no tests"]
        print(
            f"{package:10}{total:9}{killed - counts['timeout']:8}{counts['timeout']:9}"
            f"{counts['survived']:10}{counts['no tests']:10}{score:8.1f}%"
            + (f"  {unknown} without a verdict" if unknown else "")
        )
        well = well and score >= LEAST_SCORE and not unknown
    excused = read_survivors(packages)
    left = {mutant.name: mutant for mutant in mutants if not mutant.killed}
    new = [mutant for name, mutant in left.items() if name not in excused]
    stale = sorted(excused.keys() - left.keys())
    if new:
        print(f"\n{len(new)} that are not killed, and not in {SURVIVORS.name}:")
        for mutant in new:
            print(
                f"    {mutant.name}"
                + ("" if mutant.status == "survived" else f" [{mutant.status}]")
            )
    if stale:
        print(f"\n{len(stale)} in {SURVIVORS.name} that are killed, or gone:")
        for name in stale:
            print(f"    {name}")
    return well and not new and not stale


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutation testing of Limen.")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="default: all")
    parser.add_argument("--again", action="store_true", help="only what the last run left")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, metavar="N")
    options = parser.parse_args()
    packages = sorted(set(options.packages or PACKAGES))
    if not set(packages) <= set(PACKAGES):
        parser.error(f"packages are {', '.join(PACKAGES)}")
    began = time.monotonic()
    names = [f"limen.{package}.*" for package in packages]
    if options.again:
        left = [] if not WORK.exists() else [it for it in read_mutants(packages) if not it.killed]
        changed = [name for name in prepare(fresh=False) if name.split(".")[1] in packages]
        names = [f"{module}.*" for module in changed]
        names += [it.key for it in left if it.key.rpartition(".")[0] not in changed]
    else:
        prepare(fresh=True)
    if names:
        run(names, options.children)
    well = report(list(read_mutants(packages)), packages)
    print(f"\n{time.monotonic() - began:.0f} s")
    sys.exit(not well)


if __name__ == "__main__":
    main()
