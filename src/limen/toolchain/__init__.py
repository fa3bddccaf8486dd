"""C compilers of this machine, and the cache of what they made."""

from limen.toolchain._cache import (
    MOST_ENTRIES,
    NativeCache,
    matches,
    read_manifest,
    write_manifest,
)
from limen.toolchain._compilers import compiler_version, host_compiler

__all__ = [
    "MOST_ENTRIES",
    "NativeCache",
    "compiler_version",
    "host_compiler",
    "matches",
    "read_manifest",
    "write_manifest",
]
