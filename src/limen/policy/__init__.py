"""What is decided about messages: plain immutable values and pure functions."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.policy._activation import (
    Activation,
    ActivationRule,
    InputState,
    Periodic,
    Trigger,
    inputs_ended,
    inputs_ready,
    next_period,
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
from limen.policy._budget import (
    Budget,
    DefaultOnTimeout,
    Degrade,
    DegradeState,
    OverBudget,
    OverBudgetAction,
    Switch,
    after_full,
    after_infeasible,
    after_variant,
    full_form,
)
from limen.policy._deadline import Deadline, OnMiss
from limen.policy._edge import AdmissionPolicy, EdgePolicy, QueueCaps, RetentionMode, Watermark
from limen.policy._errors import EmitFailsafe, ErrorAction, ErrorRule, Restart, backoff_ticks
from limen.policy._freshness import (
    Freshness,
    FreshnessTicks,
    OnStale,
    Unfit,
    is_stale,
    why_unfit,
)
from limen.policy._liveness import Liveness, is_violated
from limen.policy._node import InputPolicy, NodePolicy

if TYPE_CHECKING:
    from limen.policy._admission import (
        AdmissionDecision,
        AdmissionVerdict,
        Item,
        Refusal,
        RingView,
        decide,
        effective_deadline_ns,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.policy._admission": (
                "AdmissionDecision",
                "AdmissionVerdict",
                "Item",
                "Refusal",
                "RingView",
                "decide",
                "effective_deadline_ns",
            ),
        },
    )

__all__ = [
    "Activation",
    "ActivationRule",
    "AdmissionDecision",
    "AdmissionPolicy",
    "AdmissionVerdict",
    "Batching",
    "BatchingTicks",
    "Budget",
    "Deadline",
    "DefaultOnTimeout",
    "Degrade",
    "DegradeState",
    "EdgePolicy",
    "EmitFailsafe",
    "ErrorAction",
    "ErrorRule",
    "Freshness",
    "FreshnessTicks",
    "InputPolicy",
    "InputState",
    "Item",
    "Liveness",
    "Members",
    "NodePolicy",
    "OnMiss",
    "OnStale",
    "OverBudget",
    "OverBudgetAction",
    "Periodic",
    "Prefix",
    "QueueCaps",
    "Refusal",
    "Restart",
    "RetentionMode",
    "RingView",
    "Switch",
    "Trigger",
    "Unfit",
    "Watermark",
    "after_full",
    "after_infeasible",
    "after_variant",
    "backoff_ticks",
    "batch_ready",
    "closing_tick",
    "decide",
    "effective_deadline_ns",
    "full_form",
    "inputs_ended",
    "inputs_ready",
    "is_stale",
    "is_violated",
    "measure",
    "next_period",
    "why_unfit",
]
