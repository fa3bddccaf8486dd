"""Models that are put in the place of others while the graph runs."""

from __future__ import annotations

import gc
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from doubles import ListSource, assert_settled, node_of
from limen import (
    Batching,
    DataType,
    Degrade,
    EdgePolicy,
    Graph,
    NodePolicy,
    SimClock,
    TensorSpec,
)
from limen.app import Model, ModelWatcher, Recorder, make_runtime, replay, swap_model
from limen.app._swap import models_of
from limen.compute import (
    BackendCapabilities,
    ComputeBackend,
    ComputeModel,
    ModelArtifact,
    ModelMetadata,
)
from limen.errors import ConfigurationError, InferenceError
from limen.message import BatchView, Message
from limen.node import InferenceModel, Produced, Sink, SourceNode
from limen.policy import Budget, OverBudgetAction
from limen.telemetry import DecisionLog
from limen.types import Ticks

SPEC = TensorSpec(DataType.F32, (1,))
LIVE: set[int] = set()


class Multiplying(ComputeModel):
    """Multiplies by the number its artifact spells; ``fails`` at its n-th call where one is given.

    The artifact is ``factor[,width[,failing call]]``; what has been loaded and not been forgotten
    is in LIVE.
    """

    def __init__(self, text: str) -> None:
        factor, width, failing = (*text.split(","), "1", "")[:3] if "," in text else (text, "1", "")
        self.factor = float(factor)
        self.failing = int(failing) if failing else None
        spec = TensorSpec(DataType.F32, (int(width),))
        self.metadata = ModelMetadata((("in", spec),), (("out", spec),), None)
        self.calls = 0
        LIVE.add(id(self))

    def __del__(self) -> None:
        LIVE.discard(id(self))

    def infer_batch(self, inp: NDArray[np.generic], out: NDArray[np.generic]) -> None:
        self.calls += 1
        if self.calls - 1 == self.failing:
            raise InferenceError("it gave up")
        np.multiply(inp, np.float32(self.factor), out=out)


class Backend(ComputeBackend):
    """Loads multipliers."""

    name = "multiplying"

    def capabilities(self) -> BackendCapabilities:
        return BackendCapabilities(False, None, frozenset({DataType.F32}))

    def load_model(self, artifact: ModelArtifact) -> ComputeModel:
        try:
            return Multiplying(artifact.data.decode())
        except ValueError as error:
            raise InferenceError(f"model {artifact.label!r} is none: {error}") from error


class Values(Sink):
    """Keeps numbers, and calls a function for each if there is one."""

    def __init__(self) -> None:
        self.got: list[float] = []
        self.then: dict[int, object] = {}

    def consume(self, message: Message, now: Ticks) -> None:
        self.got.append(float(np.asarray(message.payload)[0]))
        action = self.then.get(len(self.got))
        if callable(action):
            action()


def of(text: str) -> ModelArtifact:
    return ModelArtifact.from_bytes(text.encode(), text)


def multiplying(count: int, policy: NodePolicy | None = None) -> tuple[Graph, Values]:
    ones = [np.ones(1, np.float32) for _ in range(count)]
    sink = Values()
    graph = Graph("swap").add("source", ListSource(ones))
    graph.add("model", InferenceModel(Backend(), of("1")), policy).add("sink", sink)
    graph.chain("source", "model", "sink", policy=EdgePolicy.block(4))
    return graph, sink


def test_the_next_step_takes_a_staged_model_over_and_the_log_says_so() -> None:
    graph, sink = multiplying(4)
    sink.then[2] = lambda: swap_model(graph, "model", of("2"))
    lines: list[str] = []
    log = DecisionLog(lambda d: lines.append(f"{d.place} {d.action} {d.sequence} {d.reason}"))
    statistics = make_runtime(graph, SimClock(), log).run()
    assert sink.got[:2] == [1, 1]
    assert sink.got[-1] == 2
    assert sink.got == sorted(sink.got)
    place = lines.index("model swap 1 swapped")
    assert lines[place - 1] == "model step -1 "
    assert node_of(statistics, "model").swaps == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("rubbish", "is none"), ("2,3", "other ports"), ("2,1,0", "gave up")],
    ids=["no model", "other ports", "fails on zeros"],
)
def test_a_model_that_does_not_load_fit_or_answer_leaves_the_old_one(text: str, words: str) -> None:
    graph, sink = multiplying(4)
    caught: list[str] = []

    def try_it() -> None:
        with pytest.raises(InferenceError) as error:
            swap_model(graph, "model", of(text))
        caught.append(str(error.value))

    sink.then[2] = try_it
    statistics = make_runtime(graph, SimClock()).run()
    assert words in caught[0]
    assert sink.got == [1, 1, 1, 1]
    assert node_of(statistics, "model").swaps == 0


def test_a_model_that_fails_in_its_first_call_is_rolled_back_and_no_message_is_lost() -> None:
    graph, sink = multiplying(5)
    sink.then[1] = lambda: swap_model(graph, "model", of("2,1,1"))
    lines: list[str] = []
    log = DecisionLog(lambda d: lines.append(f"{d.action} {d.reason}"))
    statistics = make_runtime(graph, SimClock(), log).run()
    assert sink.got == [1] * 5
    assert [line for line in lines if line.startswith("swap")] == [
        "swap swapped",
        "swap rolled_back",
    ]
    assert node_of(statistics, "model").errors == 0


def test_a_model_that_never_answered_in_earnest_is_no_way_back() -> None:
    items = [Produced(np.ones(1, np.float32), deadline_ns=0 if i == 2 else None) for i in range(6)]
    graph, sink = multiplying(0, NodePolicy(budget=Budget("1ms", action=OverBudgetAction.DROP)))
    source, staged = graph.spec().nodes[0].node, {2: "2,1,1", 3: "3,1,1"}
    assert isinstance(source, SourceNode)
    assert isinstance(source.source, ListSource)

    def produce(item: Produced, place: int) -> Callable[[int], object]:
        def make(now: int) -> Produced:
            if place in staged:
                swap_model(graph, "model", of(staged[place]))
            return item

        return make

    source.source.items = [produce(item, place) for place, item in enumerate(items)]
    source.source.at_ns = [place * 1_000_000 for place in range(7)]
    statistics = make_runtime(graph, SimClock()).run()
    # The first one is taken over by a step that calls nothing, the second fails in its first call.
    assert sink.got == [1] * 5
    assert node_of(statistics, "model").swaps == 3
    assert node_of(statistics, "model").errors == 0


def test_a_new_model_that_raises_anything_at_all_is_rolled_back() -> None:
    graph, sink = multiplying(5)
    model = models_of(graph)["model"]

    def stage() -> None:
        swap_model(graph, "model", of("2"))
        assert model._staged is not None
        new = model._staged[0]

        def infer(inp: object, out: object) -> None:
            raise RuntimeError("no InferenceError")

        new.infer_batch = infer  # type: ignore[method-assign] # as a careless backend would

    sink.then[1] = stage
    statistics = make_runtime(graph, SimClock()).run()
    assert sink.got == [1] * 5
    assert node_of(statistics, "model").errors == 0


def test_a_model_that_cannot_be_drained_stays_and_the_run_goes_on() -> None:
    graph, sink = multiplying(5)

    def drain() -> None:
        raise RuntimeError("in flight")

    sink.then[1] = lambda: swap_model(graph, "model", of("2"))
    first, second = DecisionLog(), DecisionLog()
    recorder = Recorder(graph, SimClock(), first)
    models_of(graph)["model"].model.drain = drain  # type: ignore[method-assign]
    report = recorder.run()
    assert sink.got == [1] * 4
    assert "in flight" in node_of(report.statistics, "model").messages[0]
    replay(recorder.recording, second)
    assert first.sha256 == second.sha256


def test_a_batch_is_never_split_over_two_models() -> None:
    graph, sink = multiplying(40, NodePolicy(Batching.fixed(4)))
    for place in (3, 9, 17):
        sink.then[place] = lambda place=place: swap_model(graph, "model", of(str(place)))
    assert_settled(make_runtime(graph, SimClock()).run())
    assert len(sink.got) == 40
    batches = [set(sink.got[start : start + 4]) for start in range(0, 40, 4)]
    assert all(len(batch) == 1 for batch in batches), batches


def test_a_recorded_run_with_swaps_is_decided_again_alike() -> None:
    graph, sink = multiplying(12)
    sink.then[2] = lambda: swap_model(graph, "model", of("2"))
    sink.then[6] = lambda: swap_model(graph, "model", of("3,1,1"))
    first, second = DecisionLog(), DecisionLog()
    recorder = Recorder(graph, SimClock(), first)
    recorder.run()
    replay(recorder.recording, second)
    assert first.sha256 == second.sha256


def test_a_variant_is_a_model_to_swap_as_well() -> None:
    graph = Graph("variant").add("source", ListSource([]))
    policy = NodePolicy(budget=Budget("1ms", action=Degrade()))
    cheap = InferenceModel(Backend(), of("2"))
    graph.add("model", InferenceModel(Backend(), of("1")), policy, variant=cheap)
    graph.add("sink", Values()).chain("source", "model", "sink")
    cheap.prepare()
    swap_model(graph, "model.variant", of("3"))
    assert cheap.has_staged


def test_only_models_are_swapped() -> None:
    graph, _ = multiplying(1)
    with pytest.raises(ConfigurationError, match=r"no model 'modle' .* did you mean 'model'"):
        swap_model(graph, "modle", of("2"))
    with pytest.raises(InferenceError, match="cannot be read"):
        swap_model(graph, "model", Path("nowhere.onnx"))


def test_five_hundred_swaps_under_load_lose_nothing_and_keep_one_model() -> None:
    """Another thread stages models as fast as it can: results are those of whole models."""
    gc.collect()
    before = set(LIVE)
    graph, sink = multiplying(20_000)
    runtime = make_runtime(graph, SimClock())
    done = threading.Event()
    model = graph.node("model")
    assert isinstance(model, InferenceModel)

    def stage() -> None:
        for factor in range(2, 502):
            model.stage(of(str(factor)))
            while model.has_staged and not done.is_set():
                done.wait(0.0005)

    thread = threading.Thread(target=stage)
    runtime.start()
    thread.start()
    while runtime.step():
        pass
    done.set()
    thread.join()
    runtime.stop()
    statistics = runtime.statistics()
    assert_settled(statistics)
    assert len(sink.got) == 20_000
    assert sink.got == sorted(sink.got), "models take over in order, none answers by halves"
    assert node_of(statistics, "model").swaps == 500
    assert len(set(sink.got)) >= 500, "each of them answered"
    gc.collect()
    assert len(LIVE - before) <= 3, "the old models have gone"


@pytest.mark.slow
def test_the_memory_of_old_sessions_is_given_back() -> None:
    """Five hundred ONNX Runtime sessions come and go; what stays resident does not grow."""
    pytest.importorskip("onnxruntime")
    path = Path(__file__).parents[1] / "examples" / "activity" / "activity.onnx"
    model = Model(path)
    model.prepare()
    window = np.zeros((1, 50, 6), np.float32)
    out = np.zeros((1, 4), np.float32)
    resident: list[int] = []
    for number in range(500):
        model.stage(ModelArtifact.from_path(path))
        assert model.adopt() == "swapped"
        model._infer(BatchView((), window), out)
        if number % 50 == 49:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(pages * resource.getpagesize())
    grown = resident[-1] - resident[1]
    print(f"resident after 100 swaps {resident[1] >> 10} KiB, after 500 {grown >> 10:+} KiB")
    assert grown < 2 << 20


def prepared(text: str) -> InferenceModel:
    model = InferenceModel(Backend(), of(text))
    model.prepare()
    return model


def ones(count: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.ones((count, 1), np.float32), np.zeros((count, 1), np.float32)


def test_what_was_bound_before_a_swap_runs_the_old_model_and_what_is_bound_then_the_new() -> None:
    model, (inp, out) = prepared("1"), ones()
    before = model.bind(inp, out)
    assert model.adopt() is None
    model.stage(of("2"))
    before()
    assert out.tolist() == [[1]]
    assert model.adopt() == "swapped", "this tells the caller to give up what it has bound"
    behind = model.bind(inp, out)
    for _ in range(3):
        behind()
        assert out.tolist() == [[2]]
    before()
    assert out.tolist() == [[1]]
    assert model.adopt() is None


def test_a_new_model_whose_first_bound_call_fails_is_rolled_back() -> None:
    model, (inp, out) = prepared("1"), ones(2)
    model.stage(of("2,1,1"))
    assert model.adopt() == "swapped"
    first, other = model.bind(inp[:1], out[:1]), model.bind(inp[1:], out[1:])
    first()
    assert out.tolist() == [[1], [0]], "the old one did it"
    assert model.load_failure() is not None
    other()
    first()
    assert out.tolist() == [[1], [1]], "calls that were bound before it failed run the old one"
    assert model.adopt() == "rolled_back"
    assert model.adopt() is None


def test_a_bound_call_that_fails_in_old_and_new_model_raises_and_the_old_one_stays() -> None:
    model, (inp, out) = prepared("1,1,0"), ones()
    model.stage(of("2,1,1"))
    assert model.adopt() == "swapped"
    call = model.bind(inp, out)
    with pytest.raises(InferenceError, match="gave up"):
        call()
    call()
    assert out.tolist() == [[1]]
    assert model.adopt() == "rolled_back"


def test_once_a_new_model_has_answered_bound_calls_are_its_own_and_the_old_one_goes() -> None:
    before = set(LIVE)
    model, (inp, out) = prepared("1"), ones()
    calls = [model.bind(inp, out)]
    model.stage(of("2,1,2"))
    assert model.adopt() == "swapped"
    calls[:] = [model.bind(inp, out)]
    calls[0]()
    assert len(LIVE - before) == 1
    with pytest.raises(InferenceError, match="gave up"):
        calls[0]()
    calls[0]()
    assert out.tolist() == [[2]]
    assert model.adopt() is None


def test_a_watched_file_is_taken_over_once_it_has_settled(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("1")
    graph = Graph("watch").add("source", ListSource([]))
    model = InferenceModel(Backend(), path)
    graph.add("model", model).add("sink", Values()).chain("source", "model", "sink")
    model.prepare()
    told: list[str] = []
    heard = threading.Semaphore(0)

    def tell(text: str) -> None:
        told.append(text)
        heard.release()

    with ModelWatcher(graph, tell) as watcher:
        assert watcher.watched == [path]
        path.write_text("no number")
        assert heard.acquire(timeout=20)
        path.write_text("25")
        assert heard.acquire(timeout=20)
    assert "not taken over" in told[0]
    assert "is taken over, sha256" in told[1]
    assert model.adopt() == "swapped"
    assert model.path == path
