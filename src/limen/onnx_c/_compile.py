"""From an ONNX model to C, through emx-onnx-cgen."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from limen.errors import ConfigurationError, MissingExtraError
from limen.onnx_c._model import ModelC
from limen.onnx_c._prepare import Prepared, name_of, prepare
from limen.onnx_c._refusal import COMPLETE_FILE, OTHER_OPERATORS, refused
from limen.onnx_c._rewrite import INNER, rewrite
from limen.types import error_text

if TYPE_CHECKING:
    import onnx

_MODULES = ("onnx", "onnx.inliner", "emx_onnx_cgen", "emx_onnx_cgen.compiler")
_INSTALL = "install the extra: pip install 'limen[mcu]'"
_C_WORDS = frozenset(
    {
        *("auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else"),
        *("enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register"),
        *("restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch"),
        *("typedef", "union", "unsigned", "void", "volatile", "while", "main"),
    }
)


def compile_model(
    model: bytes | onnx.ModelProto,
    name: str,
    batch: int = 1,
    *,
    outputs: Sequence[str] = (),
    axes: Mapping[str, int] | None = None,
) -> ModelC:
    """Compile an ONNX model to C.

    Equal arguments give equal bytes. No time, path or word of whoever exported the model is in
    them, and nothing is allocated, recursive or of a length that is not known.

    Args:
        model: A file's content, or what ``onnx.load`` returns.
        name: The C function, and the files' names; an identifier of nobody else's.
        batch: Items of a call, where the model leaves its first axis open.
        outputs: Those to keep, which may be values from inside the graph; all if none is named.
        axes: Lengths of other open axes, by their name or as ``input[axis]``.

    Raises:
        MissingExtraError: The compiler is not installed.
        ConfigurationError: The name is no identifier, or a length is below 1.
        GraphError: NOT_PORTABLE: an operator, a type or a shape that has no C form.
    """
    lengths = {"batch": batch, **(axes or {})}
    for what, length in lengths.items():
        if length < 1:
            raise ConfigurationError(f"{what} is {length}", remedy="give lengths from 1 upwards")
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.A) or name in _C_WORDS:
        raise ConfigurationError(
            f"{name!r} cannot name a C function", remedy="use letters, digits and _"
        )
    onnx_module, _, _, compiler = (_import(module) for module in _MODULES)
    prepared = prepare(onnx_module, model, batch, outputs, axes or {})
    text = _compile(compiler, prepared)
    return rewrite(text, name, batch, prepared)


def with_weights(data: bytes, path: Path | None) -> bytes:
    """Return a model that holds its weights itself, whatever lies in files beside it.

    The backend and the printer of graphs call it ahead of ``compile_model``. A model without such
    files is returned as it is, and so is one that was read from no file.

    Args:
        data: The file's content.
        path: Where it was read; None for bytes given directly.

    Raises:
        MissingExtraError: The package ``onnx`` is not installed.
        GraphError: NOT_PORTABLE: it is no ONNX file, or a file beside it cannot be read.
    """
    if path is None:
        return data
    onnx_module = _import("onnx")
    try:
        model = onnx_module.load_model_from_string(data)
    except Exception as error:  # whatever the parser raises
        said = error_text(error, named=False)
        raise refused(f"it is no complete ONNX file: {said}", COMPLETE_FILE) from error
    if not any(weight.data_location for weight in model.graph.initializer):
        return data
    try:
        onnx_module.load_external_data_for_model(model, str(path.resolve().parent))
        whole: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # of what reads the files, or of a sum beyond 2 GiB
        said = error_text(error, named=False)
        raise refused(
            f"weights in a file of their own cannot be read: {said}",
            "put that file beside the model, or save the model with its weights inside",
        ) from error
    return whole


def _compile(compiler: ModuleType, prepared: Prepared) -> str:
    # Above its thresholds the compiler allocates temporaries and reads weights from files.
    options = compiler.CompilerOptions(
        model_name=INNER, large_temp_threshold_bytes=0, large_weight_threshold=0
    )
    try:
        text: str = compiler.Compiler(options).compile(prepared.model)
    except Exception as error:  # whatever it raises on a model that it does not know
        said = error_text(error, named=False) or type(error).__name__
        raise refused(_with_node(said, prepared), OTHER_OPERATORS) from error
    return text


def _with_node(said: str, prepared: Prepared) -> str:
    """Put the node that a compiler speaks of ahead of what it says."""
    nodes = prepared.model.graph.node
    short = re.split(r"\s*[(.]?\s*(?:during|while) |\. Reason: ", said)[0].rstrip(" .(")
    index = re.search(r"node_index=(\d+)", said)
    operator = re.search(r"Unsupported op (?:[\w.]+\.)?(\w+)", said)
    if index is not None and int(index[1]) < len(nodes):
        return f"{name_of(nodes[int(index[1])])}: {short}"
    if operator is not None:
        found = [node for node in nodes if node.op_type == operator[1]]
        if found:
            return f"{name_of(found[0])}: {short}"
    named = [node for node in nodes if node.op_type in re.findall(r"\w+", said)]
    return f"{name_of(named[0])}: {said}" if named else said


def _import(module: str) -> ModuleType:
    package = module.partition(".")[0]
    shown = package.replace("_", "-")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == package:
            raise MissingExtraError(
                f"models in C need the package {shown}", remedy=_INSTALL
            ) from error
        raise _unusable(shown, error) from error
    except ImportError as error:
        raise _unusable(shown, error) from error


def _unusable(package: str, error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"models in C need the package {package}, which fails: {error_text(error, named=False)}",
        remedy=f"{_INSTALL}, and have no package of that name ahead of it on sys.path",
    )
