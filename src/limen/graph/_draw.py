"""Drawings of a graph: what they show, and the Mermaid and Graphviz dialects.

A drawing is plain ASCII and depends on nothing but the graph: equal graphs give equal bytes. Text
from outside passes ``printable`` and then a dialect's escape, which spells every character outside
a short list of harmless ones as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from limen.graph._constraints import activation_of
from limen.graph._spec import EdgeSpec, NodeSpec
from limen.graph._verify import VerifiedGraph
from limen.node import NodePorts, Port
from limen.policy import Activation, Periodic, Trigger
from limen.types import describe_spec, printable


@dataclass(frozen=True, slots=True)
class Box:
    """A node as drawn.

    Attributes:
        name: The node's name.
        kind: What it is to its graph.
        note: Its kind in words, and which inputs a step needs where it has several.
        rank: Its column: one more than the last of those that feed it.
    """

    name: str
    kind: str
    note: str
    rank: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge as drawn.

    Attributes:
        start: Index of the producer.
        end: Index of the consumer.
        carries: Ports, where a node has several, and the payload's type: a line each.
        keeps: Admission or retention, capacity, lanes, ring and initial tokens: a line each.
        is_feedback: Whether initial tokens wait in it.
    """

    start: int
    end: int
    carries: tuple[str, ...]
    keeps: tuple[str, ...]
    is_feedback: bool


@dataclass(frozen=True, slots=True)
class Sketch:
    """What every drawing of a graph shows; all text is printable, none of it escaped."""

    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def sketch(graph: VerifiedGraph) -> Sketch:
    """Collect the text of a drawing."""
    spec, ports = graph.spec, graph.ports
    arrows = []
    for edge, (producer, consumer) in zip(spec.edges, graph.links, strict=True):
        outputs, inputs = ports[producer.node].outputs, ports[consumer.node].inputs
        carries = _port_names(outputs, producer.port, inputs, consumer.port)
        carries += (printable(describe_spec(outputs[producer.port].spec)),)
        arrows.append(Arrow(producer.node, consumer.node, carries, _keeps(edge), _tokens(edge) > 0))
    ranks = _ranks(len(spec.nodes), arrows)
    boxes = tuple(
        Box(printable(node.name), node.node.kind.value, _note(node, ports[i]), ranks[i])
        for i, node in enumerate(spec.nodes)
    )
    return Sketch(printable(spec.name), boxes, tuple(arrows))


def _ranks(count: int, arrows: list[Arrow]) -> list[int]:
    """Rank nodes by longest path; edges with initial tokens do not count.

    The rounds are bounded, so that this ends for a cycle too.
    """
    edges = [(a.start, a.end) for a in arrows if not a.is_feedback and a.start != a.end]
    ranks = [0] * count
    for _ in range(count):
        for start, end in edges:
            ranks[end] = min(max(ranks[end], ranks[start] + 1), count - 1)
    for node in set(range(count)) - {end for _, end in edges}:
        # A source stands right before what it feeds, so that its edges are short.
        ranks[node] = min((ranks[end] - 1 for start, end in edges if start == node), default=0)
    return ranks


def _note(node: NodeSpec, ports: NodePorts) -> str:
    if len(ports.inputs) < 2:
        own = activation_of(node)
        kind = node.node.kind.value
        return kind if isinstance(own, Activation) else f"{kind}, {_activation(node)}"
    return f"{node.node.kind.value}, {_activation(node)} of {len(ports.inputs)} inputs"


def _activation(node: NodeSpec) -> str:
    match activation_of(node):
        case Activation() as rule:
            return rule.value
        case Trigger(port=port):
            return f"trigger {printable(port)}"
        case Periodic(period=period):
            return f"every {printable(period)}"
        case unreachable:
            assert_never(unreachable)


def _tokens(edge: EdgeSpec) -> int:
    return len(edge.initial)


def _port_names(
    outputs: tuple[Port, ...], output: int, inputs: tuple[Port, ...], into: int
) -> tuple[str, ...]:
    left = printable(outputs[output].name) if len(outputs) > 1 else ""
    right = printable(inputs[into].name) if len(inputs) > 1 else ""
    return (f"{left} \u2192 {right}".strip(),) if left or right else ()


def _keeps(edge: EdgeSpec) -> tuple[str, ...]:
    policy, tokens = edge.policy, _tokens(edge)
    # The kind of a mailbox and of a latch says that they hold one.
    bounded = policy.retention.value == "fifo"
    queue = f"{policy.kind} {policy.caps.max_items}" if bounded else policy.kind
    if policy.lanes != 1:
        queue += f", {policy.lanes} lanes"
    if policy.ring is not None:
        queue += f", ring {printable(policy.ring)}"
    if not tokens:
        return (queue,)
    return queue, "1 initial token" if tokens == 1 else f"{tokens} initial tokens"


def escaper(harmless: str, spell: Callable[[str], str]) -> Callable[[str], str]:
    """Return the escape of a dialect.

    Args:
        harmless: Pattern of what passes as it is.
        spell: Writes any other character.
    """
    pattern = re.compile(f"({harmless})|(.)", re.ASCII | re.DOTALL)

    def escape(text: str) -> str:
        return pattern.sub(lambda m: m[1] if m[1] is not None else spell(m[0]), text)

    return escape


# Mermaid reads Markdown in labels and takes ``#N;`` for a character: what could begin a link, an
# emphasis, a list, a directive or another entity is a number, and so is space at an end.
_mermaid = escaper(
    r"[A-Za-z0-9,\[\]]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])|(?<=[^ ]) (?=[^ ])",
    lambda c: f"#{ord(c)};",
)
# The title stands in a YAML string, where a number has a fixed count of hexadecimal digits.
_yaml = escaper("[A-Za-z0-9_ ]", lambda c: f"\\U{ord(c):08x}")
# Graphviz reads entities first and backslashes after, so that these are not written as numbers.
_dot = escaper(r"[A-Za-z0-9 _.,:()\[\]]", lambda c: r"\\" if c == "\\" else f"&#{ord(c)};")

_MERMAID_SHAPES: Final = {
    "source": ("([", "])"),
    "model": ("[[", "]]"),
    "split": ("[/", "\\]"),
    "join": ("[\\", "/]"),
    "sink": (">", "]"),
}
_MERMAID_STYLES: Final = {
    "source": "fill:#e8f1fb,stroke:#3b6ea5,color:#1d2733",
    "process": "fill:#f5f7fa,stroke:#66748a,color:#1d2733",
    "model": "fill:#e9f3f1,stroke:#23796b,color:#1d2733",
    "split": "fill:#fdf3e1,stroke:#a06a12,color:#1d2733",
    "join": "fill:#fdf3e1,stroke:#a06a12,color:#1d2733",
    "sink": "fill:#f4ecf8,stroke:#7d4f99,color:#1d2733",
}
_DOT_SHAPES: Final = {
    "source": 'shape=ellipse, fillcolor="#e8f1fb", color="#3b6ea5"',
    "process": 'shape=box, style="rounded,filled", fillcolor="#f5f7fa", color="#66748a"',
    "model": 'shape=component, fillcolor="#e9f3f1", color="#23796b"',
    "split": 'shape=trapezium, fillcolor="#fdf3e1", color="#a06a12"',
    "join": 'shape=invtrapezium, fillcolor="#fdf3e1", color="#a06a12"',
    "sink": 'shape=ellipse, peripheries=2, fillcolor="#f4ecf8", color="#7d4f99"',
}


def to_mermaid(graph: VerifiedGraph) -> str:
    """Draw a graph as a Mermaid flowchart."""
    drawn = sketch(graph)
    lines = ["---", f'title: "{_yaml(drawn.name)}"', "---", "flowchart LR"]
    for index, box in enumerate(drawn.boxes):
        left, right = _MERMAID_SHAPES.get(box.kind, ("[", "]"))
        lines.append(f'  n{index}{left}"{_mermaid(box.name)}<br/>{_mermaid(box.note)}"{right}')
    for arrow in drawn.arrows:
        text = "<br/>".join(_mermaid(line) for line in (*arrow.carries, *arrow.keeps))
        wire = "-.->" if arrow.is_feedback else "-->"
        lines.append(f'  n{arrow.start} {wire}|"{text}"| n{arrow.end}')
    for kind, style in _MERMAID_STYLES.items():
        members = [f"n{i}" for i, box in enumerate(drawn.boxes) if box.kind == kind]
        if members:
            lines += [f"  classDef {kind} {style}", f"  class {','.join(members)} {kind}"]
    return "\n".join(lines) + "\n"


def to_dot(graph: VerifiedGraph) -> str:
    """Draw a graph in the language of Graphviz."""
    drawn = sketch(graph)
    lines = [
        "digraph limen {",
        f'  graph [label="{_dot(drawn.name)}", labelloc=t, rankdir=LR, fontname="sans-serif"];',
        '  node [fontname="sans-serif", style=filled];',
        '  edge [fontname="sans-serif", fontsize=11, color="#66748a"];',
    ]
    for index, box in enumerate(drawn.boxes):
        shape = _DOT_SHAPES.get(box.kind, _DOT_SHAPES["process"])
        lines.append(f'  n{index} [label="{_dot(box.name)}\\n{_dot(box.note)}", {shape}];')
    for arrow in drawn.arrows:
        text = "\\n".join(_dot(line) for line in (*arrow.carries, *arrow.keeps))
        # An edge that goes back takes no part in the ranks, or what it feeds would come first.
        style = ", style=dashed, constraint=false" if arrow.is_feedback else ""
        lines.append(f'  n{arrow.start} -> n{arrow.end} [label="{text}"{style}];')
    return "\n".join((*lines, "}")) + "\n"
