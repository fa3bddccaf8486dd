"""Hypothesis without time limits: a busy machine fails no test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "limen", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# For mutation.py: a verdict on a mutant must not hang on chance.
settings.register_profile(
    "mutation", settings.get_profile("limen"), derandomize=True, database=None, max_examples=20
)
settings.load_profile("limen")
