"""What the environment says: the only module that reads it."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return where Limen keeps what it can make again.

    ``LIMEN_CACHE_DIR`` names it; else it is ``limen`` in ``XDG_CACHE_HOME``, or in ``~/.cache``.
    """
    own = os.environ.get("LIMEN_CACHE_DIR")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "limen"


def child_environment(cache: Path) -> dict[str, str]:
    """Return this process's environment for a child whose cache directory is another."""
    return {**os.environ, "LIMEN_CACHE_DIR": str(cache)}
