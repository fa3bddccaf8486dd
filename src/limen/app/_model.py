"""A model by its file's name."""

from __future__ import annotations

from pathlib import Path

from limen.compute import find_backend
from limen.node import InferenceModel

_BY_ENDING = {".tflite": "litert", ".xml": "openvino"}
_DEFAULT = "onnxruntime"


class Model(InferenceModel):
    """A model node from a file; the file is read when the graph is checked.

    Args:
        path: The model file; in a graph file, relative to that file.
        backend: Name of the inference engine; None takes the one that the file's ending stands for:
            LiteRT for ``.tflite``, OpenVINO for ``.xml``, ONNX Runtime for all others.
        max_batch: Most items in one call; the policy's batch and the model's own limit hold too.
        threads: Threads that the engine may use for one call.
        first_axis_is_batch: Whether the model was exported for a batch of fixed length; shorter
            ones are filled up with zeros.
    """

    def __init__(
        self,
        path: str | Path,
        backend: str | None = None,
        max_batch: int | None = None,
        threads: int = 1,
        first_axis_is_batch: bool = False,
    ) -> None:
        path = Path(path)
        name = _BY_ENDING.get(path.suffix.lower(), _DEFAULT) if backend is None else backend
        super().__init__(
            find_backend(name, threads=threads),
            path,
            max_batch,
            first_axis_is_batch=first_axis_is_batch,
        )
