"""Executors of a Plan."""

from limen.runtime._single import SingleThreadRuntime
from limen.runtime.contract import LimenRuntime, RuntimeStopHandle

__all__ = ["LimenRuntime", "RuntimeStopHandle", "SingleThreadRuntime"]
