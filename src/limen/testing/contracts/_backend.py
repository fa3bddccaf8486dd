"""The suite that every inference backend passes."""

from __future__ import annotations

import contextlib
import gc
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from limen.compute import ComputeBackend, ComputeModel, ModelArtifact
from limen.errors import Code, InferenceError, LimenError
from limen.testing.contracts._backend_bound import BoundCallClauses
from limen.testing.contracts._backend_suite import (
    TOLERANCE,
    WIDTH,
    ReferenceModel,
    empty,
    make_items,
    reference,
)
from limen.testing.contracts._contract import inapplicable, needs
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept
from limen.types import DataType, TensorSpec

_CALLS = 200
_LOADS = 40
# An allocator keeps some of what it was given back; a model that is kept comes to far more.
_LOADS_SLACK_BYTES = 24 << 20
_NO_MODELS = {
    "an empty file": b"",
    "one byte": b"\x08",
    "text": b"a model, believe me\n" * 20,
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
}


class BackendContract(BoundCallClauses):
    """Holds a backend and its models to BACKEND-1 … BACKEND-10 and MODEL-1 … MODEL-25.

    Write ``make`` and ``artifact``.

    Attributes:
        engine: The package that the engine comes in, as it is imported.
    """

    subjects = (ComputeBackend, ComputeModel)

    def test_backend_1_its_name_is_one(self) -> None:
        name = self.make().name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), f"the backend's name is {name!r}"

    def test_backend_2_capabilities_stay(self) -> None:
        backend = self.make()
        first = backend.capabilities()
        backend.load_model(self.artifact(ReferenceModel.ONE_ITEM))
        then = backend.capabilities()
        assert then == first, f"capabilities were {first}, and with a model loaded {then}"
        assert first.dtypes, "the backend takes no dtype"
        assert first.max_batch is None or first.max_batch >= 1, f"max_batch is {first.max_batch}"

    def test_backend_3_what_is_no_model_is_refused(self) -> None:
        backend = self.make()
        for what, data in _NO_MODELS.items():
            seen = code_raised(backend.load_model, ModelArtifact.from_bytes(data))
            assert seen is Code.INVALID_ARTIFACT, f"{what}: {seen}"

    @needs("truncation")
    def test_backend_4_what_is_cut_off_is_refused(self) -> None:
        backend = self.make()
        data = self.artifact(ReferenceModel.ONE_ITEM).data
        for part in (len(data) // 4, len(data) // 2):
            seen = code_raised(backend.load_model, ModelArtifact.from_bytes(data[:part]))
            assert seen is Code.INVALID_ARTIFACT, f"the first {part} of {len(data)} bytes: {seen}"

    def test_backend_5_a_refusal_names_the_artifact(self) -> None:
        backend = self.make()
        text = "nothing was raised"
        try:
            backend.load_model(ModelArtifact.from_bytes(b"no model", "gate_17"))
        except LimenError as error:
            text = str(error)
        assert "gate_17" in text, f"the refusal of 'gate_17' says: {text}"

    def test_backend_6_after_a_refusal_it_goes_on(self) -> None:
        backend = self.make()
        code_raised(backend.load_model, ModelArtifact.from_bytes(b"no model"))
        seen = code_raised(backend.load_model, self.artifact(ReferenceModel.ONE_ITEM))
        assert seen is None, f"a model behind one that was refused: {seen}"

    def test_backend_7_an_artifact_is_the_same_model_each_time(self) -> None:
        backend, artifact = self.make(), self.artifact(ReferenceModel.ONE_ITEM)
        first = backend.load_model(artifact).metadata
        again = backend.load_model(artifact).metadata
        assert again == first, f"loaded again, {first} is {again}"

    def test_backend_8_no_thread_is_left(self) -> None:
        self._load_and_call(1)
        before = _threads()
        self._load_and_call(3)
        after = _threads()
        assert after <= before, f"{before} threads before three models, {after} behind them"

    def test_backend_9_no_memory_is_left(self) -> None:
        self._load_and_call(_LOADS)
        before = _resident_bytes()
        if before is None:
            inapplicable("this system does not say how much memory a process has")
        self._load_and_call(_LOADS)
        grown = (_resident_bytes() or 0) - before
        assert grown < _LOADS_SLACK_BYTES, f"{_LOADS} more models left {grown} B behind"

    @needs("engine")
    def test_backend_10_a_missing_engine_is_named(self) -> None:
        backend = self.make()
        code, remedy = None, ""
        with _missing(self.engine):
            try:
                backend.load_model(self.artifact(ReferenceModel.ONE_ITEM))
            except InferenceError as error:
                code, remedy = error.code, error.remedy or ""
        assert code is Code.RESOURCE_UNAVAILABLE, f"without {self.engine}: {code}"
        assert "install" in remedy, f"without {self.engine} the remedy is {remedy!r}"

    def test_model_1_its_ports_are_stated(self) -> None:
        for which in self._models():
            found = self.make().load_model(self.artifact(which)).metadata
            ports = [spec for _, spec in (*found.inputs, *found.outputs)]
            wanted = [TensorSpec(DataType.F32, (WIDTH,))] * 2
            assert ports == wanted, f"{which.name}: the ports are {ports}, not {wanted}"
            most = None if which is ReferenceModel.ANY_BATCH else 1
            assert found.max_batch == most, (
                f"{which.name}: max_batch is {found.max_batch}, not {most}"
            )

    def test_model_2_its_metadata_stays(self) -> None:
        model = self._load()
        before = model.metadata
        self._infer(model, make_items(1))
        code_raised(model.infer_batch, np.zeros((1, 9), np.float32), empty(1))
        assert model.metadata == before, f"the metadata was {before}, and is {model.metadata}"

    def test_model_3_every_item_is_written(self) -> None:
        model = self._load()
        items = make_items(self._most())
        wanted = reference(items)
        out = self._infer(model, items)
        worst = float(np.nanmax(np.abs(out - wanted), initial=0.0))
        lost = int(np.isnan(out).sum())
        assert lost == 0, f"of {out.size} values {lost} were not written"
        assert worst <= TOLERANCE, f"a value is off by {worst}"

    def test_model_4_the_input_is_left(self) -> None:
        model = self._load()
        items = make_items(self._most())
        before = items.copy()
        self._infer(model, items)
        changed = int((items != before).sum())
        assert changed == 0, f"{changed} of {items.size} values of the input were changed"

    def test_model_5_nothing_beside_the_output_is_written(self) -> None:
        model = self._load()
        count = self._most()
        field = np.full((count + 4, WIDTH), -7.5, np.float32)
        model.infer_batch(make_items(count), field[2 : 2 + count])
        beside = np.concatenate([field[:2], field[2 + count :]])
        changed = int((beside != -7.5).sum())
        assert changed == 0, f"{changed} values beside the output were written"

    @needs("any batch")
    def test_model_6_batches_of_any_size_are_taken(self) -> None:
        model = self._load()
        for count in (3, 1, 8, 2, 8):
            seen = code_raised(self._infer, model, make_items(count))
            assert seen is None, f"a batch of {count}: {seen}"

    @needs("any batch")
    def test_model_7_items_do_not_depend_on_each_other(self) -> None:
        model = self._load()
        items = make_items(6)
        alone = np.concatenate([self._infer(model, items[i : i + 1]) for i in range(6)])
        together = self._infer(model, items)
        worst = float(np.abs(alone - together).max())
        assert worst <= TOLERANCE, f"alone and in a batch of 6 an item differs by {worst}"

    def test_model_8_equal_calls_give_equal_results(self) -> None:
        model = self._load()
        items = make_items(1)
        results = [self._infer(model, items.copy()) for _ in range(4)]
        off = [n for n, result in enumerate(results) if not np.array_equal(result, results[0])]
        assert not off, f"call {off[0]} of equal ones gave {results[off[0]]}, not {results[0]}"

    def test_model_9_a_result_stays(self) -> None:
        model = self._load()
        first, other = make_items(2)[:1].copy(), make_items(2)[1:].copy()
        out, next_out = empty(1), empty(1)
        model.infer_batch(first, out)
        before = out.copy()
        model.infer_batch(other, next_out)
        assert np.array_equal(out, before), f"the next call changed {before} into {out}"

    def test_model_10_one_item_is_a_batch_of_one(self) -> None:
        model = self._load()
        items, out = make_items(1), np.full(WIDTH, np.nan, np.float32)
        model.infer_one(items[0], out)
        wanted = self._infer(model, items)[0]
        assert np.array_equal(out, wanted), f"infer_one gave {out}, infer_batch {wanted}"

    def test_model_11_arrays_that_do_not_fit_are_refused(self) -> None:
        model = self._load()
        wide = np.zeros((1, 2 * WIDTH), np.float32)
        for what, inp, out in (
            ("an input of f64", np.zeros((1, WIDTH)), empty(1)),
            ("an output of s32", make_items(1), np.zeros((1, WIDTH), np.int32)),
            ("an input of another width", np.zeros((1, 9), np.float32), empty(1)),
            ("an output of one axis more", make_items(1), np.zeros((1, WIDTH, 1), np.float32)),
            ("an input of every other value", wide[:, ::2], empty(1)),
            ("an output of every other value", make_items(1), wide[:, ::2]),
        ):
            seen = code_raised(model.infer_batch, inp, out)
            assert seen is Code.MODEL_PORT_MISMATCH, f"{what}: {seen}"

    def test_model_12_numbers_of_items_must_agree(self) -> None:
        model = self._load()
        for items, outs in ((1, 2), (2, 1), (0, 0)):
            seen = code_raised(model.infer_batch, make_items(items), empty(outs))
            assert seen is Code.MODEL_PORT_MISMATCH, f"{items} items in, {outs} out: {seen}"

    def test_model_13_too_many_items_are_refused(self) -> None:
        model = self.make().load_model(self.artifact(ReferenceModel.ONE_ITEM))
        seen = code_raised(model.infer_batch, make_items(2), empty(2))
        assert seen is Code.MODEL_PORT_MISMATCH, f"two items into a batch of one: {seen}"

    def test_model_14_an_output_that_cannot_be_written_is_refused(self) -> None:
        model = self._load()
        out = empty(1)
        out.flags.writeable = False
        seen = code_raised(model.infer_batch, make_items(1), out)
        assert seen is Code.INFERENCE_FAILED, f"a read-only output: {seen}"

    def test_model_15_after_a_refusal_it_goes_on(self) -> None:
        model = self._load()
        code_raised(model.infer_batch, np.zeros((1, 2 * WIDTH), np.float32), empty(1))
        seen = code_raised(self._infer, model, make_items(1))
        assert seen is None, f"a call behind one that was refused: {seen}"

    def test_model_16_drain_and_reset_leave_the_model(self) -> None:
        model = self._load()
        items = make_items(1)
        before = self._infer(model, items)
        model.drain()
        model.reset()
        after = self._infer(model, items)
        assert np.array_equal(after, before), f"behind drain and reset {before} is {after}"

    def test_model_17_nothing_is_kept_of_a_call(self) -> None:
        model = self._load()
        slots = [(make_items(1), empty(1)) for _ in range(3)]

        def calls() -> None:
            for number in range(_CALLS):
                inp, out = slots[number % 3]
                model.infer_batch(inp, out)

        kept = bytes_kept(calls)
        assert kept < SLACK_BYTES, f"{_CALLS} calls kept {kept} B"

    def test_model_18_models_do_not_disturb_each_other(self) -> None:
        backend, artifact = self.make(), self.artifact(ReferenceModel.ONE_ITEM)
        first, other = backend.load_model(artifact), backend.load_model(artifact)
        items, others = make_items(2)[:1].copy(), make_items(2)[1:].copy()
        alone = self._infer(first, items)
        self._infer(other, others)
        again = self._infer(first, items)
        assert np.array_equal(again, alone), f"with another model at work {alone} is {again}"

    def _load_and_call(self, times: int) -> None:
        for _ in range(times):
            model = self._load()
            self._infer(model, make_items(1))
            del model
        gc.collect()


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _resident_bytes() -> int | None:
    try:
        text = Path("/proc/self/statm").read_text(encoding="ascii")
    except OSError:
        return None
    import resource

    return int(text.split()[1]) * resource.getpagesize()


@contextlib.contextmanager
def _missing(package: str) -> Iterator[None]:
    """Make a package one that is not installed."""
    kept = {name: module for name, module in sys.modules.items() if _is_of(name, package)}
    blocked = dict.fromkeys((*kept, package))
    sys.modules.update(blocked)  # type: ignore[arg-type]  # None is how Python marks what is absent
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]
        sys.modules.update(kept)


def _is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
