"""A model as a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limen.compute import ComputeBackend, ComputeModel, ModelArtifact
from limen.errors import Code, InferenceError, LimenError, ModelMismatchError
from limen.message import BatchView
from limen.node._model_ports import common_batch, port_name, shape_of
from limen.node._signature import check_stackable, match_spec
from limen.node.contract import (
    CallForm,
    DirectCall,
    Node,
    NodeKind,
    NodePorts,
    Port,
    StepContext,
    StepResult,
)
from limen.types import PayloadSpec, TensorSpec, error_text, require_whole


class InferenceModel(Node):
    """Runs a model on batches of up to min(policy, backend, ``max_batch``) messages.

    Each message of a batch gives one result with that message's own header. Ports and their types
    come from the model file, which is read when the graph is checked.

    Args:
        backend: The engine.
        artifact: The model, or the path of its file, which is read when the graph is checked.
        max_batch: Most items in one call.
        first_axis_is_batch: Whether the first axis of the model's tensors, of a fixed length, is a
            batch: shorter batches are filled up with zeros, and what comes of those is thrown away
            and counted. Without it such a model takes its whole tensor as one message.
    """

    kind = NodeKind.MODEL
    one_to_one = True

    def __init__(
        self,
        backend: ComputeBackend,
        artifact: ModelArtifact | Path,
        max_batch: int | None = None,
        *,
        first_axis_is_batch: bool = False,
    ) -> None:
        self.backend = backend
        self._artifact = artifact
        self._limit = None if max_batch is None else require_whole("max_batch", max_batch)
        self._first_axis_is_batch = first_axis_is_batch
        self._loaded: ComputeModel | None = None
        self._staged: tuple[ComputeModel, ModelArtifact] | None = None
        self._previous: tuple[ComputeModel, ModelArtifact | Path] | None = None
        self._rolled_back = False
        self._load_failure: str | None = None

    def prepare(self) -> None:
        """Load the model and read its ports."""
        if self._loaded is not None:
            return
        artifact = self._artifact
        if isinstance(artifact, Path):
            artifact = self._artifact = ModelArtifact.from_path(artifact)
        loaded, fixed_batch, limit = self._load(artifact)
        self.fixed_batch, self.max_batch = fixed_batch, limit
        self._loaded = loaded

    def _load(self, artifact: ModelArtifact) -> tuple[ComputeModel, int | None, int | None]:
        """Load a model; it, the length of its fixed batch, and the most items in a call."""
        label = artifact.label
        model = self.backend.load_model(artifact)
        metadata = model.metadata
        if len(metadata.inputs) != 1 or len(metadata.outputs) != 1:
            raise ModelMismatchError(
                f"model {label!r} has {len(metadata.inputs)} inputs and "
                f"{len(metadata.outputs)} outputs",
                remedy="use a model with one input and one output",
            )
        limit = metadata.max_batch
        fixed_batch = None
        if self._first_axis_is_batch:
            limit = fixed_batch = common_batch(metadata, label)
        limits = (self._limit, self.backend.capabilities().max_batch, limit)
        return model, fixed_batch, min((n for n in limits if n is not None), default=None)

    def stage(self, artifact: ModelArtifact | Path) -> ModelArtifact:
        """Load and warm another model beside the one that runs; the next step takes it over.

        Called from any thread while the graph runs; blocks until the model has answered once. The
        model that runs is not touched, and stays where this raises.

        Args:
            artifact: The new model, or the path of its file; its ports and batches are those of
                the old one.

        Returns:
            The new model as it was read.

        Raises:
            InferenceError: It cannot be loaded, does not fit, or fails.
        """
        try:
            if isinstance(artifact, Path):
                artifact = ModelArtifact.from_path(artifact)
            self._stage(artifact)
        except LimenError as error:
            self._load_failure = _why(error)
            raise
        return artifact

    def _stage(self, artifact: ModelArtifact) -> None:
        old = self.model
        model, fixed_batch, limit = self._load(artifact)
        wanted, found = (shape_of(m.metadata) for m in (old, model))
        if wanted != found or fixed_batch != self.fixed_batch:
            raise ModelMismatchError(
                f"model {artifact.label!r} has other ports than the one that runs",
                remedy="swap in a model of the same inputs and outputs",
            )
        if limit is not None and (self.max_batch is None or limit < self.max_batch):
            raise ModelMismatchError(
                f"model {artifact.label!r} takes at most {limit} items, the one that runs more",
                remedy="export it with a free batch axis, or lower max_batch",
            )
        self._warm(model)
        # One assignment: the step that comes next sees all of it or nothing.
        self._staged = (model, artifact)

    @property
    def has_staged(self) -> bool:
        """Whether a staged model waits for the next step."""
        return self._staged is not None

    def _warm(self, model: ComputeModel) -> None:
        """Have a model answer once on zeros, so that it is known to work and has all it needs."""
        (_, takes), (_, gives) = model.metadata.inputs[0], model.metadata.outputs[0]
        if not (takes.is_fixed and gives.is_fixed):
            return
        lead = () if self.fixed_batch is not None else (1,)
        inp = np.zeros((*lead, *takes.fixed_shape), takes.dtype.numpy_dtype())
        out = np.zeros((*lead, *gives.fixed_shape), gives.dtype.numpy_dtype())
        if self.fixed_batch is None:
            model.infer_batch(inp, out)
        else:
            model.infer_one(inp, out)

    def adopt(self) -> str | None:
        """Take over a staged model; told as the decision log has it, None if there is nothing."""
        if self._rolled_back:
            self._rolled_back = False
            return "rolled_back"
        staged, self._staged = self._staged, None
        if staged is None:
            return None
        if self._loaded is not None:
            # One that fails to stays: what it has in flight is not known.
            self._loaded.drain()
            # Kept until a new one has answered in earnest; one that never did is no way back.
            self._previous = self._previous or (self._loaded, self._artifact)
        self._loaded, self._artifact = staged
        return "swapped"

    def load_failure(self) -> str | None:
        """Say, once, why a model could not be staged or was given up again; the last reason."""
        failure, self._load_failure = self._load_failure, None
        return failure

    @property
    def model(self) -> ComputeModel:
        """The loaded model.

        Raises:
            InferenceError: ``prepare`` has not been called.
        """
        if self._loaded is None:
            raise InferenceError(
                "the model is not loaded",
                code=Code.RESOURCE_UNAVAILABLE,
                remedy="check the graph first",
            )
        return self._loaded

    @property
    def path(self) -> Path | None:
        """The model's file; None if it was given as bytes."""
        return self._artifact if isinstance(self._artifact, Path) else self._artifact.path

    @property
    def input_names(self) -> tuple[str, ...]:
        """The model's input."""
        return tuple(port_name(name) for name, _ in self.model.metadata.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The model's output."""
        return tuple(port_name(name) for name, _ in self.model.metadata.outputs)

    @property
    def artifact(self) -> ModelArtifact:
        """The model as it was read; valid after ``prepare``."""
        if not isinstance(self._artifact, ModelArtifact):
            self._artifact = ModelArtifact.from_path(self._artifact)
        return self._artifact

    @property
    def artifact_sha256(self) -> str | None:
        """Digest of the model file; None before it has been read."""
        return self._artifact.sha256 if isinstance(self._artifact, ModelArtifact) else None

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Check what arrives against the model's input."""
        wanted, output = (ports[0][1] for ports in self._specs())
        arriving = inputs.get(self.input_names[0], wanted)
        axes = match_spec(self.input_names[0], wanted, arriving)
        check_stackable(self.input_names[0], arriving)
        output = output.bind(axes)
        accepts = self.model.metadata.accepts
        return NodePorts(
            (Port(self.input_names[0], arriving, accepts=accepts),),
            (Port(self.output_names[0], output),),
        )

    def step(self, ctx: StepContext) -> StepResult:
        """Run the model once on the batch that is ready."""
        return ctx.pop_batch_and_process(self.input_names[0], self._infer)

    def bind(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> Callable[[], None]:
        """Return a call of the model on two arrays, for executors that know their slots.

        Such an executor asks ``adopt`` before each step, as any does. Where that returns something,
        another model runs: what was bound before runs the old one still, and is to be given up and
        bound anew when it is needed next. A new model's first call can be a bound one: where it
        fails, the old model does it, and stays.

        Args:
            inp: The items side by side, as a step hands them over: of a model with ``fixed_batch``
                as many as that.
            out: Room for as many results.

        Raises:
            InferenceError: They do not fit, or the engine does not take them; what a failed call
                raises, from ``bind`` or from the call that it returned.
        """
        if self._previous is None:
            return self._bind(inp, out)
        settled: Callable[[], None] | None = None

        def call() -> None:
            nonlocal settled
            if settled is None:
                if self._previous is not None:
                    self._answer(inp, out)
                    return
                settled = self._bind(inp, out)
            settled()

        return call

    def direct_call(self) -> DirectCall | None:
        """Return what binds the model to slots, where a step does no more than run it."""
        own = type(self)
        parts = (own.step, own._infer, own._answer, own._run, own._bind, own.bind, own.adopt)
        base = InferenceModel
        if parts != (
            *(base.step, base._infer, base._answer),
            *(base._run, base._bind, base.bind, base.adopt),
        ):
            return None
        return DirectCall(CallForm.INFER, self.bind, pauses=self._is_changing)

    def _is_changing(self) -> bool:
        """Whether a model waits to be taken over, is on probation, or was given up again."""
        return not (self._staged is None and self._previous is None and not self._rolled_back)

    def reset(self) -> None:
        """Let the model forget."""
        if self._loaded is not None:
            self._loaded.reset()

    def _specs(self) -> tuple[tuple[tuple[str, TensorSpec], ...], ...]:
        """Return inputs and outputs as one item has them."""
        metadata = self.model.metadata
        if self.fixed_batch is None:
            return metadata.inputs, metadata.outputs
        return tuple(
            tuple((name, TensorSpec(s.dtype, s.shape[1:], s.labels)) for name, s in ports)
            for ports in (metadata.inputs, metadata.outputs)
        )

    def _infer(self, batch: BatchView, out: NDArray[np.generic]) -> None:
        self._answer(np.asarray(batch.payloads), out)

    def _answer(self, payloads: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        if self._previous is None:
            self._run(payloads, out)
            return
        try:
            self._run(payloads, out)
        except Exception as error:
            # The first call of a new model: the old one does it, and stays.
            self._loaded, self._artifact = self._previous
            self._rolled_back = True
            self._load_failure = _why(error)
            self._run(payloads, out)
        finally:
            self._previous = None

    def _run(self, payloads: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        if self.fixed_batch is None:
            self.model.infer_batch(payloads, out)
        else:
            self.model.infer_one(payloads, out)

    def _bind(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> Callable[[], None]:
        if self.fixed_batch is None:
            return self.model.bind(inp, out)
        return self.model.bind(inp[np.newaxis], out[np.newaxis])


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, LimenError) else error_text(error)
