"""The contract of an inference backend."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limen.compute._artifact import ModelArtifact
from limen.memory import PlacementAcceptance
from limen.types import DataType, MemoryClass, TensorSpec


@dataclass(frozen=True, slots=True)
class BackendCapabilities:
    """What a backend can do at most.

    Attributes:
        device_streams: Whether calls may overlap on a device.
        max_batch: Most items in one call; None where it sets no limit.
        dtypes: Element types it takes.
    """

    device_streams: bool
    max_batch: int | None
    dtypes: frozenset[DataType]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a loaded model takes and gives; specs leave the batch axis out.

    Attributes:
        inputs: Port name and spec, in the model's order.
        outputs: Likewise.
        max_batch: Most items in one call; None where the model sets no limit.
        preferred_memory: Memory that it reads without a copy.
    """

    inputs: tuple[tuple[str, TensorSpec], ...]
    outputs: tuple[tuple[str, TensorSpec], ...]
    max_batch: int | None
    preferred_memory: tuple[MemoryClass, ...] = (MemoryClass.HOST,)

    @property
    def accepts(self) -> PlacementAcceptance:
        """The preferred memory as a set."""
        accepted = PlacementAcceptance.empty()
        for memory in self.preferred_memory:
            accepted = accepted.union(PlacementAcceptance.exactly(memory))
        return accepted


class ComputeModel(abc.ABC):
    """One loaded model; used by one node, from one thread.

    - MODEL-1: ``metadata`` does not change over the model's life.
    - MODEL-2: ``infer_batch`` writes every item of ``out`` and reads nothing outside ``inp``.
    - MODEL-3: ``inp`` and ``out`` are C-contiguous of shape (items, …), 1 ≤ items ≤ max_batch.
    - MODEL-4: A failed call raises InferenceError; the model can be called again.
    """

    metadata: ModelMetadata

    @abc.abstractmethod
    def infer_batch(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        """Run the model on neighbouring items and write its output in place.

        Raises:
            InferenceError: The engine failed.
        """

    def infer_one(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        """Run the model on a single item, given without the batch axis."""
        self.infer_batch(inp[np.newaxis], out[np.newaxis])

    def drain(self) -> None:  # noqa: B027 - synchronous engines have nothing in flight
        """Wait for calls in flight."""

    def reset(self) -> None:  # noqa: B027 - stateless models have nothing to forget
        """Forget state kept between calls."""


class ComputeBackend(abc.ABC):
    """An inference engine; found by name under the entry-point group ``limen.backends``.

    - BACKEND-1: ``load_model`` raises InferenceError for anything that is no model of its format.
    - BACKEND-2: The engine's absence is InferenceError RESOURCE_UNAVAILABLE naming the extra.
    """

    name: str

    @abc.abstractmethod
    def capabilities(self) -> BackendCapabilities:
        """Return what the engine can do; imports nothing heavy."""

    @abc.abstractmethod
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        """Load a model and read its ports.

        Raises:
            InferenceError: Not a model, unsupported, or the engine is not installed.
        """
