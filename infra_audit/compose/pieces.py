"""Pieces of a text node, each with its own place, and the refusal of one."""

from __future__ import annotations

import posixpath

from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["Invalid", "clean", "part", "piece"]


class Invalid(Exception):
    """A value that Compose refuses; ``span`` is its place where that is not the whole node."""

    def __init__(self, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


def piece(node: Node, start: int, end: int) -> Span:
    """The place of characters ``start`` to ``end`` of a text node; the whole where it was not written so."""
    written = node.span.text
    text = node.value
    if written == text:
        return node.span.part(start, end)
    if len(written) == len(text) + 2 and written[1:-1] == text:
        return node.span.part(start + 1, end + 1)
    return node.span


def part(node: Node, start: int, end: int, value: object = None) -> Node:
    text = node.value[start:end]
    return Node(text if value is None else value, piece(node, start, end), None, node.hops)


def clean(path: str) -> str:
    """A path of a container without . and .. and doubled slashes, as Go cleans it."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
