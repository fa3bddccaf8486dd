"""The command line over the façade."""

from limen.cli._main import main

__all__ = ["main"]
