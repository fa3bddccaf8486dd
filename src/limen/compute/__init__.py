"""What infers: backends, the models they load, and the artifacts those come from."""

from limen.compute._artifact import ModelArtifact
from limen.compute._backends import find_backend
from limen.compute.contract import (
    BackendCapabilities,
    ComputeBackend,
    ComputeModel,
    ModelMetadata,
)

__all__ = [
    "BackendCapabilities",
    "ComputeBackend",
    "ComputeModel",
    "ModelArtifact",
    "ModelMetadata",
    "find_backend",
]
