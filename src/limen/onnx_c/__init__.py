"""Models in C99: an ONNX file as one C file without a heap, for firmware and for the host."""

from limen.onnx_c._compile import compile_model, with_weights
from limen.onnx_c._model import ModelC

__all__ = ["ModelC", "compile_model", "with_weights"]
