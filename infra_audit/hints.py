"""What a misspelt word most likely means."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known word that is most like another one, or ""."""
    from difflib import get_close_matches  # only what goes wrong needs it

    return next(iter(get_close_matches(word, known, 1, likeness)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: "; did you mean memory-limit?", or "" where nothing is like the word."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""
