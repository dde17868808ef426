"""Texts with positions that small readers work on: whole files, and files written inside a Compose file."""

from __future__ import annotations

from typing import Protocol

from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Inline", "Located"]


class Located(Protocol):
    """A text that can tell where each of its characters is written. ``Source`` is one."""

    @property
    def path(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def location(self) -> str: ...

    def span(self, start: int, end: int) -> Span: ...


class Inline:
    """The text of a scalar, such as ``configs: {x: {content: …}}``, as a file of its own.

    Lines of a literal block keep their own places; where the text was changed on the way (folding,
    escapes, variables) the whole scalar stands for each of its parts.
    """

    __slots__ = ("_node", "location", "path", "text")

    def __init__(self, node: Node, location: str) -> None:
        self._node = node
        self.text = str(node.value)
        self.path = node.span.source.path
        self.location = location

    def span(self, start: int, end: int) -> Span:
        whole = self._node.span
        wanted = self.text[start:end]
        source = whole.source
        if not source.text.startswith("|", source.offset(whole.line, whole.column)) or "\n" in wanted:
            return whole
        begin = self.text.rfind("\n", 0, start) + 1
        number = whole.line + 1 + self.text.count("\n", 0, start)
        line = source.line(number)
        end_of_line = self.text.find("\n", begin)
        own = self.text[begin : end_of_line if end_of_line >= 0 else len(self.text)]
        indent = len(line) - len(own.rstrip("\r"))
        if indent < 0 or line[indent:] != own.rstrip("\r"):
            return whole
        column = indent + start - begin + 1
        return Span(source, number, column, number, column + len(wanted))
