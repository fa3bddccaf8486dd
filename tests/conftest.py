"""Hypothesis without time limits: a busy machine fails no test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "limen", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# For mutation.py: a verdict on a mutant must not hang on chance.
settings.register_profile(
    "mutation", settings.get_profile("limen"), derandomize=True, database=None, max_examples=20
)
settings.load_profile("limen")


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for compiled code of this session, the same for all of its workers.

    What compiles many programs once would drive those out of the user's own cache that are used.
    """
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "limen-native"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(native_cache: Path) -> Iterator[None]:
    """Have what the tests compile, here and in processes that they start, kept there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMEN_CACHE_DIR", str(native_cache))
        yield
