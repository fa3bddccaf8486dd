"""Graphs: the builder, the frozen spec, the file format, and what makes one valid."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.graph._builder import Graph
from limen.graph._spec import EdgeSpec, Endpoint, GraphSpec, NodeSpec

if TYPE_CHECKING:
    from limen.graph._capacity import effective_batch
    from limen.graph._constraints import Fallback, activation_of, is_left_out
    from limen.graph._draw import to_dot, to_mermaid
    from limen.graph._draw_svg import to_svg
    from limen.graph._load import LoadedGraph, load_document, load_graph
    from limen.graph._placement import acceptance_of
    from limen.graph._problems import Problem, refuse
    from limen.graph._verify import VerifiedGraph, verify
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.graph._capacity": ("effective_batch",),
            "limen.graph._constraints": ("Fallback", "activation_of", "is_left_out"),
            "limen.graph._draw": ("to_dot", "to_mermaid"),
            "limen.graph._draw_svg": ("to_svg",),
            "limen.graph._load": ("LoadedGraph", "load_document", "load_graph"),
            "limen.graph._placement": ("acceptance_of",),
            "limen.graph._problems": ("Problem", "refuse"),
            "limen.graph._verify": ("VerifiedGraph", "verify"),
        },
    )

__all__ = [
    "EdgeSpec",
    "Endpoint",
    "Fallback",
    "Graph",
    "GraphSpec",
    "LoadedGraph",
    "NodeSpec",
    "Problem",
    "VerifiedGraph",
    "acceptance_of",
    "activation_of",
    "effective_batch",
    "is_left_out",
    "load_document",
    "load_graph",
    "refuse",
    "to_dot",
    "to_mermaid",
    "to_svg",
    "verify",
]
