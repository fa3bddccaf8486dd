"""What a call of a model consists of, and which arrays it takes for ones that it has seen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from limen.backends import _bound as bound_module
from limen.backends._bound import BoundModel
from limen.backends.onnxruntime import OnnxRuntimeBackend, OnnxRuntimeModel
from limen.backends.openvino import OpenVinoBackend
from limen.compute import ComputeBackend
from limen.errors import Code, InferenceError
from limen.memory import StaticMemoryManager
from limen.message import MessageHeader
from limen.types import DataType, SequenceNumber, TensorSpec, Ticks, TraceId
from models import make_model

SPEC = TensorSpec(DataType.F32, (4,))
Arrays = tuple[NDArray[np.generic], NDArray[np.generic]]


@pytest.fixture(params=[OnnxRuntimeBackend, OpenVinoBackend], ids=lambda made: made.name)
def model(request: pytest.FixtureRequest) -> BoundModel:
    """A model of ``2 * x + 1`` on four numbers."""
    backend: ComputeBackend = request.param()
    loaded = backend.load_model(make_model("line", "onnx", "free"))
    assert isinstance(loaded, BoundModel)
    return loaded


def slots(count: int = 2) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    inp = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
    return inp, np.full((count, 4), np.nan, np.float32)


def functions_run(call: Callable[[], None], skip: int = 1) -> list[str]:
    """Return the names of the Python functions that a call runs, behind the first so many."""
    seen: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen[skip:]


def through_a_manager(depth: int) -> Iterator[Arrays]:
    """Yield what a runtime has for each message in turn: the batch of one, and the room for one."""
    takes, gives = StaticMemoryManager(SPEC, depth), StaticMemoryManager(SPEC, depth + 1)
    for number in range(40):
        header = MessageHeader(
            trace_id=TraceId(number),
            sequence=SequenceNumber(number),
            creation_tick=Ticks(0),
            origin_tick=Ticks(0),
            payload_size_bytes=16,
        )
        room = takes.reserve(1)
        assert room is not None
        room[...] = number
        token = takes.commit(header)
        inp, out = takes.neighbours([token]), gives.reserve(1)
        assert inp is not None
        assert out is not None
        yield inp, out
        assert out.tolist() == [[2 * number + 1] * 4]
        takes.free(token)
        gives.free(gives.commit(header))


def test_a_call_on_slots_that_come_round_runs_one_function_of_ours_alone() -> None:
    model = OnnxRuntimeBackend().load_model(make_model("line", "onnx", "free"))
    ran = [
        functions_run(lambda inp=inp, out=out: model.infer_batch(inp, out))
        for inp, out in through_a_manager(2)
    ]
    assert ran[6:] == [["infer_batch"]] * 34
    assert all(len(functions) > 1 for functions in ran[:6])


def test_a_bound_call_runs_one_function_of_ours_alone() -> None:
    model = OnnxRuntimeBackend().load_model(make_model("line", "onnx", "free"))
    bound: dict[tuple[int, int], Callable[[], None]] = {}
    ran = []
    for inp, out in through_a_manager(2):
        call = bound.setdefault((id(inp), id(out)), model.bind(inp, out))
        ran.append(functions_run(call, skip=0))
    assert len(bound) == 6
    assert ran[6:] == [["call"]] * 34


def test_slots_of_managers_are_bound_once_for_each_pair(model: BoundModel) -> None:
    for inp, out in through_a_manager(2):
        model.infer_batch(inp, out)
    assert len(model._bindings) == len(model._known) == 6


def test_views_that_are_made_anew_are_known_by_where_they_lie(model: BoundModel) -> None:
    inp, out = slots(6)
    for turn in range(30):
        first = turn % 3
        out[...] = np.nan
        inp[...] = turn
        model.infer_batch(inp[first : first + 2], out[3:5])
        assert (out[3:5] == 2 * turn + 1).all()
        assert np.isnan(out[:3]).all()
        assert np.isnan(out[5:]).all()
    assert len(model._bindings) == 3


def test_other_views_of_bound_memory_are_checked_like_any_array(model: BoundModel) -> None:
    field, out = np.ones(8, np.float32).reshape(1, 8), np.zeros((1, 4), np.float32)
    inp = field[:, :4]
    model.infer_batch(inp, out)
    read_only = out[:]
    read_only.flags.writeable = False
    wrong = {
        "every other value": (field[:, ::2], out, Code.MODEL_PORT_MISMATCH),
        "of s32": (inp.view(np.int32), out, Code.MODEL_PORT_MISMATCH),
        "into s32": (inp, out.view(np.int32), Code.MODEL_PORT_MISMATCH),
        "wider": (field, out, Code.MODEL_PORT_MISMATCH),
        "read-only": (inp, read_only, Code.INFERENCE_FAILED),
    }
    for what, (given, into, code) in wrong.items():
        out[...] = -1
        with pytest.raises(InferenceError) as caught:
            model.infer_batch(given, into)
        assert caught.value.code is code, what
        assert (out == -1).all(), what
    model.infer_batch(field[:, :4], out[:])
    assert (out == 3).all()


def test_memory_that_does_not_lie_on_words_is_taken_each_time() -> None:
    model = OnnxRuntimeBackend().load_model(make_model("line", "onnx", "free"))
    raw = np.zeros(33, np.uint8)
    for turn in range(3):
        out = raw[1:17].view(np.float32).reshape(1, 4)
        model.infer_batch(np.full((1, 4), turn, np.float32), out)
        assert out.tolist() == [[2 * turn + 1] * 4]


def test_what_is_known_is_given_up_with_the_bindings(
    model: BoundModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bound_module, "_MAX_BINDINGS", 4)
    kept = [slots(1) for _ in range(6)]
    for turn in range(5):
        for inp, out in kept:
            inp[...] = turn
            model.infer_batch(inp, out)
            assert (out == 2 * turn + 1).all()
            assert len(model._known) == len(model._bindings) <= 4


class Package:
    """A session whose package keeps its inner one elsewhere, or calls it otherwise."""

    def __init__(self, session: object, inner: object | None) -> None:
        self._session, self._inner, self.runs = session, inner, 0

    def __getattr__(self, name: str) -> object:
        if name != "_sess":
            return getattr(self._session, name)
        if self._inner is None:
            raise AttributeError(name)
        return self._inner

    def run_with_iobinding(self, binding: object, run_options: object) -> None:
        self.runs += 1
        self._session.run_with_iobinding(binding, run_options)


def otherwise(binding: object) -> None:
    raise AssertionError("it was called")


@pytest.mark.parametrize("inner", [None, SimpleNamespace(run_with_iobinding=otherwise)])
def test_where_the_package_is_made_otherwise_its_public_method_is_called(
    inner: object | None,
) -> None:
    loaded = OnnxRuntimeBackend().load_model(make_model("line", "onnx", "free"))
    package = Package(loaded._session, inner)
    model = OnnxRuntimeModel(package, "m", onnxruntime.RunOptions())
    inp, out = slots()
    for turn in range(3):
        inp[...] = turn
        model.infer_batch(inp, out)
        assert (out == 2 * turn + 1).all()
    assert package.runs == 3


def test_a_binding_of_nothing_is_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    """Loading tries one, to see how the package calls its engine; it must compute nothing."""
    model = OnnxRuntimeBackend().load_model(make_model("line", "onnx", "free"))
    assert capfd.readouterr() == ("", "")
    nothing = model._session.io_binding()
    with pytest.raises(RuntimeError, match="output"):
        model._session.run_with_iobinding(nothing, onnxruntime.RunOptions())
    assert nothing.get_outputs() == []
