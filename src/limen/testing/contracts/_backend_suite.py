"""What the suites of inference backends share: the model that is asked for, and calls of it."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from limen.compute import ComputeBackend, ComputeModel, ModelArtifact
from limen.testing.contracts._contract import Contract

Floats = NDArray[np.float32]

WIDTH = 4
TOLERANCE = 1e-5


class ReferenceModel(enum.Enum):
    """The models that a backend is asked for, in its own format.

    All take ``x``, f32[4], and give ``y``, f32[4], which is ``2 * x + 1``: ANY_BATCH for any number
    of items at once, ONE_ITEM for a batch axis of length 1.
    """

    ANY_BATCH = "any_batch"
    ONE_ITEM = "one_item"


class BackendSuite(Contract):
    """Makes backends and models for the clauses.

    Attributes:
        engine: The package that the engine comes in, as it is imported.
    """

    capabilities: ClassVar[Mapping[str, str]] = {
        "any batch": "it runs models whose batch axis has no length of its own",
        "engine": "its engine is a package that may be missing",
        "truncation": "a file that is cut off can be told from a whole one",
    }
    engine: ClassVar[str] = ""

    @abc.abstractmethod
    def make(self) -> ComputeBackend:
        """Return a new backend; called for every test."""

    @abc.abstractmethod
    def artifact(self, model: ReferenceModel) -> ModelArtifact:
        """Return a reference model in the backend's format."""

    def _models(self) -> list[ReferenceModel]:
        if "any batch" in self.lacks:
            return [ReferenceModel.ONE_ITEM]
        return [ReferenceModel.ONE_ITEM, ReferenceModel.ANY_BATCH]

    def _most(self) -> int:
        return 1 if "any batch" in self.lacks else 5

    def _load(self) -> ComputeModel:
        return self.make().load_model(self.artifact(self._models()[-1]))

    def _infer(self, model: ComputeModel, items: Floats) -> Floats:
        out = empty(len(items))
        model.infer_batch(items, out)
        return out


def make_items(count: int) -> Floats:
    values = np.linspace(-3, 3, max(count, 1) * WIDTH, dtype=np.float32)
    return values.reshape(-1, WIDTH)[:count].copy()


def reference(items: Floats) -> Floats:
    return 2 * items + 1


def empty(count: int) -> Floats:
    return np.full((count, WIDTH), np.nan, np.float32)
