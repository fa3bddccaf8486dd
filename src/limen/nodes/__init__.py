"""The library of nodes that every graph can use."""

from limen.nodes._window import Window

__all__ = ["Window"]
