"""Regular expressions that are compiled when they are first used.

A run needs few of the expressions that the facts hold, and none of those that PyYAML holds for its
reader in Python. Compiling all of them would cost a small audit a quarter of its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Pattern", "compiled_late"]

_compile = re.compile


class Pattern:
    """A regular expression with the methods of ``re.Pattern[str]`` that are in use here.

    ``hints``: pieces of which every match holds at least one (in small letters where the case does not
    matter). A text without them is not searched, and where no text has them the expression is never compiled.
    """

    __slots__ = ("_any_case", "_compiled", "_flags", "_hints", "_text")

    def __init__(self, text: str, flags: int = 0, hints: tuple[str, ...] = ()) -> None:
        self._text = text
        self._flags = flags
        self._hints = hints
        self._any_case = bool(flags & re.IGNORECASE)
        self._compiled: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"Pattern({self._text!r})"

    @property
    def compiled(self) -> re.Pattern[str]:
        if self._compiled is None:
            self._compiled = _compile(self._text, self._flags)
        return self._compiled

    def may_match(self, text: str) -> bool:
        """False where the hints show that the text holds no match."""
        if not self._hints:
            return True
        if self._any_case:
            text = text.lower()
        for hint in self._hints:  # noqa: SIM110 - a generator would cost more than the hints
            if hint in text:
                return True
        return False

    def match(self, text: str, start: int = 0) -> re.Match[str] | None:
        return self.compiled.match(text, start) if self.may_match(text) else None

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self.compiled.fullmatch(text) if self.may_match(text) else None

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        return self.compiled.search(text, start) if self.may_match(text) else None

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return self.compiled.finditer(text) if self.may_match(text) else iter(())

    def findall(self, text: str) -> list[str]:
        return self.compiled.findall(text) if self.may_match(text) else []

    def sub(self, by: str | Callable[[re.Match[str]], str], text: str) -> str:
        return self.compiled.sub(by, text) if self.may_match(text) else text


@contextmanager
def compiled_late() -> Iterator[None]:
    """What a library compiles while it is imported inside is compiled when the library first uses it."""
    re.compile = _Late  # type: ignore[assignment]
    try:
        yield
    finally:
        re.compile = _compile


class _Late:
    """Has everything that a ``re.Pattern`` has, also what no library of today asks for."""

    __slots__ = ("_compiled", "_written")

    def __init__(self, text: Any, flags: int = 0) -> None:
        self._written = (text, flags)
        self._compiled: re.Pattern[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._compiled is None:
            self._compiled = _compile(*self._written)
        return getattr(self._compiled, name)
