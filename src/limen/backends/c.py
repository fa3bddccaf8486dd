"""ONNX models compiled to C for this machine: the same code that a firmware runs."""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import hashlib
import json
import logging
import platform
import subprocess
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from limen.backends._bound import BoundModel, pointer
from limen.backends._engine import Array, import_engine, not_loadable, one_line
from limen.backends._ports import EnginePort
from limen.compute import BackendCapabilities, ComputeBackend, ModelArtifact
from limen.errors import Code, ConfigurationError, GraphError, InferenceError
from limen.onnx_c import ModelC, compile_model, with_weights
from limen.settings import cache_directory
from limen.toolchain import NativeCache, compiler_version, host_compiler
from limen.types import DataType, TensorSpec, require_whole

__all__ = ["CBackend", "CModel"]

_log = logging.getLogger("limen.native")

# A fused multiply-add rounds once where a microcontroller without one rounds twice.
_FLAGS: Final = ("-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-w")
_TAKES: Final = frozenset(DataType) - {DataType.F16, DataType.BF16}
_ENTRY: Final = "limen_host_model"
_FILE: Final = "model.so"
_FILES: Final = "a complete ONNX file of operators that have a C form"

# The calls of a batch, one item each; and what the library is, for who finds it in the cache.
_AROUND: Final = """
#include <stddef.h>

#include "{entry}.h"

const char limen_facts[] = {{ {facts}, 0 }};

void limen_call(uint64_t *arena, const unsigned char *in, unsigned char *out, size_t items,
                size_t in_bytes, size_t out_bytes) {{
    size_t i;
    for (i = 0; i < items; i++) {{
        {call}
    }}
}}
"""


class CBackend(ComputeBackend):
    """Compiles ONNX models to C and runs them; needs a C compiler, and the extra ``mcu``.

    A batch is computed item by item, in the caller's thread and without the interpreter's lock, so
    that results are what a firmware computes. What was compiled is kept in the user's cache.

    Args:
        threads: Threads that one call may use; a call uses one, whatever is given.
    """

    name = "c"

    def __init__(self, threads: int = 1) -> None:
        self.threads = require_whole("threads", threads)

    def capabilities(self) -> BackendCapabilities:
        """Return what C can do: element types of 8 to 64 bits but the halves, any batch."""
        return BackendCapabilities(False, None, _TAKES)

    def engine(self) -> str:
        """Import the model compiler; its version, and the C compiler."""
        _import()
        return f"emx-onnx-cgen {version('emx-onnx-cgen')} ({_compiler()})"

    def load_model(self, artifact: ModelArtifact) -> CModel:
        """Compile a model, or find it compiled; weights may lie beside ``artifact.path``."""
        _import()
        compiler = _compiler()
        try:
            data = with_weights(artifact.data, artifact.path)
            cache = NativeCache(cache_directory() / "models")
            path = cache.obtain(
                _key(data, compiler), _FILE, lambda where: _build(data, compiler, where)
            )
            return CModel(ctypes.CDLL(str(path)), artifact.label)
        except GraphError as error:
            raise not_loadable(artifact, "the C backend", error.message, _FILES) from error
        except _CompilerError as error:
            raise InferenceError(
                f"model {artifact.label!r} is C that {compiler} does not compile: {error}",
                code=Code.RESOURCE_UNAVAILABLE,
                remedy="correct the compiler, or choose the backend onnxruntime",
            ) from error
        except OSError as error:
            raise not_loadable(artifact, "the C backend", one_line(error), _FILES) from error
        except ConfigurationError as error:
            raise InferenceError(
                error.message, code=Code.RESOURCE_UNAVAILABLE, remedy=error.remedy
            ) from error


class _CompilerError(Exception):
    """What a C compiler said."""


@dataclass(frozen=True, slots=True)
class _Places:
    """A pair of arrays, as the library is told of it.

    Attributes:
        inp: Where the input is read.
        source: What is copied there ahead of each call; None where the caller's array is read.
        out: Where the result is written.
    """

    inp: Array
    source: Array | None
    out: Array


class CModel(BoundModel[_Places]):
    """A model as machine code.

    Args:
        library: Where it is loaded; closed with the model.
        label: What errors call it.
    """

    def __init__(self, library: ctypes.CDLL, label: str) -> None:
        weakref.finalize(self, _ctypes.dlclose, library._handle)
        said = ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(library, "limen_facts")))
        facts = json.loads(said)
        is_free: bool = facts["is_free"]
        inputs, outputs = (
            [_port(name, dtype, shape, is_free) for name, dtype, shape in facts[side]]
            for side in ("inputs", "outputs")
        )
        arena = np.zeros(max(facts["arena_bytes"] // 8, 1), np.uint64)
        entry = library.limen_call
        entry.restype = None
        entry.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t] * 3
        make_call = functools.partial(_make_call, library, arena, is_free)
        super().__init__(inputs, outputs, label, facts["labels_text"], make_call, _TAKES)

    def _bind(self, inp: Array, out: Array) -> _Places:
        if not out.flags.aligned:
            raise ValueError("the output array lies across the bounds of its elements")
        if inp.flags.aligned:
            return _Places(inp, None, out)
        return _Places(inp.copy(), inp, out)

    def _wrote_in_place(self, binding: _Places, out: Array) -> bool:
        return True

    def _copy_result(self, binding: _Places, inp: Array, out: Array) -> None:
        """Nothing is elsewhere."""


def _make_call(
    library: ctypes.CDLL, arena: Array, is_free: bool, places: _Places
) -> Callable[[], None]:
    inp, source, out = places.inp, places.source, places.out
    items = len(inp) if is_free else 1
    # Made once: a call converts nothing. The arrays and the library have to live as long as it.
    arguments = (
        *(ctypes.c_void_p(pointer(array)) for array in (arena, inp, out)),
        *(ctypes.c_size_t(size) for size in (items, inp.nbytes // items, out.nbytes // items)),
    )
    call = functools.partial(_run, library.limen_call, arguments, (library, arena, places))
    if source is None:
        return call

    def call_on_copy() -> None:
        np.copyto(inp, source)
        call()

    return call_on_copy


def _run(entry: Callable[..., None], arguments: tuple[object, ...], _: object) -> None:
    entry(*arguments)


def _port(name: str, dtype: str, shape: list[int], is_free: bool) -> EnginePort:
    lead: tuple[int | str, ...] = ("batch", *shape[1:]) if is_free else tuple(shape)
    return EnginePort(name, f"tensor({dtype})", dtype, lead)


def _import() -> None:
    import_engine("emx_onnx_cgen", "emx-onnx-cgen", "mcu")
    import_engine("onnx", "onnx", "mcu")


def _compiler() -> str:
    found = host_compiler()
    if found is None:
        raise InferenceError(
            "the backend c needs a C compiler, and none is installed",
            code=Code.RESOURCE_UNAVAILABLE,
            remedy="apt-get install gcc libc6-dev, or choose the backend onnxruntime",
        )
    return found


def _key(data: bytes, compiler: str) -> str:
    versions = [version(package) for package in ("limen", "emx-onnx-cgen", "onnx")]
    facts = (versions, compiler_version(compiler), _FLAGS, platform.machine())
    return hashlib.sha256(repr(facts).encode() + hashlib.sha256(data).digest()).hexdigest()


def _build(data: bytes, compiler: str, folder: Path) -> None:
    """Make the library of a model in a directory; nothing else is left there."""
    model = compile_model(data, _ENTRY)
    _log.info("a model is compiled to C, once: that takes some seconds")
    texts = {
        f"{_ENTRY}.h": model.header,
        f"{_ENTRY}.c": model.source,
        "around.c": _around(model),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = [name for name in texts if name.endswith(".c")]
    command = [compiler, *_FLAGS, "-o", _FILE, *sources, "-lm"]
    try:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        for name in texts:
            (folder / name).unlink()
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if "error" in line]
        raise _CompilerError(said[0] if said else f"{compiler} ended with {ran.returncode}")


def _around(model: ModelC) -> str:
    def ports(specs: tuple[tuple[str, TensorSpec], ...]) -> list[tuple[str, str, tuple[int, ...]]]:
        return [(name, spec.dtype.value, spec.fixed_shape) for name, spec in specs]

    facts = {
        "inputs": ports(model.inputs),
        "outputs": ports(model.outputs),
        "is_free": model.is_free,
        "labels_text": model.labels_text,
        "arena_bytes": model.arena_bytes,
    }
    # A model of several inputs or outputs can be looked at, and is not called.
    one = len(model.inputs) == len(model.outputs) == 1
    call = "(const void *)(in + i * in_bytes), (void *)(out + i * out_bytes)"
    return _AROUND.format(
        entry=_ENTRY,
        facts=", ".join(str(byte) for byte in json.dumps(facts).encode("ascii")),
        call=f"{_ENTRY}(arena, {call});" if one else "(void)arena, (void)in, (void)out;",
    )
