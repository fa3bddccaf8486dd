"""Make a graph of the tables of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from limen.errors import Code, LimenError
from limen.graph._builder import Graph
from limen.graph._components import make_component
from limen.graph._edge_policies import edge_policy
from limen.graph._node_policies import node_policy
from limen.graph._problems import Problem, refuse
from limen.graph._read import read_tables
from limen.graph._spec import TARGETS
from limen.graph._verify import SCHEDULERS
from limen.node import Node
from limen.types import nearest

FORMAT_VERSION = 1
_TOP_KEYS = ("edges", "limen", "name", "nodes", "runtime")
_EDGE_KEYS = ("chain", "from", "initial", "policy", "to")


@dataclass(slots=True)
class LoadedGraph:
    """A graph read from a file, with what was wrong in it.

    Attributes:
        graph: What could be made.
        problems: What could not, each with its key.
        broken: Names of nodes that could not be made.
        unread: ``"nodes"`` or ``"edges"``, where some could not be read at all.
    """

    graph: Graph
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)


def load_graph(path: Path, *, allow_import: bool = False) -> LoadedGraph:
    """Read a graph file; relative paths in it start at its folder.

    Args:
        path: The file: TOML, or the same tables as JSON or YAML where its name ends in ``.json``,
            ``.yaml`` or ``.yml``.
        allow_import: Whether a node's type may name a module (``"package.module:attribute"``).
            Without it a file cannot make anything be imported that is not installed as a component.

    Raises:
        GraphError: The file cannot be read, or is of an unknown format version.
    """
    return load_document(read_tables(path), path, allow_import=allow_import)


def load_document(
    document: dict[str, object], path: Path, *, allow_import: bool = False
) -> LoadedGraph:
    """Read a graph from the tables of a file; called by ``load_graph``, or with any tables.

    Args:
        document: What the file holds.
        path: The file: names the graph, and relative paths start at its folder.
        allow_import: As in ``load_graph``.

    Raises:
        GraphError: The format version is unknown.
    """
    version = document.get("limen")
    if version != FORMAT_VERSION or type(version) is not int:
        problem = Problem(
            Code.UNKNOWN_FORMAT_VERSION,
            "limen",
            "the key is missing" if version is None else f"unknown format version {version!r}",
            f"begin the file with limen = {FORMAT_VERSION}"
            if version is None
            else f"this version of Limen reads limen = {FORMAT_VERSION}",
        )
        raise refuse(path.name, [problem])
    loader = _Loader(document, path, allow_import)
    loader.run()
    return loader.loaded


class _Loader:
    def __init__(self, document: dict[str, object], path: Path, allow_import: bool) -> None:
        self.document = document
        self.folder = path.parent
        self.allow_import = allow_import
        name = document.get("name", path.stem)
        self.loaded = LoadedGraph(Graph(name if isinstance(name, str) else path.stem))

    def run(self) -> None:
        if not isinstance(self.document.get("name", ""), str):
            self._report(
                Code.INVALID_VALUE,
                "name",
                f"is {self.document['name']!r}, no text",
                'write name = "…"',
            )
        self._keys("", self.document, _TOP_KEYS)
        self._runtime()
        nodes = self._table("nodes")
        for name, table in nodes.items():
            self._node(name, table)
        self._edges()

    def _report(self, code: Code, place: str, message: str, remedy: str = "") -> None:
        self.loaded.problems.append(Problem(code, place, message, remedy))

    def _keys(self, place: str, table: dict[str, object], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                where = f"{place}.{key}" if place else key
                self._report(Code.UNKNOWN_KEY, where, f"unknown key {key!r}", nearest(key, known))

    def _table(self, key: str) -> dict[str, object]:
        value = self.document.get(key, {})
        if isinstance(value, dict):
            return value
        example = "[nodes.camera]" if key == "nodes" else f"[{key}]"
        self._report(Code.INVALID_VALUE, key, "is no table", f"write {example}")
        self.loaded.unread.add(key)
        return {}

    def _runtime(self) -> None:
        table = self._table("runtime")
        self._keys("runtime", table, ("clock_offsets", "scheduler", "target"))
        self._clock_offsets(table.get("clock_offsets", {}))
        scheduler = table.get("scheduler", "round_robin")
        if isinstance(scheduler, str) and scheduler in SCHEDULERS:
            self.loaded.graph.scheduler = scheduler
        else:
            self._report(
                Code.INVALID_VALUE,
                "runtime.scheduler",
                f"unknown scheduler {scheduler!r}",
                nearest(str(scheduler), SCHEDULERS),
            )
        target = table.get("target")
        if target is None or (isinstance(target, str) and target in TARGETS):
            self.loaded.graph.target = target
        else:
            self._report(
                Code.INVALID_VALUE,
                "runtime.target",
                f"unknown target {target!r}",
                nearest(str(target), TARGETS),
            )

    def _clock_offsets(self, table: object) -> None:
        place = "runtime.clock_offsets"
        if not isinstance(table, dict):
            self._report(Code.INVALID_VALUE, place, f"is {table!r}", 'write { 1 = "5ms" }')
            return
        for key, value in table.items():
            try:
                self.loaded.graph.set_clock_offset(int(key) if key.isdecimal() else key, value)
            except LimenError as error:
                self.loaded.problems.append(Problem.from_error(f"{place}.{key}", error))

    def _node(self, name: str, table: object) -> None:
        place = f"nodes.{name}"
        if not isinstance(table, dict):
            self._report(
                Code.INVALID_VALUE,
                place,
                f"is {table!r}, no table",
                f'write [{place}] with type = "…"',
            )
            self.loaded.broken.add(name)
            return
        component, problems = make_component(place, table, self.folder, self.allow_import)
        policy, policy_problems = node_policy(f"{place}.policy", table.get("policy", {}))
        self.loaded.problems += problems + policy_problems
        variant = self._variant(f"{place}.variant", table.get("variant"))
        if component is None or (variant is None and "variant" in table):
            self.loaded.broken.add(name)
            return
        try:
            self.loaded.graph.add(name, component, policy, variant=variant)
        except LimenError as error:
            self.loaded.problems.append(Problem.from_error(place, error))
            self.loaded.broken.add(name)

    def _variant(self, place: str, table: object) -> Node | None:
        """Make a node's cheaper form from its table; None where there is none, or none is made."""
        if table is None:
            return None
        if not isinstance(table, dict):
            text, remedy = f"is {table!r}, no table", f'write [{place}] with type = "…"'
            self._report(Code.INVALID_VALUE, place, text, remedy)
            return None
        made, problems = make_component(place, table, self.folder, self.allow_import)
        self.loaded.problems += problems
        if made is None or isinstance(made, Node):
            return made
        text = f"is a {type(made).__qualname__}"
        self._report(Code.BAD_COMPONENT, place, text, "a variant is a node, like what it replaces")
        return None

    def _edges(self) -> None:
        edges = self.document.get("edges", [])
        if not isinstance(edges, list):
            self._report(Code.INVALID_VALUE, "edges", "is no list", "write [[edges]]")
            self.loaded.unread.add("edges")
            return
        for number, table in enumerate(edges):
            self._edge(f"edges[{number}]", table)

    def _edge(self, place: str, table: object) -> None:
        if not isinstance(table, dict):
            self._report(
                Code.INVALID_VALUE,
                place,
                f"is {table!r}, no table",
                'write [[edges]] with from = "a" and to = "b"',
            )
            self.loaded.unread.add("edges")
            return
        self._keys(place, table, _EDGE_KEYS)
        policy, problems = edge_policy(f"{place}.policy", table.get("policy", {}))
        self.loaded.problems += problems
        names = table["chain"] if "chain" in table else [table.get("from"), table.get("to")]
        both = "chain" in table and ("from" in table or "to" in table)
        if (
            both
            or not isinstance(names, list)
            or len(names) < 2
            or not all(isinstance(name, str) for name in names)
        ):
            self._report(
                Code.INVALID_VALUE,
                place,
                "does not say what it connects",
                'write from = "a" and to = "b", or chain = ["a", "b", "c"]',
            )
            self.loaded.unread.add("edges")
            return
        initial = table.get("initial", [])
        if not isinstance(initial, list) or (initial and len(names) > 2):
            self._report(
                Code.INVALID_VALUE,
                f"{place}.initial",
                f"is {initial!r}" if len(names) == 2 else "stands in a chain",
                "give a list of payloads, one for each initial token"
                if len(names) == 2
                else "write the feedback edge as from = …, to = …",
            )
            initial = []
        if len(names) == 2:
            self.loaded.graph.connect(names[0], names[1], policy, initial=initial)
        else:
            self.loaded.graph.chain(*names, policy=policy)
