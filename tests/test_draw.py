"""Drawings show the graph, and hostile text stays text in every dialect."""

from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from limen.cli import main
from limen.graph import (
    EdgeSpec,
    Endpoint,
    GraphSpec,
    NodeSpec,
    VerifiedGraph,
    to_dot,
    to_mermaid,
    to_svg,
)
from limen.node import Node, NodeKind, NodePorts, Port, StepContext, StepResult
from limen.policy import EdgePolicy, NodePolicy
from limen.types import (
    DataType,
    NodeIndex,
    ObjectSpec,
    PayloadSpec,
    PortId,
    PortIndex,
    TensorSpec,
)

SAMPLE = TensorSpec(DataType.F32, (6,))


class DrawnNode(Node):
    """Only has a kind and names of ports; it is never stepped."""

    def __init__(self, kind: str, ports: NodePorts) -> None:
        self.kind = NodeKind(kind)
        self.ports = ports

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.ports.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.ports.outputs)

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        return self.ports

    def step(self, ctx: StepContext) -> StepResult:
        raise NotImplementedError


class DrawnGraph:
    """Builds a VerifiedGraph by hand; nothing is verified."""

    def __init__(self, name: str = "drawn") -> None:
        self.name = name
        self.nodes: list[NodeSpec] = []
        self.ports: list[NodePorts] = []
        self.edges: list[EdgeSpec] = []
        self.links: list[tuple[PortId, PortId]] = []

    def add(
        self,
        name: str,
        kind: str = "process",
        inputs: Sequence[str] = ("in",),
        outputs: Sequence[str] = ("out",),
        *,
        spec: PayloadSpec = SAMPLE,
        policy: NodePolicy | None = None,
    ) -> DrawnGraph:
        inputs = () if kind == "source" else inputs
        outputs = () if kind == "sink" else outputs
        ports = NodePorts(
            tuple(Port(port, spec) for port in inputs), tuple(Port(port, spec) for port in outputs)
        )
        self.nodes.append(NodeSpec(name, DrawnNode(kind, ports), policy or NodePolicy()))
        self.ports.append(ports)
        return self

    def connect(
        self,
        start: str,
        end: str,
        policy: EdgePolicy | None = None,
        initial: tuple[object, ...] = (),
    ) -> DrawnGraph:
        producer, consumer = Endpoint.parse(start), Endpoint.parse(end)
        self.edges.append(EdgeSpec(producer, consumer, policy or EdgePolicy(), initial))
        self.links.append((self._port(producer, "outputs"), self._port(consumer, "inputs")))
        return self

    def chain(self, *names: str) -> DrawnGraph:
        for start, end in itertools.pairwise(names):
            self.connect(start, end)
        return self

    def _port(self, end: Endpoint, side: str) -> PortId:
        index = [node.name for node in self.nodes].index(end.node)
        ports = self.ports[index].outputs if side == "outputs" else self.ports[index].inputs
        names = [port.name for port in ports]
        place = 0 if end.port is None else names.index(end.port)
        return PortId(NodeIndex(index), PortIndex(place))

    def verified(self) -> VerifiedGraph:
        return VerifiedGraph(
            GraphSpec(self.name, tuple(self.nodes), tuple(self.edges)),
            tuple(self.ports),
            tuple(self.links),
            initial=tuple(edge.initial for edge in self.edges),
            defaults=(None,) * len(self.nodes),
            failsafes=(None,) * len(self.nodes),
            warnings=(),
        )


HOSTILE = [
    '"];evil [label="',
    "</svg><script>alert(1)</script>",
    "]]>",
    "a\\\\n\\",
    "line\nbreak",
    "%%{init: {}}%%",
    "click n0 href",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "nul\x00",
    "&amp;#34;",
    "---",
]
_DOT_LINE = re.compile(
    r"digraph limen \{|\}|  (graph|node|edge) \[[^\]]*\];"
    r'|  n\d+( -> n\d+)? \[(\w+=("([^"\\]|\\\\|\\n)*"|\w+)(, )?)+\];'
)
DRAWERS = [to_mermaid, to_dot, to_svg]


def rich(name: str = "rich", word: str = "Box") -> VerifiedGraph:
    kind = ObjectSpec(type(word.replace("\x00", "0") if "\x00" in word else word, (), {}))
    graph = DrawnGraph(name).add("cam", "source").add("imu", "source", spec=kind)
    graph.add("split", "split", outputs=("left", "right")).add("model", "model")
    graph.add("join", "join", inputs=("a", "b", "state"), outputs=("out", "next"))
    graph.add("sink", "sink")
    graph.connect("cam", "split").connect("split.left", "model").connect("model", "join.a")
    graph.connect("imu", "join.b", EdgePolicy.latch_latest())
    graph.connect("split.right", "sink", EdgePolicy.drop_oldest(8)).connect("join.out", "sink")
    graph.connect("join.next", "join.state", EdgePolicy.block(2), initial=(1,))
    return graph.verified()


def svg_text(text: str) -> str:
    return " ".join(t for t in ElementTree.fromstring(text).itertext())


@pytest.mark.parametrize("drawer", DRAWERS)
def test_equal_graphs_give_equal_bytes_of_ascii(drawer: object) -> None:
    assert drawer(rich()) == drawer(rich())
    assert drawer(rich()).isascii()


@pytest.mark.parametrize("drawer", DRAWERS)
def test_a_drawing_names_nodes_and_what_edges_hold(drawer: object) -> None:
    text = svg_text(drawer(rich())) if drawer is to_svg else drawer(rich())
    text = re.sub(r"&?#(\d+);", lambda m: chr(int(m[1])), text)
    for word in ("cam", "split", "model", "join", "latch", "drop_oldest 8", "block 64", "f32[6]"):
        assert word in text, word


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_breaks_no_svg_and_brings_no_markup(text: str) -> None:
    drawn = to_svg(rich(text, text))
    root = ElementTree.fromstring(drawn)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    plain = {e.tag.rpartition("}")[2] for e in ElementTree.fromstring(to_svg(rich())).iter()}
    assert tags == plain
    assert all(c.isprintable() or c == "\n" for c in drawn)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_within_its_string_in_graphviz(text: str) -> None:
    lines = to_dot(rich(text, text)).splitlines()
    assert len(lines) == len(to_dot(rich()).splitlines())
    for line in lines[4:]:
        assert _DOT_LINE.fullmatch(line), line


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_numbers_in_mermaid(text: str) -> None:
    usual, drawn = to_mermaid(rich()).splitlines(), to_mermaid(rich(text, text)).splitlines()
    assert len(drawn) == len(usual)
    assert [line.count('"') for line in drawn] == [line.count('"') for line in usual]
    assert "%%" not in "".join(drawn)
    assert "script>" not in "".join(drawn)


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> object:
    monkeypatch.setattr(sys, "argv", ["limen", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


GOOD = Path(__file__).parent / "graphs" / "good" / "fan_out.toml"


@pytest.mark.parametrize("form", ["mermaid", "dot", "svg"])
def test_the_command_draws_to_stdout_or_to_the_file_that_is_named(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not command(monkeypatch, "draw", GOOD, "--format", form)
    printed = capsys.readouterr().out
    wanted = tmp_path / "drawing"
    assert not command(monkeypatch, "draw", GOOD, "--format", form, "--output", wanted)
    assert wanted.read_text("utf-8") == printed
    assert list(tmp_path.iterdir()) == [wanted]


@pytest.mark.parametrize("place", ["", "gone/drawing.svg"])
def test_a_drawing_that_cannot_be_written_is_said_without_a_traceback(
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, "draw", GOOD, "--output", tmp_path / place) == 1
    err = capsys.readouterr().err
    assert "cannot be written" in err
    assert "Traceback" not in err
