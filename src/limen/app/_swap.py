"""Put another model in the place of one that runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from limen.compute import ModelArtifact
from limen.errors import ConfigurationError
from limen.graph import Graph
from limen.node import InferenceModel
from limen.types import error_text, nearest

_log = logging.getLogger("limen")
_POLL_S = 0.25


def swap_model(graph: Graph, name: str, artifact: ModelArtifact | Path | str) -> None:
    """Load and warm another model beside the one that a node runs; its next step takes it over.

    Called from any thread while the graph runs, or before. A batch is never split over two models.
    If the new one fails in its first call, the old one does that call and stays.

    Args:
        graph: The graph that runs.
        name: Of the model node; ``node.variant`` for its cheaper variant.
        artifact: The model, or the path of its file.

    Raises:
        ConfigurationError: There is no model of that name.
        InferenceError: The model cannot be loaded, does not fit, or fails; the old one stays.
    """
    models = models_of(graph)
    if name not in models:
        raise ConfigurationError(
            f"no model {name!r} in graph {graph.name!r}",
            remedy=nearest(name, models) or "the graph has no models",
        )
    models[name].stage(artifact if isinstance(artifact, ModelArtifact) else Path(artifact))


def models_of(graph: Graph) -> dict[str, InferenceModel]:
    """Return the models of a graph by the names of their nodes; variants as ``node.variant``."""
    parts = [
        (name, part)
        for spec in graph.spec().nodes
        for name, part in ((spec.name, spec.node), (f"{spec.name}.variant", spec.variant))
    ]
    return {name: part for name, part in parts if isinstance(part, InferenceModel)}


class ModelWatcher:
    """Swaps models in as their files change, from a thread of its own; a context manager.

    A file counts as changed once it has stayed the same for a moment after it changed. One that is
    no model, or does not fit, is told and leaves the old model running.

    Args:
        graph: Whose models are watched.
        tell: Told in words what became of each change.
    """

    def __init__(self, graph: Graph, tell: Callable[[str], None]) -> None:
        self._models = {
            name: (model, path)
            for name, model in models_of(graph).items()
            if (path := model.path) is not None
        }
        self._tell = tell
        self._used = {name: _stamp(path) for name, (_, path) in self._models.items()}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="limen-models", daemon=True)

    @property
    def watched(self) -> Sequence[Path]:
        """The files that are watched."""
        return [path for _, path in self._models.values()]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        used, seen = self._used, dict(self._used)
        while not self._ending.wait(_POLL_S):
            for name, (model, path) in self._models.items():
                stamp = _stamp(path)
                settled = stamp is not None and stamp == seen[name]
                seen[name] = stamp
                if settled and stamp != used[name]:
                    used[name] = stamp
                    self._swap(name, model, path)

    def _swap(self, name: str, model: InferenceModel, path: Path) -> None:
        try:
            artifact = model.stage(path)
        except Exception as error:
            # Whatever an engine raises, the watch goes on: the next file may be right.
            text = error_text(error)
            _log.warning("model %s: not taken over: %s", name, text)
            self._tell(f"model {name}: {path.name} is not taken over: {text}")
        else:
            self._tell(f"model {name}: {path.name} is taken over, sha256 {artifact.sha256}")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
