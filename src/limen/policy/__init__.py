"""What is decided about messages: plain immutable values and pure functions."""

from limen.policy._admission import (
    AdmissionDecision,
    AdmissionVerdict,
    Item,
    Refusal,
    RingView,
    decide,
    effective_deadline_ns,
)
from limen.policy._batching import Batching, BatchingTicks
from limen.policy._edge import AdmissionPolicy, EdgePolicy, QueueCaps, Watermark
from limen.policy._node import Deadline, ErrorAction, NodePolicy

__all__ = [
    "AdmissionDecision",
    "AdmissionPolicy",
    "AdmissionVerdict",
    "Batching",
    "BatchingTicks",
    "Deadline",
    "EdgePolicy",
    "ErrorAction",
    "Item",
    "NodePolicy",
    "QueueCaps",
    "Refusal",
    "RingView",
    "Watermark",
    "decide",
    "effective_deadline_ns",
]
