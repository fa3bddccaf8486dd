"""Nodes: sources, processes, models, sinks, and the context they are stepped in."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.node._function import FunctionNode, node
from limen.node._process import ProcessNode
from limen.node._results import Consumed, Output, Outputs, ProcessResult, Skip
from limen.node._signature import match_spec
from limen.node._sink import Sink, SinkNode
from limen.node._source import Produced, Source, SourceNode, SourceSignal
from limen.node._stand_in import StandIn
from limen.node.contract import (
    CallForm,
    DirectCall,
    Node,
    NodeKind,
    NodePorts,
    Port,
    PushOutcome,
    StepContext,
    StepResult,
    YieldUntil,
)

if TYPE_CHECKING:
    from limen.node._c_form import CField, CForm, CTable
    from limen.node._looking import LookingContext
    from limen.node._model import InferenceModel
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.node._c_form": ("CField", "CForm", "CTable"),
            "limen.node._looking": ("LookingContext",),
            "limen.node._model": ("InferenceModel",),
        },
    )

__all__ = [
    "CField",
    "CForm",
    "CTable",
    "CallForm",
    "Consumed",
    "DirectCall",
    "FunctionNode",
    "InferenceModel",
    "LookingContext",
    "Node",
    "NodeKind",
    "NodePorts",
    "Output",
    "Outputs",
    "Port",
    "ProcessNode",
    "ProcessResult",
    "Produced",
    "PushOutcome",
    "Sink",
    "SinkNode",
    "Skip",
    "Source",
    "SourceNode",
    "SourceSignal",
    "StandIn",
    "StepContext",
    "StepResult",
    "YieldUntil",
    "match_spec",
    "node",
]
