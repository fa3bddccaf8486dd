"""From an ONNX file to C: shapes pinned, weights private, temporaries in the caller's arena."""

from __future__ import annotations

import hashlib
import importlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import NamedTuple

from limen.errors import Code, GraphError, MissingExtraError
from limen.onnx_c._arena import Temporary, lives, place
from limen.onnx_c._model import ModelC
from limen.types import DataType, TensorSpec, error_text

_TYPES = {
    dtype.c_type: dtype for dtype in DataType if dtype.value not in ("f16", "bf16", "boolean")
}
_TYPES["_Bool"] = _TYPES["bool"] = DataType.BOOLEAN
_ENTRY = re.compile(r"^void (\w+)\((.*)\) \{\n(.*?)^\}", re.M | re.S)
_TEMPORARY = re.compile(r"^\s*(\w+) (\w+)((?:\[\d+\])+);$")
_PARAMETER = re.compile(r"(const )?(\w+) (\w+)\[restrict (\d+)\]((?:\[\d+\])*)$")
_SCALAR = re.compile(r"(const )?(\w+) (\w+)((?:\[\d+\])*)$")
_WEIGHT = re.compile(r"^const EMX_UNUSED (\w+) (\w+)((?:\[\d+\])*) = ", re.M)


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    type: str
    shape: tuple[int, ...]
    is_input: bool

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(_TYPES[self.type], self.shape)

    @property
    def pointer(self) -> str:
        """The type of a pointer to its first row."""
        const = "const " if self.is_input else ""
        rest = "".join(f"[{extent}]" for extent in self.shape[1:])
        return f"{const}{self.type} (*){rest}" if rest else f"{const}{self.type} *"


class _About(NamedTuple):
    """What the file says that its C does not."""

    inputs: list[str]
    outputs: list[str]
    labels_text: str | None
    is_free: bool


def compile_model(data: bytes, name: str, batch: int = 1) -> ModelC:
    """Compile an ONNX model to C.

    Args:
        data: The file's content.
        name: The C function, and the files' names.
        batch: Items of a call, where the model leaves its first axis open.

    Raises:
        MissingExtraError: The compiler is not installed.
        GraphError: NOT_PORTABLE: an operator or a shape that has no C form.
    """
    onnx, compiler, errors = (_import(m) for m in _MODULES)
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:
        raise _refused(
            f"it is no complete ONNX file: {_line(error)}", "give a model file"
        ) from error
    about = _pin(onnx, model, batch)
    options = compiler.CompilerOptions(
        model_name=name, large_temp_threshold_bytes=0, large_weight_threshold=0
    )
    try:
        text: str = compiler.Compiler(options).compile(model)
    except errors.CompilerError as error:
        raise _refused(_line(error), _OPERATORS) from error
    except Exception as error:  # what a compiler raises on a model that it does not know
        raise _refused(_line(error), _OPERATORS) from error
    return _rewritten(text, name, batch, hashlib.sha256(data).hexdigest(), about)


_MODULES = ("onnx", "emx_onnx_cgen.compiler", "emx_onnx_cgen.errors")
_OPERATORS = (
    "export the model with other operators, of float, int or bool tensors and of fixed shapes; of "
    "a classifier, cut the graph at its probabilities"
)


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"models in C need the package {module.partition('.')[0].replace('_', '-')}",
            remedy="install the extra: pip install 'limen[mcu]'",
        ) from error


def _pin(onnx: ModuleType, model: object, batch: int) -> _About:
    """Give every open axis of the inputs a length, and leave the rest to be inferred."""
    graph = model.graph  # type: ignore[attr-defined] # a message of onnx, which has no types
    constants = {initializer.name for initializer in graph.initializer}
    known: dict[str, int] = {}
    is_free = False
    names = [value.name for value in graph.input if value.name not in constants]
    results = [value.name for value in graph.output]
    for value in graph.input:
        if value.name in constants:
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.WhichOneof("value") == "dim_value":
                continue
            if axis:
                shown = dim.dim_param or "?"
                raise _refused(
                    f"axis {axis} of {value.name!r} has no length ({shown})",
                    "export the model with that axis fixed",
                )
            if dim.dim_param:
                known[dim.dim_param] = batch
            dim.dim_value = batch
            is_free = True
    del graph.value_info[:]
    for value in graph.output:
        open_axes = False
        for dim in value.type.tensor_type.shape.dim:
            if dim.WhichOneof("value") == "dim_param" and dim.dim_param in known:
                dim.dim_value = known[dim.dim_param]
            open_axes = open_axes or dim.WhichOneof("value") != "dim_value"
        if open_axes:
            value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model)
    graph.CopyFrom(inferred.graph)
    labels = {e.key: e.value for e in model.metadata_props}  # type: ignore[attr-defined] # likewise
    return _About(names, results, labels.get("labels"), is_free)


def _rewritten(text: str, name: str, batch: int, digest: str, about: _About) -> ModelC:
    found = [match for match in _ENTRY.finditer(text) if match[1] == name]
    if not found:
        raise _refused("its shapes are not all known", _OPERATORS)
    entry = found[-1]
    parameters = [_parameter(word) for word in re.split(r", (?=const |\w+ \w+\[)", entry[2])]
    lines = entry[3].rstrip("\n").split("\n")
    temporaries = [t for line in lines if (t := _temporary(line)) is not None]
    calls = [line for line in lines if _temporary(line) is None]
    offsets, arena_bytes = place(temporaries, lives(temporaries, calls))
    weights = sum(_bytes(m[1], _extents(m[3])) for m in _WEIGHT.finditer(text))
    body = text[: entry.start()]
    body = re.sub(r"^extern const .*;\n", "", body, flags=re.M)
    body = re.sub(r"^const EMX_UNUSED ", "static const EMX_UNUSED ", body, flags=re.M)
    body = re.sub(rf"^_Bool {name}_load\(.*?^\}}\n\n?", "", body, flags=re.M | re.S)
    head = [
        f"/* Model {name}: generated by limen {version('limen')} of {digest}",
        f"   with emx-onnx-cgen {version('emx-onnx-cgen')}. */",
        "",
    ]
    prototype = f"void {name}({', '.join(_flat(parameters))})"
    source = [
        *head,
        f'#include "{name}.h"',
        "",
        body.rstrip("\n"),
        "",
        f"static void {name}_run(uint64_t *arena, {entry[2]}) {{",
        *(_pointer(t, offsets[t.name]) for t in temporaries),
        *([] if temporaries else ["    (void)arena;"]),
        *calls,
        "}",
        "",
        f"{prototype} {{",
        f"    {name}_run(arena, {', '.join(map(_cast, parameters, _names(parameters)))});",
        "}",
        "",
    ]
    guard = f"LIMEN_MODEL_{name.upper()}_H"
    header = [
        *head,
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        "/* Bytes that it works in; they hold nothing between calls. */",
        f"#define {name.upper()}_ARENA_BYTES {arena_bytes}",
        "",
        f"{prototype};",
        "",
        "#endif",
        "",
    ]
    return ModelC(
        source="\n".join(source),
        header="\n".join(header),
        entry=name,
        inputs=tuple(_named(about.inputs, [p.spec for p in parameters if p.is_input])),
        outputs=tuple(_named(about.outputs, [p.spec for p in parameters if not p.is_input])),
        weights_bytes=weights,
        arena_bytes=arena_bytes,
        temporaries_bytes=sum(t.size_bytes for t in temporaries),
        batch=batch if about.is_free else 1,
        is_free=about.is_free,
        labels_text=about.labels_text,
    )


def _named(names: list[str], specs: list[TensorSpec]) -> list[tuple[str, TensorSpec]]:
    if len(names) != len(specs):
        raise _refused("it does not use all of its inputs", _OPERATORS)
    return list(zip(names, specs, strict=True))


def _parameter(word: str) -> _Parameter:
    match = _PARAMETER.fullmatch(word)
    if match is not None:
        shape = (int(match[4]), *_extents(match[5]))
    else:
        match = _SCALAR.fullmatch(word)
        shape = () if match is None else _extents(match[4])
    if match is None or match[2] not in _TYPES:
        raise _refused(f"parameter {word!r} has no fixed shape", _OPERATORS)
    return _Parameter(match[3], match[2], shape, bool(match[1]))


def _temporary(line: str) -> Temporary | None:
    match = _TEMPORARY.fullmatch(line)
    if match is None:
        return None
    shape = _extents(match[3])
    return Temporary(match[2], match[1], shape, _bytes(match[1], shape))


def _extents(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\[(\d+)\]", text))


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    size = _TYPES[kind].size_bytes if kind in _TYPES else 8
    for extent in shape:
        size *= extent
    return size


def _pointer(one: Temporary, offset: int) -> str:
    rest = "".join(f"[{extent}]" for extent in one.shape[1:])
    kind = f"{one.type} (*const {one.name}){rest}" if rest else f"{one.type} *const {one.name}"
    return f"    {kind} = (void *)(arena + {offset // 8});"


def _flat(parameters: list[_Parameter]) -> list[str]:
    words = ["uint64_t *arena"]
    for one, name in zip(parameters, _names(parameters), strict=True):
        const = "const " if one.is_input else ""
        kind = DataType.BOOLEAN.c_type if one.type in ("_Bool", "bool") else one.type
        words.append(f"{const}{kind} *{name}")
    return words


def _names(parameters: list[_Parameter]) -> list[str]:
    """Return what the entry calls its parameters: in0, in1 and so on, out0 and so on."""
    counts = {True: 0, False: 0}
    names = []
    for one in parameters:
        names.append(f"{'in' if one.is_input else 'out'}{counts[one.is_input]}")
        counts[one.is_input] += 1
    return names


def _cast(one: _Parameter, name: str) -> str:
    void = "const void *" if one.is_input else "void *"
    return f"({one.pointer})({void}){name}"


def _refused(why: str, remedy: str) -> GraphError:
    return GraphError(f"the model has no C form: {why}", code=Code.NOT_PORTABLE, remedy=remedy)


def _line(error: Exception) -> str:
    return (error_text(error).strip().splitlines() or [type(error).__name__])[0]
