"""``python -m limen`` is the ``limen`` command."""

from limen.cli import main

main()
