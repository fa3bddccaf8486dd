"""What a call that should fail comes to."""

from __future__ import annotations

from collections.abc import Callable

from limen.errors import Code, LimenError


def code_raised(call: Callable[..., object], *args: object) -> Code | str | None:
    """Return the code of the LimenError that a call raises; None if it raises nothing.

    Used by suites to compare and to say what was seen: another exception is returned as its text.
    """
    try:
        call(*args)
    except LimenError as error:
        return error.code
    except Exception as error:
        return error_line(error)
    return None


def text_of(error: BaseException) -> str:
    """Return what an error says; of one that cannot say it, what its ``__str__`` raises."""
    try:
        return str(error)
    # It is code of somebody else.
    except BaseException as raised:
        return f"its __str__ raises {type(raised).__name__}"


def error_line(error: BaseException) -> str:
    """Return an error's type and the first line of what it says."""
    said = text_of(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
