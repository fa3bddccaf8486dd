"""The library of nodes that every graph can use; docs/nodes.md has a section for each."""

from limen.nodes._affine import Affine
from limen.nodes._axes import Concat, Split
from limen.nodes._c_node import CNode
from limen.nodes._cast import Cast
from limen.nodes._debounce import Debounce
from limen.nodes._decimate import Decimate
from limen.nodes._hold import SampleAndHold
from limen.nodes._join_by_time import JoinByTime
from limen.nodes._limit import RateLimiter
from limen.nodes._moving import Moving
from limen.nodes._rank import ArgMax, TopK
from limen.nodes._router import Router
from limen.nodes._threshold import Threshold
from limen.nodes._window import Window

__all__ = [
    "Affine",
    "ArgMax",
    "CNode",
    "Cast",
    "Concat",
    "Debounce",
    "Decimate",
    "JoinByTime",
    "Moving",
    "RateLimiter",
    "Router",
    "SampleAndHold",
    "Split",
    "Threshold",
    "TopK",
    "Window",
]
