"""Nodes: sources, processes, models, sinks, and the context they are stepped in."""

from limen.node._function import FunctionNode, node
from limen.node._model import InferenceModel
from limen.node._process import Consumed, Output, ProcessNode, ProcessResult, Skip
from limen.node._sink import Sink, SinkNode
from limen.node._source import Produced, Source, SourceNode, SourceSignal
from limen.node.contract import (
    Node,
    NodeKind,
    NodePorts,
    Port,
    PushOutcome,
    StepContext,
    StepResult,
)

__all__ = [
    "Consumed",
    "FunctionNode",
    "InferenceModel",
    "Node",
    "NodeKind",
    "NodePorts",
    "Output",
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
    "StepContext",
    "StepResult",
    "node",
]
