"""Makes a drawn graph smaller as long as it still fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

from limen.testing.drawn import Drawn

Table = dict[str, object]

# What _prune keeps in step with the edges, and what has no default.
_PORTS = ("type", "inputs", "outputs", "optional")


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
    for key in drawn.document["runtime"]:
        yield from _changed(drawn, lambda doc, key=key: doc["runtime"].pop(key) and True)
    for name, node in drawn.nodes.items():
        if "variant" in node:
            yield from _changed(drawn, lambda doc, name=name: _without_variant(doc["nodes"][name]))
        for path in _paths({key: value for key, value in node.items() if key not in _PORTS}):
            yield from _changed(
                drawn, lambda doc, name=name, path=path: _without(doc["nodes"][name], path)
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


def _paths(table: Table) -> Iterator[tuple[str, ...]]:
    """Yield the way to every key of a table and of those in it, the outer ones first."""
    for key, value in table.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _without(table: Table, path: tuple[str, ...]) -> bool:
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    return True


def _without_variant(node: Table) -> bool:
    """A variant and the action that asks for it go together."""
    del node["variant"], node["policy"]["budget"]
    return True


def _changed(drawn: Drawn, change: Callable[[Table], object]) -> Iterator[Drawn]:
    document = copy.deepcopy(drawn.document)
    if change(document) and document["nodes"] and document["edges"]:
        yield replace(drawn, document=document)


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
