"""Random graphs whose rates and costs are declared, to hold the bounds of ``check`` against."""

from __future__ import annotations

import random
from pathlib import Path

from limen.graph import Graph, load_document

Table = dict[str, object]
_PART = "limen.testing:Scripted"


class _Maker:
    """Draws one graph: sources on a grid, nodes that do as they declare, sinks."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"bounded {seed}")
        self.nodes: dict[str, Table] = {}
        self.edges: list[Table] = []
        self.open: list[str] = []
        # From a machine with time to spare to one that is overloaded.
        self.cost_ms = self.rng.choice((0.2, 0.5, 1.0, 2.0))

    def make(self) -> Table:
        rng = self.rng
        for number in range(rng.choice((1, 1, 2, 3))):
            name = f"s{number}"
            every = rng.choice((5, 8, 10, 20, 33))
            count = 1200 // every
            self.nodes[name] = {"type": _PART + "Source", "every": f"{every}ms", "count": count}
            if rng.random() < 0.3:
                self.nodes[name]["policy"] = {"sim_cost": "1ms"}
            self.open.append(f"{name}.out")
        for number in range(rng.randint(1, 5)):
            self._node(f"n{number}")
        for number, out in enumerate(self.open):
            self.nodes[f"z{number}"] = {"type": _PART + "Sink", "policy": self._policy({})}
            self._edge(out, f"z{number}.in")
        schedulers = ["round_robin"] * 3 + ["edf", "throughput", "criticality"]
        return {
            "limen": 1,
            "name": "bounded",
            "runtime": {"scheduler": rng.choice(schedulers)},
            "nodes": self.nodes,
            "edges": self.edges,
        }

    def _take(self) -> str:
        out = self.rng.choice(self.open)
        if self.rng.random() < 0.8:
            self.open.remove(out)
        return out

    def _cost(self) -> str:
        return f"{max(1, round(self.cost_ms * self.rng.choice((0, 1, 2, 3))))}ms"

    def _policy(self, policy: Table) -> Table:
        rng = self.rng
        if rng.random() < 0.7:
            policy["sim_cost"] = self._cost()
        if rng.random() < 0.15:
            policy["freshness"] = f"{rng.randint(20, 200)}ms"
        if rng.random() < 0.15:
            policy["deadline"] = {"default": f"{rng.randint(20, 200)}ms", "on_miss": "drop"}
        return policy

    def _edge(self, out: str, to: str, *, batch: int = 1) -> None:
        rng = self.rng
        kind = rng.choice(("block", "block", "drop_oldest", "drop_newest", "mailbox"))
        policy: Table = {"max_items": batch + rng.choice((0, 1, 3, 8, 40)), "admission": kind}
        if kind == "mailbox":
            policy = {"retention": "mailbox"}
        if batch > 1 and kind == "mailbox":
            policy = {"max_items": batch, "admission": "drop_oldest"}
        self.edges.append({"from": out, "to": to, "policy": policy})

    def _node(self, name: str) -> None:
        rng = self.rng
        form = rng.choice(
            ("plain", "plain", "model", "window", "Window", "all", "any", "periodic", "split")
        )
        node: Table = {"type": _PART + "Node"}
        policy = self._policy({})
        batch = 1
        inputs = ["in"]
        outputs = ["out"]
        match form:
            case "model":
                node = {"type": _PART + "Model"}
                batch = rng.randint(1, 4)
            case "window":
                node["window"] = True
                batch = rng.randint(1, 4)
            case "Window":
                size = rng.randint(1, 4)
                stride = rng.randint(1, size)
                node = {"type": "limen.nodes:Window", "size": size, "stride": stride}
            case "all" | "any":
                inputs = ["a", "b"]
                node["inputs"] = inputs
                if form == "any":
                    policy["activation"] = "any"
            case "periodic":
                policy["activation"] = {"periodic": f"{rng.choice((5, 10, 25))}ms"}
            case "split":
                outputs = ["x", "y"]
                node["outputs"] = outputs
        if form in ("model", "window", "plain") and (batch > 1 or rng.random() < 0.2):
            batch = max(batch, 2)
            batching: Table = {"fixed": batch}
            if rng.random() < 0.5:
                batching["delta_t"] = f"{rng.randint(5, 60)}ms"
            if form == "window" and rng.random() < 0.4:
                batching["stride"] = rng.randint(1, batch)
            policy["batching"] = batching
        if policy:
            node["policy"] = policy
        self.nodes[name] = node
        for port in inputs:
            self._edge(self._take() if self.open else "s0.out", f"{name}.{port}", batch=batch)
        self.open += [f"{name}.{port}" for port in outputs]


def bounded_graph(seed: int) -> Graph:
    """Draw a graph. Pure: equal seeds give equal graphs."""
    loaded = load_document(_Maker(seed).make(), Path(__file__), allow_import=True)
    assert not loaded.problems, loaded.problems
    return loaded.graph
