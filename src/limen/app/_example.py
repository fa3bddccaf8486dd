"""Where the standing example lies."""

from __future__ import annotations

from pathlib import Path

from limen.errors import ConfigurationError


def example_folder() -> Path:
    """Return the folder of the activity example: in the installed package, else in the sources.

    Raises:
        ConfigurationError: It is in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "examples" / "activity", package.parents[1] / "examples" / "activity"):
        if (folder / "activity.toml").is_file():
            return folder
    raise ConfigurationError(
        "the activity example is not installed", remedy="run this from a checkout"
    )
