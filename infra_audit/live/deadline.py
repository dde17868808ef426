"""Work that must end in time, whatever the other side does.

A socket's timeout counts from one byte to the next, so that a peer which drips holds it for ever. What may block
therefore runs in daemon threads, and the caller leaves when its time is over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Deadline", "Late", "Outcome", "every", "within"]

T = TypeVar("T")


class Late(Exception):
    """The time was over before there was an answer."""


class Deadline:
    """A point in time that several steps share."""

    __slots__ = ("at",)

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self, most: float | None = None) -> float:
        """Seconds until then, at least 0 and at most ``most``."""
        left = max(0.0, self.at - time.monotonic())
        return left if most is None else min(left, most)


class Outcome(Generic[T]):
    """What a piece of work gave: a value, or the exception that it raised (Late where it did not end)."""

    __slots__ = ("_value", "error")

    def __init__(self, value: T | None, error: Exception | None) -> None:
        self._value = value
        self.error = error

    @property
    def value(self) -> T:
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]


def within(deadline: Deadline, work: Callable[[], T], most: float | None = None) -> T:
    """The result of one piece of work; raises Late where it takes longer."""
    return every(deadline, [work], most=most)[0].value


def every(
    deadline: Deadline, jobs: Sequence[Callable[[], T]], *, workers: int = 1, most: float | None = None
) -> list[Outcome[T]]:
    """The outcomes of all jobs in their order, done by some threads at once.

    Returns at the deadline (or after ``most`` seconds); a job that is not done by then is Late. Its thread is
    left to itself and keeps no process alive.
    """
    outcomes: list[Outcome[T]] = [Outcome(None, Late()) for _ in jobs]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Outcome[T]]] = queue.SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)

    def run() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                outcome: Outcome[T] = Outcome(jobs[number](), None)
            except Exception as error:
                outcome = Outcome(None, error)
            done.put((number, outcome))

    for _ in range(min(workers, len(jobs))):
        threading.Thread(target=run, daemon=True).start()
    until = Deadline(deadline.left(most))
    for _ in jobs:
        try:
            number, outcome = done.get(timeout=until.left())
        except queue.Empty:
            break
        outcomes[number] = outcome
    while not waiting.empty():  # what has not begun shall not begin
        try:
            waiting.get_nowait()
        except queue.Empty:
            break
    return outcomes
