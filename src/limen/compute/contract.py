"""The contract of an inference backend."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
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

    - MODEL-1: ``metadata`` states the model's ports, without their batch axis.
    - MODEL-2: ``metadata`` does not change over the model's life.
    - MODEL-3: ``infer_batch`` writes the model's result of every item into ``out``.
    - MODEL-4: It leaves ``inp`` as it is.
    - MODEL-5: It writes nothing beside ``out``.
    - MODEL-6: It takes any number of items up to ``max_batch``, in any order of numbers.
    - MODEL-7: An item's result does not depend on the others of its batch.
    - MODEL-8: Equal calls give equal results, wherever the arrays lie.
    - MODEL-9: A result stays in ``out`` when the next call is made.
    - MODEL-10: ``infer_one`` gives what a batch of one gives.
    - MODEL-11: Arrays of another dtype or shape, or of strides that are not C's, are refused with
      MODEL_PORT_MISMATCH.
    - MODEL-12: Different numbers of items in ``inp`` and ``out`` are refused with
      MODEL_PORT_MISMATCH.
    - MODEL-13: More items than ``max_batch`` are refused with MODEL_PORT_MISMATCH.
    - MODEL-14: An ``out`` that cannot be written is refused with INFERENCE_FAILED.
    - MODEL-15: After a call that was refused the model can be called again.
    - MODEL-16: It forgets nothing with ``drain``, and all of its calls with ``reset``.
    - MODEL-17: Calls on arrays that come round again keep nothing that they allocate.
    - MODEL-18: Two models of one artifact do not disturb each other.
    - MODEL-19: A call that ``bind`` returned writes what ``infer_batch`` would write, of what the
      input holds by then, whenever it is made.
    - MODEL-20: ``bind`` leaves both arrays as they are.
    - MODEL-21: What ``infer_batch`` refuses is refused with the same code by ``bind``, or by the
      call that it returned.
    - MODEL-22: A bound call keeps its arrays: nobody else needs to.
    - MODEL-23: Bound calls and others do not disturb each other, in whatever order.
    - MODEL-24: Bound calls keep nothing that they allocate.
    - MODEL-25: A bound call that is given up leaves nothing behind.
    """

    metadata: ModelMetadata

    @abc.abstractmethod
    def infer_batch(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        """Run the model on neighbouring items and write its output in place.

        Raises:
            InferenceError: The engine failed.
        """

    def bind(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> Callable[[], None]:
        """Return a call of ``infer_batch`` on two arrays, for slots that come round.

        Called by executors that know the pairs of slots, once for each. Engines that can be told
        beforehand where to read and write override it, so that the call looks nothing up. The
        arrays may be written between calls, but not resized, reshaped or retyped in place.

        Raises:
            InferenceError: The arrays do not fit; where ``bind`` takes them, the call raises it, as
                it does when the engine fails.
        """
        return functools.partial(self.infer_batch, inp, out)

    def infer_one(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        """Run the model on a single item, given without the batch axis."""
        self.infer_batch(inp[np.newaxis], out[np.newaxis])

    def drain(self) -> None:  # noqa: B027 - synchronous engines have nothing in flight
        """Wait for calls in flight."""

    def reset(self) -> None:  # noqa: B027 - stateless models have nothing to forget
        """Forget state kept between calls."""


class ComputeBackend(abc.ABC):
    """An inference engine; found by name under the entry-point group ``limen.backends``.

    What the entry point names is called with ``threads``: how many threads one call may use.

    - BACKEND-1: ``name`` is the one that the entry point has: letters, digits and _.
    - BACKEND-2: ``capabilities`` says the same each time: some dtypes, and no batch below 1.
    - BACKEND-3: ``load_model`` refuses what is no model with INVALID_ARTIFACT.
    - BACKEND-4: It refuses a model that is cut off with INVALID_ARTIFACT.
    - BACKEND-5: The error of a refusal names the artifact.
    - BACKEND-6: After a refusal the backend loads what it can load.
    - BACKEND-7: An artifact is the same model each time.
    - BACKEND-8: A model that is given up leaves no thread behind.
    - BACKEND-9: A model that is given up leaves no memory behind.
    - BACKEND-10: The engine's absence is RESOURCE_UNAVAILABLE, and says what to install.
    """

    name: str

    @abc.abstractmethod
    def capabilities(self) -> BackendCapabilities:
        """Return what the engine can do; imports nothing heavy."""

    def engine(self) -> str:
        """Import the engine and name it with its version, as ``limen doctor`` shows it.

        Returns:
            One line; empty for a backend that needs no engine of its own.

        Raises:
            InferenceError: RESOURCE_UNAVAILABLE: it is not installed, or broken.
        """
        return ""

    @abc.abstractmethod
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        """Load a model and read its ports.

        Raises:
            InferenceError: Not a model, unsupported, or the engine is not installed.
        """
