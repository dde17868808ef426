"""Independent pieces of work on all cores of the machine, their results in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

__all__ = ["spread"]

T = TypeVar("T")

_WORTH_IT = 24
"""Fewer pieces are done by the time that other processes have started."""
_AT_ONCE = 4
"""Pieces that a process takes at a time."""


def spread(work: Callable[[int], T], pieces: int) -> Iterator[T]:
    """``work(0)``, ``work(1)``, … up to ``pieces``, in that order; what one raises is raised here.

    Several processes share many pieces; they are copies of this one, so ``work`` sees all that it
    sees here, and what it changes elsewhere is lost. Results travel by pickle.
    """
    cores = _cores()
    if pieces < _WORTH_IT or cores < 2:
        yield from map(work, range(pieces))
        return
    from concurrent.futures import ProcessPoolExecutor  # 30 ms
    from multiprocessing import get_context

    with ProcessPoolExecutor(cores, get_context("fork"), initializer=_begin, initargs=(work,)) as pool:
        try:
            yield from pool.map(_do, range(pieces), chunksize=_AT_ONCE)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    """Cores for this process, 1 where a process cannot safely copy itself."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


_work: list[Callable[[int], Any]] = []
"""In a copy: what it was made for."""


def _begin(work: Callable[[int], Any]) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    _work.append(work)


def _do(piece: int) -> Any:
    return _work[0](piece)
