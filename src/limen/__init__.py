"""Limen: edge inference as a typed graph whose queues, batches and deadlines are enforced.

This module is the prelude for applications; implementers find contracts in the layers themselves.
"""

from limen import io, nodes
from limen.app import Model, Report, check, load, run
from limen.errors import LimenError
from limen.graph import Graph
from limen.node import (
    Consumed,
    Output,
    Outputs,
    ProcessNode,
    Produced,
    Sink,
    Skip,
    Source,
    SourceSignal,
    node,
)
from limen.platform import MonotonicClock, NoopClock, SimClock
from limen.policy import (
    Activation,
    AdmissionPolicy,
    Batching,
    Deadline,
    EdgePolicy,
    ErrorAction,
    NodePolicy,
    QueueCaps,
    RetentionMode,
)
from limen.types import CriticalityClass, DataType, ObjectSpec, QoSClass, TensorSpec

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AdmissionPolicy",
    "Batching",
    "Consumed",
    "CriticalityClass",
    "DataType",
    "Deadline",
    "EdgePolicy",
    "ErrorAction",
    "Graph",
    "LimenError",
    "Model",
    "MonotonicClock",
    "NodePolicy",
    "NoopClock",
    "ObjectSpec",
    "Output",
    "Outputs",
    "ProcessNode",
    "Produced",
    "QoSClass",
    "QueueCaps",
    "Report",
    "RetentionMode",
    "SimClock",
    "Sink",
    "Skip",
    "Source",
    "SourceSignal",
    "TensorSpec",
    "check",
    "io",
    "load",
    "node",
    "nodes",
    "run",
]
