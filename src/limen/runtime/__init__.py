"""Executors of a Plan."""

from limen.runtime._context import NodeContext
from limen.runtime._counters import PathCounters
from limen.runtime._journal import Journal
from limen.runtime._judge import Judge
from limen.runtime._link import Handled, Link
from limen.runtime._output import OutputPort
from limen.runtime._single import Before, SingleThreadRuntime
from limen.runtime.contract import LimenRuntime, RuntimeStopHandle

__all__ = [
    "Before",
    "Handled",
    "Journal",
    "Judge",
    "LimenRuntime",
    "Link",
    "NodeContext",
    "OutputPort",
    "PathCounters",
    "RuntimeStopHandle",
    "SingleThreadRuntime",
]
