"""Where a value comes from: sources, spans inside them, and the hops that a value took.

A *source* is a text that was read (a file) or asked for (a container's API answer). A *span* is a
piece of one, in lines and columns that count characters from 1, the end exclusive. A *hop* is a
step on a value's way into the effective deployment: an override, an anchor, a variable.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import Literal

from infra_audit.named import NamedTuple

__all__ = ["Hop", "HopKind", "Source", "Span", "display_path"]

HopKind = Literal[
    "alias",  # written at an anchor, used here
    "merge key",  # came in through `<<`
    "override",  # replaced an earlier value, which stands at the hop's span
    "merged",  # a later file added to the collection that began at the hop's span
    "extends",  # came from the service that is extended here
    "include",  # came from a file that is included here
    "variable",  # took the value of a variable, set at the hop's span
    "default",  # took the default that stands beside the variable
    "unset",  # the variable has no value; Compose puts a blank in its place
    "required",  # the variable has no value, and Compose refuses to go on without one
    "refused",  # Compose does not accept what is written
    "unseen",  # a running thing does not show it; the note says why
    "env_file",  # came from a file named here
    "implied",  # Compose adds it by itself
]


def display_path(path: str) -> str:
    """The path as a user would type it: relative below the working directory, else as it is."""
    absolute = os.path.abspath(path)
    here = os.getcwd()
    if absolute == here:
        return "."
    prefix = here if here.endswith(os.sep) else here + os.sep
    return absolute[len(prefix) :] if absolute.startswith(prefix) else absolute


class Source:
    """A text with a name.

    ``path`` is how it is shown; ``location`` is the absolute path of the file, or "" for what is
    no file. Lines end at "\\n" alone; a "\\r" before it belongs to the line's end.
    """

    __slots__ = ("_starts", "location", "path", "text")

    def __init__(self, path: str, text: str, location: str = "") -> None:
        self.path = path
        self.text = text
        self.location = location
        self._starts: list[int] | None = None

    def __repr__(self) -> str:
        return f"Source({self.path!r})"

    @property
    def starts(self) -> list[int]:
        """Offset of each line's first character."""
        if self._starts is None:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._starts = starts
        return self._starts

    def line(self, number: int) -> str:
        """The text of a line (counted from 1) without its end; "" past the last."""
        starts = self.starts
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column (both from 1), clipped to the text."""
        starts = self.starts
        if line > len(starts):
            return len(self.text)
        return min(starts[line - 1] + column - 1, len(self.text))

    def span(self, start: int, end: int) -> Span:
        """The span between two offsets, the end exclusive."""
        starts = self.starts
        first = bisect_right(starts, start)
        last = bisect_right(starts, end)
        return Span(self, first, start - starts[first - 1] + 1, last, end - starts[last - 1] + 1)

    @property
    def top(self) -> Span:
        """The empty span at the very beginning, for findings about the whole."""
        return Span(self, 1, 1, 1, 1)


class Span(NamedTuple):
    """A piece of a source: first line and column, last line and the column after the last character."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def text(self) -> str:
        """The characters that the span covers."""
        source, line, column, end_line, end_column = self
        start = source.offset(line, column)
        if line == end_line:
            return source.text[start : start + end_column - column]
        return source.text[start : source.offset(end_line, end_column)]

    def part(self, start: int, end: int) -> Span:
        """The span of characters ``start`` to ``end`` (exclusive) of this span's text."""
        if self.line == self.end_line:
            return Span(self.source, self.line, self.column + start, self.line, self.column + end)
        base = self.source.offset(self.line, self.column)
        return self.source.span(base + start, base + end)

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"


class Hop(NamedTuple):
    """One step of a value's way. ``span`` is None where the step has no place in a file."""

    kind: HopKind
    note: str
    span: Span | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.note}".rstrip() + (f" ({self.span})" if self.span else "")
