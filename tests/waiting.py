"""Waiting for what comes to pass by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Returns once something holds; fails where it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come to pass in time"
        time.sleep(0.2)
