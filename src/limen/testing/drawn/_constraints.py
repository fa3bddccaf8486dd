"""Draws constraints into a drawn graph: deadlines, budgets, freshness, error actions and others.

A second stream of the seed decides, and nothing of the graph as it was drawn is read back from it:
the same graph without constraints is a graph of its own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

# Entries are of whatever type their key says.
_Open = dict[str, Any]
_SCRIPTED = ("ScriptedNode", "ScriptedSink", "ScriptedModel", "Objects")
_CLASSES = ("best_effort", "operational", "safety_critical")
_SCHEDULERS = ("round_robin", "edf", "throughput", "criticality")


def constrain(
    document: _Open,
    rng: random.Random,
    shapes: Mapping[str, tuple[int, ...] | None],
    *,
    declared: bool,
    loops: bool,
) -> None:
    """Add constraints, in place.

    Args:
        document: The tables of a graph file.
        rng: Where to draw from.
        shapes: By output, the shape of its payloads; None for objects.
        declared: Whether nodes are to do what they declare: no failures, no limits of messages.
        loops: Whether all that may be waited for in vain is to be a loop: no other activation.
    """
    level = rng.choice((0.0, 0.1, 0.2, 0.4))
    if level:
        _Constraints(document, rng, shapes, level, declared=declared, loops=loops).add()


class _Constraints:
    def __init__(
        self,
        document: _Open,
        rng: random.Random,
        shapes: Mapping[str, tuple[int, ...] | None],
        level: float,
        *,
        declared: bool,
        loops: bool,
    ) -> None:
        self.document = document
        self.nodes: dict[str, _Open] = document["nodes"]
        self.edges: list[_Open] = document["edges"]
        self.rng = rng
        self.shapes = shapes
        self.level = level
        self.declared = declared
        self.loops = loops

    def add(self) -> None:
        for name, node in self.nodes.items():
            if self._is_source(name):
                self._source(name, node)
                continue
            if self._often(self.level / 2) and not self.loops:
                self._activation(name, node)
            self._limits(name, node)
            if self._often(self.level):
                self._costs(node)
            if self._often(self.level):
                self._budget(name, node)
            if self._often(self.level):
                self._errors(name, node)
        if self._often(self.level):
            self._classes()
        runtime = self.document["runtime"]
        if self._often(0.6):
            runtime["scheduler"] = self.rng.choice(_SCHEDULERS)
        if self.declared:
            self._leave_time()

    # What is there.

    def _often(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _ms(self, most: int, least: int = 1) -> str:
        return f"{self.rng.randint(least, most)}ms"

    def _type(self, node: _Open) -> str:
        return str(node["type"]).partition(":")[2]

    def _is_source(self, name: str) -> bool:
        return self._type(self.nodes[name]) == "ScriptedSource"

    def _into(self, name: str) -> list[_Open]:
        return [edge for edge in self.edges if edge["to"].partition(".")[0] == name]

    def _policy(self, node: _Open) -> _Open:
        policy: _Open = node.setdefault("policy", {})
        return policy

    def _outputs(self, name: str) -> list[str]:
        return [out for out in self.shapes if out.partition(".")[0] == name]

    def _payload(self, name: str) -> tuple[object, str] | None:
        """Return a payload and the port that it goes to; None where there is none to declare."""
        shapes = {out: shape for out in self._outputs(name) if (shape := self.shapes[out])}
        if not shapes:
            return None
        out = self.rng.choice(list(shapes))
        return _zeros(shapes[out]), out.partition(".")[2]

    # Sources.

    def _source(self, name: str, node: _Open) -> None:
        rng = self.rng
        script = node.get("script", [])
        for entry in script:
            if "result" in entry:
                continue
            if self._often(self.level / 2) and not self.declared:
                entry["max_age"] = self._ms(60)
            if self._often(self.level):
                entry["degrade_allowed"] = True
        if self._often(self.level / 2):
            node["clock_domain"] = rng.choice((1, 2))
            offsets = self.document["runtime"].setdefault("clock_offsets", {})
            offsets.setdefault(str(node["clock_domain"]), f"{rng.randint(-20, 20)}ms")
        if self._often(self.level / 2):
            self._policy(node)["budget"] = self._ms(6)
        if self._often(self.level / 3):
            self._policy(node)["liveness"] = {"max_step_gap": self._ms(40)}
        if self._often(self.level):
            self._errors(name, node)

    # Nodes.

    def _activation(self, name: str, node: _Open) -> None:
        """Have time or one of the inputs step it; inputs that it waits for no more are optional."""
        rng = self.rng
        policy = self._policy(node)
        edges = self._into(name)
        several = "inputs" in node
        if self._type(node) == "Discard":
            return
        forward = [edge for edge in edges if "initial" not in edge]
        if several and self._often(0.15) and len(forward) == len(edges):
            for edge in edges:
                edge["policy"] = {"retention": "latch"}
        latches = {e["to"] for e in edges if e.get("policy", {}).get("retention") == "latch"}
        trigger = rng.choice(forward)["to"] if several and self._often(0.6) else None
        if several:
            policy.pop("batching", None)
            if trigger in latches and not all(e["to"] in latches for e in forward):
                trigger = next(e["to"] for e in forward if e["to"] not in latches)
            extras = [e["to"] for e in edges if e["to"] != trigger and e["to"] not in latches]
            optional = [port.partition(".")[2] for port in extras]
            connected = {edge["to"].partition(".")[2] for edge in edges}
            optional += [port for port in node["inputs"] if port not in connected]
            optional += [
                port.partition(".")[2]
                for port in sorted(latches)
                if port != trigger and self._often(0.4)
            ]
            node["optional"] = optional
            if not optional:
                del node["optional"]
        if trigger is not None:
            policy["activation"] = {"trigger": trigger.partition(".")[2]}
        else:
            policy["activation"] = {"periodic": self._ms(50, 4)}

    def _limits(self, name: str, node: _Open) -> None:
        """Draw deadlines, freshness and liveness."""
        rng = self.rng
        policy = self._policy(node)
        if self._often(self.level):
            deadline: _Open = {"default": self._ms(60)} if self._often(0.7) else {}
            if self._often(0.5):
                deadline["slack"] = self._ms(20, 0)
            if self._often(0.4):
                deadline["require"] = True
            if self._often(0.6):
                deadline["on_miss"] = rng.choice(("drop", "process"))
            if deadline:
                policy["deadline"] = deadline
        if self._often(self.level / 2):
            policy["freshness"] = self._freshness()
        if self._often(self.level / 2):
            policy["liveness"] = rng.choice(
                (self._ms(40), {"max_gap": self._ms(40), "max_step_gap": self._ms(60)})
            )
        inputs: _Open = {}
        for port in node.get("inputs", ["in"]):
            one: _Open = {}
            if self._often(self.level / 4):
                one["freshness"] = self._freshness()
            if self._often(self.level / 4):
                one["max_gap"] = self._ms(40)
            if self._often(self.level / 2):
                one["needs_degrade_allowed"] = True
            if one:
                inputs[port] = one
        if inputs:
            policy["inputs"] = inputs
        if not policy:
            del node["policy"]

    def _freshness(self) -> object:
        freshness: _Open = {}
        if self._often(0.7):
            freshness["max_age"] = self._ms(80)
        if not freshness or self._often(0.4):
            freshness["max_span_age"] = self._ms(100)
        if self._often(0.4):
            freshness["on_stale"] = "deliver"
        elif self._often(0.3) and "max_age" in freshness:
            return freshness["max_age"]
        return freshness

    def _costs(self, node: _Open) -> None:
        """Let calls take as long as their script says."""
        if self._type(node) not in _SCRIPTED:
            return
        script = node.get("script") or ["output"] * self.rng.randint(1, 8)
        node["script"] = [self._costly(entry) if self._often(0.5) else entry for entry in script]

    def _costly(self, entry: object) -> object:
        cost = {"cost": self._ms(self.rng.choice((15, 15, 40)), 0)}
        if isinstance(entry, dict):
            return cost | entry
        return cost if entry == "output" else cost | {"result": entry}

    def _budget(self, name: str, node: _Open) -> None:
        rng = self.rng
        if self._type(node) == "Discard":
            return
        budget: _Open = {"tick_budget": self._ms(15)}
        if self._often(0.5):
            budget["watchdog"] = self._ms(25, 15)
        into, outs = self._into(name), self._outputs(name)
        choices: list[object] = ["drop"]
        if (
            len(outs) == 1
            and "inputs" not in node
            and not node.get("window")
            and self.shapes[outs[0]] == self.shapes[into[0]["from"]]
        ):
            choices += ["skip_stage"] * 2
        if (declared := self._payload(name)) is not None:
            choices += [{"default": declared[0], "port": declared[1]}] * 2
        if (variant := self._variant(name, node)) is not None:
            choices += ["degrade"] * 2
        goes_round = any("initial" in edge for edge in into)
        if goes_round:
            # What takes the place of a call costs nothing: time would not pass while a token goes
            # round.
            choices = [choice for choice in choices if choice in ("drop", "degrade")]
        action = rng.choice(choices)
        if self._often(0.15):
            self._policy(node)["budget"] = budget
            return
        if action == "degrade":
            degrade: _Open = {
                "degrade_after": rng.randint(1, 3),
                "recover_after": rng.randint(1, 4),
            }
            if goes_round or self._often(0.5):
                degrade["sim_cost"] = self._ms(4)
            node["variant"] = variant
            action = degrade
        budget["action"] = action
        self._policy(node)["budget"] = budget

    def _variant(self, name: str, node: _Open) -> _Open | None:
        kind = self._type(node)
        if kind == "ScriptedModel":
            return {"type": node["type"]}
        if kind not in ("ScriptedNode", "ScriptedSink"):
            return None
        keys = ("type", "inputs", "outputs", "window", "size_bytes")
        variant: _Open = {key: node[key] for key in keys if key in node}
        if "optional" in node:
            variant["optional"] = list(node["optional"])
        if not self.declared and self._often(0.4):
            words = ("output", "output", "consume", "skip", "error")
            variant["script"] = [self.rng.choice(words) for _ in range(self.rng.randint(1, 6))]
        return variant

    def _errors(self, name: str, node: _Open) -> None:
        """Draw what a failed call does; a node that never fails is given calls that do."""
        rng = self.rng
        kind = self._type(node)
        if self.declared or kind not in (*_SCRIPTED, "ScriptedSource"):
            return
        if kind == "ScriptedSource":
            for entry in node.get("script", []):
                if self._often(0.2):
                    entry.setdefault("result", "error")
        elif self._often(0.7):
            script = node.get("script") or ["output"] * rng.randint(1, 6)
            node["script"] = [
                "error" if entry == "output" and self._often(0.4) else entry for entry in script
            ]
        choices: list[object] = ["quiesce", "continue", "restart", "restart"]
        if (declared := self._payload(name)) is not None:
            failsafe = {"failsafe": declared[0], "port": declared[1]}
            choices += [failsafe, failsafe | {"quiesce": True}]
        action = rng.choice(choices)
        if action == "restart":
            restart: _Open = {"restart": rng.randint(1, 3)}
            if self._often(0.5):
                restart["per"] = self._ms(100)
            if self._often(0.6):
                restart["backoff"] = self._ms(20)
            action = restart
            node["keeps_place"] = True
            if kind not in ("ScriptedSource", "ScriptedModel") and self._often(0.4):
                node["starts"] = ["ok", *rng.choices(("ok", "error"), k=3)]
        self._policy(node)["error_action"] = action

    # The whole graph.

    def _classes(self) -> None:
        """Draw classes, and raise whoever feeds what a higher one cannot do without."""
        ranks = {name: self.rng.randint(0, 2) for name in self.nodes}
        changed = True
        while changed:
            changed = False
            for edge in self.edges:
                producer, (consumer, _, port) = (
                    edge["from"].partition(".")[0],
                    edge["to"].partition("."),
                )
                if "initial" in edge or not self._is_needed(self.nodes[consumer], port):
                    continue
                if ranks[producer] < ranks[consumer]:
                    ranks[producer] = ranks[consumer]
                    changed = True
        for name, rank in ranks.items():
            if rank != 1:
                self._policy(self.nodes[name])["criticality"] = _CLASSES[rank]
            elif "policy" in self.nodes[name]:
                self.nodes[name]["policy"].pop("criticality", None)

    def _is_needed(self, node: _Open, port: str) -> bool:
        rule = node.get("policy", {}).get("activation")
        if self._type(node) == "ScriptedSink" and rule is None:
            rule = "any"
        if rule == "any":
            return len(node.get("inputs", ["in"])) == 1
        if isinstance(rule, dict) and "trigger" in rule:
            return bool(port == rule["trigger"])
        return port not in node.get("optional", [])

    def _leave_time(self) -> None:
        """Make periods longer than all calls of a round: who never rests would starve others."""
        total = 0
        for node in self.nodes.values():
            policy = node.get("policy", {})
            costs = [_number(e["cost"]) for e in node.get("script", []) if "cost" in e]
            cost = _number(policy.get("sim_cost", "0ms")) + max(costs, default=0)
            total += cost * policy.get("batching", {}).get("fixed", 1 if cost == 0 else 8)
        for node in self.nodes.values():
            rule = node.get("policy", {}).get("activation")
            if isinstance(rule, dict) and "periodic" in rule:
                rule["periodic"] = f"{total + _number(rule['periodic'])}ms"


def _zeros(shape: tuple[int, ...]) -> object:
    if not shape:
        return 0
    return [_zeros(shape[1:]) for _ in range(shape[0])]


def _number(text: str) -> int:
    return int(text.removesuffix("ms"))
