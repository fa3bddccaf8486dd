"""The library of nodes that every graph can use."""

from limen.nodes._affine import Affine
from limen.nodes._cast import Cast
from limen.nodes._debounce import Debounce
from limen.nodes._decimate import Decimate
from limen.nodes._hold import SampleAndHold
from limen.nodes._limit import RateLimiter
from limen.nodes._moving import Moving
from limen.nodes._rank import ArgMax, TopK
from limen.nodes._threshold import Threshold
from limen.nodes._window import Window

__all__ = [
    "Affine",
    "ArgMax",
    "Cast",
    "Debounce",
    "Decimate",
    "Moving",
    "RateLimiter",
    "SampleAndHold",
    "Threshold",
    "TopK",
    "Window",
]
