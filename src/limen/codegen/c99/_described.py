"""What a printed graph is to whom builds a firmware of it: hooks, models, and whose memory is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limen.codegen.c99._bill import Member, Owner
from limen.codegen.c99._emit import PrintedC
from limen.codegen.c99._facts import GraphC
from limen.codegen.c99._forms import NodeC
from limen.codegen.c99._layout import ARM32, Abi
from limen.codegen.c99._state import state_layout, state_members
from limen.types import TensorSpec


@dataclass(frozen=True, slots=True)
class Hook:
    """A source or a sink, which the application supplies.

    Attributes:
        name: Of the node.
        type: C type of an element of its payload.
        size_bytes: Of a whole payload.
        suffix: What the function of one input of several ends in.
        resumes: Whether a source is told when it may go on.
        restarts: Whether it has a function that restarts it.
    """

    name: str
    type: str
    size_bytes: int
    suffix: str = ""
    resumes: bool = False
    restarts: bool = False

    @property
    def label(self) -> str:
        """What reports call it: the node, or of several inputs ``node.port``."""
        return f"{self.name}.{self.suffix[1:]}" if self.suffix else self.name


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The C file of a model.

    Attributes:
        node: The node that it is the model of.
        file: Its name.
        entry: The function that the graph calls.
        arguments: How many pointers that function takes, the arena included; it returns nothing.
    """

    node: str
    file: str
    entry: str
    arguments: int


@dataclass(frozen=True, slots=True)
class PrintedGraph:
    """A graph that lies as C99 in a folder.

    Attributes:
        name: Its name; functions and struct begin with it.
        folder: Where its files lie.
        files: Its C files, those of models left out.
        models: The files of its models.
        include: Where the support header lies.
        sources: In the order of the graph.
        sinks: Likewise.
        symbols: By the beginning of a symbol's name, kind and name of whom it is charged to.
        members: Whose the members of its state are.
        tables: By the symbol of a table of its constants, whose each row is.
        edges: The names of its edges, by index.
        nodes: The names of its nodes, by index.
        counts: Whether it counts what happens at edges and nodes.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    models: tuple[ModelFile, ...]
    include: tuple[Path, ...]
    sources: tuple[Hook, ...]
    sinks: tuple[Hook, ...]
    symbols: Mapping[str, tuple[str, str]]
    members: Sequence[Member]
    tables: Mapping[str, Sequence[Owner]]
    edges: tuple[str, ...]
    nodes: tuple[str, ...]
    counts: bool

    @property
    def state(self) -> str:
        """The symbol of the state in what is built here."""
        return "harness_graph"

    @property
    def entries(self) -> tuple[str, ...]:
        """The functions that an application calls."""
        return tuple(f"{self.name}_{what}" for what in ("init", "start", "step", "stop"))

    def is_hook(self, function: str) -> bool:
        """Whether a function is the application's."""
        kinds = ("read", "due", "consume", "resume", "restart")
        hooks = tuple(
            f"{self.name}_{kind}_{hook.name}{hook.suffix}"
            for hook in (*self.sources, *self.sinks)
            for kind in kinds
        )
        return function in (*hooks, f"{self.name}_now", f"{self.name}_charge", "limen_log")


def describe(printed: PrintedC, folder: Path, abi: Abi = ARM32) -> PrintedGraph:
    """Describe a graph that was printed and written to a folder.

    Args:
        printed: The graph.
        folder: Where its files lie.
        abi: What it is compiled for.
    """
    graph = printed.graph
    edges = tuple(edge.plan.name for edge in graph.edges)
    nodes = tuple(node.plan.name for node in graph.nodes)
    symbols = {f"{graph.name}_{name}_": ("node", name) for name in nodes}
    symbols |= {f"{graph.name}_initial_{i}": ("edge", name) for i, name in enumerate(edges)}
    models = tuple(model for node in graph.nodes for model in _models(node))
    symbols |= {model.entry: ("model", model.node) for model in models}
    return PrintedGraph(
        name=graph.name,
        folder=folder,
        files=(f"{graph.name}.c",),
        models=models,
        include=(),
        sources=tuple(hook for node in graph.nodes for hook in _sources(node)),
        sinks=tuple(hook for node in graph.nodes for hook in _sinks(node)),
        symbols=symbols,
        members=tuple(_members(graph, abi)),
        tables={
            "limen_nodes": tuple(Owner("node", name) for name in nodes),
            "limen_edges": tuple(Owner("edge", name) for name in edges),
            "limen_ports": tuple(
                Owner("edge", _slots_of(graph, index)) for index in range(len(graph.ports))
            ),
        },
        edges=edges,
        nodes=nodes,
        counts=graph.features["COUNTS"],
    )


def _models(node: NodeC) -> Iterator[ModelFile]:
    for model in (node.model, node.variant_model):
        if model is not None:
            arguments = 1 + len(model.inputs) + len(model.outputs)
            yield ModelFile(node.plan.name, f"{model.entry}.c", model.entry, arguments)


def _sources(node: NodeC) -> Iterator[Hook]:
    if node.is_hook and node.shape == "SOURCE":
        spec = node.plan.outputs[0].spec
        if isinstance(spec, TensorSpec):
            yield Hook(
                node.plan.name,
                spec.dtype.c_type,
                spec.size_bytes,
                resumes=node.resumes,
                restarts=node.plan.error_action == "restart",
            )


def _sinks(node: NodeC) -> Iterator[Hook]:
    if not node.is_hook or node.shape == "SOURCE":
        return
    restarts = node.plan.error_action == "restart"
    for port in node.plan.inputs:
        if port.edge is not None and isinstance(port.spec, TensorSpec):
            name = node.plan.name
            suffix = f"_{port.name}" if len(node.plan.inputs) > 1 else ""
            kind, size = port.spec.dtype.c_type, port.spec.size_bytes
            yield Hook(name, kind, size, suffix=suffix, restarts=restarts)
            restarts = False


def _members(graph: GraphC, abi: Abi) -> Iterator[Member]:
    """Yield whose the state is; pools are divided among those that have a share of them."""
    places = state_layout(graph, abi).places
    edges = [edge.plan.name for edge in graph.edges]
    slots = [(_slots_of(graph, index), port.depth) for index, port in enumerate(graph.ports)]
    staged = [(edge.plan.name, edge.stage_room) for edge in graph.edges]
    entries = [
        (edge.plan.name, edge.room * (2 if edge.lanes else 1) + edge.hold_room)
        for edge in graph.edges
    ]
    pools = {
        "nodes": ("node", [(node.plan.name, 1) for node in graph.nodes]),
        "edges": ("edge", [(name, 1) for name in edges]),
        "ports": ("edge", [(name, 1) for name, _ in slots]),
        "headers": ("edge", slots),
        "shares": ("edge", slots),
        "entries": ("edge", entries),
        "staged": ("edge", staged),
    }
    payloads = {port.name: _slots_of(graph, index) for index, port in enumerate(graph.ports)}
    for place, member in zip(places, state_members(graph), strict=True):
        name = place.member.name
        if name in pools:
            kind, shares = pools[name]
            each = place.size_bytes // max(place.member.count or 1, 1)
            for owner, count in shares:
                yield Member(name, kind, owner, count * each)
        elif name in payloads and member.kind == "edge":
            yield Member(name, "edge", payloads[name], place.size_bytes)
        elif member.kind != "framework":
            yield Member(name, member.kind, member.owner, place.size_bytes)


def _slots_of(graph: GraphC, index: int) -> str:
    """Name whom the slots of an output are charged to: its edge, or the output of several."""
    port = graph.ports[index]
    if len(port.edges) == 1:
        return graph.edges[port.edges[0]].plan.name
    node = graph.nodes[port.node].plan
    return f"{node.name}.{node.outputs[graph.ports_of(port.node).index(port)].name}"
