"""What a call leaves behind in memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

# What an interpreter may allocate by itself meanwhile; an object kept per call is far more.
SLACK_BYTES = 8 * 1024


def bytes_kept(calls: Callable[[], object]) -> int:
    """Return the bytes that a second round of calls allocated and that are still there.

    Used by suites; the first round fills what is kept for good.
    """
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        # Traced as well: what the second round puts in the place of this counts as nothing.
        calls()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        calls()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        if not tracing:
            tracemalloc.stop()
