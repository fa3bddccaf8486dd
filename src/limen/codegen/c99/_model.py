"""Stand-in."""

from dataclasses import dataclass

from limen.types import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelC:
    source: str
    header: str
    entry: str
    inputs: tuple[tuple[str, TensorSpec], ...]
    outputs: tuple[tuple[str, TensorSpec], ...]
    weights_bytes: int
    arena_bytes: int
    batch: int


def compile_model(data: bytes, name: str, batch: int = 1) -> ModelC:
    raise NotImplementedError
