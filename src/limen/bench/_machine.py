"""What figures belong to: the machine, the interpreter and what takes part."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("limen", "numpy", "onnxruntime", "cython")


def machine() -> str:
    """Name processor, cores, system, Python, compiler and packages in two lines."""
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return f"{_processor()}, {os.cpu_count()} cores; {system}\n{python}; {_compiler()}; {packages}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _compiler() -> str:
    """Return what the compiler that Python was built with says of itself."""
    path = shutil.which(shlex.split(sysconfig.get_config_var("CC") or "cc")[0])
    if path is None:
        return "no C compiler"
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0].strip() or Path(path).name


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
