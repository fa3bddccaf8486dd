"""An ONNX model made ready for C: what has no C form refused, shapes pinned, the rest left out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from limen.errors import ConfigurationError
from limen.onnx_c._refusal import COMPLETE_FILE, refused
from limen.types import DataType, error_text

if TYPE_CHECKING:
    import onnx

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_RANDOM = frozenset(
    {
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    }
)
_NOT_IN_C = frozenset({DataType.F16, DataType.BF16})
_CUT = "cut the graph ahead of it: name the outputs to keep, as of a classifier its probabilities"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that can be compiled.

    Attributes:
        model: Without free axes, dead nodes, and words of whoever exported it.
        inputs: Names, in the model's order.
        outputs: Likewise, of those that are kept.
        labels_text: Class names of the first output, a JSON list; None where the file has none.
        is_free: Whether it left its batch axis open.
        digest: SHA-256 of the model as it was given.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    labels_text: str | None
    is_free: bool
    digest: str


def prepare(
    module: ModuleType,
    source: bytes | onnx.ModelProto,
    batch: int,
    outputs: Sequence[str],
    axes: Mapping[str, int],
) -> Prepared:
    """Make a model ready; called by ``compile_model``, whose arguments these are.

    Args:
        module: The package ``onnx``.
        source: A file's content, or a model; it is left as it is.
        batch: Length of open first axes.
        outputs: Those to keep, by name; all of the model's if none is named.
        axes: Lengths of other open axes.

    Raises:
        GraphError: NOT_PORTABLE: something in it has no C form.
    """
    model, digest = _load(module, source)
    labels = {entry.key: entry.value for entry in model.metadata_props}.get("labels")
    if model.functions:
        model = module.inliner.inline_local_functions(model)
    graph = model.graph
    kept = _keep_outputs(module, model, outputs)
    _drop_dead(graph)
    _require_known_operators(graph)
    constants = {w.name for w in graph.initializer} | {
        w.values.name for w in graph.sparse_initializer
    }
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            _require_text(value.name)
            _require_tensor(module, kind, value)
    is_free = _pin(graph, batch, axes)
    _separate_outputs(module, graph, constants)
    _forget_words(model)
    inferred = module.shape_inference.infer_shapes(model, data_prop=True)
    names = tuple(value.name for value in inputs)
    return Prepared(inferred, names, kept, labels, is_free, digest)


def _load(module: ModuleType, source: bytes | onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    model: onnx.ModelProto = module.ModelProto()
    try:
        if isinstance(source, bytes):
            model.ParseFromString(source)
        else:
            model.CopyFrom(source)
        outside = [w.name for w in model.graph.initializer if w.data_location == 1]
        if not outside:
            # The checker wants a shape of every output, which exporters may leave out.
            module.checker.check_model(module.shape_inference.infer_shapes(model))
    except Exception as error:  # of the parser, of the checker, or of what they call
        said = error_text(error, named=False)
        raise refused(f"it is no complete ONNX file: {said}", COMPLETE_FILE) from error
    if outside:
        raise refused(
            f"its weights, as {outside[0]!r}, lie in files of their own",
            "save it with its weights inside, or give what onnx.load returns",
        )
    data = source if isinstance(source, bytes) else model.SerializeToString(deterministic=True)
    return model, hashlib.sha256(data).hexdigest()


def _keep_outputs(
    module: ModuleType, model: onnx.ModelProto, names: Sequence[str]
) -> tuple[str, ...]:
    """Leave the named outputs, in that order; they may be values from inside the graph."""
    graph = model.graph
    kept = tuple(names) or tuple(value.name for value in graph.output)
    twice = [name for name in kept if kept.count(name) > 1]
    if twice or not kept:
        why = f"output {twice[0]!r} is named twice" if twice else "it has no outputs"
        raise refused(why, "name each output once")
    if names:
        inferred = module.shape_inference.infer_shapes(model, data_prop=True).graph
        known = {v.name: v for v in (*inferred.input, *inferred.value_info, *inferred.output)}
        for name in names:
            if name not in known:
                there = ", ".join(value.name for value in graph.output)
                raise refused(f"it has no value {name!r}", f"its outputs are {there}")
        del graph.output[:]
        graph.output.extend(known[name] for name in names)
    return kept


def _drop_dead(graph: onnx.GraphProto) -> None:
    """Leave out nodes and weights that no output depends on: they need no C form."""
    wanted = {value.name for value in graph.output}
    alive: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            alive.append(node)
            wanted.update(_reads(node))
    del graph.node[:]
    graph.node.extend(reversed(alive))
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads; its branches read values of the graph around them."""
    yield from (name for name in node.input if name)
    for inner in _branches(node):
        yield from (value.name for value in inner.output)
        for each in inner.node:
            yield from _reads(each)


def _branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _require_known_operators(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.domain not in _DOMAINS:
            raise refused(
                f"{name_of(node)} is an operator of {node.domain!r}",
                "export the model with operators of ONNX alone",
            )
        if node.op_type in _RANDOM:
            raise refused(
                f"{name_of(node)} draws random numbers", "leave it out when exporting the model"
            )
        words = [node.name, *node.input, *node.output]
        words += [a.s.decode("utf-8", "replace") for a in node.attribute if a.HasField("s")]
        for word in words:
            _require_text(word)
            if "*/" in word:
                raise refused(
                    f"{name_of(node)}: {word!r} would end a comment in C", "name it otherwise"
                )
        for inner in _branches(node):
            _require_known_operators(inner)


def _require_text(word: object) -> None:
    """Refuse a name whose bytes are no text: the parser hands it over as bytes."""
    if not isinstance(word, str):
        raise refused(f"the name {word!r} in it is not UTF-8", "name it otherwise")


def name_of(node: onnx.NodeProto) -> str:
    """Say which node it is: its name if it has one, else what it gives."""
    name = node.name or next((name for name in node.output if name), "")
    return f"node {name!r} ({node.op_type})"


def _require_tensor(module: ModuleType, kind: str, value: onnx.ValueInfoProto) -> None:
    what = value.type.WhichOneof("value") or "nothing stated"
    if what == "tensor_type":
        what = module.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        try:
            if DataType.from_name(what) not in _NOT_IN_C:
                return
        except ConfigurationError:
            pass
    remedy = _CUT if kind == "output" else "feed it tensors of float, double, int or bool"
    raise refused(f"{kind} {value.name!r} is of {what.removesuffix('_type')}", remedy)


def _pin(graph: onnx.GraphProto, batch: int, axes: Mapping[str, int]) -> bool:
    """Give every open axis a length, or leave it to be inferred; say whether there was a batch."""
    known = dict(axes)
    free = [_first_is_free(value) for value in graph.input]
    if any(free) and not all(free):
        with_axis, without = graph.input[free.index(True)], graph.input[free.index(False)]
        raise refused(
            f"input {with_axis.name!r} has an open batch axis and {without.name!r} has none",
            "export it with an open first axis in every input, or in none",
        )
    for value in graph.input:
        if not value.type.tensor_type.HasField("shape"):
            raise refused(f"input {value.name!r} has no shape", "export the model with its shape")
        first = value.type.tensor_type.shape.dim[:1] if any(free) else []
        known |= {dim.dim_param: batch for dim in first if dim.dim_param}
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            place = f"{value.name}[{axis}]"
            if dim.HasField("dim_value"):
                continue
            if axis and place not in known and dim.dim_param not in known:
                shown = f" {dim.dim_param!r}" if dim.dim_param else ""
                raise refused(
                    f"axis {axis}{shown} of input {value.name!r} has no length",
                    "export the model with that axis fixed, or give its length in axes",
                )
            dim.dim_value = known.get(place, known.get(dim.dim_param, batch)) if axis else batch
    for value in graph.output:
        if any(free) and value.type.tensor_type.HasField("shape") and not _first_is_free(value):
            raise refused(
                f"input {graph.input[0].name!r} has an open batch axis and output {value.name!r} "
                "has none",
                "export it with an open first axis in every input and output, or in none",
            )
        dims = value.type.tensor_type.shape.dim
        for dim in dims:
            if dim.dim_param in known:
                dim.dim_value = known[dim.dim_param]
        if not all(dim.HasField("dim_value") for dim in dims):
            value.type.tensor_type.ClearField("shape")
    # They may speak of the axes that have been pinned.
    del graph.value_info[:]
    return any(free)


def _first_is_free(value: onnx.ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return bool(dims) and not dims[0].HasField("dim_value")


def _separate_outputs(module: ModuleType, graph: onnx.GraphProto, constants: set[str]) -> None:
    """Have a node write every output: the compiler takes an input or weight that is one for it."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | constants
    taken |= {value.name for value in (*graph.input, *graph.output)}
    for value in graph.output:
        if value.name in constants or any(value.name == i.name for i in graph.input):
            fresh = f"{value.name}_out"
            while fresh in taken:
                fresh += "_"
            taken.add(fresh)
            graph.node.append(module.helper.make_node("Identity", [value.name], [fresh]))
            value.name = fresh


def _forget_words(model: onnx.ModelProto) -> None:
    """Leave out what may hold anything, and would else stand in the C file."""
    for field in ("producer_name", "producer_version", "domain", "doc_string"):
        model.ClearField(field)
    del model.metadata_props[:]
    model.graph.name = "model"
    model.graph.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")
