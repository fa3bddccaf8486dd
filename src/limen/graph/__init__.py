"""Graphs: the builder, the frozen spec, the file format, and what makes one valid."""

from limen.graph._builder import Graph
from limen.graph._capacity import effective_batch
from limen.graph._constraints import Fallback, activation_of, is_left_out
from limen.graph._draw import to_dot, to_mermaid
from limen.graph._draw_svg import to_svg
from limen.graph._load import LoadedGraph, load_document, load_graph
from limen.graph._placement import acceptance_of
from limen.graph._problems import Problem, refuse
from limen.graph._spec import EdgeSpec, Endpoint, GraphSpec, NodeSpec
from limen.graph._verify import VerifiedGraph, verify

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
