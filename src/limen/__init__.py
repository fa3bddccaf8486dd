"""Limen: edge inference as a typed graph whose queues, batches and deadlines are enforced.

This module is the prelude for applications; implementers find contracts in the layers themselves.
"""

from typing import TYPE_CHECKING

from limen._lazy import lazily
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
    Budget,
    Deadline,
    DefaultOnTimeout,
    Degrade,
    EdgePolicy,
    EmitFailsafe,
    ErrorAction,
    Freshness,
    InputPolicy,
    Liveness,
    NodePolicy,
    OnMiss,
    OnStale,
    OverBudgetAction,
    Periodic,
    QueueCaps,
    Restart,
    RetentionMode,
    Trigger,
)
from limen.types import CriticalityClass, DataType, ObjectSpec, QoSClass, TensorSpec, UpTo

if TYPE_CHECKING:
    from limen import io, nodes
    from limen.app import Model, Report, check, load, run
else:
    # What describes a graph is there at once; what runs one comes with the first run.
    __getattr__, __dir__ = lazily(
        __name__,
        {"limen.app": ("Model", "Report", "check", "load", "run")},
        ("app", "compute", "io", "nodes", "runtime", "scheduling"),
    )

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "AdmissionPolicy",
    "Batching",
    "Budget",
    "Consumed",
    "CriticalityClass",
    "DataType",
    "Deadline",
    "DefaultOnTimeout",
    "Degrade",
    "EdgePolicy",
    "EmitFailsafe",
    "ErrorAction",
    "Freshness",
    "Graph",
    "InputPolicy",
    "LimenError",
    "Liveness",
    "Model",
    "MonotonicClock",
    "NodePolicy",
    "NoopClock",
    "ObjectSpec",
    "OnMiss",
    "OnStale",
    "Output",
    "Outputs",
    "OverBudgetAction",
    "Periodic",
    "ProcessNode",
    "Produced",
    "QoSClass",
    "QueueCaps",
    "Report",
    "Restart",
    "RetentionMode",
    "SimClock",
    "Sink",
    "Skip",
    "Source",
    "SourceSignal",
    "TensorSpec",
    "Trigger",
    "UpTo",
    "check",
    "io",
    "load",
    "node",
    "nodes",
    "run",
]
