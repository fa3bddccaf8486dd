"""Which C compiler builds code for this machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sysconfig


def host_compiler() -> str | None:
    """Return the path of a C compiler: the one Python was built with, else another; or None."""
    own = (sysconfig.get_config_var("CC") or "cc").split()[0]
    found = (shutil.which(name) for name in (own, "cc", "gcc", "clang"))
    return next((path for path in found if path is not None), None)


def compiler_version(command: str) -> str:
    """Return a compiler's path and the first line of what it says of itself; none if missing."""
    path = shutil.which(command)
    return "none" if path is None else _version(path)


@functools.cache
def _version(path: str) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return f"{path}: {done.stdout.partition(chr(10))[0]}"
