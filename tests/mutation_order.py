"""A pytest plugin for ``mutation.py``: quick tests first, so that most mutants die soon."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # mutmut has written how long tests take once it has measured, into the directory it runs in.
    if Path("mutmut-stats.json").exists():
        seconds = _seconds()
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


@functools.cache
def _seconds() -> Mapping[str, float]:
    durations: Mapping[str, float] = json.loads(Path("mutmut-stats.json").read_text())[
        "duration_by_test"
    ]
    return durations
