"""The library of nodes that every graph can use."""

from limen.nodes._affine import Affine
from limen.nodes._cast import Cast
from limen.nodes._moving import Moving
from limen.nodes._rank import ArgMax, TopK
from limen.nodes._window import Window

__all__ = [
    "Affine",
    "ArgMax",
    "Cast",
    "Moving",
    "TopK",
    "Window",
]
