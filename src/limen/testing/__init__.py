"""For those who write executors: scripted parts, scenarios, and the comparison of decision logs."""

from limen.testing._scenario import Scenario, ScenarioRun, first_difference, load_scenario, run
from limen.testing._scripted import ScriptedModel, ScriptedNode, ScriptedSink, ScriptedSource

__all__ = [
    "Scenario",
    "ScenarioRun",
    "ScriptedModel",
    "ScriptedNode",
    "ScriptedSink",
    "ScriptedSource",
    "first_difference",
    "load_scenario",
    "run",
]
