"""A model file's bytes, their label and their digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from limen.errors import InvalidArtifactError


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A model as bytes.

    Attributes:
        label: What reports call it.
        data: The file's content.
        sha256: Hex digest of ``data``.
        path: Where it was read from; None for bytes given directly.
    """

    label: str
    data: bytes
    sha256: str
    path: Path | None = None

    @classmethod
    def from_path(cls, path: Path) -> ModelArtifact:
        """Read a model file.

        Raises:
            InferenceError: The file cannot be read.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InvalidArtifactError(
                f"model file {str(path)!r} cannot be read: {error.strerror or error}",
                remedy="give the path of a model file; relative paths start at the graph file",
            ) from error
        return cls(path.name, data, hashlib.sha256(data).hexdigest(), path)

    @classmethod
    def from_bytes(cls, data: bytes, label: str = "model") -> ModelArtifact:
        """Wrap a model that is already in memory."""
        return cls(label, data, hashlib.sha256(data).hexdigest())
