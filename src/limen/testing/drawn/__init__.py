"""Random graphs of scripted parts: pure functions of a seed, as tables of a graph file.

A seed gives the same graph to every executor, so that their decision logs can be compared; a graph
that shows a defect is written down as a scenario by ``toml``. ``limen.testing.strategies`` draws
them for Hypothesis.
"""

from limen.testing._clock import StoppingClock
from limen.testing.drawn._draw import draw_graph
from limen.testing.drawn._drawn import Drawn, Kind
from limen.testing.drawn._parts import Objects, Withholding

__all__ = ["Drawn", "Kind", "Objects", "StoppingClock", "Withholding", "draw_graph"]
