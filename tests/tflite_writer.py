"""Writes small TFLite files with the schema that LiteRT's package brings."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

TYPES = {
    "bool": schema.TensorType.BOOL,
    "uint8": schema.TensorType.UINT8,
    "uint16": schema.TensorType.UINT16,
    "uint32": schema.TensorType.UINT32,
    "uint64": schema.TensorType.UINT64,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "float16": schema.TensorType.FLOAT16,
    "bfloat16": schema.TensorType.BFLOAT16,
    "float32": schema.TensorType.FLOAT32,
    "float64": schema.TensorType.FLOAT64,
    "string": schema.TensorType.STRING,
    "complex64": schema.TensorType.COMPLEX64,
}
_CODES = schema.BuiltinOperator


class Writer:
    """Collects tensors and operators of one subgraph.

    Args:
        batch: ``free`` gives every tensor but constants a first axis of any length, ``one`` one of
            length 1, and ``none`` gives them none.
    """

    def __init__(self, batch: str = "free") -> None:
        self._lead = () if batch == "none" else (1,)
        self._free = batch == "free"
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "limen"
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name: str, item: tuple[int, ...], dtype: str = "float32") -> int:
        """Add a tensor that operators fill, or that is given; its number."""
        made = self._new(name, (*self._lead, *item), TYPES[dtype])
        if self._free:
            self.graph.tensors[made].shapeSignature = [-1, *item]
        return made

    def constant(self, name: str, value: NDArray[np.generic]) -> int:
        """Add a constant; its number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(value.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        made = self._new(name, value.shape, TYPES[value.dtype.name])
        self.graph.tensors[made].buffer = len(self.model.buffers) - 1
        return made

    def add(
        self, code: int, takes: list[int], gives: list[int], options: object, kind: int
    ) -> None:
        """Add an operator."""
        entry = schema.OperatorCodeT()
        entry.builtinCode = code
        entry.deprecatedBuiltinCode = min(code, 127)
        entry.version = 1
        self.model.operatorCodes.append(entry)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = takes, gives
        made.builtinOptions, made.builtinOptionsType = options, kind
        self.graph.operators.append(made)

    def dense(
        self, last: int, weight: NDArray[np.generic], bias: NDArray[np.generic], *, relu: bool
    ) -> int:
        """Add ``last @ weight + bias``."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = int(relu)
        takes = [last, self.constant("w", weight.T.copy()), self.constant("b", bias)]
        made = self.tensor("t", (weight.shape[1],))
        kind = schema.BuiltinOptions.FullyConnectedOptions
        self.add(_CODES.FULLY_CONNECTED, takes, [made], options, kind)
        return made

    def conv(self, last: int, kernel: NDArray[np.generic], bias: NDArray[np.generic]) -> int:
        """Add a convolution without padding and ReLU; one along a line is one of height 1."""
        item = tuple(self.graph.tensors[last].shape[1:])
        line = kernel.ndim == 3
        if line:
            axis = self.constant("axis", np.array(1, np.int32))
            kernel, item = kernel[np.newaxis], (1, *item)
            wide = self.tensor("wide", item)
            options = schema.ExpandDimsOptionsT()
            kind = schema.BuiltinOptions.ExpandDimsOptions
            self.add(_CODES.EXPAND_DIMS, [last, axis], [wide], options, kind)
            last = wide
        places = tuple(n - k + 1 for n, k in zip(item, kernel.shape[:2], strict=False))
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        filters = self.constant("k", np.moveaxis(kernel, -1, 0).copy())
        made = self.tensor("t", (*places, kernel.shape[-1]))
        takes, kind = [last, filters, self.constant("b", bias)], schema.BuiltinOptions.Conv2DOptions
        self.add(_CODES.CONV_2D, takes, [made], options, kind)
        if not line:
            return made
        flat = self.tensor("flat", (places[1], kernel.shape[-1]))
        options = schema.SqueezeOptionsT()
        options.squeezeDims = [1]
        self.add(_CODES.SQUEEZE, [made], [flat], options, schema.BuiltinOptions.SqueezeOptions)
        return flat

    def affine(self, last: int, scale: NDArray[np.generic], shift: NDArray[np.generic]) -> int:
        """Add ``last * scale + shift``."""
        item = tuple(self.graph.tensors[last].shape[len(self._lead) :])
        product, made = self.tensor("p", item), self.tensor("t", item)
        takes, kind = [last, self.constant("s", scale)], schema.BuiltinOptions.MulOptions
        self.add(_CODES.MUL, takes, [product], schema.MulOptionsT(), kind)
        takes, kind = [product, self.constant("c", shift)], schema.BuiltinOptions.AddOptions
        self.add(_CODES.ADD, takes, [made], schema.AddOptionsT(), kind)
        return made

    def finish(self, *outputs: int, inputs: tuple[int, ...] = (0,)) -> bytes:
        """Name the first output ``y`` and write the file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        if outputs[0] not in inputs:
            self.graph.tensors[outputs[0]].name = "y"
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _new(self, name: str, shape: tuple[int, ...], type_: int) -> int:
        made = schema.TensorT()
        taken = any(tensor.name == name for tensor in self.graph.tensors)
        made.name = f"{name}{len(self.graph.tensors)}" if taken else name
        made.shape, made.type = list(shape), type_
        made.buffer = 0
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1
