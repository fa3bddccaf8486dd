"""Whether a file can be read, or lie where it should: asked before the start."""

from __future__ import annotations

from pathlib import Path

from limen.errors import Code, OutputError, SensorError


def require_file(path: Path, what: str) -> None:
    """Refuse a path at which there is no file to read.

    Raises:
        SensorError: It does not exist, or is no file.
    """
    remedy = f"give the path of a {what} file"
    if not path.exists():
        raise SensorError(f"{path} does not exist", code=Code.SENSOR_OPEN, remedy=remedy)
    if not path.is_file():
        raise SensorError(f"{path} is not a file", code=Code.SENSOR_OPEN, remedy=remedy)


def not_opened(path: Path, error: OSError, what: str) -> SensorError:
    """Return the error for a file that is there and cannot be opened."""
    return SensorError(
        f"{path} cannot be opened: {error.strerror}",
        code=Code.SENSOR_OPEN,
        remedy=f"give the path of a {what} file that may be read",
    )


def require_place(path: Path) -> None:
    """Refuse a path at which no file can be written.

    Raises:
        OutputError: It is no file name, its folder is not there, or it is a folder itself.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r} is no file name", remedy="remove the NUL in it")
    if not path.parent.is_dir():
        raise OutputError(
            f"{path} cannot be written: there is no folder {path.parent}",
            remedy="make the folder first",
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder", remedy="name a file")
