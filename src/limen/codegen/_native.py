"""Compiles Cython text into extension modules and loads them."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import logging
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Final

from limen.errors import Code, ConfigurationError
from limen.settings import cache_directory
from limen.toolchain import NativeCache, compiler_version, matches, read_manifest, write_manifest
from limen.types import error_text

_log = logging.getLogger("limen.native")

_FLAGS: Final = ("-O2", "-fPIC", "-shared", "-fno-strict-aliasing", "-w")
_PACKAGE: Final = "cython"
_loaded: Final[dict[str, ModuleType]] = {}
_MOST_SHOWN: Final = 12


def why_not() -> str | None:
    """Say in a line what is missing to build native code; None where nothing is."""
    if sys.platform != "linux":
        return f"native code is built on Linux, and this is {sys.platform}"
    if importlib.util.find_spec("Cython") is None:
        return "Cython is not installed: pip install 'limen[native]'"
    if shutil.which(_compiler()[0]) is None:
        return f"the C compiler {_compiler()[0]!r} is not installed: apt-get install gcc"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's C headers are not installed: apt-get install python3-dev"
    return None


def build(source: str, digest: str) -> ModuleType:
    """Return the module of a Cython text: loaded before, kept in the cache, or built now.

    Args:
        source: The text.
        digest: Of what it was printed from; equal digests mean equal texts.

    Raises:
        ConfigurationError: It cannot be built or kept here.
    """
    key = _key(source, digest)
    module = _loaded.get(key)
    if module is None:
        cache = NativeCache(cache_directory() / "native")
        path = cache.obtain(key, _file_name(digest), lambda where: _compile(source, digest, where))
        module = _loaded[key] = _load(path, digest)
    return module


def build_into(source: str, digest: str, directory: Path) -> Path:
    """Build ahead of time: an extension file and what it was built for, to ship with a graph.

    Args:
        source: The text.
        digest: Of what it was printed from.
        directory: Where both files go; made where it is missing.

    Returns:
        The extension file.

    Raises:
        ConfigurationError: It cannot be built, or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _compile(source, digest, directory)
        write_manifest(directory, _file_name(digest), _facts(digest))
    except OSError as error:
        raise ConfigurationError(
            f"native code cannot be written to {directory}: {error_text(error)}",
            code=Code.RESOURCE_UNAVAILABLE,
            remedy="name a directory that you may write to",
        ) from error
    return directory / _file_name(digest)


def load_built(directory: Path, digest: str) -> ModuleType:
    """Load what ``build_into`` made, on a machine that may have no compiler.

    Raises:
        ConfigurationError: It was built of another graph or version, for another Python or
            processor, or it is damaged.
    """
    facts, name = read_manifest(directory), _file_name(digest)
    if facts is None:
        raise _refused(directory, "there is no manifest.json that can be read")
    wanted = _facts(digest)
    if facts.get("program") != digest:
        why = "it was built of another graph, or for another clock, log or metrics than this run's"
        raise _refused(directory, why)
    for what in ("limen", "abi", "machine"):
        if facts.get(what) != wanted[what]:
            raise _refused(directory, f"its {what} is {facts.get(what)}, and not {wanted[what]}")
    if not matches(directory, name, facts):
        raise _refused(directory, f"{name} is missing or damaged")
    key = f"{directory}:{digest}"
    if key not in _loaded:
        _loaded[key] = _load(directory / name, digest)
    return _loaded[key]


def _refused(directory: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"native code in {directory} cannot be used: {why}",
        remedy="build it anew with limen build --target native, on a machine like this one",
    )


def _compile(source: str, digest: str, directory: Path) -> None:
    """Make the extension file in a directory; nothing else is left there."""
    missing = why_not()
    if missing is not None:
        raise ConfigurationError(missing, code=Code.RESOURCE_UNAVAILABLE)
    _log.info("native code of this graph is built, once: that takes some seconds")
    text = directory / f"{_module_name(digest)}.pyx"
    c_text = text.with_suffix(".c")
    text.write_text(source, encoding="utf-8")
    try:
        # A process of its own: Cython keeps state, and writes to the terminal.
        _run([sys.executable, "-m", "cython", "-3", str(text), "-o", str(c_text)])
        include = sysconfig.get_paths()["include"]
        command = [*_compiler(), *_FLAGS, f"-I{include}", str(c_text)]
        target = directory / _file_name(digest)
        _run([*command, "-o", str(target)])
    finally:
        text.unlink(missing_ok=True)
        c_text.unlink(missing_ok=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    lines = (done.stderr or done.stdout).strip().splitlines()
    # What went wrong comes last, behind warnings.
    lines = [line for line in lines if not line.startswith("warning:")][-_MOST_SHOWN:]
    raise ConfigurationError(
        "\n".join([f"native code was not built: {Path(command[0]).name} failed", *lines]),
        code=Code.RESOURCE_UNAVAILABLE,
        remedy="choose the target python, or correct the compiler",
    )


def _load(path: Path, digest: str) -> ModuleType:
    name = _module_name(digest)
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    try:
        if spec is None:
            raise ImportError("it is no extension module")
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise _refused(path.parent, error_text(error)) from error
    return module


def _module_name(digest: str) -> str:
    return f"limen_native_{digest[:24]}"


def _file_name(digest: str) -> str:
    return f"{_module_name(digest)}.so"


def _compiler() -> list[str]:
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]


def _facts(digest: str) -> dict[str, str]:
    """Return what compiled code depends on."""
    return {
        "abi": str(sysconfig.get_config_var("SOABI")),
        "compiler": compiler_version(_compiler()[0]),
        "cython": _cython_version(),
        "flags": " ".join(_FLAGS),
        "limen": version("limen"),
        "machine": platform.machine(),
        "program": digest,
    }


def _key(source: str, digest: str) -> str:
    facts = sorted(_facts(digest).items())
    return hashlib.sha256(repr((facts, source)).encode()).hexdigest()


def _cython_version() -> str:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "none"
