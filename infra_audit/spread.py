"""Independent pieces of work on all cores of the machine, their results in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NoReturn, TypeVar

from infra_audit.errors import InfraAuditError

__all__ = ["spread"]

T = TypeVar("T")

_WORTH_IT = 12
"""Pieces for each process: fewer are done by the time that another one has started."""


def spread(work: Callable[[int], T], pieces: int) -> Iterator[T]:
    """``work(0)``, ``work(1)``, … up to ``pieces``, in that order; what one raises is raised here.

    This process and copies of it share many pieces. ``work`` sees all that it sees here; what it changes elsewhere
    may be lost. Results of the copies travel by pickle.
    """
    processes = min(_cores(), pieces // _WORTH_IT)
    if processes < 2:
        yield from map(work, range(pieces))
        return
    copies = [_Copy(work, range(first, pieces, processes)) for first in range(1, processes)]
    try:
        for piece in range(pieces):
            turn = piece % processes
            yield copies[turn - 1].take() if turn else work(piece)
    finally:
        for copy in copies:
            copy.end()


def _cores() -> int:
    """Cores for this process, 1 where a process cannot safely copy itself."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


class _Copy:
    """A copy of this process that does some of the pieces. ``concurrent.futures`` needs five times as long to start."""

    def __init__(self, work: Callable[[int], Any], pieces: Iterable[int]) -> None:
        reading, writing = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(reading)
            _do(work, pieces, os.fdopen(writing, "wb"))
        os.close(writing)
        self._results = os.fdopen(reading, "rb")

    def take(self) -> Any:
        """The next result; what was raised instead is raised here."""
        import pickle

        try:
            result, error = pickle.load(self._results)
        except (EOFError, pickle.UnpicklingError):
            raise InfraAuditError("a process of this run was ended before its work was done") from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Ends the copy, which has nothing more to say or nobody to say it to."""
        import signal

        self._results.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _do(work: Callable[[int], Any], pieces: Iterable[int], results: BinaryIO) -> NoReturn:
    """What a copy does: writes ``(result, None)`` or ``(None, error)`` for each piece, and is gone."""
    import pickle
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    try:
        for piece in pieces:
            try:
                told = pickle.dumps((work(piece), None))
            except Exception as error:
                told = pickle.dumps((None, error))
            results.write(told)
            results.flush()
    finally:
        os._exit(0)
