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
        return f"{type(error).__name__}: {error}"
    return None
