"""Every contract in one place, for those who implement one."""

from limen.compute import ComputeBackend, ComputeModel
from limen.edge import Edge, EdgeConsumer, EdgeFactory, EdgeProducer
from limen.memory import CheckedManager, HeaderStore, MemoryManager
from limen.message import Payload
from limen.node import Node, Sink, Source, StepContext
from limen.platform import PlatformClock
from limen.runtime import LimenRuntime
from limen.scheduling import DequeuePolicy
from limen.telemetry import EventSink, Telemetry

__all__ = [
    "CheckedManager",
    "ComputeBackend",
    "ComputeModel",
    "DequeuePolicy",
    "Edge",
    "EdgeConsumer",
    "EdgeFactory",
    "EdgeProducer",
    "EventSink",
    "HeaderStore",
    "LimenRuntime",
    "MemoryManager",
    "Node",
    "Payload",
    "PlatformClock",
    "Sink",
    "Source",
    "StepContext",
    "Telemetry",
]
