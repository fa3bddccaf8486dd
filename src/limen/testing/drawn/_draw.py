"""Draws graphs of scripted parts.

What constraints a seed adds is drawn from a second stream, so that it gives the same graph without
them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from limen.testing.drawn._constraints import constrain
from limen.testing.drawn._drawn import Drawn, Kind

# Entries are of whatever type their key says.
_Open = dict[str, Any]


def draw_graph(seed: int, kind: Kind = Kind.ANYTHING, *, plain: bool = False) -> Drawn:
    """Draw a graph. Pure: equal seeds give equal graphs.

    Args:
        seed: Any number.
        kind: What to draw.
        plain: Leave the constraints out that the seed would add.
    """
    drawer = _Drawer(seed, kind)
    drawn = drawer.draw()
    if not plain:
        shapes = {out.name: out.shape for out in drawer.outs}
        rng = random.Random(f"constraints {kind.value} {seed}")
        constrain(
            drawn.document,
            rng,
            shapes,
            declared=kind is Kind.DECLARED,
            loops=kind is Kind.LOOPS,
        )
    return drawn


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
        self.nodes: dict[str, _Open] = {}
        self.edges: list[_Open] = []
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
        node: _Open = {"type": "limen.testing:ScriptedSource"}
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

    def _entry(self) -> _Open:
        rng = self.rng
        entry: _Open = {}
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
        node: _Open = {"type": "limen.testing:ScriptedNode"}
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
                node["type"] = "limen.testing.drawn:Withholding"
                node |= {"first": rng.randint(1, 4), "each": rng.randint(1, 3)}
                if "stride" in batching:
                    node["window"] = True
                if self._often(0.3):
                    outputs = ["a", "b"]
                    node["outputs"] = outputs
            case "objects":
                node["type"] = "limen.testing.drawn:Objects"
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
        node: _Open = {"type": "limen.testing:ScriptedNode", "inputs": inputs}
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
        policy: _Open = {"max_items": loop.batch + rng.randint(0, 3)}
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
            node: _Open = {"type": "limen.testing:ScriptedSink"}
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

    def _script(self, node: _Open, outputs: list[str]) -> None:
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

    def _batching(self, *, windows: bool) -> _Open:
        rng = self.rng
        if not self._often(0.75 if windows else 0.35):
            return {}
        if not windows and self._often(0.2):
            return {"delta_t": self._ms(30)}
        batching: _Open = {"fixed": rng.randint(1, 5)}
        if self._often(0.3):
            batching["delta_t"] = self._ms(30)
        if windows and self._often(0.6):
            batching["stride"] = rng.randint(1, batching["fixed"])
        return batching

    def _batch(self, batching: _Open) -> int:
        return int(batching.get("fixed", 1))

    def _policy(self, node: _Open, batching: _Open) -> None:
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
        edge: _Open = {"from": out.name, "to": f"{node}.{port}"}
        self.edges.append(edge)
        if latch:
            edge["policy"] = {"retention": "latch"}
            return
        if batch == 1 and self._often(0.08):
            edge["policy"] = {"retention": "mailbox"}
            return
        policy: _Open = {"max_items": batch + rng.choice((0, 1, 2, 4, 6))}
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
