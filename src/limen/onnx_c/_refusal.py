"""How a model is refused."""

from __future__ import annotations

from limen.errors import Code, GraphError

OTHER_OPERATORS = "export the model with other operators, of float, int or bool tensors"
COMPLETE_FILE = "give a complete ONNX file; models of other formats have no C form"


def refused(why: str, remedy: str) -> GraphError:
    """Make the error for a model that has no C form.

    Args:
        why: What has none, and where it is in the model.
        remedy: What to do.
    """
    return GraphError(f"the model has no C form: {why}", code=Code.NOT_PORTABLE, remedy=remedy)
