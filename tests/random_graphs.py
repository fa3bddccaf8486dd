"""Random graphs of scripted parts: pure functions of a seed, as tables of a graph file.

A seed gives the same graph to every executor, so that their decision logs can be compared; a graph
that shows a defect is made smaller by ``shrink`` and written down as a scenario by ``toml``.
"""

from __future__ import annotations

import copy
import enum
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import strategies as st

from limen.graph import Graph, load_document
from limen.message import BatchView, Message
from limen.node import Consumed, NodePorts, Port, ProcessResult
from limen.platform import PlatformClock, SimClock
from limen.runtime import RuntimeStopHandle
from limen.testing import ScriptedNode
from limen.types import ObjectSpec, Ticks

Table = dict[str, object]
TICK_RATE_HZ = 1000


class Kind(enum.Enum):
    """What is drawn: all that there is, nodes that do as they declare, or loops that may starve."""

    ANYTHING = "anything"
    DECLARED = "declared"
    LOOPS = "loops"


class Withholding(ScriptedNode):
    """Absorbs messages (batches, if ``window``) before it emits: ``first``, and then ``each``."""

    def __init__(
        self,
        first: int = 1,
        each: int = 1,
        outputs: list[str] | None = None,
        window: bool = False,
        size_bytes: int = 4,
    ) -> None:
        super().__init__(None, outputs, window=window, size_bytes=size_bytes)
        self.first_needs = first
        self.then_needs = each
        self._missing = first

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        super().initialize(clock, ports)
        self._missing = self.first_needs

    def _answer(self) -> ProcessResult:
        self._missing -= 1
        if self._missing:
            return Consumed()
        self._missing = self.then_needs
        return super()._answer()

    def _window(self, batch: BatchView) -> ProcessResult:
        return self._answer()

    def _one(self, message: Message) -> ProcessResult:
        return self._answer()


class Objects(ScriptedNode):
    """Emits Python objects of changing size, so that its slots are on the heap."""

    def resolve(self, inputs: object) -> NodePorts:
        ports = super().resolve(inputs)
        spec = ObjectSpec(bytes)
        return NodePorts(ports.inputs, tuple(Port(p.name, spec) for p in ports.outputs))

    def _emit(self, counts: dict[str, int]) -> ProcessResult:
        self._payload = bytes(1 + 5 * self._calls % 13)
        return super()._emit(counts)


class StoppingClock(SimClock):
    """Asks for a stop when an instant at or behind its mark is sampled."""

    def __init__(self, stop_at: int | None) -> None:
        super().__init__(TICK_RATE_HZ)
        self._stop_at = stop_at
        self.handle: RuntimeStopHandle | None = None

    def now_ticks(self) -> Ticks:
        now = super().now_ticks()
        if self._stop_at is not None and now >= self._stop_at and self.handle is not None:
            self.handle.request_stop()
        return now


@dataclass(frozen=True)
class Drawn:
    """A drawn graph and how it is run.

    Attributes:
        seed: What it was drawn from.
        kind: What was drawn.
        document: The tables of its graph file.
        stop_at_step: Calls of ``step`` before a stop is requested; None for never.
        stop_at_tick: The instant of a stop; None for never.
        drain_ms: How long the stop may drain.
    """

    seed: int
    kind: Kind
    document: Table
    stop_at_step: int | None = None
    stop_at_tick: int | None = None
    drain_ms: int = 10_000

    @property
    def nodes(self) -> dict[str, Table]:
        return self.document["nodes"]

    @property
    def edges(self) -> list[Table]:
        return self.document["edges"]

    @property
    def stops(self) -> bool:
        return self.stop_at_step is not None or self.stop_at_tick is not None

    def graph(self) -> Graph:
        """Make its parts."""
        loaded = load_document(self.document, Path(__file__), allow_import=True)
        assert not loaded.problems, loaded.problems
        return loaded.graph

    def toml(self) -> str:
        """Write it down as a scenario, but for the log that is expected."""
        clock = {"drain_timeout": f"{self.drain_ms}ms"}
        if self.stop_at_tick is not None:
            clock["stop_at_tick"] = self.stop_at_tick
        about = f"seed {self.seed} of {self.kind.value}"
        if self.stop_at_step is not None:
            about += f", a stop requested before call {self.stop_at_step} of step()"
        lines = [f"about = {_value(about)}", 'spec = []\noutcome = ""\nlog = ""']
        lines += ["[clock]", *(f"{k} = {_value(v)}" for k, v in clock.items())]
        lines += ["[graph]", "limen = 1", f"runtime = {_value(self.document['runtime'])}"]
        for name, node in self.nodes.items():
            lines += [f"[graph.nodes.{name}]", *(f"{k} = {_value(v)}" for k, v in node.items())]
        for edge in self.edges:
            lines += ["[[graph.edges]]", *(f"{k} = {_value(v)}" for k, v in edge.items())]
        return "\n".join(lines) + "\n"


def draw_graph(seed: int, kind: Kind = Kind.ANYTHING) -> Drawn:
    """Draw a graph. Pure: equal seeds give equal graphs."""
    return _Drawer(seed, kind).draw()


def graphs(kind: Kind = Kind.ANYTHING) -> st.SearchStrategy[Drawn]:
    """Draw graphs by seed."""
    return st.integers(0, 2**32 - 1).map(lambda seed: draw_graph(seed, kind))


# Drawing.


@dataclass
class _Out:
    """An output port: its name, the shape of its payloads (None for objects), who reads it."""

    node: str
    port: str
    shape: tuple[int, ...] | None
    looping: bool = False
    readers: int = 0

    @property
    def name(self) -> str:
        return f"{self.node}.{self.port}"

    @property
    def size_bytes(self) -> int:
        size = 1
        for length in self.shape or (8,):
            size *= length
        return size


@dataclass
class _Loop:
    """A feedback input that waits for the output that closes it."""

    node: str
    port: str
    any: bool
    batch: int
    below: set[str] = field(default_factory=set)


class _Drawer:
    def __init__(self, seed: int, kind: Kind) -> None:
        self.rng = random.Random(f"{kind.value} {seed}")
        self.seed = seed
        self.kind = kind
        self.declared = kind is Kind.DECLARED
        self.nodes: dict[str, Table] = {}
        self.edges: list[Table] = []
        self.outs: list[_Out] = []
        self.loops: list[_Loop] = []
        # How full of withholding, dropping and costs this graph is: some are plain.
        self.wild = self.rng.choice((0.15, 0.4, 0.8))

    def draw(self) -> Drawn:
        rng = self.rng
        for number in range(rng.choice((1, 1, 2, 3))):
            self._source(f"s{number}")
        for number in range(
            rng.randint(1, 7) if self.kind is not Kind.LOOPS else rng.randint(1, 5)
        ):
            self._node(f"n{number}", first=number == 0)
        for loop in self.loops:
            self._close(loop)
        self._sinks()
        if self._often(0.05):
            for node in self.nodes.values():
                node.setdefault("policy", {})["criticality"] = "safety_critical"
        names = list(self.nodes)
        rng.shuffle(names)
        rng.shuffle(self.edges)
        document = {
            "limen": 1,
            "name": "drawn",
            "runtime": {"scheduler": rng.choice(("round_robin", "edf"))},
            "nodes": {name: self.nodes[name] for name in names},
            "edges": self.edges,
        }
        how = rng.random()
        rare = 1.0 if self.kind is Kind.ANYTHING else 0.4
        return Drawn(
            self.seed,
            self.kind,
            document,
            stop_at_step=rng.randint(0, 60) if how < 0.2 * rare else None,
            stop_at_tick=rng.randint(0, 80) if 0.2 * rare <= how < 0.35 * rare else None,
            drain_ms=rng.choice((0, 3, 20, 10_000)),
        )

    def _often(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _ms(self, most: int, least: int = 1) -> str:
        return f"{self.rng.randint(least, most)}ms"

    def _source(self, name: str) -> None:
        rng = self.rng
        node: Table = {"type": "limen.testing:ScriptedSource"}
        count = rng.choice((0, 1, 3, 6, 9, 12))
        if self._often(0.2):
            node["count"] = count
        else:
            node["script"] = [self._entry() for _ in range(count)]
        timed = rng.random()
        if timed < 0.3:
            node["every"] = f"{rng.choice((0, 1, 5, 20))}ms" if timed > 0.05 else "1ms"
            if node["every"] == "0ms":
                node["every"] = "2ms"
        elif timed < 0.5 and node.get("script"):
            at = 0
            for entry in node["script"]:
                at += rng.choice((0, 0, 1, 4, 15))
                entry["at"] = f"{at}ms"
        if self._often(0.4):
            node["pausable"] = False
        size = rng.choice((4, 4, 4, 8))
        if size != 4:
            node["size_bytes"] = size
        if self._often(self.wild / 2):
            node["policy"] = {"sim_cost": self._ms(6)}
        self.nodes[name] = node
        self.outs.append(_Out(name, "out", (size,)))

    def _entry(self) -> Table:
        rng = self.rng
        entry: Table = {}
        if self._often(0.3):
            entry["qos"] = rng.choice(("latency_critical", "best_effort", "background"))
        if self._often(0.25 * self.wild + 0.05):
            entry["deadline"] = self._ms(120)
        if self._often(0.15):
            entry["created"] = self._ms(60, 0)
        if self._often(0.1 * self.wild + 0.02):
            entry["result"] = rng.choice(
                ("nothing",) if self.declared else ("nothing", "error", "nothing", "error", "end")
            )
        return entry

    def _pick(self, tensor: bool = False) -> _Out:
        """Choose an output to read: as a rule one that nobody reads yet."""
        usable = [out for out in self.outs if out.shape is not None or not tensor]
        fresh = [out for out in usable if not out.readers]
        return self.rng.choice(fresh if fresh and self._often(0.65) else usable)

    def _node(self, name: str, *, first: bool) -> None:
        rng = self.rng
        forms = ["plain"] * 4 + ["split", "all", "all", "any", "window", "model", "keep", "Window"]
        if self.kind is Kind.ANYTHING:
            forms += ["loop_all", "loop_any", "objects"]
        if self.kind is Kind.LOOPS:
            forms = ["plain"] * 3 + ["split", "model", "objects"]
            forms += ["loop_all"] * 2 + ["loop_any"]
            if first:
                forms = ["loop_all", "loop_all", "loop_any"]
        form = rng.choice(forms)
        if form in ("all", "any", "loop_all", "loop_any"):
            self._join(name, form)
            return
        into = self._pick(tensor=form in ("model", "Window"))
        batching = self._batching(windows=form == "window" or (form == "keep" and self._often(0.3)))
        node: Table = {"type": "limen.testing:ScriptedNode"}
        outputs = ["out"]
        shape: tuple[int, ...] | None = (4,)
        match form:
            case "split":
                outputs = ["a", "b", "c"][: rng.choice((2, 2, 3))]
                node["outputs"] = outputs
            case "window":
                node["window"] = True
            case "model":
                node["type"] = "limen.testing:ScriptedModel"
                shape = into.shape
            case "Window":
                size = rng.randint(1, 4)
                node["type"] = "limen.nodes:Window"
                node |= {"size": size, "stride": rng.randint(1, size)}
                shape = (size, *(into.shape or ()))
            case "keep":
                node["type"] = "random_graphs:Withholding"
                node |= {"first": rng.randint(1, 4), "each": rng.randint(1, 3)}
                if "stride" in batching:
                    node["window"] = True
                if self._often(0.3):
                    outputs = ["a", "b"]
                    node["outputs"] = outputs
            case "objects":
                node["type"] = "random_graphs:Objects"
                shape = None
        if form in ("plain", "split", "window", "objects"):
            self._script(node, outputs)
            if form != "objects" and self._often(0.2):
                node["size_bytes"] = 8
                shape = (8,)
        elif form == "model" and not self.declared and self._often(self.wild / 2):
            node["script"] = [rng.choice(("output", "error")) for _ in range(rng.randint(1, 5))]
        self._policy(node, batching)
        self.nodes[name] = node
        self._connect(into, name, "in", batch=self._batch(batching))
        self.outs += [_Out(name, port, shape) for port in outputs]
        for loop in self.loops:
            if into.node in loop.below:
                loop.below.add(name)

    def _join(self, name: str, form: str) -> None:
        rng = self.rng
        any_one = form.endswith("any")
        count = rng.choice((1, 1, 2)) if form.startswith("loop") else rng.choice((2, 2, 2, 3))
        if self.kind is Kind.LOOPS:
            # With one way in there is nothing but the loop that a node can wait for in vain.
            count = 1
        inputs = [f"i{number}" for number in range(count)]
        node: Table = {"type": "limen.testing:ScriptedNode", "inputs": inputs}
        batching = self._batching(windows=False) if any_one else {}
        optional: list[str] = []
        if not any_one and count > 1 and self._often(0.3):
            optional = [inputs[-1]]
        if any_one:
            node.setdefault("policy", {})["activation"] = "any"
        connected = list(inputs)
        if optional and self._often(0.15) and count > 2:
            connected.remove(optional[0])
        flows = [port for port in connected if port not in optional]
        latches = {p for p in connected if p != flows[0] and self._often(0.15)}
        sources = set()
        for port in connected:
            into = self._pick()
            sources.add(into.node)
            self._connect(into, name, port, batch=self._batch(batching), latch=port in latches)
        if form.startswith("loop"):
            inputs.append("back")
            self.loops.append(_Loop(name, "back", any_one, self._batch(batching), {name}))
            if any_one or self._often(0.3):
                # A token that goes round at no cost would keep time from passing.
                node.setdefault("policy", {})["sim_cost"] = self._ms(4)
        if optional:
            node["optional"] = optional
        outputs = ["out"]
        if self._often(0.2):
            outputs = ["a", "b"]
            node["outputs"] = outputs
        self._script(node, outputs)
        self._policy(node, batching)
        self.nodes[name] = node
        self.outs += [_Out(name, port, (4,)) for port in outputs]
        for loop in self.loops:
            if sources & loop.below:
                loop.below.add(name)

    def _close(self, loop: _Loop) -> None:
        """Connect a feedback edge from a node below; its token says nothing about its shape."""
        rng = self.rng
        below = [out for out in self.outs if out.node in loop.below and out.shape == (4,)]
        out = rng.choice(below)
        policy: Table = {"max_items": loop.batch + rng.randint(0, 3)}
        if (loop.any and self._often(0.85)) or self._often(0.3):
            policy["admission"] = rng.choice(("drop_oldest", "drop_newest", "drop_oldest"))
            if loop.batch == 1 and self._often(0.2):
                policy = {"retention": "mailbox"}
        elif self._often(0.05):
            policy["admission"] = "deadline_and_qos_aware"
        most = policy.get("max_items", 1)
        tokens = rng.randint(1, min(most, 2))
        if out.node == loop.node and "admission" not in policy and "max_items" in policy:
            policy["max_items"] = max(most, tokens + 1)
        self.edges.append(
            {
                "from": out.name,
                "to": f"{loop.node}.{loop.port}",
                "initial": [[0, 0, 0, 0]] * tokens,
                "policy": policy,
            }
        )
        out.readers += 1

    def _sinks(self) -> None:
        rng = self.rng
        # The outputs that only feedback reads must have a forward reader too: else they never end.
        forward = {edge["from"] for edge in self.edges if "initial" not in edge}
        left = [out for out in self.outs if out.name not in forward]
        if self._often(0.2):
            left.append(rng.choice(self.outs))
        rng.shuffle(left)
        number = 0
        while left:
            count = min(len(left), rng.choice((1, 1, 2, 3)))
            read, left = left[:count], left[count:]
            name = f"z{number}"
            number += 1
            node: Table = {"type": "limen.testing:ScriptedSink"}
            batching = self._batching(windows=False)
            if count > 1:
                node["inputs"] = [f"i{n}" for n in range(count)]
                if self._often(0.2) and self.kind is not Kind.LOOPS:
                    node["policy"] = {"activation": "all"}
                    batching = {}
            elif self._often(0.1):
                node["type"] = "limen.io:Discard"
            if node["type"] == "limen.testing:ScriptedSink":
                self._script(node, [])
            self._policy(node, batching)
            self.nodes[name] = node
            for place, out in enumerate(read):
                port = f"i{place}" if count > 1 else "in"
                latch = place > 0 and self._often(0.1)
                self._connect(out, name, port, batch=self._batch(batching), latch=latch)

    def _script(self, node: Table, outputs: list[str]) -> None:
        rng = self.rng
        chance = self.wild * (0.4 if self.kind is Kind.ANYTHING else 0.8)
        if self.declared or not self._often(chance):
            return
        words = ["output"] * 4 + ["consume", "consume", "skip", "skip", "error"]
        if self.kind is Kind.ANYTHING:
            words += ["emit", "emit", "yield"] + ["terminal"] * self._often(0.3)
        script: list[object] = []
        for _ in range(rng.randint(1, 8)):
            word = rng.choice(words)
            if word == "emit" and outputs:
                ports = rng.sample(outputs, rng.randint(0, len(outputs)))
                script.append({"emit": {port: rng.randint(0, 3) for port in ports}})
            elif word == "yield":
                script.append({"yield_until": self._ms(90)})
            else:
                script.append("output" if word == "emit" else word)
        node["script"] = script

    def _batching(self, *, windows: bool) -> Table:
        rng = self.rng
        if not self._often(0.75 if windows else 0.35):
            return {}
        if not windows and self._often(0.2):
            return {"delta_t": self._ms(30)}
        batching: Table = {"fixed": rng.randint(1, 5)}
        if self._often(0.3):
            batching["delta_t"] = self._ms(30)
        if windows and self._often(0.6):
            batching["stride"] = rng.randint(1, batching["fixed"])
        return batching

    def _batch(self, batching: Table) -> int:
        return batching.get("fixed", 1)

    def _policy(self, node: Table, batching: Table) -> None:
        rng = self.rng
        policy = node.setdefault("policy", {})
        if batching:
            policy["batching"] = batching
        if self._often(0.2 + 0.4 * self.wild):
            policy.setdefault("sim_cost", self._ms(12))
        if self._often(0.3 * self.wild):
            policy["deadline"] = self._ms(60)
            if self._often(0.4):
                policy["deadline"] = {"default": self._ms(60), "slack": self._ms(20, 0)}
        if self._often(0.1) and not self.declared:
            policy["error_action"] = rng.choice(("halt_graph", "continue"))
        if not policy:
            del node["policy"]

    def _connect(self, out: _Out, node: str, port: str, *, batch: int, latch: bool = False) -> None:
        rng = self.rng
        out.readers += 1
        edge: Table = {"from": out.name, "to": f"{node}.{port}"}
        self.edges.append(edge)
        if latch:
            edge["policy"] = {"retention": "latch"}
            return
        if batch == 1 and self._often(0.08):
            edge["policy"] = {"retention": "mailbox"}
            return
        policy: Table = {"max_items": batch + rng.choice((0, 1, 2, 4, 6))}
        edge["policy"] = policy
        if self._often(0.6 * self.wild):
            aware = ["deadline_and_qos_aware"] * self._often(0.6)
            policy["admission"] = rng.choice(["drop_oldest", "drop_newest", *aware])
        if self._often(0.25):
            policy["soft_items"] = rng.randint(1, policy["max_items"])
        if self._often(0.15) and not (self.declared and out.shape is None):
            most = out.size_bytes * rng.randint(1, 6) + rng.choice((0, 1))
            policy["max_bytes"] = f"{most}B"
            if self._often(0.4):
                policy["soft_bytes"] = f"{rng.randint(1, most)}B"
        if self._often(0.2):
            policy["lanes"] = 2


# Making smaller.


def shrink(drawn: Drawn, fails: Callable[[Drawn], bool], tries: int = 2000) -> Drawn:
    """Make a graph smaller as long as it still fails.

    Args:
        drawn: What fails.
        fails: Whether another one fails likewise; must not raise.
        tries: Most candidates.
    """
    again = True
    while again:
        again = False
        for candidate in _smaller(drawn):
            tries -= 1
            if tries < 0:
                return drawn
            if fails(candidate):
                drawn = candidate
                again = True
                break
    return drawn


def _smaller(drawn: Drawn) -> Iterator[Drawn]:
    for key in ("stop_at_step", "stop_at_tick"):
        if getattr(drawn, key) is not None:
            yield replace(drawn, **{key: None})
    if drawn.drain_ms != 10_000:
        yield replace(drawn, drain_ms=10_000)
    for name in drawn.nodes:
        yield from _changed(drawn, lambda doc, name=name: _bypass(doc, name))
        yield from _changed(drawn, lambda doc, name=name: _remove(doc, name))
    for place in range(len(drawn.edges)):
        yield from _changed(drawn, lambda doc, place=place: _cut(doc, place))
    for name, node in drawn.nodes.items():
        for table, keys in (
            ((), ("script", "count", "every", "pausable", "size_bytes", "policy", "window")),
            (("policy",), ("batching", "deadline", "sim_cost", "error_action", "criticality")),
        ):
            for key in keys:
                if key in _inner(node, table):
                    yield from _changed(
                        drawn,
                        lambda doc, name=name, t=table, key=key: (
                            _inner(doc["nodes"][name], t).pop(key) and True
                        ),
                    )
        script = node.get("script", [])
        for place in range(len(script)):
            yield from _changed(
                drawn, lambda doc, name=name, p=place: doc["nodes"][name]["script"].pop(p) or True
            )
            if isinstance(script[place], dict):
                for key in script[place]:
                    yield from _changed(
                        drawn,
                        lambda doc, name=name, p=place, key=key: (
                            doc["nodes"][name]["script"][p].pop(key) and True
                        ),
                    )
            elif script[place] != "output":
                yield from _changed(drawn, lambda doc, n=name, p=place: _plain(doc, n, p))
    for place, edge in enumerate(drawn.edges):
        for key in edge.get("policy", {}):
            yield from _changed(
                drawn, lambda doc, p=place, key=key: doc["edges"][p]["policy"].pop(key) and True
            )
        items = edge.get("policy", {}).get("max_items", 1)
        if items > 1:
            yield from _changed(
                drawn, lambda doc, p=place, n=items: _set_items(doc["edges"][p]["policy"], n - 1)
            )


def _changed(drawn: Drawn, change: Callable[[Table], object]) -> Iterator[Drawn]:
    document = copy.deepcopy(drawn.document)
    if change(document) and document["nodes"] and document["edges"]:
        yield replace(drawn, document=document)


def _inner(node: Table, path: tuple[str, ...]) -> Table:
    for key in path:
        node = node.get(key, {})
    return node


def _plain(document: Table, name: str, place: int) -> bool:
    document["nodes"][name]["script"][place] = "output"
    return True


def _set_items(policy: Table, items: int) -> bool:
    policy["max_items"] = items
    return True


def _bypass(document: Table, name: str) -> bool:
    """Let what a node with one input reads go straight to its readers."""
    into = [edge for edge in document["edges"] if edge["to"].split(".")[0] == name]
    if len(into) != 1 or not any(e["from"].split(".")[0] == name for e in document["edges"]):
        return False
    document["edges"].remove(into[0])
    del document["nodes"][name]
    for edge in document["edges"]:
        if edge["from"].split(".")[0] == name:
            edge["from"] = into[0]["from"]
    return True


def _remove(document: Table, name: str) -> bool:
    del document["nodes"][name]
    document["edges"] = [
        edge
        for edge in document["edges"]
        if name not in (edge["from"].split(".")[0], edge["to"].split(".")[0])
    ]
    _prune(document)
    return True


def _cut(document: Table, place: int) -> bool:
    del document["edges"][place]
    _prune(document)
    return True


def _prune(document: Table) -> None:
    """Drop ports without edges, and nodes without the ports they need."""
    changed = True
    while changed:
        changed = False
        ends = {edge["to"] for edge in document["edges"]}
        begins = {edge["from"] for edge in document["edges"]}
        for name, node in list(document["nodes"].items()):
            is_source = node["type"].endswith("Source")
            is_sink = node["type"].endswith(("Sink", "Discard"))
            for key, used, usual in (("inputs", ends, "in"), ("outputs", begins, "out")):
                if (key == "inputs" and is_source) or (key == "outputs" and is_sink):
                    continue
                ports = node.get(key, [usual])
                kept = [port for port in ports if f"{name}.{port}" in used]
                if not kept:
                    _remove_edges(document, name)
                    del document["nodes"][name]
                    changed = True
                    break
                if kept != ports:
                    node[key] = kept
                    if key == "inputs":
                        node["optional"] = [p for p in node.get("optional", []) if p in kept]
                        if not node["optional"]:
                            del node["optional"]
                    changed = True


def _remove_edges(document: Table, name: str) -> None:
    document["edges"] = [
        edge
        for edge in document["edges"]
        if name not in (edge["from"].split(".")[0], edge["to"].split(".")[0])
    ]


def _value(value: object) -> str:
    """Write a value as TOML does, tables in one line."""
    match value:
        case bool() | int() | float() | str():
            return json.dumps(value)
        case dict():
            return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(v) for v in value) + "]"
    raise TypeError(type(value).__name__)
