"""Every backend of ours under the kit, and the kit under backends that break one clause each."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from limen.backends.c import CBackend
from limen.backends.litert import LiteRtBackend
from limen.backends.onnxruntime import OnnxRuntimeBackend
from limen.backends.openvino import OpenVinoBackend
from limen.compute import (
    BackendCapabilities,
    ComputeBackend,
    ComputeModel,
    ModelArtifact,
    ModelMetadata,
)
from limen.errors import (
    Code,
    InferenceError,
    InvalidArtifactError,
    LimenError,
    ModelMismatchError,
)
from limen.testing import BackendContract, ReferenceModel
from limen.types import DataType, TensorSpec
from models import Format, make_model
from sabotage import assert_all_have_saboteurs, assert_caught, assert_holds, assert_matched


class EngineSuite(BackendContract):
    """Asks the makers of models for those of the kit."""

    form: ClassVar[Format]

    def artifact(self, model: ReferenceModel) -> ModelArtifact:
        return make_model("line", self.form, "free" if model is ReferenceModel.ANY_BATCH else "one")


class OnnxRuntimeSuite(EngineSuite):
    engine, form = "onnxruntime", "onnx"

    def make(self) -> ComputeBackend:
        return OnnxRuntimeBackend()


class LiteRtSuite(EngineSuite):
    engine, form = "ai_edge_litert", "tflite"

    def make(self) -> ComputeBackend:
        return LiteRtBackend()


class OpenVinoOnnxSuite(EngineSuite):
    engine, form = "openvino", "onnx"

    def make(self) -> ComputeBackend:
        return OpenVinoBackend()


class OpenVinoIrSuite(EngineSuite):
    engine, form = "openvino", "ir"

    def make(self) -> ComputeBackend:
        return OpenVinoBackend()


class CSuite(EngineSuite):
    engine, form = "emx_onnx_cgen", "onnx"

    def make(self) -> ComputeBackend:
        return CBackend()


_SUITES = (OnnxRuntimeSuite, LiteRtSuite, OpenVinoOnnxSuite, OpenVinoIrSuite, CSuite)


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_it_passes_without_pytest_as_well(suite: type[BackendContract]) -> None:
    assert_holds(suite)


class NumpyModel(ComputeModel):
    """What saboteurs are made of."""

    def __init__(self, most: int | None) -> None:
        spec = TensorSpec(DataType.F32, (4,))
        self.metadata = ModelMetadata((("x", spec),), (("y", spec),), most)

    def infer_batch(self, inp: np.ndarray, out: np.ndarray) -> None:
        self.check(inp, out)
        self.compute(inp, out)

    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        self.check(inp, out)
        return functools.partial(self.compute, inp, out)

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        np.multiply(inp, np.float32(2), out=out)
        np.add(out, np.float32(1), out=out)

    def check(self, inp: np.ndarray, out: np.ndarray) -> None:
        self.check_count(inp, out)
        self.check_arrays(inp, out)
        self.check_writable(out)

    def check_count(self, inp: np.ndarray, out: np.ndarray) -> None:
        self.check_agreement(inp, out)
        if self.metadata.max_batch is not None and len(inp) > self.metadata.max_batch:
            raise ModelMismatchError("too many items")

    def check_agreement(self, inp: np.ndarray, out: np.ndarray) -> None:
        if not 0 < len(inp) == len(out):
            raise ModelMismatchError("not as many items in as out")

    def check_arrays(self, inp: np.ndarray, out: np.ndarray) -> None:
        for array in (inp, out):
            if array.dtype != np.float32 or array.shape[1:] != (4,) or not array.flags.c_contiguous:
                raise ModelMismatchError("an array does not fit")

    def check_writable(self, out: np.ndarray) -> None:
        if not out.flags.writeable:
            raise InferenceError("read-only", code=Code.INFERENCE_FAILED)


class NumpyBackend(ComputeBackend):
    """Runs models that are a line of JSON."""

    name = "numpy_affine"

    def __init__(self, model: Callable[[int | None], ComputeModel] = NumpyModel) -> None:
        self.model = model

    def capabilities(self) -> BackendCapabilities:
        return BackendCapabilities(False, None, frozenset({DataType.F32}))

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        import quopri  # noqa: F401  # stands for an engine: a module that nothing else needs

        try:
            most = json.loads(artifact.data)["most"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidArtifactError(f"model {artifact.label!r}: {error}") from error
        return self.model(most)


class NumpySuite(BackendContract):
    engine = "quopri"

    def make(self) -> ComputeBackend:
        return NeedsEngine()

    def artifact(self, model: ReferenceModel) -> ModelArtifact:
        most = None if model is ReferenceModel.ANY_BATCH else 1
        return ModelArtifact.from_bytes(json.dumps({"most": most}).encode(), "line")


class NeedsEngine(NumpyBackend):
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        try:
            return super().load_model(artifact)
        except ImportError as error:
            raise InferenceError(
                "no engine", code=Code.RESOURCE_UNAVAILABLE, remedy="pip install it"
            ) from error


def of(model: Callable[[int | None], ComputeModel]) -> Callable[[], ComputeBackend]:
    return lambda: NeedsEngine(model)


class Spaced(NeedsEngine):
    name = "numpy affine"


class Growing(NeedsEngine):
    loaded = False

    def capabilities(self) -> BackendCapabilities:
        return replace(super().capabilities(), device_streams=self.loaded)

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        self.loaded = True
        return super().load_model(artifact)


class LoadsPictures(NeedsEngine):
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        return self.model(None) if artifact.data[:4] == b"\x89PNG" else super().load_model(artifact)


class LoadsHalves(NeedsEngine):
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        cut_off = artifact.data[:2] == b'{"' and artifact.data[-1:] != b"}"
        return self.model(None) if cut_off else super().load_model(artifact)


class Nameless(NeedsEngine):
    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        try:
            return super().load_model(artifact)
        except InvalidArtifactError:
            raise InvalidArtifactError("a model is none") from None


class GivesUp(NeedsEngine):
    given_up = False

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        if self.given_up:
            raise InferenceError("closed", code=Code.RESOURCE_UNAVAILABLE)
        self.given_up = artifact.data == b"no model"
        return super().load_model(artifact)


class Renames(NeedsEngine):
    loads = 0

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        model = super().load_model(artifact)
        self.loads += 1
        (_, spec), *_ = model.metadata.inputs
        model.metadata = replace(model.metadata, inputs=((f"x{self.loads}", spec),))
        return model


class LeavesThreads(NumpyModel):
    """Has a thread of its own, which nobody ends before the tests do."""

    over: ClassVar[threading.Event] = threading.Event()

    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        threading.Thread(target=self.over.wait, daemon=True).start()


class LeavesMemory(NumpyModel):
    left: ClassVar[list[np.ndarray]] = []

    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        self.left.append(np.ones(1 << 17))


class WithBatchAxis(NumpyModel):
    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        spec = TensorSpec(DataType.F32, ("n", 4))
        self.metadata = replace(self.metadata, inputs=(("x", spec),))


class ChangesItsPorts(NumpyModel):
    def check_arrays(self, inp: np.ndarray, out: np.ndarray) -> None:
        if inp.shape[1:] == (9,):
            self.metadata = replace(self.metadata, outputs=())
        super().check_arrays(inp, out)


class ForgetsTheLast(NumpyModel):
    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        written = 4 if len(inp) == 5 else len(inp)
        super().compute(inp[:written], out[:written])


class WritesInput(NumpyModel):
    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        if len(inp) == 5 and out.base is None:
            inp += 1


class WritesBeside(NumpyModel):
    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        if out.base is not None and out.base.shape == (9, 4):
            out.base[0] = 0


class TakesPowersOfTwo(NumpyModel):
    def check_count(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().check_count(inp, out)
        if len(inp) == 3:
            raise ModelMismatchError("three items")


class Normalises(NumpyModel):
    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        if len(inp) == 6:
            out -= out.mean()


class Drifts(NumpyModel):
    calls = 0

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        self.calls += 1
        if self.calls == 4 and inp[0].tolist() == [-3, -1, 1, 3]:
            out += 1e-6


class KeepsItsOutput(NumpyModel):
    """Writes into what it was given last as well."""

    last: np.ndarray | None = None

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        if inp.base is None:
            if self.last is not None and self.last.shape == out.shape:
                self.last[...] = out
            self.last = out


class OneIsNone(NumpyModel):
    def infer_one(self, inp: np.ndarray, out: np.ndarray) -> None:
        out[...] = 0


class Casts(NumpyModel):
    def check_arrays(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().check_arrays(inp.astype(np.float32), out)


class TakesTheFewer(NumpyModel):
    def check_agreement(self, inp: np.ndarray, out: np.ndarray) -> None:
        if len(inp) < 1:
            raise ModelMismatchError("no items")

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        fewer = min(len(inp), len(out))
        super().compute(inp[:fewer], out[:fewer])


class TakesMore(NumpyModel):
    def check_count(self, inp: np.ndarray, out: np.ndarray) -> None:
        self.check_agreement(inp, out)


class WritesAnyway(NumpyModel):
    def check_writable(self, out: np.ndarray) -> None:
        pass

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        if out.flags.writeable:
            super().compute(inp, out)


class BreaksWhenRefusing(NumpyModel):
    broken = False

    def check(self, inp: np.ndarray, out: np.ndarray) -> None:
        if self.broken:
            raise InferenceError("broken", code=Code.INFERENCE_FAILED)
        try:
            super().check(inp, out)
        except ModelMismatchError:
            self.broken = inp.shape == (1, 8)
            raise


class ResetBreaks(NumpyModel):
    shift = 0.0

    def reset(self) -> None:
        self.shift = 1.0

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        out += np.float32(self.shift)


class KeepsCalls(NumpyModel):
    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        self.past: list[np.ndarray] = []

    def infer_batch(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().infer_batch(inp, out)
        self.past.append(out.copy())


class SharesItsLast(NumpyModel):
    """Goes wrong behind a call of another one."""

    last: ClassVar[list[ComputeModel]] = []

    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        self.last.clear()

    def compute(self, inp: np.ndarray, out: np.ndarray) -> None:
        super().compute(inp, out)
        out += self.last not in ([], [self])
        self.last[:] = [self]


class Freezes(NumpyModel):
    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        self.check(inp, out)
        kept = (inp, inp.copy())
        return lambda: self.compute(kept[1], out)


class RunsWhenBound(NumpyModel):
    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        call = super().bind(inp, out)
        call()
        return call


class BindsAnything(NumpyModel):
    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        def call() -> None:
            with contextlib.suppress(LimenError):
                self.infer_batch(inp, out)

        return call


class HoldsLoosely(NumpyModel):
    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        self.check(inp, out)
        takes, gives = weakref.ref(inp), weakref.ref(out)

        def call() -> None:
            held = takes(), gives()
            if held[0] is not None and held[1] is not None:
                self.compute(held[0], held[1])

        return call


class BindsTheLast(NumpyModel):
    last: tuple[np.ndarray, np.ndarray]

    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        self.check(inp, out)
        self.last = (inp, out)
        return lambda: self.compute(*self.last)


class KeepsBoundCalls(NumpyModel):
    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        call, past = super().bind(inp, out), []

        def keeping() -> None:
            call()
            past.append(out.copy())

        return keeping


class KeepsWhatItBinds(NumpyModel):
    def __init__(self, most: int | None) -> None:
        super().__init__(most)
        self.bound: list[Callable[[], None]] = []

    def bind(self, inp: np.ndarray, out: np.ndarray) -> Callable[[], None]:
        self.bound.append(super().bind(inp, out))
        return self.bound[-1]


_SABOTEURS: dict[str, tuple[Callable[[], ComputeBackend], str]] = {
    "BACKEND-1": (Spaced, "'numpy affine'"),
    "BACKEND-2": (Growing, "and with a model loaded"),
    "BACKEND-3": (LoadsPictures, "a picture: None"),
    "BACKEND-4": (LoadsHalves, "the first 2 of 11 bytes: None"),
    "BACKEND-5": (Nameless, "says: a model is none"),
    "BACKEND-6": (GivesUp, "a model behind one that was refused: 403"),
    "BACKEND-7": (Renames, "loaded again"),
    "BACKEND-8": (of(LeavesThreads), "threads before three models"),
    "BACKEND-9": (of(LeavesMemory), "40 more models left"),
    "BACKEND-10": (NumpyBackend, "ModuleNotFoundError"),
    "MODEL-1": (of(WithBatchAxis), "the ports are"),
    "MODEL-2": (of(ChangesItsPorts), "the metadata was"),
    "MODEL-3": (of(ForgetsTheLast), "of 20 values 4 were not written"),
    "MODEL-4": (of(WritesInput), "20 of 20 values of the input were changed"),
    "MODEL-5": (of(WritesBeside), "4 values beside the output were written"),
    "MODEL-6": (of(TakesPowersOfTwo), "a batch of 3: 401"),
    "MODEL-7": (of(Normalises), "alone and in a batch of 6"),
    "MODEL-8": (of(Drifts), "call 3 of equal ones gave"),
    "MODEL-9": (of(KeepsItsOutput), "the next call changed"),
    "MODEL-10": (of(OneIsNone), "infer_one gave [0. 0. 0. 0.]"),
    "MODEL-11": (of(Casts), "an input of f64: None"),
    "MODEL-12": (of(TakesTheFewer), "1 items in, 2 out: None"),
    "MODEL-13": (of(TakesMore), "two items into a batch of one: None"),
    "MODEL-14": (of(WritesAnyway), "a read-only output: None"),
    "MODEL-15": (of(BreaksWhenRefusing), "a call behind one that was refused: 402"),
    "MODEL-16": (of(ResetBreaks), "behind drain and reset"),
    "MODEL-17": (of(KeepsCalls), "200 calls kept"),
    "MODEL-18": (of(SharesItsLast), "with another model at work"),
    "MODEL-19": (of(Freezes), "bound call 2 of the same arrays gave [-5."),
    "MODEL-20": (of(RunsWhenBound), "bind changed 4 of 4 values of the output"),
    "MODEL-21": (of(BindsAnything), "an input of f64, bound and called: None"),
    "MODEL-22": (of(HoldsLoosely), "the input of a bound call is gone"),
    "MODEL-23": (of(BindsTheLast), "of two bound calls number 1 wrote [[nan"),
    "MODEL-24": (of(KeepsBoundCalls), "200 bound calls kept"),
    "MODEL-25": (of(KeepsWhatItBinds), "200 calls that were bound and given up left"),
}


def test_what_saboteurs_are_made_of_passes() -> None:
    assert_holds(NumpySuite)


@pytest.mark.parametrize("clause", _SABOTEURS)
def test_a_saboteur_is_caught_for_its_clause_alone(clause: str) -> None:
    make, seen = _SABOTEURS[clause]
    LeavesThreads.over.clear()
    try:
        assert_caught(NumpySuite, clause, make, seen)
    finally:
        LeavesThreads.over.set()
        LeavesMemory.left.clear()


def test_every_clause_has_a_saboteur() -> None:
    assert_all_have_saboteurs(BackendContract, _SABOTEURS)


def test_the_docstring_and_the_suite_state_the_same_clauses() -> None:
    assert_matched(BackendContract)


_LACKS: Mapping[str, str] = {"any batch": "its models have a batch of one"}


class OneAtATimeSuite(OnnxRuntimeSuite):
    """A backend whose models all have a batch of one is held to all the rest."""

    lacks = _LACKS


class DefaultBind(NumpyModel):
    bind = ComputeModel.bind


class DefaultBindSuite(NumpySuite):
    """What a model inherits holds to the clauses about bound calls as well."""

    def make(self) -> ComputeBackend:
        return NeedsEngine(DefaultBind)
