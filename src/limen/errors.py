"""The error tree.

LimenError
├── ConfigurationError (ValueError)          10xx
│   └── MissingExtraError (ImportError)      1001
├── QueueError                               1xx
├── ManagerError                             2xx
│   └── PayloadMismatchError (TypeError)     206
├── NodeError (RuntimeError)                 3xx
├── InferenceError (RuntimeError)            4xx
│   ├── InvalidArtifactError (ValueError)    400
│   └── ModelMismatchError (TypeError)       401
├── GraphError (ValueError)                  5xx
│   └── PortMismatchError (TypeError)        501
├── SchedulerError (RuntimeError)            6xx
├── SensorError (OSError)                    7xx
├── OutputError (OSError)                    8xx
└── LifecycleError (RuntimeError)            9xx

Each error carries a ``code``: stable, append-only, meant for machines. Codes are banded by family,
as drawn, so that a number alone names its family; a leaf below a family is what is raised for its
one code. In brackets is the builtin that a caller would guess. Errors serve the cold paths: in the
hot path an ordinary outcome is a return value.
"""

from __future__ import annotations

import enum

__all__ = [
    "Code",
    "ConfigurationError",
    "GraphError",
    "InferenceError",
    "InvalidArtifactError",
    "LifecycleError",
    "LimenError",
    "ManagerError",
    "MissingExtraError",
    "ModelMismatchError",
    "NodeError",
    "OutputError",
    "PayloadMismatchError",
    "PortMismatchError",
    "QueueError",
    "SchedulerError",
    "SensorError",
]


class Code(enum.IntEnum):
    """Stable machine-readable reasons; append-only."""

    QUEUE_FULL = 100
    QUEUE_BACKPRESSURED = 101
    QUEUE_EMPTY = 102
    QUEUE_UNSUPPORTED = 103
    QUEUE_POISONED = 104

    NO_FREE_SLOTS = 200
    BAD_TOKEN = 201
    NOT_ALLOCATED = 202
    ALREADY_BORROWED = 203
    BORROW_ACTIVE = 204
    MANAGER_POISONED = 205
    PAYLOAD_MISMATCH = 206
    VIEW_KEPT = 207

    NODE_NO_INPUT = 300
    NODE_BACKPRESSURED = 301
    NODE_OVER_BUDGET = 302
    EXTERNAL_UNAVAILABLE = 303
    NODE_EXECUTION_FAILED = 304

    INVALID_ARTIFACT = 400
    MODEL_PORT_MISMATCH = 401
    INFERENCE_FAILED = 402
    RESOURCE_UNAVAILABLE = 403

    GRAPH_CYCLIC = 500
    INCOMPATIBLE_PORTS = 501
    INVALID_CAPACITY = 502
    INVALID_INDEX = 503
    OCCUPANCY_SAMPLE_FAILED = 504
    UNKNOWN_NAME = 505
    UNCONNECTED_PORT = 506
    DUPLICATE_PRODUCER = 507
    ARITY = 508
    BATCH_EXCEEDS_QUEUE = 509
    INVALID_NAME = 510
    UNKNOWN_TYPE = 511
    UNKNOWN_KEY = 512
    INVALID_VALUE = 513
    UNKNOWN_FORMAT_VERSION = 514
    UNREADABLE_FILE = 515
    DUPLICATE_NAME = 516
    UNBOUNDED_AXIS = 517
    BAD_COMPONENT = 518
    LATCH_ONLY = 519
    WOULD_DEADLOCK = 520
    CRITICALITY_FLOW = 521
    CLOCK_DOMAIN = 522
    VARIANT_MISMATCH = 523
    OVERLOADED = 524
    MEMORY_NOT_PROVIDED = 525
    NOT_PORTABLE = 526

    SCHEDULER_FAILED = 600

    SENSOR_OPEN = 700
    SENSOR_READ = 701
    SENSOR_END_OF_STREAM = 702
    SENSOR_RESET = 703
    SENSOR_CONFIGURATION = 704

    OUTPUT_WRITE = 800
    OUTPUT_FLUSH = 801

    CLOCK_UNINITIALISED = 900
    TELEMETRY_UNINITIALISED = 901
    WRONG_STATE = 902
    DEADLOCK = 903

    CONFIGURATION = 1000
    MISSING_EXTRA = 1001


class LimenError(Exception):
    """Base of every error Limen raises on purpose.

    Args:
        message: What is wrong and where.
        code: The stable reason.
        remedy: What would be right; empty where nothing useful can be said.
    """

    default_code: Code = Code.CONFIGURATION

    def __init__(self, message: str, *, code: Code | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class ConfigurationError(LimenError, ValueError):
    """A value given to a constructor is not valid."""

    default_code = Code.CONFIGURATION


class MissingExtraError(ConfigurationError, ImportError):
    """A package that an extra brings is not installed; the remedy names the extra."""

    default_code = Code.MISSING_EXTRA


class QueueError(LimenError):
    """An edge was used against its contract."""

    default_code = Code.QUEUE_UNSUPPORTED


class ManagerError(LimenError):
    """A memory manager refused a token, a payload or a borrow."""

    default_code = Code.BAD_TOKEN


class PayloadMismatchError(ManagerError, TypeError):
    """A payload is not what its port declares, or not what a payload can be."""

    default_code = Code.PAYLOAD_MISMATCH


class NodeError(LimenError, RuntimeError):
    """A node failed, or was stepped when it could not be."""

    default_code = Code.NODE_EXECUTION_FAILED


class InferenceError(LimenError, RuntimeError):
    """A model could not be loaded, does not fit, or failed while running."""

    default_code = Code.INFERENCE_FAILED


class InvalidArtifactError(InferenceError, ValueError):
    """A model file is missing, damaged, or of a kind that its backend does not know."""

    default_code = Code.INVALID_ARTIFACT


class ModelMismatchError(InferenceError, TypeError):
    """A model's tensors are not of the shape or type that is asked of them."""

    default_code = Code.MODEL_PORT_MISMATCH


class GraphError(LimenError, ValueError):
    """A graph is not valid; ``problems`` lists everything found, each with place and remedy."""

    default_code = Code.INVALID_INDEX

    def __init__(
        self,
        message: str,
        *,
        code: Code | None = None,
        remedy: str = "",
        problems: tuple[object, ...] = (),
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.problems = problems


class PortMismatchError(GraphError, TypeError):
    """What one port emits does not fit the port it is connected to."""

    default_code = Code.INCOMPATIBLE_PORTS


class SchedulerError(LimenError, RuntimeError):
    """A scheduling policy broke its contract."""

    default_code = Code.SCHEDULER_FAILED


class SensorError(LimenError, OSError):
    """A source could not be opened, read, reset or configured."""

    default_code = Code.SENSOR_READ


class OutputError(LimenError, OSError):
    """A sink could not write or flush."""

    default_code = Code.OUTPUT_WRITE


class LifecycleError(LimenError, RuntimeError):
    """Something was called in a state that does not allow it."""

    default_code = Code.WRONG_STATE
