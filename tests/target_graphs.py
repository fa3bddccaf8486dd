"""A graph file with its module, and the command line run on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIMEN = [sys.executable, "-W", "error", "-m", "limen"]
MODULE = """
import limen
from limen.node import Produced, SourceSignal
from limen.types import ObjectSpec


class Numbers(limen.Source):
    pausable = True

    def __init__(self, count: int = 40) -> None:
        self.count, self.made = count, 0

    def spec(self):
        return ObjectSpec(int)

    def try_produce(self, now):
        if self.made == self.count:
            return SourceSignal.END_OF_STREAM
        self.made += 1
        if self.made == 12:
            raise RuntimeError("a bad moment")
        return Produced(self.made)


@limen.node
def picky(x: int) -> int:
    if x % 7 == 3:
        raise ValueError(f"{x} is not to my taste")
    return x


class Lines(limen.Sink):
    def consume(self, message, now):
        print(message.payload, flush=message.payload == 1)


class Nowhere(limen.Sink):
    def consume(self, message, now):
        if message.payload == 1:
            print("running", flush=True)
"""
GRAPH = """
limen = 1
name = "numbers"

[runtime]

[nodes.source]
type = "mine:Numbers"
policy = { sim_cost = "1ms" }

[nodes.picky]
type = "mine:picky"
policy = { sim_cost = "2ms" }

[nodes.lines]
type = "mine:Lines"

[[edges]]
chain = ["source", "picky", "lines"]
policy = { max_items = 3, admission = "drop_oldest" }
"""


def write_graph(place: Path) -> Path:
    """Write the graph and its module; the graph's file."""
    (place / "mine.py").write_text(MODULE)
    path = place / "graph.toml"
    path.write_text(GRAPH)
    return path


def line_of(text: str) -> int:
    return MODULE.splitlines().index(next(x for x in MODULE.splitlines() if text in x)) + 1


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LIMEN, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, **environment},
    )


def run_file(path: Path, *more: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return command("run", path, "--allow-import", *more, **environment)


def assert_refused(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """Say in one line what is wrong, where, and what would be right; start nothing."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("limen: ")
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr
