"""What OpenVINO is, read and asked for a model: its import, its graphs and its words."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Protocol

from limen.backends._engine import import_engine, message_of
from limen.backends._ports import EnginePort
from limen.compute import ModelArtifact

_FRAME = (
    *("Exception from ", "Check '", "FrontEnd API failed", "Loading input model", "Converting "),
    *("Model wasn't fully converted", "Summary:", "While validating ", "To facilitate the "),
)
_TELEMETRY = "openvino_telemetry"
_OUR_NAMES = {"boolean": "bool", "i8": "s8", "i16": "s16", "i32": "s32", "i64": "s64"}


class Type(Protocol):
    def get_type_name(self) -> str: ...


class _Dimension(Protocol):
    is_dynamic: bool

    def get_length(self) -> int: ...


class _Shape(Protocol):
    @property
    def rank(self) -> _Dimension: ...
    def __iter__(self) -> Iterator[_Dimension]: ...


class _Node(Protocol):
    def get_friendly_name(self) -> str: ...
    def get_type_name(self) -> str: ...
    def input_value(self, index: int) -> Port: ...


class Port(Protocol):
    names: set[str]
    partial_shape: _Shape

    def get_element_type(self) -> Type: ...
    def get_node(self) -> _Node: ...


class _Text(Protocol):
    value: object


class Graph(Protocol):
    inputs: Sequence[Port]
    outputs: Sequence[Port]

    def has_rt_info(self, path: list[str]) -> bool: ...
    def get_rt_info(self, path: list[str]) -> _Text: ...


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Have OpenVINO not find the package that writes to the home folder and sends.

    Imported with OpenVINO, it would report the import; where it is missing, OpenVINO does without.
    """
    real = sys.modules.get(_TELEMETRY)
    # What Python's import system documents as making an import fail.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if real is not None:
            sys.modules[_TELEMETRY] = real


def import_openvino() -> ModuleType:
    """Import OpenVINO, without its telemetry where nobody has imported it before."""
    with _without_telemetry():
        return import_engine("openvino", "openvino", "openvino")


def read_graph(openvino: ModuleType, artifact: ModelArtifact) -> tuple[Graph, str | None]:
    """Read a model's graph and the text of its labels."""
    data = artifact.data
    if not data:
        raise ValueError("it is empty")
    if data[4:8] == b"TFL3":
        # The front end ends the process on files that LiteRT runs.
        raise ValueError("it is a TFLite file, which the backend 'litert' takes")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        graph: Graph = openvino.Core().read_model(data, _weights_beside(artifact.path))
    elif b"location" not in data:
        graph = _convert_onnx(openvino, io.BytesIO(data))
    else:
        graph = _onnx_with_weights_beside(openvino, artifact)
    return graph, _labels(graph)


def _convert_onnx(openvino: ModuleType, source: str | io.BytesIO) -> Graph:
    front_end = openvino.frontend.FrontEndManager().load_by_framework("onnx")
    # Without mapping: a file that is written anew must not change a model that runs.
    graph: Graph = front_end.convert(front_end.load(source, False))
    return graph


def _onnx_with_weights_beside(openvino: ModuleType, artifact: ModelArtifact) -> Graph:
    """Read by path what may name files: OpenVINO keeps those inside the folder only so."""
    if artifact.path is None:
        with TemporaryDirectory(prefix="limen-") as folder:
            copy = Path(folder) / "model.onnx"
            copy.write_bytes(artifact.data)
            return _convert_onnx(openvino, str(copy))
    path = artifact.path.resolve()
    graph = _convert_onnx(openvino, str(path))
    if hashlib.sha256(path.read_bytes()).hexdigest() != artifact.sha256:
        raise ValueError("the file has changed since it was read")
    return graph


def _weights_beside(path: Path | None) -> bytes:
    """Read the weights of an IR; one without any has no file for them."""
    if path is None:
        return b""
    weights = path.with_suffix(".bin")
    if not weights.exists():
        return b""
    if weights.resolve().parent not in (path.parent.resolve(), path.resolve().parent):
        raise ValueError(f"its weights {weights.name!r} lie outside its folder")
    return weights.read_bytes()


def _labels(graph: Graph) -> str | None:
    if graph.has_rt_info(["framework", "labels"]):
        return str(graph.get_rt_info(["framework", "labels"]).value)
    if graph.has_rt_info(["model_info", "labels"]):
        return json.dumps(str(graph.get_rt_info(["model_info", "labels"]).value).split())
    return None


def describe_port(port: Port) -> EnginePort:
    """Say what an input or output of a graph is."""
    kind = port.get_element_type().get_type_name()
    name = min(port.names, default=port.get_node().get_friendly_name())
    if port.partial_shape.rank.is_dynamic:
        return EnginePort(name, f"{kind} of any rank", None, ())
    shape = tuple(None if d.is_dynamic else d.get_length() for d in port.partial_shape)
    return EnginePort(name, kind, _OUR_NAMES.get(kind, kind), shape)


def reason_of(error: Exception) -> str:
    """Keep what OpenVINO says of the model, without places in its sources and its summaries."""
    lines = [line.strip() for line in message_of(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(_FRAME)]
    said.sort(key=lambda line: line.startswith("-- "))
    return (said or lines or [type(error).__name__])[0]
