"""What each node of a Plan is in C: a form of its own, a model, or hooks of the application."""

from __future__ import annotations

from dataclasses import dataclass

from limen.errors import Code, GraphError
from limen.node import (
    CForm,
    InferenceModel,
    Node,
    NodeKind,
    Sink,
    SinkNode,
    SourceNode,
)
from limen.onnx_c import ModelC, compile_model, with_weights
from limen.platform import PlatformClock
from limen.scheduling import NodePlan


@dataclass(frozen=True, slots=True)
class NodeC:
    """A node in C.

    Attributes:
        plan: The node.
        shape: How it takes: SOURCE, ONE_BY_ONE, WINDOW, MODEL or JOIN.
        form: Its C form; None where the application has hooks for it, and of models.
        variant: The C form of its cheaper variant.
        model: Its model.
        variant_model: That of its variant.
        states: What its form states of messages.
        resumes: Whether it is a source of the application that is told when it may go on.
    """

    plan: NodePlan
    shape: str
    form: CForm | None
    variant: CForm | None = None
    model: ModelC | None = None
    variant_model: ModelC | None = None
    states: tuple[str, ...] = ()
    resumes: bool = False

    @property
    def fixed_batch(self) -> int:
        """Items of a call of the model, where it takes no other number; 1 where it takes any."""
        fixed = self.plan.node.fixed_batch if self.model is not None else None
        return 1 if fixed is None else fixed

    @property
    def is_hook(self) -> bool:
        """Whether the application supplies it."""
        return self.form is None and self.model is None


def form_of(node: NodePlan, clock: PlatformClock, prefix: str) -> NodeC:
    """Return what a node is in C.

    Args:
        node: The node.
        clock: Converts durations to its ticks.
        prefix: What all names of the graph begin with.

    Raises:
        LimenError: It has no C form; the remedy says what to do.
    """
    entry = f"{prefix}_{node.name}"
    form, model = _of(node.node, node, clock, f"{entry}_model")
    variant, variant_model = None, None
    if node.variant is not None:
        variant, variant_model = _of(node.variant, node, clock, f"{entry}_variant_model")
        if variant is None and variant_model is None:
            raise _no_form(node.variant)
    if form is None and model is None and not isinstance(node.node, (SourceNode, SinkNode)):
        raise _no_form(node.node)
    if isinstance(node.node, SinkNode) and _selects(node.node):
        raise GraphError(
            "the sink chooses among its inputs itself",
            code=Code.NOT_PORTABLE,
            remedy="leave select_input out: then the input pushed first is taken first",
        )
    return NodeC(
        plan=node,
        shape=_shape(node),
        form=form,
        variant=variant,
        model=model,
        variant_model=variant_model,
        states=() if form is None else form.states,
        resumes=form is None and isinstance(node.node, SourceNode) and node.node.source.pausable,
    )


def _of(
    node: Node, plan: NodePlan, clock: PlatformClock, entry: str
) -> tuple[CForm | None, ModelC | None]:
    if isinstance(node, InferenceModel):
        # A name of its own: a node may be named as its graph is, or as a function of C.
        return None, compile_model(with_weights(node.artifact.data, node.artifact.path), entry)
    return node.c_form(plan.ports, clock), None


def _no_form(node: Node) -> GraphError:
    inner = getattr(node, "function", node)
    name = getattr(inner, "__name__", type(inner).__name__)
    return GraphError(
        f"{name} has no C form",
        code=Code.NOT_PORTABLE,
        remedy="use a node of limen.nodes, an ONNX model, or a CNode: a C function beside its "
        "Python twin",
    )


def _selects(node: SinkNode) -> bool:
    return len(node.sink.inputs) > 1 and type(node.sink).select_input is not Sink.select_input


def _shape(node: NodePlan) -> str:
    if node.kind is NodeKind.SOURCE:
        return "SOURCE"
    if node.kind is NodeKind.MODEL:
        return "MODEL"
    if node.node.takes_windows:
        return "WINDOW"
    return "JOIN" if len(node.inputs) > 1 else "ONE_BY_ONE"
