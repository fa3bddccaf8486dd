"""Reads sources and reports what a layer does that it must not do; used by ``test_layers``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

ORDER = (
    *("errors", "types", "toolchain", "platform", "telemetry", "message", "memory", "compute"),
    *("policy", "edge", "node", "graph", "scheduling", "runtime"),
)
BESIDE = ("onnx_c", "backends", "nodes", "io", "codegen")
_PACKAGE = "limen"
SETTINGS = "limen.settings"

_ALLOWED = {name: {*ORDER[:place], name} for place, name in enumerate(ORDER)}
_ALLOWED |= {name: {*ORDER, name} for name in BESIDE}
_ALLOWED["app"] = {*ORDER, *BESIDE, "app"}
_ALLOWED["bench"] = {*ORDER, *BESIDE, "app", "bench", "settings"}
_ALLOWED["cli"] = {*ORDER, *BESIDE, "app", "bench", "testing", "cli", ""}
_ALLOWED["testing"] = {*ORDER, *BESIDE, "app", "testing"}
_ALLOWED["contracts"] = {*ORDER}
_ALLOWED["settings"] = {"settings"}
_ALLOWED["codegen"] |= {"settings", "onnx_c"}
_ALLOWED["backends"] |= {"settings", "onnx_c"}
_ALLOWED["__main__"] = _ALLOWED["cli"]
# No layer, but how packages give names on first use: open to all, it imports nothing of ours.
_ALLOWED = {name: {*allowed, "_lazy"} for name, allowed in _ALLOWED.items()} | {"_lazy": {"_lazy"}}


def layer_of(module: str) -> str:
    """Name the layer of a dotted module; that of ``limen`` itself is the empty string."""
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of all imports, nested ones and TYPE_CHECKING ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            if base == _PACKAGE:
                for alias in node.names:
                    yield node.lineno, f"{base}.{alias.name}"
            else:
                yield node.lineno, base
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _reads_environment(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in ("environ", "environb", "getenv"):
                    yield node.lineno


def violations(sources: Mapping[str, str], layers: Mapping[str, set[str]] = _ALLOWED) -> list[str]:
    """Report what breaks the layering, one line each.

    Args:
        sources: Text by dotted module; that of a package ends in ``.__init__``.
        layers: For each layer those it may import.
    """
    found = []
    for name, text in sorted(sources.items()):
        is_package = name.endswith("__init__")
        module = name.removesuffix(".__init__")
        layer, tree = layer_of(module), ast.parse(text)
        allowed = layers.get(layer)
        if allowed is None and layer != "":
            found.append(f"{module}: a layer without a place in the order")
            continue
        for line, target in imported(tree, module, is_package=is_package):
            head = target.split(".")[0]
            if head == "time" and layer != "platform":
                found.append(f"{module}:{line}: imports time")
            if head == _PACKAGE and allowed is not None and layer_of(target) not in allowed:
                found.append(f"{module}:{line}: imports {target}, which lies above {layer}")
        if module != SETTINGS:
            found += [
                f"{module}:{line}: reads the environment" for line in _reads_environment(tree)
            ]
        if (lines := text.count("\n")) > 600:
            found.append(f"{module}: {lines} lines, at most 600")
    return found
