"""The cache of compiled programs: private to its user, safe against whoever else writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from limen.errors import Code, ConfigurationError
from limen.types import error_text

_log = logging.getLogger("limen")

MOST_ENTRIES: Final = 64
"""Programs that are kept; the one that was used longest ago goes first."""

_MANIFEST: Final = "manifest.json"


class NativeCache:
    """Directories of one compiled program each, by key.

    Args:
        directory: Where they lie; made where it is missing, with mode 0700.

    Raises:
        ConfigurationError: The directory is not the user's own, others may write to it, or it
            cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(directory, error_text(error)) from error
        _require_private(directory)

    def obtain(self, key: str, name: str, build: Callable[[Path], None]) -> Path:
        """Return the extension file of a key, built first where there is none that is whole.

        Of several processes that ask at once one builds, and the others wait for it; a process
        that dies gives its lock up.

        Args:
            key: Identifies source, compiler and machine: hexadecimal.
            name: Of the extension file.
            build: Makes that file in a directory.

        Raises:
            LimenError: As ``build`` raises it, or nothing can be written.
        """
        entry = self.directory / key
        with self._locked(key):
            if _is_whole(entry, name):
                with contextlib.suppress(OSError):
                    os.utime(entry)
                return entry / name
            try:
                self._make(entry, name, build)
                self._prune(key)
            except OSError as error:
                raise _unusable(self.directory, error_text(error)) from error
        return entry / name

    def _make(self, entry: Path, name: str, build: Callable[[Path], None]) -> None:
        """Build an entry beside, and put it into place; its lock is held."""
        prefix = f".new-{entry.name[:16]}-"
        # Only who held this lock and died can have left them.
        for path in self.directory.glob(f"{prefix}*"):
            _remove(path)
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=self.directory))
        try:
            build(made)
            write_manifest(made, name, {"key": entry.name})
            _remove(entry)
            made.rename(entry)
        finally:
            _remove(made)

    def clear(self) -> None:
        """Remove all that is kept."""
        for path in self.directory.iterdir():
            _remove(path)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            lock = os.open(self.directory / f".{key[:16]}.lock", flags, 0o600)
        except OSError as error:
            raise _unusable(self.directory, error_text(error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _prune(self, keep: str) -> None:
        entries = [p for p in self.directory.iterdir() if not p.name.startswith(".")]
        entries.sort(key=lambda path: path.lstat().st_mtime_ns)
        for path in entries[: max(len(entries) - MOST_ENTRIES, 0)]:
            if path.name != keep:
                _remove(path)


def write_manifest(directory: Path, name: str, facts: dict[str, str]) -> None:
    """Write beside an extension file what it is, and its digest."""
    digest = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    text = json.dumps({**facts, "file": name, "sha256": digest}, indent=1, sort_keys=True)
    (directory / _MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path) -> dict[str, str] | None:
    """Return what a manifest says; None where there is none that can be read."""
    try:
        found = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def matches(directory: Path, name: str, facts: dict[str, str]) -> bool:
    """Whether a file is the one that its manifest was written for."""
    with contextlib.suppress(OSError):
        digest = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        return facts.get("file") == name and facts.get("sha256") == digest
    return False


def _is_whole(entry: Path, name: str) -> bool:
    """Whether an entry can be loaded: what is loaded is code, so all of it is checked first."""
    if not entry.exists() and not entry.is_symlink():
        return False
    facts = None
    with contextlib.suppress(ConfigurationError):
        _require_private(entry)
        if not (entry / name).is_symlink():
            facts = read_manifest(entry)
    if facts is not None and facts.get("key") == entry.name and matches(entry, name, facts):
        return True
    _log.warning("native code in %s is damaged or not your own: it is built anew", entry)
    return False


def _require_private(directory: Path) -> None:
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _unusable(directory, "it is no directory")
    if status.st_uid != os.getuid():
        raise _unusable(directory, "it belongs to another user")
    if status.st_mode & 0o077:
        raise _unusable(directory, f"its mode is {stat.S_IMODE(status.st_mode):o}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _unusable(directory: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"native code cannot be kept in {directory}: {why}",
        code=Code.RESOURCE_UNAVAILABLE,
        remedy="make it a directory of your own with mode 0700, or name another in LIMEN_CACHE_DIR",
    )
