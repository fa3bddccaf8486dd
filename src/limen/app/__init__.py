"""The façade: check a graph, run it, read the report."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.app._model import Model
from limen.app._report import Report, json_line
from limen.app._run import check, load, make_runtime, run, set_speed

if TYPE_CHECKING:
    from limen.app._doctor import Finding, State, diagnose
    from limen.app._example import example_folder
    from limen.app._recording import Recorder, Recording, replay
    from limen.app._swap import ModelWatcher, swap_model
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.app._doctor": ("Finding", "State", "diagnose"),
            "limen.app._example": ("example_folder",),
            "limen.app._recording": ("Recorder", "Recording", "replay"),
            "limen.app._swap": ("ModelWatcher", "swap_model"),
        },
    )

__all__ = [
    "Finding",
    "Model",
    "ModelWatcher",
    "Recorder",
    "Recording",
    "Report",
    "State",
    "check",
    "diagnose",
    "example_folder",
    "json_line",
    "load",
    "make_runtime",
    "replay",
    "run",
    "set_speed",
    "swap_model",
]
