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
    AdmissionPolicy,
    Batching,
    Deadline,
    EdgePolicy,
    ErrorAction,
    NodePolicy,
    QueueCaps,
)
from limen.types import CriticalityClass, DataType, ObjectSpec, QoSClass, TensorSpec

__version__ = "0.1.0"

__all__ = [
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
    "ProcessNode",
    "Produced",
    "QoSClass",
    "QueueCaps",
    "Report",
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
