"""The façade: check a graph, run it, read the report."""

from limen.app._model import Model
from limen.app._recording import Recorder, Recording, replay
from limen.app._report import Report
from limen.app._run import check, load, make_runtime, run, set_speed

__all__ = [
    "Model",
    "Recorder",
    "Recording",
    "Report",
    "check",
    "load",
    "make_runtime",
    "replay",
    "run",
    "set_speed",
]
