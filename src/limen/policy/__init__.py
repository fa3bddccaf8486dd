"""What is decided about messages: plain immutable values and pure functions."""

from limen.policy._activation import Activation, InputState, inputs_ended, inputs_ready
from limen.policy._admission import (
    AdmissionDecision,
    AdmissionVerdict,
    Item,
    Refusal,
    RingView,
    decide,
    effective_deadline_ns,
)
from limen.policy._batching import (
    Batching,
    BatchingTicks,
    Members,
    Prefix,
    batch_ready,
    closing_tick,
    measure,
)
from limen.policy._edge import AdmissionPolicy, EdgePolicy, QueueCaps, RetentionMode, Watermark
from limen.policy._node import Deadline, ErrorAction, NodePolicy

__all__ = [
    "Activation",
    "AdmissionDecision",
    "AdmissionPolicy",
    "AdmissionVerdict",
    "Batching",
    "BatchingTicks",
    "Deadline",
    "EdgePolicy",
    "ErrorAction",
    "InputState",
    "Item",
    "Members",
    "NodePolicy",
    "Prefix",
    "QueueCaps",
    "Refusal",
    "RetentionMode",
    "RingView",
    "Watermark",
    "batch_ready",
    "closing_tick",
    "decide",
    "effective_deadline_ns",
    "inputs_ended",
    "inputs_ready",
    "measure",
]
